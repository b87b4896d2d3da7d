"""Moves a tenant's outbox into its log: in order, without a gap, once, whoever does it and whatever is killed.

Any process may run it at any time. It owns nothing but the head row (`h feed`): each of its transactions replaces that
row under the ETag that it read, removes rows of the outbox and inserts their events, so of two sequencers one is
refused, and starts again with what there is then. No clock decides anything.

A row of the outbox whose events do not fit into one transaction notes how many are in the log already (`done`), of a
new group the member up to which its members are (`reached`), and which members are to be looked at (`settles`).
"""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from scim import deadline
from scim.clock import format_time
from scim.events import log_event
from scim.feed.backlog import Item, parse_item, read_backlog
from scim.feed.events import Cause, draft, draft_members, placed
from scim.policy.deciding import Decider, open_decider
from scim.policy.draft import Draft, Event
from scim.policy.holding import MASS_CHANGE
from scim.policy.kept import read_policy
from scim.policy.state import UNITS, join_state, split_state
from scim.schema.registry import Registry
from scim.store import keys, properties, shared_keys
from scim.store.outbox import mark_of
from scim.store.resource_rows import measure_write
from scim.store.shared_keys import SHARED
from scim.store.table import MAX_WRITES, TRANSACTION_BYTES, Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely

log = logging.getLogger("scim")

_TRIES = 4
"""How often a run starts again that was refused."""
_MEMBERS = 500
"""Members of a new group that one event names."""


class Head(NamedTuple):
    """Where a tenant's log stands: the number of its newest event, in which epoch. A log that begins anew, in a table
    that was restored or after everything was erased, has another epoch."""

    epoch: str
    seq: int
    etag: str = ""
    """"" of one that is not in the table yet."""
    policy: str = ""
    """What was decided by the tenant's policy (scim/policy/state.py); "" if there is nothing to know."""
    more: int = 0
    """How many properties of the row it takes beside the first."""

    @staticmethod
    async def read(table: Table, tenant: str) -> Head | None:
        """The head of a tenant's log; None if it has none. Raises NewerFormat."""
        row = await table.read(tenant, keys.FEED)
        if row is None:
            return None
        properties.check_format(row)
        return Head(str(row.values["epoch"]), int(row.values["seq"]), row.etag, *join_state(row.values))

    def write(self) -> Write:
        values = {
            "v": properties.FORMAT,
            "epoch": self.epoch,
            "seq": str(self.seq),
            **split_state(self.policy, self.more),
        }
        return Write("merge", keys.FEED, values, self.etag) if self.etag else Write("insert", keys.FEED, values)


class _Step(NamedTuple):
    """Events that go into the log together, and what their row of the outbox says if it has to stay after them."""

    drafts: Sequence[Draft]
    progress: dict[str, Any]


@dataclass(slots=True)
class _Batch:
    """One transaction of the sequencer: what becomes of rows of the outbox, and the rows of the log."""

    items: dict[str, Write] = field(default_factory=dict)
    warned: dict[str, Item] = field(default_factory=dict)
    """Rows that stay in the outbox, and must know what went before them."""
    log: list[Write] = field(default_factory=list)
    events: int = 0
    bytes: int = 4000
    policy: str = ""
    """The state of the policy after what is in here."""
    alarms: list[Event] = field(default_factory=list)
    """What is told in the log of the app, too."""

    @property
    def is_empty(self) -> bool:
        return not self.items and not self.log and not self.events

    def fits(self, item: Item | None, writes: Sequence[Write], size: int = 0, derived: int = 0) -> bool:
        """Whether there is room for rows of the log that come from a row of the outbox, beside so many that follow from
        decisions."""
        rows = self.items.keys() | self.warned.keys() | (item.warns.keys() | {item.key} if item else set())
        number = 1 + len(rows) + len(self.log) + len(writes) + derived
        return number <= MAX_WRITES and self.bytes + len(self.policy) + size <= TRANSACTION_BYTES

    def add(self, item: Item | None, write: Write | None, writes: Sequence[Write] = (), events: int = 0) -> None:
        """Put in what becomes of a row of the outbox, and rows of the log."""
        if item is not None and write is not None:
            self.items[item.key] = write
            self.warned |= item.warns
        self.log += writes
        self.events += events
        self.bytes += sum(map(measure_write, writes)) + 1500

    def build_items(self) -> list[Write]:
        """Return what becomes of rows of the outbox. One that is written keeps the time of its commit: it has another
        ETag then."""
        warned = [item for key, item in self.warned.items() if key not in self.items]
        warnings = [Write("merge", one.key, {"time": one.time, "settles": " ".join(one.settles)}) for one in warned]
        return [*self.items.values(), *warnings]


