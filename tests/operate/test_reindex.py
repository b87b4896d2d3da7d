"""Reindex: what is missing is added beside live traffic, and nothing that somebody else has is taken."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote_plus

import pytest

from scim.operate.check import examine, list_problems
from scim.operate.reindex import Reindexed, reindex
from scim.schema.loading import load
from scim.store import properties
from scim.store.table import Table, TableUnavailable, Write
from tests.core import REGISTRY
from tests.operate.conftest import Operator
from tests.store.memory import Door, Faulty, MemoryTable
from tests.store.versions import HR, Clock, Versions, by_code, found, make, write_schemas
from tests.support import PATCH, Client

TENANT = "tenant"
UNIQUE = f"x u {HR.lower()}:code"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()


@pytest.fixture
def versions(table: MemoryTable, clock: Clock, tmp_path: Path) -> Versions:
    return Versions.on(table, tmp_path / "schemas")


async def run(versions: Versions, table: Table | None = None, **options: Any) -> Reindexed:
    return await reindex(table or versions.table, TENANT, versions.registry, **options)


def row_keys(table: MemoryTable, start: str) -> list[str]:
    return [row.key for row in table.rows(TENANT) if row.key.startswith(start)]


async def test_it_costs_a_trip_a_page_and_one_for_each_that_lacks_a_row(
    versions: Versions, table: MemoryTable, clock: Clock
) -> None:
    for number in range(30):
        await make(versions.old if number % 3 else versions.new, f"user {number}", str(number), title="x")
    clock.move(7)
    table.reset()
    steps: list[int] = []
    done = await run(versions, step=steps.append)
    assert (done.read, done.written, done.added, done.removed, done.done) == (30, 20, 40, 0, True)
    assert steps == [30, 0]  # a page of users, and one of groups
    assert table.trips.count("read") == 0
    assert table.trips.count("page") == 4  # users, groups, and the census before and after
    assert table.trips.count("commit") == 20 + 2  # and a mark for each of the two indexes
    table.reset()
    assert (await run(versions)).written == 0
    assert table.trips.count("commit") == 2


async def test_it_goes_on_where_it_was_stopped(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    for number in range(30):
        await make(versions.old, f"user {number}", str(number))
    clock.move(7)
    faulty = Faulty(table)

    async def stop(number: int, writes: Sequence[Write]) -> None:
        if number > 12:
            raise TableUnavailable("stopped")

    faulty.disturb(before=stop)
    with pytest.raises(TableUnavailable):
        await run(versions, faulty)
    assert 0 < len(row_keys(table, UNIQUE)) < 30
    assert row_keys(table, "i done") == []
    assert await found(versions.new, by_code("29")) == ["user 29"]
    done = await run(versions)
    assert (done.read, done.done) == (30, True)
    assert len(row_keys(table, UNIQUE)) == 30


async def test_a_lost_answer_is_made_up_for(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    await make(versions.old, "ada", "1", title="x")
    clock.move(7)
    faulty = Faulty(table)

    async def lose(number: int, writes: Sequence[Write]) -> None:
        if number == 1:
            raise TableUnavailable("the answer is lost")

    faulty.disturb(after=lose)
    assert (await run(versions, faulty)).done
    assert await list_problems(table, TENANT, versions.registry) == []


async def test_duplicates_are_told_with_both_ids(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    """And the index is not used before they are gone: it would show one of the two."""
    ada, bob = await make(versions.old, "ada", "1", title="x"), await make(versions.old, "bob", "1", title="x")
    clock.move(7)
    done = await run(versions)
    first, second = sorted([ada, bob])
    assert done.duplicates in [
        [f"User {HR}:code '1': both {one} and {other} have it; change one of them"]
        for one, other in ((first, second), (second, first))
    ]
    assert (done.done, done.covered.count("l u title"), f"{UNIQUE} caseExact" in done.covered) == (False, 1, False)
    assert await found(versions.new, by_code("1")) == ["ada", "bob"]
    assert await found(versions.new, 'title eq "x"') == ["ada", "bob"]
    operations = [{"op": "replace", "path": f"{HR}:code", "value": "2"}]
    body = {"schemas": [PATCH], "Operations": operations}
    assert (await versions.new.request("PATCH", f"/Users/{bob}", body)).status == 200
    assert (await run(versions)).done
    assert await found(versions.new, by_code("1")) == ["ada"]
    assert await list_problems(table, TENANT, versions.registry) == []


async def test_a_row_of_somebody_without_the_value_is_taken_over(
    versions: Versions, table: MemoryTable, clock: Clock
) -> None:
    ada = await make(versions.old, "ada", "1")
    bob = await make(versions.old, "bob", "2")
    for key, id in (("1", bob), ("2", "u-nobody")):
        await table.commit(TENANT, [Write("insert", f"{UNIQUE} {key}", {"id": id})])
    clock.move(7)
    assert (await run(versions)).done
    rows = {row.key: row.values["id"] for row in table.rows(TENANT) if row.key.startswith(UNIQUE)}
    assert rows == {f"{UNIQUE} 1": ada, f"{UNIQUE} 2": bob}
    assert await list_problems(table, TENANT, versions.registry) == []


async def test_values_that_an_older_version_changed_lose_their_rows(
    versions: Versions, table: MemoryTable, clock: Clock
) -> None:
    """It carries along what it does not know: the row of the value that was."""
    ada = await make(versions.new, "ada", "1", title="x")
    row = await table.read(TENANT, f"r {ada}")
    assert row
    document = json.dumps({"userName": "ada", HR: {"code": "2"}, "title": "y"}, separators=(",", ":"))
    await table.commit(TENANT, [Write("merge", row.key, {"doc0": document})])
    await make(versions.old, "bob", "3")
    report = await examine(table, TENANT, versions.registry)
    assert report.problems == []
    clock.move(7)
    done = await run(versions)
    assert (done.written, done.removed, done.done) == (2, 2, True)
    assert row_keys(table, UNIQUE) == [f"{UNIQUE} 2", f"{UNIQUE} 3"]
    assert row_keys(table, "l u title") == [f"l u title y {ada}"]
    assert await list_problems(table, TENANT, versions.registry) == []


async def test_rows_of_names_that_were_folded_whole(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    """Once Straße was kept under strasse: a check names such rows, and a reindex puts them where searches look."""
    id = await make(versions.new, "Straße", "1", title="Großstraße")
    right = {
        "x u username straße": "x u username strasse",
        f"l u title großstraße {id}": f"l u title grossstrasse {id}",
    }
    row = await table.read(TENANT, f"r {id}")
    assert row
    keys = row.values["keys"]
    writes = []
    for new, old in right.items():
        assert new in keys.split("\n"), keys
        keys = keys.replace(new, old)
        writes += [Write("delete", new), Write("insert", old, {"id": id})]
    await table.commit(TENANT, [*writes, Write("merge", row.key, {"keys": keys})])
    assert await by_name(versions.new, "Straße") == []
    named = "\n".join(await list_problems(table, TENANT, versions.registry))
    for new, old in right.items():
        assert (
            f"{new}: is missing, but the document of {id} has the value" in named
            and f"{old}: points to {id}, whose document does not" in named
        )
    clock.move(7)
    done = await run(versions)
    assert (done.written, done.added, done.removed, done.done) == (1, 2, 2, True)
    assert await list_problems(table, TENANT, versions.registry) == []
    assert await by_name(versions.new, "STRAßE") == ["Straße"]
    assert await by_name(versions.new, "strasse") == []
    assert (await versions.new.post("/Users", {"userName": "Strasse"})).status == 201


async def by_name(client: Client, name: str) -> list[str]:
    answer = await client.get("/Users?filter=" + quote_plus(f'userName eq "{name}"'))
    return [user["userName"] for user in answer.json["Resources"]]


async def test_what_a_resource_shows_stays(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    shown = {}
    for name in ("text", "none"):
        id = await make(versions.old, name, name)
        if name == "none":  # the time is then that of the row's ETag
            await table.commit(TENANT, [Write("merge", f"r {id}", {"modified": "", "created": "2020-01-01T00:00:00Z"})])
        row = await table.read(TENANT, f"r {id}")
        assert row
        shown[id] = row.values["modified"] or properties.parse_written_time(row.etag)
    clock.move(7)
    assert (await run(versions)).written == 2
    for id, modified in shown.items():
        row = await table.read(TENANT, f"r {id}")
        assert row and row.values["modified"] == modified


async def test_what_it_cannot_read_is_left_and_told(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    await make(versions.old, "ada", "1")
    spoiled = {"torn": "{", "list": "[]", "shape": '{"userName":"x","emails":"text"}', "newer": "?"}
    ids = {name: await make(versions.old, name) for name in spoiled}
    for name, text in spoiled.items():
        values: dict[str, Any] = {"doc0": text, **({"v": 2} if name == "newer" else {})}
        await table.commit(TENANT, [Write("merge", f"r {ids[name]}", values)])
    many = await make(versions.old, "many", emails=[{"value": f"{n}@x"} for n in range(44)])
    row = await table.read(TENANT, f"r {many}")
    assert row
    await table.commit(TENANT, [Write("merge", row.key, {"doc0": row.values["doc0"].replace("{", '{"title":"x",', 1)})])
    clock.move(7)
    done = await run(versions)
    assert sorted(line.split(":")[0] for line in done.left) == sorted(
        [f"r {ids['torn']}", f"r {ids['list']}", f"r {ids['shape']}", f"r {many}"]
    )
    assert (done.covered, done.done) == ([], False)


# Rows that nobody's schemas ask for any more.


async def test_rows_of_an_index_that_went_go_only_when_asked(
    versions: Versions, table: MemoryTable, clock: Clock
) -> None:
    ada = await make(versions.new, "ada", "1", title="x")
    clock.move(7)
    before = table.rows(TENANT)
    kept = await reindex(table, TENANT, REGISTRY)
    assert (kept.undeclared, kept.removed, kept.done) == ({UNIQUE, "l u title"}, 0, True)
    assert table.rows(TENANT) == before
    dropped = await reindex(table, TENANT, REGISTRY, drop=True)
    assert (dropped.removed, dropped.written, dropped.kept, dropped.done) == (2, 1, [], True)
    assert row_keys(table, UNIQUE) + row_keys(table, "l u title") == []
    row = await table.read(TENANT, f"r {ada}")
    assert row and row.values["keys"] == "x u username ada"
    assert await list_problems(table, TENANT, REGISTRY) == []
    # When the index comes again, the user is found by a scan until it is indexed again.
    for _ in range(2):
        assert await found(versions.new, by_code("1")) == ["ada"]
        clock.move(7)
        assert (await run(versions)).done
    assert row_keys(table, UNIQUE) == [f"{UNIQUE} 1"]


async def test_rows_that_a_living_process_keeps_stay(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    await make(versions.new, "ada", "1", title="x")
    clock.move(3)
    dropped = await reindex(table, TENANT, REGISTRY, drop=True)
    assert (dropped.removed, dropped.done, len(dropped.kept)) == (0, False, 2)
    assert f"{UNIQUE}: a process that keeps it wrote at 2026-06-01 00:00 UTC" in dropped.kept
    assert await found(versions.new, by_code("1")) == ["ada"]


async def test_our_own_indexes_are_never_dropped(table: MemoryTable, clock: Clock, tmp_path: Path) -> None:
    """A deployer's resource type leaves one out: other versions search by it without asking."""
    folder = write_schemas(tmp_path / "schemas")
    types = json.loads((folder / "user.json").read_text())
    types["storage"]["lookup"].remove("emails.value")
    (folder / "user.json").write_text(json.dumps(types))
    whole, less = Door(table).client, Door(table, SCIM_SCHEMAS_FOLDER=str(folder)).client
    await make(whole, "ada", emails=[{"value": "a@x"}])
    await make(less, "bob", emails=[{"value": "b@x"}])
    clock.move(7)
    dropped = await reindex(table, TENANT, load(folder), drop=True)
    assert dropped.kept == ["l u emails.value: the schemas that every version has declare it"]
    report = await examine(table, TENANT, REGISTRY)
    assert (report.problems, report.notes) == (
        [],
        ["1 rows lack index rows of emails.value, or have old ones: run reindex"],
    )
    assert (await reindex(table, TENANT, REGISTRY)).done
    assert await found(whole, 'emails.value eq "b@x"') == ["bob"]


