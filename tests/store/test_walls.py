"""Walls: one bad row, busy tenant or long request harms nobody else, and a bulk request tells what became of each part.

Time is a clock that the tests move, so nothing here waits or measures.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scim.settings import Settings
from scim.store import housekeeping, keys, properties, sequences, tenants, transactions
from scim.store.members import Member
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import PAGE_ROWS, Row, Table, TableUnavailable, Write
from tests.core import GROUP_TYPE, USER_TYPE, cases
from tests.store.memory import Door, Faulty, MemoryTable, create

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
MEMBERS = [Member(f"member {n:04}") for n in range(200)]


async def deleted_group(table: MemoryTable, tenant: str) -> None:
    """A tenant in which housekeeping has a job."""
    store = Store(table)
    group = await create(store, tenant, GROUP_TYPE, {"displayName": "all"}, MEMBERS)
    await store.of(tenant).resources.delete(GROUP_TYPE, group)


def pending_in(table: MemoryTable, tenant: str) -> int:
    return sum(row.key.startswith("p ") for row in table.rows(tenant))


def bulk(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [BULK], "Operations": list(operations)}


def post(number: int, **more: Any) -> dict[str, Any]:
    data = {"userName": f"user {number}", **more}
    return {"method": "POST", "path": "/Users", "bulkId": str(number), "data": data}


# Housekeeping.

POISON: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "pending row without a document": ("aaa", {"p 20200101T000000 0000": {"write": "x", "body": "{}"}}),
    "pending row of a newer version": ("aaa", {"p 20200101T000000 0000": {"v": 99, "doc0": "{}"}}),
    "pending row of an unknown kind": ("aaa", {"p 20200101T000000 0000": {"doc0": '{"kind":"later"}'}}),
    "change row that is no JSON": ("aaa", {"c g-x": {"doc0": "{", "beat": "2020-01-01T00:00:00.000Z"}}),
    "change row with a beat that is no time": ("aaa", {"c g-x": {"doc0": "[]", "beat": "soon"}}),
    "bookmark without a time": ("aaa", {"b q 1": {"type": "User", "next": "u-x", "total": 3}}),
    "tenant row without a time": (SHARED, {"t aaa": {"tenant": "aaa"}}),
    "tenant row without a tenant": (SHARED, {"t aab": {}}),
    "place of the last run that is a number": (SHARED, {"k housekeeping": {"reached": 7}}),
}


@pytest.mark.parametrize(("partition", "poison"), cases(POISON))
async def test_row_that_cannot_be_read_stops_nobody(partition: str, poison: dict[str, dict[str, Any]]) -> None:
    table = MemoryTable()
    for tenant in ("aaa", "zzz"):
        await deleted_group(table, tenant)
    table.load(partition, poison)
    assert await Store(table).housekeeping.run(everything=True) >= 2
    assert pending_in(table, "zzz") == 0
    assert pending_in(table, "aaa") == (1 if any(key.startswith("p ") for key in poison) else 0)


class Busy(Faulty):
    """A tenant's partition takes no writes."""

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        if partition == "aaa":
            raise TableUnavailable("503 ServerBusy")
        return await super().commit(partition, writes)


async def test_busy_tenant_stops_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TRIP_SECONDS", 0.1)
    table = MemoryTable()
    for tenant in ("aaa", "zzz"):
        await deleted_group(table, tenant)
    assert await Store(Busy(table)).housekeeping.run(everything=True) == 1
    assert (pending_in(table, "aaa"), pending_in(table, "zzz")) == (1, 0)


async def test_table_that_does_not_answer_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TRIP_SECONDS", 0.1)
    table = MemoryTable()
    await deleted_group(table, "aaa")
    with pytest.raises(TableUnavailable):
        await Store(Busy(table)).housekeeping.run(everything=True)


