"""A real process, killed in the middle of a request: what it leaves is made whole by housekeeping, or by a retry.

test_pending.py cuts every operation at every transaction; here are a few places of each, with SIGKILL, a socket and
Azurite.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from dev.azurite import Azurite
from dev.credentials import SEALS
from scim.operate.check import Report, examine, list_problems
from scim.store.members import Member
from scim.store.store import Store
from scim.store.table.azure import AzureTable
from tests.core import GROUP_TYPE, REGISTRY, cases
from tests.store.memory import Door, create
from tests.support import PATCH

pytestmark = pytest.mark.long

TABLE = "killed"
REPOSITORY = Path(__file__).parents[2]
_numbers = count(1)


@pytest.fixture(scope="module")
async def table(azurite: Azurite) -> AsyncIterator[AzureTable]:
    """A table of its own, so that housekeeping finds nobody else's rows."""
    azurite.create_table(TABLE)
    made = AzureTable.with_key(azurite.connection_string, TABLE)
    yield made
    await made.close()


@dataclass(frozen=True)
class Killable:
    """The app of one tenant: `door` leads to it in this process, `start` starts it in another one."""

    azurite: Azurite
    table: AzureTable
    door: Door

    @property
    def tenant(self) -> str:
        return self.door.tenant

    @asynccontextmanager
    async def start(self, halt: str, *arguments: str) -> AsyncIterator[Process]:
        """tests/serve.py in a process; it is killed at the end of the block in any case."""
        connections = {self.tenant: {"tenant": self.tenant, "keys": [self.door.token]}}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
        settings = {
            "SCIM_TABLE_CONNECTION_STRING": self.azurite.connection_string,
            "SCIM_TABLE_NAME": TABLE,
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_SEALS": SEALS,
            "HALT": halt,
        }
        command = [sys.executable, "-m", "tests.serve", *arguments]
        process = await asyncio.create_subprocess_exec(
            *command, cwd=REPOSITORY, env={**inherited, **settings}, stdout=PIPE
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.communicate()

    async def kill_in(self, method: str, path: str, body: object, halt: str) -> None:
        """Send a request to a new process over a socket and kill the process when it halts: no answer comes."""
        data = b"" if body is None else json.dumps(body).encode()
        head = f"{method} /scim{path} HTTP/1.1\r\nHost: scim.test\r\nAuthorization: Bearer {self.door.token}\r\n"
        head += f"Content-Type: application/scim+json\r\nContent-Length: {len(data)}\r\n\r\n"
        async with self.start(halt) as process:
            port = int(await line(process))
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head.encode() + data)
            await kill_when_halted(process)
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await reader.readexactly(1)
            writer.close()

    async def kill_housekeeping(self, halt: str) -> None:
        async with self.start(halt, "housekeep") as process:
            await kill_when_halted(process)

    async def report(self) -> Report:
        return await examine(self.table, self.tenant, REGISTRY)


async def line(process: Process) -> str:
    assert process.stdout
    return (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()


async def kill_when_halted(process: Process) -> None:
    assert await line(process) == "halted"
    process.send_signal(signal.SIGKILL)
    assert await process.wait() == -signal.SIGKILL


@pytest.fixture
def killable(azurite: Azurite, table: AzureTable) -> Killable:
    return Killable(azurite, table, Door(table, f"killed-{next(_numbers)}"))


# The requests.


def values(first: int, end: int) -> list[dict[str, str]]:
    return [{"value": f"member-{n:06}"} for n in range(first, end)]


@dataclass(frozen=True)
class Request:
    """`before` and `after` are how many members the group has, None being no group."""

    method: str
    body: Any
    before: int | None
    after: int | None


def sent(method: str, members: int) -> Request:
    """The request that is cut short: 21 transactions for 1,000 members, 103 for 5,000."""
    if method == "POST":
        return Request("POST", {"displayName": "all", "members": values(0, members)}, None, members)
    if method == "DELETE":
        return Request("DELETE", None, members, None)
    operations = [
        {"op": "add", "path": "members", "value": values(100, members)},
        {"op": "remove", "path": "members", "value": values(0, 10)},
    ]
    return Request("PATCH", {"schemas": [PATCH], "Operations": operations}, 50, members - 100 + 40)


Recover = Callable[[Killable, Request, str, random.Random], Awaitable[None]]


async def by_housekeeping(killable: Killable, request: Request, path: str, dice: random.Random) -> None:
    await killable.door.application.housekeep(everything=True)


async def by_a_retry(killable: Killable, request: Request, path: str, dice: random.Random) -> None:
    response = await killable.door.client.request(request.method, path, request.body)
    assert response.status in (201, 204, 404), response.body
    await killable.door.application.housekeep(everything=True)


async def by_housekeeping_killed_too(killable: Killable, request: Request, path: str, dice: random.Random) -> None:
    await killable.kill_housekeeping(halt(dice, 2, 6))
    assert (await killable.report()).pending == 1
    await by_housekeeping(killable, request, path, dice)


RECOVERIES: dict[str, tuple[Recover, bool, int]] = {
    "housekeeping": (by_housekeeping, False, 5_000),
    "retry, housekeeping": (by_a_retry, True, 5_000),
    "housekeeping killed, housekeeping": (by_housekeeping_killed_too, False, 5_000),
}
"""With whether the request must have been done then (without a retry it may also never have been), and the members."""


def halt(dice: random.Random, first: int, last: int) -> str:
    """Somewhere in the middle: which write, and when."""
    return f"{dice.randint(first, last)} {dice.choice(['before', 'during', 'after'])}"


@pytest.mark.parametrize(("recover", "done", "members"), cases(RECOVERIES))
@pytest.mark.parametrize("method", ["PATCH", "POST", "DELETE"])
async def test_killed(killable: Killable, method: str, recover: Recover, done: bool, members: int) -> None:
    request_ = sent(method, members)
    dice = random.Random(f"{request_.method} {recover.__name__}")
    path = "/Groups"
    if request_.before is not None:
        path += "/" + await made(killable, request_.before)
    await killable.kill_in(request_.method, path, request_.body, halt(dice, 8, 14))
    report = await killable.report()
    assert (report.problems, report.pending) == ([], 1)  # it is in the middle, and that is a valid state

    await recover(killable, request_, path, dice)
    assert await list_problems(killable.table, killable.tenant, REGISTRY) == []
    report = await killable.report()
    allowed = [request_.after] if done else [request_.after, request_.before]
    group = await found(killable)
    assert (group in allowed, report.pending) == (True, 0), (group, allowed)
    assert report.memberships == (group or 0)


async def made(killable: Killable, number: int) -> str:
    """The id of a group of so many members."""
    held = [Member(one["value"]) for one in values(0, number)]
    store = Store(killable.table)
    return (await create(store, killable.tenant, GROUP_TYPE, {"displayName": "all"}, held)).id


async def found(killable: Killable) -> int | None:
    """How many members the group shows, None where there is no group."""
    [*groups] = (await killable.door.client.get('/Groups?filter=displayName+eq+"all"')).json["Resources"]
    assert len(groups) <= 1
    return len(groups[0].get("members", [])) if groups else None
