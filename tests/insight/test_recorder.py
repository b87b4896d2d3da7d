"""Who was refused is kept behind the responses, bounded; what is counted is kept by the minute, then by the hour."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scim.counters import Counters, Minute
from scim.insight import counts
from scim.insight.failures import Failure, parse_failure, read_failures
from scim.insight.keeping import Keeping
from scim.insight.recorder import ROWS_A_SECOND
from scim.store import keys
from scim.store.table import Row
from tests.insight.place import TENANT, Place
from tests.store.memory import MemoryTable


@pytest.fixture
def place() -> Place:
    return Place()


async def failures(place: Place) -> list[Failure]:
    await place.settle()
    return [each async for page in read_failures(place.table, TENANT) for each in page]


REFUSED: list[tuple[str, str, str, Any, dict[str, Any]]] = [
    (
        "a userName that is taken",
        "POST",
        "/Users",
        {"userName": "ADELE@contoso.example", "externalId": "e2"},
        {"kind": "User", "subject": "adele@contoso.example", "status": 409, "scim_type": "uniqueness"},
    ),
    (
        "no userName",
        "POST",
        "/Users",
        {"externalId": "e3", "displayName": "Diego"},
        {"kind": "User", "subject": "diego", "status": 400, "attribute": "userName", "rule": "required"},
    ),
    (
        "a value of another type",
        "POST",
        "/Users",
        {"userName": "isaiah", "emails": [{"value": "isaiah@contoso.example"}], "active": "perhaps"},
        {"kind": "User", "subject": "isaiah", "status": 400, "attribute": "active", "rule": "type"},
    ),
    (
        "a PATCH of nobody",
        "PATCH",
        "/Users/u-nobody",
        {"Operations": [{"op": "replace", "path": "userName", "value": "joni"}]},
        {"kind": "User", "subject": "u-nobody", "status": 404, "named": {"id": "u-nobody", "userName": "joni"}},
    ),
    (
        "a match that cannot be made",
        "GET",
        '/Users?filter=nickname2+eq+"Lee"',
        None,
        {"kind": "User", "subject": "lee", "status": 400, "scim_type": "invalidFilter"},
    ),
    ("a body that is none", "POST", "/Users", b"{", {"kind": "-", "subject": "POST Users", "status": 400}),
    ("a group", "POST", "/Groups", {"externalId": "g1"}, {"kind": "Group", "subject": "g1", "status": 400}),
]


@pytest.mark.parametrize(
    ("method", "path", "body", "expected"), [case[1:] for case in REFUSED], ids=[c[0] for c in REFUSED]
)
async def test_a_refused_subject_has_a_row(
    place: Place, method: str, path: str, body: Any, expected: dict[str, Any]
) -> None:
    client = place.client()
    await client.new_user("adele@contoso.example")
    content = body if isinstance(body, bytes) else None
    answer = await client.request(method, path, None if content else body, content=content)
    [failure] = await failures(place)
    assert {name: getattr(failure, name) for name in expected} == expected
    assert failure.detail == answer.json["detail"]
    assert (failure.connection, failure.count) == ("contoso", 1)
    assert failure.request == answer.headers["x-request-id"]


async def test_what_always_fails_is_one_row_that_counts(place: Place) -> None:
    for _ in range(5):
        await place.client().post("/Users", {"userName": "adele", "active": "perhaps"})
    await place.settle()
    await place.client().post("/Users", {"userName": "Adele", "active": "perhaps"})
    [failure] = await failures(place)
    assert (failure.count, failure.first <= failure.last) == (6, True)


async def test_bulk_operations_that_fail_are_told_apart(place: Place) -> None:
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(number), "data": {"userName": f"user{number}", **more}}
        for number, more in enumerate([{}, {"active": "perhaps"}, {}, {"emails": 7}])
    ]
    await place.client().post("/Bulk", {"Operations": operations})
    found = await failures(place)
    assert [(each.subject, each.status) for each in found] == [("user1", 400), ("user3", 400)]
    [row] = [row for row in place.table.rows(TENANT) if row.key.startswith("k m ")]
    counted = next(iter(counts.parse_counts(row)[1].values()))
    assert {"writes": 4, "failedWrites": 2, "creates": 2}.items() <= counted.items()


@pytest.mark.parametrize(
    ("connection", "method", "reason"),
    [
        ("contoso-expired", "GET", "expired"),
        ("contoso-paused", "GET", "paused"),
        ("contoso-reader", "POST", "read-only"),
    ],
)
async def test_a_connection_that_is_refused_is_told_once_a_minute(
    place: Place, connection: str, method: str, reason: str
) -> None:
    for number in range(3):
        await place.client(connection).request(method, "/Users", {"userName": f"user{number}"})
    [failure] = await failures(place)
    assert (failure.kind, failure.subject, failure.reason, failure.count) == ("~", connection, reason, 1)


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/Users/u-nobody"), ("GET", '/Users?filter=userName+eq+"nobody"'), ("GET", "/Users")]
)
async def test_what_says_nothing_of_anybody_leaves_no_row(place: Place, method: str, path: str) -> None:
    await place.client().request(method, path)
    assert await failures(place) == []


async def test_strangers_and_other_tenants_leave_nothing(place: Place) -> None:
    client = place.client()
    client.token = client.token[:-1] + ("A" if client.token[-1] != "A" else "B")
    await client.post("/Users", {"userName": "adele", "active": "perhaps"})
    await place.client("fabrikam").post("/Users", {"userName": "adele", "active": "perhaps"})
    assert await failures(place) == []
    assert [row.key for row in place.table.rows("fabrikam") if row.key.startswith("f ")] == ["f User adele"]


async def test_a_refusal_costs_two_trips_behind_its_response_and_a_success_none(place: Place) -> None:
    await place.client().post("/Users", {"userName": "x", "active": "perhaps"})
    await place.settle()
    place.table.reset()
    await place.client().post("/Users", {"userName": "adele"})
    assert place.table.trips == ["commit"]
    place.table.reset()
    await place.client().post("/Users", {"userName": "diego", "active": "perhaps"})
    assert place.table.trips == []
    await asyncio.sleep(0)
    recorder = place.application._observer._recorder
    assert recorder is not None
    assert recorder._worker is not None
    await recorder._worker
    assert place.table.trips == ["read", "commit"]


async def test_no_more_than_so_many_rows_go_at_once_and_tenants_take_turns(place: Place) -> None:
    recorder = place.application._observer._find_recorder()
    assert recorder is None  # nothing was built yet
    await place.client().get("/Users")
    recorder = place.application._observer._find_recorder()
    assert recorder is not None
    for number in range(ROWS_A_SECOND * 3):
        failure = Failure("User", f"user{number}", "2026-01-01T00:00:00Z", "POST Users", 400, "", "", "contoso")
        recorder._waiting.setdefault("contoso", {})[failure.key] = failure
    recorder._waiting["fabrikam"] = {failure.key: failure}
    taken = recorder._take()
    assert (len(taken["contoso"]), len(taken["fabrikam"])) == (ROWS_A_SECOND - 1, 1)


async def test_as_many_rows_as_subjects_however_many_cycles_fail(place: Place) -> None:
    await place.client().get("/Users")
    recorder = place.application._observer._find_recorder()
    assert recorder is not None
    for cycle in range(3):
        time = f"2026-01-0{cycle + 1}T00:00:00Z"
        batch = [
            Failure("User", f"user{number}", time, "POST Users", 400, "no", "r", "contoso") for number in range(1000)
        ]
        for at in range(0, len(batch), ROWS_A_SECOND):
            await recorder._write(TENANT, batch[at : at + ROWS_A_SECOND])
    rows = [parse_failure(row) for row in place.table.rows(TENANT) if row.key.startswith("f ")]
    assert len(rows) == 1000
    assert {(row.count, row.first[:10], row.last[:10]) for row in rows} == {(3, "2026-01-01", "2026-01-03")}


IMPORTED = """
import asyncio, json, sys
import function_app
from scim.http import Request
ask = lambda method, body: function_app.application.handle(
    Request(method, "https://x.test/scim/Users", {"authorization": f"Bearer {sys.argv[1]}"}, body))
