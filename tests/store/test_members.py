"""Memberships: both edges always, trips by what changes and not by what the group holds, and within every limit."""

from __future__ import annotations

import asyncio
import json
import math
import random
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.operate.check import examine, list_problems
from scim.schema.validation import Document
from scim.store import properties
from scim.store.members import SINGLE, Changes, Member, find_changes
from scim.store.pending import Pending
from scim.store.resources import Stale
from scim.store.store import Store
from scim.store.table import Refused
from tests.core import GROUP_TYPE, REGISTRY, TEXTS, USER_TYPE, cases
from tests.store.memory import Door, MemoryTable, create
from tests.support import PATCH

TENANT = "tenant"


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def store(table: MemoryTable) -> Store:
    return Store(table)


def members(first: int, end: int) -> dict[str, Member]:
    """Members that are no resources: an id that is not ours is kept as it was sent."""
    return {f"member {n:05}": Member(f"member {n:05}", f"Member {n}") for n in range(first, end)}


async def new_group(store: Store, name: str = "all", held: Iterable[Member] = ()) -> str:
    return (await create(store, TENANT, GROUP_TYPE, {"displayName": name}, list(held))).id


async def new_user(store: Store, name: str = "ada") -> str:
    return (await create(store, TENANT, USER_TYPE, {"userName": name})).id


async def held(store: Store, group: str) -> dict[str, Member]:
    return {member.value: member async for _, member in store.of(TENANT).members.read_members(group)}


async def groups(store: Store, member: str) -> list[str]:
    return [group async for _, group in store.of(TENANT).members.read_groups(member)]


async def clean(table: MemoryTable, invented: Iterable[str] = ()) -> None:
    assert await list_problems(table, TENANT, REGISTRY, invented=set(invented)) == []
    assert (await examine(table, TENANT, REGISTRY)).pending == 0


# Changes as values.

A, B = Member("a"), Member("b", "B", "User")

DIFFERENCES: dict[str, tuple[list[Member], list[Member], Changes]] = {
    "nothing": ([], [], Changes()),
    "the same": ([A, B], [B, A], Changes()),
    "one more": ([A], [A, B], Changes({"b": B})),
    "one less": ([A, B], [A], Changes({}, {"b"})),
    "all": ([A, B], [], Changes({}, {"a", "b"})),
    "another display": ([Member("a", "old")], [Member("a", "new")], Changes({"a": Member("a", "new", "")})),
    "no display any more": ([Member("a", "old", "User")], [A], Changes({"a": Member("a", "", "")})),
    "one for another": ([A], [B], Changes({"b": B}, {"a"})),
}


@pytest.mark.parametrize(("present", "wanted", "changes"), cases(DIFFERENCES))
def test_difference(present: list[Member], wanted: list[Member], changes: Changes) -> None:
    assert find_changes(present, wanted) == changes
    assert len(changes) == len(changes.add) + len(changes.remove)


MEMBERS = st.builds(Member, TEXTS, TEXTS | st.none(), TEXTS | st.none())


@given(st.lists(MEMBERS, max_size=5), st.sets(TEXTS, max_size=5))
def test_pending_row_keeps_changes_whole(added: list[Member], removed: set[str]) -> None:
    changes = Changes({member.value: member for member in added}, removed)
    note = Pending.make_note({"kind": "change", **changes.to_content()})
    assert Changes.from_content(properties.join_document(dict(note.values))) == changes


# Both edges, whatever the member is called.

IDS = {
    "uuid": "2819c223-7f76-453a-919d-413861904646",
    "space": "a b",
    "only a space": " ",
    "slashes": "/a\\b#c?d",
    "control characters": "a\tb\nc\x7f\x85",
    "quotes": "'\"`",
    "separators": "!~%20.0",
    "emoji": "👩‍👩‍👧",
    "long": "x" * 5_000,
    "long and not ASCII": "😀" * 2_000,
    "looks like a user": "u-17",
    "looks like a group": "g-",
    "case": "ABC",
}


@pytest.mark.parametrize("id", cases(IDS))
async def test_member_of_any_id(table: MemoryTable, store: Store, id: str) -> None:
    others = {"abc": Member("abc"), id[:-1]: Member(id[:-1]), id + "x": Member(id + "x")}
    others.pop("", None)
    group = await new_group(store, "all", others.values())
    await store.of(TENANT).members.change(group, Changes({id: Member(id, "shown")}))
    assert await held(store, group) == {**others, id: Member(id, "shown")}
    assert await groups(store, id) == [group]
    assert await store.of(TENANT).members.holds(group, id)
    await clean(table)
    await store.of(TENANT).members.change(group, Changes({}, {id}))
    assert await held(store, group) == others
    assert await groups(store, id) == []
    assert not await store.of(TENANT).members.holds(group, id)
    await clean(table)


