"""The checker, which all other tests trust: every broken invariant is named, nothing else is, and what can be proven is
mended."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.credentials import new_key
from scim.app import Application
from scim.operate.check import examine, examine_shared, fix, fix_shared, list_problems
from scim.security.connections import Revoked
from scim.store import keys, properties, shared_keys
from scim.store.members import Changes, Member
from scim.store.pending import Pending
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import Row, Table, TableUnavailable, Write
from scim.store.table.azure import AzureTable
from scim.store.transactions import now
from tests.conftest import TABLE
from tests.core import GROUP_TYPE, REGISTRY, USER_TYPE, cases
from tests.operate.conftest import Operator
from tests.store.memory import Faulty, MemoryTable, create
from tests.support import Client

TENANT = "tenant"


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


async def new_group(store: Store, name: str = "all", held: Iterable[Member] = ()) -> str:
    return (await create(store, TENANT, GROUP_TYPE, {"displayName": name}, list(held))).id


# The checker: every broken invariant is named, and nothing else is.


async def tenant(table: MemoryTable) -> tuple[str, str]:
    """A user and a group that it is in, with rows of every kind."""
    store = Store(table)
    document = {"userName": "ada", "emails": [{"value": "a@x"}], "title": "😀" * 20_000}
    user = (await create(store, TENANT, USER_TYPE, document)).id
    group = await new_group(store, "all", [Member(user), Member("unknown")])
    await table.commit(TENANT, [Pending.make_note({"kind": "detach", "id": "u-x", "members": False})])
    table.load(SHARED, {shared_keys.tenant_key(TENANT): {"tenant": TENANT, "touched": now()}})
    return user, group


async def test_checker_finds_nothing_where_nothing_is_wrong(table: MemoryTable) -> None:
    await tenant(table)
    report = await examine(table, TENANT, REGISTRY)
    assert (report.problems, report.strangers) == ([], {})
    assert (report.rows, report.resources, report.memberships, report.pending) == (15, 2, 2, 1)


OTHER = "u-" + "a" * 24
"""An id in the shape of ours."""

REMOVED_ROWS = {
    "the user": ("r {user}", ["x u username ada: points to", "l u emails.value a@x {user}: points to", "looks like"]),
    "the group": (
        "r {group}",
        ["x g displayname all: points to", *["is a membership of {group}, which"] * 2, "o {group}: belongs to {group}"],
    ),
    "a unique row": ("x u username ada", ["x u username ada: is missing"]),
    "a lookup row": ("l u emails.value a@x {user}", ["l u emails.value a@x {user}: is missing"]),
    "the group's edge": ("m {group} {user}", ["g {user} {group}: has no twin"]),
    "the member's edge": ("g {user} {group}", ["m {group} {user}: has no twin"]),
}


@pytest.mark.parametrize(("key", "named"), cases(REMOVED_ROWS))
async def test_checker_misses_a_row(table: MemoryTable, key: str, named: list[str]) -> None:
    user, group = await tenant(table)
    await table.commit(TENANT, [Write("delete", key.format(user=user, group=group))])
    await names(table, [text.format(user=user, group=group) for text in named])


ADDED_ROWS: dict[str, tuple[str, dict[str, Any], list[str]]] = {
    "unique row of nobody": ("x u username bob", {"id": OTHER}, ["x u username bob: points to " + OTHER]),
    "unique row of somebody without the value": ("x u username bob", {"id": "{user}"}, ["does not have the value"]),
    "unique row of another": ("x u username ada", {"id": "{group}"}, ["points to {group}, but {user} has"]),
    "lookup row of nobody": ("l u emails.value b@x z", {"id": OTHER}, ["which does not exist"]),
    "lookup row of another": ("l u emails.value b@x {user}", {"id": "{user}"}, ["does not have the value"]),
    "lookup row that points elsewhere": ("l u emails.value a@x {user}", {"id": "{group}"}, ["but {user} has"]),
    "index row without an id": ("x u username bob", {}, ["points to None"]),
    "edge alone": ("m {group} x", {"group": "{group}", "member": "x"}, ["m {group} x: has no twin g x {group}"]),
    "twin alone": ("g x {group}", {"group": "{group}", "member": "x"}, ["g x {group}: has no twin m {group} x"]),
    "edge at another's key": ("m {group} x", {"group": "{group}", "member": "unknown"}, ["which belong at"]),
    "edge without a member": ("m {group} x", {"group": "{group}"}, ["lacks group or member"]),
    "unknown kind": ("% 1", {}, ["% 1: is a row of no known kind"]),
    "kind alone": ("r", {}, ["r: is a row of no known kind"]),
    "empty key": ("", {}, [": is a row of no known kind"]),
    "pending row of no kind": (
        "p 20991231T000000 a",
        {"doc0": '{"kind":"x","id":"u-x"}'},
        ["housekeeping cannot read"],
    ),
    "pending row without a time": (
        "p soon",
        {"doc0": '{"kind":"detach","id":"u-x"}'},
        ["housekeeping cannot read"],
    ),
    "pending row that is cut off": ("p 20991231T000000 a", {"doc0": '{"kind":"deta'}, ["housekeeping cannot read"]),
}


@pytest.mark.parametrize(("key", "values", "named"), cases(ADDED_ROWS))
async def test_checker_finds_a_row_too_many(
    table: MemoryTable, key: str, values: dict[str, str], named: list[str]
) -> None:
    user, group = await tenant(table)
    filled = {
        name: value if "{k" in value or '{"' in value else value.format(user=user, group=group)
        for name, value in values.items()
    }
    await table.commit(TENANT, [Write("upsert", key.format(user=user, group=group), filled)])
    await names(table, [text.format(user=user, group=group) for text in named])


RESOURCE_ROWS: dict[str, tuple[dict[str, str | None], list[str]]] = {
    "another id": ({"id": OTHER}, ["holds id " + OTHER]),
    "no write id": ({"write": None}, ["lacks write"]),
    "document cut off": ({"doc1": None}, ["its document is not whole"]),
    "document with a part too many": ({"doc9": "x"}, ["is not split as it should be"]),
    "document in parts too small": (
        {"doc0": '{"userName":', "doc1": '"ada","emails":[{"value":"a@x"}]}'},
        ["is not split as it should be"],
    ),
    "document that is a list": ({"doc0": "[]", "doc1": None}, ["is not an object"]),
    "document without its mail": ({"doc0": '{"userName":"ada"}', "doc1": None}, ["whose document does not have"]),
    "document with a mail more": (
        {"doc0": '{"userName":"ada","emails":[{"value":"a@x"},{"value":"b@x"}]}', "doc1": None},
        ["l u emails.value b@x {user}: is missing"],
    ),
    "document with groups": (
        {"doc0": '{"userName":"ada","emails":[{"value":"a@x"}],"groups":[]}', "doc1": None},
        ["holds groups"],
    ),
}


@pytest.mark.parametrize(("changed", "named"), cases(RESOURCE_ROWS))
async def test_checker_looks_into_resources(
    table: MemoryTable, changed: dict[str, str | None], named: list[str]
) -> None:
    user, _ = await tenant(table)
    row = await table.read(TENANT, f"r {user}")
    assert row
    values = {name: value for name, value in {**row.values, **changed}.items() if value is not None}
    await table.commit(TENANT, [Write("replace", row.key, values)])
    found = await list_problems(table, TENANT, REGISTRY)
    missing = [text for text in named if not any(text.format(user=user) in line for line in found)]
    assert missing == [], found


async def test_checker_tells_two_with_one_unique_value(table: MemoryTable) -> None:
    await tenant(table)
    values = {"id": OTHER, "created": "", "modified": "", "write": "", "doc0": '{"userName":"ADA"}'}
    await table.commit(TENANT, [Write("insert", f"r {OTHER}", values)])
    assert any(
        "has the unique value of x u username ada" in line for line in await list_problems(table, TENANT, REGISTRY)
    )


async def test_checker_tells_members_that_are_gone(table: MemoryTable) -> None:
    """An id in the shape of ours: it was deleted and left an edge, or it never existed; only the caller can know."""
    store = Store(table)
    group = await new_group(store, "all", [Member(OTHER), Member("u-17"), Member("unknown")])
    report = await examine(table, TENANT, REGISTRY)
    assert (report.problems, report.strangers) == ([], {f"m {group} {OTHER}": OTHER})
    assert len(await list_problems(table, TENANT, REGISTRY)) == 1
    assert await list_problems(table, TENANT, REGISTRY, invented={OTHER}) == []


async def test_checker_waits_for_what_is_pending(table: MemoryTable) -> None:
    """Edges that a pending row will remove are no problem yet."""
    table.load(SHARED, {shared_keys.tenant_key(TENANT): {"tenant": TENANT, "touched": now()}})
    values = {"group": "g-" + "b" * 24, "member": OTHER}
    edges = [keys.member_key(*values.values()), keys.member_of_key(OTHER, values["group"])]
    note = Pending.make_note({"kind": "detach", "id": values["group"], "members": True})
    await table.commit(TENANT, [note, *(Write("insert", key, values) for key in edges)])
    assert await list_problems(table, TENANT, REGISTRY) == []
    await table.commit(TENANT, [Write("delete", note.key)])
    assert len(await list_problems(table, TENANT, REGISTRY)) == 2


async def test_checker_tells_a_tenant_that_housekeeping_does_not_know(table: MemoryTable) -> None:
    await tenant(table)
    table.load(SHARED, {})
    await table.commit(SHARED, [Write("delete", shared_keys.tenant_key(TENANT))])
    await names(table, ["is pending in a tenant that housekeeping does not know of"])


async def names(table: MemoryTable, expected: list[str]) -> None:
    """The checker gives one line for each of these, and no other."""
    found = await list_problems(table, TENANT, REGISTRY)
    assert all("\n" not in line for line in found)
    missing = [text for text in expected if not any(text in line for line in found)]
    assert (missing, len(found)) == ([], len(expected)), found


# What each row must be. The user is {user}, the group {group}, another user {other}.


async def whole(table: Table) -> dict[str, str]:
    """A sound tenant as this release leaves it: a user, another one, and a group of both with its gate."""
    store = Store(table, REGISTRY)
    document = {"userName": "ada", "externalId": "1", "emails": [{"value": "a@x"}]}
    user = (await create(store, TENANT, USER_TYPE, document)).id
    other = (await create(store, TENANT, USER_TYPE, {"userName": "bob"})).id
    group = await new_group(store, "all", [Member(user), Member(other)])
    for id in (user, other, group):
        await table.commit(TENANT, [Write("merge", f"r {id}", {"v": 1})])
    await table.commit(TENANT, [Write("upsert", f"o {group}")])
    return {"user": user, "other": other, "group": group}


Change = tuple[str, str, dict[str, Any]]
"""What is done to a row: `set` merges properties (None removes one), `put` makes the row, `delete` removes it."""

OLD = "2020-01-01T00:00:00Z"
BROKEN: dict[str, tuple[list[Change], list[str], list[str]]] = {
    # By name: the changes, the lines, and those that are left after the repair.
    "keys that lack the unique row": (
        [("set", "r {user}", {"keys": "l u emails.value a@x {user}\nl u externalid 1 {user}"})],
        ["r {user}: its keys lack x u username ada"],
        [],
    ),
    "keys that lack a lookup row": (
        [("set", "r {user}", {"keys": "x u username ada\nl u externalid 1 {user}"})],
        ["r {user}: its keys lack l u emails.value a@x {user}"],
        [],
    ),
    "keys that name another's row": (
        [("set", "r {other}", {"keys": "x u username bob\nx u username ada"})],
        ["r {other}: its keys name x u username ada, which belongs to {user}"],
        [],
    ),
    "keys that name no row": (
        [("set", "r {other}", {"keys": "x u username bob\nx u username rob\nx z none 1"})],
        ["its keys name x u username rob, which does not exist", "its keys name x z none 1, which does not exist"],
        [],
    ),
    "keys that are a number": ([("set", "r {other}", {"keys": 5})], ["keys are no text", "its keys lack"], []),
    "unique row gone": ([("delete", "x u username ada", {})], ["x u username ada: is missing"], []),
    "lookup row gone": ([("delete", "l u externalid 1 {user}", {})], ["l u externalid 1 {user}: is missing"], []),
    "unique row of nobody": ([("put", "x u username eve", {"id": OTHER})], ["points to " + OTHER], []),
    "unique row of somebody without the value": (
        [("put", "x u username eve", {"id": "{user}"})],
        ["x u username eve: points to {user}, whose document does not have the value"],
        [],
    ),
    "value that went from the document alone": (
        [("set", "r {user}", {"doc0": '{"userName":"ada","externalId":"1"}'})],
        ["l u emails.value a@x {user}: points to {user}, whose document does not have the value"],
        [],
    ),
    "unique row of nobody, with the user's value": (
        [("put", "x u username ada", {"id": OTHER})],
        [f"x u username ada: points to {OTHER}, but {{user}} has the value"],
        [],
    ),
    "one unique value twice": (
        [("set", "r {other}", {"doc0": '{"userName":"ada"}', "keys": ""}), ("delete", "x u username bob", {})],
        ["r {other}: has the unique value of x u username ada, as {user} has"],
        ["r {other}: has the unique value of x u username ada, as {user} has"],
    ),
    "edge alone": ([("delete", "g {user} {group}", {})], ["m {group} {user}: has no twin"], []),
    "twin alone": ([("delete", "m {group} {user}", {})], ["g {user} {group}: has no twin"], []),
    "edge alone of a user who is gone": (
        [("put", f"m {{group}} {OTHER}", {"group": "{group}", "member": OTHER})],
        ["has no twin"],
        [],
    ),
    "memberships of a group that is gone": (
        [
            ("put", "m g-x {user}", {"group": "g-x", "member": "{user}"}),
            ("put", "g {user} g-x", {"group": "g-x", "member": "{user}"}),
        ],
        ["m g-x {user}: is a membership of g-x, which does not exist"],
        [],
    ),
    "display that is a number": (
        [("set", "m {group} {user}", {"display": 5})],
        ["m {group} {user}: its display is no text"],
        ["m {group} {user}: its display is no text"],
    ),
    "times that are none": (
        [("set", "r {user}", {"created": "garbage", "modified": "1999"})],
        ["its created is no time: 'garbage'", "its modified is no time: '1999'"],
        ["its created is no time", "its modified is no time"],
    ),
    "modified before it was created": (
        [("set", "r {user}", {"modified": OLD})],
        [f"was modified ({OLD}) before it was created"],
        [f"was modified ({OLD}) before it was created"],
    ),
    "mails that are a text": (
        [("set", "r {user}", {"doc0": '{"userName":"ada","externalId":"1","emails":"text"}'})],
        ["r {user}: its document is not in canonical form: emails"],
        ["r {user}: its document is not in canonical form: emails"],
    ),
    "active that is neither true nor false": (
        [("set", "r {other}", {"doc0": '{"userName":"bob","active":"maybe"}'})],
        ["its document is not what its schema allows: active"],
        ["its document is not what its schema allows: active"],
    ),
    "no userName": (
        [("set", "r {other}", {"doc0": '{"title":"x"}'})],
        ["its document is not what its schema allows", "x u username bob: points to"],
        ["its document is not what its schema allows"],
    ),
    "names in another case, and what is empty": (
        [("set", "r {other}", {"doc0": '{"userName":"bob","TITLE":"x","emails":[]}'})],
        ["its document is not in canonical form"],
        ["its document is not in canonical form"],
    ),
    "version that is none": ([("set", "r {other}", {"v": "1"})], ["its version is '1'"], ["its version is '1'"]),
    "group being changed by nobody": (
        [("set", "r {group}", {"changing": True})],
        ["r {group}: is being changed, but no row says by whom"],
        [],
    ),
    "group without a gate": ([("delete", "o {group}", {})], ["r {group}: has neither a gate nor a change"], []),
    "group being changed by nobody, without a gate": (
        [("delete", "o {group}", {}), ("set", "r {group}", {"changing": True})],
        ["r {group}: has neither a gate nor a change"],
        [],
    ),
    "gate that stands open beside a change": (
        [("put", "c {group}", {"beat": now(), "owner": "a", "write": "a", "doc0": '{{"group":"{group}"}}'})],
        ["o {group}: stands open while c {group} is under way"],
        [],
    ),
    "gate of nobody": ([("put", "o g-x", {})], ["o g-x: belongs to g-x, which does not exist"], []),
    "gate of a user": (
        [("put", "o {user}", {})],
        ["o {user}: belongs to {user}, which cannot have members"],
        ["o {user}: belongs to {user}, which cannot have members"],
    ),
    "change of a group that is gone": (
        [("put", "c g-x", {"beat": now(), "owner": "a", "write": "a", "doc0": '{"group":"g-x"}'})],
        ["c g-x: belongs to g-x, which does not exist"],
        [],
    ),
    "change without a beat": (
        [("delete", "o {group}", {}), ("put", "c {group}", {"owner": "a", "write": "a"})],
        ["c {group}: is a change whose beat is no time"],
        ["c {group}: is a change whose beat is no time"],
    ),
    "change without an owner": (
        [("delete", "o {group}", {}), ("put", "c {group}", {"beat": now(), "write": "a"})],
        ["c {group}: is a change of nobody"],
        ["c {group}: is a change of nobody"],
    ),
    "change that does not say what is left": (
        [("delete", "o {group}", {}), ("put", "c {group}", {"beat": OLD, "owner": "a", "write": "a", "doc0": "[]"})],
        ["c {group}: is a change that nobody can finish"],
        ["c {group}: is a change that nobody can finish"],
    ),
    "receipt without a time": ([("put", "w soon", {})], ["w soon: is a receipt without a time"], []),
    "bookmark without a place": ([("put", "b q 1", {"type": "User", "at": now()})], ["bookmark without a place"], []),
    "bookmark with a text as total": (
        [("put", "b q 1", {"type": "User", "next": "u", "at": now(), "total": "zzz", "query": "q", "start": 1})],
        ["b q 1: is a bookmark whose total is no count: 'zzz'"],
        [],
    ),
    "bookmark of no page": (
        [("put", "b q 1", {"type": "User", "next": "u", "at": now(), "total": 1, "query": "q"})],
        ["b q 1: is a bookmark of no page"],
        [],
    ),
    "bookmark whose time is none": (
        [("put", "b q 1", {"type": "User", "next": "u", "at": "then", "total": 1, "query": "q", "start": 1})],
        ["b q 1: is a bookmark whose time is none: 'then'"],
        [],
    ),
    "bookmark that is old": (
        [("put", "b q 1", {"type": "User", "next": "u", "at": OLD, "total": 1, "query": "q", "start": 1})],
        ["b q 1: is an old bookmark that housekeeping should have removed"],
        [],
    ),
    "pending row that is overdue": (
        [("put", "p 20200101T000000 00", {"doc0": '{"kind":"detach","id":"u-x","members":false}'})],
        ["p 20200101T000000 00: is pending and was due at 2020-01-01 00:00"],
        [],
    ),
    "census that cannot be read": (
        [("put", "i abc", {"at": now()}), ("put", "i done x", {"at": "then", "index": "x"})],
        ["i abc: is a row of the census that cannot", "i done x: is a row"],
        ["i abc: is a row of the census that cannot", "i done x: is a row"],
    ),
}


async def apply(table: Table, changes: list[Change], ids: dict[str, str]) -> None:
    for kind, key, values in changes:
        key = key.format(**ids)
        filled = {n: v.format(**ids) if isinstance(v, str) and not v.startswith('{"') else v for n, v in values.items()}
        row = await table.read(TENANT, key)
        if kind == "set":
            assert row is not None
            merged = {name: value for name, value in {**row.values, **filled}.items() if value is not None}
            await table.commit(TENANT, [Write("replace", key, merged)])
        else:
            await table.commit(TENANT, [Write("delete", key) if kind == "delete" else Write("upsert", key, filled)])


@pytest.fixture(params=["memory", "azurite"])
async def either(request: pytest.FixtureRequest) -> Any:
    """The in-memory table, and a tenant of nobody in Azurite."""
    if request.param == "memory":
        yield MemoryTable()
        return
    table = AzureTable.with_key(request.getfixturevalue("azurite").connection_string, TABLE)
    for partition, key_range in ((TENANT, ("", "\uffff")), (SHARED, shared_keys.tenants_range())):
        for row in [row async for page in table.pages(partition, *key_range) for row in page]:
            await table.commit(partition, [Write("delete", row.key)])
    yield table
    await table.close()


def agrees(found: list[str], expected: list[str], ids: dict[str, str]) -> None:
    """There is a line for each that is expected, and no other."""
    texts = [text.format(**ids) for text in expected]
    missing = [text for text in texts if not any(text in line for line in found)]
    assert (missing, len(found)) == ([], len(expected)), found


@pytest.mark.parametrize(("changes", "named", "left"), cases(BROKEN))
async def test_broken_rows_are_named_and_mended(
    either: Table, changes: list[Change], named: list[str], left: list[str]
) -> None:
    ids, store = await whole(either), Store(either, REGISTRY)
    await store.of(TENANT).pending.announce()
    assert await list_problems(either, TENANT, REGISTRY) == []
    await apply(either, changes, ids)
    agrees(await list_problems(either, TENANT, REGISTRY), named, ids)
    fixed = await fix(store, TENANT, REGISTRY)
    agrees(fixed.report.problems, left, ids)
    assert bool(fixed.done) == (len(left) < len(named))
    again = await fix(store, TENANT, REGISTRY)
    assert (again.done, again.report.problems) == ([], fixed.report.problems)


async def test_a_change_that_nobody_goes_on_with_is_finished(either: Table) -> None:
    """Its process died, and housekeeping does not run."""
    ids, faulty = await whole(either), Faulty(either)

    async def die(number: int, writes: Sequence[Write]) -> None:
        if number > 3:
            raise TableUnavailable("dead")

    faulty.disturb(before=die)
    added = {f"m {number}": Member(f"m {number}") for number in range(130)}
    with pytest.raises(TableUnavailable):
        await Store(faulty, REGISTRY).of(TENANT).members.change(ids["group"], Changes(added))
    assert await list_problems(either, TENANT, REGISTRY) == []
    await either.commit(TENANT, [Write("merge", f"c {ids['group']}", {"beat": OLD})])
    agrees(await list_problems(either, TENANT, REGISTRY), ["c {group}: is a change that was cut short"], ids)
    fixed = await fix(Store(either, REGISTRY), TENANT, REGISTRY)
    assert (fixed.done, fixed.report.problems) == ([f"c {ids['group']}: finished"], [])
    assert fixed.report.memberships == 132


async def test_old_receipts_are_a_note(table: MemoryTable) -> None:
    """Housekeeping is told of the tenant only when there are some, so a few may stay."""
    await whole(table)
    await table.commit(TENANT, [Write("insert", key) for key in ("w 20200101T0000 a", "w 20200101T0001 b")])
    report = await examine(table, TENANT, REGISTRY)
    note = "2 rows are old receipts, which housekeeping removes once there are more"
    assert (report.problems, report.notes) == ([], [note])
    fixed = await fix(Store(table, REGISTRY), TENANT, REGISTRY)
    assert (fixed.done, fixed.report.notes) == (["2 old bookmarks and receipts: removed"], [])


async def test_what_is_mended_behaves(table: MemoryTable) -> None:
    """A rename leaves no old name behind, a deletion takes nobody else's row, and a group has its members again."""
    ids, store = await whole(table), Store(table, REGISTRY)
    for name in (
        "keys that lack the unique row",
        "keys that name another's row",
        "edge alone",
        "unique row of nobody",
    ):
        await apply(table, BROKEN[name][0], ids)
    await fix(store, TENANT, REGISTRY)
    ada, bob = [await store.of(TENANT).resources.read(ids[name]) for name in ("user", "other")]
    assert ada is not None and bob is not None
    index = USER_TYPE.indexes["username"]
    await store.of(TENANT).resources.update(USER_TYPE, ada, {**ada.document, "userName": "ida"})
    await store.of(TENANT).resources.delete(USER_TYPE, bob)
    assert await store.of(TENANT).resources.find_unique_id(USER_TYPE, index, "ada") is None
    assert await store.of(TENANT).resources.find_unique_id(USER_TYPE, index, "ida") == ids["user"]
    assert [group async for _, group in store.of(TENANT).members.read_groups(ids["user"])] == [ids["group"]]
    await store.housekeeping.run(everything=True)
    assert await list_problems(table, TENANT, REGISTRY) == []


