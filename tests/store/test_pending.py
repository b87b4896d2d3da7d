"""Operations that end in the middle: whatever cuts one short, at whatever transaction, housekeeping makes it whole.

Every operation is cut before and after each of its transactions in turn, on a table in memory. test_kill.py does the
same, at a few places, to a real process.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from scim.operate.check import examine, list_problems
from scim.schema.validation import Document
from scim.store import pending, properties, sequences, shared_keys, tenants
from scim.store.members import Changes, Member, Members
from scim.store.pending import Pending
from scim.store.resource_rows import Stored
from scim.store.resources import Stale, Taken
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import Refused, Table, TableUnavailable, Uncertain, Write
from tests.core import GROUP_TYPE, REGISTRY, USER_TYPE, cases
from tests.store.memory import Door, Faulty, Hook, MemoryTable, create

TENANT = "tenant"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds a change under way takes its owner for dead: what was killed here will never go on, and an owner
    that is alive must not do harm."""
    monkeypatch.setattr(sequences, "STALLED", 0.0)


class Killed(BaseException):
    """The process ends here: nothing handles it."""


def members(first: int, end: int) -> dict[str, Member]:
    """Members that are no resources: an id that is not ours is kept as it was sent."""
    return {f"member {n:04}": Member(f"member {n:04}", f"Member {n}", "User") for n in range(first, end)}


def ids(first: int, end: int) -> set[str]:
    return set(members(first, end))


async def new_user(store: Store, name: str, **attributes: object) -> str:
    return (await create(store, TENANT, USER_TYPE, {"userName": name, **attributes})).id


async def new_group(store: Store, name: str, held: Iterable[Member] = ()) -> str:
    return (await create(store, TENANT, GROUP_TYPE, {"displayName": name}, list(held))).id


async def existing(store: Store, id: str) -> Stored:
    stored = await store.of(TENANT).resources.read(id)
    assert stored is not None
    return stored


async def held(store: Store, group: str) -> set[str]:
    """The ids of a group's members."""
    return {member.value async for _, member in store.of(TENANT).members.read_members(group)}


async def clean(table: Table) -> None:
    """Nothing is broken and nothing is pending."""
    assert await list_problems(table, TENANT, REGISTRY) == []
    assert (await examine(table, TENANT, REGISTRY)).pending == 0


def state(table: MemoryTable) -> dict[str, tuple[Document, list[Any]]]:
    """By the resource's name, its document and its members; ids, which are random, are shown as names."""
    documents: dict[str, Document] = {}
    edges: dict[str, list[Any]] = {}
    for row in table.rows(TENANT):
        if row.key.startswith("r "):
            documents[row.values["id"]] = properties.join_document(row.values)
        elif row.key.startswith("m "):
            edges.setdefault(row.values["group"], []).append(row.values)
    names = {id: str(d.get("userName", d.get("displayName"))) for id, d in documents.items()}
    shown = {
        group: sorted((names.get(v["member"], v["member"]), v.get("display", ""), v.get("type", "")) for v in values)
        for group, values in edges.items()
    }
    unknown: dict[str, tuple[Document, list[Any]]] = {
        f"edges of {group}": ({}, values) for group, values in shown.items() if group not in names
    }
    return {names[id]: (document, shown.get(id, [])) for id, document in documents.items()} | unknown


# The operations: what is there before, and what is done to it.


@dataclass(frozen=True)
class Operation:
    """`prepare` gives the id that `run` works on, if any; `run` gives the new version, if there is one."""

    prepare: Callable[[Store], Awaitable[str]]
    run: Callable[[Store, str], Awaitable[Stored | str | None]]
    transactions: int


async def nothing(store: Store) -> str:
    return ""


async def a_user(store: Store) -> str:
    return await new_user(store, "ada", emails=[{"value": "a@x"}, {"value": "b@x"}], externalId="1")


async def a_group(store: Store) -> str:
    return await new_group(store, "all", members(0, 20).values())


async def a_large_group(store: Store) -> str:
    """It is in two other groups too."""
    id = await new_group(store, "all", members(0, 130).values())
    for name in ("above", "above all"):
        await new_group(store, name, [Member(id), *members(0, 3).values()])
    return id


async def a_user_in_groups(store: Store) -> str:
    id = await a_user(store)
    for number in range(40):
        await new_group(store, f"group {number}", [Member(id, "Ada"), *members(0, 2).values()])
    return id


async def create_user(store: Store, _: str) -> Stored:
    document = {"userName": "ada", "displayName": "Ada", "externalId": "1", "emails": [{"value": "a@x"}]}
    return await create(store, TENANT, USER_TYPE, document)


