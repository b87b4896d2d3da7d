"""Filters as trees of our own, how they are written, and what they mean by RFC 7644 §3.4.2.2.

Nothing here comes from scim/filter: the tests hold the two against each other. A filter is evaluated on the JSON that a
client gets. Names and operators are written in any case, with or without the schema's URN, and parentheses now and then
where none are needed.
"""

from __future__ import annotations

import json
import operator
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hypothesis import strategies as st

from tests.support import ENTERPRISE, USER

Json = dict[str, Any]


@dataclass(frozen=True)
class Attribute:
    """Where an attribute's values are, what kind they are of (`text` without regard to case, `exact`, `boolean`,
    `date`) and, for a complex one, its sub-attributes. A filter on a complex one means its `value`."""

    steps: tuple[str, ...]
    kind: str = "text"
    subs: tuple[tuple[str, str], ...] = ()
    plain: str | None = None
    """The name without the schema's URN, where that is another."""

    @property
    def names(self) -> list[str]:
        return [":".join(self.steps), *([self.plain] if self.plain else [])]


@dataclass(frozen=True)
class Id:
    """Stands for the id of a resource that is there when the filter is used."""

    number: int


@dataclass(frozen=True)
class Compare:
    attribute: Attribute
    sub: str | None
    operator: str
    value: object
    """A string, a boolean, an Id, or None for null."""


@dataclass(frozen=True)
class Present:
    attribute: Attribute
    sub: str | None


@dataclass(frozen=True)
class Where:
    """`emails[…]`: one element satisfies all that is inside, where attributes are sub-attributes."""

    attribute: Attribute
    inner: Filter


@dataclass(frozen=True)
class Not:
    term: Filter


@dataclass(frozen=True)
class All:
    terms: tuple[Filter, ...]


@dataclass(frozen=True)
class Some:
    terms: tuple[Filter, ...]


Filter = Compare | Present | Where | Not | All | Some

_VALUED = (("value", "text"), ("type", "text"), ("display", "text"), ("primary", "boolean"))
COMMON = (
    Attribute(("id",), "exact"),
    Attribute(("externalId",), "exact"),
    Attribute(("schemas",), "exact"),
    Attribute(("meta",), "complex", (("created", "date"), ("lastModified", "date"), ("resourceType", "exact"))),
)
OF_USERS = (
    *COMMON,
    Attribute(("userName",)),
    Attribute(("displayName",)),
    Attribute(("title",)),
    Attribute(("active",), "boolean"),
    Attribute(("name",), "complex", (("givenName", "text"), ("familyName", "text"))),
    Attribute(("emails",), "complex", _VALUED),
    Attribute(("roles",), "complex", _VALUED),
    Attribute(("addresses",), "complex", (("locality", "text"), ("type", "text"), ("primary", "boolean"))),
    Attribute((ENTERPRISE, "department"), plain="department"),
    Attribute((ENTERPRISE, "manager"), "complex", (("value", "exact"), ("$ref", "exact")), plain="manager"),
    Attribute(("groups",), "complex", (("value", "exact"), ("type", "text"))),
)
OF_GROUPS = (
    *COMMON,
    Attribute(("displayName",)),
    Attribute(("members",), "complex", (("value", "exact"), ("type", "text"), ("display", "text"))),
)

TEXTS = ["", "a", "A", "ada", "Ada", "bob", "work", "WORK", "home", "Straße", "STRASSE", "é", "e\u0301", 'q"t', "b\\s"]
DATES = ["2020-02-29T08:00:00Z", "2100-01-01T00:00:00.1234567+01:00"]


# Meaning --------------------------------------------------------------------------------------------------------------


def matches(filter: Filter, resource: object) -> bool:
    """Whether a resource, or within brackets an element, satisfies the filter."""
    match filter:
        case All(terms):
            return all(matches(term, resource) for term in terms)
        case Some(terms):
            return any(matches(term, resource) for term in terms)
        case Not(term):
            return not matches(term, resource)
        case Where(attribute, inner):
            return any(matches(inner, element) for element in found(resource, attribute.steps))
        case Present(attribute, sub):
            return any(True for _ in found(resource, (*attribute.steps, *([sub] if sub else []))))
        case Compare():
            return _compared(filter, resource)


def found(value: object, steps: tuple[str, ...]) -> Iterator[Any]:
    """All values at the end of a path; each element of a list is one."""
    if isinstance(value, list):
        for element in value:
            yield from found(element, steps)
    elif not steps:
        if value is not None:
            yield value
    elif isinstance(value, dict) and steps[0] in value:
        yield from found(value[steps[0]], steps[1:])


def folded(text: str, kind: str) -> str:
    """The form in which equal texts are equal: composed, and without case but for `exact` ones."""
    text = unicodedata.normalize("NFC", text)
    return text if kind == "exact" else unicodedata.normalize("NFC", text.lower().replace("\u03c2", "\u03c3"))


def _compared(filter: Compare, resource: object) -> bool:
    attribute, sub = filter.attribute, filter.sub
    if attribute.kind == "complex":
        sub = sub or "value"
    kind = dict(attribute.subs)[sub] if sub else attribute.kind
    values = list(found(resource, (*attribute.steps, *([sub] if sub else []))))
    if filter.value is None:
        return (not values) == (filter.operator == "eq")
    wanted = _comparable(filter.value, kind)
    if filter.operator == "ne":
        return not values or any(_comparable(value, kind) != wanted for value in values)
    return any(_OPERATORS[filter.operator](_comparable(value, kind), wanted) for value in values)


