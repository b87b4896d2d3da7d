"""Memberships: two edges each, one from the group and one from the member, always written together.

A group's document never holds its members, so a change costs what it changes, never what the group holds: a transaction
merges the group's row (the proof that the group still exists, and its new version) and writes both edges of up to 49
members. What needs more is a sequence of such transactions, each of which leaves a valid state, with a pending row
from the first to the last.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from scim.store import rows
from scim.store.gateway import MAX_WRITES, Gateway, Refused
from scim.store.pending import Job, Pending
from scim.store.row import Row, Write
from scim.store.transactions import Unit, commit, commit_present, now

PER_TRANSACTION = 49
"""Memberships of one transaction, beside the group's row and a pending row."""
_DETACHED_PER_TRANSACTION = 33
"""Groups that one transaction takes a member out of: their rows get a new version too."""


class Member(NamedTuple):
    """A member as the group holds it: `value` is its id. `display` is kept where it was sent, and `type` where the id
    is not one of ours, which say their type."""

    value: str
    display: str | None = None
    type: str | None = None


@dataclass(frozen=True, slots=True)
class Changes:
    """The members that a group gets (or gets anew, with another display) and those that it loses."""

    add: dict[str, Member] = field(default_factory=dict)
    remove: set[str] = field(default_factory=set)
    keep: frozenset[str] | None = field(default=None, compare=False)
    """Where the change says who is in the group afterwards: all that are not in here go."""

    def __len__(self) -> int:
        return len(self.add) + len(self.remove)

    def content(self) -> dict[str, Any]:
        """The changes as a pending row keeps them: whoever goes, or whoever stays, whichever is shorter."""
        content: dict[str, Any] = {"add": [[m.value, m.display, m.type] for m in self.add.values()], "remove": []}
        if self.keep is not None and len(self.keep) < len(self.remove):
            return {**content, "keep": sorted(self.keep)}
        return {**content, "remove": sorted(self.remove)}

    @staticmethod
    def of(content: dict[str, Any]) -> Changes:
        """The changes that a pending row keeps."""
        return Changes({member[0]: Member(*member) for member in content["add"]}, set(content["remove"]))


def difference(present: Iterable[Member], wanted: Iterable[Member]) -> Changes:
    """The changes that make `present` into `wanted`. An addition keeps what it does not say, so what is to go from a
    member that stays is said with ""."""
    before = {member.value: member for member in present}
    after = {member.value: member for member in wanted}
    add = {
        value: Member(value, member.display or "", member.type or "") if value in before else member
        for value, member in after.items()
        if before.get(value) != member
    }
    return Changes(add, set(before) - set(after), frozenset(after))


