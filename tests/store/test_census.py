"""The census: a process says which indexes it keeps, in a transaction that it makes anyway, and a search trusts an
index only where all who write keep it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote_plus

import pytest

from dev.azurite import Azurite
from scim.ids import new_id
from scim.operate.check import examine, list_problems
from scim.operate.reindex import reindex
from scim.schema.loading import load
from scim.store import keys
from scim.store.census import ALWAYS, SILENT, Census, TenantCensus, add_row, list_kept_indexes
from scim.store.members import Changes, Member
from scim.store.resource_rows import Creation
from scim.store.store import Store
from scim.store.table import Partition, Row, TableUnavailable, Write
from scim.store.table.azure import AzureTable
from tests.conftest import TABLE
from tests.core import GROUP_TYPE, REGISTRY, USER_TYPE, cases
from tests.store.memory import Door, Faulty, MemoryTable, create
from tests.store.versions import HR, Clock, Versions, by_code, found, make, person, write_schemas
from tests.support import PATCH

TENANT = "tenant"


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def said(table: MemoryTable) -> list[str]:
    """The keys of the census."""
    return [row.key for row in table.rows(TENANT) if row.key.startswith("i ")]


def test_our_own_schemas_have_the_indexes_that_every_version_keeps() -> None:
    """An index that a release adds to them is none of these: older versions do not keep it."""
    assert list_kept_indexes(load()) == ALWAYS


# What a process says.


async def test_a_process_says_it_once_in_five_minutes(table: MemoryTable, clock: Clock) -> None:
    store = Store(table, REGISTRY)
    writes: list[int] = []
    for number, minutes in enumerate((0, 2, 2.9, 0.2)):
        clock.move(minutes)
        before = table.rows(TENANT)
        await create(store, TENANT, USER_TYPE, {"userName": str(number)})
        now = {row.key: row.etag for row in table.rows(TENANT) if row.key.startswith("i ")}
        writes.append(len(now.items() - {(row.key, row.etag) for row in before}))
    assert writes == [1, 0, 0, 1]
    assert len(said(table)) == 1
    assert table.trips == ["commit"] * 4


async def test_it_counts_once_it_is_committed(table: MemoryTable) -> None:
    """A process whose transaction failed has said nothing, and says it in the next one."""
    faulty = Faulty(table)
    store = Store(faulty, REGISTRY)
    await create(Store(table, None), TENANT, USER_TYPE, {"userName": "ada"})

    async def away(number: int, writes: Sequence[Write]) -> None:
        raise TableUnavailable("away")

    faulty.disturb(before=away)
    with pytest.raises(TableUnavailable):
        await create(store, TENANT, USER_TYPE, {"userName": "bob"})
    faulty.disturb()
    with pytest.raises(Exception, match="is taken"):
        await create(store, TENANT, USER_TYPE, {"userName": "ada"})
    assert said(table) == []
    await create(store, TENANT, USER_TYPE, {"userName": "bob"})
    assert len(said(table)) == 1


async def test_each_tenant_hears_it(table: MemoryTable) -> None:
    store = Store(table, REGISTRY)
    for tenant in (TENANT, "another"):
        await create(store, tenant, USER_TYPE, {"userName": "ada"})
        assert [row.key for row in table.rows(tenant) if row.key.startswith("i ")] == said(table)


async def test_a_change_says_it_too_and_a_membership_does_not(table: MemoryTable) -> None:
    quiet = Store(table, None)
    user = await create(quiet, TENANT, USER_TYPE, {"userName": "ada"})
    group = await create(quiet, TENANT, GROUP_TYPE, {"displayName": "all"})
    store = Store(table, REGISTRY)
    await store.of(TENANT).members.change(group.id, Changes({user.id: Member(user.id)}))
    assert said(table) == []
    await store.of(TENANT).resources.update(USER_TYPE, user, {"userName": "ida"})
    assert len(said(table)) == 1


MAILS = [{"value": f"{number}@x"} for number in range(43)]


@pytest.mark.parametrize("members", [0, 10, 46, 47, 48, 49, 60, 130])
async def test_the_first_group_is_made_whatever_its_size(table: MemoryTable, members: int) -> None:
    store = Store(table, REGISTRY)
    held = [Member(f"member {number}") for number in range(members)]
    group = await create(store, TENANT, GROUP_TYPE, {"displayName": "all"}, held)
    assert len([member async for member in store.of(TENANT).members.read_members(group.id)]) == members
    assert len(said(table)) == 1
    assert await list_problems(table, TENANT, REGISTRY) == []


@pytest.mark.parametrize("members", [0, 3, 4, 5, 60])
async def test_the_largest_change_carries_it(table: MemoryTable, members: int) -> None:
    """45 index rows go, 45 come."""
    stored = await create(Store(table, None), TENANT, USER_TYPE, {"userName": "a", "emails": MAILS[:42]})
    await table.commit(TENANT, [Write("insert", keys.gate_key(stored.id))])  # as if users had members
    other = [{"value": f"other{mail['value']}"} for mail in MAILS]
    store = Store(table, REGISTRY)
    changes = Changes({f"m {n}": Member(f"m {n}") for n in range(members)})
    stored = await store.of(TENANT).resources.update(USER_TYPE, stored, {"userName": "b", "emails": other}, changes)
    assert len(stored.keys) == 44 and len(said(table)) == 1


@pytest.mark.parametrize("count", [1, 49, 50, 51, 120])
async def test_shared_transactions_carry_it_once(table: MemoryTable, count: int) -> None:
    store = Store(table, REGISTRY)
    creations = [Creation(new_id(USER_TYPE.id_prefix), USER_TYPE, {"userName": f"{n}"}) for n in range(count)]
    made = await store.of(TENANT).resources.create_together(creations)
    assert made.keys() == {creation.id for creation in creations}
    assert all(stored.keys == (f"x u username {stored.document['userName']}",) for stored in made.values())
    assert table.trips == ["commit"] * -(-(2 * count + 1) // 100)
    assert len(said(table)) == 1


# What a search trusts.

T0 = datetime(2026, 6, 1, tzinfo=UTC)
LONG = SILENT + timedelta(seconds=1)
X, Y = "x u code", "l u title"
COVERED: dict[str, tuple[TenantCensus, bool]] = {
    "nobody wrote": (TenantCensus(), False),
    "nobody wrote, and all is indexed": (TenantCensus(done={X: T0}), True),
    "all writers keep it": (TenantCensus([(frozenset({X}), T0), (frozenset({X, Y}), T0)]), True),
    "one does not": (TenantCensus([(frozenset({X}), T0), (frozenset(), T0)]), False),
    "one does not, indexed since": (TenantCensus([(frozenset(), T0)], {X: T0 + LONG}), True),
    "one does not, indexed while it was silent": (TenantCensus([(frozenset(), T0)], {X: T0 + SILENT}), False),
    "one does not, indexed before": (TenantCensus([(frozenset(), T0)], {X: T0 - LONG}), False),
    "another index was made anew": (TenantCensus([(frozenset(), T0)], {Y: T0 + LONG}), False),
    "dropped since": (TenantCensus([(frozenset({X}), T0)], {X: T0}, {X: T0 + LONG}), False),
    "dropped and indexed again": (TenantCensus([(frozenset({X}), T0)], {X: T0 + LONG}, {X: T0}), True),
}


@pytest.mark.parametrize(("counted", "covers"), cases(COVERED))
def test_what_covers_a_tenant(counted: TenantCensus, covers: bool) -> None:
    assert counted.covers(X) is covers


UNREADABLE: list[tuple[str, dict[str, Any]]] = [
    ("i abc", {}),
    ("i abc", {"at": "then", "doc0": '{"indexes":["x u code"]}'}),
    ("i abc", {"at": "2026-06-01T00:00:00", "doc0": '{"indexes":["x u code"]}'}),
    ("i abc", {"at": "2026-06-01T00:00:00Z", "doc0": "~"}),
    ("i abc", {"at": "2026-06-01T00:00:00Z", "doc0": "[]"}),
    ("i strange x", {"at": "2026-06-01T00:00:00Z", "index": "x"}),
]


@pytest.mark.parametrize(("key", "values"), UNREADABLE)
def test_what_cannot_be_read_is_a_writer_without_any_index(key: str, values: dict[str, Any]) -> None:
    counted = TenantCensus([(frozenset({X}), T0)])
    add_row(counted, Row(key, values, "W/\"datetime'2026-06-01T00%3A00%3A00.1234567Z'\""))
    assert (counted.unreadable, counted.covers(X)) == ([key], False)
    counted.done[X] = T0 + LONG + timedelta(seconds=1)
    assert counted.covers(X)


async def test_built_in_indexes_cost_no_look(table: MemoryTable) -> None:
    census = Census(Partition(table, TENANT), list_kept_indexes(REGISTRY))
    for resource_type in REGISTRY.resource_types:
        assert await census.find_unusable(resource_type, list(resource_type.indexes.values())) == set()
    assert table.trips == []


async def test_an_index_that_compares_otherwise_is_another(table: MemoryTable, tmp_path: Path) -> None:
    schemas = write_schemas(tmp_path / "schemas")
    exact = list_kept_indexes(load(schemas))
    text = (schemas / "hr.json").read_text()
    (schemas / "hr.json").write_text(text.replace('"caseExact": true', '"caseExact": false'))
    name = f"x u {HR.lower()}:code"
    assert exact - list_kept_indexes(load(schemas)) == {f"{name} caseExact"}
    assert list_kept_indexes(load(schemas)) - exact == {name}


# Two versions on one table. Without the census, an index that an older process did not keep finds nobody, and its
# client makes the user a second time.


@pytest.fixture(params=["memory", "azurite"])
async def versions(request: pytest.FixtureRequest, clock: Clock, azurite: Azurite, tmp_path: Path, unused: Any) -> Any:
    if request.param == "memory":
        yield Versions.on(MemoryTable(), tmp_path / "schemas")
        return
    table = AzureTable.with_key(azurite.connection_string, TABLE)
    yield Versions.on(table, tmp_path / "schemas", next(unused)[0])
    await table.close()


async def test_rolling_out(versions: Versions, clock: Clock, tmp_path: Path) -> None:
    """The newer version finds what the older one wrote, by a scan at first and by the index in the end."""
    old, new, registry = versions.old, versions.new, versions.registry
    await make(old, "ada", "1", title="chief")
    assert await found(new, by_code("1")) == ["ada"]
    assert await found(new, 'title eq "CHIEF"') == ["ada"]
    await make(new, "bob", "2", title="chief")
    assert await found(new, by_code("2")) == ["bob"]
    assert await found(new, 'title eq "chief"') == ["ada", "bob"]

    done = await reindex(versions.table, versions.tenant, registry)
    assert (done.read, done.written, done.added, done.duplicates, done.left) == (2, 1, 2, [], [])
    assert set(done.again) == {f"x u {HR.lower()}:code caseExact", "l u title"}  # the older one may go on writing
    await make(old, "cid", "3", title="clerk")
    assert await found(new, by_code("3")) == ["cid"]

    clock.move(7)
    done = await reindex(versions.table, versions.tenant, registry)
    assert (done.written, done.again, done.done) == (1, {}, True)
    for code, name in (("1", "ada"), ("2", "bob"), ("3", "cid")):
        assert await found(new, by_code(code)) == [name]
    assert (await new.post("/Users", person("dan", "3"))).status == 409
    assert await list_problems(versions.table, versions.tenant, registry) == []
    idle = await reindex(versions.table, versions.tenant, registry)
    assert (idle.read, idle.written, idle.done) == (3, 0, True)


async def test_rolling_back(versions: Versions, clock: Clock, tmp_path: Path) -> None:
    """The older version takes over what the newer one wrote, and writes; then the newer one comes again."""
    old, new, registry = versions.old, versions.new, versions.registry
    ada = await make(new, "ada", "1", title="chief")
    await make(new, "bob", "2", title="chief")
    assert await found(new, by_code("1")) == ["ada"]
    clock.move(60)
    patch = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "title", "value": "clerk"}]}
    assert (await old.request("PATCH", f"/Users/{ada}", patch)).status == 200
    await make(old, "cid", "3", title="clerk")
    clock.move(60)
    for client in (new, versions.again(tmp_path / "schemas").new):
        assert await found(client, by_code("1")) == ["ada"]
        assert await found(client, by_code("3")) == ["cid"]
        assert await found(client, 'title eq "clerk"') == ["ada", "cid"]
        assert await found(client, 'title eq "chief"') == ["bob"]
    assert (await reindex(versions.table, versions.tenant, registry)).done
    assert await found(new, 'title eq "clerk"') == ["ada", "cid"]
    assert await list_problems(versions.table, versions.tenant, registry) == []
    await old.delete(f"/Users/{ada}")
    assert await found(new, by_code("1")) == []
    assert (await new.post("/Users", person("dan", "1"))).status == 201


async def test_sound_rows_of_before_are_a_note(versions: Versions, clock: Clock) -> None:
    for number in range(3):
        await make(versions.old, f"user {number}", str(number))
    report = await examine(versions.table, versions.tenant, versions.registry)
    assert report.problems == []
    assert report.notes == [f"3 rows lack index rows of {HR}:code, or have old ones: run reindex"]
    clock.move(7)
    assert (await reindex(versions.table, versions.tenant, versions.registry)).done
    report = await examine(versions.table, versions.tenant, versions.registry)
    assert (report.problems, report.notes) == ([], [])


async def test_an_index_is_used_once_it_covers_the_tenant(table: MemoryTable, clock: Clock, tmp_path: Path) -> None:
    versions = Versions.on(table, tmp_path / "schemas")
    for number in range(40):
        await make(versions.old, f"user {number}", str(number))
    clock.move(7)
    trips: list[int] = []
    for _ in range(2):
        table.reset()
        assert await found(versions.new, by_code("7")) == ["user 7"]
        trips.append(table.rows_read)
        assert (await reindex(table, TENANT, versions.registry)).done
    assert trips == [41, 5]  # all users and the census; then the census with two marks, the row and the user


async def test_a_scan_that_is_too_long_names_the_command(table: MemoryTable, clock: Clock, tmp_path: Path) -> None:
    folder = str(write_schemas(tmp_path / "schemas"))
    old, new = Door(table).client, Door(table, SCIM_SCHEMAS_FOLDER=folder, SCIM_SCAN_LIMIT="10").client
    for number in range(11):
        await make(old, f"user {number}", str(number))
    answer = await new.get(f"/Users?filter={quote_plus(by_code('1'))}")
    assert (answer.status, answer.json["scimType"]) == (400, "tooMany")
    assert f"{HR}:code can be searched by once the operator has run" in answer.json["detail"]
    assert "`python -m scim tenants reindex tenant`" in answer.json["detail"]
    assert await found(new, f'{by_code("1")} and userName eq "user 1"') == ["user 1"]


async def test_sorting_by_an_index_misses_nobody(clock: Clock, tmp_path: Path) -> None:
    """A required unique attribute that came later: its rows are not all there."""
    schemas = tmp_path / "schemas"
    schemas.mkdir()
    before = '{"id": "urn:example:Device", "name": "Device", "attributes": [{"name": "serial", "required": true}]}'
    (schemas / "device.json").write_text(before)
    (schemas / "type.json").write_text(
        '{"id": "Device", "name": "Device", "endpoint": "/Devices", "schema": "urn:example:Device",'
        ' "storage": {"idPrefix": "d"}}'
    )
    table = MemoryTable()
    old = Door(table, SCIM_SCHEMAS_FOLDER=str(schemas)).client
    assert (await old.post("/Devices", {"schemas": ["urn:example:Device"], "serial": "b"})).status == 201
    (schemas / "device.json").write_text(before.replace("true", 'true, "uniqueness": "server"'))
    new = Door(table, SCIM_SCHEMAS_FOLDER=str(schemas)).client
    assert (await new.post("/Devices", {"schemas": ["urn:example:Device"], "serial": "a"})).status == 201
    for _ in range(2):
        listed = (await new.get("/Devices?sortBy=serial")).json
        assert [device["serial"] for device in listed["Resources"]] == ["a", "b"]
        clock.move(7)
        assert (await reindex(table, TENANT, load(schemas))).done


# A unique value whose row is missing gets it with the next change, unless somebody else has it.


async def change(client: Any, id: str, **values: Any) -> int:
    operations = [{"op": "replace", "path": path, "value": value} for path, value in values.items()]
    status: int = (await client.request("PATCH", f"/Users/{id}", {"schemas": [PATCH], "Operations": operations})).status
    return status


async def test_a_change_makes_up_for_a_missing_unique_row(versions: Versions) -> None:
    ada = await make(versions.old, "ada", "1")
    assert await change(versions.new, ada, title="x") == 200
    assert (await versions.new.post("/Users", person("bob", "1"))).status == 409
    assert await found(versions.new, by_code("1")) == ["ada"]


async def test_a_row_that_is_there_and_not_named_keeps_nobody_from_being_disabled(table: MemoryTable) -> None:
    client = Door(table).client
    ada = await make(client, "ada")
    await table.commit(TENANT, [Write("merge", f"r {ada}", {"keys": ""})])
    assert await change(client, ada, active=False) == 200


async def test_a_duplicate_never_keeps_a_user_from_being_disabled(versions: Versions) -> None:
    ada, bob = await make(versions.old, "ada", "1"), await make(versions.old, "bob", "1")
    for id in (ada, bob, ada, bob):
        assert await change(versions.new, id, active=False) == 200
    assert await found(versions.new, by_code("1")) == ["ada", "bob"]
    cid = await make(versions.new, "cid", "2")
    assert await change(versions.new, cid, **{f"{HR}:code": "1"}) == 409
    assert await change(versions.new, bob, userName="ada") == 409
    assert await change(versions.new, bob, userName="rob") == 200
    assert await list_problems(versions.table, versions.tenant, versions.registry) == []


# Everything at random.


@pytest.mark.parametrize("seed", range(12))
async def test_no_search_ever_misses_what_is_there(clock: Clock, tmp_path: Path, seed: int) -> None:
    """Old and new write, reindex runs, time passes, processes start anew: after each step the newer version's searches
    are held against all that was acknowledged."""
    dice, table = Random(seed), MemoryTable()
    versions = Versions.on(table, tmp_path / "schemas")
    codes: dict[str, str] = {}
    names: dict[str, str] = {}
    for step in range(40):
        client = dice.choice([versions.old, versions.new])
        code, id = dice.choice("12345"), dice.choice([*codes, None])
        kind = dice.choice(["post", "post", "code", "code", "title", "delete", "reindex", "wait", "restart"])
        if kind == "post":
            answer = await client.post("/Users", person(f"user {step}", code))
            if answer.status == 201:
                codes[answer.json["id"]], names[answer.json["id"]] = code, f"user {step}"
            else:
                assert (answer.status, client) == (409, versions.new)
        elif kind == "code" and id:
            if await change(client, id, **{f"{HR}:code": code}) == 200:
                codes[id] = code
        elif kind == "title" and id:
            assert await change(client, id, title=f"title {step}") == 200
        elif kind == "delete" and id:
            assert (await client.delete(f"/Users/{id}")).status == 204
            del codes[id], names[id]
        elif kind == "reindex":
            done = await reindex(table, TENANT, versions.registry)
            assert done.left == []
        elif kind == "wait":
            clock.move(dice.choice([1, 3, 7, 20]))
        elif kind == "restart":
            versions = versions.again(tmp_path / "schemas")
        for code in "12345":
            wanted = sorted(names[id] for id, has in codes.items() if has == code)
            assert await found(versions.new, by_code(code)) == wanted, (step, kind)
    clock.move(60)
    await reindex(table, TENANT, versions.registry)
    report = await examine(table, TENANT, versions.registry)
    assert report.problems == []
