"""HTTP as Entra speaks it: authorisation, pace, statistics, and a list of what was created, so that it can be deleted.

No request is ever refused here for what it answers: an answer is a value, status 0 where none came.
"""

from __future__ import annotations

import asyncio
import json
import re
import time
import uuid
from collections import deque
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, quote_plus, urlsplit

import httpx

from dev.rehearse.auth import Credentials, TokenError
from dev.rehearse.results import Exchange, Operation, quantile, shorten

TIMEOUT = 30.0
"""Seconds until Entra's log would say Timeout. Microsoft does not publish its own; the Functions host allows more."""

MAX_WAIT = 10.0
"""Seconds of a Retry-After that are waited for at the most."""

TRIES = 4
"""How often a request is sent that is answered by 429, or by 503 with a Retry-After."""

_RECENT = 500


@dataclass(frozen=True)
class Answer:
    """What came back. `data` is the parsed JSON, None where there is none; `error` says why no answer came."""

    status: int
    headers: httpx.Headers
    text: str
    data: Any
    exchange: Exchange
    error: str = ""
    tries: int = 1

    @property
    def object(self) -> dict[str, Any]:
        """The body where it is an object, else an empty one."""
        return self.data if isinstance(self.data, dict) else {}

    @property
    def resources(self) -> list[dict[str, Any]]:
        """The resources of a ListResponse; those that are no objects are left out."""
        found = self.object.get("Resources")
        return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []

    @property
    def uncertain(self) -> bool:
        """The target may have done what was asked, or not."""
        return self.status == 0 or self.status >= 500


@dataclass
class Statistics:
    """All that was sent, by operation."""

    requests: int = 0
    failed: int = 0
    throttled: int = 0
    unauthorized: int = 0
    server: str = ""
    """What the target calls itself in the header Server; "" if it does not."""
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=_RECENT))
    _durations: dict[str, list[float]] = field(default_factory=dict)
    _failures: dict[str, int] = field(default_factory=dict)

    def add(self, exchange: Exchange, *, refusal_wanted: bool = False) -> None:
        """Count a request in. `refusal_wanted`: it is meant to be refused."""
        self.requests += 1
        status = 200 if refusal_wanted else exchange.status
        bad = status == 0 or status >= 500 or status in (401, 403, 429)
        self.failed += bad
        self.throttled += status in (429, 503)
        self.unauthorized += status in (401, 403)
        self._failures[exchange.operation] = self._failures.get(exchange.operation, 0) + bad
        self._durations.setdefault(exchange.operation, []).append(exchange.milliseconds)
        self.recent.append(exchange.milliseconds)

    def recent_quantile(self, share: float) -> float:
        return quantile(sorted(self.recent), share)

    def operations(self) -> list[Operation]:
        return [Operation(n, sorted(d), self._failures.get(n, 0)) for n, d in sorted(self._durations.items())]


class Pace:
    """At most so many requests a second, evenly spaced; 0 is no limit."""

    def __init__(self, rate: float) -> None:
        self._gap = 1 / rate if rate > 0 else 0.0
        self._next = 0.0

    async def wait(self) -> None:
        if not self._gap:
            return
        now = time.monotonic()
        turn = max(now, self._next)
        self._next = turn + self._gap
        if turn > now:
            await asyncio.sleep(turn - now)


