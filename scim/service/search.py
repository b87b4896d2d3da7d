"""GET on a resource type: filter, page, project (RFC 7644 §3.4.2)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable

from scim.errors import INVALID_VALUE, TOO_MANY, ScimError
from scim.filter.evaluate import Predicate, bind
from scim.filter.parse import parse_filter
from scim.http import Response
from scim.schema.projection import Projection
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.service.context import Context
from scim.store.gateway import PAGE_ROWS
from scim.store.plan import ById, ByPrefix, ByValue, Plan, Scan, Union, plan
from scim.store.resources import Stored

LIST_URN = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
_PARALLEL_READS = 16


async def search(context: Context, resource_type: ResourceType) -> Response:
    """200 with a ListResponse, also where nothing matches: Entra quarantines a job that gets a 404 here."""
    projection = Projection(resource_type, context.request.query)
    start, count = _window(context)
    text = context.request.query.get("filter")
    if text is None:
        total, page = await context.resources.page(context.tenant, resource_type, start - 1, count)
        resources = [context.resource(resource_type, stored) for stored in page]
    else:
        total, resources = await _filtered(context, resource_type, text, start, count)
    body = {
        "schemas": [LIST_URN],
        "totalResults": total,
        "startIndex": start,
        "itemsPerPage": len(resources),
        "Resources": [projection.apply(resource) for resource in resources],
    }
    return Response(200, body)


async def _filtered(
    context: Context, resource_type: ResourceType, text: str, start: int, count: int
) -> tuple[int, list[Document]]:
    """How many resources match, and the page of them that begins with the start-th."""
    settings = context.settings
    tree = parse_filter(text, max_length=settings.max_filter_length, max_depth=settings.max_filter_depth)
    matches = bind(tree, resource_type)
    chosen = plan(tree, resource_type)
    if isinstance(chosen, Scan):
        return await _scan(context, resource_type, matches, start, count)
    ids = [
        id for id in await _candidates(context, resource_type, chosen) if context.registry.by_id(id) is resource_type
    ]
    if len(ids) > settings.scan_limit:
        raise _too_many(settings.scan_limit)
    found = [resource async for resource in _read_all(context, resource_type, ids) if matches(resource)]
    return len(found), found[start - 1 : start - 1 + count]


async def _scan(
    context: Context, resource_type: ResourceType, matches: Predicate, start: int, count: int
) -> tuple[int, list[Document]]:
    total, read, page = 0, 0, []
    async for batch in context.resources.scan(context.tenant, resource_type, PAGE_ROWS):
        read += len(batch)
        if read > context.settings.scan_limit:
            raise _too_many(context.settings.scan_limit)
        for stored in batch:
            resource = context.resource(resource_type, stored)
            if matches(resource):
                total += 1
                if start <= total < start + count:
                    page.append(resource)
        await asyncio.sleep(0)  # other requests of this process get their turn between pages
    return total, page


def _too_many(limit: int) -> ScimError:
    return ScimError(
        TOO_MANY,
        f"The filter has more than {limit} candidates: add `and` with userName, externalId, id or emails.value.",
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
        case Union(plans):
            lists = [await _candidates(context, resource_type, one) for one in plans]
            return sorted({id for ids in lists for id in ids})
        case Scan():
            raise AssertionError("a scan has no candidates")


async def _read_all(context: Context, resource_type: ResourceType, ids: list[str]) -> AsyncIterator[Document]:
    """The resources of these ids, a few reads at a time; one that has gone meanwhile is left out."""
    for at in range(0, len(ids), _PARALLEL_READS):
        reads: Iterable[Stored | None] = await asyncio.gather(
            *(context.resources.read(context.tenant, id) for id in ids[at : at + _PARALLEL_READS])
        )
        for stored in reads:
            if stored is not None:
                yield context.resource(resource_type, stored)


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
    if not text.lstrip("+-").isdecimal() or len(text) > 18:
        raise ScimError(INVALID_VALUE, f"{name} must be an integer, not {text[:40]!r}.")
    return int(text)
