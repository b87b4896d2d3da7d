"""Reads are bounded: what a list, an order or a filter on edges costs among many resources, and how much it holds.

The table is one in memory, which counts trips and rows; ids are spread over the whole space, as random ones are.
"""

from __future__ import annotations

import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Iterable
from typing import Any
from urllib.parse import quote_plus

import pytest

from scim.store import keys, properties, shared_keys
from scim.store.store import Store
from scim.store.table import Row
from tests.core import USER_TYPE
from tests.store.memory import Door, MemoryTable, units
from tests.support import Client

TENANT = "tenant"
TIMES = {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "write": "0"}
BARE = "excludedAttributes=groups,members"
MIB = 2**20
NAME = next(index for index in USER_TYPE.indexes.values() if index.path == "userName")
LETTERS = "abcdefghijklmnopqrstuvwxyz234567"


def spread(number: int, prefix: str = "u") -> str:
    """The id of a number: neighbours in numbers lie far apart in ids."""
    place = number * 0x9E3779B97F4A7C15 % 2**65
    return f"{prefix}-" + "".join(LETTERS[place >> shift & 31] for shift in range(60, -1, -5)) + "a" * 11


def users(names: Iterable[str], **attributes: Any) -> dict[str, dict[str, Any]]:
    """The rows of users with these names, as the store would leave them."""
    made: dict[str, dict[str, Any]] = {}
    for number, name in enumerate(names):
        id, document = spread(number), {"userName": name, **attributes}
        indexed = keys.build_index_rows(USER_TYPE, id, document)
        made[keys.resource_key(id)] = {
            "id": id,
            **TIMES,
            "keys": "\n".join(indexed),
            **properties.split_document(document),
        }
        made |= indexed
    return made


def numbered(number: int) -> list[str]:
    return [f"user-{n:07}" for n in range(number)]


def with_users(number: int, **attributes: Any) -> MemoryTable:
    table = MemoryTable()
    table.load(TENANT, users(numbered(number), **attributes))
    announce(table)
    return table


def announce(table: MemoryTable) -> None:
    """Housekeeping knows the tenant, and the key of cursors is there: neither is a trip of what is measured."""
    table.load("~", {shared_keys.tenant_key(TENANT): {"tenant": TENANT, "touched": "2099-01-01T00:00:00.000Z"}})


def with_members(table: MemoryTable, numbers: Iterable[int], group: str = "g-" + "a" * 24) -> str:
    """A group of these users; its id."""
    edges = [{"group": group, "member": spread(n)} for n in numbers]
    made: dict[str, dict[str, Any]] = {
        keys.resource_key(group): {"id": group, **TIMES, "keys": "", "doc0": json.dumps({"displayName": group})}
    }
    made |= {keys.member_key(group, edge["member"]): edge for edge in edges}
    made |= {keys.member_of_key(edge["member"], group): edge for edge in edges}
    table.load(TENANT, made)
    return group


@pytest.fixture(scope="module")
def crowd() -> MemoryTable:
    """20,000 users."""
    return with_users(20_000)


async def ask(client: Client, path: str, **parameters: object) -> Any:
    more = "&".join(f"{name}={quote_plus(str(value))}" for name, value in parameters.items())
    response = await client.get(f"{path}?{BARE}&{more}")
    assert response.status == 200, response.body
    return response.json


def shown(page: Any) -> list[str]:
    return [resource["userName"] for resource in page["Resources"]]


async def walk(client: Client, by: str, count: int, path: str = "/Users", **more: object) -> AsyncIterator[Any]:
    """All pages, by cursor or by startIndex + itemsPerPage."""
    place: dict[str, object] = {"cursor": ""} if by == "cursor" else {"startIndex": 1}
    for _ in range(5_000):
        page = await ask(client, path, count=count, **place, **more)
        assert page["itemsPerPage"] == len(page["Resources"]) <= count
        yield page
        if by == "cursor":
            if "nextCursor" not in page:
                return
            place = {"cursor": page["nextCursor"]}
        else:
            place = {"startIndex": page["startIndex"] + page["itemsPerPage"]}
            if page["startIndex"] + page["itemsPerPage"] > page["totalResults"] or not page["itemsPerPage"]:
                return
    raise AssertionError("the walk does not end")


# Counting.


