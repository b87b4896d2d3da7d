"""Walks through many resources by startIndex and by cursor (RFC 7644 §3.4.2.4, RFC 9865): what they see and cost.

The table is one in memory, which counts the rows that it gives out.
"""

from __future__ import annotations

import asyncio
import bisect
import random
import re
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest

import function_app
from dev.host import Host
from scim.app import Application
from scim.settings import Settings
from scim.store.table import PAGE_ROWS, Refused, Row, Write
from tests.conftest import NewClient
from tests.support import Client, Response


class Memory:
    """A table in memory: a Gateway that counts the rows which it gives out."""

    def __init__(self) -> None:
        self.rows_read = 0
        self._partitions: dict[str, dict[str, Row]] = {}
        self._sorted: dict[str, list[str]] = {}
        self._versions = 0

    def rows(self, partition: str, prefix: str = "") -> list[Row]:
        """The rows whose keys start so, in their order: for tests, and not counted."""
        return [self._partitions[partition][key] for key in self._keys(partition) if key.startswith(prefix)]

    def put(self, partition: str, key: str, values: dict[str, Any]) -> None:
        """Write a row as it is."""
        self._versions += 1
        self._partitions.setdefault(partition, {})[key] = Row(key, values, f'W/"{self._versions}"')
        self._sorted.pop(partition, None)

    def drop(self, partition: str, key: str) -> None:
        del self._partitions[partition][key]
        self._sorted.pop(partition, None)

    async def read(self, partition: str, key: str) -> Row | None:
        row = self._partitions.get(partition, {}).get(key)
        self.rows_read += row is not None
        return row

    async def pages(
        self, partition: str, start: str, end: str, *, size: int = PAGE_ROWS, keys_only: bool = False
    ) -> AsyncIterator[list[Row]]:
        more = True
        while more:
            keys = self._keys(partition)
            at, stop = bisect.bisect_left(keys, start), bisect.bisect_left(keys, end)
            found = keys[at : min(at + size, stop)]
            more = at + size < stop
            start = found[-1] + "\0" if found else end
            self.rows_read += len(found)
            page = [self._partitions[partition][key] for key in found]
            yield [Row(row.key, {}, "") for row in page] if keys_only else page

    async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
        there = self._partitions.get(partition, {})
        for index, write in enumerate(writes):
            row = there.get(write.key)
            if write.kind == "insert" and row is not None:
                raise Refused(409, index)
            if write.kind in ("replace", "merge", "delete"):
                if row is None:
                    raise Refused(404, index)
                if write.etag not in ("*", row.etag):
                    raise Refused(412, index)
        for write in writes:
            if write.kind == "delete":
                self.drop(partition, write.key)
            else:
                old = there[write.key].values if write.kind == "merge" else {}
                self.put(partition, write.key, {**old, **write.values})
                there = self._partitions[partition]
        return ["" if write.kind == "delete" else there[write.key].etag for write in writes]

    async def partitions(self, after: str = "") -> AsyncIterator[str]:
        for name in sorted(name for name, rows in self._partitions.items() if rows and name > after):
            yield name

    async def close(self) -> None:
        pass

    def _keys(self, partition: str) -> list[str]:
        if partition not in self._sorted:
            self._sorted[partition] = sorted(self._partitions.get(partition, {}))
        return self._sorted[partition]


@pytest.fixture
def memory() -> Memory:
    return Memory()


@pytest.fixture
async def process(settings: Settings, memory: Memory, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Application]:
    """The application on the table in memory, in the place of the one that the session has; without the change feed,
    so that all rows of a tenant are the store's."""
    application = Application(settings.model_copy(update={"feed": False}), table=memory)
    monkeypatch.setattr(function_app, "application", application)
    yield application
    await application.close()


@pytest.fixture
def client(process: Application, new_client: NewClient) -> Client:
    return new_client()