class Clock:
    """The event loop's time, which only trips move."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, start: float = 1000.0) -> None:
        self.now = start
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "time", lambda: self.now)


class Slow(Faulty):
    """Every trip takes its time on the clock; those that are under way at once take it together."""

    def __init__(self, table: Table, clock: Clock, seconds: float) -> None:
        super().__init__(table)
        self._clock = clock
        self._seconds = seconds
        self._under_way = 0

    async def _pass(self) -> None:
        self._under_way += 1
        await asyncio.sleep(0)  # the others of this round come in
        self._clock.now += self._seconds / max(1, self._under_way)
        await asyncio.sleep(0)
        self._under_way -= 1

    async def read(self, partition: str, key: str) -> Row | None:
        await self._pass()
        return await super().read(partition, key)

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        async for page in super().pages(partition, start, end, size=size, keys_only=keys_only):
            await self._pass()
            yield page

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        await self._pass()
        return await super().commit(partition, writes)


async def test_run_ends_in_its_time_and_the_next_begins_behind_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten tenants, of which a run can serve a few: each has its turn, none twice before the others."""
    table = MemoryTable()
    names = [f"t{n}" for n in range(10)]
    for name in names:
        await deleted_group(table, name)
    clock = Clock(monkeypatch)
    runs = 0
    while any(pending_in(table, name) for name in names):
        began, runs = clock.now, runs + 1
        await Store(Slow(table, clock, 1.0)).housekeeping.run(everything=True, seconds=30.0)
        assert clock.now - began <= 30.0 + 10.0  # a step that was under way ends
        assert runs < 30
    assert runs > 3


def deletions(number: int) -> dict[str, dict[str, Any]]:
    """Pending rows as so many deleted users leave them."""
    due = datetime.now(UTC) - timedelta(minutes=10)
    notes = {}
    for n in range(number):
        content = {"kind": "detach", "id": f"u-{n:024}", "members": False}
        stamp = (due + timedelta(milliseconds=n)).strftime("%Y%m%dT%H%M%S")
        notes[f"p {stamp} {n:016x}"] = {"v": 1, "write": f"{n}", **properties.split_document(content)}
    return notes


async def test_deletions_leave_no_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    """25 deletions a second are 7,500 between two runs; at 10 ms a trip a run has time for several times as many."""
    table = MemoryTable()
    table.load("tenant", deletions(7_500))
    table.load(SHARED, {"t tenant": {"tenant": "tenant", "touched": "2099"}})
    clock = Clock(monkeypatch)
    began = clock.now
    assert await Store(Slow(table, clock, 0.01)).housekeeping.run() == 7_500
    assert pending_in(table, "tenant") == 0
    assert clock.now - began < housekeeping.SECONDS / 3


async def test_receipts_are_removed_when_no_copy_can_come_any_more() -> None:
    table = MemoryTable()
    old = (datetime.now(UTC) - timedelta(minutes=11)).strftime("%Y%m%dT%H%M")
    new = datetime.now(UTC).strftime("%Y%m%dT%H%M")
    table.load("tenant", {f"w {time} {n:016x}": {} for time in (old, new) for n in range(250)})
    table.load(SHARED, {"t tenant": {"tenant": "tenant", "touched": "2099"}})
    table.reset()
    await Store(table).housekeeping.run()
    assert {row.key.split(" ")[1] for row in table.rows("tenant")} == {new}
    assert table.trips.count("commit") == 3 + 1  # and the tenant's figures


async def test_tenant_of_many_receipts_is_announced() -> None:
    """Housekeeping must hear of them, though an ordinary change takes one trip."""
    table = MemoryTable()
    store = Store(table)
    for _ in range(2 * tenants._RECEIPTS_UNTOLD):
        await store.of("tenant").pending.count_receipt()
    assert [row.key for row in table.rows(SHARED)] == ["t tenant"]


