"""Part `growth`: the same request in tenants and groups of different sizes, on a table in memory.

Trips and rows read are exact: a request that is meant to cost the same must not have one more. CPU is this process's,
the table in memory included, whose own searches take longer in a million rows than in a thousand.
"""

from __future__ import annotations

import gc
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dev.bench.app import direct
from dev.bench.figures import Figure, Result, Table, median, most, number
from dev.bench.options import Options
from dev.kit import payloads
from dev.kit.client import Client

_PART = "growth"
_TENANT = "tenant"
_CPU = most(1.5)
_TIMES = {"created": "2026-01-01T00:00:00.000Z", "modified": "2026-01-01T00:00:00.000Z", "write": "0"}
_GROUP = "g-" + "a" * 24
_STAFF, _STAFFED = "g-" + "b" * 24, 20_000
"""A group of so many of the users, or of all."""
_BASE32 = "abcdefghijklmnopqrstuvwxyz234567"


@dataclass(frozen=True, slots=True)
class _Request:
    """One kind of request; `ask` is given the size and a number that is never used twice."""

    name: str
    ask: Callable[[Client, int, int], Any]
    budget: Callable[[int], int] | None = None
    """How many trips it may take in a tenant of a size, if it may take more in a larger one."""
    fresh: bool = False
    """Whether it is asked of a process that has counted nothing yet."""


def user_id(number: int) -> str:
    """Neighbours in numbers lie far apart, as random ids do."""
    place = number * 0x9E3779B97F4A7C15 % 2**65
    return "u-" + "".join(_BASE32[place >> shift & 31] for shift in range(60, -1, -5)) + "a" * 11


def _user(number: int) -> str:
    return f"/Users/{user_id(number)}"


def _title(number: int) -> payloads.Body:
    return payloads.patch(payloads.replace("title", f"Manager {number}"))


def _post(client: Client, size: int, n: int) -> Any:
    return client.ask("POST", "/Users", payloads.user(5_000_000 + n), status=201)


def _add(first: int, number: int) -> payloads.Body:
    return payloads.patch(payloads.add_members(*(payloads.stranger(first * number + one) for one in range(number))))


def _group(body: Callable[[int], payloads.Body]) -> Callable[[Client, int, int], Any]:
    return lambda client, size, n: client.ask("PATCH", f"/Groups/{_GROUP}", body(n), status=204)


def _get(path: Callable[[int, int], str]) -> Callable[[Client, int, int], Any]:
    return lambda client, size, n: client.ask("GET", path(size, n))


def _next_page(order: str) -> Callable[[Client, int, int], Any]:
    """Return the next page of a walk with a cursor: the one before it is asked for at the first turn."""
    cursors: dict[Client, str] = {}

    async def ask(client: Client, size: int, n: int) -> None:
        page = f"/Users?sortBy=userName&sortOrder={order}&count=100&excludedAttributes=groups&cursor="
        found = await client.json("GET", page + cursors.get(client, ""))
        cursors[client] = found.get("nextCursor", "")

    return ask


