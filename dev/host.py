"""A small local Functions host: serves a FunctionApp's HTTP triggers and runs its timers.

It does to a request what the host in Azure does before the function sees it, the traps included:

* routes: see `dev.routes`; a literal goes before a constrained parameter, that before a plain one, that before a
  catch-all, and a longer route before a shorter one. (The real host does not order a plain parameter and a catch-all in
  the same place: an app must not have both.) `/admin` and `/runtime` never reach a function. The method is part of the
  match, so a known path with another method is a 404;
* `route_params` are percent-decoded, but for `%2F`; a parameter without a value is left out;
* `params` are decoded too; a repeated key's values are joined with a comma, a key without a value is dropped. `url` is
  scheme, Host header, path and query as the client sent them;
* header names are lower-case, a repeated header's values are joined with a comma;
* the body arrives only with a Content-Length above zero: that of a chunked request is lost. Above the setting
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT, or 100 MB without it: 500, before any of it is read;
* what the host itself answers (404, and 500 for such a body and when a function raises or returns no HttpResponse) has
  no body;
* behind a socket, `.` and `..` in a path are resolved before anything else; `%00` in it is a 400, more than 32 KiB of
  headers a 431, both without a body; every answer has the customHeaders of host.json;
* a timer runs on its schedule, at start where it says so, and on `POST /admin/functions/<name>`, which answers 202.

Not imitated: authorization levels and keys, the landing page, HSTS, functionTimeout and throttling, the `context`
argument, a `str` as the return value, schedule status, scaling, triggers and bindings of other kinds, all of `/admin`
but the above, Kestrel's limits on the URL (so that the app's own can be tried), and its 404 for methods that HTTP does
not know.
"""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import azure.functions as func
from aiohttp import web
from azure.functions.decorators.http import HttpTrigger
from azure.functions.decorators.timer import TimerTrigger
from azure.functions.timer import TimerRequest
from multidict import CIMultiDict

from dev.routes import Route, compile_route, decode_path, resolve_dots
from dev.timers import Timer

MAX_BODY = 104_857_600
"""Bytes of a request's body, the host's default."""

BODY_LIMIT = "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT"
"""The setting that gives another number."""

MAX_HEADERS = 32 * 1024
"""Bytes of all headers of a request, Kestrel's default."""

MAX_HEAD = 4 * 1024 * 1024
"""Bytes of the request line and of one header that the server takes: far above any limit of the app's."""

TOLD: ContextVar[dict[str, Any] | None] = ContextVar("told", default=None)
"""What the app's log said of the request under way, for whoever prints one line for both."""

_log = logging.getLogger(__name__)
_requests = logging.getLogger(f"{__name__}.requests")


@dataclass(frozen=True)
class Answer:
    """An HTTP response. Header names compare case-insensitively."""

    status: int
    headers: CIMultiDict[str] = field(default_factory=CIMultiDict)
    body: bytes = b""


@dataclass(frozen=True)
class _HttpFunction:
    """An HTTP trigger: where it is, which methods it takes (empty: all), what to call and by which argument."""

    name: str
    route: Route
    methods: frozenset[str]
    call: Callable[..., Any]
    argument: str


