"""Pending rows: edges that a deleted resource, or a new group that did not come about, may still have.

The transaction that makes the work necessary writes the row, and it goes when the work is done, so that whatever kills
the process in between leaves a note of what is left. Rows stand in their tenant's partition, or they could not be
written in its transactions; tenants.py tells housekeeping where to look.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

from scim.store import keys, properties
from scim.store.table import Partition, Refused, Row, Write
from scim.store.tenants import Tenants
from scim.store.transactions import Proof, commit_surely, remove_rows

GRACE = timedelta(minutes=5)
"""When housekeeping takes over: longer than any request lives (functionTimeout)."""


class Pending:
    """The pending rows of a tenant."""

    def __init__(self, partition: Partition, tenants: Tenants) -> None:
        self._partition = partition
        self._tenants = tenants

    async def announce(self) -> None:
        """Tell housekeeping of the tenant, before its first pending row is written: see Tenants.announce."""
        await self._tenants.announce(self._partition.name)

    async def count_receipt(self) -> None:
        """Count a receipt that is about to be written: see Tenants.count_receipt."""
        await self._tenants.count_receipt(self._partition.name)

    @staticmethod
    def make_note(content: dict[str, Any]) -> Write:
        """Return the write that leaves a pending row, for the operation's first transaction. Raises ScimError 413 if
        what is left is too much for one row."""
        due = (datetime.now(UTC) + GRACE).strftime("%Y%m%dT%H%M%S")
        values = {
            "v": properties.FORMAT,
            "write": properties.new_write_id(),
            **properties.split_document(content, "The change of members"),
        }
        return Write("insert", keys.pending_key(due), values)

    async def renew(self, key: str, content: dict[str, Any]) -> str | None:
        """Put a new pending row in the place of one: whoever still writes under the old one is refused from now on,
        however late it comes. The new row's key; None if the old one has gone."""
        note = self.make_note(content)
        try:
            await commit_surely(self._partition, [note, Write("delete", key)], Proof(note.key))
        except Refused:
            return None
        return note.key

    async def read_due(self, *, everything: bool) -> AsyncIterator[list[Row]]:
        """Return the tenant's pending rows that nobody can be working on any more, or all of them, page by page."""
        until = None if everything else datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        async for page in self._partition.pages(*keys.pending_range(until)):
            yield page

    async def remove(self, key: str) -> None:
        """Remove a pending row; another run may have done so before."""
        await remove_rows(self._partition, [key])
