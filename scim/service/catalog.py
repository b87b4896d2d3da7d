"""Resource types that are only read, such as /Roles: what an identity provider may choose from.

Their values come from a file, or from the tenant's policy; all are in memory, and none is a row of the table. So every
filter, order and page is answered from the whole list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from scim.budget import Work, charge, pause
from scim.errors import INVALID_CURSOR, NOT_FOUND, ScimError
from scim.filter.evaluate import bind
from scim.filter.parse import parse_filter
from scim.http import Response
from scim.schema.projection import Projection
from scim.schema.registry import Catalog, Declared
from scim.schema.validation import Document
from scim.service.context import TypeContext
from scim.service.query import Query, parse_body, parse_query, parse_url
from scim.service.search import LIST_URN

_VALUE = 2
"""Units of a value that a filter looks at, beside what its terms cost."""
_USED = "totalAssignmentsUsed"
_PERMITTED = "totalAssignmentsPermitted"
_LIMITED = "limitedAssignmentsPermitted"


async def search(context: TypeContext, catalog: Catalog) -> Response:
    """GET on the type. 200 with a ListResponse."""
    return await _run(context, catalog, parse_url(context.request))


async def search_by_post(context: TypeContext, catalog: Catalog, _: str) -> Response:
    """POST to the type's .search."""
    return await _run(context, catalog, parse_body(await context.read_body()))


async def read(context: TypeContext, catalog: Catalog, id: str) -> Response:
    """GET of one value. Raises 404."""
    found = next((each for each in await _list_values(context, catalog) if each["id"].lower() == id.lower()), None)
    if found is None:
        raise ScimError(NOT_FOUND, f"{context.resource_type.name} {id[:80]!r} does not exist; GET {_where(context)}.")
    resource = _build(context, found)
    shown = Projection(context.resource_type, context.request.query).apply(resource)
    return Response(200, shown, {"Location": resource["meta"]["location"]})


async def _run(context: TypeContext, catalog: Catalog, parameters: Mapping[str, str]) -> Response:
    wanted = parse_query(parameters, context.settings)
    projection = Projection(context.resource_type, parameters)
    found = [_build(context, each) for each in await _list_values(context, catalog)]
    if wanted.filter is not None:
        settings = context.settings
        limits = {"max_length": settings.max_filter_length, "max_depth": settings.max_filter_depth}
        matches = bind(parse_filter(wanted.filter, strict=context.strict, **limits), context.resource_type)
        every, found = found, []
        for each in every:
            if charge(_VALUE, Work.FILTER):
                await pause()
            if matches(each):
                found.append(each)
    if wanted.sort_by is not None:
        found = _sort(context, found, wanted)
    return _page(found, wanted, projection)


def _page(found: Sequence[Document], wanted: Query, projection: Projection) -> Response:
    """Return the page that was asked for; a cursor is the place where the next one begins."""
    first = wanted.start - 1
    if wanted.cursor:
        if not (wanted.cursor.isascii() and wanted.cursor.isdigit() and len(wanted.cursor) < 6):
            raise ScimError(INVALID_CURSOR, "The cursor is none of this service: send an empty one.")
        first = int(wanted.cursor)
    elif wanted.cursor is not None:
        first = 0
    shown = [projection.apply(each) for each in found[first : first + wanted.count]]
    body: dict[str, object] = {"schemas": [LIST_URN], "totalResults": len(found)}
    if wanted.cursor is None:
        body["startIndex"] = wanted.start
    elif wanted.count and first + wanted.count < len(found):
        body["nextCursor"] = str(first + wanted.count)
    return Response(200, {**body, "itemsPerPage": len(shown), "Resources": shown})


def _sort(context: TypeContext, found: Sequence[Document], wanted: Query) -> list[Document]:
    """Return the resources in the wanted order; what has no value is last, and first if it is descending (RFC 7644
    §3.4.2.3)."""
    from scim.service.sorting import find_sort_target, find_sort_value, to_comparable

    target: Declared | None = find_sort_target(context.resource_type, wanted.sort_by or "")

    def make_key(resource: Document) -> list[Any]:
        value = None if target is None else find_sort_value(resource, target)
        ordered = None if target is None or value is None else to_comparable(value, target.leaf)
        return [1, resource["id"]] if ordered is None else [0, ordered, resource["id"]]

    return sorted(found, key=make_key, reverse=wanted.descending)


async def _list_values(context: TypeContext, catalog: Catalog) -> Sequence[Mapping[str, Any]]:
    """Return the values for the tenant: those of its policy if that has any, else those of the file."""
    policy = context.policy
    offered = policy.offers.get(context.resource_type.name) if policy is not None else None
    values: Sequence[Mapping[str, Any]] = catalog.values
    if offered is not None:
        from scim.schema.loading import check_values

        values = check_values(context.resource_type, offered)
    if policy is not None and policy.seats.licenses and context.resource_type.resolve(_USED) is not None:
        return await _add_seats(context, values)
    return values


async def _add_seats(context: TypeContext, values: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
    """Say of values that are licences with seats how many there are and how many are taken."""
    from scim.service.steering import read_seats

    limits, used = await read_seats(context.store.partition)
    counted = []
    for value in values:
        name = str(value.get("value", value["id"]))
        if name in limits:
            value = {**value, _LIMITED: True, _PERMITTED: limits[name], _USED: used.get(name, 0)}
        counted.append(value)
    return counted


def _build(context: TypeContext, value: Mapping[str, Any]) -> Document:
    resource_type = context.resource_type
    meta = {"resourceType": resource_type.name, "location": f"{_where(context)}/{value['id']}"}
    return {"schemas": [resource_type.core.id], **value, "meta": meta}


def _where(context: TypeContext) -> str:
    return f"{context.base_url}{context.resource_type.document.endpoint}"