async def test_member_that_is_there_keeps_what_is_not_sent_anew(store: Store) -> None:
    group = await new_group(store, "all", [Member("a", "old", "User"), Member("b", "old")])
    await store.of(TENANT).members.change(group, Changes({"a": Member("a", "new"), "b": Member("b")}))
    assert await held(store, group) == {"a": Member("a", "new", "User"), "b": Member("b", "old")}


@pytest.mark.parametrize(("present", "wanted", "changes"), cases(DIFFERENCES))
async def test_difference_makes_the_members_the_wanted_ones(
    store: Store, present: list[Member], wanted: list[Member], changes: Changes
) -> None:
    group = await new_group(store, "all", present)
    await store.of(TENANT).members.change(group, changes)
    assert sorted((await held(store, group)).values(), key=str) == sorted(wanted, key=str)


@pytest.mark.parametrize("seed", range(5))
async def test_concurrent_changes_keep_both_edges(seed: int) -> None:
    """Clients add and remove the same ten members: each of them is in the group or not, never half."""
    dice = random.Random(seed)
    table = MemoryTable(dice=dice)
    store = Store(table)
    group = await new_group(store)

    async def change() -> None:
        some = dice.sample(sorted(members(0, 10)), 6)
        await store.of(TENANT).members.change(group, Changes({id: Member(id) for id in some[:3]}, set(some[3:])))

    for _ in range(5):
        await asyncio.gather(*(change() for _ in range(8)))
        await clean(table)


async def test_groups_in_groups(table: MemoryTable, store: Store) -> None:
    """In each other and in itself: edges know no hierarchy, and the service does not look for circles."""
    first, second = await new_group(store, "first"), await new_group(store, "second")
    await store.of(TENANT).members.change(first, Changes({first: Member(first), second: Member(second)}))
    await store.of(TENANT).members.change(second, Changes({first: Member(first)}))
    assert await groups(store, first) == sorted([first, second])
    await clean(table)
    for id in (first, second):
        stored = await store.of(TENANT).resources.read(id)
        assert stored
        await store.of(TENANT).resources.delete(GROUP_TYPE, stored)
        await store.housekeeping.run(everything=True)
        await clean(table)
    assert table.rows_but_outbox(TENANT) == []


async def test_ranges_of_neighbours(store: Store) -> None:
    """One read gives the edges of all resources from one id to another, and of no others."""
    ids = sorted([await new_group(store, f"group {n}", members(n, n + 3).values()) for n in range(5)])
    found = [pair async for pair in store.of(TENANT).members.read_members(ids[1], ids[3])]
    assert [group for group, _ in found] == [id for id in ids[1:4] for _ in range(3)]
    pairs = [pair async for pair in store.of(TENANT).members.read_groups("member 00001", "member 00002")]
    assert {member for member, _ in pairs} == {"member 00001", "member 00002"}
    assert len(pairs) == 5


async def test_tenants_do_not_share_memberships(table: MemoryTable, store: Store) -> None:
    group = await new_group(store, "all", [A])
    with pytest.raises(Refused) as refused:
        await store.of("other").members.change(group, Changes({}, {"a"}))
    assert refused.value.status == 404
    assert table.rows("other") == []
    assert not await store.of("other").members.holds(group, "a")
    assert await held(store, group) == {"a": A}


# What a change needs.


@pytest.mark.parametrize("number", [1, SINGLE + 1])
async def test_change_needs_the_group(table: MemoryTable, store: Store, number: int) -> None:
    for changes in (Changes(members(0, number)), Changes({}, set(members(0, number)))):
        with pytest.raises(Refused) as refused:
            await store.of(TENANT).members.change("g-missing", changes)
        assert refused.value.status == 404
    assert table.rows_but_outbox(TENANT) == []


@pytest.mark.parametrize("number", [1, SINGLE + 1])
async def test_update_with_members_needs_the_version(table: MemoryTable, store: Store, number: int) -> None:
    group = await new_group(store, "all", [A])
    old = await store.of(TENANT).resources.read(group)
    assert old
    await store.of(TENANT).members.change(group, Changes({"b": B}))
    document = {"displayName": "renamed"}
    with pytest.raises(Stale):
        await store.of(TENANT).resources.update(GROUP_TYPE, old, document, Changes(members(0, number)))
    assert await held(store, group) == {"a": A, "b": B}
    await clean(table)
    new = await store.of(TENANT).resources.read(group)
    assert new and new.document == old.document
    await store.of(TENANT).resources.update(GROUP_TYPE, new, document, Changes(members(0, number), {"a", "b"}))
    assert await held(store, group) == members(0, number)
    await clean(table)