_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "eq": operator.eq,
    "co": operator.contains,
    "sw": lambda value, wanted: value.startswith(wanted),
    "ew": lambda value, wanted: value.endswith(wanted),
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _comparable(value: Any, kind: str) -> Any:
    if kind == "boolean":
        return value if isinstance(value, bool) else value.lower() == "true"
    if kind == "date":
        whole, _, fraction = value.partition(".")
        digits = fraction.rstrip("Z").partition("+")[0]
        offset = value[-6:] if "+" in value else "+00:00"
        return datetime.fromisoformat(whole[:19] + offset), int(digits.ljust(9, "0") or 0)
    return folded(value, kind)


# Text -----------------------------------------------------------------------------------------------------------------


def written(filter: Filter, ids: list[str], draw: Callable[[int], int], *, core: str, inside: bool = False) -> str:
    """The filter as a client writes it, for resources of the schema `core`. `draw(n)` is a number below n that chooses
    between ways to write it."""

    def case(text: str) -> str:
        return (text, text.upper(), text.lower(), text.swapcase())[draw(4)]

    def name(attribute: Attribute, sub: str | None) -> str:
        plain = attribute.names[draw(len(attribute.names))]
        if not inside and len(attribute.steps) == 1 and attribute not in COMMON and draw(4) == 0:
            plain = f"{core}:{plain}"
        return case(f"{plain}.{sub}" if sub else plain)

    def wrapped(term: Filter, *loose: type) -> str:
        text = written(term, ids, draw, core=core, inside=inside)
        return f"({text})" if isinstance(term, loose) or draw(5) == 0 else text

    match filter:
        case All(terms):
            return f" {case('and')} ".join(wrapped(term, Some) for term in terms)
        case Some(terms):
            return f" {case('or')} ".join(wrapped(term) for term in terms)
        case Not(term):
            return f"{case('not')} ({written(term, ids, draw, core=core, inside=inside)})"
        case Where(attribute, inner):
            return f"{name(attribute, None)}[{written(inner, ids, draw, core=core, inside=True)}]"
        case Present(attribute, sub):
            return f"{name(attribute, sub)} {case('pr')}"
        case Compare(attribute, sub, op, value):
            return f"{name(attribute, sub)} {case(op)} {_literal(value, ids, draw)}"


def _literal(value: object, ids: list[str], draw: Callable[[int], int]) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return ("true", '"True"')[draw(2)] if value else ("false", '"False"')[draw(2)]
    return json.dumps(ids[value.number % len(ids)] if isinstance(value, Id) else value, ensure_ascii=draw(2) == 0)


def resolved(filter: Filter, ids: list[str]) -> Filter:
    """The filter with ids in the places of those that stand for one."""
    match filter:
        case All(terms):
            return All(tuple(resolved(term, ids) for term in terms))
        case Some(terms):
            return Some(tuple(resolved(term, ids) for term in terms))
        case Not(term):
            return Not(resolved(term, ids))
        case Where(attribute, inner):
            return Where(attribute, resolved(inner, ids))
        case Compare(attribute, sub, op, Id(number)):
            return Compare(attribute, sub, op, ids[number % len(ids)])
        case _:
            return filter


# What hypothesis draws ------------------------------------------------------------------------------------------------


def _values(attribute: Attribute, kind: str) -> st.SearchStrategy[object]:
    if kind == "boolean":
        return st.booleans()
    if kind == "date":
        return st.sampled_from(DATES)
    if attribute.steps[0] == "schemas":
        return st.sampled_from([USER, ENTERPRISE, "urn:none"])
    texts: st.SearchStrategy[object] = st.sampled_from(TEXTS)
    return st.builds(Id, st.integers(0, 7)) | texts if kind == "exact" else texts


@st.composite
def _compares(draw: st.DrawFn, attributes: tuple[Attribute, ...]) -> Filter:
    attribute = draw(st.sampled_from(attributes))
    subs = dict(attribute.subs)
    whole = ["value"] if "value" in subs else []
    sub = draw(st.sampled_from([*subs, *whole])) if subs else None
    shown = None if sub == "value" and draw(st.booleans()) else sub
    kind = subs[sub] if sub else attribute.kind
    if draw(st.integers(0, 5)) == 0:
        return Present(attribute, None if draw(st.booleans()) else sub)
    if draw(st.integers(0, 7)) == 0:
        return Compare(attribute, shown, draw(st.sampled_from(["eq", "ne"])), None)
    ordered = ["gt", "ge", "lt", "le"] if kind != "boolean" else []
    parts = ["co", "sw", "ew"] if kind in ("text", "exact") else []
    op = draw(st.sampled_from(["eq", "eq", "ne", *ordered, *parts]))
    return Compare(attribute, shown, op, draw(_values(attribute, kind)))


@st.composite
def _wheres(draw: st.DrawFn, attributes: tuple[Attribute, ...]) -> Filter:
    attribute = draw(st.sampled_from([a for a in attributes if a.subs]))
    inner = tuple(Attribute((name,), kind) for name, kind in attribute.subs)
    return Where(attribute, draw(_trees(_compares(inner))))


def _trees(leaves: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
    def larger(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        several = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(All, several) | st.builds(Some, several)

    return st.recursive(leaves, larger, max_leaves=5)


def filters(attributes: tuple[Attribute, ...]) -> st.SearchStrategy[Filter]:
    """Filters that are valid for resources with these attributes."""
    return _trees(_compares(attributes) | _wheres(attributes))
