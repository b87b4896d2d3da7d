"""Random schedules: twelve writers and three sequencers at once, and at the end the log tells exactly what is there.

Trips take different times and overtake each other; clocks of the writers are up to five seconds apart; commits come
late; a backlog has several pages; and, in some of the schedules, the service's own times tell no order.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scim.feed import backlog
from scim.feed.sequencer import Sequencer
from scim.store import keys
from scim.store.members import Changes, Member
from scim.store.properties import join_document
from scim.store.resources import Stale, Taken
from scim.store.store import Store
from scim.store.table import Refused, Row, TableUnavailable, Uncertain, Write
from tests.core import GROUP_TYPE, REGISTRY, USER_TYPE
from tests.feed.reader import check_log
from tests.store.memory import MemoryTable, create

TENANT = "tenant"
WRITERS, SEQUENCERS, STEPS = 12, 3, 12
Effect = tuple[str, str, bool]


class Ledger:
    """A table in front of another one, which notes what was committed, commits late, and loses answers."""

    def __init__(self, table: MemoryTable, dice: Random, told: list[dict[str, Any]]) -> None:
        self.table = table
        self.dice = dice
        self.told = told

    async def read(self, partition: str, key: str) -> Row | None:
        return await self.table.read(partition, key)

    def pages(self, partition: str, start: str, end: str, **options: Any) -> AsyncIterator[list[Row]]:
        return self.table.pages(partition, start, end, **options)

    def partitions(self, after: str = "") -> AsyncIterator[str]:
        return self.table.partitions(after)

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        for _ in range(self.dice.choice([0, 0, 0, 5, 60])):
            await asyncio.sleep(0)
        etags = await self.table.commit(partition, writes)
        self.told += [c for w in writes if w.key.startswith("e ") for c in changes_of(w)]
        if self.dice.random() < 0.02:
            raise Uncertain("lost")
        return etags

    async def close(self) -> None:
        pass


def changes_of(write: Write) -> list[dict[str, Any]]:
    changes: list[dict[str, Any]] = join_document(dict(write.values))["changes"] if write.kind == "insert" else []
    return changes


async def write(store: Store, dice: Random, groups: list[str], people: list[str]) -> None:
    """One writer: creates, changes and deletes users and groups, and adds and removes the same few members."""
    for step in range(STEPS):
        with suppress(Stale, Taken, Refused, TableUnavailable):
            match dice.choice(
                ["create", "update", "update", "members", "members", "members", "delete", "put", "group"]
            ):
                case "create":
                    await create(store, TENANT, USER_TYPE, {"userName": f"user {dice.randrange(20)}"})
                case "update":
                    old = await store.of(TENANT).resources.read(dice.choice(people))
                    if old is not None:
                        document = {**old.document, "title": str(dice.random()), "active": dice.random() < 0.5}
                        await store.of(TENANT).resources.update(USER_TYPE, old, document)
                case "delete":
                    old = await store.of(TENANT).resources.read(dice.choice(people))
                    if old is not None and dice.random() < 0.3:
                        await store.of(TENANT).resources.delete(USER_TYPE, old)
                case "members":
                    some = dice.sample([*people, "a stranger", "another"], 3)
                    added = {id: Member(id) for id in some[:2]}
                    await store.of(TENANT).members.change(dice.choice(groups), Changes(added, set(some[2:])))
                case "put":
                    old = await store.of(TENANT).resources.read(dice.choice(groups))
                    if old is not None:
                        changes = Changes({id: Member(id) for id in dice.sample(people, 2)}, {"a stranger"})
                        document = {"displayName": old.document["displayName"], "externalId": f"{step}"}
                        await store.of(TENANT).resources.update(GROUP_TYPE, old, document, changes)
                case "group":
                    members = [Member(id) for id in dice.sample(people, 3)]
                    members += [Member(f"member {n}") for n in range(dice.choice([0, 0, 120]))]
                    made = await create(store, TENANT, GROUP_TYPE, {"displayName": f"{dice.random()}"}, members)
                    groups.append(made.id)


async def sequence(table: MemoryTable | Ledger, dice: Random, busy: asyncio.Event) -> None:
    """One sequencer, now and then, until all have written."""
    while not busy.is_set():
        for _ in range(dice.randrange(200)):
            await asyncio.sleep(0)
        with suppress(TableUnavailable):
            await Sequencer(table, REGISTRY).run(TENANT)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**32), page=st.sampled_from([3, 7, 200]), shuffled=st.booleans())
def test_log_tells_what_is_there(seed: int, page: int, shuffled: bool) -> None:
    with pytest.MonkeyPatch.context() as patch:
        dice = Random(seed)
        patch.setattr(backlog, "PAGE", page)
        patch.setattr(backlog, "KEPT_BYTES", dice.choice([0, 500, 10**6]))
        skew(patch, dice)
        if shuffled:
            patch.setattr(backlog, "parse_written_instant", lambda etag: f"{Random(etag).random()}")
        asyncio.run(run(dice))


def skew(patch: pytest.MonkeyPatch, dice: Random) -> None:
    """Have the clocks of processes be five seconds apart."""
    honest = keys.outbox_key

    def key(time: str) -> str:
        at = datetime.strptime(time, "%Y%m%dT%H%M%S%f") + timedelta(seconds=dice.uniform(-5, 5))
        return honest(at.strftime("%Y%m%dT%H%M%S%f"))

    patch.setattr(keys, "outbox_key", key)


async def run(dice: Random) -> None:
    table, told = MemoryTable(dice=dice), list[dict[str, Any]]()
    line = Ledger(table, dice, told)
    first = Store(line)
    people = [(await create(first, TENANT, USER_TYPE, {"userName": f"person {n}"})).id for n in range(6)]
    groups = [(await create(first, TENANT, GROUP_TYPE, {"displayName": f"group {n}"})).id for n in range(3)]
    busy = asyncio.Event()
    sequencers = [asyncio.create_task(sequence(line, dice, busy)) for _ in range(SEQUENCERS)]
    await asyncio.gather(*(write(Store(line), dice, groups, people) for _ in range(WRITERS)))
    busy.set()
    await asyncio.gather(*sequencers)
    await Store(line).housekeeping.run(everything=True)
    events = await check_log(table, TENANT)
    documents = [(c["id"], c["op"]) for c in told if c["op"] not in ("members", "edges")]
    seen = [(e["resource"]["id"], e["type"].partition(".")[2]) for e in events if not e["type"].endswith(".members")]
    assert Counter(seen) == Counter(documents)
    for id in {id for id, _ in documents}:  # in order: each knows what was before it
        assert [op for one, op in seen if one == id] == [op for one, op in documents if one == id]
    wanted, got = effects(told), effects([{**e, "id": e["resource"]["id"]} for e in events if "added" in e])
    assert wanted - got == Counter()
    early = {change["id"] for change in told if change["op"] == "edges"}
    for group, member, comes in got - wanted:  # a membership that came and went may be told once more
        assert group in early or (group, member, not comes) in wanted


def effects(changes: list[dict[str, Any]]) -> Counter[Effect]:
    return Counter(
        (change["id"], id, comes)
        for change in changes
        for name, comes in (("added", True), ("removed", False))
        for id in change.get(name, ())
    )
