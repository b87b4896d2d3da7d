"""Memberships: two edges each, one from the group and one from the member, always written together.

A group's document never holds its members, so a change costs what it changes, never what the group holds: a transaction
merges the group's row (the proof that the group still exists, and its new version), needs the group's gate and writes
both edges of up to 48 members. What needs more is a sequence of transactions; see sequences.py.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scim import deadline
from scim.budget import call
from scim.store import keys
from scim.store.departures import MOST_NOTES, note_groups
from scim.store.outbox import Change, Outbox, tell_edges
from scim.store.pending import Pending
from scim.store.sequences import PATIENCE, Busy, Edge, Interrupted, Sequences, make_receipt, touch
from scim.store.table import MAX_WRITES, PARALLEL_READS, Partition, Refused, Row, Write
from scim.store.transactions import Proof, Unit, commit_present, commit_surely

SINGLE = (MAX_WRITES - 4) // 2
"""Memberships of an unread change in one transaction, beside the group's row, its gate, a receipt and one row of the
outbox."""
_EARLY = (MAX_WRITES - 2) // 2
"""Memberships of a transaction before a new group is there, beside the pending row and a receipt."""
_LOOKED_UP = 128
"""Members that are looked for one by one."""
_DETACHED_PER_TRANSACTION = 33
"""Groups that one transaction takes a member out of: their rows get a new version too."""


class Member(NamedTuple):
    """A member as the group holds it."""

    value: str
    """The id."""
    display: str | None = None
    """The display as sent; None if none was."""
    type: str | None = None
    """The type as sent; None for one of our ids, which say their type."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The members that a group gets (or gets anew, with another display) and those that it loses."""

    add: dict[str, Member] = field(default_factory=dict)
    remove: set[str] = field(default_factory=set)
    keep: frozenset[str] | None = field(default=None, compare=False)
    """If the change says who is in the group afterwards: all that are not in here go."""
    absolute: bool = field(default=False, compare=False)
    """Whether the members will be these whatever they were before, so that an older change need not be finished."""
    fresh: int | None = field(default=None, compare=False)
    """How many of `add` are not in the group yet; None if that is not known. If it is, all of `remove` are in it."""

    def __len__(self) -> int:
        return len(self.add) + len(self.remove)

    def to_content(self) -> dict[str, Any]:
        """Return the changes as a pending row keeps them: whoever goes, or whoever stays, whichever is shorter."""
        content: dict[str, Any] = {"add": [[m.value, m.display, m.type] for m in self.add.values()], "remove": []}
        if self.keep is not None and len(self.keep) < len(self.remove):
            return {**content, "keep": sorted(self.keep)}
        return {**content, "remove": sorted(self.remove)}

    @staticmethod
    def from_content(content: dict[str, Any]) -> Changes:
        """Return the changes that a pending row keeps."""
        return Changes({member[0]: Member(*member) for member in content["add"]}, set(content["remove"]))


def find_changes(present: Iterable[Member], wanted: Iterable[Member]) -> Changes:
    """Return the changes that make `present` into `wanted`. An addition keeps what it does not say, so what is to go
    from a member that stays is said with ""."""
    before = {member.value: member for member in present}
    after = {member.value: member for member in wanted}
    add = {
        value: Member(value, member.display or "", member.type or "") if value in before else member
        for value, member in after.items()
        if before.get(value) != member
    }
    fresh = sum(value not in before for value in add)
    return Changes(add, set(before) - set(after), frozenset(after), fresh=fresh)


