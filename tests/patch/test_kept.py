"""What a PATCH was not asked to take away stays, and what it was asked for happens: removals that name a part of what
is there, lists of elements that say nothing, names that come twice, extensions that nobody declared."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, NO_TARGET, ErrorKind
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from scim.schema.validation import Document
from tests.core import CUSTOM, ENTERPRISE, USER_TYPE, cases, refused, user

MODES = pytest.mark.parametrize("strict", [False, True], ids=["entra", "strict"])
WORK = {"type": "work", "value": "ada@work.example", "primary": True}
HOME = {"type": "home", "value": "ada@home.example"}
NAME = {"givenName": "Ada", "familyName": "Lovelace"}
ADDRESS = {"type": "work", "locality": "London"}
BEFORE = {
    "userName": "ada",
    "title": "T",
    "name": NAME,
    "emails": [WORK, HOME],
    "addresses": [ADDRESS],
    ENTERPRISE: {"department": "Sales", "manager": {"value": "7"}, "division": "X"},
}


def patched(document: Document, *listed: object, strict: bool = False) -> Document:
    return apply(document, parse_operations({"Operations": list(listed)}, USER_TYPE, 100, strict=strict), USER_TYPE)


def op(name: str, path: str | None, *value: object) -> dict[str, object]:
    return {"op": name} | ({"path": path} if path else {}) | ({"value": value[0]} if value else {})


def extension(**changed: object) -> dict[str, object]:
    values = {**BEFORE[ENTERPRISE], **changed}  # type: ignore[dict-item]
    return {ENTERPRISE: {name: value for name, value in values.items() if value is not None}}


CHANGED: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "the manager that is there": (op("remove", "manager", {"value": "7"}), extension(manager=None)),
    "the manager in a list": (op("remove", "manager", [{"$ref": None, "value": "7"}]), extension(manager=None)),
    "the manager as a text": (op("remove", "manager", "7"), extension(manager=None)),
    "the manager before": (op("remove", "manager", {"value": "6"}), {}),
    "a name that fits": (op("remove", "name", {"givenName": "ADA"}), {"name": None}),
    "another name": (op("remove", "name", {"givenName": "Eve"}), {}),
    "a part, without a path": (
        op("remove", None, {"name": {"givenName": "Ada"}}),
        {"name": {"familyName": "Lovelace"}},
    ),
    "an attribute of an extension": (op("remove", ENTERPRISE, {"department": "Sales"}), extension(department=None)),
    "the same without a path": (op("remove", None, {ENTERPRISE: {"division": ""}}), extension(division=None)),
    "nothing of an extension": (op("remove", ENTERPRISE, {}), {}),
    "no attribute of an extension": (op("remove", ENTERPRISE, []), {}),
    "one that the extension has not": (op("remove", ENTERPRISE, {"shoe": "x"}), {}),
    "a whole extension": (op("remove", ENTERPRISE), {ENTERPRISE: None}),
    "values of a list by their part": (op("remove", "emails.value", ["ADA@work.example"]), {"emails": [HOME]}),
    "one value by its part": (op("remove", "emails.value", "ada@work.example"), {"emails": [HOME]}),
    "one wrapped value by its part": (
        op("remove", "emails.value", [{"value": "ada@home.example"}]),
        {"emails": [WORK]},
    ),
    "other values by their part": (op("remove", "emails.value", ["eve@work.example"]), {}),
    "no values by their part": (op("remove", "emails.value", []), {}),
    "types of a list": (op("remove", "emails.type", ["home"]), {"emails": [WORK, {"value": "ada@home.example"}]}),
    "all values by their part": (op("remove", "emails.value"), {"emails": None}),
    "primary of what is not there": (op("replace", 'emails[type eq "nope"].primary', True), {}),
    "primary of what says nothing": (op("add", "emails", [{"type": "nope", "primary": True}]), {}),
    "a whole list and an element of it": (
        op("replace", None, {'emails[type eq "work"].value': "b@x.example", "emails": [HOME]}),
        {"emails": [HOME, {"type": "work", "value": "b@x.example"}]},
    ),
    "a list in an object of its name": (op("add", "emails", {"Emails": [HOME]}), {}),
    "a new one in an object of its name": (
        op("replace", "emails", {"emails": [{"value": "n@x.example"}]}),
        {"emails": [{"value": "n@x.example"}]},
    ),
    "a name in an object of its name": (
        op("replace", "name", {"name": {"givenName": "Eve"}}),
        {"name": {**NAME, "givenName": "Eve"}},
    ),
    "a manager in an object of its name": (
        op("replace", f"{ENTERPRISE}:manager", {"manager": {"value": "9"}}),
        extension(manager={"value": "9"}),
    ),
    "one value in two places": (op("replace", None, {"title": "S", "TITLE": "S"}), {"title": "S"}),
}


@pytest.mark.parametrize(("operation", "changed"), cases(CHANGED))
def test_what_was_asked_for_happens_and_no_more(operation: dict[str, object], changed: dict[str, object]) -> None:
    before = user(copy.deepcopy(BEFORE))
    wanted = {name: value for name, value in {**before, **changed}.items() if value is not None}
    assert patched(before, operation) == wanted


def test_a_primary_comes_with_the_value_that_follows() -> None:
    listed = [op("add", 'emails[type eq "new"].primary', True), op("add", 'emails[type eq "new"].value', "n@x.example")]
    after = patched(user(BEFORE), *listed)["emails"]
    assert after == [{**WORK, "primary": False}, HOME, {"type": "new", "primary": True, "value": "n@x.example"}]


REFUSED: dict[str, tuple[dict[str, object], ErrorKind, str, str]] = {
    "a list of types": (op("replace", "emails", [{"type": "home"}]), INVALID_VALUE, "emails", "no value is understood"),
    "a display alone": (op("replace", "emails", {"display": "x"}), INVALID_VALUE, "emails", "send elements with"),
    "a primary alone": (op("replace", "addresses", [{"primary": True}]), INVALID_VALUE, "addresses", "[] to clear"),
    "a type with what nobody knows": (
        op("remove", "emails", [{"type": "work", "x": 1}]),
        INVALID_VALUE,
        "emails",
        "work",
    ),
    "a place with what nobody knows": (op("remove", "addresses", {"type": "work", "x": 1}), INVALID_VALUE, "addr", "x"),
    "a manager that nobody knows": (op("remove", "manager", {"id": "7"}), INVALID_VALUE, "manager", "remove"),
    "names of an extension": (op("remove", ENTERPRISE, ["department"]), INVALID_VALUE, ENTERPRISE, "remove"),
    "no value by its part": (op("remove", "emails.value", [None]), INVALID_VALUE, "emails.value", "remove"),
    "two values of one": (op("replace", None, {"title": "A", "TITLE": "B"}), INVALID_SYNTAX, "title", "twice"),
    "two values in two places": (
        op("replace", None, {"department": "A", ENTERPRISE: {"department": "B"}}),
        INVALID_SYNTAX,
        "department",
        "twice",
    ),
    "two members": ({"op": "replace", "path": "title", "value": "A", "Value": "B"}, INVALID_SYNTAX, "1", "twice"),
}


@pytest.mark.parametrize(("operation", "kind", "name", "words"), cases(REFUSED))
def test_what_might_mean_two_things_is_refused(
    operation: dict[str, object], kind: ErrorKind, name: str, words: str
) -> None:
    with refused(kind, name, words):
        patched(user(BEFORE), operation)


def test_a_strict_connection_neither() -> None:
    emptied = patched(user(BEFORE), op("replace", 'emails[type eq "work"]', {"value": None}), strict=True)
    assert emptied["emails"] == [HOME]
    with refused(INVALID_VALUE, "emails"):
        patched(user(BEFORE), op("replace", "emails", [{"type": "home"}]), strict=True)


FIRST, SECOND = {"value": "1", "type": "a"}, {"value": "2"}
IDS = f"{CUSTOM}:ids"
UNDECLARED: dict[str, tuple[Any, dict[str, object], Any]] = {
    "values by their part": ([FIRST, SECOND], op("remove", f"{IDS}.value", ["2"]), [FIRST]),
    "a part of all": ([FIRST, SECOND], op("remove", f"{IDS}.type"), [{"value": "1"}, SECOND]),
    "a part is set": ({"a": 1, "b": 2}, op("replace", f"{IDS}.a", 5), {"a": 5, "b": 2}),
    "a part is removed": ({"a": 1, "b": 2}, op("remove", f"{IDS}.A"), {"b": 2}),
    "an object is merged": ({"a": 1, "b": 2}, op("replace", IDS, {"a": 5}), {"a": 5, "b": 2}),
    "an object in an extension is merged": (
        {"a": 1, "b": 2},
        op("replace", CUSTOM, {"ids": {"a": None, "c": 3}}),
        {"b": 2, "c": 3},
    ),
    "an object is added to a list": ([FIRST], op("add", IDS, {"type": "b"}), [FIRST, {"type": "b"}]),
    "an empty object": ([FIRST], op("replace", IDS, {}), [FIRST]),
    "nothing is added": ([FIRST], op("add", IDS, [{}, None]), [FIRST]),
    "a null clears": ([FIRST], op("replace", IDS, [{"value": None}]), None),
    "a list is added to one": (SECOND, op("add", IDS, [FIRST]), [SECOND, FIRST]),
    "an element is made": (
        [FIRST],
        op("replace", IDS + '[value eq "9"].type', "b"),
        [FIRST, {"value": "9", "type": "b"}],
    ),
    "a first element is made": (None, op("add", IDS + '[type eq "b"].value', "8"), [{"type": "b", "value": "8"}]),
    "a text is made": (["1"], op("add", IDS + '[value eq "9"].value', "8"), ["1", "8"]),
    "one in a list": ([FIRST], op("replace", IDS + '[value eq "1"]', [{"type": "b"}]), [{"value": "1", "type": "b"}]),
    "a text for an object": ([FIRST], op("replace", IDS + '[value eq "1"]', "5"), [{"value": "5", "type": "a"}]),
    "an object for a text": (["1", "2"], op("replace", IDS + '[value eq "1"]', {"value": "5"}), ["5", "2"]),
    "an attribute of the extension": ([FIRST], op("remove", CUSTOM, {"ids": [{"value": "1"}]}), None),
    "nothing of the extension": ([FIRST], op("remove", CUSTOM, []), [FIRST]),
    "a dot for a colon": ([FIRST], op("add", f"{CUSTOM}.ids", [SECOND]), [FIRST, SECOND]),
    "an extension in a list": ([FIRST], op("add", CUSTOM, [{"ids": [SECOND]}]), [FIRST, SECOND]),
}


@pytest.mark.parametrize(("present", "operation", "left"), cases(UNDECLARED))
def test_extensions_that_nobody_declared(present: Any, operation: dict[str, object], left: Any) -> None:
    before = user({CUSTOM: {"ids": present, "site": "Oslo"}})
    assert patched(before, operation)[CUSTOM] == {"site": "Oslo"} | ({} if left is None else {"ids": left})


def test_a_part_of_an_object_that_is_an_extension() -> None:
    before = user({IDS: {"a": 1, "b": 2}})
    assert patched(before, op("remove", f"{IDS}.a"))[IDS] == {"b": 2}
    assert patched(before, op("replace", f"{IDS}.A", 3))[IDS] == {"a": 3, "b": 2}


@pytest.mark.parametrize("value", [[{}], [None], [""], [[]]], ids=str)
def test_a_list_of_nothing_takes_the_place_of_none(value: object) -> None:
    for operation in (op("replace", IDS, value), op("replace", CUSTOM, {"ids": value})):
        with refused(INVALID_VALUE, IDS, "[] to clear"):
            patched(user({CUSTOM: {"ids": [FIRST]}}), operation)


def test_a_filter_that_describes_no_element() -> None:
    with refused(NO_TARGET, IDS):
        patched(user({CUSTOM: {"ids": [FIRST]}}), op("add", IDS + '[value sw "9"].type', "b"))
    with refused(INVALID_VALUE, IDS):
        patched(user({CUSTOM: {"ids": [FIRST]}}), op("add", IDS + '[value eq "1"]', [FIRST, SECOND]))


OLD = "urn:contoso:schemas:extension:1.0"


def test_an_attribute_right_behind_a_version() -> None:
    sent = user({f"{OLD}:badge": "5", f"{CUSTOM}.site": "Oslo", f"{CUSTOM}": [{"room": "1"}]})
    assert (sent[OLD], sent[CUSTOM]) == ({"badge": "5"}, {"site": "Oslo", "room": "1"})
    assert patched(sent, op("add", f"{OLD}:badge", "6"))[OLD] == {"badge": "6"}
    assert OLD not in patched(sent, op("remove", f"{OLD}:badge"))
    assert user({f"{CUSTOM}": "x", f"{OLD}:Group": "x"}) == user({})


@pytest.mark.parametrize(
    "twice",
    [
        {"title": "A", "urn:ietf:params:scim:schemas:core:2.0:User": {"title": "B"}},
        {"urn:ietf:params:scim:schemas:core:2.0:User": {"title": "B"}, "title": "A"},
        {"manager": "1", ENTERPRISE: {"manager": "2"}},
        {f"{ENTERPRISE}:department": "A", ENTERPRISE: {"department": "B"}},
        {f"{CUSTOM}:site": "A", CUSTOM: {"site": "B"}},
        {CUSTOM: {"site": "B"}, f"{CUSTOM}:SITE": "A"},
    ],
    ids=str,
)
def test_one_attribute_with_two_values_in_a_resource(twice: dict[str, object]) -> None:
    with refused(INVALID_SYNTAX, "twice", "two values"):
        user(twice)
