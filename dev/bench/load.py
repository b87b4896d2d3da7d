"""Part `load`: what Entra asks of an endpoint, 25 requests per second for each tenant, for ten tenants at once.

Requests start when they are due, whether or not those before are answered, so a stall shows in the latencies. The mix
is a provisioning cycle's: most are matches and changes of users and members, some are new users and reads.
"""

from __future__ import annotations

import asyncio
import random
import re
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

from dev.bench.app import azurite, clients
from dev.bench.figures import Figure, Result, Table, most, number, percentile
from dev.bench.options import Options
from dev.kit import payloads
from dev.kit.client import Client, Unexpected

_PART = "load"
_RATE = 25
"""Requests per second of one tenant."""
_USERS = 100
_PATIENCE = 1.0
"""Seconds that 95 of 100 requests may take at most: Entra waits a minute."""
_MIX = {"match": 40, "read": 10, "create": 10, "modify": 20, "add member": 10, "remove member": 10}


@dataclass(slots=True)
class _Tenant:
    client: Client
    users: list[str]
    group: str
    made: int = 0


@dataclass(slots=True)
class _Seen:
    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in _MIX})
    errors: Counter[str] = field(default_factory=Counter)

    @property
    def all_seconds(self) -> list[float]:
        return [one for found in self.seconds.values() for one in found]


async def run(options: Options) -> Result:
    """Ten tenants (two where it only shows that it runs) for so many minutes."""
    number_of, seconds = (2, 2.0) if options.tiny else (10, options.minutes * 60)
    seen = _Seen()
    with azurite() as server:
        names = [f"tenant-{one}" for one in range(number_of)]
        async with clients(server.connection_string, names) as made:
            tenants = [await _fill(client) for client in made.values()]
            began, cpu = time.perf_counter(), time.process_time()
            await asyncio.gather(*(_send(tenant, seconds, number, seen) for number, tenant in enumerate(tenants)))
            wall, cpu = time.perf_counter() - began, time.process_time() - cpu
    for error, times in seen.errors.most_common(10):
        print(f"{times} times {error}", file=sys.stderr)
    every = seen.all_seconds
    failed = sum(seen.errors.values())
    p95 = percentile(every, 0.95)
    figures = [
        Figure(_PART, "requests", len(every) / wall, "/s", _RATE * number_of, "sent"),
        Figure(_PART, "errors", failed, "errors", 1, "is too many", float(failed), most(0)),
        Figure(_PART, "p50", percentile(every, 0.5) * 1000, "ms"),
        Figure(_PART, "p95", p95 * 1000, "ms", _PATIENCE * 1000, "allowed", p95 / _PATIENCE, most(1)),
        Figure(_PART, "CPU of the process", cpu / wall, "cores"),
    ]
    rows = [
        [kind, f"{len(found):,}", *(number(percentile(found, part) * 1000) for part in (0.5, 0.95, 1))]
        for kind, found in seen.seconds.items()
        if found
    ]
    head = ("request", "number", "p50 ms", "p95 ms", "slowest ms")
    method = (
        f"{number_of} tenants of {_USERS} users, {_RATE} requests/s each for {seconds / 60:.1f} minutes, "
        f"{len(every):,} in all"
    )
    return Result(figures, method, (Table("Load", head, rows),))


async def _fill(client: Client) -> _Tenant:
    users = await client.add_users(0, _USERS)
    group = await client.json("POST", "/Groups", payloads.group("Everybody", users[:50]), status=201)
    return _Tenant(client, users, group["id"])


async def _send(tenant: _Tenant, seconds: float, seed: int, seen: _Seen) -> None:
    """One tenant's requests, each at its time."""
    dice = random.Random(seed)
    began = time.perf_counter()
    under_way: set[asyncio.Task[None]] = set()
    for one in range(round(seconds * _RATE)):
        await asyncio.sleep(max(0.0, began + (one + seed / 10) / _RATE - time.perf_counter()))
        kind = dice.choices(list(_MIX), list(_MIX.values()))[0]
        task = asyncio.create_task(_one(tenant, kind, one, dice, seen))
        under_way.add(task)
        task.add_done_callback(under_way.discard)
    await asyncio.gather(*under_way)


async def _one(tenant: _Tenant, kind: str, number: int, dice: random.Random, seen: _Seen) -> None:
    due = time.perf_counter()
    try:
        await _ask(tenant, kind, number, dice.choice(tenant.users))
    except Unexpected as error:
        seen.errors[f"{kind}: {re.sub(r'[0-9a-f-]{32,}|[ug]-[a-z2-7]{24}', '...', str(error))}"] += 1
    seen.seconds[kind].append(time.perf_counter() - due)


async def _ask(tenant: _Tenant, kind: str, number: int, user: str) -> None:
    client, group = tenant.client, f"/Groups/{tenant.group}"
    match kind:
        case "match":
            name = payloads.user(number % (2 * _USERS))["userName"]  # every other one is there
            await client.ask("GET", f"/Users?filter=userName+eq+%22{name}%22")
        case "read":
            await client.ask("GET", f"/Users/{user}")
        case "create":
            await client.ask("POST", "/Users", payloads.user(1_000_000 + number), status=201)
        case "modify":
            body = payloads.patch(payloads.replace("title", f"Manager {number}"))
            await client.ask("PATCH", f"/Users/{user}", body)
        case "add member":
            await client.ask("PATCH", group, payloads.patch(payloads.add_members(user)), status=204)
        case "remove member":
            await client.ask("PATCH", group, payloads.patch(payloads.remove_members(user)), status=204)
