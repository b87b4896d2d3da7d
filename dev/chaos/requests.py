"""One request over HTTP, and what its sender may conclude from what came back."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Protocol

import aiohttp

from dev.chaos.model import Finding

TYPE = "application/scim+json"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
ALLOWED_ERRORS = frozenset({404, 409, 412, 429, 503})
"""What a client may see; whether 404, 409 and 412 are right is its own to judge. Everything else is a finding."""
NOT_NOW = frozenset({429, 503})
_SECONDS = 110.0
"""A request that takes longer has no answer: the host gives it 120 seconds."""
_LOOK = 0.02
"""Seconds between two looks whether a process is up."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came back; `status` 0 where nothing did. `version` is the ETag."""

    status: int = 0
    body: dict[str, Any] = field(default_factory=dict)
    version: str | None = None

    @property
    def done(self) -> bool:
        return 200 <= self.status < 300

    @property
    def unknown(self) -> bool:
        """Whether the request may have been done or not."""
        return self.status == 0 or self.status in NOT_NOW or not (self.done or self.status in ALLOWED_ERRORS)


@dataclass(slots=True)
class Log:
    """What all clients have seen: `answers` by status, acknowledged `writes`, `findings`. `long` is set while a request
    of several transactions is under way."""

    answers: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    writes: int = 0
    long: asyncio.Event = field(default_factory=asyncio.Event)

    def say(self, finding: Finding | None) -> None:
        if finding is not None:
            self.findings.append(finding)

    @property
    def requests(self) -> int:
        return sum(self.answers.values())


class Server(Protocol):
    """What a sender needs of the app's process: where it is, whether it is up, and how often it was killed."""

    kills: int
    up: asyncio.Event

    @property
    def url(self) -> str: ...


class Sender:
    """One client's way to the app: each request goes to any of its processes that are up, as a load balancer sends it.
    A connection for each request, so that one that is lost was lost in that request."""

    def __init__(self, apps: Sequence[Server], tenant: str, token: str, log: Log, dice: Random | None = None) -> None:
        self.tenant = tenant
        self.log = log
        self._apps = apps
        self._last = apps[0]
        self._dice = dice or Random(0)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": f"{TYPE}; charset=utf-8"}
        self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True))

    async def close(self) -> None:
        await self._session.close()

    async def ready(self) -> None:
        """Wait until the process that had the last request is up again. It is started when the table has done all that
        the killed one asked for: from then on, what a read shows is what that request came to."""
        await self._last.up.wait()

    async def _choose(self) -> Server:
        while True:
            up = [app for app in self._apps if app.up.is_set()]
            if up:
                return self._dice.choice(up)
            await asyncio.sleep(_LOOK)

    async def send(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: dict[str, str] | None = None,
        *,
        patience: float | None = None,
    ) -> Outcome:
        """Send a request; notes what must not come back. The connection is closed after `patience` seconds, and the
        outcome is unknown then."""
        app = self._last = await self._choose()
        kills, where = app.kills, f"{self.tenant} {method} {path}"
        timeout = aiohttp.ClientTimeout(total=patience or _SECONDS)
        data = None if body is None else json.dumps(body).encode()
        try:
            async with self._session.request(
                method, app.url + path, data=data, headers={**self._headers, **(headers or {})}, timeout=timeout
            ) as response:
                content = await response.read()
                status, fields = response.status, response.headers
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            if patience is not None and isinstance(error, TimeoutError):
                self.log.answers["given up"] += 1
                return Outcome()
            self.log.answers["lost"] += 1
            if app.up.is_set() and app.kills == kills:
                self.log.say(Finding("answer lost", where, f"{error!r}, and the app was not being killed"))
            return Outcome()
        self.log.answers[str(status)] += 1
        self.log.writes += method != "GET" and 200 <= status < 300
        self.log.say(judged(where, status, fields.get("Content-Type", ""), content))
        parsed = _parsed(content)
        return Outcome(status, parsed if isinstance(parsed, dict) else {}, fields.get("ETag"))


def judged(where: str, status: int, content_type: str, content: bytes) -> Finding | None:
    """Return what is wrong with an answer as such: a status that no client may see, or an error that is no SCIM
    error."""
    if status < 400:
        return None
    if status not in ALLOWED_ERRORS:
        return Finding(f"answered {status}", where, content[:300].decode(errors="replace"))
    body = _parsed(content)
    whole = (
        isinstance(body, dict)
        and body.get("schemas") == [ERROR]
        and body.get("status") == str(status)
        and bool(body.get("detail"))
    )
    if not whole or content_type.partition(";")[0] != TYPE:
        return Finding("no SCIM error", where, f"{status} {content_type}: {content[:300].decode(errors='replace')}")
    return None


def _parsed(content: bytes) -> Any:
    try:
        return json.loads(content) if content else None
    except ValueError:
        return None
