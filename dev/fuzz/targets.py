"""What is fuzzed: functions of bytes that raise nothing but for a fault of ours.

A ScimError is an answer. Everything else that escapes, and every rule below that does not hold, is a finding.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

from dev.kit.payloads import ENTERPRISE
from scim.errors import ScimError
from scim.filter.evaluate import bind
from scim.filter.parse import MAX_DEPTH, parse_filter, parse_path
from scim.filter.tree import And, Filter, Not, Or, ValuePath
from scim.http import Request
from scim.patch.apply import apply
from scim.patch.entra import parse_operations
from scim.patch.members import find_delta, split
from scim.schema.loading import load
from scim.schema.registry import ResourceType
from scim.schema.validation import Document, make_canonical
from scim.store.plan import find_edge_ids, plan

REGISTRY = load()
USERS, GROUPS = REGISTRY.resource_types
_MAX_BYTES, _MAX_DEPTH, _MAX_OPERATIONS = 2**20, 32, 1000
"""The defaults of the settings of these names."""

USER: Document = make_canonical(
    {
        "userName": "ada@contoso.example",
        "externalId": "ada",
        "active": True,
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"type": "work", "value": "ada@contoso.example", "primary": True}, {"value": "a@b"}],
        "roles": [{"value": "reader", "display": "Reader"}],
        "addresses": [{"type": "work", "locality": "London"}],
        ENTERPRISE: {"department": "Engines", "manager": {"value": "u-aaaaaaaaaaaaaaaaaaaaaaaa"}},
        "urn:example:2.0:User": {"site": ["a", {"b": 1}]},
    },
    USERS,
)
GROUP: Document = make_canonical({"displayName": "Engineers", "members": [{"value": "u-1"}, {"value": "g-2"}]}, GROUPS)
_RESOURCES = [(USERS, USER), (GROUPS, GROUP)]

SEEDS: dict[str, list[str]] = {
    "filter": [
        'userName eq "ada"',
        'emails[type eq "work" and not (value co "@x")].value sw "a" or active ne "True"',
        "(externalId eq jyoung) and (meta.lastModified gt 2020-01-01T00:00:00.5Z)",
        f'{ENTERPRISE}:manager.value eq null or members[value eq "u-1"]',
    ],
    "path": ["name.givenName", 'emails[type eq "work"].value', f"{ENTERPRISE}:manager", "urn:a:b:2.0:User:x.y"],
    "patch": [
        '{"Operations":[{"op":"Add","path":"emails[type eq \\"work\\"].value","value":"x"}]}',
        '{"Operations":[{"op":"replace","value":{"active":"False","name.givenName":"","roles":[{"value":"a"}]}}]}',
        '{"Operations":[{"op":"remove","path":"members","value":[{"value":"u-1"}]},{"op":"add","path":"members",'
        '"value":"u-3"}]}',
        f'{{"operations":[{{"op":"add","path":"{ENTERPRISE}:manager","value":[{{"value":"x"}}]}}]}}',
        '{"Operations":[{"op":"add","path":"urn:example:2.0:User:site","value":[null,{}]}]}',
    ],
    "shaped": ["\x00\x01\x02\x03", "abcdefghijklmnopqrstuvwxyz", "zyxwvutsrqponmlkjihgfedcba0123456789"],
    "body": [
        '{"userName":"a","emails":[{"value":"x","primary":"True"}],"roles":"{\\"value\\":\\"a\\"}"}',
        f'{{"userName":"a","name.givenName":"b","{ENTERPRISE}:department":"c","urn:x:2.0:User":{{"d":[[]]}}}}',
        '{"displayName":"g","members":["u-1",{"value":"u-2","display":"x"}]}',
    ],
}
WORDS = ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr", "and", "or", "not", "null", "true", "primary"]


_NAMES = sorted(
    {name for t in REGISTRY.resource_types for name in (*t.core_attributes, *t.extension_attributes)}
    | {f"{ENTERPRISE}:manager", "manager", "department", "urn:example:2.0:User:site", "urn:example:2.0:User", "x"}
)
_SUBS = ["value", "type", "primary", "display", "$ref", "givenName", "Locality", "formatted", "site", "x", ""]
_TEXTS = ["", "work", "WORK", "True", "u-1", "reader", "ada@contoso.example", '{\\"value\\":\\"a\\"}', "é"]


def filter(data: bytes) -> None:
    """A filter is read, means the same when it is written again, is as deep as allowed, planned and evaluated."""
    text = data.decode(errors="replace")
    try:
        tree = parse_filter(text)
        if _depth(tree) > MAX_DEPTH + 2:
            raise AssertionError(f"a tree of {_depth(tree)} levels")
        if len(str(tree)) <= len(text) and parse_filter(str(tree)) != tree:
            raise AssertionError(f"{text!r} is not {tree}")
    except ScimError:
        return
    for resource_type, document in _RESOURCES:
        plan(tree, resource_type)
        find_edge_ids(tree, resource_type)
        try:
            bind(tree, resource_type)({"id": "u-1", "schemas": [], "meta": {}, **document})
        except ScimError:
            continue


def path(data: bytes) -> None:
    """A path is read, and means the same when it is written again."""
    text = data.decode(errors="replace")
    try:
        parsed = parse_path(text)
        if len(str(parsed)) <= len(text) and parse_path(str(parsed)) != parsed:
            raise AssertionError(f"{text!r} is not {parsed}")
    except ScimError:
        return
    for resource_type, _ in _RESOURCES:
        resource_type.resolve(parsed.attribute)


def patch(data: bytes) -> None:
    """A PATCH is read in any dialect, and what it makes of a document is canonical."""
    for resource_type, document in _RESOURCES:
        try:
            listed = parse_operations(_json(data), resource_type, _MAX_OPERATIONS)
            find_delta(split(listed, resource_type)[1])
            after = apply(document, listed, resource_type)
        except ScimError:
            continue
        _hold(after, resource_type)


def body(data: bytes) -> None:
    """What a POST or PUT makes of a body is canonical."""
    for resource_type, _ in _RESOURCES:
        try:
            document = make_canonical(_json(data), resource_type)
        except ScimError:
            continue
        _hold(document, resource_type)


def shaped(data: bytes) -> None:
    """Like `patch`, but every input is a well-formed PATCH: its bytes choose among operations, names and values."""
    choices = _Choices(data)
    listed = [
        {"op": choices.of(["add", "replace", "remove"]), "path": choices.path(), "value": choices.value(3)}
        for _ in range(1 + choices.below(4))
    ]
    patch(json.dumps({"Operations": listed}).encode())


class _Choices:
    """Bytes as a row of choices; when they are used up, it is always the first."""

    def __init__(self, data: bytes) -> None:
        self._data = iter(data)

    def below(self, number: int) -> int:
        return next(self._data, 0) % number

    def of(self, things: Sequence[str]) -> str:
        return things[self.below(len(things))]

    def path(self) -> str | None:
        name = self.of(_NAMES)
        match self.below(5):
            case 0:
                return None
            case 1:
                return f"{name}.{self.of(_SUBS)}"
            case 2:
                return f'{name}[{self.of(_SUBS)} {self.of(WORDS)} "{self.of(_TEXTS)}"]'
            case 3:
                return f'{name}[{self.of(_SUBS)} eq "{self.of(_TEXTS)}"].{self.of(_SUBS)}'
        return name

    def value(self, levels: int) -> Any:
        match self.below(7 if levels else 4):
            case 0:
                return self.of(_TEXTS)
            case 1:
                return bool(self.below(2))
            case 2:
                return None
            case 3:
                return self.below(3) - 1
            case 4:
                return [self.value(levels - 1) for _ in range(self.below(4))]
            case 5:
                return {self.of(_SUBS): self.value(levels - 1) for _ in range(self.below(4))}
        return {self.path() or "": self.value(levels - 1) for _ in range(self.below(3))}


TARGETS: dict[str, Callable[[bytes], None]] = {
    "filter": filter,
    "path": path,
    "patch": patch,
    "shaped": shaped,
    "body": body,
}


def words() -> list[str]:
    """Return what the fuzzer puts together: operators, names of attributes, and schemas."""
    return sorted({*WORDS, *_NAMES, "Operations", "op", "path", "value", "type", "add", "replace", "remove"})


def _json(data: bytes) -> object:
    return Request("PATCH", "http://x/scim/Users/x", body=data).json(_MAX_BYTES, _MAX_DEPTH)


def _hold(document: Document, resource_type: ResourceType) -> None:
    """A document that storage can keep: made anew it stays what it is, and it is no deeper than a body may be."""
    again = make_canonical(document, resource_type)
    if again != document:
        raise AssertionError(f"{document} becomes {again}")
    if _levels(document) > _MAX_DEPTH:
        raise AssertionError(f"a document of {_levels(document)} levels")


def _levels(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(_levels, inner), default=0)


def _depth(tree: Filter) -> int:
    match tree:
        case And(terms) | Or(terms):
            return max(map(_depth, terms))
        case Not(term) | ValuePath(_, term):
            return 1 + _depth(term)
        case _:
            return 0
