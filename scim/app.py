"""The application: one request in, one SCIM answer out, whatever happens.

It has the parts put together once per process, at the first request: importing it must stay cheap and cannot fail, or
the Functions host would answer every URL with an empty 404.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
import uuid
from collections.abc import Coroutine, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scim import budget, deadline, health, trace
from scim.address import UNKNOWN, find_address
from scim.errors import (
    INTERNAL,
    INVALID_SYNTAX,
    MISDIRECTED,
    NOT_FOUND,
    URL_TOO_LONG,
    ScimError,
)
from scim.failing import explain_failure, refuse
from scim.http import CONSOLE, CONTENT_TYPE, FEED, MANAGE, ROOT, TENANTS, Request, Response
from scim.limits import Bucket
from scim.mass_changes import MassChanges
from scim.observer import Observer
from scim.refusals import Sample
from scim.request_log import log_request
from scim.told import NO_ADDRESS

if TYPE_CHECKING:
    from azure.core.pipeline.policies import AsyncHTTPPolicy

    from scim.console.console import Console
    from scim.counters import Counters
    from scim.feed.following import Following
    from scim.insight.keeping import Keeping
    from scim.insight.recorder import Recorder
    from scim.parts import Parts
    from scim.settings import Settings
    from scim.store.table import Table
    from scim.trace import Trace

log = logging.getLogger("scim")

_OPERATORS = {TENANTS, FEED, MANAGE}
"""The operator's doors, which are not there for anybody else."""
_LOGGED = {ROOT, "oauth2", *_OPERATORS}
"""The doors whose requests leave a line in the log."""
_MOST_URL = 65_536
"""Characters of a URL."""
_TO_ANSWER = 5.0
"""Seconds after its deadline in which a request must have ended by itself, with what there is to say."""