class Client:
    """Entra's connection to one target."""

    def __init__(
        self,
        url: str,
        credentials: Credentials,
        *,
        rate: float = 25.0,
        parallel: int = 8,
        timeout: float = TIMEOUT,
        on_request: Callable[[], None] = lambda: None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`url` is the tenant URL as the admin types it; what stands behind a question mark is for Entra only."""
        self.base = urlsplit(url)._replace(query="", fragment="").geturl().rstrip("/")
        self.credentials = credentials
        self.statistics = Statistics()
        self.created: dict[tuple[str, str], str] = {}
        """What was made here and not deleted since: (resource path such as /Users, id) to its name."""
        self.doubtful: dict[tuple[str, str], str] = {}
        """Names (folded) whose POST got no answer, or none that tells the id: (path, name) to the filter attribute."""
        self._pace = Pace(rate)
        self._parallel = asyncio.Semaphore(parallel)
        self._flying: set[asyncio.Task[Answer]] = set()
        self._on_request = on_request
        self.http = httpx.AsyncClient(
            timeout=timeout,
            follow_redirects=False,
            transport=transport,
            limits=httpx.Limits(max_connections=parallel + 2, max_keepalive_connections=parallel + 2),
        )

    async def close(self) -> None:
        await self.http.aclose()

    async def send(
        self, operation: str, method: str, path: str, body: Any = None, *, token: str | None = None
    ) -> Answer:
        """Send one request; `path` follows the tenant URL. `token` is sent in place of the credentials'.

        What is under way goes on to its end when the caller is cancelled, so that nothing is created unseen: `settle`
        waits for it.
        """
        for number in range(1, TRIES + 1):
            async with self._parallel:
                await self._pace.wait()
                task = asyncio.create_task(self._once(operation, method, path, body, token, number))
                self._flying.add(task)
                task.add_done_callback(self._flying.discard)
                answer = await asyncio.shield(task)
            wait = _retry_after(answer)
            if wait is None:
                break
            if number < TRIES:
                await asyncio.sleep(wait)
        return answer

    async def find(self, operation: str, path: str, filter: str, *, extra: str = "") -> Answer:
        """A search as Entra writes it: spaces as plus signs. `extra` stands before the filter, such as `a=b&`."""
        return await self.send(operation, "GET", f"{path}?{extra}filter={quote_plus(filter)}")

    async def settle(self) -> None:
        """Wait for the requests that are under way."""
        if self._flying:
            await asyncio.gather(*self._flying, return_exceptions=True)

    async def _once(self, operation: str, method: str, path: str, body: Any, token: str | None, number: int) -> Answer:
        content = b"" if body is None else json.dumps(body, ensure_ascii=False).encode()
        started, error, response, secret = time.perf_counter(), "", None, token or ""
        try:
            secret = secret or await self.credentials.token(self.http)
            headers = {
                "Authorization": f"Bearer {secret}",
                "Accept": "application/scim+json",
            }
            if content:
                headers["Content-Type"] = "application/scim+json; charset=utf-8"
            started = time.perf_counter()
            response = await self.http.request(method, self.base + path, content=content, headers=headers)
        except TokenError as failure:
            error = f"no access token: {failure}"
        except httpx.TimeoutException:
            error = f"no answer within {self.http.timeout.read:.0f} seconds"
        except (httpx.HTTPError, httpx.InvalidURL) as failure:
            error = f"{type(failure).__name__}: {failure}" if str(failure) else type(failure).__name__
        milliseconds = (time.perf_counter() - started) * 1000
        if response is not None and response.status_code == 401 and token is None:
            self.credentials.forget()
        text = response.text if response is not None else error
        text = text.replace(secret, "[token]") if secret else text  # some targets say what they refuse
        status = response.status_code if response is not None else 0
        sent = shorten(content.decode())
        exchange = Exchange(operation, method, path, sent, status, shorten(text), milliseconds)
        self.statistics.add(exchange, refusal_wanted=token is not None)
        self._on_request()
        headers_ = response.headers if response is not None else httpx.Headers()
        self.statistics.server = headers_.get("server", self.statistics.server)
        answer = Answer(status, headers_, text, _parse(text), exchange, error, number)
        self._remember(method, path, body, answer)
        return answer

    def _remember(self, method: str, path: str, body: Any, answer: Answer) -> None:
        """Keep the list of what is there because of us."""
        where = path.partition("?")[0]
        if method == "POST":
            attribute = "userName" if where == "/Users" else "displayName"
            name = str(body.get(attribute, "")) if isinstance(body, dict) else ""
            id = answer.object.get("id")
            if 200 <= answer.status < 300 and isinstance(id, str) and id:
                self.created[where, id] = name
                self.doubtful.pop((where, name.casefold()), None)
            elif answer.uncertain or 200 <= answer.status < 300:
                self.doubtful[where, name.casefold()] = attribute
        elif method == "DELETE" and (200 <= answer.status < 300 or answer.status == 404):
            resource, _, id = where.rpartition("/")
            self.created.pop((resource, id), None)

    async def clean_up(self, advance: Callable[[], None] = lambda: None) -> list[str]:
        """Delete everything in `created`, groups first, and what a POST without an answer may have made.

        Returns the names of what is left, each with the reason.
        """
        await self.settle()
        for (path, name), attribute in list(self.doubtful.items()):
            answer = await self.find("clean up", path, f'{attribute} eq "{name}"')
            for resource in answer.resources:
                if str(resource.get(attribute, "")).casefold() == name and isinstance(resource.get("id"), str):
                    self.created[path, resource["id"]] = name
        todo = sorted(self.created)

        async def delete(path: str, id: str) -> str | None:
            name = self.created[path, id]
            for _ in range(TRIES):
                answer = await self.send("clean up", "DELETE", f"{path}/{quote(id, safe='')}")
                if not answer.uncertain:
                    break
            advance()
            if 200 <= answer.status < 300 or answer.status == 404:
                return None
            return f"{path}/{id} ({name}): {answer.status or answer.error}"

        left: list[str | None] = []
        for kind in sorted({path for path, _ in todo}):
            work: list[Coroutine[Any, Any, str | None]] = [delete(path, id) for path, id in todo if path == kind]
            left += await asyncio.gather(*work)
        return [each for each in left if each]


def new_guid() -> str:
    """A value that nobody has, as Test Connection asks for."""
    return str(uuid.uuid4())


def resource(path: str, id: str, query: str = "") -> str:
    return f"{path}/{quote(id, safe='')}{query}"


def _parse(text: str) -> Any:
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _retry_after(answer: Answer) -> float | None:
    """Seconds to wait before the request is sent again, None where it is not."""
    said = answer.headers.get("retry-after", "")
    if answer.status != 429 and not (answer.status == 503 and said):
        return None
    seconds = float(said) if re.fullmatch(r"\d{1,9}", said) else 2.0 ** (answer.tries - 1)
    return min(seconds, MAX_WAIT)
