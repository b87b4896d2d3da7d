"""/feed: an operator's connection learns every change of its tenants (docs/feed.md).

GET /feed?after=<tenant>&max=100            the tenants that have a feed, and the number of their newest event
GET /feed/<tenant>?after=<cursor>&max=500   the events behind a cursor, at once whatever was written a moment ago
GET /feed/<tenant>/seats?after=<user>       what the policy makes of who is there, to begin anew with
"""

from __future__ import annotations

import asyncio
from typing import NoReturn

from scim.errors import GONE, INVALID_CURSOR, INVALID_VALUE, METHOD_NOT_ALLOWED, NOT_FOUND, ScimError
from scim.feed.following import Following
from scim.feed.log import MOST, START, BadCursor, Gone
from scim.http import Request, Response
from scim.schema.registry import Registry
from scim.security.connections import Connection
from scim.security.operators import require_operator, require_right
from scim.store.store import Store

_TENANTS = 100
"""Tenants of one page: the head of each is read."""
_EVENTS = 500
_JSON = {"Content-Type": "application/json", "Cache-Control": "no-store"}

_OFF = "The change feed is off (SCIM_FEED): nothing is told of what changes."
_NO_DOOR = (
    "There is nothing at {path}: a tenant's feed is read at {origin}/feed/<tenant>, and {origin}/feed lists them."
)
_ONLY_GET = "{method} is not allowed here; use GET."
_NOTHING_THERE = (
    "There is nothing of tenant {tenant}: its name is mistyped, or none of its connections has written anything yet, "
    "or it was erased."
)
_BAD_CURSOR = (
    "after={text!a} is no cursor: send the `next` of the page before as it came, or `now` for what comes from now on, "
    "or nothing for all that is kept."
)
_BAD_MAX = "max={text!a} is no number from 1 to {most}."
_GONE = (
    "Cannot go on from {after}: {why}. Take the cursor of GET /feed/{tenant}?after=now, then list users and groups at "
    "/tenants/{tenant}/scim in place of what you have, then go on from that cursor."
)


async def answer_feed(
    request: Request,
    connection: Connection,
    feed: Following | None,
    registry: Registry,
    store: Store,
    origin: str,
) -> Response:
    """Return the answer to an operator's request for changes; `origin` is where our doors are. Raises 403 for what its
    connection may not reach, 404, 400 and 410."""
    segments = request.segments
    lists_seats = len(segments) == 2 and segments[1].lower() == "seats"
    if len(segments) > 1 and not lists_seats:
        raise ScimError(NOT_FOUND, _NO_DOOR.format(path=request.path[:200], origin=origin))
    if request.method not in ("GET", "HEAD"):
        raise ScimError(METHOD_NOT_ALLOWED, _ONLY_GET.format(method=request.method[:20]), {"Allow": "GET, HEAD"})
    require_right(connection, "feed", segments[0] if segments else None)
    if feed is None:
        raise ScimError(NOT_FOUND, _OFF)
    if lists_seats:
        from scim.service.steering import list_standings

        after = request.query.get("after", "")
        return Response(200, await list_standings(store.table, registry, segments[0], after), dict(_JSON))
    if segments:
        return await _read_events(request, segments[0], feed, store)
    return await _list_tenants(request, connection, feed)


async def _read_events(request: Request, tenant: str, feed: Following, store: Store) -> Response:
    after, most = request.query.get("after") or None, _parse_max(request, _EVENTS, MOST)
    try:
        page = await feed.read(tenant, after, most)
    except BadCursor:
        raise ScimError(INVALID_CURSOR, _BAD_CURSOR.format(text=(after or "")[:80])) from None
    except Gone as gone:
        if not await store.knows(tenant):
            _raise_unknown(tenant)
        raise ScimError(GONE, _GONE.format(after=after, why=gone, tenant=tenant)) from None
    if page.next == START and not await store.knows(tenant):
        _raise_unknown(tenant)
    return Response(200, {"events": page.events, "next": page.next, "more": page.more}, dict(_JSON))


def _raise_unknown(tenant: str) -> NoReturn:
    raise ScimError(NOT_FOUND, _NOTHING_THERE.format(tenant=tenant))


async def _list_tenants(request: Request, connection: Connection, feed: Following) -> Response:
    """Return the tenants that the connection reaches; `next` is null behind the last."""
    after, most = request.query.get("after", ""), _parse_max(request, _TENANTS, _TENANTS)
    reaches, names, following = require_operator(connection).reaches, list[str](), None
    async for tenant in feed.log.tenants(after):
        if reaches(tenant):
            if len(names) == most:
                following = names[-1]
                break
            names.append(tenant)
    numbers = await asyncio.gather(*map(feed.log.head, names))
    tenants = [{"tenant": name, "seq": number} for name, number in zip(names, numbers, strict=True)]
    return Response(200, {"tenants": tenants, "next": following}, dict(_JSON))


def _parse_max(request: Request, default: int, most: int) -> int:
    text = request.query.get("max", "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and int(text) >= 1):
        raise ScimError(INVALID_VALUE, _BAD_MAX.format(text=text[:80], most=most))
    return min(int(text), most)