class Sequencer:
    """The sequencer of all tenants."""

    def __init__(self, table: Table, registry: Registry) -> None:
        self._table = table
        self._registry = registry

    async def run(self, tenant: str, *, expected: bool = False) -> int:
        """Move all that may go into the log now, and return how many events that were. It costs one trip if there is
        nothing, or one less if something is expected. Another sequencer may be at it: then what is left is its own.
        Raises TableUnavailable, OutOfTime, and NewerFormat if it is a newer version's."""
        if not expected and not await self._has_work(tenant):
            return 0
        moved = 0
        for _ in range(_TRIES):
            run = _Run(self._table, self._registry, tenant)
            try:
                await run.go()
                return moved + run.moved
            except Refused:
                moved += run.moved
        return moved

    async def begin_anew(self, tenant: str) -> None:
        """Give a tenant's log another epoch, as after its table was restored: every reader gets a 410, and begins anew.
        Raises Refused if somebody else wrote to the log in that moment, TableUnavailable."""
        head = await Head.read(self._table, tenant)
        if head is not None:
            await self._table.commit(tenant, [head._replace(epoch=_make_epoch()).write()])

    async def _has_work(self, tenant: str) -> bool:
        async for page in self._table.pages(tenant, *keys.waiting_range(), size=1, keys_only=True):
            if page:
                return True
        return False