# Beside live traffic.


@pytest.mark.parametrize("seed", range(25))
async def test_beside_live_traffic(clock: Clock, tmp_path: Path, seed: int) -> None:
    """Everybody writes while it runs, and trips take different times. What was acknowledged is found at every moment,
    and in the end nothing is broken."""
    dice = Random(seed)
    table = MemoryTable(dice=Random(seed))
    versions = Versions.on(table, tmp_path / "schemas")
    codes = {}
    for number in range(25):
        codes[await make(versions.old, f"user {number}", f"{number}", title="old")] = f"{number}"
    names = {id: f"user {code}" for id, code in codes.items()}
    clock.move(7)
    ids = list(codes)

    async def write(id: str) -> None:
        client = dice.choice([versions.old, versions.new])
        kind = dice.choice(["title", "code", "rename", "delete", "post"])
        if kind == "delete":
            assert (await client.delete(f"/Users/{id}")).status == 204
            del codes[id], names[id]
        elif kind == "post":
            number = 100 + int(codes[id])
            other = await make(client, f"user {number}", f"{number}")
            codes[other], names[other] = f"{number}", f"user {number}"
        else:
            value = f"{kind} {codes[id]}"
            path = {"title": "title", "code": f"{HR}:code", "rename": "userName"}[kind]
            body = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": path, "value": value}]}
            assert (await client.request("PATCH", f"/Users/{id}", body)).status == 200
            if kind == "code":
                codes[id] = value
            elif kind == "rename":
                names[id] = value

    async def look() -> None:
        for id in ids:
            if id in codes:
                code, name = codes[id], names[id]
                seen = await found(versions.new, by_code(code))
                assert id not in codes or (codes[id], names[id]) != (code, name) or seen == [name]

    await asyncio.gather(run(versions), look(), *map(write, dice.sample(ids, 15)), run(versions))
    clock.move(7)
    done = await run(versions)
    assert (done.duplicates, done.left, done.again) == ([], [], {})
    for id, code in codes.items():
        assert await found(versions.new, by_code(code)) == [names[id]]
    assert await list_problems(table, TENANT, versions.registry) == []


