"""Part `http`: requests through function_app on Azurite, beside the storage calls that each needs.

Three sides in turn: ours, the bare SDK, and the bare wire (floors.py), each on the same rows in a partition of its own.
Azurite takes a core of its own; what our process takes is the CPU time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from dev.bench.app import TABLE, azurite, clients
from dev.bench.figures import Figure, Result, Table, compare, median, most, number
from dev.bench.floors import Copy, Floor, SdkTable
from dev.bench.floors import Table as FloorTable
from dev.bench.measure import Ask, Burst, in_turns, latency
from dev.bench.options import Options
from dev.bench.profiling import profile
from dev.bench.wire import WireTable
from dev.kit import payloads
from dev.kit.client import Client
from scim.store.table import Write
from scim.store.table.azure import AzureTable

_PART = "http"
_SIDES = ("ours", "SDK", "wire")
_END = "\uffff"


@dataclass(frozen=True, slots=True)
class _Operation:
    """A kind of request: as a client asks it, and the floor's method of the same."""

    name: str
    ours: Callable[[Client, Copy], Ask]
    floor: str


def _post(client: Client, copy: Copy) -> Ask:
    return lambda n: client.ask("POST", "/Users", payloads.user(1_000_000 + n), status=201)


def _get(client: Client, copy: Copy) -> Ask:
    return lambda n: client.ask("GET", f"/Users/{copy.users[n % len(copy.users)]}")


def _find(client: Client, copy: Copy) -> Ask:
    def ask(n: int) -> Awaitable[object]:
        name = payloads.user(n % len(copy.users))["userName"].upper()
        return client.ask("GET", f"/Users?filter=userName+eq+%22{name}%22")

    return ask


def _patch(client: Client, copy: Copy) -> Ask:
    def ask(n: int) -> Awaitable[object]:
        body = payloads.patch(payloads.replace("title", f"Retail Manager {n}"))
        return client.ask("PATCH", f"/Users/{copy.users[n % len(copy.users)]}", body)

    return ask


def _page(client: Client, copy: Copy) -> Ask:
    start = _middle(copy)
    return lambda n: client.ask("GET", f"/Users?startIndex={start}&count=100")


def _member(client: Client, copy: Copy) -> Ask:
    def ask(n: int) -> Awaitable[object]:
        body = payloads.patch(payloads.add_members(payloads.stranger(n)))
        return client.ask("PATCH", f"/Groups/{copy.group}", body, status=204)

    return ask


OPERATIONS = (
    _Operation("POST user", _post, "post"),
    _Operation("GET user", _get, "get"),
    _Operation("userName eq", _find, "find"),
    _Operation("PATCH user", _patch, "patch"),
    _Operation("list, 100 from the middle", _page, "page"),
    _Operation("add one member", _member, "member"),
)


async def run(options: Options) -> Result:
    """Measure every operation one and sixteen at a time."""
    users = 200 if options.tiny else 1000
    turns, lone, crowd = (1, 1, 4) if options.tiny else (3, 32, 96) if options.quick else (7, 48, 160)
    figures: list[Figure] = []
    rows: list[list[str]] = []
    profiles: list[tuple[str, str]] = []
    with azurite() as server:
        async with contextlib.AsyncExitStack() as stack:
            table = server.connection_string
            client = (await stack.enter_async_context(clients(table, ["ours"])))["ours"]
            origin = AzureTable.with_key(table, TABLE)
            stack.push_async_callback(origin.close)
            copy = await fill(client, users)
            opened, floors = await open_floors(origin, table, copy)
            for each_table in opened:
                stack.push_async_callback(each_table.close)
            for operation in OPERATIONS:
                sides: dict[str, Ask] = {"ours": operation.ours(client, copy)}
                sides |= {side: getattr(floor, operation.floor) for side, floor in floors.items()}
                first = 0
                for at_once, each in ((1, lone), (16, crowd)):
                    got = await in_turns(sides, turns=turns, number=each, at_once=at_once, first=first)
                    first += (turns + 1) * each
                    figures += _figures(f"{operation.name}, {at_once} at a time", got)
                    rows += [_row(operation.name, at_once, side, got[side]) for side in _SIDES]
                if options.profiles and any(figure.met is False for figure in figures[-6:]):
                    text = await profile(sides["ours"], first, 2 * crowd)
                    profiles.append((f"{operation.name}, CPU of {2 * crowd} requests", text))
    method = (
        f"{users:,} users in the tenant, a group of all of them; {turns} turns of {lone} requests one at a time and "
        f"{crowd} sixteen at a time; the three sides in turn, ratios within a turn"
    )
    head = ("operation", "at a time", "side", "requests/s", "p50 ms", "p95 ms", "CPU ms each")
    return Result(figures, method, (Table("Requests on Azurite", head, rows),), tuple(profiles))


async def fill(client: Client, users: int) -> Copy:
    """Users, a group of them all, and a walk through the list, as a client would leave them."""
    ids = await client.add_users(0, users)
    made = await client.json("POST", "/Groups", payloads.group("Everybody", ids), status=201)
    for start in range(1, users, 100):  # leaves the bookmarks
        await client.ask("GET", f"/Users?startIndex={start}&count=100")
    return Copy("ours", ids, made["id"], [], "")


async def open_floors(
    origin: AzureTable, connection_string: str, ours: Copy
) -> tuple[list[FloorTable], dict[str, Floor]]:
    """Return both floors by name, each with a copy of our rows in a partition of its own, and the tables to close."""
    rows = [row async for page in origin.pages(ours.partition, " ", _END) for row in page]
    names = [row.key for row in rows if row.key.startswith("x u ")]
    bookmarks = (row.key for row in rows if row.key.startswith("b ") and row.values.get("start") == _middle(ours))
    middle = next(bookmarks, "")  # none in a list of one page
    template = [{**row.values, "RowKey": row.key} for row in rows if row.values.get("id") == ours.users[0]]
    tables: dict[str, FloorTable] = {
        "SDK": SdkTable(connection_string, TABLE),
        "wire": WireTable(connection_string, TABLE),
    }
    floors = {}
    for side, table in tables.items():
        for at in range(0, len(rows), 100):
            await origin.commit(side, [Write("upsert", row.key, row.values) for row in rows[at : at + 100]])
        floors[side] = Floor(table, replace(ours, partition=side, names=names, middle=middle, template=template))
    return list(tables.values()), floors


def _middle(copy: Copy) -> int:
    """Return the startIndex of the page that the list is measured with."""
    return len(copy.users) // 200 * 100 + 1


def _figures(name: str, got: dict[str, list[Burst]]) -> list[Figure]:
    ours = [took.wall_each * 1000 for took in got["ours"]]
    cpu = [took.cpu_each * 1000 for took in got["ours"]]
    found: list[Figure] = []
    for side, target, cpu_target in (("SDK", most(1), None), ("wire", most(2), most(3))):
        against = f"bare {side}"
        wall = [took.wall_each * 1000 for took in got[side]]
        found.append(compare(_PART, name, ours, wall, unit="ms", against=against, target=target))
        theirs = [took.cpu_each * 1000 for took in got[side]]
        found.append(compare(_PART, f"{name}, CPU", cpu, theirs, unit="ms", against=against, target=cpu_target))
    return found


def _row(name: str, at_once: int, side: str, bursts: list[Burst]) -> list[str]:
    return [
        name,
        str(at_once),
        side,
        number(median(took.per_second for took in bursts)),
        number(latency(bursts, 0.5) * 1000),
        number(latency(bursts, 0.95) * 1000),
        number(median(took.cpu_each for took in bursts) * 1000),
    ]
