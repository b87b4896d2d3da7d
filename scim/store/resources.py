"""Resources as transactions: each create, update and delete is one, with all index rows, in the tenant's partition.

Uniqueness holds under any concurrency because a unique value is a row that can be inserted once. An update is
conditional on the version that it was made from. And our own retry never looks like a conflict: every transaction
writes a random write id into the resource's row, so that a refusal of what already succeeded is recognised.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.store import rows
from scim.store.gateway import TRIP_SECONDS, Gateway, Refused, Row, Unavailable, Uncertain, Write


@dataclass(frozen=True, slots=True)
class Stored:
    """A resource as it is kept. `document` has neither id nor meta; `version` is the row's ETag, which is weak."""

    id: str
    document: Document
    version: str
    created: str
    modified: str


class Taken(Exception):
    """A unique value belongs to another resource, whose id this is."""

    def __init__(self, index: Index, id: str | None) -> None:
        super().__init__(f"{index.path} is taken")
        self.index = index
        self.id = id


class Stale(Exception):
    """The resource changed, or went, since the version that the write was made from."""


class Resources:
    """The resources of all tenants. Every method raises Unavailable where the table does not answer."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def read(self, tenant: str, id: str) -> Stored | None:
        row = await self._gateway.read(tenant, rows.resource_key(id))
        return None if row is None else _stored(row)

    async def create(self, tenant: str, resource_type: ResourceType, document: Document) -> Stored:
        """Keep a new resource under a new id. One trip. Raises Taken."""
        id, now, write_id = rows.new_id(resource_type), _now(), rows.new_write_id()
        key = rows.resource_key(id)
        writes = [Write("insert", key, _values(id, document, now, now, write_id))]
        writes += _index_writes(rows.index_rows(resource_type, id, document))
        try:
            version = await self._commit(tenant, writes, key, write_id)
        except Refused:
            raise await self._taken(tenant, resource_type, id, document) or Unavailable(
                "a new id was refused"
            ) from None
        return Stored(id, document, version, now, now)

    async def update(self, tenant: str, resource_type: ResourceType, old: Stored, document: Document) -> Stored:
        """Replace `old` by `document`. One trip. Raises Taken, or Stale where `old` is not the newest version."""
        now, write_id = _now(), rows.new_write_id()
        key = rows.resource_key(old.id)
        before = rows.index_rows(resource_type, old.id, old.document)
        after = rows.index_rows(resource_type, old.id, document)
        writes = [Write("replace", key, _values(old.id, document, old.created, now, write_id), old.version)]
        writes += [Write("delete", gone) for gone in before if gone not in after]
        writes += _index_writes({new: values for new, values in after.items() if new not in before})
        try:
            version = await self._commit(tenant, writes, key, write_id)
        except Refused as refused:
            if refused.status == 409 and (taken := await self._taken(tenant, resource_type, old.id, document)):
                raise taken from None
            raise Stale from None
        return Stored(old.id, document, version, old.created, now)

    async def delete(self, tenant: str, resource_type: ResourceType, old: Stored) -> None:
        """Remove `old` with its index rows. One trip. Raises Stale where it changed since; gone already is done."""
        key = rows.resource_key(old.id)
        writes = [Write("delete", key, etag=old.version)]
        writes += [Write("delete", row) for row in rows.index_rows(resource_type, old.id, old.document)]
        try:
            await self._commit(tenant, writes, key, None)
        except Refused:
            if await self._gateway.read(tenant, key) is not None:
                raise Stale from None

    async def scan(self, tenant: str, resource_type: ResourceType, size: int) -> AsyncIterator[list[Stored]]:
        """All resources of the type in key order, a page of rows a trip."""
        async for page in self._gateway.pages(tenant, *rows.resource_range(resource_type), size=size):
            yield [_stored(row) for row in page]

    async def page(self, tenant: str, resource_type: ResourceType, skip: int, count: int) -> tuple[int, list[Stored]]:
        """How many resources of the type there are, and `count` of them after the first `skip`, in key order."""
        start, end = rows.resource_range(resource_type)
        keys = [row.key async for page in self._gateway.pages(tenant, start, end, keys_only=True) for row in page]
        if count == 0 or skip >= len(keys):
            return len(keys), []
        found: list[Stored] = []
        async for page in self._gateway.pages(tenant, keys[skip], end, size=count):
            found += [_stored(row) for row in page]
            if len(found) >= count:
                break
        return len(keys), found[:count]

    async def unique_id(self, tenant: str, resource_type: ResourceType, index: Index, value: str) -> str | None:
        """The id of the resource that has the unique value."""
        row = await self._gateway.read(tenant, rows.unique_key(resource_type, index, value))
        return str(row.values["id"]) if row else None

    async def lookup_ids(self, tenant: str, resource_type: ResourceType, index: Index, value: str) -> list[str]:
        """The ids of all resources that have the value."""
        return await self._ids(tenant, rows.lookup_range(resource_type, index, value))

    async def prefix_ids(self, tenant: str, resource_type: ResourceType, index: Index, prefix: str) -> list[str]:
        """The ids of all resources with a value that starts with `prefix` (and possibly of others)."""
        return await self._ids(tenant, rows.prefix_range(resource_type, index, prefix))

    async def _ids(self, tenant: str, keys: tuple[str, str]) -> list[str]:
        pages = self._gateway.pages(tenant, *keys)
        return [str(row.values["id"]) async for page in pages for row in page]

    async def _commit(self, tenant: str, writes: Sequence[Write], key: str, write_id: str | None) -> str:
        """Run a transaction until its outcome is known; the new etag of its first write.

        A write without an answer is sent again: if the first one had succeeded, the second is refused, and the row
        then carries our write id. The SDK does the same under us, unseen, so every refusal is looked at.
        """
        try:
            async with asyncio.timeout(TRIP_SECONDS):
                while True:
                    try:
                        return (await self._gateway.commit(tenant, writes))[0]
                    except Refused:
                        row = await self._gateway.read(tenant, key) if write_id else None
                        if row is None or row.values.get("write") != write_id:
                            raise
                        return row.etag
                    except Uncertain:
                        await asyncio.sleep(0.1 + random.random() * 0.2)
        except TimeoutError:
            raise Unavailable(f"a write stayed without an answer for {TRIP_SECONDS} s") from None

    async def _taken(self, tenant: str, resource_type: ResourceType, id: str, document: Document) -> Taken | None:
        """Which unique value of a refused write belongs to somebody else."""
        for index in resource_type.indexes.values():
            for value in rows.indexed_values(document, index) if index.unique else ():
                owner = await self.unique_id(tenant, resource_type, index, value)
                if owner not in (None, id):
                    return Taken(index, owner)
        return None


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _values(id: str, document: Document, created: str, modified: str, write_id: str) -> rows.Values:
    return {"id": id, "created": created, "modified": modified, "write": write_id, **rows.document_values(document)}


def _index_writes(index_rows: dict[str, rows.Values]) -> list[Write]:
    """Unique values are inserted, so that a taken one refuses the whole; lookup rows carry the id and cannot clash."""
    return [Write("insert" if rows.is_unique(key) else "upsert", key, values) for key, values in index_rows.items()]


def _stored(row: Row) -> Stored:
    values = row.values
    return Stored(values["id"], rows.document_of(values), row.etag, values["created"], values["modified"])