async def test_change_changes_version_and_time_but_not_the_document(store: Store) -> None:
    created = await create(store, TENANT, GROUP_TYPE, {"displayName": "all", "externalId": "1"})
    await store.of(TENANT).members.change(created.id, Changes({"a": A}))
    read = await store.of(TENANT).resources.read(created.id)
    assert read
    assert (read.document, read.created) == (created.document, created.created)
    assert read.version != created.version and read.modified >= created.modified


# Trips.

NUMBERS = [1, 48, 49, 50, 94, 95, 142, 143, 490, 1000]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("kind", ["add", "add again", "remove"])
async def test_trips_of_a_change(table: MemoryTable, store: Store, number: int, kind: str) -> None:
    """One up to 48; more take 48 a trip, but 47 in the first and the last. Nothing is read; a process that has told
    housekeeping of the tenant does not do so again."""
    group = await new_group(store, "all", members(0, 0 if kind == "add" else number).values())
    await store.of(TENANT).pending.announce()
    table.reset()
    changes = Changes({}, set(members(0, number))) if kind == "remove" else Changes(members(0, number))
    await store.of(TENANT).members.change(group, changes)
    transactions = 1 if number <= 48 else 2 + math.ceil(max(0, number - 94) / 48)
    assert table.trips == ["commit"] * transactions
    assert await held(store, group) == ({} if kind == "remove" else members(0, number))
    await clean(table)


@pytest.mark.parametrize("absent", [1, 5, 48])
async def test_trips_of_removing_who_is_not_there(table: MemoryTable, store: Store, absent: int) -> None:
    """A refusal names one missing row at most: the receipt tells that it is not our own retry, the group's row and its
    gate that they are there, then both edges of all 48 are looked for, and what is there is sent again."""
    group = await new_group(store, "all", members(absent, 48).values())
    await store.of(TENANT).pending.announce()
    table.reset()
    version = await store.of(TENANT).members.change(group, Changes({}, set(members(0, 48))))
    assert table.trips == ["commit"] + ["read"] * 99 + ["commit"]
    assert await held(store, group) == {}
    stored = await store.of(TENANT).resources.read(group)
    assert stored and stored.version == version
    await clean(table)


async def test_announcement_is_one_trip_in_a_while(table: MemoryTable, store: Store) -> None:
    group = await new_group(store)
    for commits in (3, 2, 2):
        table.reset()
        await store.of(TENANT).members.change(group, Changes(members(0, 94)))
        assert table.trips == ["commit"] * commits


CREATED = {0: 1, 1: 1, 47: 1, 48: 2, 96: 2, 97: 3, 490: 11}
"""Transactions of a POST by its members; the row, its index, the gate, a receipt and one of the outbox leave room for
47."""


@pytest.mark.parametrize(("number", "transactions"), CREATED.items())
async def test_trips_of_a_create(table: MemoryTable, store: Store, number: int, transactions: int) -> None:
    await store.of(TENANT).pending.announce()
    table.reset()
    group = await new_group(store, "all", members(0, number).values())
    looked = ["read"] if transactions > 1 else []
    assert table.trips == looked + ["commit"] * transactions
    assert await held(store, group) == members(0, number)
    await clean(table)


@pytest.mark.parametrize(("number", "transactions"), [(0, 0), (1, 1), (33, 1), (34, 2), (100, 4)])
async def test_trips_of_deleting_a_user(table: MemoryTable, store: Store, number: int, transactions: int) -> None:
    """A transaction takes it out of 33 groups, each of which gets a new version."""
    user = await new_user(store)
    for n in range(number):
        await new_group(store, f"group {n}", [Member(user)])
    await store.of(TENANT).pending.announce()
    stored = await store.of(TENANT).resources.read(user)
    assert stored
    table.reset()
    await store.of(TENANT).resources.delete(USER_TYPE, stored)
    assert table.trips == ["commit", "page"] + ["commit"] * transactions
    assert await groups(store, user) == []
    await store.housekeeping.run(everything=True)
    await clean(table)


async def test_group_that_loses_a_deleted_user_has_a_new_version(store: Store) -> None:
    user = await new_user(store)
    group = await new_group(store, "all", [Member(user), A])
    before, stored = await store.of(TENANT).resources.read(group), await store.of(TENANT).resources.read(user)
    assert before and stored
    await store.of(TENANT).resources.delete(USER_TYPE, stored)
    after = await store.of(TENANT).resources.read(group)
    assert after and after.version != before.version and after.document == before.document


# Limits: whatever a client sends, storage is never asked for what it cannot hold.

WIDE = "中"
"""Three bytes in UTF-8, six in the JSON that goes over the wire."""