async def fill(client: Client, users: int, groups: int = 0) -> None:
    """Users `user 0000` and so on, every other one active, and groups `group 0000` and so on."""
    posts = [
        {"method": "POST", "path": "/Users", "data": {"userName": f"user {number:04}", "active": number % 2 == 0}}
        for number in range(users)
    ]
    posts += [
        {"method": "POST", "path": "/Groups", "data": {"displayName": f"group {number:04}"}} for number in range(groups)
    ]
    for at in range(0, len(posts), 1000):
        response = await client.post("/Bulk", {"Operations": posts[at : at + 1000]})
        assert {result["status"] for result in response.json["Operations"]} == {"201"}


def name_of(resource: Any) -> str:
    return str(resource.get("userName") or resource["displayName"])


def names(pages: Sequence[Any]) -> list[str]:
    """The names on some pages, in their order."""
    return [name_of(resource) for page in pages for resource in page["Resources"]]


async def page(client: Client, path: str, **parameters: object) -> Any:
    """One page of the search that `path` starts, as JSON."""
    response = await ask(client, path, **parameters)
    assert response.status == 200, response.body
    return response.json


async def ask(client: Client, path: str, **parameters: object) -> Response:
    more = "&".join(f"{name}={quote_plus(str(value))}" for name, value in parameters.items())
    return await client.get(f"{path}{'&' if '?' in path else '?'}{more}")


async def by_index(client: Client, path: str, count: int) -> AsyncIterator[Any]:
    """The pages that a client sees which goes on until it has as many as totalResults says."""
    start = 1
    for _ in range(1000):
        found = await page(client, path, startIndex=start, count=count)
        assert (found["startIndex"], found["itemsPerPage"]) == (start, len(found["Resources"]))
        assert found["itemsPerPage"] <= count
        yield found
        start += found["itemsPerPage"]
        if start > found["totalResults"] or not found["itemsPerPage"]:
            return
    raise AssertionError("the walk does not end")


async def by_cursor(client: Client, path: str, count: int) -> AsyncIterator[Any]:
    """The pages that a client sees which goes on until there is no nextCursor."""
    cursor = ""
    for _ in range(1000):
        found = await page(client, path, cursor=cursor, count=count)
        assert found["itemsPerPage"] == len(found["Resources"]) <= count
        yield found
        if "nextCursor" not in found:
            return
        cursor = found["nextCursor"]
    raise AssertionError("the walk does not end")


WALKS = {"by index": by_index, "by cursor": by_cursor}
EITHER_WAY = pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)


def filtered(filter: str, more: str = "", endpoint: str = "/Users") -> str:
    return f"{endpoint}?filter={quote_plus(filter)}{more}"


# What a walk through many reads.


@dataclass(frozen=True)
class Crowd:
    """2,000 users, every other one active, and 200 groups."""

    application: Application
    memory: Memory
    client: Client


USERS, GROUPS = 2000, 200
ALL_USERS = [f"user {number:04}" for number in range(USERS)]
ALL_GROUPS = [f"group {number:04}" for number in range(GROUPS)]


@pytest.fixture(scope="module")
async def filled(settings: Settings, host: Host, unused: Iterator[tuple[str, str]]) -> Crowd:
    memory = Memory()
    application = Application(settings, table=memory)
    client = Client(host, *next(unused))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(function_app, "application", application)
        await fill(client, USERS, GROUPS)
    return Crowd(application, memory, client)


@pytest.fixture
def crowd(filled: Crowd, monkeypatch: pytest.MonkeyPatch) -> Crowd:
    monkeypatch.setattr(function_app, "application", filled.application)
    return filled


BIG: dict[str, tuple[str, int, list[str], int]] = {
    "users": ("/Users", 100, ALL_USERS, 3 * USERS),
    "groups": ("/Groups", 20, ALL_GROUPS, 3 * GROUPS),
    "everything": ("/", 100, ALL_USERS + ALL_GROUPS, 3 * (USERS + GROUPS)),
    "a scan that finds all": (filtered('not (userName eq "x")'), 100, ALL_USERS, 4 * USERS),
    "a scan that finds half": (filtered("active eq true"), 100, ALL_USERS[::2], 4 * USERS),
    "a scan that finds few": (filtered('userName co "99"'), 5, [n for n in ALL_USERS if "99" in n], 4 * USERS),
    "a prefix that all have": (filtered('userName sw "user"'), 100, ALL_USERS, 4 * USERS),
    "a scan of everything": (
        filtered('displayName co "group" or active eq false', "", "/"),
        100,
        ALL_USERS[1::2] + ALL_GROUPS,
        4 * (USERS + GROUPS),
    ),
}


