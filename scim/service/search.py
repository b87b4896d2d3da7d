"""GET on a resource type: filter, page, project (RFC 7644 §3.4.2)."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass

from scim.errors import INVALID_VALUE, TOO_MANY, ScimError
from scim.filter.evaluate import Predicate, bind
from scim.filter.parse import parse_filter
from scim.http import Response
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.service import edges
from scim.service.context import Context
from scim.store.gateway import PAGE_ROWS
from scim.store.plan import ByEdge, ById, ByPrefix, ByValue, Plan, Scan, Union, edges_asked, plan
from scim.store.resources import Stored

LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_PARALLEL_READS = 16
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


async def search(context: Context, resource_type: ResourceType) -> Response:
    """200 with a ListResponse, also where nothing matches: Entra quarantines a job that gets a 404 here."""
    projection = Projection(resource_type, context.request.query)
    start, count = _window(context)
    text = context.request.query.get("filter")
    if text is None:
        total, page = await context.resources.page(context.tenant, resource_type, start - 1, count)
    else:
        total, page = await _filtered(context, resource_type, text, start, count)
    resources = [context.resource(resource_type, stored) for stored in page]
    if edges.shown(resource_type, projection):
        await _attach(context, resource_type, resources, neighbours=text is None)
    body = {
        "schemas": [LIST_URN],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": [projection.apply(resource) for resource in resources],
    }
    return Response(200, body)


async def _attach(
    context: Context, resource_type: ResourceType, resources: list[Document], *, neighbours: bool
) -> None:
    """Give each resource of a page its members or groups."""
    attribute = edges.attribute_of(resource_type) or ""
    found = await edges.of_page(context, resource_type, [r["id"] for r in resources], neighbours=neighbours)
    for resource in resources:
        if values := found[resource["id"]]:
            resource[attribute] = values


@dataclass(frozen=True, slots=True)
class _Filter:
    """A filter bound to a request. `asked` are the ids that it looks for among a resource's edges, None being all."""

    matches: Predicate
    plan: Plan
    asked: set[str] | None


async def _filtered(
    context: Context, resource_type: ResourceType, text: str, start: int, count: int
) -> tuple[int, list[Stored]]:
    """How many resources match, and the page of them that begins with the start-th."""
    settings = context.settings
    tree = parse_filter(text, max_length=settings.max_filter_length, max_depth=settings.max_filter_depth)
    filter = _Filter(bind(tree, resource_type), plan(tree, resource_type), edges_asked(tree, resource_type))
    if isinstance(filter.plan, Scan):
        return await _scan(context, resource_type, filter, start, count)
    ids = [id for id in await _candidates(context, resource_type, filter.plan) if _is(context, id, resource_type)]
    if len(ids) > settings.scan_limit:
        raise _too_many(settings.scan_limit)
    found: list[Stored] = []
    for at in range(0, len(ids), _PARALLEL_READS):
        found += await _matching(context, resource_type, ids[at : at + _PARALLEL_READS], filter)
    return len(found), found[start - 1 : start - 1 + count]


async def _matching(context: Context, resource_type: ResourceType, ids: list[str], filter: _Filter) -> list[Stored]:
    """Those of a few candidates that match; one that has gone meanwhile does not. Rows and edges are read at once."""
    reads = asyncio.gather(*(context.resources.read(context.tenant, id) for id in ids))
    rows, asked = await asyncio.gather(reads, _edges(context, resource_type, ids, filter, neighbours=False))
    return _kept(context, resource_type, [row for row in rows if row is not None], asked, filter)


async def _scan(
    context: Context, resource_type: ResourceType, filter: _Filter, start: int, count: int
) -> tuple[int, list[Stored]]:
    """The same by reading every resource of the type, a page of rows at a time; only the result is kept."""
    total, read = 0, 0
    page: list[Stored] = []
    async for batch in context.resources.scan(context.tenant, resource_type, PAGE_ROWS):
        read += len(batch)
        if read > context.settings.scan_limit:
            raise _too_many(context.settings.scan_limit)
        asked = await _edges(context, resource_type, [stored.id for stored in batch], filter, neighbours=True)
        kept = _kept(context, resource_type, batch, asked, filter)
        page += kept[max(start - 1 - total, 0) : max(start - 1 + count - total, 0)]
        total += len(kept)
        await asyncio.sleep(0)  # other requests of this process get their turn between pages
    return total, page


async def _edges(
    context: Context, resource_type: ResourceType, ids: list[str], filter: _Filter, *, neighbours: bool
) -> edges.Edges:
    """What the filter needs to know of these resources' edges."""
    if filter.asked is None:
        return await edges.of_page(context, resource_type, ids, neighbours=neighbours)
    if isinstance(filter.plan, ByEdge) and filter.asked == {filter.plan.other}:
        return {id: [{"value": filter.plan.other}] for id in ids}  # the plan has answered it
    return await edges.of_asked(context, resource_type, ids, filter.asked)


def _kept(
    context: Context, resource_type: ResourceType, batch: Sequence[Stored], asked: edges.Edges, filter: _Filter
) -> list[Stored]:
    attribute = edges.attribute_of(resource_type)
    kept = []
    for stored in batch:
        resource = context.resource(resource_type, stored)
        if attribute and (values := asked.get(stored.id)):
            resource[attribute] = values
        if filter.matches(resource):
            kept.append(stored)
    return kept


def _is(context: Context, id: str, resource_type: ResourceType) -> bool:
    return context.registry.by_id(id) is resource_type


def _too_many(limit: int) -> ScimError:
    return ScimError(
        TOO_MANY,
        f"The filter has more than {limit} candidates: add `and` with an attribute that has an index, or an id.",
    )


async def _candidates(context: Context, resource_type: ResourceType, chosen: Plan) -> list[str]:
    """The ids that a plan yields, in order, each once."""
    tenant, resources = context.tenant, context.resources
    match chosen:
        case ById(id):
            return [id]
        case ByValue(index, value) if index.unique:
            owner = await resources.unique_id(tenant, resource_type, index, value)
            return [owner] if owner else []
        case ByValue(index, value):
            return sorted(set(await resources.lookup_ids(tenant, resource_type, index, value)))
        case ByPrefix(index, prefix):
            return sorted(set(await resources.prefix_ids(tenant, resource_type, index, prefix)))
        case ByEdge(other):
            return await edges.linked_to(context, resource_type, other)
        case Union(plans):
            lists = await asyncio.gather(*(_candidates(context, resource_type, one) for one in plans))
            return sorted({id for ids in lists for id in ids})
        case Scan():
            raise AssertionError("a scan has no candidates")


def _window(context: Context) -> tuple[int, int]:
    """startIndex (from 1) and count of the page. Raises 400 invalidValue for what is no integer; out of range is
    brought into range, as RFC 7644 §3.4.2.4 says."""
    start = _integer(context, "startIndex", 1)
    count = _integer(context, "count", context.settings.page_size)
    return max(start, 1), min(max(count, 0), context.settings.max_page_size)


def _integer(context: Context, name: str, default: int) -> int:
    text = context.request.query.get(name.lower(), "").strip()
    if not text:
        return default
    if not _INTEGER.fullmatch(text):
        raise ScimError(INVALID_VALUE, f"{name} must be an integer, not {text[:40]!r}.")
    return int(text)
