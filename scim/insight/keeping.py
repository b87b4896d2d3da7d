"""Housekeeping of a tenant's failures and counters: hours in place of minutes, and nothing after 30 days."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from scim import deadline
from scim.clock import format_time
from scim.events import log_event
from scim.insight import counts
from scim.insight.cycles import expect_next, is_overdue, split_cycles
from scim.limits import Seldom
from scim.store import keys
from scim.store.properties import was_written_before
from scim.store.table import Partition, Table
from scim.store.transactions import remove_rows

DAYS = 30
MOST_FAILURES = 100_000
"""Rows of failures of one tenant; of more, those that come last in the order of keys go."""
_WALK_EVERY = 6 * 3600.0
"""Seconds after which a process looks through a tenant's failures for old ones: they are not in the order of time."""

_ASK_EVERY = 3600.0
"""Seconds after which a process looks again whether a tenant's cycles come."""
_LATELY, _USUAL = timedelta(days=3), 3
"""Whoever had so many cycles in that time is expected again."""


class Keeping:
    """Keeps the rows of all tenants small."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._asked = Seldom(_ASK_EVERY, 10_000)
        self._walked = Seldom(_WALK_EVERY, 10_000)

    async def keep(self, tenant: str, now: datetime | None = None) -> None:
        """Do what is due for a tenant. Raises OutOfTime: what is left, the next run does."""
        now = now or datetime.now(UTC)
        await counts.roll_up(self._table, tenant, now)
        if self._asked.take(tenant, time.monotonic()):
            await self._tell_overdue(tenant, now)
        if not self._walked.take(tenant, time.monotonic()):
            return
        before = now - timedelta(days=DAYS)
        await counts.forget(self._table, tenant, before)
        await self.forget_failures(tenant, before)

    async def _tell_overdue(self, tenant: str, now: datetime) -> None:
        """Log `cycle_overdue` for each connection that came again and again within three days, and comes no more. One
        that came once was a test."""
        for name, minutes in (await counts.read_minutes(self._table, tenant, now - _LATELY)).items():
            cycles = list(split_cycles(minutes))
            if len(cycles) < _USUAL or not is_overdue(cycles[-1], now):
                continue
            last, expected = cycles[-1].last, expect_next(cycles[-1])
            fields = {
                "tenant": tenant,
                "connection": name,
                "last_request": last.isoformat(),
                "expected": expected.isoformat(),
                "minutes": (now - last) // timedelta(minutes=1),
            }
            log_event("cycle_overdue", fields, logging.WARNING)

    async def forget_failures(self, tenant: str, before: datetime) -> int:
        """Remove the failures that came last before then, and those that are too many; how many."""
        until = format_time(before)
        seen = removed = 0
        async for page in self._table.pages(tenant, *keys.failure_range(), keys_only=True):
            deadline.check()
            old = [
                row.key
                for at, row in enumerate(page, seen)
                if was_written_before(row.etag, until) or at >= MOST_FAILURES
            ]
            await remove_rows(Partition(self._table, tenant), old)
            seen += len(page) - len(old)
            removed += len(old)
        return removed
