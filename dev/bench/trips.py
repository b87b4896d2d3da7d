"""Part `trips`: requests to the table for each operation, counted on the wire, beside docs/architecture.md's budget."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from math import ceil
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

from dev.bench.app import azurite, clients
from dev.bench.figures import Figure, Result, most
from dev.bench.options import Options
from dev.kit import payloads
from dev.kit.client import Client

_PART = "trips"


class Counter(AsyncHTTPPolicy[Any, Any]):
    """Counts every request on the wire to the table, retries included."""

    def __init__(self) -> None:
        self.trips = 0

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        self.trips += 1
        return await self.next.send(request)


@dataclass(frozen=True, slots=True)
class _There:
    """What the tenant holds: its users, of whom the first has a manager; a group of the first 98, and one of 150."""

    users: list[str]
    group: str
    large: str


Ask = Callable[[Client, _There], Awaitable[object]]


def _get(path: str) -> Ask:
    """Return a GET, whose path may name what is there."""
    return lambda client, there: client.ask("GET", path.format(there=there))


def _change(path: str, *operations: payloads.Body, status: int = 200) -> Ask:
    return lambda client, there: client.ask(
        "PATCH", path.format(there=there), payloads.patch(*operations), status=status
    )


def _strangers(first: int, number: int) -> list[str]:
    return [payloads.stranger(one) for one in range(first, first + number)]


_NAME, _MAIL = payloads.user(1)["userName"], payloads.user(2)["userName"]
_DISPLAY, _EXTERNAL = payloads.user(3)["displayName"].replace("ë", "%C3%AB").replace(" ", "+"), "0a1b2c3d-0000004"
_BARE = "excludedAttributes=groups"

OPERATIONS: tuple[tuple[str, int, Ask], ...] = (
    ("GET user without groups", 1, _get(f"/Users/{{there.users[0]}}?{_BARE}")),
    ("GET user", 2, _get("/Users/{there.users[0]}")),
    ("match on id", 1, _get(f"/Users?{_BARE}&filter=id+eq+%22{{there.users[0]}}%22")),
    ("match on userName, miss", 1, _get("/Users?filter=userName+eq+%22nobody%22")),
    ("match on userName, hit without groups", 2, _get(f"/Users?{_BARE}&filter=userName+eq+%22{_NAME}%22")),
    ("match on userName, hit", 3, _get(f"/Users?filter=userName+eq+%22{_NAME}%22")),
    ("match on externalId, hit", 3, _get(f"/Users?filter=externalId+eq+%22{_EXTERNAL}%22")),
    ("match on e-mail, hit", 3, _get(f"/Users?filter=emails[type+eq+%22work%22].value+eq+%22{_MAIL}%22")),
    ("match on displayName, hit", 3, _get(f"/Users?filter=displayName+eq+%22{_DISPLAY}%22")),
    (
        "id and manager",
        1,
        _get("/Users?attributes=id&filter=id+eq+%22{there.users[0]}%22+and+manager+eq+%22{there.users[1]}%22"),
    ),
    (
        "id and members",
        2,
        _get("/Groups?attributes=id&filter=id+eq+%22{there.group}%22+and+members+eq+%22{there.users[0]}%22"),
    ),
    ("groups of a member (in one)", 2, _get("/Groups?attributes=id&filter=members+eq+%22{there.users[0]}%22")),
    ("POST user", 1, lambda client, there: client.ask("POST", "/Users", payloads.user(900_001), status=201)),
    (
        "POST group with 45 members",
        1,
        lambda client, there: client.ask("POST", "/Groups", payloads.group("45", _strangers(0, 45)), status=201),
    ),
    ("PATCH user without groups", 2, _change(f"/Users/{{there.users[5]}}?{_BARE}", payloads.replace("title", "1"))),
    ("PATCH user", 3, _change("/Users/{there.users[5]}", payloads.replace("title", "2"))),
    (
        "PUT user",
        3,
        lambda client, there: client.ask("PUT", f"/Users/{there.users[5]}", {**payloads.user(5), "title": "3"}),
    ),
    ("add 1 member", 1, _change("/Groups/{there.large}", payloads.add_members(*_strangers(100, 1)), status=204)),
    ("add 48 members", 1, _change("/Groups/{there.large}", payloads.add_members(*_strangers(200, 48)), status=204)),
    ("add 94 members", 2, _change("/Groups/{there.large}", payloads.add_members(*_strangers(300, 94)), status=204)),
    (
        "remove 1 member",
        1,
        lambda client, there: client.ask(
            "PATCH", f"/Groups/{there.large}", payloads.patch(payloads.remove_members(there.users[7])), status=204
        ),
    ),
    (
        "DELETE user in 2 groups",
        4,
        lambda client, there: client.ask("DELETE", f"/Users/{there.users[9]}", status=204),
    ),
    ("DELETE group of 98 members", 6, lambda client, there: client.ask("DELETE", f"/Groups/{there.group}", status=204)),
    (
        "100 new users in a bulk",
        6,
        lambda client, there: client.ask("POST", "/Bulk", payloads.new_users(800_000, 100)),
    ),
)


async def run(options: Options) -> Result:
    """Count what each operation asks of the table, once it has announced its tenant to housekeeping."""
    users = 200 if options.tiny else 1000
    counter = Counter()
    figures: list[Figure] = []
    with azurite() as server:
        async with clients(server.connection_string, ["tenant"], policies=[counter]) as all_clients:
            client = all_clients["tenant"]
            there = await _fill(client, users)
            listing = (
                ("first page of 100", 3 + ceil((users + 1) / 1000), _get("/Users?count=100")),
                ("page of 100 behind it", 4, _get("/Users?startIndex=101&count=100")),
            )
            for name, budget, ask in listing + OPERATIONS:
                before = counter.trips
                await ask(client, there)
                figures.append(_figure(name, counter.trips - before, budget))
    return Result(figures, f"{users:,} users in the tenant; counted once, since counts do not vary")


async def _fill(client: Client, users: int) -> _There:
    ids = await client.add_users(0, users)
    await client.ask(
        "PATCH", f"/Users/{ids[0]}", payloads.patch(payloads.replace(f"{payloads.ENTERPRISE}:manager", ids[1]))
    )
    groups = []
    for name, number in (("98", 98), ("150", 150)):  # the second announces the tenant
        members = ids[:number] if number == 98 else ids[2:152]
        groups.append((await client.json("POST", "/Groups", payloads.group(name, members), status=201))["id"])
    return _There(ids, *groups)


def _figure(name: str, trips: int, budget: int) -> Figure:
    return Figure(_PART, name, trips, "trips", budget, "budget", trips / budget, most(1))
