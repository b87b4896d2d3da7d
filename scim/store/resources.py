"""Resources as transactions: each create, update and delete is one, with all index rows, in the tenant's partition.

Uniqueness holds under any concurrency because a unique value is a row that can be inserted once. An update is
conditional on the version that it was made from. And our own retry never looks like a conflict: every transaction
writes a random write id into the resource's row, so that a refusal of what already succeeded is recognised.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import NamedTuple

from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.store import rows
from scim.store.gateway import MAX_WRITES, PAGE_ROWS, PARALLEL_READS, Gateway, Refused, Unavailable
from scim.store.members import Changes, Member, Members
from scim.store.pending import Pending
from scim.store.row import Row, Write
from scim.store.transactions import commit, commit_present, now

PAGE_BYTES = 8 * 2**20
"""Text of resources that one page holds, about: what a search gives, and what it reads at once."""
_UNKNOWN_ROWS = 128
"""Rows of the first page from a tenant: a default page of 100, and if all are as large as can be, some 64 MB."""
_MOST_KNOWN = 1000
"""Tenants and types whose rows' size is remembered."""
_BATCH_TRIES = 4
"""How often a shared transaction is tried without the resource that refused it."""
_DETACH_SECONDS = 20.0
"""How long a DELETE itself removes memberships; housekeeping removes the rest."""


class Stored(NamedTuple):
    """A resource as it is kept. `document` has neither id nor meta; `version` is the row's ETag, which is weak.

    It is not `settled` while a change of several transactions is on its way, or was cut short. `keys` are those of its
    index rows: schemas may have changed since it was written, so they are known from the row and not from the document.
    """

    id: str
    document: Document
    version: str
    created: str
    modified: str
    settled: bool = True
    keys: tuple[str, ...] = ()
    size: int = 0
    """About how many bytes it takes in a response; 0 unless it was read."""


class Stretch(NamedTuple):
    """Rows of resources one after the other, and whether these are the last of all."""

    rows: list[Row]
    ends: bool


