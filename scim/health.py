"""Whether the service can do its work: for monitors and operators, without a credential and without any detail.

The parts are looked at for real, at most once in some seconds whoever asks, so that asking costs nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping

from scim.http import Request, Response

log = logging.getLogger("scim")

ROOT = "health"
_KEPT = 10.0
"""Seconds that an answer is good for."""
_HEADERS = {"Content-Type": "application/json", "Cache-Control": "no-store"}

Check = Callable[[], Awaitable[object]]


class Health:
    """The parts to look at, each by a call that fails if it does not work."""

    def __init__(self, checks: Mapping[str, Check]) -> None:
        self._checks = checks
        self._lock = asyncio.Lock()
        self._answer: dict[str, str] = {}
        self._at = float("-inf")

    async def answer(self, request: Request) -> Response:
        """200 with `{"status": "ok", ...}`, or 503 if a part fails; each part is `ok` or `failing`."""
        if request.method not in ("GET", "HEAD"):
            return Response(405, {"status": "unknown"}, {**_HEADERS, "Allow": "GET, HEAD"})
        async with self._lock:
            if time.monotonic() - self._at > _KEPT:
                results = await asyncio.gather(*(self._look(name) for name in self._checks))
                self._answer, self._at = dict(zip(self._checks, results, strict=True)), time.monotonic()
        works = all(result == "ok" for result in self._answer.values())
        return Response(200 if works else 503, {"status": "ok" if works else "failing", **self._answer}, dict(_HEADERS))

    async def _look(self, name: str) -> str:
        try:
            await self._checks[name]()
        except Exception as error:  # whatever it is, the part does not work
            log.warning("health: %s fails: %s", name, error)
            return "failing"
        return "ok"
