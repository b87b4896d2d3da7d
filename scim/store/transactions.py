"""One transaction, run until its outcome is known."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from scim.store.gateway import PARALLEL_READS, TRIP_SECONDS, Gateway, Refused, Unavailable
from scim.store.row import Write

_TRIES = 5


async def commit(
    gateway: Gateway, tenant: str, writes: Sequence[Write], key: str = "", write_id: str | None = None
) -> list[str]:
    """Run a transaction; the new etags of its writes, or of the first alone where it was found done. Raises Refused or
    Unavailable.

    A write without an answer is sent again: if the first had succeeded, the second is refused, and the row at `key`
    then carries our write id. The SDK does the same beneath, unseen, so every refusal is looked at; without a write id
    the caller looks itself.
    """
    try:
        async with asyncio.timeout(TRIP_SECONDS):
            for number in range(_TRIES):
                try:
                    return await gateway.commit(tenant, writes)
                except Refused:
                    row = await gateway.read(tenant, key) if write_id else None
                    if row is None or row.values.get("write") != write_id:
                        raise
                    return [row.etag]
                except Unavailable as error:
                    unavailable = error
                    await asyncio.sleep(0.1 * 2**number * random.uniform(0.5, 1.0))
    except TimeoutError:
        raise Unavailable(f"a write stayed without an answer for {TRIP_SECONDS} s") from None
    raise unavailable


def now() -> str:
    """The time of a write, as meta shows it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Unit = Sequence[Write]
"""Writes that are dropped together or not at all: both edges of a membership, or one row alone."""

_LOOKS = 10
_PATIENCE = 3


async def commit_present(
    gateway: Gateway,
    tenant: str,
    required: Sequence[Write],
    units: Sequence[Unit],
    key: str = "",
    write_id: str | None = None,
) -> str:
    """Like `commit`, but a unit of deletes or merges whose rows are gone is dropped: removing what is gone is done.

    Nothing is read beforehand; only a refusal makes us look which rows there are. The new etag of the first write, ""
    where nothing was left to write. Raises Refused where a required write is refused.
    """
    for number in range(_LOOKS):
        writes = [*required, *(write for unit in units for write in unit)]
        if not writes:
            return ""
        try:
            return (await commit(gateway, tenant, writes, key, write_id))[0]
        except Refused as refused:
            if refused.status != 404 or not all(await _there(gateway, tenant, required)):
                raise
        units = await _present(gateway, tenant, units, alone=number >= _PATIENCE)
    raise Unavailable("the same memberships are being changed by others all the time")


async def _present(gateway: Gateway, tenant: str, units: Sequence[Unit], *, alone: bool) -> list[Unit]:
    """The units that have a row left. One that has lost only some of its rows is in the middle of somebody else's
    change and looked at again; if that goes on, the rows that are left are damage, and removed `alone`."""
    there = iter(await _there(gateway, tenant, [write for unit in units for write in unit]))
    present: list[Unit] = []
    for unit in units:
        found = [write for write in unit if next(there)]
        if found:
            present.append(found if alone else unit)
    return present


async def _there(gateway: Gateway, tenant: str, writes: Sequence[Write]) -> list[bool]:
    """For each write whether the row that it needs exists; one that makes its row needs none."""

    async def exists(write: Write) -> bool:
        return write.kind in ("insert", "upsert") or await gateway.read(tenant, write.key) is not None

    there: list[bool] = []
    for at in range(0, len(writes), PARALLEL_READS):
        there += await asyncio.gather(*map(exists, writes[at : at + PARALLEL_READS]))
    return there
