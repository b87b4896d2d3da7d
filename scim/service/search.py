"""Searches: GET on a resource type or on the root, and POST to .search of either (RFC 7644 §3.4.2, §3.4.3).

A search reads one source for each resource type, in order; pages are cut by startIndex (with bookmarks) or by cursor
(RFC 9865). Without sortBy the order is that of the ids, which never changes while a client walks.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from scim.budget import BYTES_EACH, Work, call, charge, pause
from scim.errors import INVALID_CURSOR, ScimError
from scim.filter.evaluate import bind, knows, require_known
from scim.filter.parse import parse_filter
from scim.filter.tree import Compare, Filter, ValuePath, list_names
from scim.http import Response
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.service import cursors, edges
from scim.service.candidates import Linked, Listed
from scim.service.context import Context, TypeContext
from scim.service.query import Query, parse_body, parse_query, parse_url
from scim.service.representation import build_resource
from scim.service.sources import All, Condition, Room, Scanned, Source
from scim.store.plan import ByEdge, Scan, find_edge_ids, list_indexes, plan
from scim.store.positions import Position
from scim.store.resource_rows import Stored
from scim.store.table import TableUnavailable

Bookmark = tuple[str, int, Position]
"""To leave for the next page: of which query it is, with which resource it begins, and where that is."""

_SHOWN = 10
"""Units of a resource that is shown."""
_CHARACTERS = 4
"""Characters of a filter that are read in the time of a value."""
LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"


@dataclass(slots=True)
class Page:
    """A page of a search."""

    resources: list[tuple[ResourceType, Stored]] = field(default_factory=list)
    """The resources with their types."""
    edges: edges.Edges = field(default_factory=dict)
    """The edges that were read with them."""
    total: int = 0
    """How many resources there are in all."""
    next: dict[str, Any] | None = None
    """Where the next page begins; None on the last."""


_MAX_IN_URL = 8192
"""Characters of a filter in a URL: what fits into one that the Functions front end takes."""


async def search(context: TypeContext) -> Response:
    """GET on a resource type. 200 with a ListResponse, also if nothing matches: a 404 makes Entra quarantine."""
    return await _run(context, [context.resource_type], parse_url(context.request))


async def search_by_post(context: TypeContext) -> Response:
    """POST to a resource type's .search."""
    return await _run(context, [context.resource_type], parse_body(await context.read_body()))


async def search_root(context: Context) -> Response:
    """GET on the root: all resource types."""
    return await _run(context, _list_permitted(context), parse_url(context.request))


async def search_root_by_post(context: Context) -> Response:
    """POST to the root's .search."""
    return await _run(context, _list_permitted(context), parse_body(await context.read_body()))


def _list_permitted(context: Context) -> list[ResourceType]:
    return [each for each in context.registry.resource_types if context.permits(each)]


async def _run(context: Context, types: Sequence[ResourceType], parameters: Mapping[str, str]) -> Response:
    wanted = parse_query(parameters, context.settings)
    projections = {resource_type.name: Projection(resource_type, parameters) for resource_type in types}
    sources = await _build_sources(context, types, wanted, projections)
    page, kept = await (_walk if wanted.sort_by is None else _sort)(context, sources, wanted)
    resources, _ = await asyncio.gather(
        _build_resources(context, page, projections, wanted), _keep_bookmark(context, kept)
    )
    body: dict[str, object] = {"schemas": [LIST_URN], "totalResults": page.total}
    if wanted.cursor is None:
        body["startIndex"] = wanted.start
    elif page.next is not None:
        key = await context.store.cursor_key.read()
        body["nextCursor"] = cursors.seal(
            key, context.tenant, _build_identity(context, sources, wanted), wanted.count, page.next
        )
    return Response(200, {**body, "itemsPerPage": len(resources), "Resources": resources})


