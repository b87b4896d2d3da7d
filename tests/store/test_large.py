"""Size: what a request costs does not grow with the tenant or the group, and large groups are whole.

Sizes beyond some ten thousand rows are on a table in memory, where trips and rows read are counted. The slow tests here
are the last ones, on Azurite, over HTTP.
"""

from __future__ import annotations

import gc
import math
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from dev.azurite import Azurite
from scim.app import Application
from scim.operate.check import Report, examine, list_problems
from scim.store import keys, properties, shared_keys
from scim.store.members import Changes, Member
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import Table
from scim.store.table.azure import AzureTable
from tests.conftest import TABLE
from tests.core import GROUP_TYPE, REGISTRY, cases
from tests.store.memory import Door, MemoryTable, create
from tests.support import Client, Response, Wire

pytestmark = pytest.mark.long

TENANT = "tenant"
LARGE = 100_000
GROUP, OTHER_GROUP = "g-" + "a" * 24, "g-" + "b" * 24
TIMES = {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "write": "0"}
ANNOUNCED = {shared_keys.tenant_key(TENANT): {"tenant": TENANT, "touched": "2099-01-01T00:00:00.000Z"}}


def member(number: int) -> str:
    return f"member-{number:06}"


def with_group(number: int) -> MemoryTable:
    """A table with a group of so many members, written as the store would."""
    table = MemoryTable()
    document = {"displayName": "all"}
    indexed = keys.build_index_rows(GROUP_TYPE, GROUP, document)
    named = {"keys": "\n".join(indexed)}
    made = {
        keys.resource_key(GROUP): {
            "v": properties.FORMAT,
            "id": GROUP,
            **TIMES,
            **named,
            "n": 1,
            **properties.split_document(document),
        }
    }
    made |= {**indexed, keys.gate_key(GROUP): {}}
    edges = [{"group": GROUP, "member": member(n)} for n in range(number)]
    made |= {keys.member_key(GROUP, edge["member"]): edge for edge in edges}
    made |= {keys.member_of_key(edge["member"], GROUP): edge for edge in edges}
    table.load(TENANT, made)
    table.load(SHARED, ANNOUNCED)
    return table


@pytest.fixture(scope="module")
def small() -> MemoryTable:
    return with_group(1)


@pytest.fixture(scope="module")
def large() -> MemoryTable:
    return with_group(LARGE)


async def test_large_group_is_what_the_store_writes() -> None:
    """Rows that are put there directly are those that a POST leaves, but for its receipt."""
    table, posted = with_group(3), MemoryTable()
    made = await create(
        Store(posted), TENANT, GROUP_TYPE, {"displayName": "all"}, [Member(member(n)) for n in range(3)]
    )
    assert await list_problems(table, TENANT, REGISTRY) == []
    shape = {row.key: sorted(row.values) for row in table.rows(TENANT)}
    left = [row for row in posted.rows(TENANT) if not row.key.startswith(("w ", "e "))]
    assert {row.key.replace(made.id, GROUP): sorted(row.values) for row in left} == shape


# A group of 100,000 members.

Ask = Callable[[Client], Awaitable[Response]]


def patch(*operations: dict[str, Any]) -> Ask:
    return lambda client: client.patch(f"/Groups/{GROUP}", *operations)


def get(path: str) -> Ask:
    return lambda client: client.get(path)


def values(first: int, end: int) -> list[dict[str, str]]:
    return [{"value": member(n)} for n in range(first, end)]


def added(number: int) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": values(900_000, 900_000 + number)}


RENAMED = {"op": "replace", "path": "displayName", "value": "renamed"}


