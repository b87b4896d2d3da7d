"""Finishes what was cut short, and removes receipts, bookmarks and assertions that are of no use any more: the timer's
work.

Idempotent, however often it is killed. A run has a budget of time, and the next one begins with the tenant behind the
one that this one reached; a row that cannot be read, or a tenant whose partition does not answer, stops nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from functools import partial

from scim import deadline
from scim.deadline import OutOfTime
from scim.events import log_event
from scim.store import keys, properties, shared_keys
from scim.store.credentials import Credentials
from scim.store.cursor_key import CursorKey
from scim.store.departures import keep_groups, parse_groups
from scim.store.pending import GRACE
from scim.store.sequences import is_stalled
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Row, Table, TableUnavailable, Write
from scim.store.tenant_store import TenantStore
from scim.store.tenants import Tenants
from scim.store.transactions import commit_surely, now, remove_rows

log = logging.getLogger("scim.housekeeping")

SECONDS = 90.0
"""What a run may take: less than the host gives it (functionTimeout)."""
TENANT_SECONDS = 30.0
"""What one tenant may take of it."""
_AT_ONCE = 8
"""Jobs of a tenant that are under way at once."""
_NOTE_EVERY = 1.0
"""Seconds after which a run notes how far it has come."""
_CLOCKS = timedelta(minutes=1)
"""How far apart the clocks of two processes may be."""
_RECEIPTS_FOR = timedelta(minutes=10)
"""How late a copy of a change may arrive and still be refused."""

Also = Callable[[str], Awaitable[None]]
"""What is done for a tenant beside, by those above the store."""


class Housekeeping:
    """Looks after the rows of all tenants."""

    def __init__(
        self,
        table: Table,
        tenants: Tenants,
        credentials: Credentials,
        cursor_key: CursorKey,
        open_tenant: Callable[[str], TenantStore],
    ) -> None:
        self._shared = Partition(table, SHARED)
        self._tenants = tenants
        self._credentials = credentials
        self._cursor_key = cursor_key
        self._open_tenant = open_tenant

    async def run(self, *, everything: bool = False, seconds: float = SECONDS, also: Also | None = None) -> int:
        """Do what is due within that many seconds, and return how many jobs were finished; `everything` takes up what
        somebody may still be working on, too. `also` is done last for each tenant, within its share of the time.

        Raises TableUnavailable if the table does not answer for the shared partition or for any tenant: the next run
        goes on."""
        started, jobs, failed = time.perf_counter(), _Counter(), 0
        with deadline.within(seconds):
            await self._run_guarded("the shared partition", self._credentials.remove_expired)
            await self._run_guarded("the shared partition", self._cursor_key.make)
            tenants = await self._order_tenants(await self._tenants.list_all())
            noted = time.monotonic()
            for tenant in tenants:
                if deadline.left() <= 0:
                    break
                with deadline.within(TENANT_SECONDS):
                    keep = partial(self._look_after, self._open_tenant(tenant), everything, jobs, also)
                    failed += not await self._run_guarded(f"tenant {tenant}", keep)
                if time.monotonic() - noted > _NOTE_EVERY or deadline.left() <= 0:
                    await self._run_guarded("the shared partition", partial(self._write_reached, tenant))
                    noted = time.monotonic()
            whole = deadline.left() > 0
        milliseconds = round((time.perf_counter() - started) * 1000, 1)
        log_event("housekeeping", {"finished": jobs.number, "failed": failed, "whole": whole, "ms": milliseconds})
        if failed and failed == len(tenants):
            raise TableUnavailable("no tenant could be looked after; the log has a line for each")
        return jobs.number

    @staticmethod
    async def _run_guarded(what: str, work: Callable[[], Awaitable[None]]) -> bool:
        """Run a part that must not stop the others; whether it ended by itself or for want of time."""
        try:
            await work()
        except OutOfTime:
            log.info("housekeeping of %s goes on in the next run", what)
        except TableUnavailable as error:
            log.warning("housekeeping of %s failed: %s", what, error)
            return False
        except Exception:
            log.exception("housekeeping of %s failed", what)
            return False
        return True

    async def _order_tenants(self, tenants: list[str]) -> list[str]:
        """Return the tenants in order, beginning behind the one that the last run reached."""
        row = await self._shared.read(shared_keys.HOUSEKEEPING)
        last = str(row.values.get("reached", "")) if row else ""
        return [name for name in tenants if name > last] + [name for name in tenants if name <= last]

    async def _write_reached(self, tenant: str) -> None:
        await commit_surely(self._shared, [Write("upsert", shared_keys.HOUSEKEEPING, {"reached": tenant})])

    async def _look_after(self, tenant: TenantStore, everything: bool, jobs: _Counter, also: Also | None) -> None:
        """Look after one tenant: what was cut short first, hints and figures last. It has a share of the run, so that
        whatever a tenant leaves behind keeps nobody else waiting."""
        under_way = await tenant.members.sequences.list_under_way()
        unfinished = [row for row in under_way if everything or is_stalled(row)]
        finished, failure = await self._finish_each(tenant, unfinished, self._finish_change)
        jobs.number += len(finished)
        if failure:
            raise failure
        hopeless = {row.key for row in unfinished} - set(finished)
        kept_since = await self._find_oldest_start(tenant, [row for row in under_way if row.key not in hopeless])
        async for page in tenant.pending.read_due(everything=everything):
            due = [row for row in page if _parse_deletion_time(row) < kept_since]
            for at in range(0, len(due), 100):
                gone: set[str] = set()
                finish = partial(self._finish_deletion, gone)
                detached, failure = await self._finish_each(tenant, due[at : at + 100], finish)
                await self._keep_groups(tenant, gone & {*detached})
                await remove_rows(tenant.partition, detached)
                jobs.number += len(detached)
                if failure:
                    raise failure
        await self._remove_receipts(tenant, everything=everything)
        await tenant.positions.remove_old(lambda: deadline.left() <= 0)
        await tenant.quota.measure()
        if also is not None:
            await also(tenant.partition.name)

    async def _finish_each(
        self, tenant: TenantStore, jobs: Iterable[Row], finish: Callable[[TenantStore, Row], Awaitable[bool]]
    ) -> tuple[list[str], BaseException | None]:
        """Finish jobs, several at a time: the keys of those that are done, and what the caller has to raise when it has
        noted them, if the table did not answer or the time is over. One that fails stops no other."""
        places = asyncio.Semaphore(_AT_ONCE)
        done: list[str] = []

        async def one(row: Row) -> None:
            async with places:
                try:
                    deadline.check()
                    if await finish(tenant, row):
                        done.append(row.key)
                except (OutOfTime, TableUnavailable):
                    raise
                except Refused as refused:  # somebody changed the same rows: the next run looks again
                    log.warning("pending row %s of %s was refused: %s", row.key, tenant.partition.name, refused)
                except Exception:
                    log.exception("pending row %s of %s cannot be finished", row.key, tenant.partition.name)

        results = await asyncio.gather(*map(one, jobs), return_exceptions=True)
        return done, next(filter(None, results), None)

    async def _finish_change(self, tenant: TenantStore, row: Row) -> bool:
        await tenant.members.sequences.finish(row)
        return True

    async def _finish_deletion(self, gone: set[str], tenant: TenantStore, row: Row) -> bool:
        """Remove the edges that a resource which is gone has left; whether its row may go. Its key is added to
        `gone`, unless the resource is there."""
        properties.check_format(row)
        content = properties.join_document(row.values)
        if content["kind"] != "detach":
            raise ValueError(f"kind {content['kind']!r} is not known")
        if await tenant.partition.read(keys.resource_key(content["id"])) is not None:
            return True
        gone.add(row.key)
        return await tenant.members.clear(row.key, content)

    @staticmethod
    async def _keep_groups(tenant: TenantStore, pending: set[str]) -> None:
        """Keep the groups that pending rows of deletions note by now: read together, as most note none."""
        if pending:
            async for page in tenant.partition.pages(min(pending), max(pending) + " "):
                for row in page:
                    if row.key in pending and (groups := parse_groups(row)):
                        await keep_groups(tenant.partition, properties.join_document(row.values)["id"], groups)

    async def _find_oldest_start(self, tenant: TenantStore, under_way: Iterable[Row]) -> datetime:
        """Return when the oldest change of members began that is still under way, or was cut short: it may bring in
        whoever was deleted since, so pending rows of deletions stay until it has ended."""
        since = [datetime.max.replace(tzinfo=UTC)]
        for row in under_way:
            if await tenant.partition.read(row.key) is not None:
                begun = datetime.fromisoformat(properties.parse_written_time(row.etag) or now())
                with contextlib.suppress(KeyError, ValueError, TypeError):
                    begun = min(begun, datetime.fromisoformat(str(row.values["begun"])))
                since.append(begun - _CLOCKS)
        return min(since)

    async def _remove_receipts(self, tenant: TenantStore, *, everything: bool) -> None:
        until = None if everything else (datetime.now(UTC) - _RECEIPTS_FOR).strftime("%Y%m%dT%H%M")
        async for page in tenant.partition.pages(*keys.receipts_range(until), keys_only=True):
            deadline.check()
            await remove_rows(tenant.partition, [row.key for row in page])


def _parse_deletion_time(row: Row) -> datetime:
    """Return when a pending row was made, from its key; long ago if that does not say."""
    try:
        return datetime.strptime(row.key.split(" ")[1] + "+0000", "%Y%m%dT%H%M%S%z") - GRACE
    except (IndexError, ValueError):
        return datetime.min.replace(tzinfo=UTC)


class _Counter:
    """How many jobs were finished, also when what follows fails."""

    number = 0