async def _build_sources(
    context: Context, types: Sequence[ResourceType], wanted: Query, projections: Mapping[str, Projection]
) -> list[Source]:
    """Return a source for each type. A filter's attribute that another of the types has counts as one without a
    value."""
    if wanted.filter is None:
        return [All(context.of(resource_type)) for resource_type in types]
    settings = context.settings
    in_url = context.request.method == "GET"
    tree = await call(
        len(wanted.filter) // _CHARACTERS,
        parse_filter,
        wanted.filter,
        max_length=min(settings.max_filter_length, _MAX_IN_URL) if in_url else settings.max_filter_length,
        max_depth=settings.max_filter_depth,
        strict=context.strict,
    )
    for name in list_names(tree):
        if not any(knows(name, resource_type) for resource_type in types):
            require_known(name, types[0])  # raises, with what there is to say
    shown = [t.name for t in types if wanted.sort_by is None and edges.must_read(t, projections[t.name])]
    typed = [context.of(resource_type) for resource_type in types]
    conditions = [await _plan_condition(one, tree, foreign=len(types) > 1) for one in typed]
    return [
        _build_source(one, condition, shows_edges=one.resource_type.name in shown)
        for one, condition in zip(typed, conditions, strict=True)
    ]


def _build_source(context: TypeContext, condition: Condition, *, shows_edges: bool) -> Source:
    match condition.plan:
        case Scan():
            return Scanned(context, condition)
        case ByEdge():
            return Linked(context, condition, shows_edges)
        case _:
            return Listed(context, condition, shows_edges)


async def _plan_condition(context: TypeContext, tree: Filter, *, foreign: bool) -> Condition:
    """Return the filter and how to find what matches. An index that does not cover the whole tenant is not used: it
    would miss what is there."""
    matches, chosen = bind(tree, context.resource_type, foreign=foreign), plan(tree, context.resource_type)
    used = list_indexes(chosen)
    missing = await context.store.census.find_unusable(context.resource_type, used)
    if missing:
        chosen = plan(tree, context.resource_type, missing)
    unindexed = tuple(sorted({index.path for index in used if index.key in missing}))
    alone = isinstance(tree.filter if isinstance(tree, ValuePath) else tree, Compare)
    answered = alone and isinstance(chosen, ByEdge)
    return Condition(matches, chosen, find_edge_ids(tree, context.resource_type), answered, unindexed)


def _build_identity(context: Context, sources: Sequence[Source], wanted: Query) -> str:
    """Return whose walk it is and of which query: bookmarks and cursors of others must not move it."""
    return wanted.build_identity(context.connection, ",".join(one.context.resource_type.name for one in sources))


async def _walk(context: Context, sources: Sequence[Source], wanted: Query) -> tuple[Page, Bookmark | None]:
    """Return a page in the order of ids, and the bookmark to leave for the next one."""
    identity = _build_identity(context, sources, wanted)
    place, seen = await _find_place(context, identity, wanted)
    page = await _read_page(sources, wanted, place, skip=0 if wanted.cursor is not None else wanted.start - 1)
    return page, _announce_next(page, identity, wanted, place, seen)


def _announce_next(page: Page, identity: str, wanted: Query, place: Position | None, seen: int) -> Bookmark | None:
    """Say on the page how many there are and where the next one begins; the bookmark for it."""
    reached = seen + len(page.resources)
    if place is not None:  # the count was made when the walk began, and what came or went since must not end it wrongly
        page.total = max(place.total, reached + 1) if page.next else reached
    if page.next is None or not wanted.count:
        page.next = None
        return None
    position = Position(page.next["type"], page.next["id"], page.total, page.next.get("window"))
    page.next |= {"total": page.total, "seen": reached}
    return (identity, wanted.start + len(page.resources), position) if wanted.cursor is None else None


async def _find_place(context: Context, identity: str, wanted: Query) -> tuple[Position | None, int]:
    """Return where the page begins, if that is known, and how many resources come before it."""
    if wanted.cursor:
        return await _unseal_place(context, identity, wanted)
    if wanted.cursor is None and wanted.start > 1:
        positions = context.store.positions
        return await positions.find(context.connection, identity, wanted.start), wanted.start - 1
    return None, 0


async def _unseal_place(context: Context, identity: str, wanted: Query) -> tuple[Position, int]:
    place = await _unseal(context, identity, wanted)
    return Position(place["type"], place["id"], place["total"], place.get("window")), place["seen"]