from tests.store.memory import MemoryTable
function_app.application._table = MemoryTable()
loaded = lambda: any(name.startswith("scim.insight") for name in sys.modules)
async def main():
    found = []
    for method, body in ("GET", b""), ("POST", b'{"userName": "a"}'), ("POST", b'{"userName": "a"}'):
        status = (await ask(method, body)).status
        await asyncio.sleep(0.01)
        found.append([status, loaded()])
    print(json.dumps(found))
asyncio.run(main())
"""


def test_only_a_request_that_fails_loads_what_records() -> None:
    from dev.credentials import SEALS, new_key

    key = new_key("contoso")
    environment = {
        "PATH": "",
        "SCIM_TABLE_CONNECTION_STRING": "none",
        "SCIM_CONNECTIONS": json.dumps({"contoso": {"tenant": "contoso", "keys": [key]}}),
        "SCIM_SEALS": SEALS,
    }
    command = [sys.executable, "-c", IMPORTED, key]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == [[200, False], [201, False], [409, True]]


# Counters -------------------------------------------------------------------------------------------------------------


async def test_a_minute_counts_what_a_connection_did(place: Place) -> None:
    client = place.client()
    user = await client.new_user("adele")
    group = (await client.post("/Groups", {"displayName": "Sales"})).json
    await client.get('/Users?filter=userName+eq+"adele"')
    await client.get(f"/Users/{user['id']}")
    await client.patch(f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": False})
    await client.delete(f"/Users/{user['id']}")
    await client.post("/Users", {"userName": "adele", "active": "perhaps"})
    await place.settle()
    found = await counts.read_minutes(place.table, TENANT, datetime.now(UTC) - timedelta(hours=1))
    counted = counts.total(found["contoso"].values())
    latencies = {name: number for name, number in counted.items() if name.startswith(("ms", "over"))}
    assert sum(latencies.values()) == 8
    assert {name: number for name, number in counted.items() if name not in latencies} == {
        "requests": 8,
        "matches": 1,
        "reads": 1,
        "writes": 6,
        "creates": 2,
        "updates": 2,
        "disables": 1,
        "deletes": 1,
        "added": 1,
        "failedWrites": 1,
        "failed_invalidValue": 1,
    }


async def test_minutes_become_an_hour_once_whatever_comes_late() -> None:
    table, now = MemoryTable(), datetime(2026, 12, 1, 6, 30, tzinfo=UTC)
    at = int(datetime(2026, 12, 1, 4, 0, tzinfo=UTC).timestamp() // 60)
    for number in range(130):
        for process in ("a", "b"):
            write = counts.build_minute(
                Minute(TENANT, "contoso", at + number), {"requests": 1, "creates": number}, process
            )
            await table.commit(TENANT, [write])
    before = await counts.read_minutes(table, TENANT, now - timedelta(hours=5))
    assert await counts.roll_up(table, TENANT, now) == 240
    assert await counts.read_minutes(table, TENANT, now - timedelta(hours=5)) == before
    late = counts.build_minute(Minute(TENANT, "contoso", at), {"requests": 5}, "c")
    await table.commit(TENANT, [late])
    await counts.roll_up(table, TENANT, now)
    after = await counts.read_minutes(table, TENANT, now - timedelta(hours=5))
    assert after["contoso"][at] == {"requests": 7, "creates": 0}
    kinds = [row.key.split(" ")[1] for row in table.rows(TENANT)]
    assert (kinds.count("h"), kinds.count("m")) == (2, 20)


async def test_nothing_is_kept_for_longer_than_thirty_days(place: Place) -> None:
    await place.client().post("/Users", {"userName": "adele", "active": "perhaps"})
    await place.settle()
    later = datetime.now(UTC) + timedelta(days=29)
    await Keeping(place.table).keep(TENANT, later)
    assert (len(place.rows("f")), len(place.rows("k"))) == (1, 1)
    assert place.rows("k")[0].startswith("k h ")
    await Keeping(place.table).keep(TENANT, later + timedelta(days=2))
    assert (place.rows("f"), place.rows("k")) == ([], [])


def test_counters_are_bounded() -> None:
    counters = Counters()
    counters._minutes = {Minute("t", f"c{number}", 0): {} for number in range(5000)}
    from scim.http import Request, Response
    from scim.trace import Trace

    trace = Trace("r", tenant="t", connection="new", admitted=True)
    counters.count(Request("GET", "https://x.test/scim/Users"), Response(200, {}), trace, 1.0)
    assert counters.take() == {}


def test_keys_tell_what_they_are() -> None:
    start, end = keys.counters_range("20261201T04")
    inside = [keys.hour_key("20261201T04", "c"), keys.minute_key("20261130T0000", "c", "p")]
    assert all(start <= key < end for key in inside)
    assert not start <= keys.hour_key("20261201T03", "c") < end
    assert counts.parse_counts(Row(inside[0], {"doc0": '{"7":{"requests":1}}'}, ""))[0] == "c"
