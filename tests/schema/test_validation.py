"""From what a client sends to the canonical document."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, ErrorKind, ScimError
from scim.schema.readers import keep_one_primary
from scim.schema.validation import make_canonical
from tests.core import (
    BODIES,
    CUSTOM,
    DEVICE_TYPE,
    ENTERPRISE,
    JSON,
    NAMES,
    USER,
    USER_TYPE,
    WARRANTY,
    cases,
    device,
    refused,
    user,
)

NAME = {"givenName": "Ada", "familyName": "King"}
ONLY_GIVEN = {"givenName": "Ada"}
BOSS = {"value": "u-boss"}
ROLE_TYPE = "WindowsAzureActiveDirectoryRole"

USERS = {
    "as sent": ({"title": " x ", "externalId": "Ada"}, {"title": " x ", "externalId": "Ada"}),
    "names in any case": (
        {"TITLE": "x", "Name": {"GIVENNAME": "Ada"}},
        {"title": "x", "name": {"givenName": "Ada"}},
    ),
    "boolean as text": ({"active": "True"}, {"active": True}),
    "false is a value": ({"active": False}, {"active": False}),
    "empty values": (
        {"title": "", "nickName": None, "emails": [], "addresses": None, "name": {}, "photos": ""},
        {},
    ),
    "empty arrays for single values": ({"title": [], "name": [], "active": []}, {}),
    "empty parts": (
        {"name": {"givenName": "", "familyName": "King", "middleName": None}},
        {"name": {"familyName": "King"}},
    ),
    "nothing but empty parts": ({"name": {"givenName": ""}, "emails": [{"value": ""}, {}, None, ""]}, {}),
    "what the service sets": (
        {"schemas": [USER], "id": "5", "meta": {"resourceType": "User"}, "groups": [{"value": "g-1"}]},
        {},
    ),
    "unknown attributes": ({"shoeSize": 44, "password": "x", "": 1, ".": 2, "emails.value": "x"}, {}),
    "unknown parts": ({"name": {"nick": "x", "givenName": "Ada"}}, {"name": {"givenName": "Ada"}}),
    "one object for a list": ({"emails": {"value": "a", "type": "work"}}, {"emails": [{"value": "a", "type": "work"}]}),
    "bare values in a list": ({"emails": ["a", "b"]}, {"emails": [{"value": "a"}, {"value": "b"}]}),
    "bare value for a list": ({"emails": "a"}, {"emails": [{"value": "a"}]}),
    "list of one for a complex value": ({"name": [NAME]}, {"name": NAME}),
    "dotted name": ({"name.givenName": "Ada"}, {"name": {"givenName": "Ada"}}),
    "dotted name beside the object": (
        {"name.givenName": "Ada", "name": {"givenName": "Eve", "familyName": "King"}},
        {"name": NAME},
    ),
    "core attribute behind its urn": ({f"{USER}:title": "x"}, {"title": "x"}),
    "core schema as an object": ({USER: {"title": "x", "name.givenName": "Ada"}}, {"title": "x", "name": ONLY_GIVEN}),
    "extension": ({ENTERPRISE: {"department": "x"}}, {ENTERPRISE: {"department": "x"}}),
    "extension in another case": ({ENTERPRISE.upper(): {"DEPARTMENT": "x"}}, {ENTERPRISE: {"department": "x"}}),
    "extension attribute behind the urn": ({f"{ENTERPRISE}:department": "x"}, {ENTERPRISE: {"department": "x"}}),
    "extension attribute at its plain name": ({"department": "x"}, {ENTERPRISE: {"department": "x"}}),
    "extension in both forms": (
        {ENTERPRISE: {"department": "x"}, f"{ENTERPRISE}:division": "y"},
        {ENTERPRISE: {"department": "x", "division": "y"}},
    ),
    "null beside the value in the extension": (
        {ENTERPRISE: {"department": "x"}, "department": None, "manager": None},
        {ENTERPRISE: {"department": "x"}},
    ),
    "empty extension": ({ENTERPRISE: {}}, {}),
    "extension without a value": ({ENTERPRISE: {"department": "", "manager": None}}, {}),
    "null as an extension": ({ENTERPRISE: None}, {}),
    "empty text as an extension": ({ENTERPRISE: ""}, {}),
    "unknown attribute of an extension": ({ENTERPRISE: {"team": "x"}, f"{ENTERPRISE}:crew": "y"}, {}),
    "unknown object of an extension": ({f"{ENTERPRISE}:team": {"name": "x"}}, {}),
    "unknown object of the core": ({f"{USER}:team": {"name": "x"}}, {}),
    "manager": ({ENTERPRISE: {"manager": {"value": "u-boss", "displayName": "Boss"}}}, {ENTERPRISE: {"manager": BOSS}}),
    "manager in capitals": ({ENTERPRISE: {"Manager": {"Value": "u-boss"}}}, {ENTERPRISE: {"manager": BOSS}}),
    "manager as text": ({ENTERPRISE: {"manager": "u-boss"}}, {ENTERPRISE: {"manager": BOSS}}),
    "manager as a list": ({"manager": [{"$ref": None, "value": "u-boss"}]}, {ENTERPRISE: {"manager": BOSS}}),
    "manager empty": ({ENTERPRISE: {"manager": {"value": ""}}}, {}),
    "undeclared extension": (
        {CUSTOM: {"Site": "180", "tags": [{"a": None}], "level": 0}},
        {CUSTOM: {"Site": "180", "tags": [{"a": None}], "level": 0}},
    ),
    "undeclared extension, empty values": (
        {CUSTOM: {"site": "", "a": None, "b": [], "c": {}, "d": False}},
        {CUSTOM: {"d": False}},
    ),
    "undeclared extension without a value": ({CUSTOM: {"site": ""}}, {}),
    "undeclared extension, flat": ({f"{CUSTOM}:site": "180"}, {CUSTOM: {"site": "180"}}),
    "undeclared extension in both forms": (
        {CUSTOM: {"site": "180"}, f"{CUSTOM}:level": 3},
        {CUSTOM: {"site": "180", "level": 3}},
    ),
    "undeclared extension in both forms and cases": (
        {CUSTOM: {"site": "180"}, f"{CUSTOM.upper()}:level": 3},
        {CUSTOM: {"site": "180", "level": 3}},
    ),
    "undeclared extension without a version": (
        {"urn:acme:scim:User": {"site": "180"}},
        {"urn:acme:scim:User": {"site": "180"}},
    ),
    "malformed urn": (
        {"urn:ietf:params:scim:schemas:extension:enterprise:2.0User": {"department": "x"}},
        {},
    ),
    "undeclared extension that is no object": ({CUSTOM: "x", "title": "x"}, {"title": "x"}),
    "nulls of Microsoft's sample": (
        {"addresses": None, "phoneNumbers": None, "title": None, "department": None, "manager": None, "roles": []},
        {},
    ),
    "role of a single role expression": (
        {"roles": [{"primary": True, "type": ROLE_TYPE, "value": "Admin"}]},
        {"roles": [{"primary": True, "type": ROLE_TYPE, "value": "Admin"}]},
    ),
    "role with primary as text": (
        {"roles": [{"primary": "True", "value": "Admin"}]},
        {"roles": [{"primary": True, "value": "Admin"}]},
    ),
    "role with displayName": (
        {"roles": [{"value": "Admin", "displayName": "Administration"}]},
        {"roles": [{"value": "Admin", "display": "Administration"}]},
    ),
    "role with both": (
        {"roles": [{"value": "Admin", "displayName": "x", "Display": "Administration"}]},
        {"roles": [{"value": "Admin", "display": "Administration"}]},
    ),
    "role as JSON text": (
        {"roles": [{"value": '{"id":"06b0","value":"25","displayName":"Role1234"}', "type": ROLE_TYPE}]},
        {"roles": [{"value": "25", "display": "Role1234", "type": ROLE_TYPE}]},
    ),
    "role as JSON text in Value": (
        {"roles": [{"Value": '{"id":"06b0","value":"25","displayName":"Role1234"}'}]},
        {"roles": [{"value": "25", "display": "Role1234"}]},
    ),
    "role as bare JSON text": ({"roles": ['{"id":"06b0","value":"25"}']}, {"roles": [{"value": "25"}]}),
    "role whose value is other JSON": (
        {"roles": ['{"value":"25","team":"x"}', "{}", "{25", '{"value":5}', '["25"]', "[" * 9]},
        {
            "roles": [
                {"value": text} for text in ('{"value":"25","team":"x"}', "{}", "{25", '{"value":5}', '["25"]', "[" * 9)
            ]
        },
    ),
    "one primary element stays": (
        {"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": False}]},
        {"emails": [{"value": "a", "primary": True}, {"value": "b", "primary": False}]},
    ),
    "the first of several primary elements": (
        {"emails": [{"value": "a"}, {"value": "b", "primary": True}, {"value": "c", "primary": "True"}]},
        {"emails": [{"value": "a"}, {"value": "b", "primary": True}, {"value": "c", "primary": False}]},
    ),
}


@pytest.mark.parametrize(("sent", "document"), cases(USERS))
def test_canonical_user(sent: dict[str, Any], document: dict[str, Any]) -> None:
    assert user(sent) == {"userName": "ada", **document}


DEVICES = {
    "casts": (
        {"slots": "4", "weight": "2.5", "locked": "False", "sizes": ["3", 4]},
        {"slots": 4, "weight": 2.5, "locked": False, "sizes": [3, 4]},
    ),
    "zero is a value": ({"slots": 0, "weight": 0.0}, {"slots": 0, "weight": 0.0}),
    "single value for a list": ({"tags": "a"}, {"tags": ["a"]}),
    "empty values in a list": ({"tags": ["", "a", None]}, {"tags": ["a"]}),
    "read-only part": ({"ports": [{"value": "usb", "state": "up"}]}, {"ports": [{"value": "usb"}]}),
    "element of read-only parts": ({"ports": [{"state": "up"}]}, {}),
    "write-only and immutable": ({"pin": "1", "serial": "S1"}, {"pin": "1", "serial": "S1"}),
    "nothing": ({}, {}),
}


@pytest.mark.parametrize(("sent", "document"), cases(DEVICES))
def test_canonical_device(sent: dict[str, Any], document: dict[str, Any]) -> None:
    assert device(sent) == document


REFUSED: dict[str, tuple[Any, ...]] = {
    "array": ([], INVALID_SYNTAX, "JSON object"),
    "null": (None, INVALID_SYNTAX, "JSON object"),
    "schemas as text": ({"userName": "x", "schemas": USER}, INVALID_SYNTAX, "schemas", "array"),
    "numbers in schemas": ({"userName": "x", "Schemas": [1]}, INVALID_SYNTAX, "schemas", "array"),
    "no userName": ({"displayName": "x"}, INVALID_VALUE, "userName is required"),
    "userName null": ({"userName": None}, INVALID_VALUE, "userName is required"),
    "userName empty": ({"userName": ""}, INVALID_VALUE, "userName is required"),
    "nothing": ({}, INVALID_VALUE, "userName is required"),
    "wrong type": ({"userName": 5}, INVALID_VALUE, "userName must be a string, not 5"),
    "wrong type of a boolean": (
        {"userName": "x", "active": "perhaps"},
        INVALID_VALUE,
        "active must be true or false, not 'perhaps'",
    ),
    "wrong type of a part": ({"userName": "x", "name": {"givenName": 5}}, INVALID_VALUE, "name.givenName"),
    "wrong type of a dotted name": ({"userName": "x", "name.givenName": {"a": 1}}, INVALID_VALUE, "name.givenName"),
    "wrong type in a list": ({"userName": "x", "emails": [{"value": 5}]}, INVALID_VALUE, "emails.value", "not 5"),
    "text for a complex value": ({"userName": "x", "name": "Ada"}, INVALID_VALUE, "name must be an object"),
    "several objects for a complex value": ({"userName": "x", "name": [NAME, NAME]}, INVALID_VALUE, "name must be"),
    "list in a list": ({"userName": "x", "emails": [[{"value": "a"}]]}, INVALID_VALUE, "emails must be an object"),
    "wrong type in an extension": (
        {"userName": "x", ENTERPRISE: {"department": 5}},
        INVALID_VALUE,
        f"{ENTERPRISE}:department must be a string",
    ),
    "text as an extension": ({"userName": "x", ENTERPRISE: "x"}, INVALID_VALUE, ENTERPRISE, "object"),
    "list as an extension": ({"userName": "x", ENTERPRISE: [{}, {}]}, INVALID_VALUE, ENTERPRISE, "object"),
    "one name in two cases": ({"userName": "x", "USERNAME": "y"}, INVALID_SYNTAX, "userName", "USERNAME"),
    "one name with and without its urn": (
        {"userName": "x", f"{USER}:userName": "y"},
        INVALID_SYNTAX,
        f"{USER}:userName",
    ),
    "plain name and urn of an extension": (
        {"userName": "x", "department": "a", f"{ENTERPRISE}:department": "b"},
        INVALID_SYNTAX,
        "department",
    ),
    "neither is the declared spelling": ({"USERNAME": "x", "username": "y"}, INVALID_SYNTAX, "USERNAME", "username"),
    "an undeclared extension in two cases": (
        {"userName": "x", "urn:x:y:2.0:User": {"a": 1}, "URN:x:y:2.0:User": {"b": 1}},
        INVALID_SYNTAX,
        "URN:x:y:2.0:User",
    ),
    "an undeclared extension's attribute in two cases": (
        {"userName": "x", "urn:x:y:2.0:User:site": "a", "urn:x:y:2.0:User:Site": "b"},
        INVALID_SYNTAX,
        "urn:x:y:2.0:User:Site",
    ),
    "one part in two cases": (
        {"userName": "x", "name": {"givenName": "a", "GivenName": "b"}},
        INVALID_SYNTAX,
        "name.givenName appears twice",
    ),
    "one extension in two cases": (
        {"userName": "x", ENTERPRISE: {"department": "a"}, ENTERPRISE.lower(): {"division": "b"}},
        INVALID_SYNTAX,
        ENTERPRISE.lower(),
    ),
    "one attribute of an extension in two cases": (
        {"userName": "x", ENTERPRISE: {"department": "a", "Department": "b"}},
        INVALID_SYNTAX,
        "epartment",
    ),
    "NUL in a role's JSON text": (
        {"userName": "x", "roles": [{"value": r'{"value":"a\u0000"}'}]},
        INVALID_VALUE,
        "roles.value",
        "U+0000",
    ),
    "half a surrogate pair in a role's JSON text": (
        {"userName": "x", "roles": [{"value": r'{"value":"a\ud800"}'}]},
        INVALID_VALUE,
        "roles.value",
        "surrogate",
    ),
}


@pytest.mark.parametrize(
    ("sent", "kind", "mentions"), [pytest.param(s, k, m, id=n) for n, (s, k, *m) in REFUSED.items()]
)
def test_body_that_is_refused(sent: object, kind: ErrorKind, mentions: list[str]) -> None:
    with refused(kind, *mentions):
        make_canonical(sent, USER_TYPE)


def test_required_attribute_of_another_type() -> None:
    assert make_canonical({WARRANTY: {"until": "2026-01-31T08:00:00Z"}}, DEVICE_TYPE) == {
        WARRANTY: {"until": "2026-01-31T08:00:00Z"}
    }
    with refused(INVALID_VALUE, f"{WARRANTY}:until", "dateTime"):
        make_canonical({WARRANTY: {"until": "soon"}}, DEVICE_TYPE)


A, B, C = ({"value": name, "primary": True} for name in "abc")
NOT_A, NOT_B, NOT_C = ({**element, "primary": False} for element in (A, B, C))

PRIMARIES = {
    "none": ([NOT_A, {"value": "b"}], None, [NOT_A, {"value": "b"}]),
    "one": ([NOT_A, B], 0, [NOT_A, B]),
    "first": ([A, B, C], None, [A, NOT_B, NOT_C]),
    "asked for": ([A, B, C], 1, [NOT_A, B, NOT_C]),
    "asked for what is not primary": ([A, NOT_B, C], 1, [A, NOT_B, NOT_C]),
    "plain values": (["a", "b"], None, ["a", "b"]),
}


@pytest.mark.parametrize(("elements", "keep", "expected"), cases(PRIMARIES))
def test_single_primary(elements: list[Any], keep: int | None, expected: list[Any]) -> None:
    before = copy.deepcopy(elements)
    assert keep_one_primary(elements, keep) == expected
    assert elements == before


@given(BODIES)
def test_canonical_document_is_its_own_canonical_document(body: dict[str, Any]) -> None:
    before = copy.deepcopy(body)
    document = make_canonical(body, USER_TYPE)
    assert make_canonical(document, USER_TYPE) == document
    assert body == before


@given(JSON | st.dictionaries(NAMES, JSON, max_size=5).map(lambda body: {"userName": "ada"} | body))
@settings(max_examples=250)
def test_any_json_is_a_document_or_refused(body: object) -> None:
    try:
        document = make_canonical(body, USER_TYPE)
    except ScimError as error:
        assert error.kind in (INVALID_SYNTAX, INVALID_VALUE)
    else:
        assert make_canonical(document, USER_TYPE) == document
        assert json.loads(json.dumps(document)) == document
