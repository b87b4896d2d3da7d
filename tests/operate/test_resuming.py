"""What is cut short goes on: export, import, restore and erase are killed at every trip, and run again."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from scim.operate.check import examine
from scim.operate.tenants.dump import Dump
from scim.operate.tenants.erasing import erase
from scim.operate.tenants.exporting import export
from scim.operate.tenants.importing import import_all
from scim.operate.tenants.measure import list_tenants, measure
from scim.operate.tenants.moving import move
from scim.operate.tenants.restoring import plan, restore
from scim.security.usage import Used
from scim.store import keys, properties, shared_keys
from scim.store.credentials import Credentials
from scim.store.members import Changes, Member
from scim.store.resource_rows import choose_last_modified
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import PAGE_ROWS, Row, Table, Write
from scim.store.tenants import Tenants
from tests.core import GROUP_TYPE, REGISTRY, USER_TYPE, user
from tests.operate.conftest import TOLD
from tests.store.memory import Faulty, MemoryTable, create

TENANT = "tenant"


class Killed(BaseException):
    """The process ends here."""


class Small:
    """A table whose pages hold two rows, and which ends the process at the page of a number."""

    def __init__(self, table: Table, halt: int = 10**9) -> None:
        self._table, self._halt = table, halt
        self.number = 0

    async def read(self, partition: str, key: str) -> Row | None:
        return await self._table.read(partition, key)

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        async for page in self._table.pages(partition, start, end, size=min(size, 2), keys_only=keys_only):
            self.number += 1
            if self.number == self._halt:
                raise Killed
            yield page

    def partitions(self, after: str = "") -> AsyncIterator[str]:
        return self._table.partitions()

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        return await self._table.commit(partition, writes)

    async def close(self) -> None:
        await self._table.close()


async def fill(table: Table, number: int = 7) -> list[str]:
    """A tenant with users, a group of them, one with members of elsewhere for several transactions, an empty one."""
    store = Store(table)
    users = [
        (await create(store, TENANT, USER_TYPE, user({"userName": f"u{at}", "externalId": f"e{at}"}))).id
        for at in range(number)
    ]
    members = [Member(id, f"Number {at}") for at, id in enumerate(users)]
    outside = [Member(f"outside {at}", None, "User") for at in range(110)]
    groups = []
    for name, those in (("Some", members), ("Many", [*members, *outside]), ("Empty", [])):
        groups.append((await create(store, TENANT, GROUP_TYPE, {"displayName": name}, those)).id)
    await store.of(TENANT).members.change(groups[0], Changes(remove={users[0]}))
    return users + groups


async def contents(table: Table, tenant: str = TENANT) -> dict[str, dict[str, object]]:
    """All rows but for what every write makes anew, and what was told of it; lastModified is what is shown."""

    def shown(row: Row) -> dict[str, object]:
        values = {
            name: value
            for name, value in row.values.items()
            if name not in ("write", "touched", "changing", "n") and value != ""
        }
        if "created" in values:
            values["modified"] = choose_last_modified(values["created"], values.get("modified", ""), row.etag)
        return values

    return {
        row.key: shown(row)
        async for page in table.pages(tenant, "", "\uffff")
        for row in page
        if not row.key.startswith(("i ", "w ", *TOLD))
    }


@pytest.fixture
async def table() -> MemoryTable:
    table = MemoryTable()
    await fill(table)
    return table


def lines(path: Path) -> list[bytes]:
    """What is in a file, but for its times."""
    first, *middle, last = path.read_bytes().splitlines()
    return [json.loads(first)["tenant"].encode(), *middle, json.dumps(json.loads(last)["resources"]).encode()]


async def test_export_is_killed_at_every_page(table: MemoryTable, tmp_path: Path) -> None:
    await export(table, REGISTRY, TENANT, tmp_path / "whole")
    halt = 0
    while True:
        halt += 1
        path = tmp_path / f"at {halt}"
        try:
            await export(Small(table, halt), REGISTRY, TENANT, path)
        except Killed:
            assert not path.exists()
            await export(Small(table), REGISTRY, TENANT, path)
            assert lines(path) == lines(tmp_path / "whole")
        else:
            break
    assert halt > 60


async def test_export_is_killed_within_a_line(table: MemoryTable, tmp_path: Path) -> None:
    """Whatever is left of the file, to the byte, or ends in what a disk had there before."""
    await export(table, REGISTRY, TENANT, tmp_path / "whole")
    whole = (tmp_path / "whole").read_bytes()
    for end in [*range(0, len(whole), 97), len(whole) - 1, len(whole)]:
        path = tmp_path / f"at {end}"
        part = whole[:end] if end % 2 else whole[:end] + b"\0" * 50
        path.with_name(f"{path.name}.part").write_bytes(part)
        exported = await export(table, REGISTRY, TENANT, path)
        assert lines(path) == lines(tmp_path / "whole")
        assert exported.before <= part.count(b"\n")
        Dump(path)


async def test_one_kill_after_another(table: MemoryTable, tmp_path: Path) -> None:
    """Each run comes two pages further."""
    await export(table, REGISTRY, TENANT, tmp_path / "whole")
    path, runs = tmp_path / "bit by bit", 0
    while not path.exists():
        runs += 1
        try:
            await export(Small(table, 3), REGISTRY, TENANT, path)
        except Killed:
            continue
    assert runs > 20
    assert lines(path) == lines(tmp_path / "whole")


async def test_what_is_made_during_an_export_is_in_it_with_its_memberships(tmp_path: Path) -> None:
    """And a group that goes meanwhile is not, so that no membership is without its group."""
    table = MemoryTable()
    ids = await fill(table)
    store = Store(table)

    class Busy(Small):
        done = False

        async def pages(
            self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
        ) -> AsyncIterator[list[Row]]:
            if start.startswith("m ") and not self.done:
                self.done = True
                made = await create(store, TENANT, USER_TYPE, user({"userName": "late"}))
                await store.of(TENANT).members.change(ids[7], Changes({made.id: Member(made.id)}))
                await create(store, TENANT, GROUP_TYPE, {"displayName": "Late"}, [Member(ids[0])])
                empty = await store.of(TENANT).resources.read(ids[9])
                assert empty is not None
                await store.of(TENANT).resources.delete(GROUP_TYPE, empty)
            async for page in super().pages(partition, start, end, size=size, keys_only=keys_only):
                yield page

    exported = await export(Busy(table), REGISTRY, TENANT, tmp_path / "a")
    assert exported.counts.resources == {"User": 8, "Group": 4}
    other = MemoryTable()
    imported = await import_all(other, REGISTRY, Dump(tmp_path / "a"), TENANT)
    assert (imported.problems, imported.counts) == ([], exported.counts)
    report = await examine(other, TENANT, REGISTRY)
    assert (report.problems, report.strangers) == ([], {})


@pytest.mark.parametrize("when", ["before", "after"])
async def test_import_is_killed_at_every_transaction(table: MemoryTable, tmp_path: Path, when: str) -> None:
    await export(table, REGISTRY, TENANT, tmp_path / "a")
    dump, expected = Dump(tmp_path / "a"), await contents(table)
    halt = 0
    while True:
        halt += 1
        target = MemoryTable()
        faulty = Faulty(target)

        async def kill(number: int, writes: Sequence[Write], halt: int = halt) -> None:
            if number >= halt:
                raise Killed

        faulty.disturb(**{when: kill})
        try:
            await import_all(faulty, REGISTRY, dump, TENANT)
        except Killed:
            imported = await import_all(target, REGISTRY, dump, TENANT)
            assert (imported.problems, imported.counts) == ([], dump.counts)
            assert imported.made + imported.there == 10
            assert await contents(target) == expected
        else:
            break
    assert halt > 12


@pytest.mark.parametrize("unnamed", [False, True])
@pytest.mark.parametrize("when", ["before", "after"])
async def test_restore_is_killed_at_every_transaction(
    table: MemoryTable, tmp_path: Path, when: str, unnamed: bool
) -> None:
    """A user and a large group that were deleted, and a group that was changed, whether it is named or not."""
    await export(table, REGISTRY, TENANT, tmp_path / "a")
    dump = Dump(tmp_path / "a")
    ids = sorted(dump.ids)
    users = [id for id in ids if id.startswith("u-")]
    [some] = [id for id in ids if len(dump.members(id)) == 6]
    [many] = [id for id in ids if len(dump.members(id)) == 117]

    async def harmed() -> MemoryTable:
        table = MemoryTable()
        await import_all(table, REGISTRY, dump, TENANT)
        store = Store(table)
        for id, resource_type in ((users[1], USER_TYPE), (many, GROUP_TYPE)):
            kept = await store.of(TENANT).resources.read(id)
            assert kept is not None
            await store.of(TENANT).resources.delete(resource_type, kept)
        await store.of(TENANT).members.change(some, Changes({"x": Member("x")}, {users[2]}))
        return table

    async def restored(table: Table) -> list[str]:
        named = [users[1], many] if unnamed else [users[1], some, many]
        return await restore(table, REGISTRY, TENANT, await plan(table, REGISTRY, dump, TENANT, named))

    halt = 0
    while True:
        halt += 1
        target = await harmed()
        faulty = Faulty(target)

        async def kill(number: int, writes: Sequence[Write], halt: int = halt) -> None:
            if number >= halt:
                raise Killed

        faulty.disturb(**{when: kill})
        try:
            await restored(faulty)
        except Killed:
            assert await restored(target) == []
            store = Store(target)
            for group in (some, many):
                members = {member.value async for _, member in store.of(TENANT).members.read_members(group)}
                wanted = {member.value for member in dump.members(group)}
                assert members == (wanted - {users[2]} | {"x"} if unnamed and group == some else wanted), halt
            report = await examine(target, TENANT, REGISTRY)
            assert (report.problems, report.strangers, report.pending) == ([], {}, 0)
        else:
            break
    assert halt > 6


@pytest.mark.parametrize("when", ["before", "after"])
async def test_erase_is_killed_at_every_transaction(when: str) -> None:
    halt = 0
    while True:
        halt += 1
        table = MemoryTable()
        await fill(table)
        await Tenants(table).announce(TENANT)
        await Tenants(table).announce("other")
        await Credentials(table).write_use("entra", Used("cafecafe", *[_moment()] * 2))
        await Credentials(table).write_use("entra-b", Used("cafecafe", *[_moment()] * 2))
        table.load("other", {"r u-a": {"id": "u-a"}})
        faulty = Faulty(table)

        async def kill(number: int, writes: Sequence[Write], halt: int = halt) -> None:
            if number >= halt:
                raise Killed

        faulty.disturb(**{when: kill})
        killed = False
        try:
            await erase(faulty, TENANT, ["entra"])
        except Killed:
            killed = True
            assert (await erase(table, TENANT, ["entra"])).left == 0
        assert await contents(table) == {}
        assert [*await contents(table, SHARED)] == [shared_keys.tenant_key("other"), "u entra-b cafecafe"]
        assert [*await contents(table, "other")] == ["r u-a"]
        if not killed:
            break
    assert halt > 3


def _moment() -> object:
    from datetime import UTC, datetime

    return datetime(2026, 1, 1, tzinfo=UTC)


async def test_erase_finds_what_is_written_meanwhile(table: MemoryTable) -> None:
    """A last row of housekeeping goes too; with somebody who goes on writing, the proof fails."""
    faulty = Faulty(table)
    writes = 0

    async def write(number: int, _: Sequence[Write]) -> None:
        nonlocal writes
        if writes > 0:
            writes -= 1
            await table.commit(TENANT, [Write("upsert", "a first of all")])

    faulty.disturb(after=write)
    writes = 1
    assert (await erase(faulty, TENANT, [])).left == 0
    assert table.rows(TENANT) == []
    await fill(table)
    writes = 10**9
    assert (await erase(faulty, TENANT, [])).left == 1


async def test_import_under_another_name_keeps_out_of_the_first(table: MemoryTable, tmp_path: Path) -> None:
    before = await contents(table)
    await export(table, REGISTRY, TENANT, tmp_path / "a")
    await import_all(table, REGISTRY, Dump(tmp_path / "a"), "renamed")
    assert await contents(table) == before
    assert await contents(table, "renamed") == before


async def test_unique_values_that_two_have_are_told(table: MemoryTable, tmp_path: Path) -> None:
    """They were kept before their schema made them unique: the first has it, the other is named."""
    await export(table, REGISTRY, TENANT, tmp_path / "a")
    text = (tmp_path / "a").read_text().replace('"userName":"u2"', '"userName":"U1"')
    (tmp_path / "b").write_text(text)
    target = MemoryTable()
    imported = await import_all(target, REGISTRY, Dump(tmp_path / "b"), TENANT)
    [problem] = imported.problems
    assert "its userName belongs to u-" in problem and "it was not made" in problem
    assert (imported.made, imported.counts.resources) == (9, {"User": 6, "Group": 3})


async def test_move_compares_what_arrived(table: MemoryTable, tmp_path: Path) -> None:
    target = MemoryTable()
    target._writes = 10_000  # a table of its own gives etags of its own
    moved = await move(table, target, REGISTRY, TENANT, tmp_path)
    assert (moved.difference, moved.imported.made) == (None, 10)
    assert await contents(target) == {key: row for key, row in (await contents(table)).items()}


async def test_sizes(tmp_path: Path) -> None:
    """Trips of 6,000 users and a group of them all: 1,000 rows each, and 100 a transaction."""
    table = MemoryTable()
    store = Store(table)
    group = await create(store, TENANT, GROUP_TYPE, {"displayName": "All"})
    kept: dict[str, dict[str, object]] = {row.key: row.values for row in table.rows(TENANT)}
    for number in range(6_000):
        id = f"u-{number:024}"
        document = user({"userName": f"user {number}"})
        index = keys.build_index_rows(USER_TYPE, id, document)
        values = {"id": id, "created": "a", "modified": "b", "write": "c", "keys": "\n".join(index)}
        kept[keys.resource_key(id)] = {**values, **properties.split_document(document)}
        edge = {"group": group.id, "member": id}
        kept |= {**index, keys.member_key(group.id, id): edge, keys.member_of_key(id, group.id): edge}
    table.clear(TENANT)
    table.load(TENANT, dict(sorted(kept.items())))
    table.reset()
    assert [tenant async for tenant in list_tenants(table)] == [TENANT]
    size = await measure(table, REGISTRY, TENANT)
    assert (size.rows, size.memberships, size.resources["User"]) == (len(kept), 6_000, 6_000)
    assert len(table.trips) <= 2 + 1 + len(kept) / 1000
    table.reset()
    exported = await export(table, REGISTRY, TENANT, tmp_path / "a")
    assert exported.counts.memberships == 6_000
    assert len(table.trips) <= 1 + 7 + 7
    table.reset()
    erased = await erase(table, TENANT, [])
    assert (erased.rows, erased.left) == (len(kept), 0)
    assert table.trips.count("commit") <= 2 + len(kept) / 100
    target = MemoryTable()
    imported = await import_all(target, REGISTRY, Dump(tmp_path / "a"), TENANT)
    assert (imported.problems, imported.counts) == ([], exported.counts)
    assert len(target.trips) <= 6_000 + 200 + 100
