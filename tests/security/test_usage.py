"""Uses of credentials are noted behind the requests, and what expires is told in time."""

from __future__ import annotations

import asyncio
import json
import logging
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import unquote

import pytest

from dev.credentials import new_key
from scim.security.connections import Connection
from scim.security.keys import fingerprint
from scim.security.usage import Usage, Used, count_days_left, find_due_warning
from scim.store.credentials import Credentials
from scim.store.table import TableUnavailable
from tests.core import cases
from tests.security.conftest import Deployment
from tests.support import Client, Request

CONNECTION = Connection(name="contoso", tenant="t-1", keys=(new_key("contoso"),))  # type: ignore[arg-type]
START = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Log:
    """Keeps uses in memory; fails or waits when told to."""

    def __init__(self) -> None:
        self.known: dict[tuple[str, str], Used] = {}
        self.trips = 0
        self.fault: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def _trip(self) -> None:
        self.trips += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.fault is not None:
            raise self.fault

    async def read_uses(self, connection: str) -> list[Used]:
        await self._trip()
        return [used for (name, _), used in self.known.items() if name == connection]

    async def write_use(self, connection: str, used: Used) -> None:
        await self._trip()
        self.known[connection, used.credential] = used


class Time:
    """The clocks of usage.py, and what it logs."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
        self.now, self.caplog = START, caplog
        outer = self

        class Moment(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return outer.now

        ticks = SimpleNamespace(monotonic=lambda: (self.now - START).total_seconds())
        monkeypatch.setattr("scim.security.usage.datetime", Moment)
        monkeypatch.setattr("scim.security.usage.time", ticks)
        caplog.set_level(logging.INFO, "scim")

    async def note(self, usage: Usage, ends: datetime | None = None, credential: str = "c-1") -> None:
        usage.note(CONNECTION, credential, ends)
        await usage.close()

    def warnings(self) -> list[dict[str, Any]]:
        return expiring(self.caplog)


def expiring(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    """The warnings that were logged: each one a JSON object in one line."""
    lines = [
        record for record in caplog.records if record.name == "scim" and "credential_expiring" in record.getMessage()
    ]
    assert all("\n" not in record.getMessage() and record.levelno == logging.WARNING for record in lines)
    events = [json.loads(record.getMessage()) for record in lines]
    assert all(event["event"] == "credential_expiring" for event in events)
    return events


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Time:
    return Time(monkeypatch, caplog)


async def test_first_and_last_use(clock: Time) -> None:
    log = Log()
    usage = Usage(log, 60)
    await clock.note(usage)
    assert log.known == {("contoso", "c-1"): Used("c-1", START, START)}
    clock.now += timedelta(hours=5)
    await clock.note(usage)
    assert log.known["contoso", "c-1"] == Used("c-1", START, clock.now)


async def test_written_once_in_the_interval(clock: Time) -> None:
    log = Log()
    usage = Usage(log, 60)
    for _ in range(119):
        await clock.note(usage)
        clock.now += timedelta(minutes=1)
    assert log.trips == 2 * 2  # what is known is read, what is new is written
    await clock.note(usage, credential="c-2")
    assert log.trips == 2 * 3
    await clock.note(usage)
    clock.now += timedelta(minutes=1)
    await clock.note(usage)
    assert log.trips == 2 * 4


async def test_nothing_is_noted_with_0_minutes(clock: Time) -> None:
    log = Log()
    for _ in range(3):
        await clock.note(Usage(log, 0), START + timedelta(hours=1))
    assert (log.trips, clock.warnings()) == (0, [])


async def test_noting_returns_at_once_and_closing_waits(clock: Time) -> None:
    log = Log()
    log.gate = asyncio.Event()
    usage = Usage(log, 60)
    usage.note(CONNECTION, "c-1", None)
    await asyncio.sleep(0)
    closing = asyncio.create_task(usage.close())
    await asyncio.sleep(0)
    assert log.known == {} and not closing.done()
    log.gate.set()
    await closing
    assert [*log.known] == [("contoso", "c-1")]


FAULTS = {"down": TableUnavailable("down"), "anything": KeyError("first"), "no time": TimeoutError()}


@pytest.mark.parametrize("fault", cases(FAULTS))
async def test_failure_is_a_warning_and_is_made_up_for(clock: Time, fault: Exception) -> None:
    log = Log()
    log.fault = fault
    usage = Usage(log, 60)
    await clock.note(usage)
    (record,) = clock.caplog.records
    assert (record.levelno, "contoso" in record.getMessage()) == (logging.WARNING, True)
    log.fault = None
    clock.now += timedelta(hours=1)
    await clock.note(usage)
    assert log.known["contoso", "c-1"].last == clock.now


async def test_each_warning_comes_once_in_the_life_of_a_credential(clock: Time) -> None:
    """Several processes that start anew at times, as instances of an app do, used every six hours."""
    log, ends = Log(), START + timedelta(days=40)
    warned: list[tuple[int, int]] = []
    while clock.now < ends:
        for usage in (Usage(log, 60), Usage(log, 60)):
            await clock.note(usage, ends)
            await clock.note(usage, ends)
        warned += [(event["threshold"], event["days"]) for event in clock.warnings()]
        clock.caplog.clear()
        clock.now += timedelta(hours=6)
    assert warned == [(30, 30), (14, 14), (7, 7), (1, 1)]


async def test_warning_names_what_expires(clock: Time) -> None:
    await clock.note(Usage(Log(), 60), START + timedelta(days=6, hours=1))
    (event,) = clock.warnings()
    assert event | {"expires": None} == {
        "event": "credential_expiring",
        "connection": "contoso",
        "tenant": "t-1",
        "credential": "c-1",
        "days": 7,
        "threshold": 7,
        "expires": None,
    }
    assert datetime.fromisoformat(event["expires"]) == START + timedelta(days=6, hours=1)


async def test_rotated_credential_warns_for_itself(clock: Time) -> None:
    log = Log()
    usage = Usage(log, 60)
    await clock.note(usage, START + timedelta(days=3), "old")
    await clock.note(usage, START + timedelta(days=365), "new")
    assert [event["credential"] for event in clock.warnings()] == ["old"]
    clock.now += timedelta(days=364)
    await clock.note(Usage(log, 60), START + timedelta(days=365), "new")
    assert [event["credential"] for event in clock.warnings()] == ["old", "new"]


async def test_later_expiry_warns_anew(clock: Time) -> None:
    log = Log()
    await clock.note(Usage(log, 60), START + timedelta(days=3))
    await clock.note(Usage(log, 60), START + timedelta(days=100))
    clock.now += timedelta(days=96)
    await clock.note(Usage(log, 60), START + timedelta(days=100))
    assert [(event["threshold"], event["days"]) for event in clock.warnings()] == [(7, 3), (7, 4)]


async def test_no_warning_without_an_expiry(clock: Time) -> None:
    await clock.note(Usage(Log(), 60))
    await clock.note(Usage(Log(), 60), START + timedelta(days=30, seconds=1))
    assert clock.warnings() == []


DUE = {
    "never ends": (None, None, None),
    "before the first": (timedelta(days=30, seconds=1), None, 31),
    "30 days": (timedelta(days=30), 30, 30),
    "15 days": (timedelta(days=15), 30, 15),
    "14 days and a second": (timedelta(days=14, seconds=1), 30, 15),
    "14 days": (timedelta(days=14), 14, 14),
    "7 days": (timedelta(days=7), 7, 7),
    "2 days": (timedelta(days=2), 7, 2),
    "1 day": (timedelta(days=1), 1, 1),
    "a second": (timedelta(seconds=1), 1, 1),
    "now": (timedelta(), 1, 0),
}


@pytest.mark.parametrize(("left", "threshold", "days"), cases(DUE))
def test_warning_that_is_due(left: timedelta | None, threshold: int | None, days: int | None) -> None:
    ends = None if left is None else START + left
    assert find_due_warning(ends, START) == threshold
    assert days is None or (ends is not None and count_days_left(ends, START) == days)


# Through the app, on the table.


def about_uses(request: Request) -> bool:
    """Whether a request to the table is for uses of credentials."""
    url = unquote(request.http_request.url)
    return "'~'" in url and "'u " in url


async def noted(deployment: Deployment, name: str) -> list[Used]:
    await deployment.application._built().security.usage.close()
    return await Credentials(deployment.application.table).read_uses(name)


async def works(client: Client) -> bool:
    return (await client.get("/Users?filter=userName+eq+%22nobody%22")).status == 200


async def test_use_is_on_the_table(deployment: Deployment) -> None:
    name, key = deployment.connect()
    before = datetime.now(UTC)
    for _ in range(5):
        assert await works(deployment.client(name, key))
    (used,) = await noted(deployment, name)
    assert used.credential == fingerprint(key)
    assert before <= used.first == used.last <= datetime.now(UTC)
    assert key not in repr(used)
    writes = [trip for trip in deployment.table.trips if not trip.startswith("GET")]
    assert len(writes) == 1


async def test_use_of_an_access_token_is_that_of_its_secret(deployment: Deployment) -> None:
    name, secret = deployment.connect(kind="oauth")
    await deployment.run("rotate-signing-keys")
    answer = await deployment.token(grant_type="client_credentials", client_id=name, client_secret=secret)
    assert await works(deployment.client(name, answer.json["access_token"]))
    assert [used.credential for used in await noted(deployment, name)] == [fingerprint(secret)]


REFUSED: dict[str, dict[str, Any]] = {
    "expired": {"expires": "2026-01-01T00:00:00Z"},
    "paused": {"paused": "2026-01-01T00:00:00Z"},
    "revoked": {"revoked": "2026-01-01T00:00:00Z"},
}


@pytest.mark.parametrize("members", cases(REFUSED))
async def test_refused_request_is_no_use(deployment: Deployment, members: dict[str, Any]) -> None:
    name, key = deployment.connect(**members)
    assert not await works(deployment.client(name, key))
    assert await noted(deployment, name) == []


async def test_table_that_fails_for_uses_fails_no_request(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    name, key = deployment.connect()
    failed = []

    def fail(request: Request) -> Exception | None:
        if about_uses(request):
            failed.append(request)
            return ConnectionError("reset")
        return None

    deployment.table.before = fail
    assert await works(deployment.client(name, key))
    deployment.table.before = None
    assert await noted(deployment, name) == []
    assert failed
    records = [record for record in caplog.records if "was not noted" in record.getMessage()]
    assert [(record.levelno, name in record.getMessage()) for record in records] == [(logging.WARNING, True)]


async def test_expiring_key_is_told_once(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "scim")
    name = deployment.name()
    added = await deployment.tool("add", name, "--expires", "5d")
    key = added["enter"]["Secret Token"]
    for _ in range(3):
        assert await works(deployment.client(name, key))
    await noted(deployment, name)
    (event,) = expiring(caplog)
    assert (event["connection"], event["credential"], event["days"], event["threshold"]) == (
        name,
        fingerprint(key),
        5,
        7,
    )
    assert key not in caplog.text