class Members:
    """The memberships of a tenant. Every method raises TableUnavailable if the table does not answer."""

    def __init__(self, partition: Partition, pending: Pending, outbox: Outbox) -> None:
        self._partition = partition
        self._pending = pending
        self._outbox = outbox
        self.sequences = Sequences(partition, pending, outbox, self._find_remaining)

    async def read_members(self, first: str, last: str | None = None) -> AsyncIterator[tuple[str, Member]]:
        """Return (group, member) for each member of a group, or of all groups whose ids lie from `first` to `last`."""
        async for row in self._read_range(keys.members_range(first, last)):
            values = row.values
            yield values["group"], Member(values["member"], values.get("display") or None, values.get("type") or None)

    async def read_groups(self, first: str, last: str | None = None) -> AsyncIterator[tuple[str, str]]:
        """Return (member, group) for each group that a resource is a direct member of, or all from `first` to
        `last`."""
        async for row in self._read_range(keys.member_of_range(first, last)):
            yield row.values["member"], row.values["group"]

    async def holds(self, group: str, member: str) -> bool:
        """Return whether the member is in the group: one point read."""
        return await self._partition.read(keys.member_key(group, member)) is not None

    async def holding(self, group: str, members: Collection[str]) -> set[str]:
        """Return those of `members` that are in the group: a point read for each, 16 at a time, or all of the
        group's."""
        if len(members) > _LOOKED_UP:
            return {member.value async for _, member in self.read_members(group) if member.value in members}
        names, found = list(members), set()
        for at in range(0, len(names), PARALLEL_READS):
            some = names[at : at + PARALLEL_READS]
            there = await asyncio.gather(*(self.holds(group, name) for name in some))
            found |= {name for name, is_there in zip(some, there, strict=True) if is_there}
        return found

    async def change(self, group: str, changes: Changes) -> str:
        """Change a group's members without reading it first; the group's new version. One trip for 48 changes.

        Raises Refused 404 if there is no such group, and 503 Busy or Interrupted."""
        edges, once = await _list_edges(group, changes), make_receipt()
        told = self._outbox.make_row((), group, edges[:SINGLE])
        await self._pending.count_receipt()
        ends = asyncio.get_running_loop().time() + PATIENCE
        while True:
            try:
                if len(edges) > SINGLE:
                    own = [touch(group, changing=True), once]
                    return await self.sequences.run(group, changes.to_content(), own, [], edges)
                own = [touch(group), Write("merge", keys.gate_key(group)), once]
                return await commit_present(self._partition, own, _to_units(edges), Proof(once.key), told)
            except Refused:
                if await self._partition.read(once.key) is not None:  # we had begun: deleted, or taken over
                    if await self._partition.read(keys.resource_key(group)) is None:
                        raise
                    raise Interrupted(group) from None
                if asyncio.get_running_loop().time() > ends:
                    raise Busy(group) from None
                deadline.check()
            try:
                if len(edges) <= SINGLE:
                    version = await self.sequences.run_beside(group, edges, once)
                    if version is not None:
                        return version
                await self.sequences.reopen(group)
            except Refused:
                if await self._partition.read(keys.resource_key(group)) is None:
                    raise

    async def write(
        self,
        group: str,
        required: Sequence[Write],
        gone: Sequence[Unit],
        changes: Changes,
        proof: Proof,
        change: Change | None,
        replaced: str | None = None,
    ) -> str:
        """Run `required`, whose first write replaces the group's row, together with the changes: in one transaction if
        they fit, else in several. The group's new version, a past one if it was written by others since.

        `gone` are deletes that may find nothing, `change` is what the outbox is told of the group's row. `replaced` is
        the ETag of the change row that these changes supersede; None if none is under way. Raises Refused, and 503
        Interrupted."""
        edges = await _list_edges(group, changes)
        if replaced is None:
            gate = [Write("merge", keys.gate_key(group))]
        else:
            gate = [Write("delete", keys.change_key(group), etag=replaced), Write("upsert", keys.gate_key(group))]
        if len(required) + len(gone) + len(gate) + 2 * len(edges) < MAX_WRITES:
            told = self._outbox.make_row([change], group, edges)
            return await commit_present(self._partition, [*required, *gate], [*gone, *_to_units(edges)], proof, told)
        row = required[0]._replace(values={**required[0].values, "changing": True})
        content = changes.to_content()
        return await self.sequences.run(group, content, [row, *required[1:]], gone, edges, replaced, change)

    async def create(
        self, group: str, members: Sequence[Member], last: Sequence[Write], proof: Proof, change: Change
    ) -> str:
        """Write a new resource: `last` makes its row, of which `proof` tells, and `change` the outbox. If the members
        of a group do not fit into that transaction, their edges are written first and the group last, so that it
        appears whole or not at all. The resource's version, a past one if it was written by others since.

        Raises Refused if `last` is refused; no edge is left then."""
        edges = await _list_edges(group, Changes({member.value: member for member in members}))
        if len(last) + 2 * len(edges) < MAX_WRITES:
            told = self._outbox.make_row([change], group, edges).build(_to_units(edges))
            return (await commit_surely(self._partition, [*last, *told, *_to_writes(edges)], proof))[0]
        note = Pending.make_note(_describe_creation(group))
        await self._pending.announce()
        room = (MAX_WRITES - len(last) - 2) // 2
        early = edges[room:]
        for at in range(0, len(early), _EARLY):
            deadline.check()
            once = make_receipt() if at == 0 else None  # a late copy must not bring back who has left since
            own = [note, once] if once else [Write("merge", note.key, {"reached": at})]
            writes = [*own, *_to_writes(early[at : at + _EARLY])]
            await commit_surely(self._partition, writes, Proof(once.key) if once else None)
        try:
            told = self._outbox.make_row([change, tell_edges(group)]).build()
            final = [*last, Write("delete", note.key), *told, *_to_writes(edges[:room])]
            return (await commit_surely(self._partition, final, proof))[0]
        except Refused:
            await self._take_back(group, note.key)
            raise

    async def clear(self, note: str, content: dict[str, Any]) -> bool:
        """Do what a pending row says, whose resource is not there: remove its edges. False if the time was not
        enough."""
        if content.get("creation"):
            return await self._take_back(content["id"], note)
        return await self.detach(content["id"], note, has_members=content["members"])

    async def _take_back(self, group: str, note: str) -> bool:
        """Remove the edges of a group that did not come about, and the pending row of its creation. That goes first, so
        that no transaction of the creation can follow. False if the time was not enough: housekeeping goes on."""
        instead = await self._pending.renew(note, _describe_creation(group))
        if instead is None:
            return True
        done = await self.detach(group, instead, has_members=True)
        if done:
            await self._pending.remove(instead)
        return done

    async def detach(self, id: str, note: str, *, has_members: bool, seconds: float = math.inf) -> bool:
        """Remove every edge of a resource that is gone: its own memberships and, of a group, its members'. False if
        the time was not enough, `seconds` or what the work at hand has left; then it is called again.

        It happens under a pending row, whose key is `note`: nothing is done any more once that has gone."""
        ends = asyncio.get_running_loop().time() + min(seconds, deadline.left())
        notes = 0
        ranges = [(keys.member_of_range(id), _DETACHED_PER_TRANSACTION)]
        if has_members:
            ranges.append((keys.members_range(id), (MAX_WRITES - 1) // 2))
        for key_range, size in ranges:
            async for page in self._partition.pages(*key_range):
                for at in range(0, len(page), size):
                    if asyncio.get_running_loop().time() > ends:
                        return False
                    try:
                        is_noted = self._outbox.is_on and notes < MOST_NOTES
                        await self._remove(id, note, page[at : at + size], is_noted=is_noted)
                        notes += 1
                    except Refused:
                        if await self._partition.read(note) is None:
                            return True  # somebody else has done it all
                        raise
        return True

    async def _remove(self, gone: str, note: str, edges: Sequence[Row], *, is_noted: bool) -> None:
        units: list[Unit] = []
        groups = [edge.values["group"] for edge in edges if edge.values["group"] != gone]
        for edge in edges:
            group, member = edge.values["group"], edge.values["member"]
            units.append(
                [Write("delete", keys.member_key(group, member)), Write("delete", keys.member_of_key(member, group))]
            )
            if group != gone:
                units.append([touch(group)])
        noted = note_groups(groups) if is_noted else {}
        await commit_present(self._partition, [Write("merge", note, noted)], units)

    async def _find_remaining(self, group: str, content: dict[str, Any]) -> list[Edge]:
        """Return what a change row says is to do. A member that was deleted in the meantime gets its edges too: the
        pending row of its deletion outlives this change (housekeeping.py), and takes them away."""
        changes = Changes.from_content(content)
        if "keep" in content:
            keep = set(content["keep"])
            changes.remove.update([m.value async for _, m in self.read_members(group) if m.value not in keep])
        return await _list_edges(group, changes)

    async def _read_range(self, keys: tuple[str, str]) -> AsyncIterator[Row]:
        async for page in self._partition.pages(*keys):
            for row in page:
                yield row


def _describe_creation(group: str) -> dict[str, Any]:
    """Return what the pending row of a creation says: edges of the group may be there, and more may come."""
    return {"kind": "detach", "id": group, "members": True, "creation": True}


async def _list_edges(group: str, changes: Changes) -> list[Edge]:
    """Return what is done to each member; of many, made in a thread, so that others are served."""
    return await call(len(changes), lambda: list(_build_edges(group, changes)))


def _build_edges(group: str, changes: Changes) -> Iterable[Edge]:
    """Return what is done to each member."""
    for member in changes.add.values():
        shown = {name: text for name, text in (("display", member.display), ("type", member.type)) if text is not None}
        yield Edge(group, member.value, shown)
    for value in sorted(changes.remove):
        yield Edge(group, value)


def _to_units(edges: Iterable[Edge]) -> list[Unit]:
    return [edge.writes for edge in edges]


def _to_writes(edges: Iterable[Edge]) -> list[Write]:
    return [write for edge in edges for write in edge.writes]