def _counted(size: int) -> int:
    """Return a trip for 1,000 keys, one more for each part that is read at once, and those of a page."""
    return 3 + 16 + -(-(size + 1) // 1000)


_BARE = "excludedAttributes=members"

OF_USERS = (
    _Request("GET user", _get(lambda size, n: _user(n))),
    _Request("userName eq, hit", _get(lambda size, n: f"/Users?filter=userName+eq+%22USER-{n:07}%22")),
    _Request("userName eq, miss", _get(lambda size, n: f"/Users?filter=userName+eq+%22nobody{n}%22")),
    _Request("externalId eq, miss", _get(lambda size, n: f"/Users?filter=externalId+eq+%22nobody{n}%22")),
    _Request("POST user", _post),
    _Request("PATCH user", lambda client, size, n: client.ask("PATCH", _user(n), _title(n))),
    _Request(
        "PUT user", lambda client, size, n: client.ask("PUT", _user(n), {"userName": f"user-{n:07}", "title": "x"})
    ),
    _Request("DELETE user", lambda client, size, n: client.ask("DELETE", _user(500 + n), status=204)),
    _Request("list: 100 from the middle", _get(lambda size, n: f"/Users?startIndex={size // 2 + 101}&count=100")),
    _Request("list: first 100, counted", _get(lambda size, n: "/Users?count=100"), _counted, fresh=True),
    _Request("list: first 100, counted before", _get(lambda size, n: "/Users?count=100")),
    _Request("userName ascending, page by cursor", _next_page("ascending")),
    _Request("userName descending, page by cursor", _next_page("descending"), lambda size: 100 + 2 + 30),
    _Request(
        "groups eq, 20,000 members",
        _get(lambda size, n: f"/Users?count=10&filter=groups+eq+%22{_STAFF}%22"),
        lambda size: 11 + 10 + 3 + min(size, _STAFFED) // 1000,
    ),
)
OF_GROUP = (
    _Request("add 1 member", _group(lambda n: _add(1_000 + n, 1))),
    _Request("add 48 members", _group(lambda n: _add(2_000 + n, 48))),
    _Request("add 100 members", _group(lambda n: _add(3_000 + n, 100))),
    _Request("remove 1 member", _group(lambda n: payloads.patch(payloads.remove_members(user_id(n))))),
    _Request("rename a group", _group(lambda n: payloads.patch(payloads.replace("displayName", f"All {n}")))),
    _Request("GET group without members", _get(lambda size, n: f"/Groups/{_GROUP}?{_BARE}")),
    _Request("list groups without members", _get(lambda size, n: f"/Groups?{_BARE}")),
    _Request(
        "is a member",
        _get(lambda size, n: f"/Groups?attributes=id&filter=id+eq+%22{_GROUP}%22+and+members+eq+%22{user_id(900)}%22"),
    ),
    _Request(
        "groups of a member",
        _get(lambda size, n: f"/Groups?attributes=id&filter=members+eq+%22{user_id(900)}%22"),
    ),
)


@dataclass(frozen=True, slots=True)
class _Cost:
    trips: int
    rows: int
    cpu: float


async def run(options: Options) -> Result:
    """Users first, then members, so that only one of them is large at a time."""
    sizes = [1_000, 2_000] if options.tiny else [1_000, 100_000] if options.quick else [1_000, 100_000, 1_000_000]
    turns = 3 if options.tiny else 20
    figures: list[Figure] = []
    rows: list[list[str]] = []
    for load, requests in ((load_crowd, OF_USERS), (load_members, OF_GROUP)):
        costs = await _measure(load, requests, sizes, turns)
        for request in requests:
            figures += _figures(request, costs[request.name], sizes)
            rows += [_row(request.name, size, cost) for size, cost in costs[request.name].items()]
    method = f"{' and '.join(f'{size:,}' for size in sizes)} users, then members; {turns} turns, the sizes in turn"
    head = ("request", "users or members", "trips", "rows read", "CPU ms")
    return Result(figures, method, (Table("Growth", head, rows),))


async def _measure(
    load: Callable[[Any, int], None], requests: tuple[_Request, ...], sizes: list[int], turns: int
) -> dict[str, dict[int, _Cost]]:
    tables = {size: new_table() for size in sizes}
    gc.disable()  # nothing of what is loaded is garbage
    for size, table in tables.items():
        load(table, size)
    gc.collect()
    gc.freeze()
    gc.enable()
    try:
        asked = {size: direct(table, _TENANT) for size, table in tables.items()}
        for size, client in asked.items():  # compiles what is compiled once, and leaves the middle's bookmark
            await client.ask("GET", f"/Users?startIndex={size // 2 + 1}&count=100")
        taken: dict[str, dict[int, list[_Cost]]] = {request.name: {size: [] for size in sizes} for request in requests}
        for request in requests:
            for turn in range((min(turns, 3) if request.fresh else turns) + 1):
                for size, client in asked.items():
                    if request.fresh:
                        client = direct(tables[size], _TENANT)
                        await client.ask("GET", "/Users?filter=userName+eq+%22nobody%22")
                    cost = await _ask(tables[size], client, size, request, turn)
                    if turn:  # the first warms up
                        taken[request.name][size].append(cost)
        return {name: {size: _typical(found) for size, found in of.items()} for name, of in taken.items()}
    finally:
        gc.unfreeze()


async def _ask(table: Any, client: Client, size: int, request: _Request, turn: int) -> _Cost:
    table.reset()
    began = time.process_time()
    await request.ask(client, size, turn)
    return _Cost(len(table.trips), table.rows_read, time.process_time() - began)


def _typical(costs: list[_Cost]) -> _Cost:
    """Return the most trips and rows that were seen, and the usual CPU."""
    return _Cost(max(c.trips for c in costs), max(c.rows for c in costs), median(c.cpu for c in costs))


def _figures(request: _Request, costs: dict[int, _Cost], sizes: list[int]) -> list[Figure]:
    small, large = costs[sizes[0]], costs[sizes[-1]]
    against = f"at {sizes[0]:,}"
    name = f"{request.name} at {sizes[-1]:,}"
    if request.budget is not None:
        budget = request.budget(sizes[-1])
        return [Figure(_PART, name, large.trips, "trips", budget, "budget", large.trips / budget, most(1))]
    read, before = large.trips + large.rows, small.trips + small.rows
    cpu, cpu_before = large.cpu * 1000, small.cpu * 1000
    return [
        Figure(_PART, name, read, "trips and rows", before, against, read / before, most(1)),
        Figure(_PART, name, cpu, "ms CPU", cpu_before, against, cpu / cpu_before, _CPU),
    ]


def _row(name: str, size: int, cost: _Cost) -> list[str]:
    return [name, f"{size:,}", f"{cost.trips:,}", f"{cost.rows:,}", number(cost.cpu * 1000)]


def new_table() -> Any:
    """Return the table in memory that the tests hold against Azurite; loaded late, since only tests need what it stands
    on."""
    return importlib.import_module("tests.store.memory").MemoryTable()


def load_users(table: Any, size: int) -> None:
    """So many users, put there as the store would leave them."""
    made: dict[str, dict[str, Any]] = {
        f"r {user_id(n)}": {
            "id": user_id(n),
            **_TIMES,
            "keys": f"x u username user-{n:07}",
            "doc0": f'{{"userName":"user-{n:07}"}}',
        }
        for n in range(size)
    }
    made |= {f"x u username user-{n:07}": {"id": user_id(n)} for n in range(size)}
    table.load(_TENANT, made)
    _announce(table)


def load_crowd(table: Any, size: int) -> None:
    """So many users, the first of whom are in a group."""
    load_users(table, size)
    made: dict[str, dict[str, Any]] = {
        f"r {_STAFF}": {"id": _STAFF, **_TIMES, "keys": "x g displayname staff", "doc0": '{"displayName":"staff"}'},
        "x g displayname staff": {"id": _STAFF},
    }
    edges = [{"group": _STAFF, "member": user_id(n)} for n in range(min(size, _STAFFED))]
    made |= {f"m {_STAFF} {edge['member']}": edge for edge in edges}
    made |= {f"g {edge['member']} {_STAFF}": edge for edge in edges}
    table.load(_TENANT, made)


def load_members(table: Any, size: int) -> None:
    """One group of so many members."""
    made: dict[str, dict[str, Any]] = {
        f"r {_GROUP}": {"id": _GROUP, **_TIMES, "keys": "x g displayname all", "doc0": '{"displayName":"all"}'},
        "x g displayname all": {"id": _GROUP},
    }
    edges = [{"group": _GROUP, "member": user_id(n)} for n in range(size)]
    made |= {f"m {_GROUP} {edge['member']}": edge for edge in edges}
    made |= {f"g {edge['member']} {_GROUP}": edge for edge in edges}
    table.load(_TENANT, made)
    _announce(table)


def _announce(table: Any) -> None:
    """Housekeeping knows the tenant, as it does after its first change."""
    table.load("~", {f"t {_TENANT}": {"tenant": _TENANT, "touched": "2099-01-01T00:00:00.000Z"}})