async def update_user(store: Store, id: str) -> Stored:
    old = await existing(store, id)
    document = {"userName": "ada2", "emails": [{"value": "b@x"}, {"value": "c@x"}], "externalId": "1"}
    return await store.of(TENANT).resources.update(USER_TYPE, old, document)


async def change_a_few(store: Store, id: str) -> str:
    return await store.of(TENANT).members.change(id, Changes(members(18, 25), ids(0, 5) | {"never there"}))


async def change_many(store: Store, id: str) -> str:
    return await store.of(TENANT).members.change(id, Changes(members(125, 200), ids(0, 60) | {"never there"}))


async def update_with_members(store: Store, id: str) -> Stored:
    old = await existing(store, id)
    changes = Changes(members(10, 130), ids(0, 5))
    return await store.of(TENANT).resources.update(
        GROUP_TYPE, old, {"displayName": "renamed", "externalId": "2"}, changes
    )


async def create_group(store: Store, _: str) -> Stored:
    return await create(store, TENANT, GROUP_TYPE, {"displayName": "all"}, list(members(0, 40).values()))


async def create_large_group(store: Store, _: str) -> Stored:
    return await create(store, TENANT, GROUP_TYPE, {"displayName": "all"}, list(members(0, 160).values()))


async def delete_user(store: Store, id: str) -> None:
    await delete(store, USER_TYPE, id)


async def delete_group(store: Store, id: str) -> None:
    await delete(store, GROUP_TYPE, id)


async def delete(store: Store, resource_type: Any, id: str) -> None:
    old = await store.of(TENANT).resources.read(id)
    if old is not None:  # else a client gets 404, which is what it wants
        await store.of(TENANT).resources.delete(resource_type, old)


OPERATIONS = {
    "create a user": Operation(nothing, create_user, 1),
    "update a user": Operation(a_user, update_user, 1),
    "change a few members": Operation(a_group, change_a_few, 2),
    "change many members": Operation(a_large_group, change_many, 5),
    "update with many members": Operation(a_group, update_with_members, 4),
    "create a group": Operation(nothing, create_group, 1),
    "create a large group": Operation(nothing, create_large_group, 5),
    "delete a user": Operation(a_user_in_groups, delete_user, 4),
    "delete a group": Operation(a_large_group, delete_group, 6),
}
"""With the number of transactions that each takes in a process that has announced nothing: a refusal that drops the
delete of what is not there is one, the announcement is another."""


@dataclass(frozen=True)
class Setup:
    """An operation about to be run, in a new process whose transactions can be disturbed."""

    table: MemoryTable
    wire: Faulty
    process: Store
    id: str


async def set_up(operation: Operation) -> Setup:
    table = MemoryTable(empty_pages=True)
    await new_user(Store(table), "somebody else")
    id = await operation.prepare(Store(table))
    await Store(table).housekeeping.run(everything=True)
    table.clear(SHARED)  # as if none of this had been announced
    wire = Faulty(table)
    return Setup(table, wire, Store(wire), id)


async def outcome(operation: Operation, *, run: bool) -> dict[str, Any]:
    """The state before or after the operation, undisturbed."""
    setup = await set_up(operation)
    if run:
        await operation.run(setup.process, setup.id)
        assert setup.wire.number == operation.transactions
        await setup.process.housekeeping.run(everything=True)
    return state(setup.table)


async def retried(operation: Operation, store: Store, id: str) -> None:
    """The client sends again what it got no answer to: a 409 or 412 then says that it was done. What was cut short is
    finished first, and then the service reads anew."""
    try:
        try:
            await operation.run(store, id)
        except Stale:
            await operation.run(store, id)
    except Taken:
        pass


def dies(number: int) -> Hook:
    return raises(Killed, number, forever=True)


def raises(error: type[BaseException], number: int, *, forever: bool = False) -> Hook:
    """A hook that raises at one transaction, or at that one and all later."""

    async def hook(at: int, writes: Sequence[Write]) -> None:
        if at == number or (forever and at > number):
            raise error(f"transaction {at}")

    return hook


WHEN = {"before": True, "after": False}
"""Whether a transaction is disturbed before it happens or after."""


