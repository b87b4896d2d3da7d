"""What is not understood, absent or empty is not taken for a wish to clear: lists of users and of devices, extensions
declared or not, in both modes."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scim.errors import INVALID_VALUE, MUTABILITY
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from tests.core import CUSTOM, DEVICE_TYPE, ENTERPRISE, USER_TYPE, WARRANTY, cases, device, refused, user

MODES = pytest.mark.parametrize("strict", [False, True], ids=["entra", "strict"])


def patched(document: Document, *listed: object, strict: bool = False) -> Document:
    kind: ResourceType = USER_TYPE if "userName" in document else DEVICE_TYPE
    return apply(document, parse_operations({"Operations": list(listed)}, kind, 100, strict=strict), kind)


def op(name: str, path: str, *value: object) -> dict[str, object]:
    return {"op": name, "path": path} | ({"value": value[0]} if value else {})


WORK = {"type": "work", "value": "ada@work.example", "display": "Ada", "primary": True}
HOME = {"type": "home", "value": "ada@home.example"}
ADDRESS = {"type": "work", "locality": "London", "country": "GB"}
ROLE = {"value": "Admin", "display": "Administration"}
LISTS: dict[str, Any] = {"emails": [WORK, HOME], "roles": [ROLE], "addresses": [ADDRESS]}
TAGS = {"tags": ["red", "blue"], "sizes": [1, 2], WARRANTY: {"terms": ["a"]}}

NOTHING_UNDERSTOOD: list[object] = [
    [{}],
    [None],
    [""],
    {},
    [{"address": "b@x.example"}],
    [{"id": "5"}, {"name": "B"}],
    {"newProperty": "x"},
    [[]],
]
"""Lists, as sent, that are not empty and say nothing of any attribute."""


@MODES
@pytest.mark.parametrize("value", NOTHING_UNDERSTOOD, ids=str)
@pytest.mark.parametrize("name", ["emails", "roles", "addresses", "phoneNumbers"])
@pytest.mark.parametrize("keyed", [False, True], ids=["path", "no path"])
def test_a_list_is_not_replaced_by_what_nobody_understands(name: str, value: object, keyed: bool, strict: bool) -> None:
    operation = {"op": "replace", "value": {name: value}} if keyed else op("replace", name, value)
    with refused(INVALID_VALUE, name):
        patched(user(LISTS), operation, strict=strict)


@pytest.mark.parametrize("value", [[{}], [None], [""], {}, [{"foo": 1}]], ids=str)
@pytest.mark.parametrize("name", ["tags", "sizes", f"{WARRANTY}:terms", "ports"])
def test_nor_is_a_list_of_plain_values(name: str, value: object) -> None:
    with refused(INVALID_VALUE, name):
        patched(device({**TAGS, "ports": [{"value": "usb"}]}), op("replace", name, value))


@MODES
@pytest.mark.parametrize("value", [[], "", None, [{"type": "work", "value": None}], [{"value": ""}]], ids=str)
@pytest.mark.parametrize("name", ["emails", "roles"])
def test_what_means_no_value_clears(name: str, value: object, strict: bool) -> None:
    assert name not in patched(user(LISTS), op("replace", name, value), strict=strict)


def test_what_is_understood_beside_what_is_not_counts() -> None:
    sent = [{"address": "x"}, {"value": "b@x.example"}, {}]
    assert patched(user(LISTS), op("replace", "emails", sent))["emails"] == [{"value": "b@x.example"}]
    assert patched(user(LISTS), op("add", "emails", [{"address": "x"}]))["emails"] == LISTS["emails"]
    assert "emails" not in user({"emails": [{"address": "x"}, {}, None]})


@MODES
@pytest.mark.parametrize("name", ["add", "replace"])
@pytest.mark.parametrize(
    "path",
    ["title", "active", "name", "name.givenName", "emails", 'emails[type eq "work"].value', "manager", ENTERPRISE],
)
def test_an_operation_without_a_value_is_refused(name: str, path: str, strict: bool) -> None:
    before = user({**LISTS, "title": "x", "active": True, "name": {"givenName": "Ada"}, "manager": {"value": "7"}})
    with refused(INVALID_VALUE, path, "value"):
        patched(before, op(name, path), strict=strict)


@pytest.mark.parametrize("value", [None, ""], ids=["null", "empty"])
@pytest.mark.parametrize("name", ["add", "replace"])
def test_an_empty_value_clears(name: str, value: object) -> None:
    assert "title" not in patched(user({"title": "x"}), op(name, "title", value))


REMOVED: dict[str, tuple[object, object]] = {
    "an empty list names nothing": ([], [WORK, HOME]),
    "by value": ([{"value": "ADA@work.example"}], [HOME]),
    "by one value": ({"value": "ada@work.example", "type": "work"}, [HOME]),
    "by a text": ("ada@work.example", [HOME]),
    "by its type": ({"type": "home"}, [WORK]),
    "by its display": ([{"display": "Ada"}], [HOME]),
    "by several parts": ([{"type": "work", "primary": "True"}], [HOME]),
    "by parts that do not fit together": ([{"type": "home", "primary": True}], [WORK, HOME]),
    "by a type that it has with a value": ([{"type": "work", "value": None}], [WORK, HOME]),
    "in an object of the attribute's name": ({"emails": [{"value": "ada@home.example"}]}, [WORK]),
    "of what is not there": ([{"value": "eve@home.example"}], [WORK, HOME]),
    "all, since nothing is said": (None, []),
    "all, since the value is empty": ("", []),
}


@MODES
@pytest.mark.parametrize(("value", "left"), cases(REMOVED))
def test_removal_with_a_value(value: object, left: object, strict: bool) -> None:
    assert patched(user(LISTS), op("remove", "emails", value), strict=strict).get("emails", []) == left
    assert patched(user(LISTS), {"op": "Remove", "value": {"emails": value}}).get("emails", []) == left


@MODES
@pytest.mark.parametrize("value", [[{}], {}, [None], [""], [{"value": None}], [WORK, {"foo": 1}]], ids=str)
@pytest.mark.parametrize("name", ["emails", "roles"])
def test_removal_of_what_nobody_understands_is_refused(name: str, value: object, strict: bool) -> None:
    with refused(INVALID_VALUE, name, "remove"):
        patched(user(LISTS), op("remove", name, value), strict=strict)


PLAIN: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "wrapped": (op("add", "tags", [{"value": "green"}]), {"tags": ["red", "blue", "green"]}),
    "one wrapped": (op("add", "tags", {"value": "green"}), {"tags": ["red", "blue", "green"]}),
    "wrapped and with more": (op("replace", "tags", [{"value": "green", "type": "x"}]), {"tags": ["green"]}),
    "wrapped number": (op("add", "sizes", [{"value": "3"}]), {"sizes": [1, 2, 3]}),
    "wrapped in an extension": (op("add", f"{WARRANTY}:terms", [{"Value": "b"}]), {WARRANTY: {"terms": ["a", "b"]}}),
    "removed wrapped": (op("remove", "tags", [{"value": "RED"}]), {"tags": ["blue"]}),
    "nothing to remove": (op("remove", "tags", []), {}),
    "removed behind a filter": (op("remove", 'tags[value eq "red"]'), {"tags": ["blue"]}),
    "removed behind a filter, with value": (op("remove", 'tags[value eq "red"].value'), {"tags": ["blue"]}),
    "replaced behind a filter": (op("replace", 'tags[value eq "Red"]', "rose"), {"tags": ["rose", "blue"]}),
    "replaced behind a filter, wrapped": (
        op("replace", 'tags[value eq "red"]', {"value": "r"}),
        {"tags": ["r", "blue"]},
    ),
    "replaced behind a filter, with value": (op("replace", 'tags[value eq "red"].value', "r"), {"tags": ["r", "blue"]}),
    "replaced by what is there": (op("replace", 'tags[value eq "red"].value', "blue"), {"tags": ["blue"]}),
    "made behind a filter": (op("add", 'tags[value eq "x"].value', "x"), {"tags": ["red", "blue", "x"]}),
    "cleared behind a filter": (op("replace", 'tags[value eq "red"]', ""), {"tags": ["blue"]}),
    "added by its values": (op("add", "tags.value", "x"), {"tags": ["red", "blue", "x"]}),
    "replaced by its values": (op("replace", "tags.value", ["x"]), {"tags": ["x"]}),
    "a part that a plain value has not": (op("replace", 'tags[value eq "red"].type', "x"), {}),
    "one value in a list": (op("replace", "label", [{"$ref": None, "value": "x"}]), {"label": "x"}),
    "one number in a list": (op("replace", "slots", [{"value": "5"}]), {"slots": 5}),
    "no value in a list": (op("replace", "label", [{"value": None}]), {"label": None}),
}


@pytest.mark.parametrize(("operation", "changed"), cases(PLAIN))
def test_plain_values(operation: dict[str, object], changed: dict[str, object]) -> None:
    before = device({**TAGS, "label": "old"})
    after = {**before, **changed}
    assert patched(before, operation) == {name: value for name, value in after.items() if value is not None}


def test_plain_values_in_a_whole_resource() -> None:
    sent = {"tags": [{"value": "red"}, {"kind": "x"}, "blue"], "label": [{"$ref": None, "value": "x"}]}
    assert device(sent) == {"tags": ["red", "blue"], "label": "x"}
    assert device({"tags": {"value": "red"}, "sizes": [{"value": "7"}]}) == {"tags": ["red"], "sizes": [7]}


FILTERED: dict[str, tuple[object, dict[str, object], dict[str, object]]] = {
    "type alone": ({"type": "home"}, {**WORK, "type": "home"}, {"type": "home"}),
    "display alone": ({"display": "post"}, {**WORK, "display": "post"}, {"type": "work", "display": "post"}),
    "primary alone": ({"primary": False}, {**WORK, "primary": False}, {"type": "work", "primary": False}),
    "value alone": (
        {"value": "b@x.example"},
        {**WORK, "value": "b@x.example"},
        {"type": "work", "value": "b@x.example"},
    ),
    "nothing known": ({"address": "x"}, WORK, WORK),
}


@pytest.mark.parametrize(("value", "merged", "replaced"), cases(FILTERED))
def test_replacing_an_element_removes_nothing(value: object, merged: object, replaced: object) -> None:
    operation = op("replace", 'emails[type eq "work"]', value)
    assert patched(user(LISTS), operation)["emails"] == [merged, HOME]
    assert patched(user(LISTS), operation, strict=True)["emails"] == [replaced, HOME]


@MODES
@pytest.mark.parametrize("name", ["phoneNumbers", "ims", "photos", "entitlements", "x509Certificates", "roles"])
def test_replacing_an_element_of_any_list_removes_nothing(name: str, strict: bool) -> None:
    before = user({name: [{"value": "dmFsdWU=", "type": "a", "display": "Q"}]})
    after = patched(before, op("replace", f'{name}[type eq "a"]', {"display": "Z"}), strict=strict)
    assert after[name][0]["display"] == "Z"
    assert ("value" in after[name][0]) is not strict


HUSKS: list[dict[str, object]] = [
    {"type": "work"},
    {"type": "work", "value": None},
    {"display": "only", "primary": True},
    {"type": "work", "value": ""},
]


@pytest.mark.parametrize("element", HUSKS, ids=str)
def test_an_element_that_says_nothing_is_dropped_wherever_it_comes_from(element: object) -> None:
    assert user({"emails": [element, HOME]})["emails"] == [HOME]
    assert "phoneNumbers" not in user({"phoneNumbers": [element]})
    assert patched(user({"emails": [HOME]}), op("add", "emails", [element]))["emails"] == [HOME]
    assert patched(user({"emails": [HOME]}), op("replace", "emails", [element, WORK]))["emails"] == [WORK]


def test_an_element_may_say_nothing_between_two_operations() -> None:
    listed = [op("add", "emails", [{"type": "other", "display": "D"}]), op("add", 'emails[type eq "other"].value', "x")]
    assert patched(user(), *listed)["emails"] == [{"type": "other", "display": "D", "value": "x"}]


ONCE: dict[str, tuple[list[object], list[object]]] = {
    "the first": (
        [op("replace", 'emails[type eq "work"].value', "c@x")],
        [{"type": "work", "value": "c@x", "display": "1"}],
    ),
    "the primary": (
        [op("replace", 'emails[type eq "work"].value', "c@x"), op("add", 'emails[display eq "2"].primary', True)],
        [{"type": "work", "value": "c@x", "display": "2", "primary": True}],
    ),
    "of a whole list": (
        [op("replace", "emails", [{"type": "work", "value": "C@x"}, {"type": "Work", "value": "c@x"}])],
        [{"type": "work", "value": "C@x"}],
    ),
}


@MODES
@pytest.mark.parametrize(("listed", "left"), cases(ONCE))
def test_a_value_of_one_type_is_there_once_after_a_patch(
    listed: list[object], left: list[object], strict: bool
) -> None:
    two = [{"type": "work", "value": "a@x", "display": "1"}, {"type": "work", "value": "b@x", "display": "2"}]
    assert patched(user({"emails": two}), *listed, strict=strict)["emails"] == left


@pytest.mark.parametrize("path", ["manager.displayName", f"{ENTERPRISE}:manager.displayName"])
@pytest.mark.parametrize("name", ["add", "replace", "remove"])
def test_a_read_only_part_does_not_lose_what_is_beside_it(name: str, path: str) -> None:
    before = user({"active": True, "manager": {"value": "7"}})
    listed = [op(name, path, "Eve"), op("replace", "active", "False")]
    assert patched(before, *listed) == {**before, "active": False}
    with refused(MUTABILITY, "manager.displayName"):
        patched(before, *listed, strict=True)


def test_a_read_only_part_of_an_element_does_not_either() -> None:
    before = device({"ports": [{"value": "usb"}], "locked": False})
    listed = [op("replace", 'ports[value eq "usb"].state', "up"), op("replace", "locked", True)]
    assert patched(before, *listed) == {**before, "locked": True}
    with refused(MUTABILITY, "ports.state"):
        patched(before, *listed, strict=True)


FIRST, SECOND, THIRD = {"value": "1", "type": "a"}, {"value": "2"}, {"Value": "3"}
OBJECTS = [FIRST, SECOND, THIRD]
IDS = f"{CUSTOM}:ids"
UNDECLARED: dict[str, tuple[object, dict[str, object], object]] = {
    "objects by value": (OBJECTS, op("Remove", IDS, [{"value": "1"}, {"value": "3"}]), OBJECTS[1:2]),
    "objects by text": (OBJECTS, op("Remove", IDS, ["1"]), OBJECTS[1:]),
    "objects by one text": (OBJECTS, op("Remove", IDS, "2"), [FIRST, THIRD]),
    "objects by one object": (OBJECTS, op("Remove", IDS, {"value": "1"}), OBJECTS[1:]),
    "objects by another type": (OBJECTS, op("Remove", IDS, [{"value": "1", "type": "b"}]), OBJECTS),
    "objects by a part": (OBJECTS, op("Remove", IDS, [{"type": "a"}]), OBJECTS[1:]),
    "objects by more than they say": (OBJECTS, op("Remove", IDS, [{"value": "2", "x": 1}]), [FIRST, THIRD]),
    "texts by value": (["1", "2"], op("Remove", IDS, [{"value": "1"}]), ["2"]),
    "texts by text": (["1", "2"], op("Remove", IDS, ["1"]), ["2"]),
    "numbers": ([1, 2], op("Remove", IDS, [{"value": 1}]), [2]),
    "in an object of its name": (["1", "2"], op("remove", IDS, {"ids": ["1"]}), ["2"]),
    "the last": (["1"], op("Remove", IDS, ["1"]), None),
    "what is not there": (OBJECTS, op("Remove", IDS, [{"value": "9"}]), OBJECTS),
    "nothing": (OBJECTS, op("Remove", IDS, []), OBJECTS),
    "all": (OBJECTS, op("Remove", IDS), None),
    "all by null": (OBJECTS, op("Remove", IDS, None), None),
    "one value by a list": ("1", op("Remove", IDS, [{"value": "1"}]), None),
    "another value by a list": ("1", op("Remove", IDS, [{"value": "2"}]), "1"),
    "one value whatever is said": ("1", op("remove", IDS, "2"), None),
    "filter on objects": (OBJECTS, op("remove", IDS + '[value eq "1"]'), OBJECTS[1:]),
    "filter on objects, part": (OBJECTS, op("remove", IDS + '[value eq "1"].type'), [{"value": "1"}, *OBJECTS[1:]]),
    "filter on texts": (["1", "2"], op("remove", IDS + '[value eq "2"]'), ["1"]),
    "filter on numbers": ([1, 2], op("remove", f"{CUSTOM}:ids[value eq 2]"), [1]),
    "filter of two": (OBJECTS, op("remove", IDS + '[value eq "1" or value eq "2"]'), OBJECTS[2:]),
    "filter on a type": (OBJECTS, op("remove", IDS + '[type eq "a"]'), OBJECTS[1:]),
    "filter on what is not there": (OBJECTS, op("remove", IDS + '[value eq "9"]'), OBJECTS),
    "filter on nothing": (None, op("remove", IDS + '[value eq "9"]'), None),
    "filter and a new value": (
        OBJECTS,
        op("replace", IDS + '[value eq "2"].value', "5"),
        [FIRST, {"value": "5"}, THIRD],
    ),
    "filter and a new text": (["1", "2"], op("replace", IDS + '[value eq "2"].value', "5"), ["1", "5"]),
    "filter and a part": (
        OBJECTS,
        op("add", IDS + '[value eq "2"]', {"type": "b"}),
        [FIRST, {"value": "2", "type": "b"}, THIRD],
    ),
    "nothing added": (OBJECTS, op("add", IDS, []), OBJECTS),
    "a wrapped value": (None, op("add", IDS, {"value": "1"}), {"value": "1"}),
}


@pytest.mark.parametrize(("present", "operation", "left"), cases(UNDECLARED))
def test_lists_of_undeclared_extensions(present: object, operation: dict[str, object], left: object) -> None:
    before = user({CUSTOM: {"ids": present, "site": "Oslo"}})
    kept = copy.deepcopy(before)
    assert patched(before, operation)[CUSTOM].get("ids") == left
    assert before == kept


@pytest.mark.parametrize("value", [[{}], [None], [""], {}, [{"value": None}]], ids=str)
def test_removal_of_nothing_from_an_undeclared_extension_is_refused(value: object) -> None:
    with refused(INVALID_VALUE, f"{CUSTOM}:ids"):
        patched(user({CUSTOM: {"ids": OBJECTS}}), op("remove", f"{CUSTOM}:ids", value))
