"""PATCH as other libraries' tests and Microsoft's collections write it, with what comes of it here. Where they expect
something else, docs/conformance.md says why."""

from __future__ import annotations

from typing import Any

import pytest

from scim.errors import INVALID_PATH, INVALID_SYNTAX, INVALID_VALUE, MUTABILITY, NO_TARGET, ErrorKind
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from tests.core import ENTERPRISE, USER, USER_TYPE, cases, refused, user

WORK = {"value": "a@x", "type": "work", "display": "A", "primary": True}
HOME = {"value": "b@x", "type": "home"}
FIRST, SECOND = {"value": "1", "display": "R1", "type": "t", "primary": True}, {"value": "2", "display": "R2"}


def op(name: str, path: str | None, *value: object) -> dict[str, object]:
    return {"op": name} | ({"path": path} if path else {}) | ({"value": value[0]} if value else {})


VECTORS: dict[str, tuple[dict[str, Any], list[object], dict[str, Any] | ErrorKind]] = {
    "display of a role": (
        {"roles": [FIRST, SECOND]},
        [op("replace", 'roles[primary eq "True"]', {"display": "Z"})],
        {"roles": [{**FIRST, "display": "Z"}, SECOND]},
    ),
    "add without a value": ({"title": "x"}, [op("add", "title")], INVALID_VALUE),
    "a complex value is merged": (
        {"name": {"givenName": "A"}},
        [op("add", "name", {"familyName": "B"})],
        {"name": {"givenName": "A", "familyName": "B"}},
    ),
    "one that is there": (
        {"emails": [WORK]},
        [op("add", "emails", [{"value": "a@x", "type": "work"}])],
        {"emails": [WORK]},
    ),
    "one of another type": (
        {"emails": [WORK]},
        [op("add", "emails", {"value": "a@x", "type": "home"})],
        {"emails": [WORK, {"value": "a@x", "type": "home"}]},
    ),
    "behind two terms": (
        {"emails": [WORK, {"value": "c@x", "type": "work"}]},
        [op("remove", 'emails[type eq "work" and value eq "c@x"]')],
        {"emails": [WORK]},
    ),
    "behind or": (
        {"emails": [WORK, {"value": "b@y"}]},
        [op("remove", 'emails[value ew "@y" or value co "zzz"]')],
        {"emails": [WORK]},
    ),
    "behind what matches nothing": ({"emails": [WORK]}, [op("remove", 'emails[type eq "home"]')], {"emails": [WORK]}),
    "remove of nothing": ({"title": "x"}, [op("remove", None)], NO_TARGET),
    "made by its terms": (
        {},
        [op("add", 'emails[type eq "work" and primary eq true].value', "q@x")],
        {"emails": [{"type": "work", "primary": True, "value": "q@x"}]},
    ),
    "made by no terms": ({}, [op("replace", 'emails[type sw "w"].value', "w@x")], NO_TARGET),
    "another operation": ({"title": "x"}, [op("move", "title", "y")], INVALID_SYNTAX),
    "half a path": ({"title": "x"}, [op("replace", "emails[type eq", "y")], INVALID_PATH),
    "all or nothing": ({"title": "x"}, [op("replace", "title", "y"), op("replace", "active", "nope")], INVALID_VALUE),
    "another primary": (
        {"emails": [WORK, HOME]},
        [op("add", "emails", [{"value": "c@x", "type": "other", "primary": True}])],
        {"emails": [{**WORK, "primary": False}, HOME, {"value": "c@x", "type": "other", "primary": True}]},
    ),
    "a list of unknown names": ({"emails": [WORK]}, [op("replace", "emails", {"newProperty": "x"})], INVALID_VALUE),
    "by type": ({"emails": [WORK, HOME]}, [op("remove", "emails", {"type": "home"})], {"emails": [WORK]}),
    "by display": ({"roles": [FIRST, SECOND]}, [op("remove", "roles", [{"display": "R1"}])], {"roles": [SECOND]}),
    "by value": ({"roles": [FIRST, SECOND]}, [op("Remove", "roles", [{"value": "1"}])], {"roles": [SECOND]}),
    "by an empty list": ({"roles": [FIRST]}, [op("Remove", "roles", [])], {"roles": [FIRST]}),
    "a dot behind a URN": (
        {},
        [op("replace", f"{ENTERPRISE}.manager", "9")],
        {ENTERPRISE: {"manager": {"value": "9"}}},
    ),
    "a dot behind the core's": ({}, [op("replace", f"{USER}.title", "t")], {"title": "t"}),
    "a misspelt URN": ({}, [op("replace", f"{ENTERPRISE}s:department", "t")], {}),
    "a whole extension": ({}, [op("add", None, {ENTERPRISE: {"department": "d"}})], {ENTERPRISE: {"department": "d"}}),
    "what is read only": ({}, [op("replace", "id", "x")], MUTABILITY),
    "what is required": ({}, [op("remove", "userName")], MUTABILITY),
    "a part of all": (
        {"emails": [WORK]},
        [op("replace", "emails.display", "Q")],
        {"emails": [{**WORK, "display": "Q"}]},
    ),
    "a boolean as text": ({"active": True}, [op("Replace", "active", "False")], {"active": False}),
    "a manager in a list": (
        {},
        [op("Replace", "manager", [{"$ref": None, "value": "5"}])],
        {ENTERPRISE: {"manager": {"value": "5"}}},
    ),
    "keys with paths": (
        {},
        [
            op(
                "Add",
                None,
                {'emails[type eq "work"].value': "k@x", "name.givenName": "G", f"{ENTERPRISE}:department": "D"},
            )
        ],
        {
            "emails": [{"type": "work", "value": "k@x"}],
            "name": {"givenName": "G"},
            ENTERPRISE: {"department": "D"},
        },
    ),
    "a whole resource": (
        {"title": "x", "emails": [WORK], "phoneNumbers": [{"value": "1"}]},
        [op("replace", None, {"displayName": "D", "emails": [HOME], "phoneNumbers": []})],
        {"title": "x", "displayName": "D", "emails": [HOME]},
    ),
}


@pytest.mark.parametrize(("before", "listed", "after"), cases(VECTORS))
def test_vector(before: dict[str, Any], listed: list[object], after: dict[str, Any] | ErrorKind) -> None:
    document = user(before)
    if isinstance(after, ErrorKind):
        with refused(after):
            apply(document, parse_operations({"Operations": listed}, USER_TYPE, 100), USER_TYPE)
    else:
        assert apply(document, parse_operations({"Operations": listed}, USER_TYPE, 100), USER_TYPE) == user(after)
    assert document == user(before)