class Busy(MemoryTable):
    """Knows how many trips were under way at once, at most."""

    most = now = 0

    async def _trip(self, kind: str) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            await super()._trip(kind)
        finally:
            self.now -= 1


async def test_a_first_page_is_counted_in_parallel_and_the_next_one_costs_the_page() -> None:
    table = Busy()
    table.load(TENANT, users(numbered(100_000)))
    announce(table)
    client = Door(table).client
    table.reset()
    assert (await ask(client, "/Users", count=10))["totalResults"] == 100_000
    assert len(table.trips) <= 100 + 16 + 3
    assert table.most == 16
    table.reset()
    assert (await ask(client, "/Users", count=10))["totalResults"] == 100_000
    assert sorted(table.trips) == ["commit", "page"]
    table.reset()
    assert (await ask(client, "/Users", count=0))["totalResults"] == 100_000
    assert len(table.trips) == 1


async def test_counting_keeps_no_ids(crowd: MemoryTable) -> None:
    """The peak is that of some pages of keys, whatever there is."""
    client = Door(crowd).client
    await ask(client, "/Groups", count=1)  # loads what is loaded once
    tracemalloc.start()
    try:
        assert (await ask(client, "/Users", count=1))["totalResults"] == 20_000
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 4 * MIB


async def test_a_count_is_remembered_for_a_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """In this process, and never of 1,000 or fewer: a small tenant always sees the exact number."""
    table = with_users(1_500)
    client = Door(table).client
    clock = 1000.0
    monkeypatch.setattr("scim.store.counting.monotonic", lambda: clock)
    assert (await ask(client, "/Users", count=1))["totalResults"] == 1_500
    await client.new_user("another")
    assert (await ask(client, "/Users", count=1))["totalResults"] == 1_500
    clock += 61
    assert (await ask(client, "/Users", count=1))["totalResults"] == 1_501
    small = with_users(999)
    client = Door(small).client
    for number in range(3):
        assert (await ask(client, "/Users", count=1))["totalResults"] == 999 + number
        await client.new_user(f"another {number}")


async def test_what_is_remembered_of_counts_is_bounded() -> None:
    table = MemoryTable()
    store = Store(table)
    made = users(numbered(1_001))
    for number in range(300):
        tenant = f"tenant-{number}"
        table.load(tenant, made)
        assert (await store.of(tenant).counts.count(USER_TYPE)).total == 1_001
        table.clear(tenant)
    assert len(store.count_memory.counts) <= 256


