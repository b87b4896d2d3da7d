"""A table in memory for sizes that Azurite is too slow for, a table that fails on purpose, and what stands on them.

The table does what Azure Table Storage does, the limits that Azurite forgets included. test_table.py holds it against
AzureTable on Azurite.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import islice
from random import Random
from typing import Any

from azure.core.exceptions import HttpResponseError
from multidict import CIMultiDict
from sortedcontainers import SortedDict

from dev.credentials import SEALS, new_key
from dev.host import Answer
from scim.app import Application
from scim.http import Request
from scim.ids import new_id
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.settings import Settings
from scim.store.members import Member
from scim.store.resource_rows import Creation, Stored
from scim.store.store import Store
from scim.store.table import MAX_WRITES, PAGE_ROWS, Refused, Row, Table, TooLarge, Write
from tests.support import Client

KEY_UNITS = 512
STRING_UNITS = 32_768
ENTITY_BYTES = 2**20
OWN_PROPERTIES = 252
TRANSACTION_BYTES = 4 * 2**20
_PART_BYTES = 700
"""What the SDK puts around each entity of a transaction: boundaries, headers and the entity's URL."""

_FORBIDDEN = re.compile(r"[\x00-\x1f\x7f-\x9f/\\#?]")
_INT32 = range(-(2**31), 2**31)
_EPOCH = datetime(2026, 1, 1, tzinfo=UTC)


