"""Which attributes a response carries."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scim.errors import INVALID_VALUE, ScimError
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from tests.core import CUSTOM, DEVICE, DEVICE_TYPE, ENTERPRISE, USER, USER_TYPE, WARRANTY, cases, refused

ADA: Document = {
    "schemas": [USER, ENTERPRISE, CUSTOM],
    "id": "u-1",
    "userName": "ada",
    "name": {"givenName": "Ada", "familyName": "King"},
    "emails": [{"value": "a@work", "type": "work", "primary": True}, {"value": "a@home"}],
    ENTERPRISE: {"department": "x", "manager": {"value": "u-2", "$ref": "http://x/Users/u-2"}},
    CUSTOM: {"site": "180", "level": 3},
    "meta": {"resourceType": "User", "version": 'W/"1"'},
}
ALWAYS = {"schemas": ADA["schemas"], "id": "u-1"}


def projected(
    query: dict[str, str], resource: Document = ADA, resource_type: ResourceType = USER_TYPE
) -> dict[str, Any]:
    before = copy.deepcopy(resource)
    result = Projection(resource_type, query).apply(resource)
    assert resource == before
    return result


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in ADA.items() if name not in names}


def test_without_parameters_all_is_shown() -> None:
    assert projected({}) == ADA
    assert projected({"attributes": "", "excludedattributes": " "}) == ADA


ONLY = {
    "one": ("userName", {"userName": "ada"}),
    "several": ("userName,name", {"userName": "ada", "name": ADA["name"]}),
    "spaces and empty names": (" userName , ,name,", {"userName": "ada", "name": ADA["name"]}),
    "another case": ("USERNAME", {"userName": "ada"}),
    "id": ("id", {}),
    "absent attribute": ("title", {}),
    "unknown attribute": ("shoeSize", {}),
    "unknown beside a known one": ("shoeSize,userName", {"userName": "ada"}),
    "sub-attribute": ("name.givenName", {"name": {"givenName": "Ada"}}),
    "sub-attributes": ("name.givenName,NAME.familyname", {"name": ADA["name"]}),
    "sub-attribute that is absent": ("name.middleName", {}),
    "sub-attribute and the whole": ("name.givenName,name", {"name": ADA["name"]}),
    "the whole and a sub-attribute": ("name,name.givenName", {"name": ADA["name"]}),
    "sub-attribute of several values": ("emails.value", {"emails": [{"value": "a@work"}, {"value": "a@home"}]}),
    "sub-attribute that only one value has": ("emails.type", {"emails": [{"type": "work"}]}),
    "meta": ("meta.version", {"meta": {"version": 'W/"1"'}}),
    "core attribute behind its urn": (f"{USER}:userName", {"userName": "ada"}),
    "extension attribute": (f"{ENTERPRISE}:department", {ENTERPRISE: {"department": "x"}}),
    "extension attribute in another case": (
        f"{ENTERPRISE.upper()}:Department",
        {ENTERPRISE: {"department": "x"}},
    ),
    "extension attribute at its plain name": ("department", {ENTERPRISE: {"department": "x"}}),
    "sub-attribute of an extension": (f"{ENTERPRISE}:manager.value", {ENTERPRISE: {"manager": {"value": "u-2"}}}),
    "absent extension attribute": (f"{ENTERPRISE}:division", {}),
    "whole extension": (ENTERPRISE, {ENTERPRISE: ADA[ENTERPRISE]}),
    "whole core schema": (USER, without(ENTERPRISE, CUSTOM)),
    "undeclared extension": (CUSTOM, {CUSTOM: ADA[CUSTOM]}),
    "undeclared extension in another case": (CUSTOM.upper(), {CUSTOM: ADA[CUSTOM]}),
    "undeclared attribute": (f"{CUSTOM}:site", {CUSTOM: {"site": "180"}}),
    "undeclared attribute that is absent": (f"{CUSTOM}:street", {}),
}


@pytest.mark.parametrize(("attributes", "shown"), cases(ONLY))
def test_attributes(attributes: str, shown: dict[str, Any]) -> None:
    assert projected({"attributes": attributes}) == ALWAYS | shown


EXCLUDED = {
    "one": ("userName", without("userName")),
    "several in another case": ("USERNAME, Emails", without("userName", "emails")),
    "what is always shown": ("id,schemas", ADA),
    "unknown": ("shoeSize", ADA),
    "absent": ("title", ADA),
    "sub-attribute": ("name.givenName", {**ADA, "name": {"familyName": "King"}}),
    "all sub-attributes": ("name.givenName,name.familyName", without("name")),
    "sub-attribute and the whole": ("name.givenName,name", without("name")),
    "sub-attribute of several values": (
        "emails.value",
        {**ADA, "emails": [{"type": "work", "primary": True}]},
    ),
    "all sub-attributes of several values": ("emails.value,emails.type,emails.primary", without("emails")),
    "extension attribute": (f"{ENTERPRISE}:manager", {**ADA, ENTERPRISE: {"department": "x"}}),
    "all of an extension": ("department,manager", without(ENTERPRISE)),
    "whole extension": (ENTERPRISE, without(ENTERPRISE)),
    "whole core schema": (USER, {**ALWAYS, ENTERPRISE: ADA[ENTERPRISE], CUSTOM: ADA[CUSTOM]}),
    "undeclared extension": (CUSTOM.lower(), without(CUSTOM)),
    "undeclared attribute": (f"{CUSTOM}:site", {**ADA, CUSTOM: {"level": 3}}),
    "meta": ("meta", without("meta")),
}


@pytest.mark.parametrize(("names", "shown"), cases(EXCLUDED))
def test_excluded_attributes(names: str, shown: dict[str, Any]) -> None:
    assert projected({"excludedattributes": names}) == shown


def test_attributes_and_excluded_attributes_exclude_each_other() -> None:
    with refused(INVALID_VALUE, "attributes", "excludedAttributes"):
        Projection(USER_TYPE, {"attributes": "userName", "excludedattributes": "name"})
    assert projected({"attributes": "userName", "excludedattributes": ""}) == {**ALWAYS, "userName": "ada"}


PRINTER: Document = {
    "schemas": [DEVICE, WARRANTY],
    "id": "d-1",
    "pin": "1234",
    "log": "started",
    "label": "P1",
    "tags": ["a", "b"],
    "ports": [{"value": "usb", "secret": "x", "place": "back"}],
    WARRANTY: {"contract": "C1"},
}
PRINTER_ALWAYS = {"schemas": PRINTER["schemas"], "id": "d-1", "label": "P1"}
PORTS = [{"value": "usb", "place": "back"}]

RETURNED: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "by default": ({}, {**PRINTER_ALWAYS, "tags": ["a", "b"], "ports": PORTS, WARRANTY: {"contract": "C1"}}),
    "on request": ({"attributes": "log"}, {**PRINTER_ALWAYS, "log": "started"}),
    "never": ({"attributes": "pin"}, PRINTER_ALWAYS),
    "never, a sub-attribute": (
        {"attributes": "ports.secret"},
        {**PRINTER_ALWAYS, "ports": [{"place": "back"}]},
    ),
    "always, beside a sub-attribute": ({"attributes": "ports.value"}, {**PRINTER_ALWAYS, "ports": PORTS}),
    "always, a sub-attribute": (
        {"excludedattributes": f"ports.place,ports.value,tags,{WARRANTY}"},
        {**PRINTER_ALWAYS, "ports": [{"place": "back"}]},
    ),
    "never, beside another sub-attribute": (
        {"attributes": "ports.secret,ports.value"},
        {**PRINTER_ALWAYS, "ports": PORTS},
    ),
    "never, in the whole schema": (
        {"attributes": DEVICE},
        {**PRINTER_ALWAYS, "log": "started", "tags": ["a", "b"], "ports": PORTS},
    ),
    "always": ({"excludedattributes": "label,tags,ports"}, {**PRINTER_ALWAYS, WARRANTY: {"contract": "C1"}}),
    "always, in the whole schema": ({"excludedattributes": DEVICE}, {**PRINTER_ALWAYS, WARRANTY: {"contract": "C1"}}),
}


@pytest.mark.parametrize(("query", "shown"), cases(RETURNED))
def test_returned_characteristic(query: dict[str, str], shown: dict[str, Any]) -> None:
    assert projected(query, PRINTER, DEVICE_TYPE) == shown


def test_what_one_request_has_written_is_not_shown_to_the_next() -> None:
    query = {"excludedattributes": "tags"}
    assert "log" not in projected(query, PRINTER, DEVICE_TYPE)
    writer = Projection(DEVICE_TYPE, query)
    writer.note_written([(None, "log")])
    assert writer.apply(PRINTER)["log"] == "started"
    assert "log" not in projected(query, PRINTER, DEVICE_TYPE)


def test_long_parameters_mean_the_same() -> None:
    many = ",".join(f"shoeSize{number}" for number in range(500))
    assert projected({"attributes": f"{many},userName"}) == {**ALWAYS, "userName": "ada"}
    with pytest.raises(ScimError, match="at most 8192 are read"):
        projected({"attributes": f"{many},{many},userName"})


INCLUDES = {
    "by default": ({}, True),
    "named": ({"attributes": "groups"}, True),
    "a part of it named": ({"attributes": "groups.value"}, True),
    "others named": ({"attributes": "userName"}, False),
    "unknown named": ({"attributes": "shoeSize"}, False),
    "excluded": ({"excludedattributes": "Groups"}, False),
    "a part of it excluded": ({"excludedattributes": "groups.display"}, True),
    "others excluded": ({"excludedattributes": "userName"}, True),
}


@pytest.mark.parametrize(("query", "included"), cases(INCLUDES))
def test_what_need_not_be_read_is_known_before(query: dict[str, str], included: bool) -> None:
    assert Projection(USER_TYPE, query).includes("groups") is included


def test_attribute_that_its_schema_no_longer_has_does_not_break_the_answer() -> None:
    old = {**ADA, ENTERPRISE: {"department": "x", "team": "y"}}
    assert projected({}, old)[ENTERPRISE]["department"] == "x"
