"""Reading the feed: over HTTP by an operator's connection, and what cursors promise."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.credentials import SEALS, new_key
from scim import deadline
from scim.app import Application
from scim.feed import log as log_module
from scim.feed.following import Following
from scim.feed.log import BadCursor, Gone, Log
from scim.feed.sequencer import Head, Sequencer
from scim.http import Request, Response
from scim.operate.check import examine, fix, list_problems
from scim.operate.tenants.erasing import erase
from scim.settings import Settings
from scim.store import keys, properties
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import TableUnavailable, Write
from tests.core import REGISTRY, USER_TYPE, cases
from tests.feed.reader import check_log, read_all
from tests.store.memory import Faulty, MemoryTable, create

TENANT = "contoso"
OPERATORS: dict[str, Any] = {
    "follower": {"tenants": "*", "rights": ["feed"]},
    "fabrikams": {"tenants": ["fabrikam"], "rights": ["feed", "read"]},
    "reader": {"tenants": "*", "rights": ["read"]},
}
KEYS = {name: new_key(name) for name in ("contoso", "fabrikam", *OPERATORS)}


@dataclass
class App:
    """An app of two customers and some operators, on a table in memory."""

    table: MemoryTable
    application: Application

    async def ask(self, who: str, path: str, method: str = "GET", body: object = None) -> Response:
        data = b"" if body is None else json.dumps(body).encode()
        headers = {"host": "scim.test", "authorization": f"Bearer {KEYS[who]}", "content-type": "application/scim+json"}
        return await self.application.handle(Request(method, f"https://scim.test{path}", headers, data))

    async def post(self, who: str, name: str) -> str:
        response = await self.ask(who, "/scim/Users", "POST", {"schemas": [], "userName": name})
        assert response.status == 201
        return str(response.body["id"])  # type: ignore[index]


def application(table: MemoryTable, **more: str) -> Application:
    connections: dict[str, Any] = {name: {"tenant": name, "keys": [KEYS[name]]} for name in ("contoso", "fabrikam")}
    connections |= {name: {"operator": operator, "keys": [KEYS[name]]} for name, operator in OPERATORS.items()}
    configured = {
        "SCIM_TABLE_CONNECTION_STRING": "none",
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_USAGE_MINUTES": "0",
        "SCIM_FEED_SECONDS": "0",
        "SCIM_TENANT_RATE": "0",
        **more,
    }
    return Application(Settings.from_environment(configured), table=table)


@pytest.fixture
async def app() -> AsyncIterator[App]:
    table = MemoryTable()
    made = App(table, application(table))
    yield made
    await made.application.close()


async def test_a_change_is_in_the_feed_at_once(app: App) -> None:
    id = await app.post("contoso", "ada")
    response = await app.ask("follower", "/feed/contoso")
    assert response.status == 200
    page: Any = response.body
    assert [event["resource"]["id"] for event in page["events"]] == [id]
    assert (page["more"], page["next"].endswith("_1")) == (False, True)
    await app.post("contoso", "bob")
    await app.post("contoso", "cid")
    later: Any = (await app.ask("follower", f"/feed/contoso?after={page['next']}&max=1")).body
    assert ([event["seq"] for event in later["events"]], later["more"]) == ([2], True)
    last: Any = (await app.ask("follower", f"/feed/contoso?after={later['next']}")).body
    assert ([event["seq"] for event in last["events"]], last["more"]) == ([3], False)
    nothing: Any = (await app.ask("follower", "/feed/contoso?after=now")).body
    assert nothing == {"events": [], "next": last["next"], "more": False}


async def test_tenants_and_their_numbers(app: App) -> None:
    for name in ("contoso", "fabrikam", "contoso"):
        await app.post(name, f"user {id(name)} {len(app.table.rows(name))}")
        await app.ask("follower", f"/feed/{name}")
    assert (await app.ask("follower", "/feed")).body == {
        "tenants": [{"tenant": "contoso", "seq": 2}, {"tenant": "fabrikam", "seq": 1}],
        "next": None,
    }
    first = {"tenants": [{"tenant": "contoso", "seq": 2}], "next": "contoso"}
    assert (await app.ask("follower", "/feed?max=1")).body == first
    second = {"tenants": [{"tenant": "fabrikam", "seq": 1}], "next": None}
    assert (await app.ask("follower", "/feed?max=1&after=contoso")).body == second
    assert (await app.ask("fabrikams", "/feed")).body == second


REFUSED: dict[str, tuple[str, str, int, str]] = {
    "a customer": ("contoso", "/feed/contoso", 404, "tenant URL"),
    "a customer who lists": ("contoso", "/feed", 404, "tenant URL"),
    "without the right": ("reader", "/feed/contoso", 403, "takes feed"),
    "another tenant": ("fabrikams", "/feed/contoso", 403, "does not reach"),
    "a name that is none": ("follower", "/feed/~", 404, "names of tenants"),
    "a tenant that is not there": ("follower", "/feed/nobody", 404, "mistyped"),
    "a tenant that is not there, with a cursor": ("follower", "/feed/nobody?after=00000000_1", 404, "mistyped"),
    "too deep": ("follower", "/feed/contoso/events", 404, "/feed/<tenant>"),
    "no cursor": ("follower", "/feed/contoso?after=yesterday", 400, "`next`"),
    "no number": ("follower", "/feed/contoso?max=many", 400, "1 to"),
    "another epoch": ("follower", "/feed/contoso?after=00000000_1", 410, "after=now"),
}


@pytest.mark.parametrize(("who", "path", "status", "text"), cases(REFUSED))
async def test_refused(app: App, who: str, path: str, status: int, text: str) -> None:
    await app.post("contoso", "ada")
    response = await app.ask(who, path)
    assert response.status == status
    assert text in str(response.body)


async def test_only_get(app: App) -> None:
    response = await app.ask("follower", "/feed/contoso", "POST", {})
    assert (response.status, response.headers["Allow"]) == (405, "GET, HEAD")
    assert (await app.ask("follower", "/feed/contoso", "HEAD")).status == 404  # there is nothing of it


async def test_off() -> None:
    table = MemoryTable()
    app = App(table, application(table, SCIM_FEED="false"))
    await app.post("contoso", "ada")
    assert [row.key for row in table.rows("contoso") if row.key[0] in "ehva"] == []
    assert (await app.ask("follower", "/feed/contoso")).status == 404
    await app.application.housekeep()
    await app.application.close()


# Cursors.


async def user(table: MemoryTable, name: str) -> None:
    await create(Store(table), TENANT, USER_TYPE, {"userName": name})


async def filled(number: int) -> MemoryTable:
    table = MemoryTable()
    for one in range(number):
        await user(table, f"user {one}")
    await Sequencer(table, REGISTRY).run(TENANT)
    return table


async def test_a_reader_that_is_stopped_anywhere_misses_nothing() -> None:
    table = await filled(20)
    log = Log(table)
    for stop in range(20):
        seen, after = [], None
        for most in (stop, 3, 100):
            page = await log.read(TENANT, after, most) if most else await log.read(TENANT, after, 1)
            seen += [event["seq"] for event in page.events]
            after = page.next
        assert seen == list(range(1, 21))


async def test_a_page_ends_after_so_many_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_module, "_PAGE_BYTES", 3000)
    monkeypatch.setattr(log_module, "_FIRST_ROWS", 2)
    table = await filled(30)
    page = await Log(table).read(TENANT)
    assert (2 < len(page.events) < 30, page.more) == (True, True)
    assert [event["seq"] for event in await read_all(table, TENANT)] == list(range(1, 31))


async def test_cursors_that_lead_nowhere() -> None:
    table = await filled(3)
    head = await Head.read(table, TENANT)
    assert head
    log = Log(table)
    for text in ("", "1", "x_1", f"{head.epoch}_01", f"{head.epoch}_-1", f"{head.epoch}_1 ", f"{head.epoch}_\uff11"):
        with pytest.raises(BadCursor):
            await log.read(TENANT, text)
    with pytest.raises(Gone, match="ends before"):  # a table that was restored is behind its readers
        await log.read(TENANT, f"{head.epoch}_4")
    assert (await log.read(TENANT, f"{head.epoch}_0")).events[0]["seq"] == 1


async def test_a_log_that_begins_anew_has_another_epoch() -> None:
    table = await filled(3)
    after = (await Log(table).read(TENANT)).next
    result = await erase(table, TENANT, [])
    assert result.left == 0
    assert [row.key for row in table.rows(SHARED) if row.key.startswith("f ")] == []
    with pytest.raises(Gone, match="anew"):
        await Log(table).read(TENANT, after)
    assert await Log(table).read(TENANT) == ([], "start", False)
    await user(table, "anew")
    await Sequencer(table, REGISTRY).run(TENANT)
    with pytest.raises(Gone, match="anew"):
        await Log(table).read(TENANT, after)
    assert len((await Log(table).read(TENANT, "start")).events) == 1


async def test_a_table_that_was_restored_begins_anew() -> None:
    """By hand, or since its head was lost: readers are told, and numbers go on."""
    table = await filled(3)
    after = (await Log(table).read(TENANT)).next
    await Sequencer(table, REGISTRY).begin_anew(TENANT)
    with pytest.raises(Gone, match="anew"):
        await Log(table).read(TENANT, after)
    now = (await Log(table).read(TENANT, "now")).next
    table.drop(TENANT, keys.FEED)
    await user(table, "ada")
    await Sequencer(table, REGISTRY).run(TENANT)
    with pytest.raises(Gone, match="anew"):
        await Log(table).read(TENANT, now)
    assert [event["seq"] for event in await read_all(table, TENANT)] == [1, 2, 3, 4]
    assert await list_problems(table, TENANT, REGISTRY) == []


async def test_old_events_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    table = await filled(120)
    old = (await Log(table).read(TENANT, None, 1)).next
    await user(table, "ada")
    real = properties.parse_written_time
    times = {row.key: real(row.etag) for row in table.rows(TENANT)}
    await Sequencer(table, REGISTRY).run(TENANT)
    ago = (datetime.now(UTC) - timedelta(days=31)).isoformat()
    etags = {row.etag for row in table.rows(TENANT) if row.key in times}
    monkeypatch.setattr(properties, "parse_written_time", lambda etag: ago if etag in etags else real(etag))
    table.reset()
    with deadline.within(10):
        assert await Log(table).forget(TENANT, 30)
    assert table.trips.count("commit") <= 6
    assert [event["seq"] for event in (await Log(table).read(TENANT)).events] == [121]
    assert len([row for row in table.rows(TENANT) if row.key.startswith("a ")]) == 2
    for after in (old, "start"):
        with pytest.raises(Gone, match="older"):
            await Log(table).read(TENANT, after)
    monkeypatch.undo()
    assert await list_problems(table, TENANT, REGISTRY) == []


# What keeps it up to date.


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that happens behind a response."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0.01)
    pytest.fail("it never did")


async def test_behind_the_response() -> None:
    table = MemoryTable()
    app = App(table, application(table, SCIM_FEED_SECONDS="1"))
    for number in range(5):
        await app.post("contoso", f"user {number}")
    await until(lambda: not any(row.key.startswith("e ") for row in table.rows("contoso")))
    await app.application.close()
    assert len(await read_all(table, "contoso")) == 5


async def test_a_failing_feed_fails_no_request(caplog: pytest.LogCaptureFixture) -> None:
    table = MemoryTable()
    wire = Faulty(table)

    async def before(_: int, writes: list[Write]) -> None:
        if any(write.key == keys.FEED for write in writes):
            raise TableUnavailable("no")

    wire.disturb(before=before)  # type: ignore[arg-type]
    app = App(table, application(wire, SCIM_FEED_SECONDS="1"))  # type: ignore[arg-type]
    with caplog.at_level(logging.WARNING):
        await app.post("contoso", "ada")
        await until(lambda: "change feed of contoso" in caplog.text)
    await app.application.close()


async def test_the_timer_finds_what_nobody_announced() -> None:
    """A process that was killed right behind the first change of a tenant."""
    table = MemoryTable()
    await user(table, "ada")
    following = Following(table, REGISTRY)
    await following.keep()
    assert len(await read_all(table, TENANT)) == 1
    await create(Store(table), "another", USER_TYPE, {"userName": "bob"})
    await following.keep()  # all were looked for a moment ago
    assert await Log(table).head("another") == 0
    await user(table, "bob")
    await following.keep()
    assert len(await read_all(table, TENANT)) == 2


async def test_sinks_are_driven() -> None:
    table = MemoryTable()
    following = Following(table, REGISTRY, every=0.01)
    driven: list[str] = []

    class Notes:
        def follow(self, tenant: str) -> None:
            driven.append(tenant)
            raise RuntimeError("a sink that fails stops nobody")

        async def finish(self, seconds: float) -> None:
            driven.append("finished")

        async def close(self) -> None:
            driven.append("closed")

    following.sinks.append(Notes())
    await user(table, "ada")
    await following.read(TENANT)
    following.wake(TENANT)
    await until(lambda: bool(driven))
    await following.keep()
    await following.settle()
    assert (set(driven), driven[-2:]) == ({TENANT, "finished", "closed"}, ["finished", "closed"])


# tenants check.


async def test_check_finds_what_is_broken() -> None:
    table = await filled(5)
    assert await list_problems(table, TENANT, REGISTRY) == []
    table.drop(TENANT, keys.log_key(3))
    found = await list_problems(table, TENANT, REGISTRY)
    assert f"{keys.log_key(3)}: is missing: the change feed has a gap" in found
    assert len([line for line in found if "is about an event that is not in the change feed" in line]) == 2
    table.drop(TENANT, keys.FEED)
    assert any("has no head" in line for line in await list_problems(table, TENANT, REGISTRY))


async def test_check_moves_what_was_left_in_the_outbox() -> None:
    table = MemoryTable()
    store = Store(table)
    await user(table, "ada")
    assert await list_problems(table, TENANT, REGISTRY) == []
    later = datetime.now(UTC) + timedelta(hours=3)
    report = await examine(table, TENANT, REGISTRY, now=later)
    assert any("has not gone into the change feed" in line for line in report.problems)
    [row] = [row for row in table.rows(TENANT) if row.key.startswith("e ")]
    table.load(TENANT, {row.key: {**row.values, "marks": "?"}})
    await Sequencer(table, REGISTRY).run(TENANT)  # what cannot be read stays
    table.load(TENANT, {row.key: {**row.values, "by": 7}})
    assert any("cannot be read" in line for line in await list_problems(table, TENANT, REGISTRY))
    table.load(TENANT, {row.key: row.values})
    await fix(store, TENANT, REGISTRY)
    assert len(await check_log(table, TENANT)) == 1