@EITHER_WAY
@pytest.mark.parametrize(("path", "count", "expected", "most"), BIG.values(), ids=BIG)
async def test_a_walk_sees_each_once_and_reads_few_rows(
    crowd: Crowd, walk: Any, path: str, count: int, expected: list[str], most: int
) -> None:
    """Rows read in all: those counted for totalResults, those shown, and a few: not all of them again for each page."""
    before = crowd.memory.rows_read
    pages = [page async for page in walk(crowd.client, path, count)]
    assert sorted(names(pages)) == sorted(expected)
    assert {page["totalResults"] for page in pages} == {len(expected)}
    assert [page["itemsPerPage"] for page in pages[:-1]] == [count] * ((len(expected) - 1) // count)
    assert crowd.memory.rows_read - before <= most


@pytest.mark.parametrize("path", ["/Users", "/", filtered("active eq true")], ids=["users", "everything", "a scan"])
async def test_a_walk_without_bookmarks_is_right_too(crowd: Crowd, path: str) -> None:
    whole = names([page async for page in by_index(crowd.client, path, 1000)])
    pages = []
    async for one in by_index(crowd.client, path, 250):
        pages.append(one)
        for row in crowd.memory.rows(crowd.client.tenant, "b "):
            crowd.memory.drop(crowd.client.tenant, row.key)
    assert names(pages) == whole
    assert len(set(whole)) == len(whole)


# Users who come and go while a client walks.

CHANGING = {
    "users": "/Users",
    "a scan": filtered("userName pr"),
    "everything": "/",
    "a scan of everything": filtered('userName co "u" or displayName co "g"', "", "/"),
    "a prefix": filtered('userName sw "u"'),
    "a value": filtered('externalId eq "same"'),
}


SEEDS = pytest.mark.parametrize("seed", range(6))


@EITHER_WAY
@pytest.mark.parametrize("path", CHANGING.values(), ids=CHANGING)
@SEEDS
async def test_who_is_there_throughout_is_seen_once(client: Client, walk: Any, path: str, seed: int) -> None:
    await walk_while_others_change(client, walk, path, random.Random(seed))


@pytest.mark.parametrize("path", ["/Users?sortBy=userName", "/Users?sortBy=meta.created&sortOrder=descending"])
@SEEDS
async def test_a_cursor_sees_who_is_there_throughout_once_in_an_order(client: Client, path: str, seed: int) -> None:
    await walk_while_others_change(client, by_cursor, path, random.Random(seed))


async def walk_while_others_change(client: Client, walk: Any, path: str, chance: random.Random) -> None:
    """Walk, add and remove a few between the pages, and see that those who stay are seen once."""
    there = {}
    for number in range(24):
        name = f"u {number}"
        there[name] = f"/Users/{(await client.new_user(name, externalId='same'))['id']}"
    for number in range(6 if path.startswith("/?") or path == "/" else 0):
        response = await client.post("/Groups", {"displayName": f"g {number}", "externalId": "same"})
        there[f"g {number}"] = f"/Groups/{response.json['id']}"
    throughout = set(there)
    pages = []
    async for one in walk(client, path, chance.randint(1, 7)):
        pages.append(one)
        for _ in range(chance.randint(0, 3)):
            if chance.random() < 0.5:
                name = f"u new {len(pages)} {chance.random()}"
                there[name] = f"/Users/{(await client.new_user(name, externalId='same'))['id']}"
            elif there:
                name = chance.choice(sorted(there))
                assert (await client.delete(there.pop(name))).status == 204
                throughout.discard(name)
    seen = names(pages)
    assert len(seen) == len(set(seen))
    assert throughout <= set(seen)


@EITHER_WAY
async def test_a_walk_whose_rest_is_removed_ends(client: Client, walk: Any) -> None:
    await fill(client, 10)
    users = (await page(client, "/Users"))["Resources"]
    pages = []
    async for one in walk(client, "/Users", 4):
        pages.append(one)
        if len(pages) == 1:
            for user in users[4:]:
                assert (await client.delete(f"/Users/{user['id']}")).status == 204
    assert names(pages) == [user["userName"] for user in users[:4]]
    assert pages[-1]["totalResults"] == 4


# Bookmarks.


def age(memory: Memory, partition: str, prefix: str, **changed: object) -> int:
    """Change the rows whose keys start so; how many there are."""
    found = memory.rows(partition, prefix)
    for row in found:
        memory.put(partition, row.key, {**row.values, **changed})
    return len(found)


def ago(minutes: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


@pytest.mark.parametrize(("minutes", "used"), [(0, True), (59, True), (61, False), (60 * 24, False)])
async def test_a_bookmark_is_used_for_an_hour(client: Client, memory: Memory, minutes: float, used: bool) -> None:
    await fill(client, 9)
    ids = [user["id"] for user in (await page(client, "/Users"))["Resources"]]
    await page(client, "/Users", startIndex=1, count=3)
    assert age(memory, client.tenant, "b ", at=ago(minutes), next=ids[7]) == 1
    second = await page(client, "/Users", startIndex=4, count=3)
    assert [user["id"] for user in second["Resources"]] == (ids[7:] if used else ids[3:6])


async def test_bookmarks_of_other_searches_are_not_used(client: Client, memory: Memory) -> None:
    await fill(client, 9)
    whole = await page(client, "/Users", excludedAttributes="groups")
    for path in (filtered("active eq true"), "/", "/Users?sortBy=userName", filtered("userName pr")):
        await page(client, path, startIndex=1, count=3)
    age(memory, client.tenant, "b ", next=whole["Resources"][8]["id"])
    second = await page(client, "/Users", startIndex=4, count=3)
    assert names([second]) == names([whole])[3:6]


async def test_a_page_can_be_asked_for_again(client: Client) -> None:
    """A client that lost an answer sends the same request; in another size, too."""
    await fill(client, 9)
    whole = names([await page(client, "/Users")])
    for start, count in [(1, 3), (4, 3), (4, 3), (1, 3), (4, 2), (6, 3), (4, 5), (9, 3), (1, 9)]:
        assert names([await page(client, "/Users", startIndex=start, count=count)]) == whole[start - 1 :][:count]


@pytest.mark.parametrize(("minutes", "left"), [(59, 1), (61, 0)])
async def test_housekeeping_removes_old_bookmarks(
    client: Client, process: Application, memory: Memory, minutes: float, left: int
) -> None:
    await fill(client, 9)
    await page(client, "/Users", startIndex=1, count=3)
    assert age(memory, client.tenant, "b ", at=ago(minutes)) == 1
    others = len(memory.rows(client.tenant)) - 1
    await process.housekeep()
    assert len(memory.rows(client.tenant, "b ")) == left
    assert len(memory.rows(client.tenant)) == others + left


async def test_housekeeping_removes_the_bookmarks_of_a_tenant_that_fell_silent(
    client: Client, process: Application, memory: Memory
) -> None:
    """Every five minutes for two hours after the last request."""
    await fill(client, 9)
    await page(client, "/Users", startIndex=1, count=3)
    for _ in range(24):
        for partition, prefix, name in ((client.tenant, "b ", "at"), ("~", "t ", "touched")):
            for row in memory.rows(partition, prefix):
                earlier = datetime.fromisoformat(row.values[name]) - timedelta(minutes=5)
                text = earlier.isoformat(timespec="milliseconds").replace("+00:00", "Z")
                memory.put(partition, row.key, {**row.values, name: text})
        await process.housekeep()
    assert memory.rows(client.tenant, "b ") == []
    assert memory.rows("~", "t ") == []


# Cursors.

CURSORS = {
    "users": ("/Users", 12),
    "groups": ("/Groups", 4),
    "everything": ("/", 16),
    "a scan": (filtered("active eq true"), 6),
    "a prefix": (filtered('userName sw "USER"'), 12),
    "values": (filtered('userName eq "user 0001" or userName eq "user 0003" or userName eq "user 0005"'), 3),
    "a scan of everything": (filtered('active eq false or displayName ew "1"', "", "/"), 7),
    "in the order of an index": ("/Users?sortBy=userName", 12),
    "in another order": ("/Users?sortBy=active&sortOrder=descending", 12),
    "filtered and in an order": (filtered("active eq true", "&sortBy=userName&sortOrder=descending"), 6),
    "everything in an order": ("/?sortBy=meta.created", 16),
    "nothing": (filtered('userName eq "nobody"'), 0),
}


@pytest.mark.parametrize("count", [1, 3, 4, 100])
@pytest.mark.parametrize(("path", "total"), CURSORS.values(), ids=CURSORS)
async def test_cursors_lead_through_all_pages(client: Client, path: str, total: int, count: int) -> None:
    """The same resources in the same order as in one page, and no page after the last."""
    await fill(client, 12, 4)
    whole = await page(client, path)
    assert "nextCursor" not in whole
    assert whole["totalResults"] == len(whole["Resources"]) == total
    pages = [page async for page in by_cursor(client, path, count)]
    assert names(pages) == names([whole])
    assert len(pages) == max(-(-total // count), 1)
    assert {page["totalResults"] for page in pages} == {total}
    for one in pages[:-1]:
        assert re.fullmatch(r"[A-Za-z0-9._~-]+", one["nextCursor"])
    assert len({page.get("nextCursor") for page in pages}) == len(pages)


@pytest.mark.parametrize("asked", ["cursor=", "cursor", "CURSOR=", "cursor&startIndex=5"])
async def test_an_empty_cursor_asks_for_the_first_page(client: Client, asked: str) -> None:
    await fill(client, 9)
    whole = names([await page(client, "/Users")])
    first = (await client.get(f"/Users?{asked}&count=4")).json
    assert names([first]) == whole[:4]
    assert names([await page(client, "/Users", cursor=first["nextCursor"], count=4)]) == whole[4:8]


async def test_index_is_the_default(client: Client) -> None:
    await fill(client, 9)
    assert "nextCursor" not in await page(client, "/Users", count=4)
    assert (await page(client, "/Users", count=4))["startIndex"] == 1


@pytest.mark.parametrize("path", ["/Users/.search", "/.search"])
async def test_a_search_by_post_has_its_cursor_in_the_body(client: Client, path: str) -> None:
    await fill(client, 9)
    whole = names([await page(client, "/Users")])
    found: list[str] = []
    body: dict[str, Any] = {"filter": "userName pr", "count": 4, "cursor": ""}
    for _ in range(3):
        one = (await client.post(path, body)).json
        found += names([one])
        body["cursor"] = one.get("nextCursor")
    assert (found, body["cursor"]) == (whole, None)


WALK = filtered("userName pr", "&sortBy=userName")
OTHERS = {
    "another filter": filtered("userName pr or active pr", "&sortBy=userName"),
    "no filter": "/Users?sortBy=userName",
    "another resource type": filtered("userName pr", "&sortBy=userName", "/Groups"),
    "the root": filtered("userName pr", "&sortBy=userName", "/"),
    "another attribute": filtered("userName pr", "&sortBy=displayName"),
    "no order": filtered("userName pr"),
    "another order": filtered("userName pr", "&sortBy=userName&sortOrder=descending"),
}


@pytest.mark.parametrize("other", OTHERS)
async def test_a_cursor_is_good_for_its_query_alone(client: Client, other: str) -> None:
    await fill(client, 9, 5)
    path = OTHERS[other] if other != "another resource type" else OTHERS[other].replace("userName", "displayName")
    first = (await page(client, WALK, cursor="", count=3))["nextCursor"]
    refused = await ask(client, path, cursor=first, count=3)
    assert (refused.status, refused.json["scimType"]) == (400, "invalidCursor")
    assert (await ask(client, path, cursor="", count=3)).status == 200
    assert (await ask(client, WALK, cursor=first, count=3)).status == 200


async def test_a_cursor_is_good_for_its_tenant_alone(process: Application, new_client: NewClient) -> None:
    ours, theirs = new_client(), new_client()
    await fill(ours, 9)
    await fill(theirs, 9)
    first = (await page(theirs, "/Users", cursor="", count=3))["nextCursor"]
    refused = await ask(ours, "/Users", cursor=first, count=3)
    assert (refused.status, refused.json["scimType"]) == (400, "invalidCursor")
    nonsense = await ask(ours, "/Users", cursor="nonsense", count=3)
    assert nonsense.told == refused.told


@pytest.mark.parametrize("path", ["/Users", "/Users?sortBy=userName"])
@pytest.mark.parametrize("count", [2, 4, 0, 100, None])
async def test_a_cursor_is_good_for_its_count_alone(client: Client, path: str, count: int | None) -> None:
    await fill(client, 9)
    first = (await page(client, path, cursor="", count=3))["nextCursor"]
    more = {} if count is None else {"count": count}
    refused = await ask(client, path, cursor=first, **more)
    assert (refused.status, refused.json["scimType"]) == (400, "invalidCount")


@pytest.mark.parametrize(("count", "status"), [(1000, 200), (1001, 400), (10**12, 400)])
async def test_a_count_above_the_largest_page_is_refused_with_a_cursor(client: Client, count: int, status: int) -> None:
    response = await ask(client, "/Users", cursor="", count=count)
    assert (response.status, response.json.get("scimType")) == (status, "invalidCount" if status == 400 else None)
    assert (await ask(client, "/Users", count=count)).status == 200


async def test_a_count_of_none_only_counts(client: Client) -> None:
    await fill(client, 9)
    found = await page(client, "/Users", cursor="", count=0)
    assert (found["totalResults"], found["Resources"], "nextCursor" in found) == (9, [], False)


@pytest.mark.parametrize(("minutes", "scim_type"), [(59, None), (61, "expiredCursor"), (60 * 24, "expiredCursor")])
@pytest.mark.parametrize("path", ["/Users", "/?sortBy=meta.created"])
async def test_a_cursor_is_good_for_an_hour(
    client: Client, monkeypatch: pytest.MonkeyPatch, path: str, minutes: int, scim_type: str | None
) -> None:
    await fill(client, 9)
    first = (await page(client, path, cursor="", count=3))["nextCursor"]
    later = time.time() + 60 * minutes
    monkeypatch.setattr("scim.service.cursors.time", SimpleNamespace(time=lambda: later))
    response = await ask(client, path, cursor=first, count=3)
    assert (response.status, response.json.get("scimType")) == (400 if scim_type else 200, scim_type)


async def test_a_cursor_changed_in_any_place_is_refused(client: Client) -> None:
    await fill(client, 9)
    first = (await page(client, "/Users", cursor="", count=3))["nextCursor"]
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = {first[:at] + ("A" if one != "A" else "B") + first[at + 1 :] for at, one in enumerate(first)}
    changed |= {first[:-1] + one for one in alphabet}
    changed |= {first[:length] for length in range(1, len(first))}
    changed |= {first + "A", first + "=", first + "====", first + first, " ", "=", "A", "A" * 22, "é", "\x00", "%"}
    changed -= {first}
    for cursor in sorted(changed):
        response = await ask(client, "/Users", cursor=cursor, count=3)
        assert (response.status, response.json.get("scimType")) == (400, "invalidCursor"), cursor


async def test_processes_share_the_key(
    settings: Settings, memory: Memory, host: Host, new_client: NewClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two that make their first cursors at the same moment, and one that starts later."""
    client = new_client()
    processes = [Application(settings, table=memory) for _ in range(3)]
    monkeypatch.setattr(function_app, "application", processes[0])
    await fill(client, 9)

    async def ask_of(number: int, cursor: str) -> Any:
        monkeypatch.setattr(function_app, "application", processes[number])
        return await page(client, "/Users", cursor=cursor, count=3)

    whole = names([await page(client, "/Users")])
    first, second = await asyncio.gather(ask_of(0, ""), ask_of(1, ""))
    assert names([first]) == names([second]) == whole[:3]
    for cursor in (first["nextCursor"], second["nextCursor"]):
        for number in range(3):
            assert names([await ask_of(number, cursor)]) == whole[3:6]
    assert len(memory.rows("~", "k ")) == 1
