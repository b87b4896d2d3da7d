"""Part `peer`: requests per second over HTTP, beside scim2-server, each in a process of its own, asked in turns.

scim2-server runs as its documentation says, by its own command, and keeps everything in memory. Ours keeps everything
in Azurite, which shares the machine with it. What Azurite alone takes is measured in the same turns: the requests to
the table that ours cannot do without, hand-encoded, with no server between the client and Azurite. No more than four at
a time: scim2-server's command closes each connection and has five waiting at most, so more would measure lost
connection attempts.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from dev.azurite import StartError, free_port
from dev.bench.app import TABLE, azurite, clients, settings_values
from dev.bench.figures import Figure, Result, Table, Target, compare, least, median, number
from dev.bench.floors import Copy, Floor
from dev.bench.http import open_floors
from dev.bench.measure import Ask, Burst, in_turns, latency
from dev.bench.options import Options
from dev.bench.profiling import profile
from dev.credentials import new_key
from dev.kit import payloads
from dev.kit.client import Client, Http
from scim.store.table.azure import AzureTable

_PART = "peer"
_TENANT = "tenant"
_START_SECONDS = 30.0


@dataclass(slots=True)
class Server:
    """A SCIM server, or our app in this process, and what it holds."""

    client: Client
    users: list[str] = field(default_factory=list)
    group: str = ""

    async def ask(
        self, method: str, path: str, body: object | None = None, *, status: int | tuple[int, ...] = 200
    ) -> object:
        """Return the answer; Unexpected for another status."""
        return await self.client.ask(method, path, body, status=status)

    async def fill(self, users: int) -> None:
        """Make users, and a group of them all."""
        for one in range(users):
            self.users.append((await self.client.json("POST", "/Users", payloads.user(one), status=201))["id"])
        body = payloads.group("Everybody", self.users)
        self.group = (await self.client.json("POST", "/Groups", body, status=201))["id"]
        for start in range(1, users, 100):
            await self.ask("GET", f"/Users?startIndex={start}&count=100")


@dataclass(frozen=True, slots=True)
class _Operation:
    name: str
    target: float
    """Requests per second of ours, over theirs, at least."""
    ask: Callable[[Server, int], Awaitable[object]]
    share: float = 1.0
    """How many are asked, as a part of the rest: a slow one need not be asked as often."""
    floor: str = ""
    """The floor's method with the same requests to the table, where it has one."""


def _name(server: Server, number: int) -> str:
    return str(payloads.user(number % len(server.users))["userName"])


def _id(server: Server, number: int) -> str:
    return server.users[number % len(server.users)]


def _title(number: int) -> payloads.Body:
    return payloads.patch(payloads.replace("title", f"Manager {number}"))


OPERATIONS = (
    _Operation(
        "POST user",
        0.5,
        lambda s, n: s.ask("POST", "/Users", payloads.user(1_000_000 + n), status=201),
        floor="post",
    ),
    _Operation("GET user", 0.5, lambda s, n: s.ask("GET", f"/Users/{_id(s, n)}"), floor="get"),
    _Operation(
        "PATCH user",
        0.5,
        lambda s, n: s.ask("PATCH", f"/Users/{_id(s, n)}", _title(n), status=(200, 204)),
        floor="patch",
    ),
    _Operation(
        "search: userName eq",
        1,
        lambda s, n: s.ask("GET", f"/Users?filter=userName+eq+%22{_name(s, n)}%22"),
        floor="find",
    ),
    _Operation(
        "search: userName sw, 10 found",
        1,
        lambda s, n: s.ask("GET", f"/Users?count=10&filter=userName+sw+%22User.00000{n % 10}%22"),
        0.3,
    ),
    _Operation(
        "search: displayName co, 10 found",
        1,
        lambda s, n: s.ask("GET", f"/Users?count=10&filter=displayName+co+%22User+00000{n % 10}%22"),
        0.1,
        "scan",
    ),
    _Operation("list: first 100", 1, lambda s, n: s.ask("GET", "/Users?count=100"), 0.15),
    _Operation(
        "list: 100 from the middle",
        1,
        lambda s, n: s.ask("GET", f"/Users?startIndex={len(s.users) // 200 * 100 + 1}&count=100"),
        0.15,
    ),
    _Operation(
        "group: add one member",
        1,
        lambda s, n: s.ask(
            "PATCH",
            f"/Groups/{s.group}",
            payloads.patch(payloads.add_members(payloads.stranger(n))),
            status=(200, 204),
        ),
        0.5,
    ),
    _Operation(
        "group: read without members", 1, lambda s, n: s.ask("GET", f"/Groups/{s.group}?excludedAttributes=members")
    ),
    _Operation("group: read whole", 1, lambda s, n: s.ask("GET", f"/Groups/{s.group}"), 0.1),
)