async def test_one_that_fails_does_not_undo_what_others_did(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transactions, "TRIP_SECONDS", 0.1)
    table = MemoryTable()
    table.load("tenant", deletions(20))
    table.load(SHARED, {"t tenant": {"tenant": "tenant", "touched": "2099"}})

    class Away(Faulty):
        async def read(self, partition: str, key: str) -> Row | None:
            if key.endswith(f"{7:024}"):
                raise TableUnavailable("503 ServerBusy")
            return await super().read(partition, key)

    with pytest.raises(TableUnavailable):  # of the only tenant
        await Store(Away(table)).housekeeping.run()
    assert pending_in(table, "tenant") == 1


# A request ends by itself.


async def test_long_patch_ends_in_its_time_and_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    table = MemoryTable()
    group = (await Door(table).client.post("/Groups", {"displayName": "all"})).json["id"]
    members = [{"value": f"member {n:05}"} for n in range(10_000)]
    clock = Clock(monkeypatch)
    client = Door(Slow(table, clock, 0.5)).client
    began = clock.now
    response = await client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": members})
    assert (response.status, response.headers["retry-after"]) == (503, "30")
    assert "longer than" in response.json["detail"]
    assert 90 <= clock.now - began < 95
    monkeypatch.undo()
    monkeypatch.setattr(sequences, "STALLED", 0.0)
    assert await Store(table).housekeeping.run() == 1
    assert len([m async for m in Store(table).of("tenant").members.read_members(group)]) == 10_000


async def test_long_bulk_request_tells_what_was_done(monkeypatch: pytest.MonkeyPatch) -> None:
    table = MemoryTable()
    group = (await Door(table).client.post("/Groups", {"displayName": "all"})).json["id"]
    clock = Clock(monkeypatch)
    data = [{"Operations": [{"op": "add", "path": "members", "value": [{"value": f"x{n}"}]}]} for n in range(500)]
    operations = [{"method": "PATCH", "path": f"/Groups/{group}", "data": one} for one in data]
    began = clock.now
    response = await Door(Slow(table, clock, 0.5)).client.request("POST", "/Bulk", bulk(*operations))
    assert response.status == 200
    assert 90 <= clock.now - began < 95
    statuses = [one["status"] for one in response.json["Operations"]]
    assert len(statuses) == 500 and set(statuses) == {"204", "503"}
    assert statuses == sorted(statuses)
    held = {member.value async for _, member in Store(table).of("tenant").members.read_members(group)}
    assert held == {f"x{n}" for n in range(statuses.count("204"))}


async def test_bulk_that_runs_out_of_time_tells_what_it_made(monkeypatch: pytest.MonkeyPatch) -> None:
    table = MemoryTable()
    clock = Clock(monkeypatch)
    operations = [post(n, externalId=f"{n}", emails=[{"value": f"{n}@x"}]) for n in range(400)]
    response = await Door(Slow(table, clock, 5.0)).client.request("POST", "/Bulk", bulk(*operations))
    made = sum(row.key.startswith("r u-") for row in table.rows("tenant"))
    statuses = Counter(one["status"] for one in response.json["Operations"])
    assert set(statuses) == {"201", "503"}
    assert made - 25 <= statuses["201"] <= made  # of the transaction that was cut off nobody knows


def test_deadline_comes_before_the_host_ends_the_process() -> None:
    timeout = json.loads((Path(__file__).parents[2] / "host.json").read_text())["functionTimeout"]
    hours, minutes, seconds = map(int, timeout.split(":"))
    host = timedelta(hours=hours, minutes=minutes, seconds=seconds).total_seconds()
    assert max(Settings.model_fields["request_seconds"].default, housekeeping.SECONDS) + 20 < host


async def test_group_that_cannot_be_written_in_time_is_refused_at_once() -> None:
    table = MemoryTable()
    members = [{"value": f"{n}"} for n in range(45_001)]
    table.reset()
    response = await Door(table).client.post("/Groups", {"displayName": "all", "members": members})
    assert (response.status, table.rows("tenant")) == (413, [])
    assert "45000" in response.json["detail"] and "PATCH" in response.json["detail"]