def disturb(wire: Faulty, hook: Hook, before: bool) -> None:
    wire.disturb(before=hook if before else None, after=None if before else hook)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody sleeps before trying again."""
    sleep = asyncio.sleep

    async def none(seconds: float) -> None:
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", none)


@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_undisturbed(operation: Operation) -> None:
    """What the others are compared with: the operation does something, and leaves a clean tenant."""
    setup = await set_up(operation)
    before = state(setup.table)
    result = await operation.run(setup.process, setup.id)
    await setup.process.housekeeping.run(everything=True)
    await clean(setup.table)
    assert state(setup.table) != before
    await holds_version(setup, result)


async def holds_version(setup: Setup, result: Stored | str | None) -> None:
    """The version that an operation gives is the one that is read next."""
    if isinstance(result, Stored):
        found = await existing(Store(setup.table), result.id)
        assert (found.document, found.version) == (result.document, result.version)
    elif result is not None:
        assert (await existing(Store(setup.table), setup.id)).version == result


@pytest.mark.parametrize("operation", cases({n: o for n, o in OPERATIONS.items() if "update" in n or "create" in n}))
async def test_result_is_what_is_read_next(operation: Operation) -> None:
    """Times too: a client compares meta.lastModified of an answer with that of its next read."""
    setup = await set_up(operation)
    result = await operation.run(setup.process, setup.id)
    assert isinstance(result, Stored)
    assert (await existing(setup.process, result.id))._replace(size=0) == result


# Killed.


@pytest.mark.parametrize("before", cases(WHEN))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_killed_then_housekeeping(operation: Operation, before: bool) -> None:
    """All of it or nothing."""
    allowed = [await outcome(operation, run=False), await outcome(operation, run=True)]
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        disturb(setup.wire, dies(number), before)
        with pytest.raises(Killed):
            await operation.run(setup.process, setup.id)
        await Store(setup.table).housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) in allowed, number


@pytest.mark.parametrize("before", cases(WHEN))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_killed_then_nothing_is_broken(operation: Operation, before: bool) -> None:
    """Each transaction leaves a valid state: a client that reads meanwhile sees nothing impossible."""
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        disturb(setup.wire, dies(number), before)
        with pytest.raises(Killed):
            await operation.run(setup.process, setup.id)
        assert await list_problems(setup.table, TENANT, REGISTRY) == [], number


@pytest.mark.parametrize("before", cases(WHEN))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_killed_then_retried(operation: Operation, before: bool) -> None:
    after = await outcome(operation, run=True)
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        disturb(setup.wire, dies(number), before)
        with pytest.raises(Killed):
            await operation.run(setup.process, setup.id)
        await retried(operation, Store(setup.table), setup.id)
        await Store(setup.table).housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) == after, number


@pytest.mark.parametrize("before", cases(WHEN))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_housekeeping_killed_too(operation: Operation, before: bool) -> None:
    allowed = [await outcome(operation, run=False), await outcome(operation, run=True)]
    for number in range(1, operation.transactions + 1):
        for second in count(1):
            setup = await set_up(operation)
            disturb(setup.wire, dies(number), before)
            with pytest.raises(Killed):
                await operation.run(setup.process, setup.id)
            disturb(setup.wire, dies(second), before)
            try:
                await Store(setup.wire).housekeeping.run(everything=True)
                whole = True
            except Killed:
                whole = False
                assert await list_problems(setup.table, TENANT, REGISTRY) == [], (number, second)
                await Store(setup.table).housekeeping.run(everything=True)
            await clean(setup.table)
            assert state(setup.table) in allowed, (number, second)
            if whole:
                break


# Storage that fails, and answers that are lost.


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_unavailable_then_housekeeping(operation: Operation) -> None:
    """Unlike one that is killed, the process goes on and may make things worse."""
    allowed = [await outcome(operation, run=False), await outcome(operation, run=True)]
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        setup.wire.disturb(before=raises(TableUnavailable, number, forever=True))
        with pytest.raises(TableUnavailable):
            await operation.run(setup.process, setup.id)
        assert await list_problems(setup.table, TENANT, REGISTRY) == [], number
        setup.wire.disturb()
        await setup.process.housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) in allowed, number


LOST: dict[str, tuple[type[Exception], bool]] = {
    "answer after it happened": (Uncertain, False),
    "answer before it happened": (Uncertain, True),
    "service for a moment": (TableUnavailable, True),
}


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("error", "before"), cases(LOST))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_what_is_lost_once_is_no_failure(operation: Operation, error: type[Exception], before: bool) -> None:
    """The client learns nothing of it, and the operation has happened once."""
    after = await outcome(operation, run=True)
    for number in count(1):
        setup = await set_up(operation)
        await setup.process.of(TENANT).pending.announce()
        disturb(setup.wire, raises(error, number), before)
        result = await operation.run(setup.process, setup.id)
        transactions = setup.wire.number
        setup.wire.disturb()
        await holds_version(setup, result)
        assert await list_problems(setup.table, TENANT, REGISTRY) == [], number
        await setup.process.housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) == after, number
        if transactions < number:
            break


@pytest.mark.parametrize("before", cases(WHEN))
@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_answers_that_never_come(operation: Operation, before: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client is told to come back, and finds all of it or nothing."""
    monkeypatch.setattr("scim.store.transactions.TRIP_SECONDS", 0.02)
    allowed = [await outcome(operation, run=False), await outcome(operation, run=True)]
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        disturb(setup.wire, raises(Uncertain, number, forever=True), before)
        with pytest.raises(TableUnavailable):
            await operation.run(setup.process, setup.id)
        setup.wire.disturb()
        await Store(setup.table).housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) in allowed, number


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("before", cases(WHEN))
async def test_housekeeping_that_loses_answers(before: bool) -> None:
    operation = OPERATIONS["change many members"]
    after = await outcome(operation, run=True)
    for number in count(1):
        setup = await set_up(operation)
        disturb(setup.wire, dies(3), True)
        with pytest.raises(Killed):
            await operation.run(setup.process, setup.id)
        disturb(setup.wire, raises(Uncertain, number), before)
        process = Store(setup.wire)
        try:
            await process.housekeeping.run(everything=True)
        except TableUnavailable:  # said again by the next run
            await process.housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) == after, number
        if setup.wire.number < number:
            break


