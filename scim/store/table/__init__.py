"""The table that everything is kept in, as the store speaks of it: rows, writes, errors and limits. No SDK.

`Table` says what a table does; azure.py is the real one, in wire.py's encoding and through pipeline.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, Protocol

TRIP_SECONDS = 8.0
"""A trip with all its retries: storage that is down is reported within ten seconds."""
MAX_WRITES = 100
TRANSACTION_BYTES = 4 * 2**20 - 2**16
"""What a transaction may take on the wire, with room for what its parts have in common."""
PAGE_ROWS = 1000
PARALLEL_READS = 16
"""Point reads that one request has under way at once."""


class Row(NamedTuple):
    """A row of the tenant's partition. `values` are its own properties; `etag` changes with every write."""

    key: str
    values: dict[str, Any]
    etag: str


class Write(NamedTuple):
    """One row's part in a transaction.

    insert fails with Refused 409 where the key is taken; replace and merge need the row (404) with that etag (412),
    `*` being any; delete likewise; upsert inserts the row or merges into it, and always succeeds."""

    kind: Literal["insert", "upsert", "replace", "merge", "delete"]
    key: str
    values: Mapping[str, Any] = MappingProxyType({})
    etag: str = "*"

    @property
    def needs_row(self) -> bool:
        """Whether the row has to be there already."""
        return self.kind not in ("insert", "upsert")


class TableUnavailable(Exception):
    """The table did not answer in time, or not at all."""


class Uncertain(TableUnavailable):
    """No answer came to a write, which may or may not have happened."""


class TooLarge(Exception):
    """A transaction has more bytes than the table takes (4 MiB)."""


class Refused(Exception):
    """A transaction failed as a whole. `status` is 409 (key taken), 412 (etag) or 404 (no such row); `index` is the
    position of the write that failed, as the service told it. `unsure` is set if another copy of the transaction got no
    answer before: it may still arrive."""

    def __init__(self, status: int, index: int) -> None:
        super().__init__(f"write {index} was refused with {status}")
        self.status = status
        self.index = index
        self.unsure = False


class Table(Protocol):
    """What the store needs of a table."""

    async def read(self, partition: str, key: str) -> Row | None:
        """Return the row, or None. Raises TableUnavailable."""

    def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        """Return the rows with start <= key < end in key order, page by page; each page is one trip and may be
        empty."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        """Run up to 100 writes as one transaction: all or nothing. Gives each write's new etag ("" for a delete).
        Raises Refused, TooLarge, TableUnavailable or Uncertain."""

    def partitions(self, after: str = "") -> AsyncIterator[str]:
        """Return the names of the partitions that have rows, or of those behind one, in order: one trip each. No
        request asks for them."""

    async def close(self) -> None:
        """Give back the connections."""


@dataclass(frozen=True, slots=True)
class Partition:
    """One partition of a table: the rows of one tenant, or those that all share. Who is given it reaches no other."""

    table: Table
    name: str

    async def read(self, key: str) -> Row | None:
        """Return the row; None if there is none. Raises TableUnavailable."""
        return await self.table.read(self.name, key)

    def pages(
        self, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        """Return the rows with start <= key < end in key order, page by page: see Table.pages."""
        return self.table.pages(self.name, start, end, size=size, keys_only=keys_only)

    async def commit(self, writes: Sequence[Write]) -> list[str]:
        """Run up to 100 writes as one transaction: see Table.commit."""
        return await self.table.commit(self.name, writes)


async def has_rows(table: Table, partition: str) -> bool:
    """Return whether the partition has a row. Raises TableUnavailable."""
    async for page in table.pages(partition, "", "\uffff", size=1, keys_only=True):
        if page:
            return True
    return False