# Bulk tells the truth.


async def test_bulk_reports_what_a_lost_transaction_made(monkeypatch: pytest.MonkeyPatch) -> None:
    """Storage fails for the second shared transaction only after it was done, and then for good."""
    monkeypatch.setattr(transactions, "TRIP_SECONDS", 0.2)
    for before in (True, False):
        table = MemoryTable()
        wire, shared = Faulty(table), [0]

        async def fail(_: int, writes: Sequence[Write], shared: list[int] = shared) -> None:
            if len(writes) > 10:
                shared[0] += 1
                if shared[0] >= 2:
                    raise TableUnavailable("503 ServerBusy")

        wire.disturb(before=fail if before else None, after=None if before else fail)
        response = await Door(wire).client.request("POST", "/Bulk", bulk(*(post(n) for n in range(60))))
        assert Counter(one["status"] for one in response.json["Operations"]) == {"201": 60}
        assert sum(row.key.startswith("r u-") for row in table.rows("tenant")) == 60


async def test_bulk_cuts_shared_transactions_by_bytes() -> None:
    table = MemoryTable()
    large = [post(n, **{"urn:x:y": {"text": "я" * 150_000}}) for n in range(6)]
    group = {"method": "POST", "path": "/Groups", "bulkId": "g", "data": {"displayName": "made first"}}
    response = await Door(table).client.request("POST", "/Bulk", bulk(group, *large))
    assert response.status == 200
    assert [one["status"] for one in response.json["Operations"]] == ["201"] * 7
    assert sum(row.key.startswith("r ") for row in table.rows("tenant")) == 7


@pytest.mark.parametrize("error", [RuntimeError("a fault of ours"), MemoryError()], ids=["fault", "memory"])
async def test_bulk_reports_the_others_when_one_fails(error: Exception) -> None:
    table = MemoryTable()
    wire = Faulty(table)

    async def fail(_: int, writes: Sequence[Write]) -> None:
        if any("user!201" in write.key for write in writes):
            raise error

    wire.disturb(before=fail)
    one_by_one = {**bulk(*(post(n) for n in range(3))), "failOnErrors": 3}
    response = await Door(wire).client.request("POST", "/Bulk", one_by_one)
    assert [one["status"] for one in response.json["Operations"]] == ["201", "500", "201"]
    assert "log" in response.json["Operations"][1]["response"]["detail"]


async def test_shared_transactions_that_are_too_large_after_all_are_made_one_by_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from scim.store import batches

    monkeypatch.setattr(batches, "TRANSACTION_BYTES", 2**30)
    large = [post(n, **{"urn:x:y": {"text": "я" * 150_000}}) for n in range(6)]
    table = MemoryTable()
    response = await Door(table).client.request("POST", "/Bulk", bulk(*large))
    assert [one["status"] for one in response.json["Operations"]] == ["201"] * 6


async def test_estimate_of_bytes_is_never_too_low() -> None:
    from scim.store.resource_rows import measure_write
    from tests.store.memory import _bytes

    for text in ("a" * 1000, '"\\' * 500, "я" * 500, "😀" * 500, "%/ #" * 100):
        write = Write("insert", f"x u username {keys.encode(text)}", {"id": "u-1", "doc0": json.dumps({"t": text})})
        assert measure_write(write) >= _bytes(write)


async def test_users_made_together_keep_their_ids_when_they_are_made_again() -> None:
    """What was made after all is found by its id, not refused for its own name."""
    table = MemoryTable()
    store = Store(table)
    made = await create(store, "tenant", USER_TYPE, {"userName": "ada"})
    from scim.store.resource_rows import Creation

    again = await store.of("tenant").resources.create(Creation(made.id, USER_TYPE, {"userName": "ada"}))
    assert again.id == made.id and again.document == made.document