# What came after an operation that was cut short stays.


async def cut_short(table: MemoryTable, id: str, changes: Changes, transactions: int = 2) -> None:
    """A change of members whose process dies after so many transactions, the announcement being the first."""
    wire = Faulty(table)
    disturb(wire, dies(transactions), False)
    with pytest.raises(Killed):
        await Store(wire).of(TENANT).members.change(id, changes)


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def store(table: MemoryTable) -> Store:
    return Store(table)


REMOVED = {"one that was added": "member 0000", "one that was not added yet": "member 0190"}


@pytest.mark.parametrize("removed", cases(REMOVED))
@pytest.mark.parametrize("again", cases({"after a retry": True, "without a retry": False}))
async def test_removed_member_stays_removed(table: MemoryTable, store: Store, removed: str, again: bool) -> None:
    group = await new_group(store, "all")
    changes = Changes(members(0, 200))
    await cut_short(table, group, changes)
    if again:
        await store.of(TENANT).members.change(group, changes)
    await store.of(TENANT).members.change(group, Changes({}, {removed}))
    assert removed not in await held(store, group)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert await held(store, group) == ids(0, 200) - {removed}  # all of a PATCH happens, before the removal


@pytest.mark.parametrize("added", cases(REMOVED))
async def test_added_member_stays_added(table: MemoryTable, store: Store, added: str) -> None:
    group = await new_group(store, "all", members(0, 200).values())
    await cut_short(table, group, Changes({}, ids(0, 200)))
    await store.of(TENANT).members.change(group, Changes({added: Member(added)}))
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert added in await held(store, group)


async def test_second_change_cut_short_too(table: MemoryTable, store: Store) -> None:
    """Each of them happens whole or not at all, wherever the second one's process dies, and the first one does."""
    outcomes = []
    for transactions in range(2, 12):
        table.clear(TENANT)
        group = await new_group(store, "all")
        await cut_short(table, group, Changes(members(0, 200)))
        await cut_short(table, group, Changes(members(200, 400), ids(0, 10)), transactions)
        await store.housekeeping.run(everything=True)
        await clean(table)
        outcomes.append(await held(store, group))
    assert outcomes[0] == ids(0, 200)
    assert outcomes[-1] == ids(10, 400)
    assert all(outcome in (ids(0, 200), ids(10, 400)) for outcome in outcomes)


LEFT = {
    "additions": (set[str](), Changes(members(0, 200))),
    "removals": (ids(0, 200), Changes({}, ids(0, 200))),
}


@pytest.mark.parametrize(("present", "changes"), cases(LEFT))
async def test_put_that_finds_nothing_to_change_is_a_statement(present: set[str], changes: Changes) -> None:
    """A PUT of just the members that are there was answered with 200: they are the members from then on."""
    table = MemoryTable()
    store, client = Store(table), Door(table).client
    group = await new_group(store, "all", [Member(id) for id in present])
    await cut_short(table, group, changes)
    stated = await held(store, group)
    body = {"displayName": "all", "members": (await client.get(f"/Groups/{group}")).json["members"]}
    response = await client.put(f"/Groups/{group}", body)
    assert (response.status, {m["value"] for m in response.json["members"]}) == (200, stated)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert await held(store, group) == stated


async def test_renamed_group_stays_renamed(table: MemoryTable, store: Store) -> None:
    group = await new_group(store, "all")
    wire = Faulty(table)
    disturb(wire, dies(2), False)
    with pytest.raises(Killed):
        await update_with_members(Store(wire), group)
    old = await existing(store, group)
    await store.of(TENANT).resources.update(GROUP_TYPE, old, {"displayName": "last"})
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert (await existing(store, group)).document == {"displayName": "last"}


