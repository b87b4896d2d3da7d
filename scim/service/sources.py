"""Where the resources of a search come from: one source for each resource type, all read in the same way.

A source gives its resources in id order from any row key on, which is what both bookmarks and cursors hold. Here are
all resources of a type, and a scan of them; candidates.py has what an index leads to.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scim import deadline, told
from scim.budget import BYTES_EACH, Work, charge, pause
from scim.errors import TOO_MANY, ScimError
from scim.filter.evaluate import Predicate
from scim.service import edges
from scim.service.context import Context, TypeContext
from scim.service.representation import build_resource
from scim.store import keys
from scim.store.plan import ByEdge, Plan
from scim.store.resource_rows import Stored, parse_stored
from scim.store.resources import PAGE_BYTES, Stretch
from scim.store.table import PAGE_ROWS, Row

_ROW = 15
"""Units of a resource that is read from its row."""


class Room:
    """What a page still has room for: up to `count` resources and `size` bytes of them, but one in any case."""

    def __init__(self, count: int, size: int = PAGE_BYTES) -> None:
        self.count = count
        self.is_full = False
        """Whether a resource found no place: then none that comes later does."""
        self._size = size
        self._is_empty = True

    def take(self, one: Stored) -> bool:
        """Return whether there is room for the resource, which then has it."""
        if self.is_full or not self.count or (one.size > self._size and not self._is_empty):
            self.is_full = True
            return False
        self.count -= 1
        self._size -= one.size
        self._is_empty = False
        return True


@dataclass(slots=True)
class Slice:
    """A stretch of a source."""

    resources: list[Stored] = field(default_factory=list)
    next: Stored | None = None
    """The resource behind these; None at the end."""
    total: int | None = None
    """How many the source has in all; None if that was not asked."""
    edges: edges.Edges = field(default_factory=dict)
    """The edges that were read on the way."""

    def add(self, one: Stored, room: Room) -> None:
        """Put a resource on the page, or, as the first that finds no room, behind it."""
        if room.take(one):
            self.resources.append(one)
        elif self.next is None:
            self.next = one


class Limit:
    """Counts what a search reads, up to the scan limit and `beyond` it that many that it may read anyway."""

    def __init__(self, context: Context, remedy: str = told.MATCH_ON, *, beyond: int = 0) -> None:
        self._limit = context.settings.scan_limit
        self._left = self._limit + beyond
        self._remedy = remedy

    def spend(self, number: int) -> None:
        """Count what was read. Raise 400 tooMany, with what to do about it, for more than the limit, and 503 if the
        request's time is over."""
        deadline.check()
        self._left -= number
        if self._left < 0:
            raise ScimError(TOO_MANY, told.TOO_MANY_READ.format(limit=self._limit, remedy=self._remedy))


def _build_remedy(context: Context, condition: Condition) -> str:
    """Return what to do about a scan that reads too much."""
    remedy = told.MATCH_ON
    if condition.unindexed:
        command = f"python -m scim tenants reindex {context.tenant}"
        remedy += f". {' and '.join(condition.unindexed)} can be searched by once the operator has run `{command}`"
    return remedy


