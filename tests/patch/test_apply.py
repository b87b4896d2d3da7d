"""Operations on documents: RFC 7644 §3.5.2 where it speaks, what Entra needs where it does not, all or nothing."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_FILTER, INVALID_VALUE, MUTABILITY, NO_TARGET, ErrorKind, ScimError
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, make_canonical
from tests.core import (
    CUSTOM,
    DEVICE_TYPE,
    ENTERPRISE,
    JSON,
    NAMES,
    USER_TYPE,
    USERS,
    WARRANTY,
    WORDS,
    cases,
    device,
    refused,
    user,
    values,
)


def patched(document: Document, *listed: object, resource_type: ResourceType = USER_TYPE) -> Document:
    return apply(document, parse_operations({"Operations": list(listed)}, resource_type, 1000), resource_type)


def op(name: str, path: str | None = None, value: object = None) -> dict[str, object]:
    return {"op": name} | ({"path": path} if path else {}) | ({} if value is None else {"value": value})


def add(path: str | None, value: object) -> dict[str, object]:
    return op("add", path, value)


def replace(path: str | None, value: object) -> dict[str, object]:
    return {"op": "replace", "value": value} | ({"path": path} if path else {})


def remove(path: str, value: object = None) -> dict[str, object]:
    return op("remove", path, value)


WORK = {"type": "work", "value": "a@work"}
HOME = {"type": "home", "value": "a@home"}
NAME = {"givenName": "Ada", "familyName": "King"}
ADDRESS = {"type": "work", "locality": "London", "region": "L"}
ROLE = {"value": "Admin", "display": "Administration", "type": "WindowsAzureActiveDirectoryRole", "primary": False}

Case = tuple[dict[str, object], list[dict[str, object]], dict[str, object]]
"""Attributes of a user before, operations, attributes after; userName beside them."""

SINGLE: dict[str, Case] = {
    "add": ({}, [add("title", "x")], {"title": "x"}),
    "add overwrites": ({"title": "x"}, [add("title", "y")], {"title": "y"}),
    "replace": ({"title": "x"}, [replace("title", "y")], {"title": "y"}),
    "replace of nothing adds": ({}, [replace("title", "y")], {"title": "y"}),
    "remove": ({"title": "x"}, [remove("title")], {}),
    "remove of nothing": ({}, [remove("title")], {}),
    "remove does not look at a value": ({"title": "x"}, [remove("title", "y")], {}),
    "boolean as text": ({"active": True}, [replace("active", "False")], {"active": False}),
    "boolean as lower-case text": ({}, [add("active", "true")], {"active": True}),
    "the last one wins": (
        {"title": "x"},
        [remove("title"), add("title", "y"), replace("title", "z")],
        {"title": "z"},
    ),
    "sub-attribute": ({"name": NAME}, [replace("name.givenName", "Eve")], {"name": {**NAME, "givenName": "Eve"}}),
    "sub-attribute of nothing": ({}, [add("name.givenName", "Ada")], {"name": {"givenName": "Ada"}}),
    "last sub-attribute removed": ({"name": {"givenName": "Ada"}}, [remove("name.givenName")], {}),
    "replace of a complex value keeps what it does not name": (
        {"name": NAME},
        [replace("name", {"givenName": "Eve"})],
        {"name": {**NAME, "givenName": "Eve"}},
    ),
    "complex value that clears one part and sets another": (
        {"name": NAME},
        [replace("name", {"givenName": "", "middleName": "B"})],
        {"name": {"familyName": "King", "middleName": "B"}},
    ),
    "complex value that only clears a part": (
        {"name": NAME},
        [replace("name", {"givenName": ""})],
        {"name": {"familyName": "King"}},
    ),
    "complex value that only clears a part with null": (
        {"name": NAME},
        [add("name", {"GivenName": None})],
        {"name": {"familyName": "King"}},
    ),
    "complex value in a list of one": (
        {"name": NAME},
        [replace("name", [{"givenName": "Eve"}])],
        {"name": {**NAME, "givenName": "Eve"}},
    ),
    "complex value in a list of one that clears a part": (
        {"name": NAME},
        [replace("name", [{"givenName": "", "middleName": "B"}])],
        {"name": {"familyName": "King", "middleName": "B"}},
    ),
    "complex value that clears all parts": (
        {"name": NAME},
        [replace("name", {"givenName": "", "familyName": None})],
        {},
    ),
    "complex value of unknown parts only": ({"name": NAME}, [replace("name", {"nick": "x"})], {"name": NAME}),
    "remove of a complex value": ({"name": NAME}, [remove("name")], {}),
    "flat keys without a path": (
        {"name": NAME},
        [replace(None, {"displayName": "x", "name.givenName": "Eve", f"{ENTERPRISE}:department": "d"})],
        {"displayName": "x", "name": {**NAME, "givenName": "Eve"}, ENTERPRISE: {"department": "d"}},
    ),
    "externalId": ({"externalId": "1"}, [replace("externalId", "2")], {"externalId": "2"}),
    "userName": ({}, [replace("userName", "Ada")], {"userName": "Ada"}),
    "unknown attribute": ({"title": "x"}, [add("shoeSize", 44)], {"title": "x"}),
    "nothing to do": ({"title": "x"}, [], {"title": "x"}),
}

CLEARED: dict[str, tuple[str, dict[str, object], dict[str, object]]] = {
    "string": ("title", {"title": "x"}, {}),
    "boolean": ("active", {"active": True}, {}),
    "complex": ("name", {"name": NAME}, {}),
    "sub-attribute": ("name.givenName", {"name": NAME}, {"name": {"familyName": "King"}}),
    "several values": ("emails", {"emails": [WORK]}, {}),
    "element": ('emails[type eq "work"]', {"emails": [WORK, HOME]}, {"emails": [HOME]}),
    "value of an element": ('emails[type eq "work"].value', {"emails": [WORK, HOME]}, {"emails": [HOME]}),
    "part of an element": (
        'addresses[type eq "work"].region',
        {"addresses": [ADDRESS]},
        {"addresses": [{"type": "work", "locality": "London"}]},
    ),
    "element that is not there": ('emails[type eq "work"].value', {"emails": [HOME]}, {"emails": [HOME]}),
    "part of every element": ("emails.value", {"emails": [WORK, HOME]}, {}),
    "extension attribute": (f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "x"}}, {}),
    "manager": ("manager", {ENTERPRISE: {"manager": {"value": "5"}}}, {}),
    "manager's value": ("manager.value", {ENTERPRISE: {"manager": {"value": "5"}}}, {}),
    "extension": (ENTERPRISE, {ENTERPRISE: {"department": "x"}}, {}),
    "undeclared attribute": (f"{CUSTOM}:site", {CUSTOM: {"site": "180", "level": 3}}, {CUSTOM: {"level": 3}}),
    "last undeclared attribute": (f"{CUSTOM}:site", {CUSTOM: {"site": "180"}}, {}),
    "undeclared extension": (CUSTOM, {CUSTOM: {"site": "180"}}, {}),
}
"""A path, attributes before it is given an empty value, attributes after."""

SEVERAL: dict[str, Case] = {
    "add": ({"emails": [WORK]}, [add("emails", [HOME])], {"emails": [WORK, HOME]}),
    "add to nothing": ({}, [add("emails", [WORK])], {"emails": [WORK]}),
    "add of one object": ({"emails": [WORK]}, [add("emails", HOME)], {"emails": [WORK, HOME]}),
    "add of a bare value": ({}, [add("emails", "a@work")], {"emails": [{"value": "a@work"}]}),
    "add of what is there": ({"emails": [WORK]}, [add("emails", [WORK])], {"emails": [WORK]}),
    "add of what is there in another case": (
        {"emails": [WORK]},
        [add("emails", [{"type": "Work", "value": "A@work"}])],
        {"emails": [{"type": "Work", "value": "A@work"}]},
    ),
    "add of what is there with something new": (
        {"emails": [WORK]},
        [add("emails", [{**WORK, "display": "Ada"}])],
        {"emails": [{**WORK, "display": "Ada"}]},
    ),
    "add of a value with and without its type": (
        {},
        [add("emails", [{**WORK, "display": "x"}, {"value": "a@work", "display": "y"}])],
        {"emails": [{**WORK, "display": "y"}]},
    ),
    "replace by a list of empty elements": ({"emails": [WORK]}, [replace("emails", [{"value": ""}, {}])], {}),
    "add of a value of another type": (
        {"emails": [WORK]},
        [add("emails", [{**WORK, "type": "home"}])],
        {"emails": [WORK, {**WORK, "type": "home"}]},
    ),
    "add of nothing": ({"emails": [WORK]}, [add("emails", [])], {"emails": [WORK]}),
    "add of a list with empty elements": ({}, [add("emails", [None, "", {}, {"value": ""}])], {}),
    "add without a path": ({"emails": [WORK]}, [add(None, {"emails": [HOME]})], {"emails": [WORK, HOME]}),
    "replace": ({"emails": [WORK]}, [replace("emails", [HOME])], {"emails": [HOME]}),
    "replace without a path": ({"emails": [WORK]}, [replace(None, {"emails": [HOME]})], {"emails": [HOME]}),
    "remove all": ({"emails": [WORK, HOME]}, [remove("emails")], {}),
    "remove a list": ({"emails": [WORK, HOME]}, [remove("emails", [{"value": "a@home"}])], {"emails": [WORK]}),
    "remove a list in another case": (
        {"emails": [WORK, HOME]},
        [remove("emails", [{"$ref": None, "value": "A@HOME"}])],
        {"emails": [WORK]},
    ),
    "remove a list with types": (
        {"emails": [WORK, {**WORK, "type": "home"}]},
        [remove("emails", [{"value": "a@work", "type": "home"}])],
        {"emails": [WORK]},
    ),
    "remove a list that names no value": (
        {"emails": [{"type": "work"}, WORK]},
        [remove("emails", [{"type": "Work"}])],
        {},
    ),
    "remove from elements without a value": (
        {"addresses": [ADDRESS, {**ADDRESS, "locality": "Bath"}]},
        [remove("addresses", [ADDRESS])],
        {"addresses": [{**ADDRESS, "locality": "Bath"}]},
    ),
    "remove of what is not there": (
        {"emails": [WORK]},
        [remove("emails", [{"value": "b"}, {"value": "c"}])],
        {"emails": [WORK]},
    ),
    "remove of the last one by list": ({"emails": [WORK]}, [remove("emails", [WORK])], {}),
    "one sub-attribute of every element": (
        {"emails": [WORK, HOME]},
        [replace("emails.display", "Ada")],
        {"emails": [{**WORK, "display": "Ada"}, {**HOME, "display": "Ada"}]},
    ),
    "one sub-attribute of nothing": ({}, [add("emails.value", "a@work")], {"emails": [{"value": "a@work"}]}),
    "remove one sub-attribute of every element": (
        {"emails": [{**WORK, "display": "Ada"}, {"display": "Eve"}]},
        [remove("emails.display")],
        {"emails": [WORK]},
    ),
}

FILTERED: dict[str, Case] = {
    "sub-attribute": (
        {"emails": [WORK, HOME]},
        [replace('emails[type eq "work"].value', "b@work")],
        {"emails": [{**WORK, "value": "b@work"}, HOME]},
    ),
    "filter in another case": (
        {"emails": [WORK]},
        [add('EMAILS[Type EQ "WORK"].VALUE', "b@work")],
        {"emails": [{**WORK, "value": "b@work"}]},
    ),
    "sub-attribute of all that match": (
        {"emails": [WORK, WORK]},
        [replace('emails[type eq "work"].display', "Ada")],
        {"emails": [{**WORK, "display": "Ada"}]},
    ),
    "add makes the element": (
        {"emails": [HOME]},
        [add('emails[type eq "work"].value', "a@work")],
        {"emails": [HOME, WORK]},
    ),
    "replace makes the element": ({}, [replace('emails[type eq "work"].value', "a@work")], {"emails": [WORK]}),
    "several terms make the element": (
        {},
        [add('emails[type eq "work" and primary eq "True"].value', "a@work")],
        {"emails": [{**WORK, "primary": True}]},
    ),
    "five additions make one element": (
        {"addresses": [{"type": "home", "locality": "Bath"}]},
        [
            add(f'addresses[type eq "work"].{name}', name[0])
            for name in ("streetAddress", "locality", "region", "postalCode", "country")
        ],
        {
            "addresses": [
                {"type": "home", "locality": "Bath"},
                {
                    "type": "work",
                    "streetAddress": "s",
                    "locality": "l",
                    "region": "r",
                    "postalCode": "p",
                    "country": "c",
                },
            ]
        },
    ),
    "bracketed keys without a path make one element": (
        {},
        [add(None, {'addresses[type eq "work"].locality': "l", 'addresses[type eq "work"].region': "r"})],
        {"addresses": [{"type": "work", "locality": "l", "region": "r"}]},
    ),
    "the manager of addresses, its type changed": (
        {"addresses": [ADDRESS]},
        [replace('addresses[type eq "work"].type', "home")],
        {"addresses": [{**ADDRESS, "type": "home"}]},
    ),
    "add merges into the element": (
        {"addresses": [ADDRESS]},
        [add('addresses[type eq "work"]', {"locality": "Bath"})],
        {"addresses": [{**ADDRESS, "locality": "Bath"}]},
    ),
    "replace leaves what it does not name": (
        {"addresses": [ADDRESS]},
        [replace('addresses[type eq "work"]', {"locality": "Bath"})],
        {"addresses": [{**ADDRESS, "locality": "Bath"}]},
    ),
    "replace in a list of one": (
        {"addresses": [ADDRESS]},
        [replace('addresses[type eq "work"]', [{"locality": "Bath"}])],
        {"addresses": [{**ADDRESS, "locality": "Bath"}]},
    ),
    "whole element made": (
        {},
        [add('addresses[type eq "work"]', {"locality": "Bath"})],
        {"addresses": [{"type": "work", "locality": "Bath"}]},
    ),
    "element that clears a part": (
        {"addresses": [ADDRESS]},
        [add('addresses[type eq "work"]', {"locality": ""})],
        {"addresses": [{"type": "work", "region": "L"}]},
    ),
    "element that clears a part and sets another": (
        {"addresses": [ADDRESS]},
        [add('addresses[type eq "work"]', {"locality": None, "region": "B"})],
        {"addresses": [{"type": "work", "region": "B"}]},
    ),
    "element of unknown parts only": (
        {"addresses": [ADDRESS]},
        [add('addresses[type eq "work"]', {"planet": "Mars"})],
        {"addresses": [ADDRESS]},
    ),
    "remove the element": ({"emails": [WORK, HOME]}, [remove('emails[type eq "work"]')], {"emails": [HOME]}),
    "remove by any filter": (
        {"emails": [WORK, HOME]},
        [remove('emails[type eq "work" and value ew "work"]')],
        {"emails": [HOME]},
    ),
    "remove the last element": ({"emails": [WORK]}, [remove("emails[value pr]")], {}),
    "remove what is not there": ({"emails": [HOME]}, [remove('emails[type eq "work"]')], {"emails": [HOME]}),
    "remove from nothing": ({}, [remove('emails[type eq "work"]')], {}),
    "remove a part": (
        {"addresses": [ADDRESS]},
        [remove('addresses[type eq "work"].region')],
        {"addresses": [{"type": "work", "locality": "London"}]},
    ),
    "remove a part whatever the value": (
        {"addresses": [ADDRESS]},
        [remove('addresses[type eq "work"].region', "x"), remove("addresses.locality", "LONDON"), add("title", "z")],
        {"title": "z"},
    ),
    "remove the part that says something from a full element": (
        {"emails": [{**WORK, "primary": True, "display": "Ada"}]},
        [remove('emails[type eq "work"].value')],
        {},
    ),
    "replace by a filter that describes nothing": (
        {"emails": [WORK]},
        [replace('emails[value ew "work"]', {"value": "b"})],
        {"emails": [{"type": "work", "value": "b"}]},
    ),
    "remove the part that says something": ({"emails": [WORK]}, [remove('emails[type eq "work"].value')], {}),
    "unknown part": ({"emails": [WORK]}, [add('emails[type eq "work"].kind', "x")], {"emails": [WORK]}),
    "a term that says nothing is not kept": (
        {},
        [add('emails[type eq "" and display eq "d"].value', "x")],
        {"emails": [{"display": "d", "value": "x"}]},
    ),
}

ROLES: dict[str, Case] = {
    "single role by path": (
        {},
        [add('roles[primary eq "True"].value', "Admin"), add('roles[primary eq "True"].display', "A")],
        {"roles": [{"primary": True, "value": "Admin", "display": "A"}]},
    ),
    "single role by path, its value last": (
        {},
        [add('roles[primary eq "True"].display', "A"), add('roles[primary eq "True"].value', "Admin")],
        {"roles": [{"primary": True, "display": "A", "value": "Admin"}]},
    ),
    "single role by path, changed": (
        {"roles": [{"value": "User", "primary": True}, {"value": "Other"}]},
        [replace('roles[primary eq "True"].value', "Admin")],
        {"roles": [{"value": "Admin", "primary": True}, {"value": "Other"}]},
    ),
    "role as JSON text": (
        {},
        [op("Add", "roles", [{"value": '{"id":"06b0","value":"25","displayName":"Role1234"}'}])],
        {"roles": [{"value": "25", "display": "Role1234"}]},
    ),
    "roles as JSON text, sent again": (
        {"roles": [{"value": "25", "display": "Role1234"}]},
        [op("Add", "roles", [{"value": '{"id":"06b0","value":"25","displayName":"Role1234"}'}])],
        {"roles": [{"value": "25", "display": "Role1234"}]},
    ),
    "role as JSON text that a create gave its type": (
        {"roles": [ROLE]},
        [op("Add", "roles", [{"value": '{"id":"06b0","value":"Admin","displayName":"Administration"}'}])],
        {"roles": [ROLE]},
    ),
    "roles with displayName": (
        {},
        [add("roles", [{**ROLE, "displayName": "Administration"} | {"display": "Administration"}])],
        {"roles": [ROLE]},
    ),
    "assertive roles replace the whole list": (
        {"roles": [{"value": "Old"}]},
        [replace("roles", [ROLE, {**ROLE, "value": "User"}])],
        {"roles": [ROLE, {**ROLE, "value": "User"}]},
    ),
}

PRIMARY: dict[str, Case] = {
    "added": (
        {"emails": [{**WORK, "primary": True}]},
        [add("emails", [{**HOME, "primary": True}])],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
    ),
    "added before one that is not": (
        {"emails": [{**WORK, "primary": True}]},
        [add("emails", [{**HOME, "primary": True}, {"value": "c"}])],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}, {"value": "c"}]},
    ),
    "set by filter": (
        {"emails": [{**WORK, "primary": True}, HOME]},
        [replace('emails[type eq "home"].primary', "True")],
        {"emails": [{**WORK, "primary": False}, {**HOME, "primary": True}]},
    ),
    "set on the element before": (
        {"emails": [HOME, {**WORK, "primary": True}]},
        [add('emails[type eq "home"]', {"primary": True})],
        {"emails": [{**HOME, "primary": True}, {**WORK, "primary": False}]},
    ),
    "in an element that is made": (
        {"emails": [{**HOME, "primary": True}]},
        [add('emails[type eq "work"]', {"value": "a@work", "primary": True})],
        {"emails": [{**HOME, "primary": False}, {**WORK, "primary": True}]},
    ),
    "set before the value is": (
        {},
        [add('emails[type eq "work"].primary', "True"), add('emails[type eq "work"].value', "a@work")],
        {"emails": [{**WORK, "primary": True}]},
    ),
    "set on all that match": (
        {"emails": [{**WORK, "primary": True}, HOME]},
        [replace("emails[value pr].primary", "True")],
        {"emails": [{**WORK, "primary": True}, {**HOME, "primary": False}]},
    ),
    "set on some that match": (
        {"emails": [{**WORK, "primary": True}, HOME, {"value": "c", "type": "home"}]},
        [replace('emails[type eq "home"]', {"primary": True, "value": "b"})],
        {
            "emails": [
                {**WORK, "primary": False},
                {"type": "home", "value": "b", "primary": True},
            ]
        },
    ),
    "described by the filter of an element that is made": (
        {"emails": [{**HOME, "primary": True}]},
        [add('emails[type eq "work" and primary eq true].value', "a@work")],
        {"emails": [{**HOME, "primary": False}, {**WORK, "primary": True}]},
    ),
    "several in one list": (
        {},
        [replace("emails", [{**WORK, "primary": True}, {**HOME, "primary": "True"}])],
        {"emails": [{**WORK, "primary": True}, {**HOME, "primary": False}]},
    ),
    "taken back": (
        {"emails": [{**WORK, "primary": True}]},
        [replace('emails[type eq "work"].primary', "False")],
        {"emails": [{**WORK, "primary": False}]},
    ),
    "changing another element leaves it": (
        {"emails": [{**WORK, "primary": True}, HOME]},
        [replace('emails[type eq "home"].value', "b")],
        {"emails": [{**WORK, "primary": True}, {**HOME, "value": "b"}]},
    ),
}

BOSS = {"value": "u-boss"}

EXTENSIONS: dict[str, Case] = {
    "add on a user without the extension": (
        {},
        [add(f"{ENTERPRISE}:department", "x")],
        {ENTERPRISE: {"department": "x"}},
    ),
    "whole extension keeps what it does not name": (
        {ENTERPRISE: {"department": "x", "division": "y"}},
        [replace(None, {ENTERPRISE: {"department": "z"}})],
        {ENTERPRISE: {"department": "z", "division": "y"}},
    ),
    "last attribute removed": ({ENTERPRISE: {"department": "x"}}, [remove("department")], {}),
    "extension removed": ({ENTERPRISE: {"department": "x", "manager": BOSS}}, [remove(ENTERPRISE.upper())], {}),
    "manager as bare text": ({}, [op("Add", f"{ENTERPRISE}:manager", "u-boss")], {ENTERPRISE: {"manager": BOSS}}),
    "manager as an object": ({}, [replace(f"{ENTERPRISE}:manager", BOSS)], {ENTERPRISE: {"manager": BOSS}}),
    "manager as a list at its plain name": (
        {},
        [op("Add", "manager", [{"$ref": "http://x/Users/u-boss", "value": "u-boss"}])],
        {ENTERPRISE: {"manager": {"$ref": "http://x/Users/u-boss", "value": "u-boss"}}},
    ),
    "manager.value": ({}, [add(f"{ENTERPRISE}:manager.value", "u-boss")], {ENTERPRISE: {"manager": BOSS}}),
    "manager in capitals": ({}, [add("Manager", {"Value": "u-boss"})], {ENTERPRISE: {"manager": BOSS}}),
    "new manager without the old one's $ref": (
        {ENTERPRISE: {"manager": {"value": "u-old", "$ref": "http://x/Users/u-old"}}},
        [replace("manager", BOSS)],
        {ENTERPRISE: {"manager": BOSS}},
    ),
    "new manager.value without the old one's $ref": (
        {ENTERPRISE: {"manager": {"value": "u-old", "$ref": "http://x/Users/u-old"}}},
        [replace("manager.value", "u-boss")],
        {ENTERPRISE: {"manager": BOSS}},
    ),
    "$ref beside the manager's value": (
        {ENTERPRISE: {"manager": BOSS}},
        [add("manager.$ref", "http://x/Users/u-boss")],
        {ENTERPRISE: {"manager": {**BOSS, "$ref": "http://x/Users/u-boss"}}},
    ),
    "manager removed": (
        {ENTERPRISE: {"manager": BOSS, "department": "x"}},
        [remove(f"{ENTERPRISE}:manager")],
        {ENTERPRISE: {"department": "x"}},
    ),
    "manager with an empty value": ({ENTERPRISE: {"manager": BOSS}}, [replace("manager", {"value": ""})], {}),
    "manager with an empty value in a list": (
        {ENTERPRISE: {"manager": BOSS}},
        [replace("manager", [{"$ref": None, "value": ""}])],
        {},
    ),
    "manager with a read-only part only": (
        {ENTERPRISE: {"manager": BOSS}},
        [replace("manager", {"displayName": "Boss"})],
        {ENTERPRISE: {"manager": BOSS}},
    ),
    "undeclared attribute": ({}, [add(f"{CUSTOM}:site", "180")], {CUSTOM: {"site": "180"}}),
    "undeclared attribute overwritten": (
        {CUSTOM: {"site": "180", "level": 3}},
        [add(f"{CUSTOM}:site", "181")],
        {CUSTOM: {"site": "181", "level": 3}},
    ),
    "undeclared urn in another case": (
        {CUSTOM: {"site": "180"}},
        [replace(f"{CUSTOM.upper()}:site", "181")],
        {CUSTOM: {"site": "181"}},
    ),
    "undeclared attribute in another case": (
        {CUSTOM: {"site": "180"}},
        [replace(f"{CUSTOM}:Site", "181")],
        {CUSTOM: {"site": "181"}},
    ),
    "undeclared attribute removed in another case": ({CUSTOM: {"site": "180"}}, [remove(f"{CUSTOM}:SITE")], {}),
    "undeclared list grows": (
        {CUSTOM: {"ids": [{"value": "1"}]}},
        [op("Add", f"{CUSTOM}:ids", [{"value": "1"}, {"value": "2"}])],
        {CUSTOM: {"ids": [{"value": "1"}, {"value": "2"}]}},
    ),
    "undeclared list tells 1 from true": (
        {CUSTOM: {"ids": [True]}},
        [add(f"{CUSTOM}:ids", [1])],
        {CUSTOM: {"ids": [True, 1]}},
    ),
    "undeclared list grows by one value": (
        {CUSTOM: {"ids": ["1"]}},
        [add(f"{CUSTOM}:ids", "2")],
        {CUSTOM: {"ids": ["1", "2"]}},
    ),
    "undeclared attribute removed whatever the value": (
        {CUSTOM: {"site": "180"}},
        [remove(f"{CUSTOM}:site", "181")],
        {},
    ),
    "undeclared list replaced": (
        {CUSTOM: {"ids": ["1"]}},
        [replace(f"{CUSTOM}:ids", ["2"])],
        {CUSTOM: {"ids": ["2"]}},
    ),
    "undeclared extension as an object": (
        {CUSTOM: {"site": "180", "level": 3}},
        [replace(None, {CUSTOM: {"site": "181", "level": ""}})],
        {CUSTOM: {"site": "181"}},
    ),
    "undeclared extension, a nameless attribute": (
        {CUSTOM: {"site": "180"}},
        [replace(None, {CUSTOM: {"": "x"}})],
        {CUSTOM: {"site": "180"}},
    ),
    "undeclared extension removed": ({CUSTOM: {"site": "180"}}, [remove(CUSTOM.lower())], {}),
    "undeclared extension that is not there": ({}, [remove(f"{CUSTOM}:site")], {}),
}


def tables(**named: dict[str, Case]) -> list[Any]:
    return cases({f"{table}: {name}": case for table, rows in named.items() for name, case in rows.items()})


@pytest.mark.parametrize(
    ("before", "listed", "after"),
    tables(
        single=SINGLE,
        several=SEVERAL,
        filtered=FILTERED,
        roles=ROLES,
        primary=PRIMARY,
        extensions=EXTENSIONS,
    ),
)
def test_patch(before: dict[str, object], listed: list[object], after: dict[str, object]) -> None:
    assert patched(user(before), *listed) == {"userName": "ada", **after}


EMPTY: dict[str, object] = {"empty text": "", "null": None, "empty array": []}


@pytest.mark.parametrize("value", cases(EMPTY))
@pytest.mark.parametrize(("path", "before", "after"), cases(CLEARED))
def test_empty_value_clears(path: str, before: dict[str, object], after: dict[str, object], value: object) -> None:
    assert patched(user(before), replace(path, value)) == {"userName": "ada", **after}
    assert patched(user(before), replace(None, {path: value})) == {"userName": "ada", **after}


@pytest.mark.parametrize("value", cases(EMPTY))
def test_value_that_must_be_there_cannot_be_cleared(value: object) -> None:
    with refused(INVALID_VALUE, "userName", "required"):
        patched(user(), replace("userName", value))


def test_value_that_must_be_there_cannot_be_removed() -> None:
    with refused(MUTABILITY, "userName", "required"):
        patched(user(), remove("userName"))


def test_value_that_must_be_there_may_be_empty_in_between() -> None:
    assert patched(user(), replace("userName", ""), add("userName", "eve")) == {"userName": "eve"}


REFUSED = {
    "wrong type": (replace("title", 5), INVALID_VALUE, "title must be a string, not 5"),
    "wrong type of a boolean": (
        replace("active", "perhaps"),
        INVALID_VALUE,
        "active must be true or false, not 'perhaps'",
    ),
    "wrong type of a sub-attribute": (add("name", {"givenName": 5}), INVALID_VALUE, "name.givenName"),
    "wrong type of an extension": (add("department", {"x": 1}), INVALID_VALUE, f"{ENTERPRISE}:department"),
    "text as a complex value": (add("name", "Ada"), INVALID_VALUE, "name must be an object, not a string"),
    "number in a list": (add("emails", [5]), INVALID_VALUE, "emails", "not a number"),
    "wrong type behind brackets": (add('emails[type eq "work"].value', 5), INVALID_VALUE, "emails.value"),
    "several elements behind brackets": (replace('emails[type eq "work"]', [WORK, HOME]), INVALID_VALUE, "emails"),
    "no element and no eq": (add('emails[value co "x"].display', "d"), NO_TARGET, "emails", 'value co "x"'),
    "no element and or": (
        replace('emails[type eq "a" or type eq "b"].value', "x"),
        NO_TARGET,
        "emails",
        'type eq "a" or type eq "b"',
    ),
    "no element and null": (add("emails[type eq null].value", "x"), NO_TARGET, "emails", "type eq null"),
    "no element and not": (replace('emails[not (type eq "a")].value', "x"), NO_TARGET, "emails"),
    "unknown name in brackets": (add('emails[kind eq "x"].value', "x"), INVALID_FILTER, "emails", "kind"),
    "wrong type in brackets": (add('emails[primary eq "x"].value', "x"), INVALID_FILTER, "primary", "true or false"),
}


@pytest.mark.parametrize(
    ("operation", "kind", "mentions"), [pytest.param(o, k, m, id=n) for n, (o, k, *m) in REFUSED.items()]
)
def test_operation_that_is_refused(operation: object, kind: ErrorKind, mentions: list[str]) -> None:
    with refused(kind, *mentions):
        patched(user(), operation)


def test_a_failed_patch_leaves_the_document() -> None:
    document = user({"emails": [WORK], "name": NAME})
    before = copy.deepcopy(document)
    with refused(INVALID_VALUE, "title"):
        patched(document, replace("name.givenName", "Eve"), remove("emails"), replace("title", 5))
    assert document == before


def test_what_was_missing_before_keeps_nobody_from_being_disabled() -> None:
    """A deployer may make an attribute required when there are users without it."""
    changes = parse_operations({"Operations": [replace("active", "False")]}, USER_TYPE, 1000)
    assert apply({"active": True}, changes, USER_TYPE) == {"active": False}


def test_more_values_than_are_kept_are_refused() -> None:
    with refused(INVALID_VALUE, "roles", "1000"):
        patched(user(), add("roles", [{"value": str(number)} for number in range(1001)]))


def test_operations_can_be_applied_again_to_another_document() -> None:
    listed = parse_operations({"Operations": [add(f"{CUSTOM}:ids", [1]), add(f"{CUSTOM}:ids", [2])]}, USER_TYPE, 1000)
    first = apply(user(), listed, USER_TYPE)
    assert apply(user(), listed, USER_TYPE) == first == {"userName": "ada", CUSTOM: {"ids": [1, 2]}}


UNCHANGED = {
    "same value": ({"title": "x"}, add("title", "x")),
    "same value as text": ({"active": True}, replace("active", "True")),
    "same element": ({"emails": [WORK, HOME]}, add("emails", [HOME])),
    "same elements without a path": ({"emails": [WORK, HOME]}, add(None, {"emails": [HOME, WORK]})),
    "same value of an element": ({"emails": [WORK]}, replace('emails[type eq "work"].value', "a@work")),
    "same part": ({"name": NAME}, replace("name", {"familyName": "King"})),
    "same manager as text": ({ENTERPRISE: {"manager": BOSS}}, add("manager", "u-boss")),
    "same undeclared attribute": ({CUSTOM: {"ids": ["1"]}}, add(f"{CUSTOM}:ids", ["1"])),
    "nothing removed": ({"emails": [WORK]}, remove('emails[type eq "home"]')),
    "null of what is absent": ({"title": "x"}, replace(None, {"nickName": None, "name.givenName": ""})),
}


@pytest.mark.parametrize(("before", "operation"), cases(UNCHANGED))
def test_patch_that_changes_nothing(before: dict[str, object], operation: object) -> None:
    document = user(before)
    assert patched(document, operation) == document


def on_device(before: dict[str, object], *listed: object) -> Document:
    return patched(device(before), *listed, resource_type=DEVICE_TYPE)


DEVICES = {
    "plain values grow": ({"tags": ["a"]}, add("tags", ["b", "a"]), {"tags": ["a", "b"]}),
    "plain value by itself": ({}, add("tags", "a"), {"tags": ["a"]}),
    "plain values are the same in any case": ({"tags": ["Red"]}, add("tags", ["RED"]), {"tags": ["Red"]}),
    "plain values removed by list": ({"tags": ["a", "b"]}, remove("tags", ["a"]), {"tags": ["b"]}),
    "plain values removed by filter": ({"tags": ["a", "b"]}, remove('tags[value eq "A"]'), {"tags": ["b"]}),
    "integers from text": ({"sizes": [3]}, add("sizes", ["4", 3]), {"sizes": [3, 4]}),
    "integers removed by list": ({"sizes": [3, 4]}, remove("sizes", [4]), {"sizes": [3]}),
    "read-only parts are dropped": (
        {},
        add("ports", [{"value": "usb", "speed": "480", "state": "up"}]),
        {"ports": [{"value": "usb", "speed": 480}]},
    ),
    "element made by an integer": (
        {},
        add("ports[speed eq 480].value", "usb"),
        {"ports": [{"speed": 480, "value": "usb"}]},
    ),
    "complex value of an extension keeps what it does not name": (
        {WARRANTY: {"seller": {"name": "x", "town": "y"}}},
        replace("seller", {"town": "z"}),
        {WARRANTY: {"seller": {"name": "x", "town": "z"}}},
    ),
    "plain values of an extension grow": (
        {WARRANTY: {"terms": ["a"]}},
        add(f"{WARRANTY}:terms", ["b"]),
        {WARRANTY: {"terms": ["a", "b"]}},
    ),
    "immutable set first": ({}, add("serial", "S1"), {"serial": "S1"}),
    "immutable sent again": ({"serial": "S1"}, replace("serial", "S1"), {"serial": "S1"}),
    "immutable part set first": (
        {"ports": [{"value": "usb"}]},
        add('ports[value eq "usb"].mac', "01"),
        {"ports": [{"value": "usb", "mac": "01"}]},
    ),
    "immutable part sent again": (
        {"ports": [{"value": "usb", "mac": "01"}]},
        replace("ports.mac", "01"),
        {"ports": [{"value": "usb", "mac": "01"}]},
    ),
    "element with an immutable part removed": (
        {"ports": [{"value": "usb", "mac": "01"}]},
        remove('ports[value eq "usb"]'),
        {},
    ),
    "immutable of an extension set first": ({}, add("contract", "C1"), {WARRANTY: {"contract": "C1"}}),
}


@pytest.mark.parametrize(("before", "operation", "after"), cases(DEVICES))
def test_patch_of_other_types(before: dict[str, object], operation: object, after: dict[str, object]) -> None:
    assert on_device(before, operation) == after


@pytest.mark.parametrize(
    ("before", "operation", "mention"),
    cases(
        {
            "changed": ({"serial": "S1"}, replace("serial", "S2"), "serial"),
            "removed": ({"serial": "S1"}, remove("serial"), "serial"),
            "changed in an element": (
                {"ports": [{"value": "usb", "mac": "01"}]},
                replace('ports[value eq "usb"].mac', "02"),
                "mac",
            ),
            "changed in every element": ({"ports": [{"value": "usb", "mac": "01"}]}, add("ports.mac", "02"), "mac"),
            "removed from an element": ({"ports": [{"mac": "01", "value": "usb"}]}, remove("ports.mac"), "mac"),
            "changed by an addition to the element": (
                {"ports": [{"value": "usb", "mac": "01"}]},
                add('ports[value eq "usb"]', {"mac": "02"}),
                "mac",
            ),
            "cleared by an addition to the element": (
                {"ports": [{"value": "usb", "mac": "01"}]},
                add('ports[value eq "usb"]', {"mac": ""}),
                "mac",
            ),
            "changed in an extension": ({WARRANTY: {"contract": "C1"}}, replace("contract", "C2"), "contract"),
            "removed with its extension": ({WARRANTY: {"contract": "C1"}}, remove(WARRANTY), "contract"),
        }
    ),
)
def test_immutable_attribute_keeps_its_value(before: dict[str, object], operation: object, mention: str) -> None:
    with refused(MUTABILITY, mention, "immutable"):
        on_device(before, operation)


@pytest.mark.parametrize(
    ("operation", "kind", "mentions"),
    [
        pytest.param(replace('tags[value sw "z"]', "b"), NO_TARGET, ["tags"], id="replace of a plain value"),
        pytest.param(add("ports[state eq up].value", "usb"), INVALID_VALUE, ["ports", "state"], id="made read-only"),
    ],
)
def test_operation_on_other_types_that_is_refused(operation: object, kind: ErrorKind, mentions: list[str]) -> None:
    with refused(kind, *mentions):
        on_device({"tags": ["a"]}, operation)


# What properties draw: operations that suit users, among them the paths and values that Entra sends, and odd ones.

FILTERS = ['type eq "work"', 'Type EQ "Home"', 'type eq "a" and primary eq "True"', "primary eq true", 'value eq "a"']
FILTERS += ["value pr", 'not (type eq "work")', 'type eq "a" or value eq "b"', 'type eq ""', "type eq null"]
ODD_FILTERS = ['kind eq "x"', "primary eq 5", '"', ""]

Target = tuple[str, st.SearchStrategy[Any]]
"""A path and the values that suit it."""


def _single_valued() -> list[Target]:
    attributes = USER_TYPE.core_attributes | USER_TYPE.extension_attributes[ENTERPRISE]
    targets = [(name, values(attributes[name.lower()])) for name in ("title", "active", "name", "Manager", "userName")]
    for path, sub in [("name.givenName", "name"), ("NAME.familyName", "name"), ("manager.$ref", "manager")]:
        targets.append((path, values(attributes[sub].sub_attributes[0])))
    targets += [(f"{ENTERPRISE}:manager.value", WORDS), (f"{ENTERPRISE.lower()}:department", WORDS)]
    targets.append((ENTERPRISE, st.fixed_dictionaries({}, optional={"department": WORDS, "MANAGER": WORDS})))
    return targets


def _undeclared() -> list[Target]:
    whole = st.dictionaries(st.sampled_from(["site", "ids"]), JSON, max_size=2)
    return [(f"{CUSTOM}:site", JSON), (f"{CUSTOM.upper()}:Ids", JSON), (CUSTOM.lower(), whole)]


def _multi_valued(bracketed: bool) -> list[Target]:
    targets: list[Target] = []
    for name in ("emails", "Roles", "addresses"):
        attribute = USER_TYPE.core_attributes[name.lower()]
        subs = [
            sub for sub in attribute.sub_attributes if sub.name in ("value", "type", "primary", "display", "region")
        ]
        if not bracketed:
            targets.append((name, values(attribute)))
            targets += [(f"{name}.{sub.name}", values(sub)) for sub in subs]
        for filter in FILTERS if bracketed else ():
            targets.append((f"{name}[{filter}]", values(attribute)))
            targets += [(f"{name}[{filter}].{sub.name.upper()}", values(sub)) for sub in subs]
    return targets


SINGLE_VALUED, UNBRACKETED, BRACKETED = _single_valued(), _multi_valued(False) + _undeclared(), _multi_valued(True)
ODD_PATHS = NAMES | st.builds("{}[{}]".format, NAMES, st.sampled_from(FILTERS + ODD_FILTERS))


def one(names: list[str], *choices: list[Target]) -> st.SearchStrategy[dict[str, Any]]:
    """An operation of one of these names on one of the targets."""
    pair = st.one_of([st.tuples(st.just(path), value) for targets in choices for path, value in targets])
    return st.builds(lambda name, pair: {"op": name, "path": pair[0], "value": pair[1]}, st.sampled_from(names), pair)


def several(names: list[str], *choices: list[Target]) -> st.SearchStrategy[dict[str, Any]]:
    """The same, or an operation without a path on up to three of the targets."""
    without = st.lists(one(names, *choices), min_size=1, max_size=3).map(
        lambda listed: {"op": listed[0]["op"], "value": {item["path"]: item["value"] for item in listed}}
    )
    return one(names, *choices) | without


ANY = several(["add", "Add", "replace", "remove"], SINGLE_VALUED, UNBRACKETED, BRACKETED)
ODD = st.fixed_dictionaries({"op": st.sampled_from(["add", "Replace", "REMOVE"]), "path": ODD_PATHS, "value": JSON})


def _held(document: Document, listed: list[Any]) -> Document | None:
    """The result, held against what every PATCH promises; None where it was refused."""
    before = copy.deepcopy(document)
    try:
        result = patched(document, *listed)
    except ScimError:
        return None
    finally:
        assert document == before
    assert make_canonical(result, USER_TYPE) == result
    return result


@given(USERS, st.lists(ANY, min_size=1, max_size=3))
@settings(max_examples=250)
def test_any_patch_gives_a_canonical_document_or_is_refused(document: Document, listed: list[Any]) -> None:
    _held(document, listed)


@given(USERS, ODD, JSON)
@settings(max_examples=200)
def test_any_json_gives_a_canonical_document_or_is_refused(document: Document, odd: object, value: object) -> None:
    for operation in (odd, value, {"op": "add", "value": value}):
        _held(document, [operation])


@given(USERS, st.lists(several(["add", "replace"], SINGLE_VALUED), min_size=1, max_size=4))
@settings(max_examples=200)
def test_same_patch_of_single_values_again_changes_nothing(document: Document, listed: list[Any]) -> None:
    """Any sequence of add and replace: each leaf has what the last operation on it says."""
    once = _held(document, listed)
    assert once is None or patched(once, *listed) == once


@given(USERS, one(["add", "replace"], UNBRACKETED))
@settings(max_examples=200)
def test_same_operation_on_several_values_again_changes_nothing(document: Document, operation: object) -> None:
    """One add or replace without brackets. A sequence on one attribute may change the elements by which its earlier
    operations know that they are there, and a value path may take its element out of its own filter."""
    once = _held(document, [operation])
    assert once is None or patched(once, operation) == once