async def test_a_repair_shows_no_change_of_the_document(table: MemoryTable) -> None:
    """lastModified is the document's, also where the row's own time tells it."""
    ids, store = await whole(table), Store(table, REGISTRY)
    await table.commit(TENANT, [Write("merge", f"r {ids['user']}", {"modified": "", "created": OLD})])
    before = await table.read(TENANT, f"r {ids['user']}")
    await apply(table, [("delete", "x u username ada", {})], ids)
    await fix(store, TENANT, REGISTRY)
    after = await table.read(TENANT, f"r {ids['user']}")
    assert before and after and before.etag != after.etag
    assert after.values["modified"] == properties.parse_written_time(before.etag)  # the time in the ETag of before


async def test_rows_of_a_newer_version_are_left_alone(table: MemoryTable) -> None:
    """What they hold, what their keys name and who is in them may follow other rules."""
    ids, store = await whole(table), Store(table, REGISTRY)
    for id in ids.values():
        await table.commit(TENANT, [Write("merge", f"r {id}", {"v": 2, "doc0": "~", "keys": "?", "created": "?"})])
    await table.commit(TENANT, [Write("delete", f"o {ids['group']}")])
    await table.commit(TENANT, [Write("upsert", "p later", {"v": 7}), Write("upsert", "b x", {"v": 2})])
    before = table.rows(TENANT)
    fixed = await fix(store, TENANT, REGISTRY)
    assert (fixed.done, fixed.report.problems, fixed.report.strangers) == ([], [], {})
    assert sorted(fixed.report.notes) == [
        "1 rows are of version 7, which is newer than this program, and were left alone",
        "4 rows are of version 2, which is newer than this program, and were left alone",
    ]
    assert table.rows(TENANT) == before