class Source(Protocol):
    """The resources of one type that a search is about."""

    @property
    def context(self) -> TypeContext:
        """The search, with the type of all its resources."""

    async def take(self, start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        """Return as many resources as there is room for, from the id `start` on (None: from the first), after skipping
        `skip`. `known` is how many the search found when it began; None to count them now."""


class Condition(NamedTuple):
    """A filter bound to a resource type."""

    matches: Predicate
    """Whether a resource matches."""
    plan: Plan
    """Which rows can hold what matches."""
    asked: set[str] | None
    """The ids that the filter looks for among the edges of a resource; None if it needs all of them."""
    answered: bool = False
    """Whether the plan alone decides, as far as resources are there."""
    unindexed: tuple[str, ...] = ()
    """The attributes whose index does not cover the tenant yet."""


@dataclass(frozen=True, slots=True)
class All:
    """Every resource of the type: counted by keys alone."""

    context: TypeContext

    async def take(self, start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        counts = self.context.store.counts
        found = Slice()
        if skip:
            found.total, start = await counts.find(self.context.resource_type, skip)
            if start is None:
                return found
        elif known is None:
            found.total = (await counts.count(self.context.resource_type)).total
        if found.total == 0 or room.is_full:
            return found
        while found.next is None:
            stretch = await self.context.store.resources.read_rows(self.context.resource_type, start, room.count + 1)
            for row in stretch.rows:
                one = parse_stored(row)
                if look_at(one):
                    await pause()
                found.add(one, room)
                if found.next is not None:
                    break
            if stretch.ends:
                break
            start = keys.id_after(keys.parse_id(stretch.rows[-1].key))
        if found.total is not None:
            found.total = _find_total(found, skip)
        return found


def _find_total(found: Slice, skip: int) -> int:
    """Return the total, which may be a minute old, as far as the page does not know better."""
    reached = skip + len(found.resources)
    if found.next is not None:
        return max(found.total or 0, reached + 1)
    return reached if found.resources or not skip else found.total or 0


@dataclass(frozen=True, slots=True)
class Scanned:
    """Every resource of the type, tested one by one; only the page is kept."""

    context: TypeContext
    condition: Condition

    async def take(self, start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        found, limit, total = Slice(), Limit(self.context, _build_remedy(self.context, self.condition)), 0
        size = PAGE_ROWS if known is None else min(room.count + 1, PAGE_ROWS)  # a page needs no more than what it holds
        batch = await self._read_rows(start, size)
        while True:
            limit.spend(len(batch.rows))
            start, size = (
                keys.id_after(keys.parse_id(batch.rows[-1].key)) if batch.rows else None,
                min(size * 2, PAGE_ROWS),
            )
            ahead = None
            if known is None and not batch.ends:  # all are counted: the table reads on while we look at these
                ahead = asyncio.ensure_future(self._read_rows(start, size))
            try:
                await asyncio.sleep(0)  # other requests of this process get their turn between pages
                for one in await self._find_matching(batch.rows):
                    total += 1
                    if total > skip:
                        found.add(one, room)
            except BaseException:
                if ahead is not None:
                    ahead.cancel()
                raise
            if batch.ends or (found.next is not None and known is not None):
                break
            batch = await (ahead or self._read_rows(start, size))
        found.total = total if known is None else None
        return found

    async def _read_rows(self, start: str | None, size: int) -> Stretch:
        return await self.context.store.resources.read_rows(self.context.resource_type, start, size)

    async def _find_matching(self, batch: list[Row]) -> list[Stored]:
        """Return those of the rows that match. They are read one after the other, so that of those that do not match
        nothing stays."""
        ids = [keys.parse_id(row.key) for row in batch]
        links = await read_asked_edges(self.context, ids, self.condition, neighbours=True)
        return await filter_matching(self.context, map(parse_stored, batch), links, self.condition)


async def read_asked_edges(
    context: TypeContext, ids: list[str], condition: Condition, *, neighbours: bool
) -> edges.Edges:
    """Return what a filter needs to know of these resources' edges."""
    if condition.asked is None:
        return await edges.read_page(context, ids, neighbours=neighbours)
    if not isinstance(condition.plan, ByEdge):
        return await edges.read_asked(context, ids, condition.asked)
    other = condition.plan.other  # of this one the plan has the answer
    links = await edges.read_asked(context, ids, condition.asked - {other})
    return {id: [*links[id], {"value": other}] for id in ids}


async def filter_matching(
    context: TypeContext,
    batch: Iterable[Stored],
    links: edges.Edges,
    condition: Condition,
) -> list[Stored]:
    """Return the resources that match; others are served between two of them."""
    found: list[Stored] = []
    for one in batch:
        if look_at(one):
            await pause()
        if condition.matches(build_resource(context, one, links.get(one.id))):
            found.append(one)
    return found


def look_at(one: Stored) -> bool:
    """Count a resource that a search looks at; whether others are to be served. Raises 400 tooMany."""
    return charge(_ROW + one.size // BYTES_EACH, Work.FILTER)