async def run(options: Options) -> Result:
    """Return every operation at both servers, one and four at a time."""
    users = 100 if options.tiny else 1000
    turns, lone, crowd = (1, 2, 4) if options.tiny else (3, 40, 80) if options.quick else (5, 80, 160)
    figures: list[Figure] = []
    rows: list[list[str]] = []
    async with _both() as (servers, table), contextlib.AsyncExitStack() as stack:
        await asyncio.gather(*(server.fill(users) for server in servers.values()))
        floor = await _floor(stack, table, servers["ours"])
        for operation in OPERATIONS:
            first = 0
            for at_once, each in ((1, lone), (4, crowd)):
                each = max(2, round(each * operation.share))
                sides = {name: _ask(operation, server) for name, server in servers.items()}
                if operation.floor:
                    sides["Azurite"] = getattr(floor, operation.floor)
                got = await in_turns(sides, turns=turns, number=each, at_once=at_once, first=first)
                first += (turns + 1) * each
                name, target = f"{operation.name}, {at_once} at a time", least(operation.target)
                figures.append(_figure(name, got["ours"], got["theirs"], target))
                if operation.floor:
                    figures.append(_figure(f"{name}: Azurite alone", got["Azurite"], got["theirs"], None))
                rows += [_row(operation.name, at_once, side, bursts) for side, bursts in got.items()]
        profiles = await _profiles(table, figures, users) if options.profiles else ()
    method = (
        f"{users:,} users and a group of all of them; {turns} turns of up to {lone} requests one at a time and {crowd} "
        "four at a time; one client process; profiles of the app in one process, 100 requests each"
    )
    head = ("operation", "at a time", "server", "requests/s", "p50 ms", "p95 ms")
    return Result(figures, method, (Table("Beside scim2-server", head, rows),), profiles)


def _ask(operation: _Operation, server: Server) -> Ask:
    return lambda number: operation.ask(server, number)


def _figure(name: str, ours: list[Burst], theirs: list[Burst], target: Target | None) -> Figure:
    rates = ([took.per_second for took in bursts] for bursts in (ours, theirs))
    return compare(_PART, name, *rates, unit="/s", against="scim2-server", target=target)


async def _profiles(table: str, figures: list[Figure], users: int) -> tuple[tuple[str, str], ...]:
    """Return where the time goes of those that miss their target."""
    missed = [one for one in OPERATIONS if any(f.met is False and f.name.startswith(one.name) for f in figures)]
    async with clients(table, ["profiled"]) as made:
        near = Server(made["profiled"])
        if missed:
            await near.fill(users)
        return tuple([(f"{one.name}, ours", await profile(_ask(one, near), 0, 100)) for one in missed])


async def _floor(stack: contextlib.AsyncExitStack, table: str, ours: Server) -> Floor:
    """Return what our server's rows cost without it."""
    origin = AzureTable.with_key(table, TABLE)
    stack.push_async_callback(origin.close)
    opened, floors = await open_floors(origin, table, Copy(_TENANT, ours.users, ours.group, [], ""))
    for each in opened:
        stack.push_async_callback(each.close)
    return floors["wire"]


def _row(name: str, at_once: int, side: str, bursts: list[Burst]) -> list[str]:
    rate = number(median(took.per_second for took in bursts))
    server = {"theirs": "scim2-server", "Azurite": "Azurite alone"}.get(side, side)
    return [name, str(at_once), server, rate, *(number(latency(bursts, part) * 1000) for part in (0.5, 0.95))]


@contextlib.asynccontextmanager
async def _both() -> AsyncIterator[tuple[dict[str, Server], str]]:
    """Both servers, with a client for each, and the connection string of our table."""
    token, port = new_key(_TENANT), free_port()
    with azurite() as storage, contextlib.ExitStack() as stack:
        environment = {**os.environ, **settings_values(storage.connection_string, {_TENANT: token})}
        our_port = stack.enter_context(our_server(environment))
        stack.enter_context(_their_server(port))
        async with aiohttp.ClientSession() as session:
            theirs = Server(Client(Http(session), f"http://127.0.0.1:{port}/v2", "secret"))
            await _wait_for(theirs)
            ours = Server(Client(Http(session), f"http://127.0.0.1:{our_port}/scim", token))
            yield {"ours": ours, "theirs": theirs}, storage.connection_string


@contextlib.contextmanager
def our_server(environment: dict[str, str]) -> Iterator[int]:
    """dev.bench.server with that environment; its port."""
    command = [sys.executable, "-m", "dev.bench.server"]
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdin is not None
        yield int(process.stdout.readline())
        process.stdin.close()


@contextlib.contextmanager
def _their_server(port: int) -> Iterator[None]:
    command = Path(sys.executable).with_name("scim2-server")
    if not command.exists():
        raise StartError("scim2-server is not installed; run: pip install -r requirements-dev.txt")
    # One line for each request goes to its standard error, as ours writes its log: to nowhere.
    process = subprocess.Popen(
        [str(command), "--port", str(port), "--bearer-token", "secret"],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


async def _wait_for(server: Server) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            await server.ask("GET", "/ServiceProviderConfig")
            return
        except aiohttp.ClientError:
            if time.monotonic() > deadline:
                raise StartError("scim2-server does not answer") from None
            await asyncio.sleep(0.1)