async def test_resources_of_a_type_that_is_declared_elsewhere_are_noted(table: MemoryTable) -> None:
    await whole(table)
    values = {"id": "d-1", "created": OLD, "modified": OLD, "write": "1", "doc0": "{}", "keys": "x d serial 1"}
    await table.commit(TENANT, [Write("insert", "r d-1", values), Write("insert", "x d serial 1", {"id": "d-1"})])
    report = await examine(table, TENANT, REGISTRY)
    assert report.problems == []
    assert report.notes == ["1 rows have ids that begin with d-, which is no resource type here"]


async def test_a_check_beside_live_traffic_names_nothing(table: MemoryTable) -> None:
    """Rows that come and go while others are read are looked at again before they are called broken."""
    ids, store = await whole(table), Store(table, REGISTRY)
    seen = table.rows(TENANT)
    group = await new_group(store, "new", [Member(ids["user"])])
    user = await store.of(TENANT).resources.read(ids["user"])
    assert user
    await store.of(TENANT).resources.update(USER_TYPE, user, {"userName": "ida", "emails": [{"value": "i@x"}]})
    await store.of(TENANT).members.change(ids["group"], Changes(remove={ids["user"]}))
    await table.commit(TENANT, [Write("merge", f"r {group}", {"v": 1}), Write("upsert", f"o {group}")])
    for cut in range(len(seen) + 1):
        mixed = Mixed(table, seen, cut)
        assert await list_problems(mixed, TENANT, REGISTRY) == [], cut


