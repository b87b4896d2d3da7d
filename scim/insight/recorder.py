"""Writes behind the responses who was refused, and what was counted.

Bounded, whatever callers send: up to 20 rows of failures a second from one process, the tenants in turn, each subject
once in a batch however often it failed; a connection that is refused as a whole, once a minute. What waits too long is
dropped: the client's own retry brings it again. Nothing here delays a request or fails one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from datetime import UTC, datetime

from scim.behind import start_apart
from scim.clock import format_time
from scim.counters import Counters
from scim.http import Request, Response
from scim.insight import counts
from scim.insight.failures import CONNECTION, Failure, read_failure
from scim.insight.subjects import find_failures
from scim.limits import Seldom
from scim.schema.registry import Registry
from scim.store.table import PARALLEL_READS, Partition, Table, Write
from scim.store.tenants import Tenants
from scim.store.transactions import commit_surely
from scim.trace import Trace

log = logging.getLogger("scim")

ROWS_A_SECOND = 20
_MOST_OF_TENANT = 2000
_MOST_TENANTS = 500
_CONNECTION_EVERY = 60.0
_CLOSING_SECONDS = 5.0


class Recorder:
    """What one process has to write."""

    def __init__(self, table: Table, registry: Registry, tenants: Tenants, counters: Counters) -> None:
        self._table = table
        self._registry = registry
        self._tenants = tenants
        self._counters = counters
        self._process = secrets.token_hex(4)
        self._waiting: dict[str, dict[str, Failure]] = {}
        self._connections = Seldom(_CONNECTION_EVERY, 1000)
        self._worker: asyncio.Task[None] | None = None
        self._flush: asyncio.Task[None] | None = None

    def record(self, request: Request, response: Response, trace: Trace, at: float) -> None:
        """Keep whom a request was about that was refused at that time (seconds since the epoch). Returns at once."""
        tenant = trace.tenant
        if tenant is None:
            return
        for failure in find_failures(
            request, response, trace, self._registry, format_time(datetime.fromtimestamp(at, UTC))
        ):
            if failure.kind == CONNECTION:
                mark = (tenant, failure.subject, failure.reason)
                if not self._connections.take(mark, time.monotonic()):
                    continue
            if tenant not in self._waiting and len(self._waiting) >= _MOST_TENANTS:
                return
            waiting = self._waiting.setdefault(tenant, {})
            if failure.key in waiting or len(waiting) < _MOST_OF_TENANT:
                waiting[failure.key] = failure.after(waiting.get(failure.key))
        if self._waiting and (self._worker is None or self._worker.done()):
            self._worker = start_apart(self._work())

    def flush(self) -> None:
        """Write what was counted. Returns at once."""
        if self._flush is None or self._flush.done():
            self._flush = start_apart(self.write_counts())

    async def settle(self) -> None:
        """Write what waits, for as long as that is quick."""
        try:
            async with asyncio.timeout(_CLOSING_SECONDS):
                await asyncio.gather(*filter(None, (self._worker, self._flush)), return_exceptions=True)
                await self.write_counts()
        except TimeoutError:
            log.warning("what was counted last was not written: the table is slow")

    async def write_counts(self) -> None:
        """Write what was counted since the last time: one transaction for each tenant. What cannot be written is lost
        to the display."""
        by_tenant: dict[str, list[Write]] = {}
        for minute, counted in self._counters.take().items():
            by_tenant.setdefault(minute.tenant, []).append(counts.build_minute(minute, counted, self._process))
        for tenant, writes in by_tenant.items():
            try:
                await self._tenants.announce(tenant)  # or housekeeping would not roll them up
                await counts.write_minutes(self._table, tenant, writes)
            except Exception as error:
                log.warning("what was counted of tenant %s was not written: %s", tenant, error)

    async def _work(self) -> None:
        while self._waiting:
            started = time.monotonic()
            for tenant, batch in self._take().items():
                try:
                    await self._write(tenant, batch)
                except Exception as error:  # the client's retry brings them again
                    log.warning("refusals of tenant %s were not recorded: %s", tenant, error)
            if self._waiting:
                await asyncio.sleep(max(0.0, started + 1.0 - time.monotonic()))

    def _take(self) -> dict[str, list[Failure]]:
        """Take what may be written within a second: one of each tenant in turn."""
        taken: dict[str, list[Failure]] = {}
        number = 0
        while self._waiting and number < ROWS_A_SECOND:
            for tenant in list(self._waiting):
                if number >= ROWS_A_SECOND:
                    break
                waiting = self._waiting.pop(tenant)
                key = next(iter(waiting))
                taken.setdefault(tenant, []).append(waiting.pop(key))
                number += 1
                if waiting:
                    self._waiting[tenant] = waiting  # behind the others
        return taken

    async def _write(self, tenant: str, batch: list[Failure]) -> None:
        await self._tenants.announce(tenant)
        for at in range(0, len(batch), PARALLEL_READS):
            part = batch[at : at + PARALLEL_READS]
            before = await asyncio.gather(
                *(read_failure(self._table, tenant, each.kind, each.subject) for each in part)
            )
            writes = [each.after(old).write() for each, old in zip(part, before, strict=True)]
            await commit_surely(Partition(self._table, tenant), writes)