OF_ONE_GROUP: dict[str, tuple[Ask, int, list[str]]] = {
    "add one": (patch(added(1)), 204, ["commit"]),
    "add 48": (patch(added(48)), 204, ["commit"]),
    "add 100": (patch(added(100)), 204, ["commit"] * 4),  # one of them announces
    "add one that is there": (patch({"op": "add", "path": "members", "value": values(0, 1)}), 204, ["commit"]),
    "remove one": (patch({"op": "remove", "path": f'members[value eq "{member(0)}"]'}), 204, ["commit"]),
    "remove one as Entra does": (patch({"op": "Remove", "path": "members", "value": values(0, 1)}), 204, ["commit"]),
    "remove one that is not there": (
        patch({"op": "remove", "path": "members", "value": values(950_000, 950_001)}),
        204,
        ["commit", "read", "read", "read", "read", "read", "commit"],
    ),
    "add and remove": (
        patch(added(20), {"op": "remove", "path": "members", "value": values(0, 1)}),
        204,
        ["commit"],
    ),
    "rename": (patch(RENAMED), 204, ["read", "commit"]),
    "rename and add": (patch(RENAMED, added(1)), 204, ["read", "commit"]),
    "read without members": (get(f"/Groups/{GROUP}?excludedAttributes=members"), 200, ["read"]),
    "list without members": (get("/Groups?excludedAttributes=members"), 200, ["page", "page"]),
    "find without members": (
        get('/Groups?excludedAttributes=members&filter=displayName+eq+"ALL"'),
        200,
        ["read", "read"],
    ),
    "member check": (
        get(f'/Groups?attributes=id&filter=id+eq+"{GROUP}"+and+members+eq+"{member(0)}"'),
        200,
        ["read", "read"],
    ),
    "groups of a member": (get(f'/Groups?attributes=id&filter=members+eq+"{member(0)}"'), 200, ["page", "read"]),
}


@pytest.mark.parametrize(("ask", "status", "trips"), cases(OF_ONE_GROUP))
async def test_request_costs_the_same_in_a_large_group(
    small: MemoryTable, large: MemoryTable, ask: Ask, status: int, trips: list[str]
) -> None:
    rows_read: list[int] = []
    for table in (small, large):
        client = await Door(table).warm()
        table.reset()
        response = await ask(client)
        assert response.status == status, response.body
        assert sorted(table.trips) == sorted(trips)
        rows_read.append(table.rows_read)
        await undo(table)
    assert rows_read[0] == rows_read[1]


async def undo(table: MemoryTable) -> None:
    """Bring back what a request changed."""
    store = Store(table)
    beyond = {member(n) for n in range(900_000, 900_100)}
    await store.of(TENANT).members.change(GROUP, Changes({member(0): Member(member(0))}, beyond))
    stored = await store.of(TENANT).resources.read(GROUP)
    assert stored
    await store.of(TENANT).resources.update(GROUP_TYPE, stored, {"displayName": "all"})


async def test_large_group_is_whole(large: MemoryTable) -> None:
    """The tests before took nobody out for good, and put nobody in."""
    held = [one.value async for _, one in Store(large).of(TENANT).members.read_members(GROUP)]
    assert held == [member(n) for n in range(LARGE)]
    assert await list_problems(large, TENANT, REGISTRY) == []


async def test_members_are_streamed(large: MemoryTable) -> None:
    """Reading 100,000 members takes the memory of a page of them, not of all."""
    gc.collect()
    tracemalloc.start()
    try:
        number, start = 0, tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        async for _ in Store(large).of(TENANT).members.read_members(GROUP):
            number += 1
        peak = tracemalloc.get_traced_memory()[1] - start
    finally:
        tracemalloc.stop()
    assert number == LARGE
    assert peak < 3 * 2**20  # a page of 1,000 rows takes 0.5 MiB, two are held while the next is read


