"""Resources as transactions: each create, update and delete is one, with all index rows, in the tenant's partition.

Uniqueness holds under any concurrency because a unique value is a row that can be inserted once. An update is
conditional on the version that it was made from. And our own retry never looks like a conflict: every transaction
writes a random write id into the resource's row, which keeps the last few, so that a refusal of what already succeeded
is recognised. What a row holds that this version or these schemas do not know is left as it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import NamedTuple

from scim.limits import forget_oldest
from scim.schema.registry import Index, ResourceType
from scim.schema.validation import Document
from scim.store import keys, properties
from scim.store.batches import BatchCreations, Made
from scim.store.census import Census
from scim.store.members import Changes, Member, Members
from scim.store.outbox import Change, Outbox, tell_creation, tell_deletion, tell_update
from scim.store.pending import Pending
from scim.store.resource_rows import (
    Creation,
    Stored,
    build_created,
    build_creation,
    build_replacement,
    choose_last_modified,
    find_doubtful_keys,
    find_late_rows,
    parse_stored,
)
from scim.store.sequences import Interrupted, make_receipt
from scim.store.table import MAX_WRITES, PAGE_ROWS, PARALLEL_READS, Partition, Refused, Row, TableUnavailable, Write
from scim.store.transactions import Proof, cancel, commit_present, now

_CREATE_TRIES = 5
"""How often a creation is tried that is refused for a value which nobody has when we look."""
PAGE_BYTES = 8 * 2**20
"""Text of resources that one page holds, about: what a search gives, and what it reads at once."""
_UNKNOWN_ROWS = 128
"""Rows of the first page from a tenant: a default page of 100, and if all are as large as can be, some 64 MB."""
_MOST_KNOWN = 1000
"""Tenants and types whose rows' size is remembered."""
_DETACH_SECONDS = 20.0
"""How long a DELETE itself removes memberships; housekeeping removes the rest."""


class Stretch(NamedTuple):
    """Rows of resources one after the other, and whether these are the last of all."""

    rows: list[Row]
    ends: bool


class Taken(Exception):
    """A unique value belongs to another resource, whose id this is."""

    def __init__(self, index: Index, id: str | None) -> None:
        super().__init__(f"{index.path} is taken")
        self.index = index
        self.id = id


class Stale(Exception):
    """The resource changed, or went, since the version that the write was made from."""


