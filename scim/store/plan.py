"""Which rows can hold what a filter asks for: the plan is read off the filter's tree before anything is read.

A plan never decides a match: the whole filter is evaluated on every candidate, so a plan need only miss none.
"""

from __future__ import annotations

from dataclasses import dataclass

from scim.filter.tree import And, Compare, Filter, Not, Or, Present, ValuePath
from scim.schema.registry import Declared, Index, ResourceType, Target


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
class ByEdge:
    """The groups that have this member, or the users that are in this group."""

    other: str


@dataclass(frozen=True, slots=True)
class Union:
    """The resources of any of the plans."""

    plans: tuple[Plan, ...]


@dataclass(frozen=True, slots=True)
class Scan:
    """All resources of the type, within the tenant's own rows."""


Plan = ById | ByValue | ByPrefix | ByEdge | Union | Scan
NOTHING = Union(())


def plan(tree: Filter, resource_type: ResourceType, without: frozenset[str] = frozenset()) -> Plan:
    """Return the plan with the fewest candidates, as far as the tree alone tells. `without` are the keys of indexes
    that must not be used."""
    match tree:
        case Compare(path, operator, value) if not value.is_null:
            return _plan_comparison(path, operator, value.text, resource_type, without)
        case And(terms):
            return min((plan(term, resource_type, without) for term in terms), key=_estimate_cost)
        case Or(terms):
            plans = tuple(plan(term, resource_type, without) for term in terms)
            return Scan() if any(isinstance(p, Scan) for p in plans) else Union(plans)
        case ValuePath(path, inner):
            return _plan_value_path(path, inner, resource_type, without)
        case _:
            return Scan()


def list_indexes(plan: Plan) -> list[Index]:
    """Return the indexes that a plan uses."""
    match plan:
        case ByValue(index, _) | ByPrefix(index, _):
            return [index]
        case Union(plans):
            return [index for one in plans for index in list_indexes(one)]
        case _:
            return []


def _plan_comparison(path: str, operator: str, text: str, resource_type: ResourceType, without: frozenset[str]) -> Plan:
    target = resource_type.resolve(path)
    if not isinstance(target, Declared):
        return Scan() if operator == "ne" else NOTHING  # another type's attribute: no value, and so no match
    if target.path.lower() == "meta.resourcetype" and operator == "eq" and text.lower() != resource_type.name.lower():
        return NOTHING
    if operator not in ("eq", "sw") or (not text and operator == "sw"):
        return Scan()
    if not text:
        return NOTHING  # an empty value is no value
    if target.path == "id" and operator == "eq":
        return ById(text)
    if names_edge_ids(target, resource_type) and operator == "eq":
        return ByEdge(text)
    key = f"{target.key}.value" if target.leaf.type == "complex" else target.key
    index = resource_type.indexes.get(key)
    if index is None or index.key in without or index.attribute.type not in ("string", "reference"):
        return Scan()  # other types have several texts for one value
    return ByValue(index, text) if operator == "eq" else ByPrefix(index, text)


def names_edge_ids(target: Target, resource_type: ResourceType) -> bool:
    """Return whether a name stands for the ids at the other end of the resource's edges: `members`, `members.value`,
    …"""
    ours = target.urn is None and target.name in (resource_type.members, resource_type.member_of)
    return ours and (not isinstance(target, Declared) or target.sub is None or target.sub.name == "value")


def find_edge_ids(tree: Filter, resource_type: ResourceType) -> set[str] | None:
    """Return the ids that a filter compares edges with; empty if it does not look at edges; None if it asks anything
    else of them, so that all must be read."""
    match tree:
        case And(terms) | Or(terms):
            parts = [find_edge_ids(term, resource_type) for term in terms]
            return None if None in parts else set[str]().union(*(part for part in parts if part))
        case Not(term):
            return find_edge_ids(term, resource_type)
        case Compare(path, operator, value):
            target = _find_edge(path, resource_type)
            exact = target and names_edge_ids(target, resource_type) and operator == "eq" and not value.is_null
            return set() if target is None else {value.text} if exact else None
        case ValuePath(path, Compare(sub, "eq", value)) if not value.is_null and sub.lower() == "value":
            return {value.text} if _find_edge(path, resource_type) else set()
        case ValuePath(path, _) | Present(path):
            return None if _find_edge(path, resource_type) else set()


def _find_edge(path: str, resource_type: ResourceType) -> Target | None:
    """Return what `path` stands for if that is in the resource's edges; None if it is not."""
    target = resource_type.resolve(path)
    if target is None or target.urn is not None or not target.name:
        return None
    return target if target.name in (resource_type.members, resource_type.member_of) else None


def _plan_value_path(path: str, inner: Filter, resource_type: ResourceType, without: frozenset[str]) -> Plan:
    """Plan `emails[type eq "work" and value eq "x"]`: the terms of one element are terms of the resource."""
    match inner:
        case Compare(sub, operator, value) if not value.is_null and resource_type.resolve(f"{path}.{sub}"):
            return _plan_comparison(f"{path}.{sub}", operator, value.text, resource_type, without)
        case And(terms):
            return min((_plan_value_path(path, term, resource_type, without) for term in terms), key=_estimate_cost)
        case Or(terms):
            plans = tuple(_plan_value_path(path, term, resource_type, without) for term in terms)
            return Scan() if any(isinstance(p, Scan) for p in plans) else Union(plans)
        case _:
            return Scan()


def _estimate_cost(plan: Plan) -> int:
    match plan:
        case ById():
            return 0
        case ByValue(index, _):
            return 1 if index.unique else 2
        case ByEdge():
            return 3
        case Union(plans):
            return 4 + max(_estimate_cost(p) for p in plans) if plans else -1
        case ByPrefix():
            return 50
        case Scan():
            return 100