class _Run:
    """One reading of the outbox, and the transactions that move it."""

    def __init__(self, table: Table, registry: Registry, tenant: str) -> None:
        self._table = table
        self._registry = registry
        self._tenant = tenant
        self._head = Head("", 0)
        self._decider: Decider
        self.moved = 0

    async def go(self) -> None:
        """Raises Refused if another sequencer was faster."""
        found, decider = await self._open()
        items = await read_backlog(self._table, self._tenant)
        if not items and not decider.has_work():
            return
        self._decider = decider
        self._head = found or await self._begin()
        batch = _Batch(policy=self._head.policy)
        batch = await self._catch_up(batch)
        for item in items:
            batch = await self._take(item, batch)
        batch = await self._catch_up(batch)
        await self._commit(batch)

    async def _open(self) -> tuple[Head | None, Decider]:
        """Return the head of the log, and who decides by the tenant's policy."""
        found, kept = await asyncio.gather(Head.read(self._table, self._tenant), read_policy(self._table, self._tenant))
        state = found.policy if found else ""
        return found, open_decider(Partition(self._table, self._tenant), kept, state, self._registry)

    async def _catch_up(self, batch: _Batch) -> _Batch:
        """Follow a policy that was changed, and end a hold whose time has come; the batch that is open then."""
        decider = self._decider
        now = format_time(datetime.now(UTC))
        if decider.is_releasing(now):
            batch = await self._release(batch, decider, now)
        async for drafts in decider.catch_up(now):
            batch = await self._put(batch, None, None, drafts)
        return batch

    async def _release(self, batch: _Batch, decider: Decider, now: str) -> _Batch:
        """Let what is held go into the log, in its order."""
        async for page in self._table.pages(self._tenant, *keys.held_range(), size=100):
            for row in page:
                item = parse_item(row, whole=True)
                if item is not None:
                    batch = await self._take(item, batch, released=True)
        return await self._put(batch, None, None, decider.end_hold(now))

    async def _let_go(self, batch: _Batch, held: Sequence[str]) -> _Batch:
        """Let single rows that are held go into the log, though the hold goes on."""
        await self._commit(batch)  # they may have been held a moment ago
        batch = _Batch(policy=batch.policy)
        for key in held:
            row = await self._table.read(self._tenant, key)
            item = parse_item(row, whole=True) if row is not None else None
            if item is not None:
                batch = await self._take(item, batch, released=True)
        return batch

    async def _put(self, batch: _Batch, item: Item | None, write: Write | None, drafts: Sequence[Draft]) -> _Batch:
        """Put what a step decided into the batch, or into the next one if it does not fit; the one that is open
        then."""
        decider = self._decider
        writes = self._log_rows(drafts, self._head.seq + batch.events)
        size = sum(map(measure_write, writes)) + decider.rows.measure()
        if not batch.fits(item, writes, size, decider.rows.count()):
            await self._commit(batch)
            batch = _Batch(policy=batch.policy)
            writes = self._log_rows(drafts, self._head.seq)
        batch.add(item, write, writes, len(drafts))
        batch.alarms += [one.event for one in drafts if one.event["type"] == MASS_CHANGE]
        decider.rows.accept()
        batch.policy = decider.state.dump()
        return batch

    async def _begin(self) -> Head:
        """Return the head of a new log, once the tenant is among those that have one."""
        note = Write("upsert", shared_keys.feed_key(self._tenant), {"tenant": self._tenant})
        await commit_surely(Partition(self._table, SHARED), [note])
        last = 0  # unless its head was lost, the log has no event
        async for page in self._table.pages(self._tenant, *keys.log_range(-1), keys_only=True):
            last = max([last, *(keys.parse_number(row.key) for row in page)])
        return Head(_make_epoch(), last)

    async def _take(self, item: Item, batch: _Batch, *, released: bool = False) -> _Batch:
        """Put the events of a row into the batch; the batch that is open then."""
        row = item.row or await self._table.read(self._tenant, item.key)
        if row is None:
            raise Refused(404, 0)
        properties.check_format(row)
        try:
            changes = properties.join_document(row.values)["changes"]
            time = str(row.values.get("time") or properties.parse_written_instant(row.etag))
            cause = Cause(f"{time[:23]}Z" if time else row.values["at"], json.loads(row.values["by"]))
        except Exception:
            log.exception("row %r of the outbox of %s cannot be read and stays where it is", item.key, self._tenant)
            return batch
        decider = self._decider
        if not released and "done" not in row.values:
            kept, told, before = await decider.hold(item.ids, changes, row.values, cause.time)
            if kept is None:
                return await self._put(batch, item, Write("delete", item.key), told)
            if told:
                batch = await self._put(batch, None, None, told)
            if before:
                batch = await self._let_go(batch, before)
            changes = kept
        if changes:
            async for step in self._steps(item, row, changes, cause, time):
                drafts = [each for one in step.drafts for each in await decider.decide(one)]
                write = None if released else Write("merge", item.key, step.progress)
                if released:
                    decider.rows.put(item.key, step.progress)
                batch = await self._put(batch, item, write, drafts)
        if released:
            await decider.release(item.ids, item.key)
        return await self._put(batch, item, None if released else Write("delete", item.key), [])

    async def _steps(
        self, item: Item, row: Row, changes: Sequence[dict[str, Any]], cause: Cause, time: str
    ) -> AsyncIterator[_Step]:
        """Make what a row tells and is not in the log yet, in pieces that each go into one transaction."""
        # How an event is split stays as it was when the row was first taken up, though the policy may be another now.
        size = int(row.values.get("size", self._decider.find_size(changes[-1]["id"])))
        done, kept = int(row.values.get("done", 0)), {"time": time, "settles": " ".join(item.settles), "size": size}
        drafts = [
            part
            for change in changes
            if change["op"] != "edges"
            for one in draft(change, cause, self._registry)
            for part in self._decider.split(one, size)
        ]
        settling = await self._settled(item, changes, cause)
        for number, one in enumerate(drafts, 1):
            if number > done:
                together = [one, *settling] if number == len(drafts) and not size else [one]
                yield _Step(together, {**kept, "done": number})
        if size:  # said once more if this is cut short, which is no harm: it says how it is now
            for part in [part for one in settling for part in self._decider.split(one, size)]:
                yield _Step([part], {**kept, "done": len(drafts)})
        if changes[-1]["op"] == "edges":
            reached = str(row.values.get("reached", ""))
            async for step in self._edges(changes[-1]["id"], reached, cause, size or _MEMBERS):
                yield step._replace(progress={**kept, "done": len(drafts), **step.progress})

    async def _edges(self, group: str, reached: str, cause: Cause, size: int) -> AsyncIterator[_Step]:
        """Tell the members of a new group that were written before it: all that it has now."""
        start, end = keys.members_range(group)
        async for page in self._table.pages(self._tenant, keys.id_after(reached) if reached else start, end, size=size):
            if page:
                drafts = list(draft_members(group, [row.values["member"] for row in page], [], cause, self._registry))
                yield _Step(drafts, {"reached": page[-1].key})

    async def _settled(self, item: Item, changes: Sequence[dict[str, Any]], cause: Cause) -> list[Draft]:
        """Say once more how a membership stands that was added and removed, if it is not as the last of these rows
        says: the order of their times was wrong, or somebody has changed it since, as a later row will say again."""
        if not item.settles or changes[-1]["op"] != "members":
            return []
        added: list[str] = []
        removed: list[str] = []
        for member in [*changes[-1]["added"], *changes[-1]["removed"]]:
            if mark_of(member) not in item.settles:
                continue
            edge = await self._table.read(self._tenant, keys.member_key(item.id, member))
            if (edge is not None) == item.effects[mark_of(member)]:
                continue
            (removed if edge is None else added).append(member)
        return list(draft_members(item.id, added, removed, cause, self._registry))

    def _log_rows(self, drafts: Sequence[Draft], seq: int) -> list[Write]:
        """Return the rows of the log for events that follow the one with that number."""
        writes = []
        for number, one in enumerate(drafts, seq + 1):
            event = placed(one, self._tenant, self._head.epoch, number)
            if types := self._find_member_types(event):
                event["types"] = types
            names = [keys.about_key(subject, number) for subject in dict.fromkeys(one.subjects)]
            values = {
                "v": properties.FORMAT,
                "about": "\n".join(names),
                **properties.split_document(event, "The event"),
            }
            writes.append(Write("insert", keys.log_key(number), values))
            found: dict[str, Any] = {
                name: one.event[name] for name in ("type", "time", "connection", "request") if name in one.event
            }
            writes += [Write("insert", key, found) for key in names]
        return writes

    def _find_member_types(self, event: Event) -> dict[str, str]:
        """Return the types of the members that an event names, by id, but for users."""
        members = (*event.get("added", ()), *event.get("removed", ()))
        found = {id: self._registry.by_id(id) for id in members}
        return {id: each.name for id, each in found.items() if each is not None and each.name != "User"}

    async def _commit(self, batch: _Batch) -> None:
        derived = self._decider.rows.build()
        if batch.is_empty and not derived and batch.policy == self._head.policy:
            return
        deadline.check()
        after = self._head._replace(seq=self._head.seq + batch.events, policy=batch.policy)
        writes = [after.write(), *batch.build_items(), *batch.log, *derived]
        etags = await self._table.commit(self._tenant, writes)
        self._decider.rows.commit()
        self._head = after._replace(etag=etags[0], more=max(after.more, len(after.policy) // UNITS))
        self.moved += batch.events
        for alarm in batch.alarms:
            self._warn(alarm)

    def _warn(self, alarm: Event) -> None:
        """Log that many were disabled or deleted, as scim/mass_changes.py does: whoever watches the app reads no
        feed."""
        named = {name: alarm.get(name) for name in ("request", "connection", "credential")}
        deleted = alarm["deleted"]
        numbers = {"disabled": alarm["number"] - deleted, "deleted": deleted, "limit": alarm["threshold"]}
        log_event("mass_change", {**named, "tenant": self._tenant, **numbers}, logging.WARNING)


def _make_epoch() -> str:
    return secrets.token_hex(4)
