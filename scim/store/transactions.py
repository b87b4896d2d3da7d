"""One transaction, run until its outcome is known."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from datetime import UTC, datetime

from scim.store.gateway import TRIP_SECONDS, Gateway, Refused, Unavailable, Write

_TRIES = 5


async def commit(
    gateway: Gateway, tenant: str, writes: Sequence[Write], key: str = "", write_id: str | None = None
) -> str:
    """Run a transaction; the new etag of its first write. Raises Refused or Unavailable.

    A write without an answer is sent again: if the first had succeeded, the second is refused, and the row at `key`
    then carries our write id. The SDK does the same beneath, unseen, so every refusal is looked at; without a write id
    the caller looks itself.
    """
    try:
        async with asyncio.timeout(TRIP_SECONDS):
            for number in range(_TRIES):
                try:
                    return (await gateway.commit(tenant, writes))[0]
                except Refused:
                    row = await gateway.read(tenant, key) if write_id else None
                    if row is None or row.values.get("write") != write_id:
                        raise
                    return row.etag
                except Unavailable as error:
                    unavailable = error
                    await asyncio.sleep(0.1 * 2**number * random.uniform(0.5, 1.0))
    except TimeoutError:
        raise Unavailable(f"a write stayed without an answer for {TRIP_SECONDS} s") from None
    raise unavailable


def now() -> str:
    """The time of a write, as meta shows it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


_PARALLEL_READS = 16


async def commit_present(
    gateway: Gateway,
    tenant: str,
    writes: Sequence[Write],
    key: str = "",
    write_id: str | None = None,
    *,
    merges_too: bool = False,
) -> str:
    """Like `commit`, but an unconditional delete of a row that is not there is dropped: removing what is gone is done.
    With `merges_too`, so is a merge into a row that is not there.

    Nothing is read beforehand; only a refusal makes us look which rows there are. "" where nothing was left to write.
    """
    kinds = ("delete", "merge") if merges_too else ("delete",)
    while writes:
        try:
            return await commit(gateway, tenant, writes, key, write_id)
        except Refused as refused:
            present = await _present(gateway, tenant, writes, kinds) if refused.status == 404 else writes
            if len(present) == len(writes):
                raise
            writes = present
    return ""


async def _present(gateway: Gateway, tenant: str, writes: Sequence[Write], kinds: Sequence[str]) -> list[Write]:
    """The writes without those, of the given kinds and unconditional, whose row is not there."""

    async def stays(write: Write) -> bool:
        droppable = write.kind in kinds and write.etag == "*"
        return not droppable or await gateway.read(tenant, write.key) is not None

    present: list[Write] = []
    for at in range(0, len(writes), _PARALLEL_READS):
        some = writes[at : at + _PARALLEL_READS]
        kept = await asyncio.gather(*map(stays, some))
        present += [write for write, keep in zip(some, kept, strict=True) if keep]
    return present