class Application:
    """Answers requests to all our doors: SCIM, an operator's, the token endpoint and its metadata, health. `settings`
    come from the environment where none are given; `policies` see every request to the table; a `table` takes the
    table's place; `ca_file` replaces the system's trusted certificates towards Key Vault and issuers."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        policies: Sequence[AsyncHTTPPolicy[Any, Any]] = (),
        table: Table | None = None,
        ca_file: str | None = None,
    ) -> None:
        self._settings = settings
        self._policies = policies
        self._table = table
        self._ca_file = ca_file
        self._parts: Parts | None = None
        self._following: Following | None = None
        self._console: Console | None = None
        self._changes = MassChanges()
        self._observer = Observer(self._open_recorder)
        self._keeping: Keeping | None = None
        self._sample = Sample()
        self._warnings = Bucket(10, 0.2)
        """How often the log is told why a caller who has shown nothing was not served: anybody may be one."""

    async def handle(self, request: Request) -> Response:
        """Return the response to a request; its errors are SCIM error documents (OAuth's at the token endpoint) with a
        request id that finds the log line."""
        request_id, started = uuid.uuid4().hex, time.perf_counter()
        gathered = trace.begin_trace(request_id)
        try:
            trace.note_address(find_address(request.headers, self._built().settings.proxies))
            self._check_host(request)
            read = dataclasses.replace(request, method="GET") if request.method == "HEAD" else request
            response = await self._answer(read)
        except ScimError as error:
            trace.note_rule(error)
            response = refuse(request, error, request_id)
        except Exception as error:
            tells = gathered.admitted or self._warnings.take(time.monotonic())
            response = refuse(request, explain_failure(error, request_id, tells=tells), request_id)
        if not gathered.admitted:
            response = self._charged(request, response, gathered)
        response.headers.setdefault("Content-Type", CONTENT_TYPE)
        response.headers["X-Request-Id"] = request_id
        # Personal data, or what a caller sent of it (RFC 9111 §5.2.2.5); and no error is to outlive its cause.
        if request.root in {ROOT, *_OPERATORS} or response.status >= 400:
            response.headers.setdefault("Cache-Control", "no-store")
        self._changes.count(gathered, response.status)
        if gathered.told and gathered.tenant and self._built().settings.feed_seconds:
            self._wake_feed(gathered.tenant)
        if request.root in _LOGGED:
            milliseconds = (time.perf_counter() - started) * 1000
            self._log(request, response, gathered, milliseconds)
            self._note(request, response, gathered, milliseconds)
        return dataclasses.replace(response, body=None) if request.method == "HEAD" else response

    def _log(self, request: Request, response: Response, gathered: Trace, milliseconds: float) -> None:
        """Log the request; of those of refused callers a sample."""
        known = gathered.admitted and gathered.reason is None
        count = 1 if known else self._sample.count(gathered.connection, gathered.claimed)
        registry = self._parts.registry if self._parts else None
        if count:
            log_request(request, response, gathered, milliseconds=milliseconds, registry=registry, count=count)

    def _note(self, request: Request, response: Response, gathered: Trace, milliseconds: float) -> None:
        """Have the request of a customer counted, and recorded if it was refused."""
        parts = self._parts
        if parts is not None and request.root not in _OPERATORS:
            self._observer.note(request, response, gathered, milliseconds, parts.settings.insight_seconds)

    def _open_recorder(self, counters: Counters) -> Recorder | None:
        """Load what writes behind the responses; None once the app is closed."""
        if (parts := self._parts) is None:
            return None
        from scim.insight.recorder import Recorder

        return Recorder(parts.store.table, parts.registry, parts.store.tenants, counters)

    def _charged(self, request: Request, response: Response, gathered: Trace) -> Response:
        """Return the response to a caller who showed nothing in force; 429 in its place if its address was refused too
        often, or hit upon a fault of ours."""
        parts, is_charged = self._parts, 400 <= response.status <= INTERNAL.status
        if parts is None or request.root == health.ROOT or not is_charged:
            return response
        try:
            parts.addresses.check(gathered.address or UNKNOWN)
        except ScimError as error:
            return refuse(request, error, gathered.request)
        return response

    @property
    def most_bytes(self) -> int:
        """Bytes of a body that a caller of `handle` has to take: what is longer may be cut behind them, since it is
        refused. 0 if the service cannot start, which `handle` says."""
        try:
            return self._built().settings.wanted_body_limit()
        except Exception:
            return 0

    @property
    def table(self) -> Table:
        """The door to the table, for tools that look at rows."""
        return self._built().store.table

    @property
    def feed(self) -> Following | None:
        """What keeps the change feed up to date, and reads it; None if it is off."""
        if self._following is None and self._built().settings.feed:
            from scim.feed.following import Following
            from scim.feed.sinks.opening import open_sinks

            parts = self._built()
            every, days = parts.settings.feed_seconds, parts.settings.feed_days
            self._following = Following(parts.store.table, parts.registry, every=every, days=days)
            self._following.sinks += open_sinks(
                parts.settings, parts.store.table, parts.security.vault, parts.identity, self._ca_file
            )
        return self._following

    def _wake_feed(self, tenant: str) -> None:
        """Have the change feed take up what a request changed, behind its response: nobody waits for its modules."""

        def wake() -> None:
            if self._parts is not None and (feed := self.feed) is not None:
                feed.wake(tenant)

        asyncio.get_running_loop().call_soon(wake)

    async def housekeep(self, *, everything: bool = False) -> int:
        """Finish operations that were cut short, those that are due or (if nobody else works) all; how many. Then bring
        the change feed up to date.

        Raises what stopped it; the next run goes on."""
        parts, failure, finished = self._built(), None, 0
        if self._keeping is None:
            from scim.insight.keeping import Keeping

            self._keeping = Keeping(parts.store.table)
        from scim.operate.access.keeping import forget_ended

        await forget_ended(parts.store.table)
        try:
            finished = await parts.store.housekeeping.run(everything=everything, also=self._keeping.keep)
        except Exception as error:
            failure = error
        if self.feed is not None:
            await self.feed.keep()
        if failure is not None:
            raise failure
        return finished

    async def close(self) -> None:
        """Give back the connections to the table."""
        parts, self._parts = self._parts, None
        await self._observer.settle()
        following, self._following = self._following, None
        if following is not None:
            await following.settle()
        if parts is not None:
            await parts.security.close()
            await parts.store.quotas.settle()
            await parts.policies.settle()
            await parts.store.table.close()
            if parts.identity is not None:
                await parts.identity.close()

    def _check_host(self, request: Request) -> None:
        """Refuse a host that cannot be one, and one that is not ours if the operator said which is: what a caller sends
        there must never get into an answer."""
        if request.root == health.ROOT:  # probes come by an address
            return
        if not request.host:
            raise ScimError(INVALID_SYNTAX, "The Host header is no name or address of a host; send the tenant URL's.")
        parts = self._built()
        if parts.hosts and request.host not in parts.hosts:
            public = parts.settings.public_url
            raise ScimError(MISDIRECTED, f"This service is not reached by that host name; the tenant URL is {public}.")

    async def _answer(self, request: Request) -> Response:
        if len(request.url) > _MOST_URL:
            detail = (
                f"The URL has {len(request.url)} characters; at most {_MOST_URL} are read: POST to .search instead."
            )
            raise ScimError(URL_TOO_LONG, detail)
        parts = self._built()
        if request.root == ROOT:
            return await self._in_time(self._serve(request, parts), parts.settings.request_seconds)
        if request.root == CONSOLE and parts.settings.console and not request.prefix:  # its links begin with /console
            console = self._open_console()
            return await self._in_time(console.handle(request), parts.settings.request_seconds)
        if request.root in _OPERATORS:
            return await self._in_time(self._serve_operator(request, parts), parts.settings.request_seconds)
        return await self._authorize(request, parts)

    @staticmethod
    async def _in_time(answer: Coroutine[Any, Any, Response], seconds: float) -> Response:
        """Return the answer, or what there is to say when its time is over."""
        try:
            with deadline.within(seconds):
                async with asyncio.timeout(seconds + _TO_ANSWER) as limit:
                    return await answer
        except TimeoutError:
            if not limit.expired():
                raise
            raise deadline.OutOfTime from None

    async def _serve(self, request: Request, parts: Parts) -> Response:
        """Answer a customer by SCIM; its connection says which tenant is its own."""
        from scim.security.authentication import authenticate
        from scim.service.context import Context
        from scim.service.routes import route

        connection = await authenticate(request.headers, parts.security, reads=request.reads)
        tenant = connection.tenant
        assert tenant is not None
        parts.limits.check(tenant)
        context = Context(
            request=request,
            connection=connection.name,
            settings=parts.settings,
            registry=parts.registry,
            store=parts.store.of(tenant),
            writes=connection.access == "write",
            strict=connection.mode == "strict",
            types=connection.types,
        )
        with budget.grant(self._budget(parts, tenant)):
            if not request.reads or parts.registry.is_offered(request.segments):
                context = replace(context, policy=await parts.policies.find(tenant))
            return await route(context)

    async def _serve_operator(self, request: Request, parts: Parts) -> Response:
        """Answer what the operator's own application asks for. A customer is told what it is told of any path that is
        none."""
        from scim.security.operators import authenticate_operator
        from scim.service.tenants import read_tenant

        connection = await authenticate_operator(request.headers, parts.security)
        if connection is None:
            raise self._nothing(request, parts)
        parts.limits.check(connection.account)
        with budget.grant(self._budget(parts, connection.account)):
            if request.root == FEED:
                from scim.service.feed import answer_feed

                origin = parts.settings.find_origin(request.origin)
                return await answer_feed(request, connection, self.feed, parts.registry, parts.store, origin)
            if request.root == MANAGE:
                from scim.service.manage import answer_manage

                origin = parts.settings.find_origin(request.origin)
                return await answer_manage(request, connection, parts.registry, parts.store, parts.security, origin)
            return await read_tenant(
                request, connection, parts.settings, parts.registry, parts.store, parts.policies.find
            )

    def _open_console(self) -> Console:
        """Return the console; made when it is first asked for."""
        if self._console is None:
            from scim.console.opening import Access, open_console

            parts = self._built()
            security = parts.security
            access = Access(security.assertions, parts.identity, self._ca_file)
            self._console = open_console(parts.settings, parts.registry, parts.store.table, security.vault, access)
        return self._console

    @staticmethod
    def _budget(parts: Parts, tenant: str) -> budget.Budget:
        """Return what a request may make, all of which the rate of its tenant, or of an operator's account, pays
        for."""
        settings = parts.settings
        most = max(
            budget.MOST,
            budget.PER_ROW * settings.scan_limit,
            2 * budget.WORTH * max(settings.max_bulk_operations, settings.max_patch_operations),
        )
        return budget.Budget(most, tenant, lambda units: parts.limits.pay(tenant, units / budget.WORTH))

    async def _authorize(self, request: Request, parts: Parts) -> Response:
        """Return the doors beside SCIM: health, the token endpoint, and the metadata that announces it."""
        if request.root == health.ROOT:
            return await parts.health.answer(request)
        from scim.security import oauth

        if (request.root, request.segments) == (oauth.METADATA_ROOT, [oauth.METADATA]):
            return oauth.answer_metadata(request, parts.settings.find_origin(request.origin))
        if (request.root, request.segments) != (oauth.ROOT, [oauth.TOKEN]):
            raise self._nothing(request, parts)
        return await oauth.answer(request, parts.security, parts.limits.check)

    @staticmethod
    def _nothing(request: Request, parts: Parts) -> ScimError:
        """Return the error for a path that is no door of ours."""
        url = parts.settings.public_url or f"{request.origin}/{ROOT}"
        return ScimError(NOT_FOUND, NO_ADDRESS.format(path=request.path[:200], url=url))

    def _built(self) -> Parts:
        if self._parts is None:
            from scim.parts import build_parts

            self._parts = build_parts(self._settings, self._table, self._policies, self._ca_file)
            self._changes.limit = self._parts.settings.mass_changes
        return self._parts