async def test_a_resource_that_never_rests_is_left(versions: Versions, table: MemoryTable, clock: Clock) -> None:
    ada = await make(versions.old, "ada", "1")
    clock.move(7)
    faulty = Faulty(table)

    async def other(number: int, writes: Sequence[Write]) -> None:
        if writes[0].key == f"r {ada}":
            await table.commit(TENANT, [Write("merge", f"r {ada}", {"write": str(number)})])

    faulty.disturb(before=other)
    done = await run(versions, faulty)
    assert (done.left, done.done) == ([f"r {ada}: others are changing it all the time"], False)
    assert await found(versions.new, by_code("1")) == ["ada"]


# The verb.


async def test_verb_indexes_a_tenant(
    operator: Operator, client: Client, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    users = [await client.new_user(name, **{HR: {"code": "1"}}) for name in ("ada", "bob")]
    await make(client, "cid", "2")
    monkeypatch.setenv("SCIM_SCHEMAS_FOLDER", str(write_schemas(tmp_path / "schemas")))
    note = f"note: 3 rows lack index rows of {HR}:code, or have old ones: run reindex"
    assert note in await operator.run("tenants", "check", client.tenant)
    code, printed, errors = await operator.command("tenants", "reindex", client.tenant)
    lines = printed.splitlines()
    assert (code, errors) == (1, "")
    assert lines[0] == f"Indexing {client.tenant} beside live traffic; documents stay as they are."
    assert lines[1].startswith(f"User {HR}:code '1': both ") and all(user["id"] in lines[1] for user in users)
    assert lines[2].startswith("A process without l u title wrote beside this lately")
    assert lines[-1] == "3 resources were read, 2 written: 2 index rows added, 0 removed."
    found = await operator.tool("tenants", "reindex", client.tenant, code=1)
    assert (found["read"], found["written"], len(found["duplicates"]), list(found["again"])) == (3, 0, 1, ["l u title"])


async def test_verb_knows_no_tenant_of_that_name(operator: Operator) -> None:
    assert "There is no resource of a tenant nobody" in (await operator.command("tenants", "reindex", "nobody"))[2]
