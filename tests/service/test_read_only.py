"""A connection that may only read writes nothing: no resource, and none of what a search leaves for the next one."""

from __future__ import annotations

import asyncio
import logging

import pytest

from scim.store import keys
from scim.store.store import Store
from tests.core import cases
from tests.service.test_bounds import bookmarks, with_users
from tests.store.memory import Door, MemoryTable
from tests.test_accounts import change

TENANT = "tenant"


def reading(table: MemoryTable) -> Door:
    """A door whose one connection may only read."""
    door = Door(table)
    settings = door.application._settings
    assert settings is not None
    connections = {n: c.model_copy(update={"access": "read"}) for n, c in settings.connections.items()}
    door.application._settings = settings.model_copy(update={"connections": connections})
    return door


def written(table: MemoryTable) -> list[str]:
    return [trip for trip in table.trips if trip.startswith("commit")]


SEARCHES = {
    "pages": "/Users?startIndex={n}&count=2",
    "filters": "/Users?count=1&filter=userName+sw+%22user-{n:04}%22+or+title+pr",
    "sorted": "/Users?count=2&sortBy=userName&startIndex={n}",
    "sorted down": "/Users?count=2&sortBy=userName&sortOrder=descending&startIndex={n}",
    "by cursor": "/Users?count={n}&cursor=",
    "one": "/Users?filter=userName+eq+%22user-{n:07}%22",
    "everything": "/?count={n}",
}


@pytest.mark.parametrize("path", cases(SEARCHES))
async def test_search_of_a_read_only_connection_writes_nothing(path: str) -> None:
    table = with_users(40)
    await Store(table).housekeeping.run()  # makes the key of cursors, once for the deployment
    before = {key: row for keys in table._partitions.values() for key, row in keys.items()}
    client = reading(table).client
    for number in range(1, 30):
        answer = await client.get(path.format(n=number))
        assert answer.status == 200, answer.body
    assert {key: row for keys in table._partitions.values() for key, row in keys.items()} == before
    assert bookmarks(table) == []


async def test_walk_of_a_read_only_connection_is_whole() -> None:
    client, seen, start = reading(with_users(25)).client, [], 1
    while page := (await client.get(f"/Users?startIndex={start}&count=4")).json["Resources"]:
        seen += [user["userName"] for user in page]
        start += len(page)
    assert len(set(seen)) == len(seen) == 25


async def test_write_of_a_read_only_connection_is_refused(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    table = with_users(1)
    before = {key: dict(keys) for key, keys in table._partitions.items()}
    client = reading(table).client
    asked: list[tuple[str, str, object]] = [
        ("POST", "/Users", {"userName": "x"}),
        ("PATCH", "/Users/u-a", {"Operations": [change("replace", "active", False)]}),
        ("PUT", "/Users/u-a", {"userName": "x"}),
        ("DELETE", "/Users/u-a", None),
        ("POST", "/Bulk", {"Operations": [{"method": "DELETE", "path": "/Users/u-a"}]}),
        ("POST", "/Users/.search/x", {}),
    ]
    for method, path, body in asked:
        answer = await client.request(method, path, body)
        assert answer.status == 403, (method, path)
    assert {key: dict(keys) for key, keys in table._partitions.items()} == before
    assert caplog.text.count('"reason":"read-only"') == len(asked)


async def test_a_writing_connection_leaves_a_bounded_number_of_bookmarks() -> None:
    """Whatever it asks; and housekeeping removes them in tens of trips, so nobody waits for it."""
    table = with_users(40)
    client = Door(table).client
    for number in range(2000):
        await client.get(f"/Users?count=1&filter=title+pr+or+userName+ne+%22{number}%22")
    assert 0 < len(bookmarks(table)) <= 1000
    for mark in bookmarks(table):
        mark.values["at"] = "2026-01-01T00:00:00.000Z"
    table.reset()
    await Store(table).of(TENANT).positions.remove_old()
    assert bookmarks(table) == [] and len(table.trips) <= 12


async def test_a_tenant_has_a_share_of_housekeeping(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that leaves more than its share of the time keeps nobody else waiting."""
    from scim import deadline
    from scim.store import housekeeping

    monkeypatch.setattr(housekeeping, "TENANT_SECONDS", 0.2)
    table, left = MemoryTable(), []
    store = Store(table)
    for tenant in ("a", "b", "c"):
        await store.of(tenant).pending.announce()
        table.load(tenant, {keys.bookmark_key("c", "q", 1): {"at": "2020"}})

    async def slow(tenant: str) -> None:
        left.append((tenant, deadline.left()))
        while tenant == "a":
            deadline.check()
            await asyncio.sleep(0.05)

    monkeypatch.setattr(store.quotas, "measure", slow)
    await store.housekeeping.run(seconds=20)
    assert [tenant for tenant, _ in left] == ["a", "b", "c"]
    assert all(seconds <= 0.2 for _, seconds in left)
