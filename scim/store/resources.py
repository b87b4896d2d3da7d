"""Resources as transactions: each create, update and delete is one, with all index rows, in the tenant's partition.

Uniqueness holds under any concurrency because a unique value is a row that can be inserted once. An update is
conditional on the version that it was made from. And our own retry never looks like a conflict: every transaction
writes a random write id into the resource's row, so that a refusal of what already succeeded is recognised.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.store import rows
from scim.store.gateway import MAX_WRITES, Gateway, Refused, Row, Unavailable, Write
from scim.store.members import Changes, Member, Members
from scim.store.pending import Pending
from scim.store.transactions import commit_present, now

_DETACH_SECONDS = 20.0
"""How long a DELETE itself removes memberships; housekeeping removes the rest."""


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

    def __init__(self, gateway: Gateway, members: Members, pending: Pending) -> None:
        self._gateway = gateway
        self._members = members
        self._pending = pending

    async def read(self, tenant: str, id: str) -> Stored | None:
        row = await self._gateway.read(tenant, rows.resource_key(id))
        return None if row is None else _stored(row)

    async def create(
        self, tenant: str, resource_type: ResourceType, document: Document, members: Sequence[Member] = ()
    ) -> Stored:
        """Keep a new resource under a new id. One trip where its members, if any, fit into it. Raises Taken."""
        id, time, write_id = rows.new_id(resource_type), now(), rows.new_write_id()
        key = rows.resource_key(id)
        writes = [Write("insert", key, _values(id, document, time, time, write_id))]
        writes += _index_writes(rows.index_rows(resource_type, id, document))
        try:
            if len(writes) + 2 * len(members) > MAX_WRITES:  # better known before the first of many transactions
                if taken := await self._taken(tenant, resource_type, id, document):
                    raise taken
            version = await self._members.create(tenant, id, members, writes)
        except Refused:
            taken = await self._taken(tenant, resource_type, id, document)
            raise taken or Unavailable("a new id was refused") from None
        return Stored(id, document, version, time, time)

    async def update(
        self,
        tenant: str,
        resource_type: ResourceType,
        old: Stored,
        document: Document,
        changes: Changes | None = None,
    ) -> Stored:
        """Replace `old` by `document`, and change its members. One trip for up to some 45 of them. Raises Taken, or
        Stale where `old` is not the newest version."""
        time, write_id = now(), rows.new_write_id()
        before = rows.index_rows(resource_type, old.id, old.document)
        after = rows.index_rows(resource_type, old.id, document)
        values = _values(old.id, document, old.created, time, f"{write_id}.0")
        head = [Write("replace", rows.resource_key(old.id), values, old.version)]
        head += [Write("delete", gone) for gone in before if gone not in after]
        head += _index_writes({new: values for new, values in after.items() if new not in before})
        try:
            version = await self._members.write(tenant, old.id, head, changes or Changes(), write_id, time)
        except Refused as refused:
            if refused.status == 409 and (taken := await self._taken(tenant, resource_type, old.id, document)):
                raise taken from None
            raise Stale from None
        return Stored(old.id, document, version, old.created, time)

    async def delete(self, tenant: str, resource_type: ResourceType, old: Stored) -> None:
        """Remove `old` with its index rows, then its memberships. Raises Stale where it changed since or is gone.

        The resource is gone with the first transaction; its pending row stays for one later look by housekeeping, which
        also finds an edge that was added in that instant."""
        has_members = resource_type.members is not None
        note = Pending.note({"kind": "detach", "id": old.id, "members": has_members})
        required = [note, Write("delete", rows.resource_key(old.id), etag=old.version)]
        index_rows = [[Write("delete", row)] for row in rows.index_rows(resource_type, old.id, old.document)]
        await self._pending.announce(tenant)
        try:
            await commit_present(self._gateway, tenant, required, index_rows, note.key, str(note.values["write"]))
        except Refused:
            raise Stale from None
        await self._members.detach(tenant, old.id, has_members=has_members, seconds=_DETACH_SECONDS)

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

    async def _taken(self, tenant: str, resource_type: ResourceType, id: str, document: Document) -> Taken | None:
        """Which unique value of a refused write belongs to somebody else."""
        for index in resource_type.indexes.values():
            for value in rows.indexed_values(document, index) if index.unique else ():
                owner = await self.unique_id(tenant, resource_type, index, value)
                if owner not in (None, id):
                    return Taken(index, owner)
        return None


def _values(id: str, document: Document, created: str, modified: str, write_id: str) -> rows.Values:
    return {"id": id, "created": created, "modified": modified, "write": write_id, **rows.document_values(document)}


def _index_writes(index_rows: dict[str, rows.Values]) -> list[Write]:
    """Unique values are inserted, so that a taken one refuses the whole; lookup rows carry the id and cannot clash."""
    return [Write("insert" if rows.is_unique(key) else "upsert", key, values) for key, values in index_rows.items()]


def _stored(row: Row) -> Stored:
    values = row.values
    return Stored(values["id"], rows.document_of(values), row.etag, values["created"], values["modified"])
