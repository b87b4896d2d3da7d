"""Where the resources of a search come from: one source for each resource type, all read in the same way.

A source gives its resources in id order from any row key on, which is what both bookmarks and cursors hold. Which
source a resource type gets follows from the filter's plan: listed candidates, all resources, or a scan.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from scim.errors import TOO_MANY, ScimError
from scim.filter.evaluate import Predicate
from scim.schema.registry import ResourceType
from scim.service import edges
from scim.service.context import Context
from scim.store import rows
from scim.store.gateway import PAGE_ROWS, PARALLEL_READS
from scim.store.plan import ByEdge, ById, ByPrefix, ByValue, Plan, Scan, Union
from scim.store.resources import Stored, stored
from scim.store.row import Row


@dataclass(frozen=True, slots=True)
class Found:
    """A stretch of a source: the resources, the one after them (None at the end), how many the source has in all (None
    where that was not asked), and the edges that were read on the way."""

    resources: list[Stored]
    next: Stored | None
    total: int | None
    edges: edges.Edges = field(default_factory=dict)


class Source(Protocol):
    """The resources of one type that a search is about."""

    @property
    def resource_type(self) -> ResourceType:
        """The type of all its resources."""

    async def take(self, start: str | None, skip: int, count: int, *, known: int | None) -> Found:
        """`count` resources from the id `start` on (None: from the first), after skipping `skip`. `known` is how many
        the search found when it began; None to count them now."""


class Condition(NamedTuple):
    """A filter bound to a resource type. `asked` are the ids that it looks for among a resource's edges, None being
    all of them; `unindexed` the attributes whose index does not cover the tenant yet."""

    matches: Predicate
    plan: Plan
    asked: set[str] | None
    unindexed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Listed:
    """The resources that an index leads to, read and tested before the page is cut. `shows_edges` says that whatever is
    found will need its edges."""

    context: Context
    resource_type: ResourceType
    condition: Condition
    shows_edges: bool

    async def take(self, start: str | None, skip: int, count: int, *, known: int | None) -> Found:
        scanned = Scanned(self.context, self.resource_type, self.condition)
        if known is not None and known > PAGE_ROWS and not isinstance(self.condition.plan, ByEdge):
            return await scanned.take(start, skip, count, known=known)
        ids = await _candidates(self.context, self.resource_type, self.condition.plan)
        ids = [id for id in ids if self.context.registry.by_id(id) is self.resource_type]
        if len(ids) > PAGE_ROWS and not isinstance(self.condition.plan, ByEdge):
            return await scanned.take(start, skip, count, known=known)  # cheaper than so many point reads
        if known is not None:
            ids = [id for id in ids if start is None or id >= start]
        found: list[Stored] = []
        # Nearly every candidate matches, and the groups of a resource are few (the members of one may be many).
        early = self.shows_edges and self.resource_type.member_of is not None and len(ids) <= min(count, edges.FEW)
        links: edges.Edges = {}
        for at in range(0, len(ids), PARALLEL_READS):
            matching, links = await self._matching(ids[at : at + PARALLEL_READS], whole=early)
            found += matching
            if known is not None and len(found) > skip + count:
                break
        rest = [one for one in found if start is None or one.id >= start][skip:]
        following = rest[count] if len(rest) > count else None
        return Found(rest[:count], following, len(found) if known is None else None, links if early else {})

    async def _matching(self, ids: list[str], *, whole: bool) -> tuple[list[Stored], edges.Edges]:
        """Those of a few candidates that match; one that has gone does not. Rows and edges are read at once: all edges,
        or those that the filter asks for."""
        reads = self.context.store.resources.read_all(self.context.tenant, ids)
        if whole:
            asked = edges.of_page(self.context, self.resource_type, ids, neighbours=False)
        else:
            asked = asked_edges(self.context, self.resource_type, ids, self.condition, neighbours=False)
        there, links = await asyncio.gather(reads, asked)
        return kept(self.context, self.resource_type, there, links, self.condition), links


@dataclass(frozen=True, slots=True)
class All:
    """Every resource of the type: counted by keys alone."""

    context: Context
    resource_type: ResourceType

    async def take(self, start: str | None, skip: int, count: int, *, known: int | None) -> Found:
        resources, tenant = self.context.store.resources, self.context.tenant
        total = None
        if known is None or skip:
            ids = await resources.ids(tenant, self.resource_type)
            rest = [id for id in ids if start is None or id >= start][skip:]
            total, start = len(ids), rest[0] if rest else None
            if not rest:
                return Found([], None, total)
        found = await resources.stretch(tenant, self.resource_type, start, count + 1)
        return Found(found[:count], found[count] if len(found) > count else None, total)


@dataclass(frozen=True, slots=True)
class Scanned:
    """Every resource of the type, tested one by one; only the page is kept."""

    context: Context
    resource_type: ResourceType
    condition: Condition

    async def take(self, start: str | None, skip: int, count: int, *, known: int | None) -> Found:
        wanted: list[Stored] = []
        total = read = 0
        size = PAGE_ROWS if known is None else min(count + 1, PAGE_ROWS)  # a page needs no more than what it holds
        batch = await self._rows(start, size)
        while True:
            read += len(batch)
            if read > self.context.settings.scan_limit:
                raise too_many(self.context, self.condition)
            is_last = len(batch) < size
            start, size = rows.after(rows.id_of(batch[-1].key)) if batch else None, min(size * 2, PAGE_ROWS)
            ahead = None
            if known is None and not is_last:  # all are counted: the table reads on while we look at these
                ahead = asyncio.ensure_future(self._rows(start, size))
            try:
                await asyncio.sleep(0)  # other requests of this process get their turn between pages
                matching = await self._matching(batch)
            except BaseException:
                if ahead is not None:
                    ahead.cancel()
                raise
            wanted += matching[max(skip - total, 0) : max(skip + count + 1 - total, 0)]
            total += len(matching)
            if is_last or (len(wanted) > count and known is not None):
                break
            batch = await (ahead or self._rows(start, size))
        return Found(wanted[:count], wanted[count] if len(wanted) > count else None, total if known is None else None)

    async def _rows(self, start: str | None, size: int) -> list[Row]:
        return await self.context.store.resources.rows(self.context.tenant, self.resource_type, start, size)

    async def _matching(self, batch: list[Row]) -> list[Stored]:
        """One after the other, so that of those that do not match nothing stays."""
        ids = [rows.id_of(row.key) for row in batch]
        links = await asked_edges(self.context, self.resource_type, ids, self.condition, neighbours=True)
        return kept(self.context, self.resource_type, map(stored, batch), links, self.condition)


def source(
    context: Context, resource_type: ResourceType, condition: Condition | None, *, shows_edges: bool = False
) -> Source:
    """The source of a resource type for a search."""
    if condition is None:
        return All(context, resource_type)
    if isinstance(condition.plan, Scan):
        return Scanned(context, resource_type, condition)
    return Listed(context, resource_type, condition, shows_edges)


def too_many(context: Context, condition: Condition) -> ScimError:
    detail = f"The search reads more than {context.settings.scan_limit} resources: "
    detail += "add `and` with userName, externalId or id."
    if condition.unindexed:
        command = f"python -m scim tenants reindex {context.tenant}"
        detail += f" {' and '.join(condition.unindexed)} can be searched by once the operator has run `{command}`."
    return ScimError(TOO_MANY, detail)


async def asked_edges(
    context: Context, resource_type: ResourceType, ids: list[str], condition: Condition, *, neighbours: bool
) -> edges.Edges:
    """What a filter needs to know of these resources' edges."""
    if condition.asked is None:
        return await edges.of_page(context, resource_type, ids, neighbours=neighbours)
    if isinstance(condition.plan, ByEdge) and condition.asked == {condition.plan.other}:
        return {id: [{"value": condition.plan.other}] for id in ids}  # the plan has answered it
    return await edges.of_asked(context, resource_type, ids, condition.asked)


