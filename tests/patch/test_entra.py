"""PATCH bodies in every dialect become one flat list of operations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from scim.errors import (
    INVALID_FILTER,
    INVALID_PATH,
    INVALID_SYNTAX,
    INVALID_VALUE,
    MUTABILITY,
    NO_TARGET,
    TOO_LARGE,
    ErrorKind,
    ScimError,
)
from scim.patch.entra import PATCH_URN, Operation, parse_operations
from tests.core import CUSTOM, ENTERPRISE, JSON, USER, USER_TYPE, cases, refused

Shown = tuple[str, str, object]
"""An operation as its name, its path in declared case, and its value."""


def shown(operation: Operation) -> Shown:
    brackets = f"[{operation.filter}]" if operation.filter else ""
    sub = f".{operation.sub.name}" if operation.sub else ""
    return operation.op, operation.target.path + brackets + sub, operation.value


def read(*listed: object) -> list[Shown]:
    return [shown(operation) for operation in parse_operations({"Operations": list(listed)}, USER_TYPE, 1000)]


ROLE = {"primary": False, "type": "WindowsAzureActiveDirectoryRole", "display": "User", "value": "User"}

READ = {
    "rfc": ({"op": "replace", "path": "title", "value": "x"}, [("replace", "title", "x")]),
    "operation in capitals": ({"op": "Add", "path": "title", "value": "x"}, [("add", "title", "x")]),
    "operation with spaces": ({"op": " add ", "path": "title", "value": "x"}, [("add", "title", "x")]),
    "operation in capitals throughout": ({"op": "REMOVE", "path": "title"}, [("remove", "title", None)]),
    "members in any case": ({"OP": "add", "Path": "title", "VALUE": "x"}, [("add", "title", "x")]),
    "extra members": (
        {"name": "addMember", "op": "add", "path": "title", "value": "x", "$ref": None},
        [("add", "title", "x")],
    ),
    "path in any case": (
        {"op": "add", "path": 'EMAILS[type eq "work"].Value', "value": "x"},
        [("add", 'emails[type eq "work"].value', "x")],
    ),
    "path with white space around": ({"op": "add", "path": " title ", "value": "x"}, [("add", "title", "x")]),
    "sub-attribute": ({"op": "add", "path": "name.givenname", "value": "x"}, [("add", "name.givenName", "x")]),
    "values stay as sent": (
        {"op": "replace", "path": "roles", "value": [ROLE]},
        [("replace", "roles", [ROLE])],
    ),
    "value list on remove": (
        {"op": "Remove", "path": "emails", "value": [{"$ref": None, "value": "a"}]},
        [("remove", "emails", [{"$ref": None, "value": "a"}])],
    ),
    "extension attribute": (
        {"op": "Add", "path": f"{ENTERPRISE}:department", "value": "x"},
        [("add", f"{ENTERPRISE}:department", "x")],
    ),
    "extension attribute in another case": (
        {"op": "Add", "path": f"{ENTERPRISE.lower()}:DEPARTMENT", "value": "x"},
        [("add", f"{ENTERPRISE}:department", "x")],
    ),
    "extension attribute by its plain name": (
        {"op": "Add", "path": "manager", "value": [{"$ref": "http://x/Users/5", "value": "5"}]},
        [("add", f"{ENTERPRISE}:manager", [{"$ref": "http://x/Users/5", "value": "5"}])],
    ),
    "core attribute behind its urn": (
        {"op": "Add", "path": f'{USER}:emails[type eq "work"].value', "value": "x"},
        [("add", 'emails[type eq "work"].value', "x")],
    ),
    "no path, plain names": (
        {"op": "replace", "value": {"displayName": "x", "TITLE": "y"}},
        [("replace", "displayName", "x"), ("replace", "title", "y")],
    ),
    "no path, dotted name": ({"op": "add", "value": {"name.givenName": "x"}}, [("add", "name.givenName", "x")]),
    "no path, urn and attribute": (
        {"op": "add", "value": {f"{ENTERPRISE}:employeeNumber": "1", f"{ENTERPRISE}:manager": {"value": "5"}}},
        [("add", f"{ENTERPRISE}:employeeNumber", "1"), ("add", f"{ENTERPRISE}:manager", {"value": "5"})],
    ),
    "no path, brackets": (
        {"op": "add", "value": {'emails[type eq "work"].value': "x"}},
        [("add", 'emails[type eq "work"].value', "x")],
    ),
    "no path, whole extension": (
        {"op": "add", "value": {ENTERPRISE: {"Department": "x", "manager.value": "5", "shoeSize": 44}}},
        [("add", f"{ENTERPRISE}:department", "x"), ("add", f"{ENTERPRISE}:manager.value", "5")],
    ),
    "no path, whole core schema": ({"op": "add", "value": {USER: {"title": "x"}}}, [("add", "title", "x")]),
    "no path, complex value": (
        {"op": "replace", "value": {"name": {"givenName": "x"}}},
        [("replace", "name", {"givenName": "x"})],
    ),
    "no path, remove": ({"op": "remove", "value": {"title": "x"}}, [("remove", "title", "x")]),
    "no path, empty values": (
        {"op": "replace", "value": {"title": "", "nickName": None}},
        [("replace", "title", ""), ("replace", "nickName", None)],
    ),
    "null as path": ({"op": "add", "path": None, "value": {"title": "x"}}, [("add", "title", "x")]),
    "empty path": ({"op": "add", "path": "", "value": {"title": "x"}}, [("add", "title", "x")]),
    "path of a whole extension": (
        {"op": "add", "path": ENTERPRISE, "value": {"department": "x"}},
        [("add", f"{ENTERPRISE}:department", "x")],
    ),
    "path of the core schema": ({"op": "add", "path": USER, "value": {"title": "x"}}, [("add", "title", "x")]),
    "remove a whole extension": ({"op": "remove", "path": ENTERPRISE}, [("remove", ENTERPRISE, None)]),
    "clear a whole extension": ({"op": "replace", "path": ENTERPRISE, "value": ""}, [("remove", ENTERPRISE, None)]),
    "undeclared attribute": (
        {"op": "add", "path": f"{CUSTOM}:site", "value": "180"},
        [("add", f"{CUSTOM}:site", "180")],
    ),
    "undeclared attribute with a list": (
        {"op": "Add", "path": f"{CUSTOM}:ids", "value": [{"value": "1"}]},
        [("add", f"{CUSTOM}:ids", [{"value": "1"}])],
    ),
    "undeclared extension, no path": (
        {"op": "add", "value": {CUSTOM: {"site": "180", "level": 3}}},
        [("add", CUSTOM, {"site": "180", "level": 3})],
    ),
    "undeclared extension as path": (
        {"op": "add", "path": CUSTOM, "value": {"site": "180"}},
        [("add", CUSTOM, {"site": "180"})],
    ),
    "undeclared extension without a version": (
        {"op": "add", "value": {"urn:acme:scim:User": {"site": "180"}}},
        [("add", "urn:acme:scim:User", {"site": "180"})],
    ),
    "undeclared extension without a version, as path": (
        {"op": "add", "path": "urn:acme:scim:User", "value": {"site": "180"}},
        [("add", "urn:acme:scim:User", {"site": "180"})],
    ),
    "undeclared extension in another case, no path": (
        {"op": "add", "value": {CUSTOM.upper(): {"site": "180"}}},
        [("add", CUSTOM.upper(), {"site": "180"})],
    ),
    "undeclared extension, names that no path can have": (
        {"op": "add", "value": {CUSTOM: {"a b": 1, "x.y": 2, "": 3}}},
        [("add", CUSTOM, {"a b": 1, "x.y": 2})],
    ),
    "remove an undeclared extension": ({"op": "remove", "path": CUSTOM}, [("remove", CUSTOM, None)]),
    "unknown attribute": ({"op": "add", "path": "shoeSize", "value": 44}, []),
    "unknown attribute with an object": ({"op": "add", "value": {"shoes": {"size": 44}}}, []),
    "unknown sub-attribute": ({"op": "add", "path": "name.nick", "value": "x"}, []),
    "unknown attribute with brackets": ({"op": "add", "path": 'shoes[type eq "x"].size', "value": 44}, []),
    "unknown sub-attribute behind brackets": ({"op": "add", "path": 'emails[type eq "work"].kind', "value": 1}, []),
    "unknown attribute of an extension": ({"op": "add", "path": f"{ENTERPRISE}:team", "value": "x"}, []),
    "unknown object of an extension": ({"op": "add", "value": {f"{ENTERPRISE}:team": {"name": "x"}}}, []),
    "unknown names without a path": (
        {"op": "add", "value": {"shoeSize": 44, "a b": 1, "": 2, "title": "x"}},
        [("add", "title", "x")],
    ),
    "value path of an undeclared extension": (
        {"op": "add", "path": f'{CUSTOM}:ids[value eq "1"]', "value": "x"},
        [("add", f'{CUSTOM}:ids[value eq "1"]', "x")],
    ),
    "value path of an undeclared extension, no path": (
        {"op": "add", "value": {f'{CUSTOM}:ids[value eq "1"]': {"value": "2"}}},
        [("add", f'{CUSTOM}:ids[value eq "1"]', {"value": "2"})],
    ),
    "read-only part of a reference": ({"op": "add", "path": "manager.displayName", "value": "x"}, []),
    "read-only names without a path": (
        {"op": "replace", "value": {"id": "5", "meta": {}, "schemas": [USER], "groups": [], "title": "x"}},
        [("replace", "title", "x")],
    ),
}


@pytest.mark.parametrize(("operation", "expected"), cases(READ))
def test_operation(operation: object, expected: list[Shown]) -> None:
    assert read(operation) == expected


def test_operations_keep_their_order() -> None:
    listed = [
        {"op": op, "path": "title", "value": str(number)} for number, op in enumerate(["remove", "add", "Replace"])
    ]
    assert [op for op, _, _ in read(*listed)] == ["remove", "add", "replace"]


@pytest.mark.parametrize(
    "body",
    cases(
        {
            "Microsoft's empty list": {"schemas": [PATCH_URN], "Operations": []},
            "Operations before schemas": {"Operations": [], "schemas": [PATCH_URN]},
            "another case": {"operations": []},
            "extra members": {"id": "5", "Operations": [], "unknown": None},
        }
    ),
)
def test_body_without_operations_means_nothing_to_do(body: object) -> None:
    assert parse_operations(body, USER_TYPE, 1000) == []


BAD_BODIES: dict[str, tuple[Any, ...]] = {
    "array": ([], "JSON object"),
    "null": (None, "JSON object"),
    "no Operations": ({"schemas": [PATCH_URN]}, "Operations must be an array"),
    "Operations as an object": ({"Operations": {"op": "add"}}, "Operations must be an array"),
    "operation as a string": ({"Operations": [{"op": "remove", "path": "title"}, "x"]}, "Operation 2"),
    "no op": ({"Operations": [{"path": "title", "value": "x"}]}, "Operation 1", "op"),
    "unknown op": ({"Operations": [{"op": "move", "path": "title"}]}, "Operation 1", "add, replace or remove"),
    "op as a number": ({"Operations": [{"op": 5, "path": "title"}]}, "Operation 1", "op"),
}


@pytest.mark.parametrize(("body", "mentions"), [pytest.param(b, m, id=n) for n, (b, *m) in BAD_BODIES.items()])
def test_body_that_is_no_patch(body: object, mentions: list[str]) -> None:
    with refused(INVALID_SYNTAX, *mentions):
        parse_operations(body, USER_TYPE, 1000)


REFUSED = {
    "remove without a path": ({"op": "remove"}, NO_TARGET, "Operation 1", "path"),
    "remove without a path, with a list": ({"op": "remove", "value": ["x"]}, NO_TARGET, "Operation 1"),
    "no path and no object": ({"op": "add", "value": "x"}, INVALID_VALUE, "Operation 1", "path", "object"),
    "no path and no value": ({"op": "replace"}, INVALID_VALUE, "Operation 1", "object"),
    "path that is no string": ({"op": "add", "path": ["title"], "value": "x"}, INVALID_PATH, "Operation 1", "path"),
    "path that cannot be read": ({"op": "add", "path": "emails[", "value": "x"}, INVALID_PATH, "ends where"),
    "blank path": ({"op": "add", "path": "  ", "value": {"title": "x"}}, INVALID_PATH, "attribute name"),
    "brackets on a single value": ({"op": "remove", "path": 'title[value eq "x"]'}, INVALID_PATH, "title", "brackets"),
    "brackets on a single reference": (
        {"op": "add", "path": f'{ENTERPRISE}:manager[value eq "5"]', "value": "6"},
        INVALID_PATH,
        "manager",
        "brackets",
    ),
    "brackets behind a sub-attribute": (
        {"op": "remove", "path": 'emails.value[type eq "work"]'},
        INVALID_PATH,
        "emails",
    ),
    "brackets on a schema": (
        {"op": "remove", "path": f'{ENTERPRISE}[department eq "x"]'},
        INVALID_PATH,
        ENTERPRISE,
    ),
    "path to an id": ({"op": "replace", "path": "id", "value": "5"}, MUTABILITY, "id is read only"),
    "path to meta": ({"op": "replace", "path": "META.created", "value": "5"}, MUTABILITY, "meta.created is read only"),
    "path to groups": ({"op": "add", "path": "groups", "value": []}, MUTABILITY, "groups is read only"),
    "path to a member of groups": ({"op": "remove", "path": 'groups[value eq "5"]'}, MUTABILITY, "groups is read only"),
    "add without a value": ({"op": "add", "path": "title"}, INVALID_VALUE, "add", "value", "title"),
    "replace without a value": ({"op": "replace", "path": "members"}, INVALID_VALUE, "replace", "value", "members"),
    "unknown attribute without a value": ({"op": "add", "path": "shoeSize"}, INVALID_VALUE, "value", "shoeSize"),
    "remove the resource itself": ({"op": "remove", "path": USER}, NO_TARGET, USER),
    "text as an extension": ({"op": "add", "path": ENTERPRISE, "value": "x"}, INVALID_VALUE, ENTERPRISE, "object"),
    "text as an extension, no path": (
        {"op": "replace", "value": {ENTERPRISE: "x"}},
        INVALID_VALUE,
        ENTERPRISE,
        "object",
    ),
    "list as an extension, no path": (
        {"op": "replace", "value": {ENTERPRISE: [{"department": "x"}]}},
        INVALID_VALUE,
        ENTERPRISE,
        "object",
    ),
}


@pytest.mark.parametrize(
    ("operation", "kind", "mentions"), [pytest.param(o, k, m, id=n) for n, (o, k, *m) in REFUSED.items()]
)
def test_operation_that_is_refused(operation: object, kind: ErrorKind, mentions: list[str]) -> None:
    with refused(kind, *mentions):
        read(operation)


def test_one_bad_operation_refuses_them_all() -> None:
    with refused(MUTABILITY, "id"):
        read({"op": "replace", "path": "active", "value": False}, {"op": "replace", "path": "id", "value": "5"})


def test_unknown_attribute_does_not_lose_the_disable_beside_it() -> None:
    disable = {"op": "Replace", "path": "active", "value": "False"}
    assert read({"op": "Add", "path": "shoeSize", "value": "44"}, disable) == [("replace", "active", "False")]


def test_operations_are_counted_as_sent() -> None:
    one = {"op": "add", "value": {"title": "x", "nickName": "y"}}
    assert len(parse_operations({"Operations": [one, one]}, USER_TYPE, 2)) == 4
    with refused(TOO_LARGE, "3 operations", "at most 2"):
        parse_operations({"Operations": [one, one, one]}, USER_TYPE, 2)


KINDS = {INVALID_FILTER, INVALID_PATH, INVALID_SYNTAX, INVALID_VALUE, MUTABILITY, NO_TARGET}


@given(JSON)
def test_any_json_is_a_patch_or_refused(body: object) -> None:
    for sent in (body, {"Operations": body}, {"Operations": [body]}, {"Operations": [{"op": "add", "value": body}]}):
        try:
            parse_operations(sent, USER_TYPE, 1000)
        except ScimError as error:
            assert error.kind in KINDS