class Rejected(HttpResponseError):
    """The service's 400: a write that should never have been sent."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status_code = status


class MemoryTable:
    """A table in memory. With `empty_pages`, every other page of a range is empty and the range goes on after it.
    `dice` have trips take different times, so that concurrent ones overtake each other.

    `trips` lists what was asked, `rows_read` counts the rows that came back."""

    def __init__(self, *, empty_pages: bool = False, dice: Random | None = None) -> None:
        self.trips: list[str] = []
        self.rows_read = 0
        self._empty_pages = empty_pages
        self._dice = dice
        self._partitions: dict[str, SortedDict] = {}
        self._ticks = 0

    def reset(self) -> None:
        """Count from nothing again."""
        self.trips.clear()
        self.rows_read = 0

    def load(self, partition: str, rows: Mapping[str, dict[str, Any]]) -> None:
        """Put rows there at once, unchecked and uncounted: how a test makes a large tenant. Quick in key order."""
        etag = self._etag()
        self._partition(partition).update({units(key): Row(key, values, etag) for key, values in rows.items()})

    def drop(self, partition: str, key: str) -> None:
        """Take a row away, unchecked and uncounted."""
        del self._partitions[partition][units(key)]

    def clear(self, partition: str) -> None:
        """Forget the partition's rows."""
        self._partitions.pop(partition, None)

    def rows(self, partition: str) -> list[Row]:
        """All rows in key order, uncounted."""
        return list(self._partition(partition).values())

    def rows_but_outbox(self, partition: str) -> list[Row]:
        """All rows but what stays, whatever becomes of the rest: what the change feed is told of, and the groups that
        deleted resources were in."""
        return [row for row in self.rows(partition) if not row.key.startswith(("e ", "d "))]

    async def read(self, partition: str, key: str) -> Row | None:
        await self._trip("read")
        _check_key(partition)
        _check_key(key)
        row = self._partition(partition).get(units(key))
        self.rows_read += row is not None
        return row and _copy(row)

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        if not 0 < size <= PAGE_ROWS:
            raise Rejected(400, f"a page has 1 to {PAGE_ROWS} rows, not {size}")
        following: str | None = units(start)
        while following is not None:
            if self._empty_pages:
                await self._trip("page")
                yield []
            await self._trip("page")
            stored = self._partition(partition)
            found = list(islice(stored.irange(following, units(end), inclusive=(True, False)), size + 1))
            following = found[size] if len(found) > size else None
            page = [_copy(stored[key], keys_only=keys_only) for key in found[:size]]
            self.rows_read += len(page)
            yield page

    async def partitions(self, after: str = "") -> AsyncIterator[str]:
        last = after
        while True:
            await self._trip("partition")
            behind = [name for name, rows in self._partitions.items() if rows and units(name) > units(last)]
            if not behind:
                return
            last = min(behind, key=units)
            yield last

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        if not 0 < len(writes) <= MAX_WRITES:
            raise ValueError(f"a transaction has 1 to {MAX_WRITES} writes, not {len(writes)}")
        await self._trip("commit")
        _check_transaction(partition, writes)
        stored = self._partition(partition)
        after: dict[str, Row | None] = {}
        for index, write in enumerate(writes):
            before = stored.get(units(write.key))
            _check_condition(write, before, index)
            row = None if write.kind == "delete" else Row(write.key, _merged(write, before), self._etag())
            if row is not None:
                _check_entity(partition, row)
            after[units(write.key)] = row
        for key, row in after.items():
            if row is None:
                del stored[key]
            else:
                stored[key] = row
        return [row.etag if row else "" for row in after.values()]

    async def close(self) -> None:
        pass

    async def _trip(self, kind: str) -> None:
        self.trips.append(kind)
        for _ in range(self._dice.randint(1, 6) if self._dice else 1):
            await asyncio.sleep(0)  # everybody else has a turn, as over a network

    def _partition(self, partition: str) -> SortedDict:
        return self._partitions.setdefault(partition, SortedDict())

    def _etag(self) -> str:
        """The time, in steps of 100 ns as the service has it, and later than any before."""
        ticks = (datetime.now(UTC) - _EPOCH) // timedelta(microseconds=1) * 10
        self._ticks = max(ticks, self._ticks + 1)
        time = _EPOCH + timedelta(microseconds=self._ticks // 10)
        return f"W/\"datetime'{time:%Y-%m-%dT%H%%3A%M%%3A%S.%f}{self._ticks % 10}Z'\""


Hook = Callable[[int, Sequence[Write]], Awaitable[None]]
"""Called with a transaction and its number, from 1; what it raises is what the transaction ends with."""


class Faulty:
    """A table whose transactions a test can disturb. What `before` raises keeps one from happening; what `after`
    raises loses the answer of one that has happened."""

    def __init__(self, table: Table) -> None:
        self.number = 0
        self.before: Hook | None = None
        self.after: Hook | None = None
        self._table = table

    def disturb(self, before: Hook | None = None, after: Hook | None = None) -> None:
        """Take these hooks, and count from 1 again."""
        self.number, self.before, self.after = 0, before, after

    async def read(self, partition: str, key: str) -> Row | None:
        return await self._table.read(partition, key)

    def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        return self._table.pages(partition, start, end, size=size, keys_only=keys_only)

    def partitions(self, after: str = "") -> AsyncIterator[str]:
        return self._table.partitions(after)

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        self.number += 1
        number = self.number
        if self.before:
            await self.before(number, writes)
        etags = await self._table.commit(partition, writes)
        if self.after:
            await self.after(number, writes)
        return etags

    async def close(self) -> None:
        await self._table.close()


async def create(
    store: Store, tenant: str, resource_type: ResourceType, document: Document, members: Sequence[Member] = ()
) -> Stored:
    """A new resource."""
    return await store.of(tenant).resources.create(
        Creation(new_id(resource_type.id_prefix), resource_type, document), members
    )


class Door:
    """Stands where a Host would and hands requests to one application on one table, without Functions. `more` are
    settings."""

    def __init__(self, table: Table, tenant: str = "tenant", **more: str) -> None:
        self.tenant = tenant
        self.token = new_key(tenant)
        connections = {tenant: {"tenant": tenant, "keys": [self.token]}}
        settings = Settings.from_environment(
            {
                "SCIM_TABLE_CONNECTION_STRING": "none",
                "SCIM_CONNECTIONS": json.dumps(connections),
                "SCIM_SEALS": SEALS,
                "SCIM_TENANT_RATE": "0",
                "SCIM_USAGE_MINUTES": "0",  # trips are counted
                "SCIM_INSIGHT_SECONDS": "0",
                "SCIM_FEED_SECONDS": "0",
                "SCIM_TENANT_RESOURCES": "0",
                "SCIM_TENANT_MEMBERS": "0",
                "SCIM_TENANT_MEGABYTES": "0",
                **more,
            }
        )
        self.application = Application(settings, table=table)

    @property
    def client(self) -> Client:
        """The identity provider of the one tenant."""
        return Client(self, self.tenant, self.token)  # type: ignore[arg-type]

    async def warm(self) -> Client:
        """The same, once the process knows what it reads once: the policies of all tenants."""
        await self.application._built().policies.find(self.tenant)
        return self.client

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        lower = {name.lower(): value for name, value in headers.items()}
        response = await self.application.handle(Request(method, url, lower, body))
        return Answer(response.status, CIMultiDict(response.headers), response.encoded())


def units(text: str) -> str:
    """`text` with a character for each UTF-16 code unit: the service sorts and measures keys by those."""
    if text.isascii() or max(text) <= "\uffff":
        return text
    raw = text.encode("utf-16-be", "surrogatepass")
    return "".join(chr(raw[i] << 8 | raw[i + 1]) for i in range(0, len(raw), 2))


def _copy(row: Row, *, keys_only: bool = False) -> Row:
    return Row(row.key, {} if keys_only else dict(row.values), row.etag)


def _check_condition(write: Write, before: Row | None, index: int) -> None:
    if write.kind == "insert" and before is not None:
        raise Refused(409, index)
    if write.kind in ("replace", "merge", "delete"):
        if before is None:
            raise Refused(404, index)
        if write.etag not in ("*", before.etag):
            raise Refused(412, index)


def _merged(write: Write, before: Row | None) -> dict[str, Any]:
    """The properties of the row as it will be. The service keeps no nulls: a merge cannot remove a property."""
    values = {name: value for name, value in write.values.items() if value is not None}
    return {**before.values, **values} if write.kind in ("merge", "upsert") and before else values


def _check_key(key: str) -> None:
    if len(units(key)) > KEY_UNITS:
        raise Rejected(400, f"a key has at most {KEY_UNITS} UTF-16 units, not {len(units(key))}")
    if found := _FORBIDDEN.search(key):
        raise Rejected(400, f"a key cannot hold {found[0]!r}: {key[:80]!r}")


def _check_transaction(partition: str, writes: Sequence[Write]) -> None:
    _check_key(partition)
    keys: set[str] = set()
    for write in writes:
        _check_key(write.key)
        if write.key in keys:
            raise Rejected(400, f"two writes of one transaction concern {write.key!r}")
        keys.add(write.key)
    if len(writes) > 1 and sum(map(_bytes, writes)) > TRANSACTION_BYTES:
        raise TooLarge(f"a transaction has at most {TRANSACTION_BYTES} bytes, not {sum(map(_bytes, writes))}")


def _bytes(write: Write) -> int:
    """Bytes on the wire, where JSON in ASCII makes six of a UTF-16 unit beyond it."""
    keys = 2 * len(write.key.encode("utf-8", "surrogatepass")) * 3  # in the entity's URL, escaped, and in its body
    return _PART_BYTES + keys + (len(json.dumps(dict(write.values))) if write.values else 0)


def _check_entity(partition: str, row: Row) -> None:
    """The limits of a row, by the sizes that Azure publishes: strings are UTF-16."""
    if len(row.values) > OWN_PROPERTIES:
        raise Rejected(400, f"an entity has at most {OWN_PROPERTIES} own properties, not {len(row.values)}")
    size = 4 + 2 * (len(units(partition)) + len(units(row.key)))
    for name, value in row.values.items():
        if not name.isidentifier() or len(name) > 255:
            raise Rejected(400, f"{name!r} is no property name")
        size += 8 + 2 * len(name) + _value_bytes(name, value)
    if size > ENTITY_BYTES:
        raise Rejected(400, f"an entity has at most {ENTITY_BYTES} bytes, not {size}")


def _value_bytes(name: str, value: object) -> int:
    match value:
        case bool():
            return 1
        case int() if value in _INT32:
            return 4
        case float():
            return 8
        case str():
            length = len(units(value))
            if length > STRING_UNITS:
                raise Rejected(400, f"{name} has {length} UTF-16 units; a string has at most {STRING_UNITS}")
            return 4 + 2 * length
    raise TypeError(f"{name} cannot be {value!r:.80}")