def kept(
    context: Context,
    resource_type: ResourceType,
    batch: Iterable[Stored],
    links: edges.Edges,
    condition: Condition,
) -> list[Stored]:
    """The resources that match."""
    return [one for one in batch if condition.matches(context.resource(resource_type, one, links.get(one.id)))]


async def _candidates(context: Context, resource_type: ResourceType, plan: Plan) -> list[str]:
    """The ids that a plan yields, in order, each once; of more than a page's worth not all, since they are scanned."""
    tenant, resources = context.tenant, context.store.resources
    match plan:
        case ById(id):
            return [id]
        case ByValue(index, value) if index.unique:
            owner = await resources.unique_id(tenant, resource_type, index, value)
            return [owner] if owner else []
        case ByValue(index, value):
            return sorted(set(await resources.lookup_ids(tenant, resource_type, index, value, PAGE_ROWS)))
        case ByPrefix(index, prefix):
            return sorted(set(await resources.prefix_ids(tenant, resource_type, index, prefix, PAGE_ROWS)))
        case ByEdge(other):
            return await edges.linked_to(context, resource_type, other)
        case Union(plans):
            lists = await asyncio.gather(*(_candidates(context, resource_type, one) for one in plans))
            return sorted({id for ids in lists for id in ids})
        case Scan():
            raise AssertionError("a scan has no candidates")
