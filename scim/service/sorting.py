"""sortBy and sortOrder (RFC 7644 §3.4.2.3).

An attribute that every resource has exactly one unique value of is sorted by its index rows; any other means reading
all matching resources, which has a limit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from scim.errors import INVALID_VALUE, TOO_MANY, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import Index, ResourceType, Target
from scim.schema.values import fold, instant
from scim.service.context import Context
from scim.service.query import Query
from scim.service.sources import All, Source
from scim.store.resources import Stored

Typed = tuple[ResourceType, Stored]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Sorted:
    """A page in order: its resources, how many there are in all, and what the last one is ordered by (None on the last
    page), so that the next page goes on behind it whatever came or went."""

    resources: list[Typed]
    total: int
    last: Any


async def page(
    context: Context, sources: Sequence[Source], wanted: Query, offset: int, after: list[Any] | None
) -> Sorted:
    """The page behind `after`, or from `offset` on. Raises 400 invalidValue for what cannot be sorted by, and tooMany
    where sorting means reading too much."""
    targets = [_target(one.resource_type, wanted.sort_by or "") for one in sources]
    if not any(targets):
        raise ScimError(INVALID_VALUE, f"sortBy {wanted.sort_by!r} is nothing that can be sorted by; see /Schemas.")
    index = _index(sources[0].resource_type, targets[0]) if len(sources) == 1 else None
    if index and isinstance(sources[0], All) and await _covers(context, sources[0].resource_type, index):
        return await _by_index(context, sources[0].resource_type, index, wanted, offset, after)
    every: list[tuple[list[Any], Typed]] = []
    limit = context.settings.sort_limit
    for one, target in zip(sources, targets, strict=True):
        found = await one.take(None, 0, limit + 1 - len(every), known=0)
        every += [(_key(context, one.resource_type, target, s), (one.resource_type, s)) for s in found.resources]
        if len(every) > limit:
            detail = f"More than {limit} resources would have to be sorted by {wanted.sort_by}: filter them first."
            raise ScimError(TOO_MANY, detail)
    every.sort(key=lambda pair: pair[0], reverse=wanted.descending)
    cut, last = _cut(every, wanted, offset, after)
    return Sorted(cut, len(every), last)


def _cut(
    every: Sequence[tuple[list[Any], T]], wanted: Query, offset: int, after: list[Any] | None
) -> tuple[list[T], Any]:
    """A page's worth of what is ordered, and the last one's key where more follows."""
    if after is not None:
        every = [pair for pair in every if (pair[0] < after if wanted.descending else pair[0] > after)]
    page = every[offset : offset + wanted.count]
    more = bool(page) and len(every) > offset + len(page)
    return [one for _, one in page], page[-1][0] if more else None


def _target(resource_type: ResourceType, name: str) -> Target | None:
    """What the resource type is sorted by; a complex attribute by its value. None where it has no such attribute."""
    target = resource_type.resolve(name)
    if target is None or target.attribute is None or target.attribute.hidden or target.name == resource_type.edges:
        return None
    if target.attribute.type == "complex" and target.sub is None:
        value = target.attribute.sub("value")
        return Target(target.urn, target.name, target.attribute, value) if value else None
    return target


def _index(resource_type: ResourceType, target: Target | None) -> Index | None:
    """The index whose rows are in the wanted order and miss no resource."""
    index = resource_type.indexes.get(target.path.lower()) if target else None
    return index if index and index.unique and index.attribute.required and index.target.urn is None else None


async def _covers(context: Context, resource_type: ResourceType, index: Index) -> bool:
    """Whether all resources of the tenant have their rows of the index."""
    return not await context.store.census.unusable(context.tenant, resource_type, [index])


async def _by_index(
    context: Context,
    resource_type: ResourceType,
    index: Index,
    wanted: Query,
    offset: int,
    after: list[Any] | None,
) -> Sorted:
    """By the index's row keys, which are in the order of the values."""
    listed = await context.store.resources.ids_by_value(context.tenant, resource_type, index)
    every = [([key], id) for key, id in (reversed(listed) if wanted.descending else listed)]
    cut, last = _cut(every, wanted, offset, after)
    found = await context.store.resources.read_all(context.tenant, cut)
    return Sorted([(resource_type, one) for one in found], len(every), last)


def _key(context: Context, resource_type: ResourceType, target: Target | None, stored: Stored) -> list[Any]:
    """What a resource is ordered by: those without a value come last when ascending and first when descending."""
    value = _value(context.resource(resource_type, stored), target) if target else None
    if target is not None and target.attribute is not None and value is not None:
        value = _comparable(value, target.sub or target.attribute)
    rank = 0 if isinstance(value, str) else -1  # types may disagree on what a name holds
    return [1, stored.id] if value is None else [rank, value, stored.id]


def _value(resource: dict[str, Any], target: Target) -> Any:
    """The value to sort by: of several the primary one, else the first."""
    container = resource if target.urn is None else resource.get(target.urn, {})
    value = container.get(target.name) if isinstance(container, dict) else None
    if isinstance(value, list):
        primary = (element for element in value if isinstance(element, dict) and element.get("primary") is True)
        value = next(primary, value[0] if value else None)
    return value.get(target.sub.name) if target.sub and isinstance(value, dict) else value


def _comparable(value: Any, attribute: Attribute) -> Any:
    """What values of one attribute are ordered by; None for one that is not of its type, since it was kept before its
    extension was declared."""
    if attribute.type == "dateTime":
        return instant(str(value))
    if attribute.type in ("boolean", "integer", "decimal"):
        return value if isinstance(value, int | float) else None
    return fold(value, attribute) if isinstance(value, str) else None