class Mixed:
    """The first `cut` rows as they were, those behind them as they are: what a read of many pages may see."""

    def __init__(self, table: MemoryTable, seen: list[Row], cut: int) -> None:
        self._table, self._seen, self._cut = table, seen, cut
        self.read, self.commit, self.close = table.read, table.commit, table.close

    async def pages(self, partition: str, start: str, end: str, *, size: int = 1000, keys_only: bool = False) -> Any:
        if (start, end) != ("", "\uffff"):
            async for page in self._table.pages(partition, start, end, size=size, keys_only=keys_only):
                yield page
            return
        first = self._seen[: self._cut]
        yield [*first, *(row for row in self._table.rows(partition) if not first or row.key > first[-1].key)]


async def test_a_resource_that_changes_during_the_second_look_is_looked_at_again(table: MemoryTable) -> None:
    """Its row, read before a rename, and its index rows, read behind it, do not agree, and nothing is broken."""
    ids, store = await whole(table), Store(table, REGISTRY)
    seen = [row for row in table.rows(TENANT) if not row.key.startswith("l u externalid")]  # so that it is suspect
    mixed, read = Mixed(table, seen, len(seen)), table.read

    async def renamed(partition: str, key: str) -> Row | None:
        if key == "x u username ada" and (user := await store.of(TENANT).resources.read(ids["user"])):
            if user.document["userName"] == "ada":
                await store.of(TENANT).resources.update(USER_TYPE, user, {**user.document, "userName": "ida"})
        return await read(partition, key)

    mixed.read = renamed
    assert await list_problems(mixed, TENANT, REGISTRY) == []
    assert (
        await store.of(TENANT).resources.find_unique_id(USER_TYPE, USER_TYPE.indexes["username"], "ida") == ids["user"]
    )