class Members:
    """The memberships of all tenants. Every method raises Unavailable where the table does not answer."""

    def __init__(self, gateway: Gateway, pending: Pending) -> None:
        self._gateway = gateway
        self._pending = pending

    async def of(self, tenant: str, first: str, last: str | None = None) -> AsyncIterator[tuple[str, Member]]:
        """(group, member) for each member of a group, or of all groups whose ids lie from `first` to `last`."""
        async for row in self._rows(tenant, rows.members_range(first, last)):
            values = row.values
            yield values["group"], Member(values["member"], values.get("display") or None, values.get("type") or None)

    async def groups_of(self, tenant: str, first: str, last: str | None = None) -> AsyncIterator[tuple[str, str]]:
        """(member, group) for each group that a resource is a direct member of, or all from `first` to `last`."""
        async for row in self._rows(tenant, rows.member_of_range(first, last)):
            yield row.values["member"], row.values["group"]

    async def holds(self, tenant: str, group: str, member: str) -> bool:
        """Whether the member is in the group: one point read."""
        return await self._gateway.read(tenant, rows.member_key(group, member)) is not None

    async def change(self, tenant: str, group: str, changes: Changes) -> str:
        """Change a group's members without reading it first; the group's new version. One trip for 49 changes.

        Raises Refused 404 where there is no such group."""
        write_id, time = rows.new_write_id(), now()
        return await self.write(tenant, group, [_touch(group, f"{write_id}.0", time)], changes, write_id, time)

    async def write(
        self, tenant: str, group: str, head: Sequence[Write], changes: Changes, write_id: str, time: str
    ) -> str:
        """Run `head`, whose first write is the group's row with the write id `<write_id>.0`, together with the changes:
        in one transaction where they fit, else in several. The group's new version; lastModified is `time`."""
        edges = list(_edges(group, changes))
        key, first_id = rows.resource_key(group), f"{write_id}.0"
        gone = [[write] for write in head if write.kind == "delete"]
        required = [write for write in head if write.kind != "delete"]
        if len(head) + 2 * len(edges) <= MAX_WRITES:
            settled = required[0]._replace(values={**required[0].values, "write": write_id})
            return await commit_present(self._gateway, tenant, [settled, *required[1:]], [*gone, *edges], key, write_id)
        content = {"kind": "change", "group": group, "write": write_id, "time": time, **changes.content()}
        note = Pending.note(content)
        await self._pending.announce(tenant)
        room = (MAX_WRITES - len(head) - 1) // 2
        await commit_present(self._gateway, tenant, [*required, note], [*gone, *edges[:room]], key, first_id)
        return await self._rest(tenant, group, edges[room:], note.key, write_id, time)

    async def _rest(
        self,
        tenant: str,
        group: str,
        edges: Sequence[Unit],
        note: str,
        write_id: str,
        time: str,
        version: str = "*",
    ) -> str:
        """The transactions after the first, each only at the `version` that the one before it left unless that is `*`.

        Each has a write id of its own, so that none takes another's success for its own. The last removes the pending
        row, and its write id without a suffix says that the change is whole."""
        key, conditional = rows.resource_key(group), version != "*"
        for number, at in enumerate(range(0, max(len(edges), 1), PER_TRANSACTION), 1):
            units = list(edges[at : at + PER_TRANSACTION])
            last = at + PER_TRANSACTION >= len(edges)
            this = write_id.partition(".")[0] if last else f"{write_id}.{number}"
            if last:
                units.append([Write("delete", note)])
            required = [_touch(group, this, time, version if conditional else "*")]
            version = await commit_present(self._gateway, tenant, required, units, key, this)
        return version

    async def create(self, tenant: str, group: str, members: Sequence[Member], last: Sequence[Write]) -> str:
        """Write a new group: `last` makes its row. Where the members do not fit into that transaction, their edges are
        written first and the group last, so that it appears whole or not at all. The group's version.

        Raises Refused where `last` is refused; no edge is left then."""
        edges = list(_edges(group, Changes({member.value: member for member in members})))
        write_id = str(last[0].values["write"])
        if len(last) + 2 * len(edges) <= MAX_WRITES:
            return (await commit(self._gateway, tenant, [*last, *_flat(edges)], last[0].key, write_id))[0]
        note = Pending.note({"kind": "detach", "id": group, "members": True})
        await self._pending.announce(tenant)
        room = (MAX_WRITES - len(last) - 1) // 2
        early = edges[room:]
        for at in range(0, len(early), PER_TRANSACTION):
            proof = note if at == 0 else Write("merge", note.key, {"reached": at})
            writes = [proof, *_flat(early[at : at + PER_TRANSACTION])]
            await commit(self._gateway, tenant, writes, note.key, str(note.values["write"]) if at == 0 else None)
        try:
            final = [*last, Write("delete", note.key), *_flat(edges[:room])]
            return (await commit(self._gateway, tenant, final, last[0].key, write_id))[0]
        except Refused:
            if await self.detach(tenant, group, has_members=True):
                await self._pending.done(tenant, note.key)
            raise

    async def detach(self, tenant: str, id: str, *, has_members: bool, seconds: float = 600.0) -> bool:
        """Remove every edge of a resource that is gone: its own memberships and, of a group, its members'. False where
        the time was not enough; then it is called again."""
        deadline = asyncio.get_running_loop().time() + seconds
        ranges = [(rows.member_of_range(id), _DETACHED_PER_TRANSACTION)]
        if has_members:
            ranges.append((rows.members_range(id), PER_TRANSACTION))
        for keys, size in ranges:
            async for page in self._gateway.pages(tenant, *keys):
                for at in range(0, len(page), size):
                    if asyncio.get_running_loop().time() > deadline:
                        return False
                    await self._remove(tenant, id, page[at : at + size])
        return True

    async def _remove(self, tenant: str, gone: str, edges: Sequence[Row]) -> None:
        units: list[Unit] = []
        for edge in edges:
            group, member = edge.values["group"], edge.values["member"]
            units.append(
                [Write("delete", rows.member_key(group, member)), Write("delete", rows.member_of_key(member, group))]
            )
            if group != gone:
                # Its write id stays: a change of the group that was cut short is still its newest.
                units.append([Write("merge", rows.resource_key(group), {"modified": now()})])
        await commit_present(self._gateway, tenant, [], units)

    async def resume(self, tenant: str, job: Job) -> None:
        """Finish a change that was cut short, unless somebody has changed the group since: then its client has gone on,
        and what is left of the old change could undo what came later. Raises Refused where that happens meanwhile."""
        group, write_id, time = job.content["group"], job.content["write"], job.content["time"]
        row = await self._gateway.read(tenant, rows.resource_key(group))
        if row is None or str(row.values["write"]).partition(".")[0] != write_id:
            await self._pending.done(tenant, job.key)
            return
        changes = await self._left(tenant, group, job.content)
        again = f"{write_id}.again.{rows.new_write_id()}"
        touch = _touch(group, f"{again}.0", time, row.etag)
        version = (await commit(self._gateway, tenant, [touch], row.key, f"{again}.0"))[0]
        await self._rest(tenant, group, list(_edges(group, changes)), job.key, again, time, version)

    async def _left(self, tenant: str, group: str, content: dict[str, Any]) -> Changes:
        """What a pending row says is to do, without members that were deleted in the meantime."""
        changes = Changes.of(content)
        if "keep" in content:
            keep = set(content["keep"])
            changes.remove.update([m.value async for _, m in self.of(tenant, group) if m.value not in keep])
        for value in [value for value in changes.add if rows.is_id(value)]:
            if await self._gateway.read(tenant, rows.resource_key(value)) is None:
                del changes.add[value]
        return changes

    async def _rows(self, tenant: str, keys: tuple[str, str]) -> AsyncIterator[Row]:
        async for page in self._gateway.pages(tenant, *keys):
            for row in page:
                yield row


def _edges(group: str, changes: Changes) -> Iterable[list[Write]]:
    """Both writes of each change. Additions are upserts: a member that is there already keeps what is not sent anew."""
    for member in changes.add.values():
        values = {"group": group, "member": member.value}
        shown = {name: text for name, text in (("display", member.display), ("type", member.type)) if text is not None}
        yield [
            Write("upsert", rows.member_key(group, member.value), {**values, **shown}),
            Write("upsert", rows.member_of_key(member.value, group), values),
        ]
    for value in sorted(changes.remove):
        yield [Write("delete", rows.member_key(group, value)), Write("delete", rows.member_of_key(value, group))]


def _flat(edges: Iterable[list[Write]]) -> list[Write]:
    return [write for pair in edges for write in pair]


def _touch(group: str, write_id: str, time: str, version: str = "*") -> Write:
    """A membership change changes the group's version and lastModified, and needs the group to be there."""
    return Write("merge", rows.resource_key(group), {"modified": time, "write": write_id}, version)