async def test_deleted_group_stays_deleted(table: MemoryTable, store: Store) -> None:
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))
    await delete_group(store, group)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert table.rows_but_outbox(TENANT) == []


# Housekeeping that others interfere with.


async def interfering(table: MemoryTable, number: int, act: Callable[[Store], Awaitable[object]]) -> Store:
    """A process that runs into another one's `act` just before its transaction of that number."""
    wire = Faulty(table)

    async def before(at: int, writes: Sequence[Write]) -> None:
        if at == number:
            await act(Store(table))

    wire.disturb(before=before)
    return Store(wire)


@pytest.mark.parametrize("number", range(1, 7))
async def test_member_removed_while_housekeeping_adds_it_stays_removed(
    table: MemoryTable, store: Store, number: int
) -> None:
    """A client removes a member between two transactions of housekeeping and gets its 204: that member is out."""
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))

    async def remove(other: Store) -> None:
        await other.of(TENANT).members.change(group, Changes({}, {"member 0190"}))

    housekeeper = await interfering(table, number, remove)
    await housekeeper.housekeeping.run(everything=True)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert "member 0190" not in await held(store, group)


@pytest.mark.parametrize("number", range(1, 7))
async def test_group_deleted_while_housekeeping_adds_members(table: MemoryTable, store: Store, number: int) -> None:
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))
    housekeeper = await interfering(table, number, lambda other: delete_group(other, group))
    await housekeeper.housekeeping.run(everything=True)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert table.rows_but_outbox(TENANT) == []


@pytest.mark.parametrize("number", range(1, 7))
async def test_group_renamed_while_housekeeping_adds_members(table: MemoryTable, store: Store, number: int) -> None:
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))

    async def rename(other: Store) -> None:
        old = await existing(other, group)
        await other.of(TENANT).resources.update(GROUP_TYPE, old, {"displayName": "renamed"})

    housekeeper = await interfering(table, number, rename)
    await housekeeper.housekeeping.run(everything=True)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert (await existing(store, group)).document == {"displayName": "renamed"}


@pytest.mark.parametrize("operation", cases(OPERATIONS))
async def test_two_housekeepers_at_once(operation: Operation) -> None:
    allowed = [await outcome(operation, run=False), await outcome(operation, run=True)]
    for number in range(1, operation.transactions + 1):
        setup = await set_up(operation)
        disturb(setup.wire, dies(number), False)
        with pytest.raises(Killed):
            await operation.run(setup.process, setup.id)
        await asyncio.gather(*(Store(setup.table).housekeeping.run(everything=True) for _ in range(2)))
        await Store(setup.table).housekeeping.run(everything=True)
        await clean(setup.table)
        assert state(setup.table) in allowed, number