# The partition that is nobody's.

STRAY: dict[str, tuple[str, dict[str, Any], str]] = {
    "tenant without a name": ("t a", {"touched": OLD}, "is the row of another tenant: None"),
    "tenant at another's key": ("t a", {"tenant": "b", "touched": OLD}, "is the row of another tenant: 'b'"),
    "tenant without a time": ("t a", {"tenant": "a"}, "does not say when"),
    "tenant whose time is none": ("t a", {"tenant": "a", "touched": "then"}, "does not say when"),
    "use without its credential": ("u a b", {"first": OLD, "last": OLD}, "lacks credential"),
    "use without its time": ("u a b", {"credential": "b", "first": OLD, "last": 5}, "first or last use is no time"),
    "mark of another credential": ("v a b", {"value": "sha256:c", "at": OLD}, "marks another credential"),
    "mark without its time": ("v a b", {"value": "sha256:b"}, "does not say when the credential was revoked"),
    "assertion without its end": ("j soon x", {}, "is the sight of an assertion without its end"),
    "assertion that ended": (f"j 20200101T000000 {'a' * 64}", {}, "ended long ago"),
    "key that is none": ("k cursors", {"key": "zz"}, "is a key for cursors that is none"),
    "unknown kind": ("z a", {}, "is a row of no known kind"),
}


