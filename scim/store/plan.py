"""Which rows can hold what a filter asks for: the plan is read off the filter's tree before anything is read.

A plan never decides a match: the whole filter is evaluated on every candidate, so a plan need only miss none.
"""

from __future__ import annotations

from dataclasses import dataclass

from scim.filter.tree import And, Compare, Filter, Or, ValuePath
from scim.schema.registry import Index, ResourceType


@dataclass(frozen=True, slots=True)
class ById:
    """At most one resource: a point read."""

    id: str


@dataclass(frozen=True, slots=True)
class ByValue:
    """The resources that have exactly this value of an indexed attribute."""

    index: Index
    value: str


@dataclass(frozen=True, slots=True)
class ByPrefix:
    """The resources with a value of an indexed attribute that starts so."""

    index: Index
    prefix: str


@dataclass(frozen=True, slots=True)
class Union:
    """The resources of any of the plans."""

    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """All resources of the type, within the tenant's own rows."""


Plan = ById | ByValue | ByPrefix | Union | Scan


def plan(tree: Filter, resource_type: ResourceType) -> Plan:
    """The plan with the fewest candidates, as far as the tree alone tells."""
    match tree:
        case Compare(path, operator, value) if not value.is_null:
            return _comparison(path, operator, value.text, resource_type)
        case And(terms):
            return min((plan(term, resource_type) for term in terms), key=_cost)
        case Or(terms):
            plans = tuple(plan(term, resource_type) for term in terms)
            return Scan() if any(isinstance(p, Scan) for p in plans) else Union(plans)
        case ValuePath(path, inner):
            return _value_path(path, inner, resource_type)
        case _:
            return Scan()


def _comparison(path: str, operator: str, text: str, resource_type: ResourceType) -> Plan:
    target = resource_type.resolve(path)
    if target is None or target.attribute is None or operator not in ("eq", "sw") or not text:
        return Scan()
    if target.path == "id" and operator == "eq":
        return ById(text)
    complex = target.attribute.type == "complex" and target.sub is None
    index = resource_type.indexes.get((f"{target.path}.value" if complex else target.path).lower())
    if index is None:
        return Scan()
    return ByValue(index, text) if operator == "eq" else ByPrefix(index, text)


def _value_path(path: str, inner: Filter, resource_type: ResourceType) -> Plan:
    """`emails[type eq "work" and value eq "x"]`: the terms of one element are terms of the resource."""
    match inner:
        case Compare(sub, operator, value) if not value.is_null:
            return _comparison(f"{path}.{sub}", operator, value.text, resource_type)
        case And(terms):
            return min((_value_path(path, term, resource_type) for term in terms), key=_cost)
        case Or(terms):
            plans = tuple(_value_path(path, term, resource_type) for term in terms)
            return Scan() if any(isinstance(p, Scan) for p in plans) else Union(plans)
        case _:
            return Scan()


def _cost(plan: Plan) -> int:
    match plan:
        case ById():
            return 0
        case ByValue(index, _):
            return 1 if index.unique else 2
        case Union(plans):
            return 3 + max(_cost(p) for p in plans)
        case ByPrefix():
            return 50
        case Scan():
            return 100