class Creation(NamedTuple):
    """A resource to be made, with the id that it gets."""

    id: str
    resource_type: ResourceType
    document: Document


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
        self._row_bytes: dict[tuple[str, str], int] = {}

    async def read(self, tenant: str, id: str) -> Stored | None:
        row = await self._gateway.read(tenant, rows.resource_key(id))
        return None if row is None else stored(row)

    async def read_all(self, tenant: str, ids: Sequence[str]) -> list[Stored]:
        """The resources of these ids, a few trips at a time; one that is not there is left out."""
        found: list[Stored] = []
        for at in range(0, len(ids), PARALLEL_READS):
            read = await asyncio.gather(*(self.read(tenant, id) for id in ids[at : at + PARALLEL_READS]))
            found += [stored for stored in read if stored is not None]
        return found

    async def create(self, tenant: str, creation: Creation, members: Sequence[Member] = ()) -> Stored:
        """Keep a new resource. One trip where its members, if any, fit into it. Raises Taken."""
        time, write_id = now(), rows.new_write_id()
        writes = _creation_writes(creation, time, write_id)
        try:
            if len(writes) + 2 * len(members) > MAX_WRITES:  # better known before the first of many transactions
                if taken := await self._taken(tenant, creation.resource_type, creation.id, creation.document):
                    raise taken
            version = await self._members.create(tenant, creation.id, members, writes)
        except Refused:
            taken = await self._taken(tenant, creation.resource_type, creation.id, creation.document)
            raise taken or Unavailable("a new id was refused") from None
        return Stored(creation.id, creation.document, version, time, time, keys=_index_keys(writes))

    async def create_together(self, tenant: str, creations: Sequence[Creation]) -> dict[str, Stored]:
        """Keep several new resources, as many in each transaction as fit; by id, those that could be kept so. A
        transaction that is refused keeps none of its own: its resources are tried one by one by the caller."""
        made: dict[str, Stored] = {}
        batch: list[tuple[Creation, list[Write]]] = []
        keys: set[str] = set()
        time = now()
        for creation in creations:
            writes = _creation_writes(creation, time, rows.new_write_id())
            own = {write.key for write in writes}
            if batch and (keys & own or len(keys) + len(own) > MAX_WRITES):
                made |= await self._create_batch(tenant, batch, time)
                batch, keys = [], set()
            batch.append((creation, writes))
            keys |= own
        return made | (await self._create_batch(tenant, batch, time) if batch else {})

    async def _create_batch(
        self, tenant: str, batch: list[tuple[Creation, list[Write]]], time: str
    ) -> dict[str, Stored]:
        for _ in range(_BATCH_TRIES):
            writes = [write for _, own in batch for write in own]
            try:
                etags = await commit(self._gateway, tenant, writes, writes[0].key, str(writes[0].values["write"]))
                break
            except Refused as refused:
                batch = _without(batch, refused.index)
                if not batch:
                    return {}
        else:
            return {}
        if len(etags) < len(writes):  # found done after a lost answer, which had the etags
            return {stored.id: stored for stored in await self.read_all(tenant, [creation.id for creation, _ in batch])}
        versions = {write.key: etag for write, etag in zip(writes, etags, strict=True)}
        return {
            c.id: Stored(c.id, c.document, versions[rows.resource_key(c.id)], time, time, keys=_index_keys(own))
            for c, own in batch
        }

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
        index_rows = _kept_rows(resource_type, old, document)
        values = _values(old.id, document, old.created, time, f"{write_id}.0", index_rows)
        head = [Write("replace", rows.resource_key(old.id), values, old.version)]
        head += [Write("delete", gone) for gone in old.keys if gone not in index_rows]
        head += _index_writes({new: row for new, row in index_rows.items() if new not in old.keys})
        try:
            version = await self._members.write(tenant, old.id, head, changes or Changes(), write_id, time)
        except Refused as refused:
            if refused.status == 409 and (taken := await self._taken(tenant, resource_type, old.id, document)):
                raise taken from None
            raise Stale from None
        return Stored(old.id, document, version, old.created, time, keys=tuple(index_rows))

    async def delete(self, tenant: str, resource_type: ResourceType, old: Stored) -> None:
        """Remove `old` with its index rows, then its memberships. Raises Stale where it changed since or is gone.

        The resource is gone with the first transaction; its pending row stays for one later look by housekeeping, which
        also finds an edge that was added in that instant."""
        has_members = resource_type.members is not None
        note = Pending.note({"kind": "detach", "id": old.id, "members": has_members})
        required = [note, Write("delete", rows.resource_key(old.id), etag=old.version)]
        index_rows = [[Write("delete", row)] for row in old.keys]
        await self._pending.announce(tenant)
        try:
            await commit_present(self._gateway, tenant, required, index_rows, note.key, str(note.values["write"]))
        except Refused:
            raise Stale from None
        await self._members.detach(tenant, old.id, has_members=has_members, seconds=_DETACH_SECONDS)

    async def rows(self, tenant: str, resource_type: ResourceType, start: str | None, count: int) -> Stretch:
        """The rows of `count` resources of the type in id order, from the id `start` on: `stored` reads one. They are
        fewer once their text is 8 MiB and more.

        A row may have 480,000 characters, so a page asks for as many as will have 8 MiB together if they are like those
        read before; ids are random, so they are. Nothing is known at first: then for 128."""
        found: list[Row] = []
        size = 0
        while len(found) < count and size < PAGE_BYTES:
            asked = min(count - len(found), self._fitting(tenant, resource_type))
            read = 0
            key_range = rows.resource_range(resource_type, start)
            async for page in self._gateway.pages(tenant, *key_range, size=asked):
                found += page
                read += len(page)
                size += self._weighed(tenant, resource_type, page)
                if read >= asked or size >= PAGE_BYTES:
                    break
            else:
                return Stretch(found, ends=True)
            start = rows.after(rows.id_of(found[-1].key))
        return Stretch(found, ends=False)

    def _fitting(self, tenant: str, resource_type: ResourceType) -> int:
        """How many rows one page should ask for."""
        size = self._row_bytes.get((tenant, resource_type.id_prefix))
        return _UNKNOWN_ROWS if size is None else max(1, min(PAGE_ROWS, PAGE_BYTES // max(size, 1)))

    def _weighed(self, tenant: str, resource_type: ResourceType, page: list[Row]) -> int:
        """The bytes of a page of rows; their mean is remembered, and a larger one at once."""
        if not page:
            return 0
        size, key = sum(rows.text_bytes(row.values) for row in page), (tenant, resource_type.id_prefix)
        mean = size // len(page)
        self._row_bytes[key] = max(mean, (self._row_bytes.pop(key, mean) + mean) // 2)
        if len(self._row_bytes) > _MOST_KNOWN:
            del self._row_bytes[next(iter(self._row_bytes))]
        return size

    async def unique_id(self, tenant: str, resource_type: ResourceType, index: Index, value: str) -> str | None:
        """The id of the resource that has the unique value."""
        row = await self._gateway.read(tenant, rows.unique_key(resource_type, index, value))
        return str(row.values["id"]) if row else None

    async def lookup_ids(
        self, tenant: str, resource_type: ResourceType, index: Index, value: str, most: int
    ) -> list[str]:
        """The ids of all resources that have the value; of more than `most` not all."""
        return await self._ids(tenant, rows.lookup_range(resource_type, index, value), most)

    async def prefix_ids(
        self, tenant: str, resource_type: ResourceType, index: Index, prefix: str, most: int
    ) -> list[str]:
        """The ids of all resources with a value that starts with `prefix` (and possibly of others); of more than `most`
        not all."""
        return await self._ids(tenant, rows.prefix_range(resource_type, index, prefix), most)

    async def linked_ids(
        self, tenant: str, other: str, start: str | None = None, end: str | None = None, *, of_group: bool, most: int
    ) -> AsyncIterator[list[str]]:
        """The ids at the other end of a resource's edges, in order, from `start` on and before `end`, in pages of up to
        `most`: those of a group's members (`of_group`), or of the groups of a member. Right for ids of ours."""
        keys = rows.linked_range(other, start, end, of_group=of_group)
        async for page in self._gateway.pages(tenant, *keys, size=min(most, PAGE_ROWS), keys_only=True):
            yield [rows.linked_id(row.key) for row in page]

    async def _ids(self, tenant: str, keys: tuple[str, str], most: int) -> list[str]:
        ids: list[str] = []
        async for page in self._gateway.pages(tenant, *keys):
            ids += [str(row.values["id"]) for row in page]
            if len(ids) > most:
                break
        return ids

    async def _taken(self, tenant: str, resource_type: ResourceType, id: str, document: Document) -> Taken | None:
        """Which unique value of a refused write belongs to somebody else."""
        for index in resource_type.indexes.values():
            for value in rows.indexed_values(document, index) if index.unique else ():
                owner = await self.unique_id(tenant, resource_type, index, value)
                if owner not in (None, id):
                    return Taken(index, owner)
        return None


def _values(
    id: str, document: Document, created: str, modified: str, write_id: str, index_rows: Iterable[str]
) -> rows.Values:
    values = {"id": id, "created": created, "modified": modified, "write": write_id, "keys": "\n".join(index_rows)}
    return {**values, **rows.document_values(document)}


def _kept_rows(resource_type: ResourceType, old: Stored, document: Document) -> dict[str, rows.Values]:
    """The index rows that a resource has from now on. A unique value that was kept before its schema was there, and
    that this change does not touch, gets none: somebody else may have it too, and a user must still be disabled."""
    after = rows.index_rows(resource_type, old.id, document)
    new = [key for key in after if rows.is_unique(key) and key not in old.keys]
    untouched = rows.index_rows(resource_type, old.id, old.document) if new else {}
    return {key: row for key, row in after.items() if key not in new or key not in untouched}


def _without(batch: list[tuple[Creation, list[Write]]], index: int) -> list[tuple[Creation, list[Write]]]:
    """The batch without the creation whose write stands at `index`: it refused the others."""
    kept, reached = [], 0
    for creation, writes in batch:
        if not reached <= index < reached + len(writes):
            kept.append((creation, writes))
        reached += len(writes)
    return kept


def _creation_writes(creation: Creation, time: str, write_id: str) -> list[Write]:
    index_rows = rows.index_rows(creation.resource_type, creation.id, creation.document)
    values = _values(creation.id, creation.document, time, time, write_id, index_rows)
    # A lookup row's key holds the new id, so an insert cannot clash, and the table has less to do than for an upsert.
    return [
        Write("insert", rows.resource_key(creation.id), values),
        *(Write("insert", key, content) for key, content in index_rows.items()),
    ]


def _index_keys(writes: Sequence[Write]) -> tuple[str, ...]:
    """The index rows among the writes of a creation, whose first is the resource's own."""
    return tuple(write.key for write in writes[1:])


def _index_writes(index_rows: dict[str, rows.Values]) -> list[Write]:
    """Unique values are inserted, so that a taken one refuses the whole; lookup rows carry the id and cannot clash."""
    return [Write("insert" if rows.is_unique(key) else "upsert", key, values) for key, values in index_rows.items()]


def stored(row: Row) -> Stored:
    """The resource that a row holds."""
    values = row.values
    keys = tuple(filter(None, values.get("keys", "").split("\n")))
    settled = "." not in values["write"]
    document = rows.document_of(values)
    size = rows.text_bytes(values)
    return Stored(values["id"], document, row.etag, values["created"], values["modified"], settled, keys, size)
