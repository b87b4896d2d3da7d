"""New resources that share transactions, as many in each as fit: a hundred POSTs of a bulk request cost a few trips.

Whoever stands in the way of the others is left out, and tried alone by the caller, who learns why. What is not told as
made here is not made by a copy that comes late.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from scim.store import properties
from scim.store.census import Census, Entry
from scim.store.outbox import MOST_TOGETHER, Change, Outbox, count_units, tell_creation
from scim.store.pending import Pending
from scim.store.resource_rows import Creation, Stored, build_created, build_creation, measure_write
from scim.store.sequences import make_receipt
from scim.store.table import MAX_WRITES, TRANSACTION_BYTES, Partition, Refused, TableUnavailable, TooLarge, Write
from scim.store.transactions import Proof, cancel, commit_surely, is_newest, make_past_etag, now

_TRIES = 4
"""How often a shared transaction is tried without the resource that refused it."""

Made = dict[str, Stored | None]
"""New resources by id: None for one of which nobody knows whether it is made, now or by a late copy."""


class _Prepared(NamedTuple):
    """A creation with the writes that make it, its row first."""

    creation: Creation
    writes: list[Write]
    change: Change


class _Try(NamedTuple):
    """A transaction that was sent: its own id, what it was to make, and whether it had room for a receipt."""

    id: str
    batch: list[_Prepared]
    with_receipt: bool


class BatchCreations:
    """New resources of a tenant that share transactions."""

    def __init__(self, partition: Partition, pending: Pending, census: Census, outbox: Outbox) -> None:
        self._partition = partition
        self._pending = pending
        self._census = census
        self._outbox = outbox

    async def create(self, creations: Sequence[Creation], made: Made | None = None) -> Made:
        """Keep several new resources; `made` tells them also when this is cancelled.

        The others are tried one by one by the caller, with the same ids. Raises TableUnavailable if the table does not
        answer before the first of them."""
        made = {} if made is None else made
        batch: list[_Prepared] = []
        own_keys: set[str] = set()
        size, told, time, entry = 0, 0, now(), self._census.make_entry()
        for creation in creations:
            writes = build_creation(creation, time, time, properties.new_write_id())
            one = _Prepared(creation, writes, tell_creation(creation.id, creation.document))
            tells = count_units([one.change])
            own, bytes_ = {write.key for write in one.writes}, sum(map(measure_write, one.writes)) + 2 * tells
            full = (
                len(own_keys) + len(own) + len(entry.writes) >= MAX_WRITES
                or size + bytes_ > TRANSACTION_BYTES
                or told + tells > MOST_TOGETHER
            )
            if batch and (own_keys & own or full):
                made.update(await self._create_batch(batch, time, entry))
                batch, own_keys, size, told, entry = [], set(), 0, 0, self._census.make_entry()
            batch.append(one)
            own_keys |= own
            size += bytes_
            told += tells
        if batch:
            made.update(await self._create_batch(batch, time, entry))
        return made

    async def _create_batch(self, batch: list[_Prepared], time: str, entry: Entry) -> Made:
        """Keep the resources of one transaction, without those that refuse it."""
        once = make_receipt()
        unsure: list[_Try] = []
        await self._pending.count_receipt()
        for _ in range(_TRIES):
            told = self._outbox.make_row([one.change for one in batch]).build()
            writes = [*(write for one in batch for write in one.writes), *told, *entry.writes]
            this = _Try(properties.new_write_id(), batch, len(writes) < MAX_WRITES)
            if this.with_receipt:
                writes.append(once._replace(values={"write": this.id}))
            first = writes[0]
            proof = Proof(first.key, first.values["write"], ours=True, receipt=once.key if this.with_receipt else None)
            try:
                etags = await commit_surely(self._partition, writes, proof)
                self._census.confirm_entry(entry)
                return await self._build_made(batch, time, etags)
            except Refused as refused:
                unsure += [this] if refused.unsure else []
                batch = _drop_refused(batch, refused.index)
            except TableUnavailable:
                unsure.append(this)
                break
            except TooLarge:
                break
            if not batch:
                break
        return await self._settle(unsure, time, once) if unsure else {}

    async def _settle(self, unsure: Sequence[_Try], time: str, once: Write) -> Made:
        """Find out what came of transactions of which copies may be on their way, and let none be taken from now on.
        Without a receipt that cannot be: their resources can be made at any time."""
        unknown: Made = {one.creation.id: None for one in unsure[0].batch}
        if not all(one.with_receipt for one in unsure):
            return unknown
        try:
            if await cancel(self._partition, once._replace(values={"write": properties.new_write_id()})):
                return {}
            row = await self._partition.read(once.key)
        except TableUnavailable:
            return unknown
        done = [one.batch for one in unsure if row is not None and one.id == row.values.get("write")]
        return await self._build_made(done[0], time, [make_past_etag("")]) if done else unknown

    async def _build_made(self, batch: Sequence[_Prepared], time: str, etags: Sequence[str]) -> Made:
        """Return the resources of a transaction that was done. If its answer was lost, their rows tell their ETags."""
        made: Made = {}
        reached = 0
        for creation, writes, _ in batch:
            version = etags[reached] if len(etags) > 1 else await self._find_version(writes[0])
            made[creation.id] = build_created(creation, version, time, time, writes[0].values["write"], writes)
            reached += len(writes)
        return made

    async def _find_version(self, write: Write) -> str:
        """Return the ETag that a row got when it was made; a past one if it has another by now, or has gone."""
        row = await self._partition.read(write.key)
        if row is None:
            return make_past_etag("")
        return row.etag if is_newest(write, row) else make_past_etag(row.etag)


def _drop_refused(batch: list[_Prepared], index: int) -> list[_Prepared]:
    """Return the batch without the creation whose write stands at `index`: it refused the others."""
    kept, reached = [], 0
    for one in batch:
        if not reached <= index < reached + len(one.writes):
            kept.append(one)
        reached += len(one.writes)
    return kept
