"""The key that cursors are encrypted under: one for the deployment, in the shared partition."""

from __future__ import annotations

import secrets

from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Table, Write
from scim.store.transactions import commit_surely


class CursorKey:
    """The key of cursors. Every method raises TableUnavailable if the table does not answer."""

    def __init__(self, table: Table) -> None:
        self._shared = Partition(table, SHARED)
        self._key: bytes | None = None

    async def make(self) -> None:
        """Make the key of cursors, if nobody has: housekeeping does, so that a search need not write."""
        await self.read()

    async def read(self) -> bytes:
        """Return the key of this deployment's cursors: made by whoever needs it first, then the same for every
        process."""
        if self._key is None:
            row = await self._shared.read(shared_keys.CURSOR_KEY)
            if row is None:
                made = Write("insert", shared_keys.CURSOR_KEY, {"key": secrets.token_hex(32)})
                try:
                    await commit_surely(self._shared, [made])
                except Refused:
                    pass  # another process was faster
                row = await self._shared.read(shared_keys.CURSOR_KEY)
            assert row is not None
            self._key = bytes.fromhex(row.values["key"])
        return self._key