async def test_whole_large_group_is_read_in_pages(large: MemoryTable) -> None:
    large.reset()
    response = await Door(large).client.get(f"/Groups/{GROUP}")
    assert len(response.json["members"]) == LARGE
    assert sorted(large.trips) == ["page"] * (LARGE // 1000) + ["read"]


async def test_large_group_is_deleted_whole() -> None:
    """The members of one are in another group too, and stay there."""
    table = with_group(LARGE)
    store = Store(table)
    kept = [Member(member(n)) for n in range(0, LARGE, 1000)]
    other = await create(store, TENANT, GROUP_TYPE, {"displayName": "other"}, kept)
    await store.of(TENANT).members.change(other.id, Changes({GROUP: Member(GROUP)}))
    client = Door(table).client
    assert (await client.delete(f"/Groups/{GROUP}")).status == 204
    assert (await client.get(f"/Groups/{GROUP}")).status == 404
    await store.housekeeping.run(everything=True)
    report = await examine(table, TENANT, REGISTRY)
    assert (report.problems, report.strangers, report.pending) == ([], {}, 0)
    assert (report.resources, report.memberships) == (1, len(kept))


EMPTYING: dict[str, Ask] = {
    "PATCH remove": patch({"op": "remove", "path": "members"}),
    "PATCH replace with nobody": patch({"op": "replace", "path": "members", "value": []}),
    "PATCH replace with one": patch({"op": "replace", "path": "members", "value": values(0, 1)}),
    "PUT": lambda client: client.put(f"/Groups/{GROUP}", {"displayName": "all"}),
}


@pytest.mark.parametrize("ask", cases(EMPTYING))
async def test_large_group_can_be_emptied(ask: Ask) -> None:
    """A client cannot send less at a time: it names nobody."""
    table = with_group(40_000)
    client = Door(table).client
    response = await ask(client)
    assert response.status in (200, 204), response.body
    assert len((await client.get(f"/Groups/{GROUP}")).json.get("members", [])) <= 1
    await Store(table).housekeeping.run(everything=True)
    assert await list_problems(table, TENANT, REGISTRY) == []


# A million users.

MANY = 1_000_000


def with_users(number: int) -> MemoryTable:
    """A table of so many users, written as the store would."""
    ids = [f"u-{n:024}" for n in range(number)]
    made: dict[str, dict[str, Any]] = {
        f"r {id}": {
            "id": id,
            **TIMES,
            "keys": f"x u username user-{n:07}",
            "doc0": f'{{"userName":"user-{n:07}"}}',
        }
        for n, id in enumerate(ids)
    }
    made |= {f"x u username user-{n:07}": {"id": id} for n, id in enumerate(ids)}
    table = MemoryTable()
    table.load(TENANT, made)
    table.load(SHARED, ANNOUNCED)
    return table


@pytest.fixture(scope="module")
def few_users() -> MemoryTable:
    return with_users(10)


@pytest.fixture(scope="module")
def many_users() -> Iterator[MemoryTable]:
    """A gigabyte, given back when the module is done; the garbage collector need not look at them meanwhile."""
    gc.disable()
    table = with_users(MANY)
    gc.freeze()
    gc.enable()
    yield table
    table.clear(TENANT)
    gc.unfreeze()


async def test_many_users_are_what_the_store_writes(few_users: MemoryTable) -> None:
    assert await list_problems(few_users, TENANT, REGISTRY) == []


ID = f"u-{7:024}"
USER = f"/Users/{ID}"

OF_ONE_USER: dict[str, tuple[Ask, int, list[str]]] = {
    "read": (get(USER + "?excludedAttributes=groups"), 200, ["read"]),
    "read with groups": (get(USER), 200, ["read", "page"]),
    "read what is not there": (get(f"/Users/{ID}x"), 404, ["read", "page"]),
    "find by userName": (get('/Users?attributes=id&filter=userName+eq+"USER-0000007"'), 200, ["read", "read"]),
    "find no userName": (get('/Users?attributes=id&filter=userName+eq+"user"'), 200, ["read"]),
    "find no externalId": (get('/Users?attributes=id&filter=externalId+eq+"new"'), 200, ["page"]),
    "find by id": (get(f'/Users?attributes=id&filter=id+eq+"{ID}"'), 200, ["read"]),
    "create": (lambda client: client.post("/Users", {"userName": "new", "externalId": "new"}), 201, ["commit"]),
    "find by externalId": (get('/Users?attributes=userName&filter=externalId+eq+"new"'), 200, ["page", "read"]),
    "create a taken one": (
        lambda client: client.post("/Users", {"userName": "User-0000007"}),
        409,
        ["commit", "read", "read"],
    ),
    "modify": (
        lambda client: client.patch(USER + "?attributes=id", {"op": "replace", "path": "userName", "value": "renamed"}),
        200,
        ["read", "commit"],
    ),
    "replace": (
        lambda client: client.put(USER + "?attributes=id", {"userName": "renamed again", "externalId": "x"}),
        200,
        ["read", "commit"],
    ),
    "delete": (lambda client: client.delete(USER), 204, ["read", "commit", "commit", "page"]),  # one announces
}


@pytest.mark.parametrize(("ask", "status", "trips"), cases(OF_ONE_USER))
async def test_request_costs_the_same_among_many_users(
    few_users: MemoryTable, many_users: MemoryTable, ask: Ask, status: int, trips: list[str]
) -> None:
    rows_read: list[int] = []
    for table in (few_users, many_users):
        client = await Door(table).warm()
        table.reset()
        response = await ask(client)
        assert response.status == status, response.body
        assert sorted(table.trips) == sorted(trips)
        rows_read.append(table.rows_read)
    assert rows_read[0] == rows_read[1]


# On Azurite, over HTTP.


@pytest.fixture(scope="module")
async def real(azurite: Azurite) -> AsyncIterator[AzureTable]:
    """The table that the clients' requests end in."""
    table = AzureTable.with_key(azurite.connection_string, TABLE)
    yield table
    await table.close()


async def held(client: Client, group: str) -> list[str]:
    """A group's members as it shows them, none twice."""
    shown = [one["value"] for one in (await client.get(f"/Groups/{group}")).json.get("members", [])]
    assert len(shown) == len(set(shown))
    return sorted(shown)


async def is_clean(table: Table, tenant: str) -> Report:
    report = await examine(table, tenant, REGISTRY)
    assert (report.problems, report.strangers) == ([], {})
    return report


async def test_patch_of_5000_members(client: Client, wire: Wire, real: AzureTable) -> None:
    group = (await client.post("/Groups", {"displayName": "all"})).json["id"]
    await client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": values(0, 50)})  # it announces
    wire.reset()
    response = await client.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": values(10, 5_010)})
    assert response.status == 204
    assert wire.trips == ["POST $batch"] * (2 + math.ceil((5_000 - 94) / 48))
    assert await held(client, group) == [member(n) for n in range(5_010)]
    report = await is_clean(real, client.tenant)
    assert (report.memberships, report.pending) == (5_010, 0)


async def test_life_of_a_group_of_10000(client: Client, application: Application, wire: Wire, real: AzureTable) -> None:
    response = await client.post("/Groups", {"displayName": "all", "members": values(0, 10_000)})
    assert response.status == 201
    assert len(response.json["members"]) == 10_000
    path = f"/Groups/{response.json['id']}"
    assert await held(client, response.json["id"]) == [member(n) for n in range(10_000)]

    wire.reset()
    assert (await client.patch(path, {"op": "add", "path": "members", "value": values(10_000, 10_001)})).status == 204
    assert (await client.patch(path, {"op": "remove", "path": "members", "value": values(0, 1)})).status == 204
    assert wire.trips == ["POST $batch"] * 2
    assert await held(client, response.json["id"]) == [member(n) for n in range(1, 10_001)]
    report = await is_clean(real, client.tenant)
    assert (report.memberships, report.pending) == (10_000, 0)

    assert (await client.delete(path)).status == 204
    assert (await client.get(path)).status == 404
    await application.housekeep(everything=True)
    report = await is_clean(real, client.tenant)
    left = [row.key async for page in real.pages(client.tenant, "", "\uffff") for row in page]
    told = ("e ", "h feed", "v ", "a ")
    assert ([key[:2] for key in left if not key.startswith(told)], report.pending) == (["i "], 0)  # the census stays
