"""A SCIM client for one tenant: over HTTP, or to an app in this process."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Protocol

import aiohttp
from multidict import CIMultiDict

from dev.host import Answer
from dev.kit import payloads

_MOST_AT_ONCE = 500


class Unexpected(Exception):
    """An answer that is not what the operation should give: what was measured would be something else."""


class Door(Protocol):
    """What answers requests: a Host, an application without one, or a server."""

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """Return the answer to a request."""


class Http:
    """A server that is asked over HTTP."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        async with self._session.request(method, url, data=body or None, headers=headers) as response:
            return Answer(response.status, CIMultiDict(response.headers), await response.read())


class Client:
    """One tenant's identity provider. `url` is the tenant URL."""

    def __init__(self, door: Door, url: str, token: str) -> None:
        self._door, self._url = door, url
        self._headers = {"authorization": f"Bearer {token}", "content-type": "application/scim+json; charset=utf-8"}

    async def ask(
        self, method: str, path: str, body: object | None = None, *, status: int | tuple[int, ...] = 200
    ) -> Answer:
        """Return the answer, whose status must be that, or one of those. `body` is JSON data or its bytes."""
        sent = body if isinstance(body, bytes) else b"" if body is None else payloads.encoded(body)
        answer = await self._door.request(method, self._url + path, self._headers, sent)
        if answer.status not in (status if isinstance(status, tuple) else (status,)):
            raise Unexpected(f"{method} {self._url}{path}: {answer.status} {answer.body[:300]!r}, not {status}")
        return answer

    async def json(self, method: str, path: str, body: object | None = None, *, status: int = 200) -> Any:
        """Return what the answer holds."""
        return json.loads((await self.ask(method, path, body, status=status)).body)

    async def add_users(self, first: int, number: int) -> list[str]:
        """Make users of these numbers in bulk, and return their ids."""
        ids: list[str] = []
        for at in range(first, first + number, _MOST_AT_ONCE):
            made = await self.json("POST", "/Bulk", payloads.new_users(at, min(_MOST_AT_ONCE, first + number - at)))
            for operation in made["Operations"]:
                if operation["status"] != "201":
                    raise Unexpected(f"POST /Bulk: {operation}")
                ids.append(operation["location"].rpartition("/")[2])
        return ids