@pytest.mark.parametrize(("key", "values", "named"), cases(STRAY))
async def test_the_shared_partition_is_looked_at(
    table: MemoryTable, key: str, values: dict[str, Any], named: str
) -> None:
    store = Store(table)
    await store.of(TENANT).pending.announce()
    await store.cursor_key.read()
    await store.credentials.take_assertion("c", "a", datetime.now(UTC) + timedelta(minutes=5))
    await store.credentials.mark_revoked("c", [Revoked(value=new_key("c"), at=datetime.now(UTC))])
    table.load(SHARED, {"u c d": {"credential": "d", "first": OLD, "last": OLD, "warned": ""}, "k housekeeping": {}})
    assert await examine_shared(table) == []
    table.load(SHARED, {key: values})
    (finding,) = await examine_shared(table)
    assert finding.line.startswith(f"~ {key}: ") and named in finding.line
    assert len(await fix_shared(table)) == (1 if "ended" in named else 0)


async def test_a_tenants_own_row_there_belongs_to_its_check(table: MemoryTable) -> None:
    await whole(table)
    table.load(SHARED, {shared_keys.tenant_key(TENANT): {"tenant": TENANT}})
    assert await list_problems(table, TENANT, REGISTRY) == [
        "~ t tenant: does not say when the tenant was last written to"
    ]


