"""The resources that an index leads to, or the edges of one resource: read and tested before the page is cut."""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator
from dataclasses import dataclass

from scim.budget import Work, charge, pause
from scim.service import edges
from scim.service.context import TypeContext
from scim.service.sources import Condition, Limit, Room, Scanned, Slice, filter_matching, read_asked_edges
from scim.store import keys
from scim.store.plan import ByEdge, ById, ByPrefix, ByValue, Plan, Scan, Union
from scim.store.resource_rows import Stored, parse_stored
from scim.store.table import PAGE_ROWS, PARALLEL_READS

_POINT_READ = 500
"""Units of a trip for one row."""
_MANY = 64
"""From this many candidates on it is worth a trip to see whether they lie densely."""
_DENSE = 1 / 16
"""Candidates among the rows of a range, from which on reading it is quicker than a point read each."""


@dataclass(frozen=True, slots=True)
class Listed:
    """The resources that an index leads to. `shows_edges` says that whatever is found will need its edges."""

    context: TypeContext
    condition: Condition
    shows_edges: bool

    async def take(self, start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        plan = self.condition.plan
        scanned = Scanned(self.context, self.condition)
        if known is not None and known > PAGE_ROWS and not _has_edge(plan):
            return await scanned.take(start, skip, room, known=known)
        ids = await _list_candidates(self.context, plan, Limit(self.context))
        ids = ids and [id for id in ids if self.context.registry.by_id(id) is self.context.resource_type]
        if ids is None or (len(ids) > PAGE_ROWS and not _has_edge(plan)):
            return await scanned.take(start, skip, room, known=known)  # cheaper than so many point reads
        return await self.read_page(ids, start, skip, room, known=known)

    async def read_page(self, ids: list[str], start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        """Return the page of these candidates, which are in order."""
        if known is not None and start is not None:
            ids = ids[bisect_left(ids, start) :]
        found, total = Slice(), 0
        # Nearly every candidate matches, and the groups of a resource are few (the members of one may be many).
        of_users = self.context.resource_type.member_of is not None
        early = self.shows_edges and of_users and len(ids) <= min(room.count, edges.FEW)
        wanted = None if known is None else skip + room.count + 1
        async for matching, links in self._find_matching(ids, wanted, whole=early):
            found.edges |= links if early else {}
            for one in matching:
                total += 1
                if total > skip:
                    found.add(one, room)
            if known is not None and found.next is not None:
                break
        found.total = total if known is None else None
        return found

    async def _find_matching(
        self, ids: list[str], wanted: int | None, *, whole: bool
    ) -> AsyncIterator[tuple[list[Stored], edges.Edges]]:
        """Return those of the candidates that match, some at a time; one that has gone does not. `wanted` is how many
        will do. With `whole`, all their edges are read at the same time, else those that the filter asks for."""
        at, density = 0, 1.0
        while at < len(ids):
            left = min(len(ids) - at, wanted or len(ids))
            if density >= _DENSE and left >= (_MANY if at == 0 else PARALLEL_READS):
                size = min(int(left / density) + 1, PAGE_ROWS)
                batch = await self.context.store.resources.read_rows(self.context.resource_type, ids[at], size)
                end = len(ids) if batch.ends else bisect_right(ids, keys.parse_id(batch.rows[-1].key), at)
                chunk = set(ids[at:end])
                there = [row for row in batch.rows if keys.parse_id(row.key) in chunk]
                found = [keys.parse_id(row.key) for row in there]
                density = len(there) / max(len(batch.rows), 1)
                links = await read_asked_edges(self.context, found, self.condition, neighbours=density >= _DENSE)
                matching = await filter_matching(self.context, map(parse_stored, there), links, self.condition)
            else:
                end = at + min(PARALLEL_READS, left if self.condition.answered else PARALLEL_READS)
                matching, links = await self._read_matching(ids[at:end], whole=whole)
            at = end
            yield matching, links
            if wanted is not None:
                wanted = max(wanted - len(matching), 1)

    async def _read_matching(self, ids: list[str], *, whole: bool) -> tuple[list[Stored], edges.Edges]:
        """Return those of a few candidates that match: rows and edges are read at once."""
        charge(_POINT_READ * len(ids), Work.READS)
        await pause()
        reads = self.context.store.resources.read_all(ids)
        if whole:
            asked = edges.read_page(self.context, ids, neighbours=False)
        else:
            asked = read_asked_edges(self.context, ids, self.condition, neighbours=False)
        there, links = await asyncio.gather(reads, asked)
        return await filter_matching(self.context, there, links, self.condition), links


@dataclass(frozen=True, slots=True)
class Linked:
    """The users of a group or the groups of a member. Its edges are in the order of ids, so a page further on reads
    only its own."""

    context: TypeContext
    condition: Condition
    shows_edges: bool

    async def take(self, start: str | None, skip: int, room: Room, *, known: int | None) -> Slice:
        listed = Listed(self.context, self.condition, self.shows_edges)
        if known is not None:
            return await self._continue(listed, start, room, known)
        ids = await _list_linked(self.context, self._other, Limit(self.context))
        if not self.condition.answered or len(ids) <= PAGE_ROWS:
            return await listed.read_page(ids, start, skip, room, known=None)
        found = await listed.read_page(ids[skip:], None, 0, room, known=0)
        # As many as have an edge; so the others need not be read. One that has just gone may still be among them.
        found.total = len(ids) if found.next or not found.resources else skip + len(found.resources)
        return found

    @property
    def _other(self) -> str:
        assert isinstance(self.condition.plan, ByEdge)
        return self.condition.plan.other

    async def _continue(self, listed: Listed, start: str | None, room: Room, known: int) -> Slice:
        """Return a further page of a walk."""
        found, limit = Slice(), Limit(self.context)
        size = min(room.count + 1, PAGE_ROWS)
        while found.next is None:
            ids: list[str] = []
            async for page in edges.list_linked(self.context, self._other, start, most=size):
                limit.spend(len(page))
                ids += page
                if len(ids) >= size:
                    break
            more = await listed.read_page(ids, None, 0, room, known=known)
            found.resources += more.resources
            found.edges |= more.edges
            found.next = more.next
            if len(ids) < size:
                break
            start, size = keys.id_after(ids[-1]), min(size * 2, PAGE_ROWS)
        return found


def _has_edge(plan: Plan) -> bool:
    return isinstance(plan, ByEdge) or (isinstance(plan, Union) and any(map(_has_edge, plan.plans)))


async def _list_linked(context: TypeContext, other: str, limit: Limit) -> list[str]:
    """Return all that have an edge to `other`, up to the limit."""
    ids: list[str] = []
    async for page in edges.list_linked(context, other):
        limit.spend(len(page))
        ids += page
    return ids


async def _list_candidates(context: TypeContext, plan: Plan, limit: Limit) -> list[str] | None:
    """Return the ids that a plan yields, in order, each once. None if a value has more of them than a page: they are
    scanned. Those of edges count against the limit."""
    resources = context.store.resources
    match plan:
        case ById(id):
            return [id]
        case ByValue(index, value) if index.unique:
            owner = await resources.find_unique_id(context.resource_type, index, value)
            return [owner] if owner else []
        case ByValue(index, value):
            return _sort_few(await resources.find_ids(context.resource_type, index, value, PAGE_ROWS))
        case ByPrefix(index, prefix):
            return _sort_few(await resources.find_prefix_ids(context.resource_type, index, prefix, PAGE_ROWS))
        case ByEdge(other):
            return await _list_linked(context, other, limit)
        case Union(plans):
            found: set[str] = set()
            for at in range(0, len(plans), PARALLEL_READS):
                some = plans[at : at + PARALLEL_READS]
                charge(_POINT_READ * len(some), Work.READS)
                await pause()
                lists = await asyncio.gather(*(_list_candidates(context, one, limit) for one in some))
                if None in lists:
                    return None
                found.update(id for ids in lists if ids for id in ids)
                if len(found) > PAGE_ROWS and not _has_edge(plan):
                    return None
            return sorted(found)
        case Scan():
            raise AssertionError("a scan has no candidates")


def _sort_few(ids: list[str]) -> list[str] | None:
    return sorted(set(ids)) if len(ids) <= PAGE_ROWS else None
