"""Which tenants housekeeping looks at: a row for each in the shared partition, so that it costs what is pending and
never a scan of everything."""

from __future__ import annotations

import logging
import time
from datetime import UTC, datetime, timedelta

from scim.clock import format_time
from scim.store import keys, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Row, Table, TableUnavailable, Write
from scim.store.transactions import commit_surely, now

log = logging.getLogger("scim.housekeeping")

_ANNOUNCE_EVERY = 1800.0
"""Seconds after which a process announces a tenant again."""
_RECEIPTS_UNTOLD = 10
"""Receipts of a tenant that a process may write before it announces the tenant for them."""
_FORGET_AFTER = timedelta(hours=1)
"""When a tenant without pending rows is no longer looked at: later than any process stays silent about it."""


class Tenants:
    """The tenants that may have rows for housekeeping."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._shared = Partition(table, SHARED)
        self._announced: dict[str, float] = {}
        self._receipts: dict[str, int] = {}

    async def announce(self, tenant: str) -> None:
        """Tell housekeeping of the tenant, before its first pending row is written. No trip in most cases: a process
        says it once in a while."""
        last = self._announced.get(tenant)
        if last is not None and time.monotonic() - last < _ANNOUNCE_EVERY:
            return
        announcement = Write("upsert", shared_keys.tenant_key(tenant), {"tenant": tenant, "touched": now()})
        await commit_surely(self._shared, [announcement])
        self._announced[tenant] = time.monotonic()

    async def count_receipt(self, tenant: str) -> None:
        """Count a receipt that is about to be written. Housekeeping is told of the tenant once there are some to
        remove, so that an ordinary change of members takes no trip for it."""
        self._receipts[tenant] = number = self._receipts.get(tenant, 0) + 1
        if number % _RECEIPTS_UNTOLD == 0:
            await self.announce(tenant)

    async def list_all(self) -> list[str]:
        """Return the tenants that may have rows for housekeeping, in the order of their names. Those that had none for
        long are forgotten on the way."""
        old = format_time(datetime.now(UTC) - _FORGET_AFTER)
        found = []
        async for page in self._shared.pages(*shared_keys.tenants_range()):
            for row in page:
                tenant, touched = row.values.get("tenant"), row.values.get("touched", "")
                if not isinstance(tenant, str):
                    log.warning("row %r of the shared partition names no tenant", row.key)
                elif str(touched) >= old or not await self._forget_idle(tenant, row):
                    found.append(tenant)
        return found

    async def _forget_idle(self, tenant: str, row: Row) -> bool:
        """Return whether the tenant has nothing left to look after, and its announcement was removed."""
        try:
            for key_range in _LOOKED_AFTER:
                async for page in self._table.pages(tenant, *key_range, size=1):
                    if page:
                        return False
            await self._shared.commit([Write("delete", row.key, etag=row.etag)])
        except (Refused, TableUnavailable):
            return False  # announced again meanwhile, or busy
        return True


_LOOKED_AFTER = (
    keys.pending_range(None),
    keys.changes_range(),
    keys.bookmark_range(),
    keys.failure_range(),
    keys.counters_range(""),
)
"""The key ranges that keep a tenant from being forgotten. A few receipts may be left, until it is announced again."""
