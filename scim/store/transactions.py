"""One transaction, run until its outcome is known."""

from __future__ import annotations

import asyncio
import random
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from scim import trace
from scim.clock import format_time
from scim.store import keys
from scim.store.outbox import OutboxRow
from scim.store.table import MAX_WRITES, PARALLEL_READS, TRIP_SECONDS, Partition, Refused, Row, TableUnavailable, Write

_TRIES = 8


class Proof(NamedTuple):
    """What tells that a transaction of ours was done although its answer was lost: a row."""

    key: str
    """The key of the row."""
    write_id: str | None = None
    """An id that must be among those of its last writes; None if the row need only be there."""
    ours: bool = False
    """Whether the key has a random part that nobody else can have made: then, too, the row need only be there."""
    receipt: str | None = None
    """The key of a receipt in the same transaction, by which it is known if the row has gone since."""

    def holds(self, row: Row | None) -> bool:
        """Return whether `row`, the one at the key, shows that the transaction was done."""
        return row is not None and (
            self.write_id is None or self.ours or self.write_id in str(row.values.get("write", "")).split()
        )


async def commit_surely(partition: Partition, writes: Sequence[Write], proof: Proof | None = None) -> list[str]:
    """Run a transaction and return the new ETags of its writes. If it was found done after a lost answer, that is the
    ETag of the first alone: a past one if its row has gone or was written by others since, so that nobody takes for our
    work what is theirs. Raises Refused or TableUnavailable.

    A write without an answer is sent again: if the first had succeeded, the second is refused, and the proof shows it.
    Without a proof the caller looks itself. A refusal says whether a copy may still arrive.
    """
    unavailable: TableUnavailable | None = None
    try:
        async with asyncio.timeout(TRIP_SECONDS):
            for number in range(_TRIES):
                try:
                    etags = await partition.commit(writes)
                    _tell_left(writes)
                    return etags
                except Refused as refused:
                    refused.unsure = unavailable is not None
                    shown = await _find_proof(partition, proof, refused) if proof else None
                    if shown is None:
                        raise
                    _tell_left(writes)
                    first = shown if shown.key == writes[0].key else await partition.read(writes[0].key)
                    return [first.etag if first and is_newest(writes[0], first) else make_past_etag(shown.etag)]
                except TableUnavailable as error:
                    unavailable = error
                    await asyncio.sleep(0.1 * 2**number * random.uniform(0.5, 1.0))
    except TimeoutError:
        raise TableUnavailable(f"a write stayed without an answer for {TRIP_SECONDS} s") from None
    raise unavailable or TableUnavailable("a write was not sent")


def _tell_left(writes: Sequence[Write]) -> None:
    """Tell the request at hand which memberships are gone now: a delete of what is not there is refused."""
    if number := sum(write.kind == "delete" and keys.is_membership(write.key) for write in writes):
        trace.note_left_memberships(number)


async def _find_proof(partition: Partition, proof: Proof, refused: Refused) -> Row | None:
    """Return the row that shows that a refused transaction was done before; None if none does."""
    row = await partition.read(proof.key)
    if proof.holds(row):
        return row
    return await partition.read(proof.receipt) if proof.receipt and refused.unsure else None


def is_newest(write: Write, row: Row) -> bool:
    """Return whether nobody has written the row since: neither what it holds (`write`), nor what belongs to it
    (`touched`, which a write of the whole row takes away)."""
    return all(
        row.values.get(name, "") == write.values.get(name, "")
        for name in ("write", "touched")
        if name in write.values or write.kind in ("insert", "replace")
    )


async def cancel(partition: Partition, write: Write) -> bool:
    """Make sure that no late copy of a transaction is taken, by a write that it cannot follow and that has an id of its
    own. False if one has been taken already."""
    try:
        await commit_surely(partition, [write], Proof(write.key, str(write.values["write"]).split()[0]))
    except Refused:
        return False
    return True


def make_past_etag(etag: str) -> str:
    """Return an ETag that no row has any more: it names what a row was, before others wrote it. Its time is that of
    `etag`."""
    return (etag or 'W/""')[:-1] + f'~{secrets.token_hex(8)}"'