class Resources:
    """The resources of a tenant. Every method raises TableUnavailable if the table does not answer."""

    def __init__(
        self,
        partition: Partition,
        members: Members,
        pending: Pending,
        census: Census,
        outbox: Outbox,
        row_bytes: dict[tuple[str, str], int],
    ) -> None:
        """`row_bytes` is what the process remembers: how large rows are, by tenant and resource type."""
        self._partition = partition
        self._members = members
        self._pending = pending
        self._row_bytes = row_bytes
        self._census = census
        self._outbox = outbox
        self._shared = BatchCreations(partition, pending, census, outbox)

    async def read(self, id: str) -> Stored | None:
        row = await self._partition.read(keys.resource_key(id))
        return None if row is None else parse_stored(row)

    async def read_all(self, ids: Sequence[str]) -> list[Stored]:
        """Return the resources of these ids, a few trips at a time; one that is not there is left out."""
        found: list[Stored] = []
        for at in range(0, len(ids), PARALLEL_READS):
            read = await asyncio.gather(*(self.read(id) for id in ids[at : at + PARALLEL_READS]))
            found += [stored for stored in read if stored is not None]
        return found

    async def create(self, creation: Creation, members: Sequence[Member] = ()) -> Stored:
        """Keep a new resource. One trip if its members, if any, fit into it. Raises Taken."""
        time = now()
        return await self.restore(creation, members, created=time, modified=time)

    async def restore(
        self, creation: Creation, members: Sequence[Member] = (), *, created: str, modified: str
    ) -> Stored:
        """Keep a resource with these times: a new one, or one that was there before. Raises Taken.

        A row at the id is this creation, whoever wrote it since: nobody else has a new id before it is there, and for
        an old one the caller has looked before. With the receipt no late copy makes it again after a DELETE."""
        once, change = make_receipt(), tell_creation(creation.id, creation.document)
        await self._pending.count_receipt()
        for _ in range(_CREATE_TRIES):
            write_id, entry = properties.new_write_id(), self._census.make_entry()
            own = build_creation(creation, created, modified, write_id)
            writes = [*own, once, *entry.writes]
            if len(writes) + 2 * len(members) >= MAX_WRITES:  # better known before the first of many transactions
                if taken := await self._find_taken(creation.resource_type, creation.id, creation.document):
                    raise taken
            try:
                proof = Proof(own[0].key, write_id, ours=True, receipt=once.key)
                version = await self._members.create(creation.id, members, writes, proof, change)
            except Refused as refused:
                taken = await self._find_taken(creation.resource_type, creation.id, creation.document)
                mine = once._replace(values={"write": properties.new_write_id()})
                if taken and (not refused.unsure or await cancel(self._partition, mine)):
                    raise taken from None
                continue  # whoever had the value has gone since
            self._census.confirm_entry(entry)
            return build_created(creation, version, created, modified, write_id, own)
        raise TableUnavailable("a value was taken whenever it was tried, and free whenever it was looked for")

    async def create_together(self, creations: Sequence[Creation], made: Made | None = None) -> Made:
        """Keep several new resources in few transactions: see batches.py."""
        return await self._shared.create(creations, made)

    async def update(
        self,
        resource_type: ResourceType,
        old: Stored,
        document: Document,
        changes: Changes | None = None,
    ) -> Stored:
        """Replace `old` by `document`, and change its members. One trip for up to some 45 of them. Raises Taken, Stale
        if `old` is not the newest version, and 503 Busy or Interrupted."""
        old = await self._drop_foreign_keys(resource_type, old)
        every = keys.build_index_rows(resource_type, old.id, document)
        late = find_late_rows(resource_type, old, every)
        if late:  # try to make up for them
            try:
                return await self._update(resource_type, old, document, every, changes)
            except (Taken, Stale):  # stale too if the row is there, and the resource's own row does not name it
                every = {key: row for key, row in every.items() if key not in late}
        return await self._update(resource_type, old, document, every, changes)

    async def _update(
        self,
        resource_type: ResourceType,
        old: Stored,
        document: Document,
        index_rows: Mapping[str, properties.Values],
        changes: Changes | None,
    ) -> Stored:
        both = changes is not None and bool(changes or (changes.absolute and old.changing))
        if both and old.changing:
            old = await self._check_changing(old)
        write_id, entry = properties.new_write_id(), self._census.make_entry()
        required, gone, own_keys = build_replacement(resource_type, old, document, index_rows, write_id)
        required += entry.writes
        proof = Proof(required[0].key, write_id)
        change = tell_update(old.id, old.document, document, old.revision + 1)
        try:
            if changes is not None and both:
                version = await self._write_both(old, required, gone, changes, proof, change)
            else:
                told = self._outbox.make_row([change])
                version = await commit_present(self._partition, required, gone, proof, told)
        except Refused as refused:
            taken = await self._find_taken(resource_type, old.id, document) if refused.status == 409 else None
            same = {"modified": old.modified, "write": properties.add_write_id(properties.new_write_id(), old.write)}
            unchanged = Write("merge", required[0].key, same, old.version)
            if taken and (not refused.unsure or await cancel(self._partition, unchanged)):
                raise taken from None
            if both and await self._is_written(proof):
                raise Interrupted(old.id) from None  # it had begun, and was taken over or superseded
            if refused.status != 404 or changes is None:
                raise Stale from None
            mended = await self._members.sequences.mend(old.id, old.version)
            if mended is None:
                await self._reopen(old.id)
                raise Stale from None
            whole = old._replace(version=mended, changing=False)
            return await self._update(resource_type, whole, document, index_rows, changes)
        self._census.confirm_entry(entry)
        changing = old.changing and not both
        shown, write = choose_last_modified(old.created, "", version), properties.add_write_id(write_id, old.write)
        return Stored(
            old.id,
            document,
            version,
            old.created,
            shown,
            changing,
            own_keys,
            write,
            old.unknown,
            revision=old.revision + 1,
        )

    async def _check_changing(self, group: Stored) -> Stored:
        """Return a group that says that a change of its members is under way, after a look: it says no more so if there
        is none. Raises Stale if it has changed meanwhile."""
        if await self._members.sequences.find_change(group.id) is not None:
            return group
        version = await self._members.sequences.mend(group.id, group.version)
        if version is None:
            raise Stale
        return group._replace(version=version, changing=False)

    async def _is_written(self, proof: Proof) -> bool:
        row = await self._partition.read(proof.key)
        return row is not None and proof.holds(row)

    async def _write_both(
        self,
        old: Stored,
        required: list[Write],
        gone: list[list[Write]],
        changes: Changes,
        proof: Proof,
        change: Change | None,
    ) -> str:
        """Write the document and the members. An older change of the members that is under way is superseded if these
        are what they will be anyhow, else it is waited for, and then the caller has to read anew."""
        if not old.changing:
            return await self._members.write(old.id, required, gone, changes, proof, change)
        if not changes.absolute:
            await self._members.sequences.settle(old.id)
            raise Stale
        older = await self._members.sequences.find_change(old.id)
        if older is None:
            raise Stale
        whole = required[0]._replace(values={**required[0].values, "changing": False})
        whole_first = [whole, *required[1:]]
        return await self._members.write(old.id, whole_first, gone, changes, proof, change, older.etag)

    async def _reopen(self, group: str) -> None:
        try:
            await self._members.sequences.reopen(group)
        except Refused:
            pass  # it was deleted, as the next read will show

    async def _drop_foreign_keys(
        self, resource_type: ResourceType, old: Stored, *, all_schemas: bool = False
    ) -> Stored:
        """Return a resource without the keys that it names and that are somebody else's: their rows must stay. A look
        at those alone that its document does not tell, for which there is no reason as a rule but other schemas."""
        ours, strange, foreign = find_doubtful_keys(resource_type, old)
        for key in [*ours, *(strange if all_schemas else ())]:
            row = await self._partition.read(key)
            if row is not None and row.values.get("id") != old.id:
                foreign.append(key)
        return old._replace(keys=tuple(key for key in old.keys if key not in foreign)) if foreign else old

    async def delete(self, resource_type: ResourceType, old: Stored) -> None:
        """Remove `old` with its index rows, then its memberships. Raises Stale if it changed since or is gone.

        The resource is gone with the first transaction; its pending row stays for one later look by housekeeping, which
        also finds an edge that was added in that instant."""
        has_members = resource_type.members is not None
        old = await self._drop_foreign_keys(resource_type, old, all_schemas=True)
        if old.changing:
            old = await self._check_changing(old)
        note = Pending.make_note({"kind": "detach", "id": old.id, "members": has_members})
        required = [note, Write("delete", keys.resource_key(old.id), etag=old.version)]
        gone = [[Write("delete", key)] for key in old.keys]
        if has_members:
            gone.append([Write("delete", (keys.change_key if old.changing else keys.gate_key)(old.id))])
        proof = Proof(note.key, str(note.values["write"]), ours=True)
        told = self._outbox.make_row([tell_deletion(old.id, old.document, old.revision + 1)])
        await self._pending.announce()
        try:
            await commit_present(self._partition, required, gone, proof, told)
        except Refused:
            raise Stale from None
        await self._members.detach(old.id, note.key, has_members=has_members, seconds=_DETACH_SECONDS)

    async def read_rows(self, resource_type: ResourceType, start: str | None, count: int) -> Stretch:
        """Return the rows of `count` resources of the type in id order, from the id `start` on: `parse_stored` reads
        one. They are fewer once their text is 8 MiB and more.

        A row may have 480,000 characters, so a page asks for as many as will have 8 MiB together if they are like those
        read before; ids are random, so they are. Nothing is known at first: then for 128."""
        found: list[Row] = []
        size = 0
        while len(found) < count and size < PAGE_BYTES:
            asked = min(count - len(found), self._choose_page_size(resource_type))
            read = 0
            key_range = keys.resource_range(resource_type, start)
            async for page in self._partition.pages(*key_range, size=asked):
                found += page
                read += len(page)
                size += self._weigh(resource_type, page)
                if read >= asked or size >= PAGE_BYTES:
                    break
            else:
                return Stretch(found, ends=True)
            start = keys.id_after(keys.parse_id(found[-1].key))
        return Stretch(found, ends=False)

    def _choose_page_size(self, resource_type: ResourceType) -> int:
        """Return how many rows one page should ask for."""
        size = self._row_bytes.get((self._partition.name, resource_type.id_prefix))
        return _UNKNOWN_ROWS if size is None else max(1, min(PAGE_ROWS, PAGE_BYTES // max(size, 1)))

    def _weigh(self, resource_type: ResourceType, page: list[Row]) -> int:
        """Return the bytes of a page of rows; their mean is remembered, and a larger one at once."""
        if not page:
            return 0
        size, key = (
            sum(properties.measure_document(row.values) for row in page),
            (self._partition.name, resource_type.id_prefix),
        )
        mean = size // len(page)
        self._row_bytes[key] = max(mean, (self._row_bytes.pop(key, mean) + mean) // 2)
        forget_oldest(self._row_bytes, _MOST_KNOWN)
        return size

    async def find_unique_id(self, resource_type: ResourceType, index: Index, value: str) -> str | None:
        """Return the id of the resource that has the unique value."""
        row = await self._partition.read(keys.unique_key(resource_type, index, value))
        return str(row.values["id"]) if row else None

    async def find_ids(self, resource_type: ResourceType, index: Index, value: str, most: int) -> list[str]:
        """Return the ids of all resources that have the value; of more than `most` not all."""
        return await self._read_ids(keys.lookup_range(resource_type, index, value), most)

    async def find_prefix_ids(self, resource_type: ResourceType, index: Index, prefix: str, most: int) -> list[str]:
        """Return the ids of all resources with a value that starts with `prefix` (and possibly of others); of more than
        `most` not all."""
        return await self._read_ids(keys.prefix_range(resource_type, index, prefix), most)

    async def read_linked_ids(
        self, other: str, start: str | None = None, end: str | None = None, *, of_group: bool, most: int
    ) -> AsyncIterator[list[str]]:
        """Return the ids at the other end of a resource's edges, in order, from `start` on and before `end`, in pages
        of up to `most`: those of a group's members (`of_group`), or of the groups of a member. Right for ids of
        ours."""
        key_range = keys.linked_range(other, start, end, of_group=of_group)
        async for page in self._partition.pages(*key_range, size=min(most, PAGE_ROWS), keys_only=True):
            yield [keys.parse_linked_id(row.key) for row in page]

    async def _read_ids(self, key_range: tuple[str, str], most: int) -> list[str]:
        ids: list[str] = []
        async for page in self._partition.pages(*key_range):
            ids += [str(row.values["id"]) for row in page]
            if len(ids) > most:
                break
        return ids

    async def _find_taken(self, resource_type: ResourceType, id: str, document: Document) -> Taken | None:
        """Return which unique value of a refused write belongs to somebody else."""
        for index in resource_type.indexes.values():
            for value in keys.find_indexed_values(document, index) if index.unique else ():
                owner = await self.find_unique_id(resource_type, index, value)
                if owner not in (None, id):
                    return Taken(index, owner)
        return None
