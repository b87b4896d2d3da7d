"""Where walks through a tenant stand: bookmarks for startIndex.

A client that pages by startIndex says a number; the page before left a bookmark that says which row that number is, so
a walk reads each row once. Bookmarks are hints: one that is missing or old only costs the reads it would have saved. So
a connection has a fixed number of places for them, and what it asks last keeps its place.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scim.store import keys
from scim.store.pending import Pending
from scim.store.table import MAX_WRITES, PARALLEL_READS, Partition, Refused, Row, Write
from scim.store.transactions import now

FRESH = timedelta(hours=1)
"""How long a bookmark or cursor is good for: longer than any client waits between two pages."""


class Position(NamedTuple):
    """A place in a walk."""

    resource_type: str
    """The type of the resource that comes next."""
    id: str
    """Its id; in the order of an index, the index row that the page before ended with."""
    total: int
    """How many resources there are in all."""
    window: str | None = None
    """In the order of an index, downwards: the key from which on the rows before this one are few."""


class Positions:
    """The bookmarks of a tenant. Every method raises TableUnavailable if the table does not answer."""

    def __init__(self, partition: Partition, pending: Pending) -> None:
        self._partition = partition
        self._pending = pending

    async def find(self, connection: str, query: str, start: int) -> Position | None:
        """Return where the page of that query that begins with the start-th resource starts, if the page before said so
        and no other page took its place."""
        row = await self._partition.read(keys.bookmark_key(connection, query, start))
        if row is None or not _is_fresh(row):
            return None
        match row.values:
            case {"query": written, "start": number, "type": str(kind), "next": str(next), "total": int(total)}:
                window = row.values.get("window") or None
                return Position(kind, next, total, window) if (written, number) == (query, start) else None
        return None

    async def write(self, connection: str, query: str, start: int, position: Position) -> None:
        """Leave a bookmark for the next page."""
        place = {"type": position.resource_type, "next": position.id, "total": position.total}
        values = {"query": query, "start": start, **place, "window": position.window or "", "at": now()}
        await self._pending.announce()  # housekeeping removes it
        await self._partition.commit([Write("upsert", keys.bookmark_key(connection, query, start), values)])

    async def remove_old(self, out_of_time: Callable[[], bool] = lambda: False) -> None:
        """Remove the bookmarks that are no longer fresh, and rows in their place that are none: 100 a transaction,
        until there is no more time."""
        async for page in self._partition.pages(*keys.bookmark_range()):
            old = [Write("delete", row.key, etag=row.etag) for row in page if not _is_fresh(row)]
            for at in range(0, len(old), MAX_WRITES):
                if out_of_time():
                    return
                await self._remove(old[at : at + MAX_WRITES])

    async def _remove(self, bookmarks: list[Write]) -> None:
        try:
            await self._partition.commit(bookmarks)
        except Refused:  # one was written again, or removed by another run
            if len(bookmarks) == 1:
                return
            for at in range(0, len(bookmarks), PARALLEL_READS):
                await asyncio.gather(*(self._remove([one]) for one in bookmarks[at : at + PARALLEL_READS]))


def _is_fresh(bookmark: Row) -> bool:
    """Return whether a bookmark is good; a row that does not say when it was written is not."""
    try:
        return datetime.now(UTC) - datetime.fromisoformat(bookmark.values["at"]) <= FRESH
    except (KeyError, TypeError, ValueError):
        return False
