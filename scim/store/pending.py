"""Pending rows: edges that a deleted resource, or a new group that did not come about, may still have.

The transaction that makes the work necessary writes the row, and it goes when the work is done, so that whatever kills
the process in between leaves a note of what is left. Rows stand in their tenant's partition, or they could not be
written in its transactions; a row for each such tenant in a partition of its own tells housekeeping where to look, so
that it costs what is pending and never a scan of everything.
"""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from scim.store import keys, properties
from scim.store.keys import SHARED
from scim.store.table import Refused, Row, Table, TableUnavailable, Write
from scim.store.transactions import Proof, commit_surely, now, remove_rows

log = logging.getLogger("scim.housekeeping")

GRACE = timedelta(minutes=5)
"""When housekeeping takes over: longer than any request lives (functionTimeout)."""
_ANNOUNCE_EVERY = 1800.0
"""Seconds after which a process announces a tenant again."""
_RECEIPTS_UNTOLD = 10
"""Receipts of a tenant that a process may write before it announces the tenant for them."""
_FORGET_AFTER = timedelta(hours=1)
"""When a tenant without pending rows is no longer looked at: later than any process stays silent about it."""


class Pending:
    """The pending rows of all tenants."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._announced: dict[str, float] = {}
        self._receipts: dict[str, int] = {}

    async def announce(self, tenant: str) -> None:
        """Tell housekeeping of the tenant, before its first pending row is written. No trip in most cases: a process
        says it once in a while."""
        last = self._announced.get(tenant)
        if last is not None and time.monotonic() - last < _ANNOUNCE_EVERY:
            return
        announcement = Write("upsert", keys.tenant_key(tenant), {"tenant": tenant, "touched": now()})
        await commit_surely(self._table, SHARED, [announcement])
        self._announced[tenant] = time.monotonic()

    async def count_receipt(self, tenant: str) -> None:
        """A receipt is about to be written. Housekeeping is told of the tenant once there are some to remove, so that
        an ordinary change of members takes no trip for it."""
        self._receipts[tenant] = number = self._receipts.get(tenant, 0) + 1
        if number % _RECEIPTS_UNTOLD == 0:
            await self.announce(tenant)

    @staticmethod
    def make_note(content: dict[str, Any]) -> Write:
        """The write that leaves a pending row, for the operation's first transaction. Raises ScimError 413 where what
        is left is too much for one row."""
        due = (datetime.now(UTC) + GRACE).strftime("%Y%m%dT%H%M%S")
        values = {
            "v": properties.FORMAT,
            "write": properties.new_write_id(),
            **properties.split_document(content, "The change of members"),
        }
        return Write("insert", keys.pending_key(due), values)

    async def renew(self, tenant: str, key: str, content: dict[str, Any]) -> str | None:
        """Put a new pending row in the place of one: whoever still writes under the old one is refused from now on,
        however late it comes. The new row's key; None if the old one has gone."""
        note = self.make_note(content)
        try:
            await commit_surely(self._table, tenant, [note, Write("delete", key)], Proof(note.key))
        except Refused:
            return None
        return note.key

    async def read_due(self, tenant: str, *, everything: bool) -> AsyncIterator[list[Row]]:
        """The tenant's pending rows that nobody can be working on any more, or all of them, page by page."""
        until = None if everything else datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        async for page in self._table.pages(tenant, *keys.pending_range(until)):
            yield page

    async def remove(self, tenant: str, key: str) -> None:
        """Remove a pending row; another run may have done so before."""
        await remove_rows(self._table, tenant, [key])

    async def list_tenants(self) -> list[str]:
        """Return the tenants that may have rows for housekeeping, in the order of their names. Those that had none for
        long are forgotten on the way."""
        old = (datetime.now(UTC) - _FORGET_AFTER).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        found = []
        async for page in self._table.pages(SHARED, *keys.tenants_range()):
            for row in page:
                tenant, touched = row.values.get("tenant"), row.values.get("touched", "")
                if not isinstance(tenant, str):
                    log.warning("row %r of the shared partition names no tenant", row.key)
                elif str(touched) >= old or not await self._forget_idle(tenant, row):
                    found.append(tenant)
        return found

    async def _forget_idle(self, tenant: str, row: Row) -> bool:
        """Whether the tenant has nothing left to look after, and its announcement was removed."""
        try:
            for keys in _LOOKED_AFTER:
                async for page in self._table.pages(tenant, *keys, size=1):
                    if page:
                        return False
            await self._table.commit(SHARED, [Write("delete", row.key, etag=row.etag)])
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
