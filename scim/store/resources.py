"""Resources as transactions: each create, update and delete is one, with all index rows, in the tenant's partition.

Uniqueness holds under any concurrency because a unique value is a row that can be inserted once. An update is
conditional on the version that it was made from. And our own retry never looks like a conflict: every transaction
writes a random write id into the resource's row, so that a refusal of what already succeeded is recognised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.store import rows
from scim.store.census import Census, Word
from scim.store.gateway import MAX_WRITES, PAGE_ROWS, PARALLEL_READS, Gateway, Refused, Unavailable
from scim.store.members import Changes, Member, Members
from scim.store.pending import Pending
from scim.store.row import Row, Write
from scim.store.transactions import commit, commit_present, now

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

    def __init__(self, gateway: Gateway, members: Members, pending: Pending, census: Census) -> None:
        self._gateway = gateway
        self._members = members
        self._pending = pending
        self._census = census

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
        time = now()
        return await self.restore(tenant, creation, members, created=time, modified=time)

    async def restore(
        self, tenant: str, creation: Creation, members: Sequence[Member] = (), *, created: str, modified: str
    ) -> Stored:
        """Keep a resource that was there before, with its id and its times, as `create` keeps a new one. Raises Taken;
        Unavailable if the id is there already, which the caller has looked at before."""
        word = self._census.word(tenant)
        own = _creation_writes(creation, created, rows.new_write_id())
        own[0] = own[0]._replace(values={**own[0].values, "modified": modified})
        writes = [*own, *word.writes]
        try:
            if len(writes) + 2 * len(members) > MAX_WRITES:  # better known before the first of many transactions
                if taken := await self._taken(tenant, creation.resource_type, creation.id, creation.document):
                    raise taken
            version = await self._members.create(tenant, creation.id, members, writes)
        except Refused:
            taken = await self._taken(tenant, creation.resource_type, creation.id, creation.document)
            raise taken or Unavailable("a new id was refused") from None
        self._census.said(word)
        return Stored(creation.id, creation.document, version, created, modified, keys=_index_keys(own))

    async def create_together(self, tenant: str, creations: Sequence[Creation]) -> dict[str, Stored]:
        """Keep several new resources, as many in each transaction as fit; by id, those that could be kept so. A
        transaction that is refused keeps none of its own: its resources are tried one by one by the caller."""
        made: dict[str, Stored] = {}
        batch: list[tuple[Creation, list[Write]]] = []
        keys: set[str] = set()
        time, word = now(), self._census.word(tenant)
        for creation in creations:
            writes = _creation_writes(creation, time, rows.new_write_id())
            own = {write.key for write in writes}
            if batch and (keys & own or len(keys) + len(own) + len(word.writes) > MAX_WRITES):
                made |= await self._create_batch(tenant, batch, time, word)
                batch, keys, word = [], set(), self._census.word(tenant)
            batch.append((creation, writes))
            keys |= own
        return made | (await self._create_batch(tenant, batch, time, word) if batch else {})

    async def _create_batch(
        self, tenant: str, batch: list[tuple[Creation, list[Write]]], time: str, word: Word
    ) -> dict[str, Stored]:
        for _ in range(_BATCH_TRIES):
            writes = [*(write for _, own in batch for write in own), *word.writes]
            try:
                etags = await commit(self._gateway, tenant, writes, writes[0].key, str(writes[0].values["write"]))
                self._census.said(word)
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
        time, write_id, word = now(), rows.new_write_id(), self._census.word(tenant)
        every = rows.index_rows(resource_type, old.id, document)
        late = _late(resource_type, old, every)
        for left_out in [set[str](), late] if late else [late]:
            index_rows = {key: row for key, row in every.items() if key not in left_out}
            values = _values(old.id, document, old.created, time, f"{write_id}.0", index_rows)
            head = [Write("replace", rows.resource_key(old.id), values, old.version)]
            head += [Write("delete", gone) for gone in old.keys if gone not in index_rows]
            head += _index_writes({new: row for new, row in index_rows.items() if new not in old.keys})
            head += word.writes
            try:
                version = await self._members.write(tenant, old.id, head, changes or Changes(), write_id, time)
                break
            except Refused as refused:
                if refused.status == 409 and late and not left_out:
                    continue
                if refused.status == 409 and (taken := await self._taken(tenant, resource_type, old.id, document)):
                    raise taken from None
                raise Stale from None
        self._census.said(word)
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

    async def rows(self, tenant: str, resource_type: ResourceType, start: str | None, count: int) -> list[Row]:
        """The rows of `count` resources of the type in id order, from the id `start` on: `stored` reads one."""
        found: list[Row] = []
        key_range = rows.resource_range(resource_type, start)
        async for page in self._gateway.pages(tenant, *key_range, size=min(count, PAGE_ROWS)):
            found += page
            if len(found) >= count:
                break
        return found[:count]

    async def stretch(self, tenant: str, resource_type: ResourceType, start: str | None, count: int) -> list[Stored]:
        """The same as resources."""
        return [stored(row) for row in await self.rows(tenant, resource_type, start, count)]

    async def ids(self, tenant: str, resource_type: ResourceType) -> list[str]:
        """The ids of all resources of the type, in order: 1,000 a trip."""
        pages = self._gateway.pages(tenant, *rows.resource_range(resource_type), keys_only=True)
        return [rows.id_of(row.key) async for page in pages for row in page]

    async def ids_by_value(self, tenant: str, resource_type: ResourceType, index: Index) -> list[tuple[str, str]]:
        """(row key, id) of all resources with a value of a unique attribute, in the values' order: 1,000 a trip."""
        pages = self._gateway.pages(tenant, *rows.unique_range(resource_type, index))
        return [(row.key, str(row.values["id"])) async for page in pages for row in page]

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


def _late(resource_type: ResourceType, old: Stored, index_rows: Iterable[str]) -> set[str]:
    """The rows of unique values that were kept before their schema was there, and that this change does not touch.
    They are made up for unless somebody else has the value too: a user must still be disabled."""
    new = [key for key in index_rows if rows.is_unique(key) and key not in old.keys]
    untouched = rows.index_rows(resource_type, old.id, old.document) if new else {}
    return {key for key in new if key in untouched}


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
    return Stored(values["id"], document, row.etag, values["created"], values["modified"], settled, keys)
