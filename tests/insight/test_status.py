"""How a tenant's connections do, read as an operator reads it, and the minutes as CSV."""

from __future__ import annotations

import asyncio
import csv
import io
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from scim.counters import Counts, Minute
from scim.insight import counts
from scim.insight.cycles import split_cycles
from scim.insight.status import Status, read_status
from scim.security.connections import Connection
from scim.store.shared_keys import SHARED
from tests.insight.place import KEYS, TENANT, Place
from tests.store.memory import MemoryTable

NOW = datetime.now(UTC)


async def plant(table: MemoryTable, ago: int, *minutes: Counts, tenant: str = TENANT) -> None:
    """Count these minutes, the first of which was so many minutes ago."""
    at = int(NOW.timestamp() // 60) - ago
    for number, counted in enumerate(minutes):
        await table.commit(tenant, [counts.build_minute(Minute(tenant, "contoso", at + number), counted, "p")])


async def status(table: MemoryTable, expected: int | None = None, **members: object) -> Status:
    connection = Connection(name="contoso", tenant=TENANT, keys=(KEYS["contoso"],), **members)  # type: ignore[arg-type]

    async def look_up(_: Iterable[str]) -> list[Connection]:
        return [connection]

    return await read_status(table, TENANT, look_up, now=NOW, expected=expected)


WELL: Counts = {"requests": 60, "matches": 30, "writes": 30, "creates": 30}
CASES: list[tuple[str, int, list[Counts], int | None, dict[str, object], list[str]]] = [
    ("all is well", 20, [WELL], None, {}, ["60 requests, 30 created", "next cycle expected", "Nothing to do."]),
    (
        "a cycle goes on",
        3,
        [WELL, WELL, WELL],
        900,
        {},
        ["goes on", "90 created, 30 a minute, of 900 expected, some 27 "],
    ),
    ("it is overdue", 100, [WELL], None, {}, ["has not come", "quarantine (then it tries once a day)"]),
    (
        "half of it fails",
        20,
        [{"requests": 200, "writes": 100, "failedWrites": 50}],
        None,
        {},
        ["50 of what Entra sent failed (50 %)", "From 5,000 failures on, more than 40 %"],
    ),
    (
        "more than Entra bears",
        20,
        [{"requests": 20_000, "writes": 10_000, "failedWrites": 6_000}],
        None,
        {},
        ["6,000 of what Entra sent failed (60 %): it puts the job into quarantine"],
    ),
    (
        "nothing but refusals",
        20,
        [{"requests": 5, "refused": 5}],
        None,
        {},
        ["Every request of the last cycle was refused", "at once"],
    ),
    (
        "a credential expires",
        20,
        [WELL],
        None,
        {"expires": NOW + timedelta(days=6, hours=1)},
        ["expires in 6 days", "connections rotate contoso"],
    ),
    (
        "it is paused",
        20,
        [WELL],
        None,
        {"paused": NOW - timedelta(hours=1)},
        ["What to do: Connection contoso is paused since"],
    ),
    ("nobody calls", 0, [], None, {}, ["no request in 30 days", "Test connection reaches"]),
    ("the last was weeks ago", 20 * 24 * 60, [WELL], None, {}, ["has not come"]),
]


@pytest.mark.parametrize(
    ("ago", "minutes", "expected", "members", "words"), [case[1:] for case in CASES], ids=[case[0] for case in CASES]
)
async def test_what_an_operator_reads(
    ago: int, minutes: list[Counts], expected: int | None, members: dict[str, object], words: list[str]
) -> None:
    table = MemoryTable()
    await plant(table, ago, *minutes)
    read = "\n".join((await status(table, expected, **members)).lines())
    assert [word for word in words if word not in read] == [], read


def test_cycles_are_ten_minutes_apart() -> None:
    minutes = {number: {"requests": number} for number in (1, 2, 12, 23, 24)}
    found = [(cycle.first.minute, cycle.last.minute, cycle.counts["requests"]) for cycle in split_cycles(minutes)]
    assert found == [(1, 12, 15), (23, 24, 47)]


async def test_the_status_of_a_real_cycle_counts_who_fails() -> None:
    place = Place()
    await place.client().new_user("adele")
    for number in range(3):
        await place.client().post("/Users", {"userName": f"user{number}", "active": "perhaps"})
    await place.client("contoso-expired").get("/Users")
    await place.settle()
    found = (await place.manage("/contoso/status?expect=100")).json
    assert found["failingSubjects"] == 3
    connections = {each["name"]: each for each in found["connections"]}
    cycle = connections["contoso"]["cycle"]
    assert (cycle["running"], cycle["counts"]["creates"], cycle["counts"]["failedWrites"]) == (True, 1, 3)
    assert connections["contoso"]["progress"]["entraMinutes"] == [1.0, 8.0]
    assert "expired on" in connections["contoso-expired"]["trouble"]
    assert any("contoso-expired" in text for text in found["advice"])


async def test_metrics_are_minutes_as_csv() -> None:
    place = Place()
    await plant(place.table, 3 * 60, {**WELL, "failed_uniqueness": 2, "failed_404": 1}, WELL)
    await counts.roll_up(place.table, TENANT)
    await place.client().new_user("adele")
    await place.settle()
    answer = await place.manage("/contoso/metrics.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    lines = list(csv.DictReader(io.StringIO(answer.body.decode())))
    assert [(line["connection"], line["creates"]) for line in lines] == [
        ("contoso", each) for each in ("30", "30", "1")
    ]
    assert lines[0]["failures"] == "404=1 uniqueness=2"


class _Slow(MemoryTable):
    """A table that is five milliseconds away."""

    async def _trip(self, kind: str) -> None:
        self.trips.append(kind)
        await asyncio.sleep(0.005)


async def test_the_status_of_many_tenants_takes_five_trips_each() -> None:
    table = _Slow()
    names = [f"tenant{number}" for number in range(100)]
    for name in names:
        await plant(table, 20, WELL, tenant=name)
    table.reset()
    places = asyncio.Semaphore(16)

    async def look_up(_: Iterable[str]) -> list[Connection]:
        return []

    async def read(name: str) -> Status:
        async with places:
            return await read_status(table, name, look_up, now=NOW)

    started = time.monotonic()
    found = await asyncio.gather(*map(read, names))
    print(f"status of {len(names)} tenants: {time.monotonic() - started:.2f} s")
    assert all(each.connections for each in found)
    assert len(table.trips) == 5 * len(names)
    assert table.rows(SHARED) == []