async def test_a_total_is_never_behind_what_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was counted a moment ago gives way to what a page sees: of users who have gone, or come."""
    table = with_users(1_200)
    client = Door(table).client
    assert (await ask(client, "/Users", count=1))["totalResults"] == 1_200
    gone = keys.resource_range(USER_TYPE, spread(600))
    for row in [row for row in table.rows(TENANT) if gone[0] <= row.key < gone[1]]:
        table.drop(TENANT, row.key)
    left = sum(row.key.startswith("r ") for row in table.rows(TENANT))
    page = await ask(client, "/Users", count=1000, startIndex=1)
    assert (page["totalResults"], page["itemsPerPage"]) == (left, left)


@pytest.mark.parametrize("number", [999, 1_000, 1_001, 1_999, 2_000, 2_001, 5_000])
async def test_sizes_at_the_edge_are_counted(number: int) -> None:
    for empty in (False, True):
        table = MemoryTable(empty_pages=empty)
        table.load(TENANT, users(numbered(number)))
        assert (await ask(Door(table).client, "/Users", count=0))["totalResults"] == number


@pytest.mark.parametrize("start", [1, 2, 999, 1_000, 1_001, 7_777, 12_345, 19_999, 20_000, 20_001, 50_000])
async def test_a_page_far_in_is_found_without_a_bookmark(crowd: MemoryTable, start: int) -> None:
    """By the counts of ranges, and keys alone within one of them."""
    client = Door(crowd).client
    ids = sorted(spread(n) for n in range(20_000))
    crowd.reset()
    page = await ask(client, "/Users", count=3, startIndex=start)
    assert [resource["id"] for resource in page["Resources"]] == ids[start - 1 :][:3]
    assert page["totalResults"] == 20_000
    assert len(crowd.trips) <= 20 + 16 + 5 + 5
    for row in [row for row in crowd.rows(TENANT) if row.key.startswith("b ")]:
        crowd.drop(TENANT, row.key)


async def test_ids_that_are_not_spread_are_counted_too() -> None:
    """Imported ones, say."""
    table = MemoryTable()
    made = {f"r u-{n:024}": {"id": f"u-{n:024}", **TIMES, "keys": "", "doc0": "{}"} for n in range(9_000)}
    made |= {f"r u-z{n:023}": {"id": f"u-z{n:023}", **TIMES, "keys": "", "doc0": "{}"} for n in range(9_000)}
    table.load(TENANT, made)
    client = Door(table).client
    for start, id in (
        (1, f"u-{0:024}"),
        (8_500, f"u-{8_499:024}"),
        (9_001, f"u-z{0:023}"),
        (18_000, f"u-z{8_999:023}"),
    ):
        page = await ask(client, "/Users", count=1, startIndex=start)
        assert ([one["id"] for one in page["Resources"]], page["totalResults"]) == ([id], 18_000)


# An order that an index is in.


@pytest.mark.parametrize("by", ["cursor", "startIndex"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_a_sorted_page_costs_the_page(crowd: MemoryTable, order: str, by: str) -> None:
    """Two trips (three with a bookmark's read and write) and one for each resource; few rows beyond the page's."""
    client = Door(crowd).client
    expected = sorted(numbered(20_000), reverse=order == "descending")
    trips, read, number, found = [], [], 0, []
    crowd.reset()
    async for page in walk(client, by, 50, sortBy="userName", sortOrder=order):
        trips.append(len(crowd.trips))
        read.append(crowd.rows_read)
        crowd.reset()
        assert page["totalResults"] == 20_000
        found += shown(page)
        number += 1
        if number == 60:
            break
    assert found == expected[: 60 * 50]
    assert max(trips[2:]) <= 50 + 2 + 30
    assert sum(trips[2:]) / len(trips[2:]) <= 50 + 6
    assert sum(read[2:]) / len(read[2:]) <= 50 + (52 if order == "ascending" else 1_500)


@pytest.mark.parametrize("by", ["cursor", "startIndex"])
@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("kind", ["numbers", "letters", "any text", "one prefix", "doubling"])
async def test_a_sorted_walk_sees_all_in_order(kind: str, order: str, by: str) -> None:
    chance = random.Random(7)
    texts = {
        "numbers": lambda n: f"{n:05}",
        "letters": lambda n: "".join(chance.choices("abcdefghijklmnopqrstuvwxyz.", k=8)) + str(n),
        "any text": lambda n: "".join(chance.choices("aé~!\uffee\ue000\ud7ff😀𐀀 /%0z", k=4)) + str(n),
        "one prefix": lambda n: "x" * 110 + str(n),
        "doubling": lambda n: "b" * (n % 100) + "a" + str(n),
    }
    names = [texts[kind](n) for n in range(3_300)]
    table = MemoryTable()
    table.load(TENANT, users(names))
    client = Door(table).client
    found = [name async for page in walk(client, by, 400, sortBy="userName", sortOrder=order) for name in shown(page)]
    ordered = sorted(names, key=lambda name: units(keys.unique_key(USER_TYPE, NAME, name)))
    assert found == (ordered[::-1] if order == "descending" else ordered)


@pytest.mark.parametrize("start", [1, 990, 1_001, 5_000, 15_000, 19_999, 20_001])
@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_a_sorted_page_far_in_is_found(crowd: MemoryTable, order: str, start: int) -> None:
    client = Door(crowd).client
    page = await ask(client, "/Users", sortBy="userName", sortOrder=order, startIndex=start, count=3)
    expected = sorted(numbered(20_000), reverse=order == "descending")
    assert (shown(page), page["totalResults"]) == (expected[start - 1 :][:3], 20_000)


@pytest.mark.parametrize("order", ["ascending", "descending"])
async def test_a_sorted_page_far_in_counts_against_the_scan_limit(crowd: MemoryTable, order: str) -> None:
    client = Door(crowd, SCIM_SCAN_LIMIT="5000").client
    asked = f"/Users?{BARE}&sortBy=userName&sortOrder={order}&count=3"
    response = await client.get(f"{asked}&startIndex=15001")
    assert (response.status, response.json.get("scimType")) == (400, "tooMany")
    assert "cursor" in response.json["detail"]
    assert (await client.get(f"{asked}&startIndex=1")).status == 200


# Edges.


@pytest.mark.parametrize("filter", ['groups eq "{}"', 'groups.value eq "{}"', 'groups[value eq "{}"]'])
async def test_the_users_of_a_group_are_read_in_ranges(filter: str) -> None:
    table = with_users(20_000)
    group = with_members(table, range(20_000))
    client = Door(table).client
    table.reset()
    page = await ask(client, "/Users", count=1, filter=filter.format(group))
    assert (page["totalResults"], page["itemsPerPage"]) == (20_000, 1)
    assert len(table.trips) <= 20 + 20 + 5
    table.reset()
    page = await ask(client, "/Users", count=1, filter=f'{filter.format(group)} and title eq "x"')
    assert page["totalResults"] == 0
    assert len(table.trips) <= 20 + 20 + 5
    table.reset()
    page = await ask(client, "/Users", count=1, filter=f'{filter.format(group)} or userName eq "nobody"')
    assert page["totalResults"] == 20_000
    assert len(table.trips) <= 20 + 20 + 20 + 5  # the filter asks for each one's edge too


async def test_a_few_members_among_many_are_read_one_by_one(crowd: MemoryTable) -> None:
    group = with_members(crowd, range(0, 20_000, 100), "g-" + "b" * 24)
    client = Door(crowd).client
    crowd.reset()
    page = await ask(client, "/Users", count=5, filter=f'groups eq "{group}"')
    assert page["totalResults"] == 200
    assert crowd.trips.count("read") <= 201
    assert crowd.trips.count("page") <= 3


@pytest.mark.parametrize("by", ["cursor", "startIndex"])
async def test_a_walk_through_the_users_of_a_group_reads_each_page_once(by: str) -> None:
    table = with_users(6_000)
    group = with_members(table, range(0, 6_000, 2))
    client = Door(table).client
    table.reset()
    found: list[str] = []
    async for page in walk(client, by, 100, filter=f'groups eq "{group}"'):
        assert page["totalResults"] == 3_000
        found += shown(page)
    assert sorted(found) == numbered(6_000)[::2]
    assert len(table.trips) <= 30 * (100 + 5)  # a point read for each resource, where a page is small
    assert table.rows_read <= 30 * 1_500 + 12_000


@pytest.mark.parametrize(
    "filter",
    [
        'groups eq "{}"',
        'groups eq "{}" and title eq "x"',
        'userName eq "x" or groups eq "{}"',
        'title pr or groups eq "{}"',
    ],
)
async def test_edges_count_against_the_scan_limit(filter: str) -> None:
    table = with_users(3_000)
    group = with_members(table, range(3_000))
    table.reset()
    client = Door(table, SCIM_SCAN_LIMIT="2000").client
    response = await client.get(f"/Users?{BARE}&count=1&filter={quote_plus(filter.format(group))}")
    assert (response.status, response.json.get("scimType")) == (400, "tooMany")
    assert "userName" in response.json["detail"]
    assert len(table.trips) <= 6
    wide = Door(table, SCIM_SCAN_LIMIT="3000").client
    assert (await wide.get(f"/Users?{BARE}&count=1&filter={quote_plus(filter.format(group))}")).status == 200


async def test_the_groups_of_a_member_count_too() -> None:
    table = with_users(1)
    for number in range(50):
        with_members(table, [0], spread(number, "g"))
    ours = Door(table, SCIM_SCAN_LIMIT="49").client
    filter = f'members eq "{spread(0)}"'
    response = await ours.get(f"/Groups?{BARE}&filter={quote_plus(filter)}")
    assert (response.status, response.json.get("scimType")) == (400, "tooMany")
    assert (await ask(Door(table).client, "/Groups", filter=filter))["totalResults"] == 50


async def test_two_groups_in_one_filter_are_each_read_once() -> None:
    table = with_users(6_000)
    every = with_members(table, range(6_000))
    few = with_members(table, range(0, 6_000, 3), "g-" + "c" * 24)
    client = Door(table).client
    for filter, expected in (
        (f'groups eq "{every}" and groups eq "{few}"', 2_000),
        (f'groups eq "{every}" and not (groups eq "{few}")', 4_000),
        (f'userName pr and not (groups eq "{few}")', 4_000),
        (f'groups eq "{few}" and groups pr', 2_000),
    ):
        table.reset()
        page = await ask(client, "/Users", count=1, filter=filter)
        assert page["totalResults"] == expected, filter
        assert len(table.trips) <= 6 + 6 + 6 + 16, (filter, len(table.trips))


async def test_a_long_list_of_values_is_read_in_ranges() -> None:
    table = with_users(1_500, externalId="same")
    client = Door(table).client
    for row in [row for row in table.rows(TENANT) if row.key.startswith("l ")][:600]:
        table.drop(TENANT, row.key)
    table.reset()
    page = await ask(client, "/Users", count=1, filter='externalId eq "same"')
    assert page["totalResults"] == 900
    assert len(table.trips) <= 5


# Bytes.


@pytest.mark.parametrize("by", ["cursor", "startIndex"])
@pytest.mark.parametrize(
    "more",
    [
        {},
        {"filter": "userName pr"},
        {"filter": 'userName sw "user"'},
        {"filter": 'groups eq "g-aaaaaaaaaaaaaaaaaaaaaaaa"'},
        {"sortBy": "userName"},
        {"sortBy": "userName", "sortOrder": "descending"},
    ],
    ids=["all", "scan", "prefix", "edge", "ascending", "descending"],
)
async def test_a_page_ends_at_8_mib(by: str, more: dict[str, object]) -> None:
    """60 users of 400 kB, 21 to a page; a client that goes on by what it got sees each once."""
    table = with_users(60, title="x" * 400_000)
    with_members(table, range(60))
    pages = [page async for page in walk(Door(table).client, by, 50, **more)]
    assert sorted(name for page in pages for name in shown(page)) == numbered(60)
    assert {page["totalResults"] for page in pages} == {60}
    assert [page["itemsPerPage"] for page in pages] == [20, 20, 20]


async def test_a_page_of_everything_ends_at_8_mib() -> None:
    table = with_users(25, title="x" * 400_000)
    with_members(table, range(1))
    pages = [page async for page in walk(Door(table).client, "startIndex", 50, "/")]
    assert [page["itemsPerPage"] for page in pages] == [20, 6]
    assert {page["totalResults"] for page in pages} == {26}


async def test_what_a_search_holds_is_bounded() -> None:
    """Of 300 users of 400 kB each, 120 MB in all."""
    table = with_users(300, title="x" * 400_000)
    client = Door(table).client
    await ask(client, "/Groups", count=1)
    for more in ({}, {"filter": "userName pr"}, {"filter": 'userName sw "user"'}, {"filter": 'title eq "y"'}):
        tracemalloc.start()
        try:
            await ask(client, "/Users", count=1000, **more)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 60 * MIB, (more, peak / MIB)


async def test_a_sort_that_holds_too_many_bytes_is_refused() -> None:
    table = with_users(100, title="x" * 400_000)
    client = Door(table).client
    response = await client.get(f"/Users?{BARE}&count=1&sortBy=displayName")
    assert (response.status, response.json.get("scimType")) == (400, "tooMany")
    assert "filter" in response.json["detail"]
    page = await ask(client, "/Users", count=1, sortBy="displayName", filter='userName sw "user-000000"')
    assert page["totalResults"] == 10


# Bookmarks.


def bookmarks(table: MemoryTable) -> list[Row]:
    return [row for row in table.rows(TENANT) if row.key.startswith("b ")]


async def test_bookmarks_are_bounded_per_connection() -> None:
    table = with_users(60)
    client = Door(table).client
    for number in range(1_500):
        await ask(client, "/Users", count=1, filter=f'userName sw "user" and not (title eq "{number}")')
    assert 500 < len(bookmarks(table)) <= 1_000
    assert {row.key.split(" ")[1] for row in bookmarks(table)} == {TENANT}


async def test_a_bookmark_of_another_query_in_the_same_slot_is_ignored() -> None:
    table = with_users(60)
    client = Door(table).client
    whole = shown(await ask(client, "/Users", count=60))
    await ask(client, "/Users", count=10)
    (mark,) = bookmarks(table)
    for changed in ({"query": "0" * 32}, {"start": 12}, {"start": "11"}, {"at": "long ago"}, {"total": "many"}):
        table.load(TENANT, {mark.key: {**mark.values, **changed, "next": spread(0)}})
        assert shown(await ask(client, "/Users", count=10, startIndex=11)) == whole[10:20], changed


async def test_housekeeping_removes_a_hundred_bookmarks_a_transaction() -> None:
    table = MemoryTable()
    fresh = {"type": "User", "next": "x", "total": 1, "query": "q", "start": 1, "at": "2999-01-01T00:00:00.000Z"}
    old = {**fresh, "at": "2020-01-01T00:00:00.000Z"}
    made: dict[str, dict[str, Any]] = {f"b c {n}": old for n in range(950)}
    made |= {"b c 1000": fresh, "b c 1001": {}, "b c 1002": {"at": "yesterday"}, "b c 1003": {"at": 5}}
    table.load(TENANT, made)
    await Store(table).of(TENANT).positions.remove_old()
    assert [row.key for row in bookmarks(table)] == ["b c 1000"]
    assert table.trips == ["page"] + ["commit"] * 10


async def test_a_bookmark_that_is_written_meanwhile_stops_no_other() -> None:
    table = MemoryTable()
    table.load(TENANT, {f"b c {n}": {"at": "2020-01-01T00:00:00.000Z"} for n in range(150)})

    class Racing(MemoryTable):
        async def commit(self, partition: str, writes: Any) -> list[str]:
            if len(table.trips) == 1:
                table.load(TENANT, {"b c 100": {"at": "2999-01-01T00:00:00.000Z"}})
            return await table.commit(partition, writes)

        def pages(self, *args: Any, **named: Any) -> Any:
            return table.pages(*args, **named)

    await Store(Racing()).of(TENANT).positions.remove_old()
    assert [row.key for row in bookmarks(table)] == ["b c 100"]


async def test_housekeeping_stops_with_its_time() -> None:
    table = MemoryTable()
    table.load(TENANT, {f"b c {n}": {"at": "2020-01-01T00:00:00.000Z"} for n in range(950)})
    left = iter([False, False, True])
    await Store(table).of(TENANT).positions.remove_old(lambda: next(left))
    assert len(bookmarks(table)) == 750


# On Azurite, through the app.


@pytest.mark.long
async def test_more_than_a_page_on_azurite(client: Client) -> None:
    """1,300 users with names of all kinds, all in one group: in every order, whole, and each once."""
    chance = random.Random(3)
    names = ["".join(chance.choices("aé~!'\\\uffee😀𐀀 /%0z&+#", k=5)) + f"{n}x" for n in range(1_300)]
    ids: list[str] = []
    for at in range(0, len(names), 650):
        posts = [{"method": "POST", "path": "/Users", "data": {"userName": n}} for n in names[at : at + 650]]
        made = (await client.post("/Bulk", {"Operations": posts})).json["Operations"]
        assert {one["status"] for one in made} == {"201"}
        ids += [one["location"].rpartition("/")[2] for one in made]
    members = [{"value": id} for id in ids]
    group = (await client.post("/Groups", {"displayName": "all", "members": members})).json["id"]
    ordered = sorted(names, key=lambda name: units(keys.unique_key(USER_TYPE, NAME, name)))
    for by in ("cursor", "startIndex"):
        for order in ("ascending", "descending"):
            pages = [page async for page in walk(client, by, 300, sortBy="userName", sortOrder=order)]
            found = [name for page in pages for name in shown(page)]
            assert found == (ordered[::-1] if order == "descending" else ordered)
            assert {page["totalResults"] for page in pages} == {1_300}
        pages = [page async for page in walk(client, by, 300, filter=f'groups eq "{group}"')]
        assert sorted(one["id"] for page in pages for one in page["Resources"]) == sorted(ids)
        assert {page["totalResults"] for page in pages} == {1_300}
    for start in (1, 1_000, 1_250):
        page = await ask(client, "/Users", count=5, startIndex=start)
        assert [one["id"] for one in page["Resources"]] == sorted(ids)[start - 1 :][:5]
    page = await ask(client, "/Users", count=5, filter=f'groups eq "{group}" and userName co "1"')
    assert page["totalResults"] == sum("1" in name for name in names)