async def test_deleted_user_leaves_no_edge_behind_an_older_change(
    table: MemoryTable, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change would add the user, whom a DELETE removes in the same second: whichever of the two pending rows comes
    first, nobody who is gone is a member."""
    falling = count(0xFFFF, -1)
    monkeypatch.setattr("scim.store.keys.secrets.token_hex", lambda size: f"{next(falling):0{2 * size}x}")
    monkeypatch.setattr(pending, "datetime", Frozen)
    monkeypatch.setattr(tenants, "datetime", Frozen)
    group = await new_group(store, "all")
    user = await new_user(store, "ada")
    await cut_short(table, group, Changes({**members(0, 100), user: Member(user)}))
    assert user not in await held(store, group)
    await delete_user(store, user)
    await store.housekeeping.run(everything=True)
    await clean(table)


async def test_deleted_user_does_not_stop_a_change_of_its_group(table: MemoryTable, store: Store) -> None:
    """The DELETE says nothing about the others whom the change was to add: they are added, and nobody is who is gone.

    The client may never send the change again, and all of a PATCH happens or nothing."""
    user, later = await new_user(store, "ada"), await new_user(store, "bob")
    group = await new_group(store, "all", [Member(user)])
    await cut_short(table, group, Changes({**members(0, 200), later: Member(later)}))
    for id in (user, later):
        await delete_user(store, id)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert await held(store, group) == ids(0, 200)


class Frozen(datetime):
    """A clock that stands still."""

    @classmethod
    def now(cls, tz: Any = None) -> Frozen:
        return cls(2026, 11, 21, 12, 0, 0, tzinfo=tz)


# Operations that others interfere with.


@pytest.mark.parametrize("number", range(2, 6))
async def test_group_deleted_while_members_are_added(table: MemoryTable, store: Store, number: int) -> None:
    group = await new_group(store, "all", members(0, 10).values())
    process = await interfering(table, number, lambda other: delete_group(other, group))
    with pytest.raises(Refused) as refused:
        await process.of(TENANT).members.change(group, Changes(members(0, 200)))
    assert refused.value.status == 404
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert table.rows_but_outbox(TENANT) == []


@pytest.mark.parametrize("number", range(1, 6))
async def test_user_deleted_while_it_is_added(table: MemoryTable, store: Store, number: int) -> None:
    """DELETE has looked for memberships by then: its pending row has it looked again."""
    group = await new_group(store, "all")
    user = await new_user(store, "ada")
    process = await interfering(table, number, lambda other: delete_user(other, user))
    await process.of(TENANT).members.change(group, Changes({**members(0, 200), user: Member(user)}))
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert await held(store, group) == ids(0, 200)


@pytest.mark.parametrize("number", range(1, 7))
async def test_member_added_while_its_group_is_deleted(table: MemoryTable, store: Store, number: int) -> None:
    """A client that was told 204 and one that was told 404 both see the truth; no edge is left either way."""
    group = await new_group(store, "all", members(0, 130).values())

    async def add(other: Store) -> None:
        try:
            await other.of(TENANT).members.change(group, Changes(members(500, 510)))
        except Refused as refused:
            assert refused.status == 404

    process = await interfering(table, number, add)
    try:
        await delete_group(process, group)
    except Stale:  # the service reads and deletes again
        await delete_group(store, group)
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert table.rows_but_outbox(TENANT) == []


@pytest.mark.parametrize("number", range(1, 6))
async def test_name_taken_while_a_large_group_is_created(table: MemoryTable, store: Store, number: int) -> None:
    process = await interfering(table, number, lambda other: new_group(other, "all"))
    with pytest.raises(Taken) as taken:
        await create_large_group(process, "")
    assert taken.value.index.path == "displayName"
    assert taken.value.id and await held(store, taken.value.id) == set()
    await clean(table)  # without housekeeping: the refused create takes its edges back itself
    assert list(state(table)) == ["all"]


# Everything at once.


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("seed", range(5))
async def test_storm(seed: int) -> None:
    """Clients create, change and delete the same few users and groups, while every other process dies somewhere or
    loses an answer: no answer is a 500, and housekeeping leaves a clean tenant."""
    dice = Random(seed)
    table = MemoryTable(dice=dice)
    names = [f"name {n}" for n in range(4)]

    async def request() -> int:
        wire = Faulty(table)
        error = dice.choice([None, None, Killed, Uncertain, TableUnavailable])
        if error:
            disturb(wire, raises(error, dice.randint(1, 6), forever=error is Killed), dice.random() < 0.5)
        client = Door(wire).client
        users, groups = all_ids(table, "u"), all_ids(table, "g")
        some = dice.sample([*users, *members(0, 8)], 3)
        many = dice.sample(sorted(members(0, 200)), 120)
        name = dice.choice(names)
        group = f"/Groups/{dice.choice(groups)}" if groups else "/Groups/g-missing"
        user = f"/Users/{dice.choice(users)}" if users else "/Users/u-missing"
        add, remove = dice.choice([some, many]), dice.choice([some, many])
        match dice.randrange(10):
            case 0 | 1:
                response = await client.post("/Users", {"userName": name, "externalId": name})
            case 2 | 3:
                response = await client.post("/Groups", {"displayName": name, "members": sent(dice.choice([[], many]))})
            case 4:
                response = await client.delete(dice.choice([group, user]))
            case 5:
                response = await client.put(user, {"userName": name, "emails": [{"value": f"{name}@x"}]})
            case 6:
                response = await client.put(group, {"displayName": name, "members": sent(add)})
            case 7:
                response = await client.patch(group, {"op": "replace", "path": "displayName", "value": name})
            case 8:
                response = await client.patch(group, {"op": "add", "path": "members", "value": sent(add)})
            case _:
                response = await client.patch(group, {"op": "remove", "path": "members", "value": sent(remove)})
        return response.status

    for _ in range(10):
        results = await asyncio.gather(*(request() for _ in range(8)), return_exceptions=True)
        wrong = [r for r in results if not isinstance(r, Killed) and r not in (200, 201, 204, 404, 409, 412, 503)]
        assert wrong == []
        if dice.random() < 0.3:  # nobody works at the moment
            await Store(table).housekeeping.run(everything=True)
            await Store(table).housekeeping.run(everything=True)
            await clean(table)
    await Store(table).housekeeping.run(everything=True)
    await Store(table).housekeeping.run(everything=True)
    await clean(table)


def all_ids(table: MemoryTable, prefix: str) -> list[str]:
    return [row.values["id"] for row in table.rows(TENANT) if row.key.startswith(f"r {prefix}-")]


def sent(ids: Iterable[str]) -> list[Document]:
    return [{"value": id} for id in ids]


# How long pending rows wait, and who is looked at.


async def test_row_is_not_due_while_its_request_may_live(table: MemoryTable, store: Store) -> None:
    await delete_user(store, await new_user(store, "ada"))
    assert await store.housekeeping.run() == 0
    assert (await examine(table, TENANT, REGISTRY)).pending == 1


async def test_row_is_due_after_the_grace(table: MemoryTable, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    await delete_user(store, await new_user(store, "ada"))
    for age, finished in ((pending.GRACE - timedelta(seconds=5), 0), (pending.GRACE + timedelta(seconds=5), 1)):
        monkeypatch.setattr(pending, "datetime", ahead(age))
        monkeypatch.setattr(tenants, "datetime", ahead(age))
        assert await store.housekeeping.run() == finished
    await clean(table)


async def test_change_is_taken_over_when_its_owner_has_made_no_step_for_long(
    table: MemoryTable, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))
    for age, finished in ((sequences.STALLED - 5, 0), (sequences.STALLED + 5, 1)):
        monkeypatch.setattr(sequences, "datetime", ahead(timedelta(seconds=age)))
        assert await store.housekeeping.run() == finished
    monkeypatch.undo()
    await store.housekeeping.run(everything=True)
    await clean(table)
    assert await held(store, group) == ids(0, 200)


def ahead(by: timedelta) -> type[datetime]:
    """A clock that is ahead."""

    class Ahead(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> Any:
            return datetime.now(tz) + by

    return Ahead


def test_grace_is_longer_than_any_request_lives() -> None:
    timeout = json.loads((Path(__file__).parents[2] / "host.json").read_text())["functionTimeout"]
    hours, minutes, seconds = map(int, timeout.split(":"))
    assert pending.GRACE >= 2 * timedelta(hours=hours, minutes=minutes, seconds=seconds)


def touched(table: MemoryTable, tenant: str, age: timedelta) -> None:
    """Announce a tenant in the past."""
    then = (datetime.now(UTC) - age).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    table.load(SHARED, {shared_keys.tenant_key(tenant): {"tenant": tenant, "touched": then}})


AGES = {
    "just announced, nothing pending": (timedelta(0), False, True),
    "within the hour, nothing pending": (timedelta(minutes=59), False, True),
    "long ago, nothing pending": (timedelta(minutes=61), False, False),
    "just announced, pending": (timedelta(0), True, True),
    "long ago, pending": (timedelta(minutes=61), True, True),
    "very long ago, pending": (timedelta(days=400), True, True),
}


@pytest.mark.parametrize(("age", "is_pending", "kept"), cases(AGES))
@pytest.mark.parametrize("empty_pages", [False, True])
async def test_forgets_tenants(age: timedelta, is_pending: bool, kept: bool, empty_pages: bool) -> None:
    table = MemoryTable(empty_pages=empty_pages)
    if is_pending:
        note = Pending.make_note({"kind": "detach", "id": "u-x", "members": False})
        await table.commit(TENANT, [note])
    touched(table, TENANT, age)
    touched(table, "another", timedelta(0))
    store = Store(table)
    await store.housekeeping.run()
    announced = {row.values["tenant"] for row in table.rows(SHARED) if row.key.startswith("t ")}
    assert announced == {"another"} | ({TENANT} if kept else set())


async def test_tenant_is_forgotten_only_after_its_rows_are_done(table: MemoryTable) -> None:
    await table.commit(TENANT, [Pending.make_note({"kind": "detach", "id": "u-x", "members": False})])
    touched(table, TENANT, timedelta(hours=2))
    store = Store(table)
    for expected in ([1, 1], [0, 0]):
        await store.housekeeping.run(everything=True)
        announced = [row for row in table.rows(SHARED) if row.key.startswith("t ")]
        assert [len(announced), expected[0]] == [expected[1], expected[0]]
    await clean(table)


async def test_tenant_announced_while_it_is_forgotten_stays(table: MemoryTable) -> None:
    touched(table, TENANT, timedelta(hours=2))
    housekeeper = await interfering(table, 1, lambda other: other.of(TENANT).pending.announce())
    await housekeeper.housekeeping.run()
    assert [row.key for row in table.rows(SHARED) if row.key.startswith("t ")] == [shared_keys.tenant_key(TENANT)]


async def test_process_announces_before_the_tenant_can_be_forgotten(
    table: MemoryTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a process leaves pending just before it announces again is found by housekeeping of any time after."""
    assert timedelta(seconds=tenants._ANNOUNCE_EVERY) + pending.GRACE < tenants._FORGET_AFTER
    store, clock = Store(table), [1000.0]
    monkeypatch.setattr(tenants, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    for later, announcements in ((0.0, 1), (tenants._ANNOUNCE_EVERY - 1, 1), (tenants._ANNOUNCE_EVERY + 1, 2)):
        clock[0] = 1000.0 + later
        await store.of(TENANT).pending.announce()
        assert table.trips.count("commit") == announcements


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(("error", "before"), cases(LOST))
async def test_announcement_that_is_lost_once_is_no_failure(
    table: MemoryTable, error: type[Exception], before: bool
) -> None:
    wire = Faulty(table)
    disturb(wire, raises(error, 1), before)
    await Store(wire).of(TENANT).pending.announce()
    assert len(table.rows(SHARED)) == 1


@pytest.mark.usefixtures("hasty")
async def test_announcement_that_failed_is_made_again(table: MemoryTable) -> None:
    wire = Faulty(table)
    wire.disturb(before=raises(TableUnavailable, 1, forever=True))
    store = Store(wire)
    with pytest.raises(TableUnavailable):
        await store.of(TENANT).pending.announce()
    wire.disturb()
    await store.of(TENANT).pending.announce()
    assert len(table.rows(SHARED)) == 1


# One bad job, and the others.


async def test_all_tenants_are_looked_at(table: MemoryTable) -> None:
    for tenant in ("a", "b", "c"):
        store = Store(table)
        stored = await create(store, tenant, GROUP_TYPE, {"displayName": "all"}, list(members(0, 200).values()))
        await store.of(tenant).resources.delete(GROUP_TYPE, stored)
    assert await Store(table).housekeeping.run(everything=True) == 3
    assert [table.rows_but_outbox(tenant) for tenant in ("a", "b", "c")] == [[], [], []]


async def test_change_that_is_refused_does_not_stop_the_others(table: MemoryTable, store: Store) -> None:
    """The first group changes in the moment in which housekeeping takes its change up."""
    groups = [await new_group(store, f"group {number}") for number in range(3)]
    for group in groups:
        await cut_short(table, group, Changes(members(0, 200)))

    async def touch_all(other: Store) -> None:
        await other.of(TENANT).members.change(groups[0], Changes(members(900, 901)))
        await other.of(TENANT).members.change(groups[1], Changes(members(900, 901)))
        await other.of(TENANT).members.change(groups[2], Changes(members(900, 901)))

    housekeeper = await interfering(table, 1, touch_all)
    await housekeeper.housekeeping.run(everything=True)
    await store.housekeeping.run(everything=True)
    await clean(table)


async def test_row_that_nobody_can_read_does_not_stop_the_others(
    table: MemoryTable, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """A newer version may have written it before it was rolled back: it waits, is named, and stops nobody."""
    poison = Pending.make_note({"kind": "invented later"})
    table.load("a", {poison.key: dict(poison.values)})
    table.load(TENANT, {f"p 2000 {poison.key}": dict(poison.values)})
    touched(table, "a", timedelta(0))
    group = await new_group(store, "all")
    await cut_short(table, group, Changes(members(0, 200)))
    with caplog.at_level(logging.WARNING):
        await store.housekeeping.run(everything=True)
    assert await held(store, group) == ids(0, 200)
    assert poison.key in caplog.text


# Time that runs out.


async def test_detach_that_ran_out_of_time_is_taken_up_again(
    table: MemoryTable, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await new_group(store, "all", members(0, 200).values())
    no_time(monkeypatch)
    await delete_group(store, group)
    await store.housekeeping.run(everything=True)
    assert (await examine(table, TENANT, REGISTRY)).pending == 1
    monkeypatch.undo()
    await store.housekeeping.run(everything=True)
    assert table.rows_but_outbox(TENANT) == []


async def test_refused_create_that_ran_out_of_time_is_cleaned_up_later(
    table: MemoryTable, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = await interfering(table, 3, lambda other: new_group(other, "all"))
    no_time(monkeypatch)
    with pytest.raises(Taken):
        await create_large_group(process, "")
    monkeypatch.undo()
    await store.housekeeping.run(everything=True)
    await clean(table)


def no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Members.detach stops before its first transaction, however long it is given."""
    detach = Members.detach

    async def at_once(self: Members, id: str, note: str, *, has_members: bool, seconds: float = 0) -> bool:
        return await detach(self, id, note, has_members=has_members, seconds=-1.0)

    monkeypatch.setattr(Members, "detach", at_once)
