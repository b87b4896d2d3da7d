"""sortBy and sortOrder (RFC 7644 §3.4.2.3).

An attribute that every resource has exactly one unique value of is sorted by its index rows, of which a page reads its
own; any other means reading all matching resources, which has a limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from scim.budget import BYTES_EACH, Work, charge, pause
from scim.errors import INVALID_VALUE, TOO_MANY, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import Declared, Index, ResourceType
from scim.schema.values import fold, parse_instant
from scim.service.context import Context, TypeContext
from scim.service.query import Query
from scim.service.representation import build_resource
from scim.service.sources import All, Limit, Room, Source
from scim.store import keys
from scim.store.ordered_index import OrderedIndex
from scim.store.positions import Position
from scim.store.resource_rows import Stored
from scim.store.table import PAGE_ROWS, PARALLEL_READS, Row

_SORTED = 20
"""Units of a resource that is put in order."""
_MAX_BYTES = 16 * 2**20
"""Text of the resources that are sorted in memory."""

Typed = tuple[ResourceType, Stored]
Ids = list[tuple[str, str]]
"""(row key, id) in the wanted order."""


class Order(NamedTuple):
    """What each source is sorted by, and the index that has its rows in that order, if one does."""

    targets: list[Declared | None]
    by: Index | None


@dataclass(slots=True)
class Sorted:
    """A page in order."""

    resources: list[Typed]
    total: int
    """How many resources there are in all."""
    last: Any
    """What the last resource is ordered by, so that the next page goes on behind it whatever came or went; None on the
    last page."""
    window: str | None = None
    """By an index, in descending order: the key from which on the rows before the last one are few."""
    place: Position | None = None
    """By an index: where the page began, if that was known."""
    is_long: bool = False
    """By an index: whether it has more rows than a page."""


async def parse_order(context: Context, sources: Sequence[Source], wanted: Query) -> Order:
    """Return what the search is sorted by. Raises 400 invalidValue for what cannot be sorted by."""
    targets = [find_sort_target(one.context.resource_type, wanted.sort_by or "") for one in sources]
    if not any(targets):
        detail = f"sortBy {wanted.sort_by!r} is nothing that can be sorted by; see /Schemas."
        raise ScimError(INVALID_VALUE, detail, attribute=wanted.sort_by, rule="unknown")
    alone = len(sources) == 1 and isinstance(sources[0], All)
    index = _find_index(sources[0].context.resource_type, targets[0]) if alone else None
    return Order(targets, index if index and await _covers(sources[0].context, index) else None)


async def sort_all(
    context: Context, sources: Sequence[Source], wanted: Query, order: Order, offset: int, after: list[Any] | None
) -> Sorted:
    """Return the page behind `after`, or from `offset` on, of all matching resources. Raises 400 tooMany if these are
    too many, or too large."""
    every: list[tuple[list[Any], Typed]] = []
    limit = context.settings.sort_limit
    room = Room(limit, _MAX_BYTES)
    for one, target in zip(sources, order.targets, strict=True):
        found = await one.take(None, 0, room, known=0)
        for s in found.resources:
            if charge(_SORTED + s.size // BYTES_EACH, Work.PAGE):
                await pause()
            every.append((_make_key(one.context, target, s), (one.context.resource_type, s)))
        if room.is_full:
            many = limit if len(every) == limit else f"{_MAX_BYTES // 2**20} MiB of"
            detail = f"More than {many} resources would have to be sorted by {wanted.sort_by}: filter them first."
            raise ScimError(TOO_MANY, detail)
    every.sort(key=lambda pair: pair[0], reverse=wanted.descending)
    cut, last = _cut(every, wanted, offset, after)
    return Sorted(cut, len(every), last)


def _cut(
    every: Sequence[tuple[list[Any], Typed]], wanted: Query, offset: int, after: list[Any] | None
) -> tuple[list[Typed], Any]:
    """Return a page's worth of what is ordered, and the last one's key if more follows."""
    if after is not None:
        every = [pair for pair in every if (pair[0] < after if wanted.descending else pair[0] > after)]
    page, room = [], Room(wanted.count)
    for pair in every[offset : offset + wanted.count]:
        if not room.take(pair[1][1]):
            break
        page.append(pair)
    more = bool(page) and len(every) > offset + len(page)
    return [one for _, one in page], page[-1][0] if more else None


def find_sort_target(resource_type: ResourceType, name: str) -> Declared | None:
    """Return what the resource type is sorted by; a complex attribute by its value. None if it has no such
    attribute."""
    target = resource_type.resolve(name)
    if not isinstance(target, Declared) or target.attribute.hidden or target.name == resource_type.edges:
        return None
    if target.attribute.type == "complex" and target.sub is None:
        value = target.attribute.sub("value")
        return Declared(target.urn, target.attribute, value) if value else None
    return target


def _find_index(resource_type: ResourceType, target: Declared | None) -> Index | None:
    """Return the index whose rows are in the wanted order and miss no resource."""
    index = resource_type.indexes.get(target.path.lower()) if target else None
    return index if index and index.unique and index.attribute.required and index.target.urn is None else None


async def _covers(context: TypeContext, index: Index) -> bool:
    """Return whether all resources of the tenant have their rows of the index."""
    return not await context.store.census.find_unusable(context.resource_type, [index])


async def read_by_index(
    context: TypeContext,
    index: Index,
    wanted: Query,
    place: Position | None,
    find: Callable[[], Awaitable[Position | None]],
) -> Sorted:
    """Return the page behind the index row of a place, or from startIndex on: by the row keys, which are in the order
    of the values. `find` looks for the bookmark of a page further on, which an index of one page of rows does not need.
    Raises 400 tooMany far in without a place."""
    limit = Limit(context, "page with a cursor, or without sortBy", beyond=PAGE_ROWS)
    key_range = keys.unique_range(context.resource_type, index)
    listed = OrderedIndex(context.store.partition, key_range, limit.spend)
    offset = wanted.start - 1 if wanted.cursor is None else 0
    is_long = offset >= PAGE_ROWS or context.store.counts.find_known(context.resource_type) is not None
    if place is None and offset and is_long:
        place = await find()
    known: list[Row] = []
    total = place.total if place else 0
    if place is None:
        known, is_all = await listed.read_first()
        if is_all:
            ids = _to_ids(known)[:: -1 if wanted.descending else 1][offset : offset + wanted.count + 1]
            return await _read_page(context, wanted, ids, Sorted([], len(known), None))
        place = await find() if offset and not is_long else None
        total = place.total if place else (await context.store.counts.count(context.resource_type)).total
    if place is not None:
        offset, known = 0, []
    page = Sorted([], total, None, place=place, is_long=True)
    if offset >= total:
        return page
    walk = _walk_down(listed, place, known) if wanted.descending else _walk_up(listed, place, known, wanted.count)
    ids = []
    async for page.window, found in walk:
        ids += found[offset : offset + wanted.count + 1 - len(ids)]
        offset = max(offset - len(found), 0)
        if len(ids) > wanted.count:
            break
    return await _read_page(context, wanted, ids, page)


async def _walk_up(
    listed: OrderedIndex, place: Position | None, known: list[Row], count: int
) -> AsyncIterator[tuple[None, Ids]]:
    if known:
        yield None, _to_ids(known)
    after = known[-1].key if known else place.id if place else None
    async for page in listed.walk_up(after, PAGE_ROWS if known else count + 1):
        yield None, _to_ids(page)


async def _walk_down(listed: OrderedIndex, place: Position | None, known: list[Row]) -> AsyncIterator[tuple[str, Ids]]:
    async for window in listed.walk_down(place.id if place else None, place.window if place else None, known):
        yield window.start, _to_ids(window.rows)[::-1]


def _to_ids(found: list[Row]) -> Ids:
    return [(row.key, str(row.values["id"])) for row in found]


async def _read_page(context: TypeContext, wanted: Query, ids: Ids, page: Sorted) -> Sorted:
    """Return the page with the resources of the first ids, of which one more than it holds says that there is another
    one."""
    room = Room(wanted.count)
    last = ids[0][0] if ids and not wanted.count else None
    for at in range(0, min(len(ids), wanted.count), PARALLEL_READS):
        some = ids[at : min(at + PARALLEL_READS, wanted.count)]
        there = {one.id: one for one in await context.store.resources.read_all([id for _, id in some])}
        for key, id in some:
            if id in there and not room.take(there[id]):
                page.last = last
                return page
            page.resources += [(context.resource_type, there[id])] if id in there else []
            last = key
    page.last = last if len(ids) > wanted.count else None
    return page


def _make_key(context: TypeContext, target: Declared | None, stored: Stored) -> list[Any]:
    """Return what a resource is ordered by: those without a value come last when ascending and first when
    descending."""
    value = find_sort_value(build_resource(context, stored), target) if target else None
    if target is not None and value is not None:
        value = to_comparable(value, target.leaf)
    rank = 0 if isinstance(value, str) else -1  # types may disagree on what a name holds
    return [1, stored.id] if value is None else [rank, value, stored.id]


def find_sort_value(resource: dict[str, Any], target: Declared) -> Any:
    """Return the value to sort by: of several the primary one, else the first."""
    container = resource if target.urn is None else resource.get(target.urn, {})
    value = container.get(target.name) if isinstance(container, dict) else None
    if isinstance(value, list):
        primary = (element for element in value if isinstance(element, dict) and element.get("primary") is True)
        value = next(primary, value[0] if value else None)
    return value.get(target.sub.name) if target.sub and isinstance(value, dict) else value


def to_comparable(value: Any, attribute: Attribute) -> Any:
    """Return what values of one attribute are ordered by; None for one that is not of its type, since it was kept
    before its extension was declared."""
    if attribute.type == "dateTime":
        return parse_instant(str(value))
    if attribute.type in ("boolean", "integer", "decimal"):
        return value if isinstance(value, int | float) else None
    return fold(value, attribute) if isinstance(value, str) else None