async def test_a_tenant_with_pending_rows_is_announced(table: MemoryTable) -> None:
    await whole(table)
    await table.commit(TENANT, [Pending.make_note({"kind": "detach", "id": "u-x", "members": False})])
    assert len(await list_problems(table, TENANT, REGISTRY)) == 1
    fixed = await fix(Store(table, REGISTRY), TENANT, REGISTRY)
    assert (fixed.done, fixed.report.problems) == ([f"{TENANT}: announced to housekeeping"], [])


# Sizes.


async def test_a_large_tenant_costs_its_pages_and_keeps_no_documents(table: MemoryTable) -> None:
    users = {}
    for number in range(5_000):
        id = f"u-{number:024}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
        users[id] = f"{number}"
    document = json.dumps({"userName": "NAME", "title": "x" * 200}, separators=(",", ":"))
    entries: dict[str, dict[str, Any]] = {}
    for id, name in users.items():
        values = {"id": id, "created": OLD, "modified": "", "write": "w", "keys": f"x u username {name}", "v": 1}
        entries[f"r {id}"] = {**values, "doc0": document.replace("NAME", name)}
        entries[f"x u username {name}"] = {"id": id}
    table.load(TENANT, dict(sorted(entries.items())))
    report = await examine(table, TENANT, REGISTRY)
    assert (report.rows, report.resources, report.problems) == (10_000, 5_000, [])
    assert table.trips == ["page"] * 10 + ["read"]


