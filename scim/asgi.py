"""Our doors inside another application: as an ASGI application that Starlette, FastAPI, Quart or a server can mount.

docs/embed.md shows how. It needs no package of its own: ASGI is a convention.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import quote

from scim.app import Application
from scim.http import Request

log = logging.getLogger("scim")

Scope = Mapping[str, Any]
Receive = Callable[[], Awaitable[Mapping[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

_EVERY = 300.0
"""Seconds between two runs of housekeeping, as in function_app.py."""


class Mounted:
    """An ASGI application that answers with `application`, wherever it is mounted. `at` is the path before our doors;
    None if the scope's `root_path` says it, as a framework's mount sees to."""

    def __init__(self, application: Application, *, at: str | None = None) -> None:
        self._application = application
        self._at = at

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise RuntimeError(f"scim answers HTTP requests, not {scope['type']}; give lifespans to scim.asgi.keep")
        body = await _read(receive, self._application.most_bytes)
        if body is None:
            return
        prefix = scope.get("root_path", "") if self._at is None else self._at
        request = Request(scope["method"], _find_url(scope), _find_headers(scope), body, prefix)
        response = await self._application.handle(request)
        content = response.encoded()
        headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in response.headers.items()]
        if response.status not in (204, 304) and scope["method"] != "HEAD":  # these have no length of their own
            headers.append((b"content-length", str(len(content)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers})
        await send({"type": "http.response.body", "body": content})


@asynccontextmanager
async def keep(application: Application) -> AsyncIterator[None]:
    """Do housekeeping every five minutes as long as the block runs, then give back the connections to the table: what
    the application around it has for a lifespan."""
    work = asyncio.create_task(_housekeep(application))
    try:
        yield
    finally:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        await application.close()


async def _housekeep(application: Application) -> None:
    while True:
        await asyncio.sleep(_EVERY)
        try:
            await application.housekeep()
        except Exception:
            log.exception("housekeeping failed; it is tried again in %d seconds", _EVERY)


async def _read(receive: Receive, most: int) -> bytes | None:
    """Return the body; None if the caller went away in the middle of it. Of a body that is longer than `most` bytes it
    is a beginning that is longer, too, so that it is refused."""
    body, more = bytearray(), True
    while more and len(body) <= most:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _find_url(scope: Scope) -> str:
    """Return the URL as it came: the decoded path would be decoded twice."""
    host = next((value for name, value in scope["headers"] if name == b"host"), b"").decode("latin-1")
    path = (scope.get("raw_path") or quote(scope["path"]).encode()).decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{scope.get('scheme', 'http')}://{host}{path}{'?' * bool(query)}{query}"


def _find_headers(scope: Scope) -> dict[str, str]:
    """Return the headers; X-Forwarded-For with who is at the other end of the connection, as Azure's front end has it:
    the limits on refused callers go by its last entry."""
    headers: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        headers[key] = f"{headers[key]}, {text}" if key in headers else text
    if scope.get("client"):
        peers = (headers.get("x-forwarded-for"), scope["client"][0])
        headers["x-forwarded-for"] = ", ".join(peer for peer in peers if peer)
    return headers
