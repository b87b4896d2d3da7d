"""Where walks through a tenant stand: bookmarks for startIndex, and the key that cursors are signed with.

A client that pages by startIndex says a number; the page before left a bookmark that says which row that number is, so
a walk reads each row once. Bookmarks are hints: one that is missing or old only costs the reads it would have saved.
"""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scim.store import rows
from scim.store.gateway import Gateway, Refused
from scim.store.pending import TENANTS, Pending
from scim.store.row import Row, Write
from scim.store.transactions import now

FRESH = timedelta(hours=1)
"""How long a bookmark or cursor is good for: longer than any client waits between two pages."""


class Position(NamedTuple):
    """A place in a walk: the resource type and the id that come next, and how many resources there are in all."""

    resource_type: str
    id: str
    total: int


class Positions:
    """The bookmarks of all tenants. Every method raises Unavailable where the table does not answer."""

    def __init__(self, gateway: Gateway, pending: Pending) -> None:
        self._gateway = gateway
        self._pending = pending
        self._signing_key: bytes | None = None

    async def find(self, tenant: str, query: str, start: int) -> Position | None:
        """Where the page of that query that begins with the start-th resource starts, if the page before said so."""
        row = await self._gateway.read(tenant, rows.bookmark_key(query, start))
        if row is None or not _fresh(row):
            return None
        return Position(row.values["type"], row.values["next"], int(row.values["total"]))

    async def keep(self, tenant: str, query: str, start: int, position: Position) -> None:
        """Leave a bookmark for the next page."""
        values = {"type": position.resource_type, "next": position.id, "total": position.total, "at": now()}
        await self._pending.announce(tenant)  # housekeeping removes it
        await self._gateway.commit(tenant, [Write("upsert", rows.bookmark_key(query, start), values)])

    async def tidy(self, tenant: str) -> None:
        """Remove the bookmarks that are no longer fresh."""
        async for page in self._gateway.pages(tenant, *rows.bookmark_range()):
            for row in page:
                if not _fresh(row):
                    try:
                        await self._gateway.commit(tenant, [Write("delete", row.key, etag=row.etag)])
                    except Refused:
                        continue  # written again, or removed by another run

    async def signing_key(self) -> bytes:
        """The key of this deployment's cursors: made by whoever needs it first, then the same for every process."""
        if self._signing_key is None:
            row = await self._gateway.read(TENANTS, rows.SIGNING_KEY)
            if row is None:
                made = Write("insert", rows.SIGNING_KEY, {"key": secrets.token_hex(32)})
                try:
                    await self._gateway.commit(TENANTS, [made])
                except Refused:
                    pass  # another process was faster
                row = await self._gateway.read(TENANTS, rows.SIGNING_KEY)
            assert row is not None
            self._signing_key = bytes.fromhex(row.values["key"])
        return self._signing_key


def _fresh(bookmark: Row) -> bool:
    return datetime.now(UTC) - datetime.fromisoformat(bookmark.values["at"]) <= FRESH
