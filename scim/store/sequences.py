"""Changes of a group's members that take several transactions: one at a time in each group, and each of them whole.

The first transaction takes away the group's gate, the row that every other change of members needs, and leaves a change
row in its place, which says what is to be done. Every further transaction is conditional on the ETag of that row, and
the last one puts the gate back. So nobody changes the members unseen in between, and a transaction that somebody has
given up on is refused however late it arrives.

Who comes in between:
* A change of a few named members goes ahead, and is noted in the change row: the longer change, which is not finished
  yet and so comes before it, leaves these members alone from then on.
* A PUT says what the members are, whatever the older change was to do: it takes the change row away.
* Everything else waits. Whoever finds that the owner has made no step for STALLED seconds finishes the change for it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scim import deadline
from scim.errors import UNAVAILABLE, ScimError
from scim.store import keys, properties
from scim.store.outbox import Change, Outbox, caller
from scim.store.pending import Pending
from scim.store.table import MAX_WRITES, Partition, Refused, Row, Write
from scim.store.transactions import (
    Proof,
    Unit,
    commit_present,
    commit_surely,
    is_past_etag,
    make_past_etag,
    now,
    remove_rows,
)

STALLED = 15.0
"""Seconds without a step after which an owner is taken for dead: longer than a step takes with all its retries. Should
it live, its next step is refused."""
PATIENCE = 20.0
"""Seconds that a change waits for another one in the same group: long enough to take over what was cut short."""
_MIDDLE = (MAX_WRITES - 3) // 2
"""Memberships of a transaction in the middle, beside the group's row, the change row and one of the outbox."""
_LAST = (MAX_WRITES - 5) // 2
"""Memberships of the last one, beside the group's row, the change row, the gate, a receipt and one of the outbox."""

_MOST_EXCEPTED = 24_000
"""UTF-16 units of ids that a change row notes; a string has 32,768. More have to wait."""


class Edge(NamedTuple):
    """What a change does to one member of a group: `shown` is what is kept of it; None if it leaves."""

    group: str
    member: str
    shown: dict[str, str] | None = None

    @property
    def writes(self) -> Unit:
        """The writes of both rows of the membership, made when they are needed: of many members, a few at a time. An
        addition is an upsert: a member that is there already keeps what is not sent anew."""
        forward, back = keys.member_key(self.group, self.member), keys.member_of_key(self.member, self.group)
        if self.shown is None:
            return [Write("delete", forward), Write("delete", back)]
        values = {"group": self.group, "member": self.member}
        return [Write("upsert", forward, {**values, **self.shown}), Write("upsert", back, values)]


class _Hold(NamedTuple):
    """What the owner of a change knows of its row: the newest ETag, and the members to leave alone."""

    etag: str
    excepted: frozenset[str] = frozenset()


Remaining = Callable[[str, dict[str, Any]], Awaitable[Sequence[Edge]]]
"""From a group and what a change row says, what is still to do."""


class Interrupted(ScimError):
    """Another request has replaced the members meanwhile, or another process has taken this change over: 503."""

    def __init__(self, group: str) -> None:
        detail = f"The members of {group} were changed by somebody else while this request was changing them"
        super().__init__(UNAVAILABLE, f"{detail}; read the group and send again if it is still needed.", _SOON)


class Busy(ScimError):
    """A change of many members is under way in the group: 503."""

    def __init__(self, group: str) -> None:
        detail = f"A change of many members of {group} is under way, and has not ended within {PATIENCE:.0f} s"
        super().__init__(UNAVAILABLE, f"{detail}; send again.", _SOON)


_SOON = {"Retry-After": "5"}


def touch(group: str, **values: Any) -> Write:
    """Return the write that gives a group a new version and lastModified, and needs the group to be there. `touched`
    tells which change of members was the last one since the document was written."""
    return Write("merge", keys.resource_key(group), {"modified": "", "touched": properties.new_write_id(), **values})


def make_receipt() -> Write:
    """Return a new receipt: a transaction with it happens once, however often and late its copies arrive (but for those
    that come after housekeeping has removed it)."""
    return Write("insert", keys.receipt_key(datetime.now(UTC).strftime("%Y%m%dT%H%M")))