class Host:
    """The functions of one app. `request` and `run_timer` need no socket; `serve` puts a server before them."""

    def __init__(self, app: func.FunctionApp, *, route_prefix: str = "", max_body: int | None = None) -> None:
        """Read the app's triggers. `max_body` are the bytes of a body that are read, by default what the environment
        says. ValueError: a route or schedule that is not supported, or a function name twice."""
        self.max_body = read_body_limit(os.environ) if max_body is None else max_body
        self._http: list[_HttpFunction] = []
        self._timers: dict[str, Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        # The app keeps the names that it has given out, so a second host of the same app would find them all taken.
        app.functions_bindings = {}
        for function in app.get_functions():
            name, trigger, call = (
                function.get_function_name() or "",
                function.get_trigger(),
                function.get_user_function(),
            )
            if isinstance(trigger, HttpTrigger):
                route = compile_route(f"{route_prefix}/{trigger.route}")
                methods = frozenset(method.value for method in trigger.methods or ())
                self._http.append(_HttpFunction(name, route, methods, call, trigger.name))
            elif isinstance(trigger, TimerTrigger):
                self._timers[name.lower()] = Timer(
                    name,
                    trigger.schedule,
                    run_on_startup=bool(trigger.run_on_startup),
                    call=partial(_invoke, call, **{trigger.name: TimerRequest()}),
                )
            else:
                _log.warning("%s: this host runs HTTP and timer triggers only", name)
        self._http.sort(key=lambda function: function.route.rank)

    async def request(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        """Answer a request as the host in Azure does. `url` is absolute, its query is passed on as it is.

        Host and Content-Length are added where missing; with a Transfer-Encoding header there is no Content-Length.
        """
        scheme, _, rest = url.partition("://")
        authority, _, target = rest.partition("/")
        path, _, query = target.partition("?")
        fields = {name.lower(): value for name, value in (headers or {}).items()}
        fields.setdefault("host", authority)
        if body and "transfer-encoding" not in fields:
            fields.setdefault("content-length", str(len(body)))
        if int(fields.get("content-length", 0)) == 0:
            body = b""
        if len(body) > self.max_body:
            return Answer(500)
        method, decoded = method.upper(), decode_path(f"/{path}")
        if decoded.lower().split("/")[1] in ("admin", "runtime"):
            return self._administer(method, decoded)
        for function in self._http:
            route_params = function.route.match(decoded)
            if route_params is not None and (not function.methods or method in function.methods):
                request = func.HttpRequest(
                    method,
                    f"{scheme}://{fields['host']}/{target}",
                    headers=fields,
                    params=_params(query),
                    route_params=route_params,
                    body=body,
                )
                return await _run(function, request)
        return Answer(404)

    async def run_timer(self, name: str) -> None:
        """Run a timer function now (after a run that is under way) and wait for it; what it raises is raised.

        KeyError where there is no such timer; the name's case does not matter.
        """
        await self._timers[name.lower()].run()

    @asynccontextmanager
    async def schedules(self) -> AsyncIterator[None]:
        """Keep the timers' schedules meanwhile; at the end, cancel every run that is still under way."""
        for timer in self._timers.values():
            self._start(timer.keep_schedule())
        try:
            yield
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    def _administer(self, method: str, path: str) -> Answer:
        timer = self._timers.get(path.lower().removeprefix("/admin/functions/"))
        if method != "POST" or timer is None:
            return Answer(404)
        self._start(timer.run_logged())
        return Answer(202)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def serve(host: Host, port: int, custom_headers: Mapping[str, str] | None = None) -> web.AppRunner:
    """Serve the host and its timers on 127.0.0.1; `await runner.cleanup()` stops both within about a second.
    `custom_headers` are on every answer.

    Each request gives one line, "method path status milliseconds", in the log `dev.host.requests`.
    OSError where the port is taken.
    """

    async def answer(request: web.Request) -> web.Response:
        started = time.perf_counter()
        TOLD.set({})
        answer = await _receive(host, request)
        path = request.raw_path.partition("?")[0].encode("ascii", "backslashreplace").decode()
        milliseconds = (time.perf_counter() - started) * 1000
        _requests.info("%s %s %d %.1f", request.method, path, answer.status, milliseconds)
        answer.headers.update(custom_headers or {})
        return web.Response(status=answer.status, headers=answer.headers, body=answer.body)

    async def schedules(_: web.Application) -> AsyncIterator[None]:
        async with host.schedules():
            yield

    app = web.Application(client_max_size=host.max_body)
    app.router.add_route("*", r"/{path:[\s\S]*}", answer)
    app.cleanup_ctx.append(schedules)
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        max_line_size=MAX_HEAD,
        max_field_size=MAX_HEAD,
        lingering_time=1.0,  # for a body that nobody read: long enough for the client to see the answer
        shutdown_timeout=1.0,
    )
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except OSError:
        await runner.cleanup()
        raise
    return runner


def read_route_prefix(host_json: Path) -> str:
    """The routePrefix that host.json sets, or the host's default. ValueError where the file is not JSON."""
    prefix: str = _read_http(host_json).get("routePrefix", "api")
    return prefix


def read_custom_headers(host_json: Path) -> dict[str, str]:
    """The customHeaders that host.json sets. ValueError where the file is not JSON."""
    headers: dict[str, str] = _read_http(host_json).get("customHeaders", {})
    return headers


def _read_http(host_json: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(host_json.read_text()).get("extensions", {}).get("http", {})
    return found


def read_body_limit(environment: Mapping[str, str]) -> int:
    """Bytes of a body that the host reads, as its setting says. ValueError where that is no number above zero."""
    text = environment.get(BODY_LIMIT, "").strip() or str(MAX_BODY)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise ValueError(f"{BODY_LIMIT} must be a number of bytes, not {text!r}")
    return int(text)


async def _receive(host: Host, request: web.Request) -> Answer:
    """Hand a request from the wire to the host."""
    if sum(len(name) + len(value) + len(": \r\n") for name, value in request.raw_headers) > MAX_HEADERS:
        return Answer(431)
    if (request.content_length or 0) > host.max_body:
        return Answer(500)
    path, mark, query = request.raw_path.partition("?")
    if "%00" in path:
        return Answer(400)
    target = resolve_dots(path) + mark + query
    headers: dict[str, str] = {}
    for name, value in request.headers.items():
        name = name.lower()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    body = await request.read() if request.content_length else b""
    return await host.request(request.method, f"http://{request.host}{target}", headers, body)


async def _run(function: _HttpFunction, request: func.HttpRequest) -> Answer:
    """Run an HTTP function; its failure is a 500 without a body and a traceback in the log."""
    try:
        response = await _invoke(function.call, **{function.argument: request})
        if not isinstance(response, func.HttpResponse):
            raise TypeError(f"returned {type(response).__name__}, not an HttpResponse")
    except Exception:
        _log.exception("function %s failed", function.name)
        return Answer(500)
    headers = CIMultiDict(response.headers.items())
    charset = f"; charset={response.charset}" if response.mimetype.startswith("text/") else ""
    headers.setdefault("Content-Type", response.mimetype + charset)
    return Answer(response.status_code, headers, response.get_body())


async def _invoke(call: Callable[..., Any], **arguments: Any) -> Any:
    """Call a function as the worker does: a coroutine function on the event loop, another one in a thread."""
    if inspect.iscoroutinefunction(call):
        return await call(**arguments)
    return await asyncio.to_thread(call, **arguments)


def _params(query: str) -> dict[str, str]:
    """A query string as the host hands it over; keys compare case-insensitively and keep their first spelling."""
    values: dict[str, tuple[str, list[str]]] = {}
    for key, value in parse_qsl(query, keep_blank_values=False):
        values.setdefault(key.lower(), (key, []))[1].append(value)
    return {key: ",".join(texts) for key, texts in values.values()}