SENT: dict[str, list[Document]] = {
    "display at the limit": [{"value": "a", "display": "x" * 32_768}],
    "display above the limit": [{"value": "a", "display": "x" * 32_769}],
    "display of emoji above the limit": [{"value": "a", "display": "😀" * 16_385}],
    "display of 500,000 characters": [{"value": "a", "display": "x" * 500_000}],
    "type above the limit": [{"value": "a", "type": "x" * 32_769}],
    "value above the limit": [{"value": "x" * 32_769}],
    "value and display together above an entity": [{"value": "x" * 32_768, "display": WIDE * 32_768}],
    "49 long displays": [{"value": f"{n}", "display": WIDE * 32_768} for n in range(49)],
    "49 long values": [{"value": f"{n}" + WIDE * 16_000} for n in range(49)],
    "100 long displays": [{"value": f"{n}", "display": WIDE * 20_000} for n in range(100)],
    "long displays in a pending row": [{"value": f"{n:04}", "display": WIDE * 90} for n in range(4_000)],
    "more than a pending row holds": [{"value": f"member {n:030}"} for n in range(12_000)],
}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("sent", cases(SENT))
async def test_members_stay_within_the_limits(table: MemoryTable, sent: list[Document], method: str) -> None:
    """They are kept as sent, or refused with what to do about it; 500 would have the client try for ever."""
    client = Door(table).client
    group = (await client.post("/Groups", {"displayName": "all"})).json["id"]
    body: Document = {"displayName": "another", "members": sent}
    if method == "PATCH":
        body = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "members", "value": sent}]}
    path = "/Groups" if method == "POST" else f"/Groups/{group}"
    response = await client.request(method, path, content=json.dumps(body, ensure_ascii=False).encode())
    if response.status == 201:
        group = response.json["id"]
    assert response.status in (200, 201, 204, 400, 413), response.body[:300]
    found = (await client.get(f"/Groups/{group}")).json.get("members", [])
    wanted = sent if response.status < 300 else []
    assert sorted(_sent(member) for member in found) == sorted(map(_sent, wanted))
    await clean(table)


def _sent(member: Document) -> tuple[str, str, str]:
    return member["value"], member.get("display", ""), member.get("type", "")


ATTRIBUTES: dict[str, Document] = {
    "a document at the limit": {"title": "x" * 479_000},
    "a document above the limit": {"title": "x" * 481_000},
    "a document of emoji at the limit": {"title": "😀" * 239_000},
    "a document of emoji above the limit": {"title": "😀" * 241_000},
    "emoji where it is split": {"title": "x" + "😀" * 40_000},
    "a document that takes more on the wire": {"title": WIDE * 340_000},
    "quotes": {"title": '"\\' * 110_000},
    "control characters": {"title": "\x01\n" * 100_000},
    "43 long mails": {"emails": [{"value": f"{n}" + "😀" * 5_000} for n in range(43)]},
    "more mails than are kept": {"emails": [{"value": f"{n}@x"} for n in range(46)]},
    "long indexed values": {"externalId": "/" * 100_000, "displayName": WIDE * 100_000},
    "indexed values of forbidden characters": {"externalId": "/\\#?\t\x7f" * 20, "displayName": "'%25"},
    "an undeclared extension": {"urn:a/b#c?d:2.0:User": {"x/y": "z" * 40_000}},
}


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH"])
@pytest.mark.parametrize("attributes", cases(ATTRIBUTES))
async def test_documents_stay_within_the_limits(table: MemoryTable, attributes: Document, method: str) -> None:
    client = Door(table).client
    user = (await client.post("/Users", {"userName": "ada", "emails": [{"value": "old@x"}]})).json["id"]
    if method == "PATCH":
        response = await client.patch(f"/Users/{user}", {"op": "replace", "value": attributes})
    elif method == "PUT":
        response = await client.put(f"/Users/{user}", {"userName": "ada", **attributes})
    else:
        response = await client.post("/Users", {"userName": "another", **attributes})
        user = response.json.get("id") or user
    assert response.status in (200, 201, 400, 413), response.body[:300]
    found = (await client.get(f"/Users/{user}")).json
    if response.status < 300:
        assert {name: found[name] for name in attributes} == attributes
    await clean(table)


async def test_everything_at_its_largest_at_once(table: MemoryTable) -> None:
    """One transaction would hold a document and a pending row of their full sizes."""
    client = Door(table).client
    group = (await client.post("/Groups", {"displayName": "all"})).json["id"]
    sent = [{"value": f"{n:05}", "display": WIDE * 100} for n in range(3_500)]
    body = {"displayName": "all", "urn:example:2.0:Group": {"text": WIDE * 470_000}, "members": sent}
    response = await client.request("PUT", f"/Groups/{group}", content=json.dumps(body, ensure_ascii=False).encode())
    assert response.status in (200, 413), response.body[:300]
    await clean(table)