class Sequences:
    """The changes of members that take several transactions, of a tenant. Every method raises TableUnavailable if the
    table does not answer."""

    def __init__(self, partition: Partition, pending: Pending, outbox: Outbox, remaining: Remaining) -> None:
        self._partition = partition
        self._outbox = outbox
        self._pending = pending
        self._remaining = remaining

    async def run(
        self,
        group: str,
        content: dict[str, Any],
        required: Sequence[Write],
        gone: Sequence[Unit],
        edges: Sequence[Edge],
        replaced: str | None = None,
        change: Change | None = None,
    ) -> str:
        """Run a change of several transactions and return the group's new version.

        `required` and `gone` are what the first transaction does beside the edges, and the outbox is told `change` of
        it; `replaced` is the ETag of the change row that this change supersedes. Raises Refused if the first
        transaction is refused or the group is deleted meanwhile; 503 Interrupted; 413 if `content` is too large for one
        row."""
        owner, key = properties.new_write_id(), keys.change_key(group)
        begun = now()
        values = {"v": properties.FORMAT, "owner": owner, "write": owner, "begun": begun, "beat": begun}
        by = caller()
        values |= properties.split_document({"group": group, "by": by, **content}, "The change of members")
        if replaced is None:
            own = [Write("insert", key, values), Write("delete", keys.gate_key(group))]
        else:
            own = [Write("replace", key, values, replaced)]
        await self._pending.announce()
        writes = [*own, *required]
        room = (MAX_WRITES - len(writes) - len(gone) - 1) // 2
        first, told = [edge.writes for edge in edges[:room]], self._outbox.make_row([change], group, edges[:room], by)
        etag = await commit_present(self._partition, writes, [*gone, *first], Proof(key, owner), told)
        hold = await self._read_hold(group, owner) if is_past_etag(etag) else _Hold(etag)
        return await self._continue(group, owner, edges[room:], hold, by)

    async def _continue(self, group: str, owner: str, edges: Sequence[Edge], hold: _Hold, by: Mapping[str, str]) -> str:
        """Do the rest of a change, which `by` began; the group's new version, a past one if others have changed members
        since."""
        key = keys.change_key(group)
        while True:
            deadline.check()
            edges = [edge for edge in edges if edge.member not in hold.excepted]
            last = len(edges) <= _LAST
            these = edges[: _LAST if last else _MIDDLE]
            some, told = [edge.writes for edge in these], self._outbox.make_row((), group, these, by)
            step, once = properties.new_write_id(), make_receipt()
            if last:
                whole, gate = touch(group, changing=False), Write("upsert", keys.gate_key(group))
                own = [whole, Write("delete", key, etag=hold.etag), gate, once]
                proof = Proof(once.key)
            else:
                own = [Write("merge", key, {"write": step, "beat": now()}, hold.etag), touch(group)]
                proof = Proof(key, step)
            try:
                etag = await commit_present(self._partition, own, some, proof, told)
            except Refused:  # a few members were changed in between, or it is no longer ours
                if await self._partition.read(keys.resource_key(group)) is None:
                    raise Refused(404, 0) from None
                hold = await self._read_hold(group, owner)
                continue
            if last:  # who slipped in comes after this change
                return make_past_etag(etag) if hold.excepted else etag
            edges = edges[_MIDDLE:]
            hold = await self._read_hold(group, owner) if is_past_etag(etag) else hold._replace(etag=etag)

    async def _read_hold(self, group: str, owner: str) -> _Hold:
        """Return what the change row says now. Raises Refused 404 if the group is gone, Interrupted if the change is no
        longer the owner's."""
        row = await self.find_change(group)
        if row is not None and row.values.get("owner") == owner:
            return _Hold(row.etag, _parse_excepted(row))
        if await self._partition.read(keys.resource_key(group)) is None:
            raise Refused(404, 0)
        raise Interrupted(group)

    async def run_beside(self, group: str, edges: Sequence[Edge], once: Write) -> str | None:
        """Make a change of a few named members beside a longer one, which leaves them alone from then on: the group's
        new version. None if no longer one is under way, or it has noted as many members as it can.

        Raises Refused if the longer change, or somebody else, was faster."""
        row = await self.find_change(group)
        if row is None:
            return None
        properties.check_format(row)
        excepted = _parse_excepted(row) | {edge.member for edge in edges}
        noted = json.dumps(sorted(excepted))
        if len(noted) > _MOST_EXCEPTED:
            return None
        write = properties.add_write_id(properties.new_write_id(), str(row.values.get("write", "")))
        note = Write("merge", row.key, {"write": write, "except": noted}, row.etag)
        units, told = [edge.writes for edge in edges], self._outbox.make_row((), group, edges)
        return await commit_present(self._partition, [touch(group), note, once], units, Proof(once.key), told)

    async def find_change(self, group: str) -> Row | None:
        """Return the row of the change that is under way in the group; None if there is none."""
        return await self._partition.read(keys.change_key(group))

    async def settle(self, group: str) -> None:
        """Wait until no change of several transactions is under way, and finish one that was cut short. Raises 503
        Busy."""
        loop = asyncio.get_running_loop()
        since = began = loop.time()
        step: object = None
        pause = 0.02
        while (row := await self.find_change(group)) is not None:
            deadline.check()
            if loop.time() - began > PATIENCE:
                raise Busy(group)
            if step != (step := (row.values.get("owner"), row.values.get("beat"))):
                since = loop.time()
            if is_stalled(row) or loop.time() - since > STALLED:  # by its own clock, or by ours
                await self.finish(row)
            await asyncio.sleep(pause)
            pause = min(2 * pause, 0.5)

    async def mend(self, group: str, version: str) -> str | None:
        """Give a group the gate that it lacks, and the mark that none of its changes is under way, if there is none and
        its row still has that version: the new version, else None."""
        if await self.find_change(group) is not None:
            return None
        whole = Write("merge", keys.resource_key(group), {"changing": False}, version)
        try:
            return (await commit_surely(self._partition, [whole, Write("upsert", keys.gate_key(group))]))[0]
        except Refused:
            return None

    async def reopen(self, group: str) -> None:
        """Wait, after a change was refused, until the group's gate is there, and make it if the group never had one.
        Raises Refused 404 if there is no such group."""
        await self.settle(group)
        if await self._partition.read(keys.gate_key(group)) is not None:
            return
        row = await self._partition.read(keys.resource_key(group))
        if row is None:
            raise Refused(404, 0)
        await self.mend(group, row.etag)  # if it changes meanwhile, whoever comes next looks again

    async def list_under_way(self) -> list[Row]:
        """Return the rows of the changes that are under way, or were cut short."""
        return [row async for page in self._partition.pages(*keys.changes_range()) for row in page]

    async def finish(self, row: Row) -> None:
        """Take a change over and finish it, unless somebody else is faster. Raises NewerFormat."""
        properties.check_format(row)
        content, owner = properties.join_document(row.values), properties.new_write_id()
        group = str(content["group"])
        mine = Write("merge", row.key, {"owner": owner, "write": owner, "beat": now()}, row.etag)
        try:
            etag = (await commit_surely(self._partition, [mine], Proof(row.key, owner)))[0]
            hold = await self._read_hold(group, owner) if is_past_etag(etag) else _Hold(etag, _parse_excepted(row))
            edges = await self._remaining(group, content)
            await self._continue(group, owner, edges, hold, content.get("by", {}))
        except Interrupted:
            pass  # others have gone on with it
        except Refused:
            if await self._partition.read(keys.resource_key(group)) is None:
                await remove_rows(self._partition, [row.key])


def _parse_excepted(row: Row) -> frozenset[str]:
    return frozenset(json.loads(row.values.get("except") or "[]"))


def is_stalled(row: Row) -> bool:
    """Return whether the owner of a change has made no step for so long that it must be dead. The step is no later than
    the row's last write, by the service's clock: the owner's may be wrong."""
    try:
        told = str(row.values["beat"])
        beat = datetime.fromisoformat(min(told, properties.parse_written_time(row.etag) or told))
        return (datetime.now(UTC) - beat).total_seconds() >= STALLED
    except (KeyError, ValueError, TypeError):
        return True
