"""A wrong scope disables many: the identity provider gets its 2xx, the product is told no more than the threshold."""

from __future__ import annotations

import asyncio
from random import Random

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from tests.core import REGISTRY
from tests.policy.tenant import Event, Tenant
from tests.policy.test_policies import Killed, Killing


async def sequence_with_kills(tenant: Tenant, dice: Random, done: asyncio.Event) -> int:
    """Run sequencers that are killed at half of their transactions, until there is nothing to do; how many were."""
    kills, rested = 0, False
    while not (done.is_set() and rested):
        rested = done.is_set()
        try:
            while await Sequencer(Killing(tenant.table, dice, 0.5), REGISTRY).run(tenant.name, expected=True):  # type: ignore[arg-type]
                pass
        except Killed:
            kills, rested = kills + 1, False
        await asyncio.sleep(0)
    return kills


async def read_all(tenant: Tenant) -> list[Event]:
    """Every event, of which none is missing."""
    events: list[Event] = []
    after, more = "start", True
    while more:
        page = await Log(tenant.table).read(tenant.name, after)
        events, after, more = [*events, *page.events], page.next, page.more
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    return events


async def test_150_disables_of_1000_users_with_sequencers_that_are_killed() -> None:
    tenant, dice = Tenant(), Random(4)
    await tenant.set(massChange={"hold": "on"})
    ids: list[str] = []
    for at in range(0, 1000, 50):
        ids += await asyncio.gather(*(tenant.create(f"u{number}") for number in range(at, at + 50)))
    while await tenant.sequence():
        pass

    async def while_sequencing(changes: list[tuple[str, bool]]) -> int:
        done = asyncio.Event()
        workers = [asyncio.create_task(sequence_with_kills(tenant, dice, done)) for _ in range(3)]
        for id, active in changes:  # each is answered with 200
            await tenant.enable(id, active=active)
        done.set()
        return sum(await asyncio.gather(*workers))

    kills = await while_sequencing([(id, False) for id in ids[:150]])
    events = await read_all(tenant)
    told = [event["resource"]["id"] for event in events if event["type"] == "user.deactivated"]
    assert told == ids[:100] and [event["type"] for event in events].count("hold.started") == 1
    state = await tenant.state()
    assert state["hold"]["held"] == 50

    kills += await while_sequencing([(id, True) for id in (*ids[90:100], *ids[110:130])])
    news = (await read_all(tenant))[len(events) :]
    assert [(event["type"], event["resource"]["id"]) for event in news] == [
        ("user.activated", id) for id in ids[90:100]
    ]

    release = asyncio.create_task(tenant.release())
    kills += await while_sequencing([])
    assert await release == 30
    news = (await read_all(tenant))[len(events) + 10 :]
    assert [event["resource"]["id"] for event in news[:-1]] == [*ids[100:110], *ids[130:150]]
    assert {event["type"] for event in news[:-1]} == {"user.deactivated"} and news[-1]["type"] == "hold.ended"
    assert kills > 10 and await tenant.problems() == []