def is_past_etag(etag: str) -> bool:
    """Return whether this is no ETag of a row, but what `past` made."""
    return _PAST.search(etag) is not None


_PAST = re.compile('~[0-9a-f]{16}"$')


def now() -> str:
    """Return the time as meta shows it."""
    return format_time(datetime.now(UTC))


Unit = Sequence[Write]
"""Writes that are dropped together or not at all: both edges of a membership, or one row alone."""

_LOOKS = 10
_PATIENCE = 3


async def commit_present(
    partition: Partition,
    required: Sequence[Write],
    units: Sequence[Unit],
    proof: Proof | None = None,
    told: OutboxRow | None = None,
) -> str:
    """Commit like `commit_surely`, but drop a unit of deletes or merges whose rows are gone: removing what is gone is
    done.

    Nothing is read beforehand; only a refusal makes us look which rows there are. What is sent then holds only if the
    required rows are still as they were before that look, or a member that came back meanwhile would be kept although
    others of the same change are removed. `told` tells the outbox what is done, which may be less each time.
    Returns the new ETag of the first write, "" if nothing was left to write. Raises Refused if a required write is
    refused.
    """
    pinned, there = list(required), units
    for number in range(_LOOKS):
        writes = [*pinned, *(told.build(there) if told else ()), *(write for unit in there for write in unit)]
        if not writes:
            return ""
        try:
            return (await commit_surely(partition, writes, proof))[0]
        except Refused as refused:
            if refused.status != 404 and (refused.status != 412 or pinned == list(required)):
                raise
            found = await _read_all(partition, required)
            if not _are_held(required, found):
                raise
        pinned = [_pin(write, row) for write, row in zip(required, found, strict=True)]
        there = await _find_present(partition, units, alone=number >= _PATIENCE)
    raise TableUnavailable("the same memberships are being changed by others all the time")


def _are_held(writes: Sequence[Write], found: Sequence[Row | None]) -> bool:
    """Return whether the rows that writes need are there, with the ETags that they name."""
    return all(
        not write.needs_row or (row is not None and write.etag in ("*", row.etag))
        for write, row in zip(writes, found, strict=True)
    )


def _pin(write: Write, row: Row | None) -> Write:
    """Return the write, under the condition that the row has not changed since it was read."""
    return write._replace(etag=row.etag) if row is not None and write.needs_row else write


async def remove_rows(partition: Partition, keys: Sequence[str]) -> None:
    """Delete rows, 100 in a transaction; those that are gone already are no error."""
    for at in range(0, len(keys), MAX_WRITES):
        units = [[Write("delete", key)] for key in keys[at : at + MAX_WRITES]]
        await commit_present(partition, [], units)


async def _find_present(partition: Partition, units: Sequence[Unit], *, alone: bool) -> list[Unit]:
    """Return the units that have a row left. One that has lost only some of its rows is in the middle of somebody
    else's change and looked at again; if that goes on, the rows that are left are damage, and removed `alone`."""
    every = [write for unit in units for write in unit]
    there = iter(_check_rows(every, await _read_all(partition, every)))
    present: list[Unit] = []
    for unit in units:
        found = [write for write in unit if next(there)]
        if found:
            present.append(found if alone else unit)
    return present


def _check_rows(writes: Sequence[Write], found: Sequence[Row | None]) -> list[bool]:
    """Return for each write whether the row that it needs exists; one that makes its row needs none."""
    return [not write.needs_row or row is not None for write, row in zip(writes, found, strict=True)]


async def _read_all(partition: Partition, writes: Sequence[Write]) -> list[Row | None]:
    """Read the rows that writes need, a few at a time; None for one that is not there, or need not be."""

    async def read(write: Write) -> Row | None:
        return await partition.read(write.key) if write.needs_row else None

    found: list[Row | None] = []
    for at in range(0, len(writes), PARALLEL_READS):
        found += await asyncio.gather(*map(read, writes[at : at + PARALLEL_READS]))
    return found