# The verb.


async def test_verb_checks_and_mends(operator: Operator, client: Client, application: Application) -> None:
    user = await client.new_user("ada")
    group = (await client.post("/Groups", {"displayName": "all", "members": [{"value": OTHER}]})).json
    summary = "11 rows, 2 resources, 1 memberships, 0 pending"
    printed = await operator.run("tenants", "check", client.tenant)
    assert printed.splitlines() == [
        f"note: m {group['id']} {OTHER}: its member {OTHER} looks like a resource and is none (deleted resources must"
        " leave no membership; an id that never existed may stay)",
        f"{summary.replace('11', '12')}: 0 problems.",
    ]
    await application.table.commit(client.tenant, [Write("delete", "x u username ada")])
    broken = f"x u username ada: is missing, but the document of {user['id']} has the value"
    code, printed, errors = await operator.command("tenants", "check", client.tenant)
    assert (code, errors) == (1, "")
    assert (printed.splitlines()[0], printed.splitlines()[-1]) == (broken, f"{summary}: 1 problems.")
    found = await operator.tool("tenants", "check", client.tenant, code=1)
    assert (found["problems"], "mended" in found) == ([broken], False)
    mended = await operator.tool("tenants", "check", client.tenant, "--fix")
    assert (mended["problems"], mended["mended"]) == ([], [f"{broken}: x u username ada added"])
    assert await found_by_name(client) == [user["id"]]
    assert "repairs" not in await operator.run("tenants", "check", client.tenant, "--fix")


async def found_by_name(client: Client) -> list[str]:
    return [each["id"] for each in (await client.get("/Users?filter=userName%20eq%20%22ada%22")).json["Resources"]]


async def test_verb_says_what_it_needs(operator: Operator) -> None:
    assert "There is no row of a tenant nobody" in await operator.refused("tenants", "check", "nobody")
    assert "is no tenant's name" in await operator.refused("tenants", "check", "~", code=2)
    (operator.folder / "local.settings.json").write_text("{}")
    assert "Where is the table?" in await operator.refused("tenants", "check", "a", code=2)