async def _unseal(context: Context, identity: str, wanted: Query) -> dict[str, Any]:
    key = await context.store.cursor_key.read()
    return cursors.unseal(key, context.tenant, identity, wanted.count, wanted.cursor or "")


async def _read_page(sources: Sequence[Source], wanted: Query, place: Position | None, *, skip: int) -> Page:
    """Return one page over the sources in order, from the place on or after skipping."""
    page, names = Page(), [one.context.resource_type.name for one in sources]
    if place is not None and place.resource_type not in names:
        raise ScimError(INVALID_CURSOR, "The cursor names a resource type that is gone: send an empty one.")
    first = names.index(place.resource_type) if place else 0
    room = Room(wanted.count)
    for number, one in enumerate(sources[first:], first):
        start = place.id if place and number == first else None
        skipped = skip if place is None else 0
        found = await one.take(start, skipped, room, known=place.total if place else None)
        page.resources += [(one.context.resource_type, stored) for stored in found.resources]
        page.edges |= found.edges
        page.total += found.total or 0
        skip = max(skip - (found.total or 0), 0)
        if page.next is None and found.next is not None:
            page.next = {"type": one.context.resource_type.name, "id": found.next.id}
            if place is not None:
                break
    return page


async def _sort(context: Context, sources: Sequence[Source], wanted: Query) -> tuple[Page, Bookmark | None]:
    """Return a page in the order of an attribute, and the bookmark to leave for the next one. A cursor holds what the
    last resource before it is ordered by."""
    from scim.service import sorting  # with what else is imported so in this package: 7 ms of every cold start

    order = await sorting.parse_order(context, sources, wanted)
    identity = _build_identity(context, sources, wanted)
    if order.by is None:
        after, offset = None, wanted.start - 1 if wanted.cursor is None else 0
        if wanted.cursor:
            after = (await _unseal(context, identity, wanted))["after"]
        held = await sorting.sort_all(context, sources, wanted, order, offset, after)
        return Page(held.resources, total=held.total, next={"after": held.last} if held.last else None), None
    place, seen = await _unseal_place(context, identity, wanted) if wanted.cursor else (None, 0)
    find = partial(context.store.positions.find, context.connection, identity, wanted.start)
    found = await sorting.read_by_index(sources[0].context, order.by, wanted, place, find)
    page = Page(found.resources, total=found.total)
    if found.last is not None:
        page.next = {"type": sources[0].context.resource_type.name, "id": found.last, "window": found.window}
    seen = seen if wanted.cursor is not None else wanted.start - 1
    bookmark = _announce_next(page, identity, wanted, found.place, seen)
    return page, bookmark if found.is_long else None


async def _keep_bookmark(context: Context, bookmark: Bookmark | None) -> None:
    if bookmark is not None and context.writes:
        with contextlib.suppress(TableUnavailable):  # a hint: without it the next page costs more reads
            await context.store.positions.write(context.connection, *bookmark)


async def _build_resources(
    context: Context, page: Page, projections: Mapping[str, Projection], wanted: Query
) -> list[Document]:
    """Return the page's resources as the client gets them, with their edges if it asks for them."""
    shown: dict[str, Document] = {}
    for name, projection in projections.items():
        group = [(resource_type, stored) for resource_type, stored in page.resources if resource_type.name == name]
        if not group:
            continue
        own, found = context.of(group[0][0]), page.edges
        unread = [stored.id for _, stored in group if stored.id not in found]
        if unread and edges.must_read(own.resource_type, projection):
            neighbours = wanted.filter is None and wanted.sort_by is None
            found = found | await edges.read_page(own, unread, neighbours=neighbours)
        for _, stored in group:
            values = found.get(stored.id)
            if charge(_SHOWN + stored.size // BYTES_EACH + len(values or ()) // 10, Work.PAGE):
                await pause()
            shown[stored.id] = projection.apply(build_resource(own, stored, values))
    return [shown[stored.id] for _, stored in page.resources]
