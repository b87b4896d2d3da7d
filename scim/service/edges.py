"""Members of groups and groups of users in responses and filters: both are edges, neither is in a document.

A resource type shows edges in one attribute at most (`members` or `groups`), and this module reads them for one
resource, for a page of neighbours, or only as far as a filter asks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from scim.budget import Work, charge, pause
from scim.errors import TOO_MANY, ScimError
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.service.context import Context, TypeContext
from scim.store import keys
from scim.store.members import Member
from scim.store.table import PAGE_ROWS, PARALLEL_READS

Edges = dict[str, list[Document]]
"""By the resource's id, the values of its edge attribute."""

_LOOK = 500
"""Units of a look for the edges to one resource."""
FEW = PARALLEL_READS
"""Up to this many resources are read by one read each; for more, one range read is quicker."""
_FEW_ASKED = 8
"""Up to this many resources get one point read each; for more, the edges of the other end are listed once."""
_MORE_EDGES = 8
"""So many times as many edges as resources are read, before each resource is asked."""


def must_read(resource_type: ResourceType, projection: Projection) -> bool:
    """Return whether a response shows edges, so that they must be read."""
    return resource_type.edges is not None and projection.includes(resource_type.edges)


async def read_one(context: TypeContext, id: str, *, bounded: bool = False) -> list[Document]:
    """Return the edges of one resource. If `bounded`, raises 400 tooMany for more than the scan limit."""
    values: list[Document] = []
    async for _, value in _read_between(context, id, id):
        values.append(value)
        if bounded and len(values) > context.settings.scan_limit:
            raise _make_too_many(context, f"{context.resource_type.name} {id}")
    return values


def _make_too_many(context: TypeContext, shown: str) -> ScimError:
    what, limit = context.resource_type.edges, context.settings.scan_limit
    detail = f"{shown} has more than {limit} {what}, and a response shows no more: send excludedAttributes={what}."
    return ScimError(TOO_MANY, detail)


async def read_page(context: TypeContext, ids: Sequence[str], *, neighbours: bool) -> Edges:
    """Return the edges of a page in id order. Neighbours take one range read, and others too as long as what lies
    between them is no more than two trips; the rest take a read each. Raises 400 tooMany for more edges than the scan
    limit."""
    edges: Edges = {id: [] for id in ids}
    number, rest = 0, list(ids)

    async def collect(first: str, last: str, most: int) -> str | None:
        """Read a range; the id at which it was given up after `most` edges."""
        nonlocal number
        read = 0
        async for id, value in _read_between(context, first, last):
            number, read = number + 1, read + 1
            if read > most:
                return id
            if number > context.settings.scan_limit:
                raise _make_too_many(context, "The page")
            if id in edges:
                edges[id].append(value)
        return None

    if len(ids) > 1 and (neighbours or len(ids) > FEW):
        most = context.settings.scan_limit + 1 if neighbours else 2 * PAGE_ROWS
        given_up = await collect(min(ids), max(ids), most)
        rest = [id for id in ids if given_up is not None and id >= given_up]
    for id in rest:
        edges[id].clear()
    for at in range(0, len(rest), FEW):
        await asyncio.gather(*(collect(id, id, context.settings.scan_limit + 1) for id in rest[at : at + FEW]))
    return edges


async def read_asked(context: TypeContext, ids: Sequence[str], others: Iterable[str]) -> Edges:
    """Return the edges of these resources as far as they lead to `others`: what a filter on them needs, and no more."""
    edges: Edges = {id: [] for id in ids}
    for other in others:
        charge(_LOOK, Work.READS)
        await pause()
        for id in await _find_linked(context, ids, other):
            edges[id].append({"value": other})
    return edges


async def list_linked(
    context: TypeContext,
    other: str,
    start: str | None = None,
    end: str | None = None,
    most: int = PAGE_ROWS,
) -> AsyncIterator[list[str]]:
    """Return pages of the ids of the resources of the type with an edge to `other`, in order: the groups of a member,
    the users of a group; those from `start` on and before `end`. With `most`, pages are smaller."""
    of_group = context.resource_type.members is None
    async for page in context.store.resources.read_linked_ids(other, start, end, of_group=of_group, most=most):
        yield [id for id in page if context.registry.by_id(id) is context.resource_type]


async def _find_linked(context: TypeContext, ids: Sequence[str], other: str) -> set[str]:
    """Return which of these resources have an edge to `other`. For more than a few, the edges between the first and the
    last of them are read, as long as these are not many more; beyond, each resource is asked."""
    found: set[str] = set()
    rest = list(ids)
    if len(ids) > _FEW_ASKED:
        wanted, most, read = set(ids), _MORE_EDGES * len(ids), 0
        rest = []
        async for page in list_linked(context, other, min(ids), keys.id_after(max(ids)), most):
            found |= wanted.intersection(page)
            read += len(page)
            if read >= most:
                rest = [id for id in ids if id > page[-1]]
                break
    for at in range(0, len(rest), PARALLEL_READS):
        some = rest[at : at + PARALLEL_READS]
        pairs = [(id, other) if context.resource_type.members else (other, id) for id in some]
        held = await asyncio.gather(*(context.store.members.holds(*pair) for pair in pairs))
        found |= {id for id, holds in zip(some, held, strict=True) if holds}
    return found


async def _read_between(context: TypeContext, first: str, last: str) -> AsyncIterator[tuple[str, Document]]:
    """Return (id, value of its edge attribute) for the resources from `first` to `last`."""
    if context.resource_type.members:
        async for group, member in context.store.members.read_members(first, last):
            yield group, build_member_value(context, member)
    elif context.resource_type.member_of:
        references = context.references
        async for id, group in context.store.members.read_groups(first, last):
            yield id, _drop_none({"value": group, "$ref": references.build(group), "type": "direct"})


def build_member_value(context: Context, member: Member) -> Document:
    """Return a member as a group shows it: type and absolute $ref are the server's, display is as sent (RFC 7643
    §4.2)."""
    resource_type = context.registry.by_id(member.value)
    return _drop_none(
        {
            "value": member.value,
            "$ref": context.references.build(member.value),
            "type": resource_type.name if resource_type else member.type,
            "display": member.display,
        }
    )


def _drop_none(value: Document) -> Document:
    return {name: item for name, item in value.items() if item is not None}
