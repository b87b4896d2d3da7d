"""Users and a group of them in one bulk request, and what is known of each afterwards."""

from __future__ import annotations

from typing import Any

from dev.chaos import intents
from dev.chaos.client import Client
from dev.chaos.intents import Intent
from dev.chaos.model import MEMBERS, Thing
from dev.kit import payloads

Wanted = tuple[Thing, dict[str, Any]]
"""A thing to make, and its state."""


async def create_together(client: Client, users: list[Wanted], group: Wanted) -> None:
    """Make them by one request; whatever it does not make is made by requests of its own."""
    team, state = group
    results = await _sent(client, users, group)
    for thing, wanted in users:
        await _conclude(client, thing, intents.create("/Users", wanted), results.get(thing.name))
    ids = [thing.id for thing, _ in users if thing.id is not None]
    made = intents.create("/Groups", {**state, MEMBERS: sorted(ids)})
    result = results.get(team.name)
    refused = any(int(results[thing.name]["status"]) >= 400 for thing, _ in users if thing.name in results)
    if result is not None and result["status"] == "409" and refused:
        result = {"status": "424"}  # what it refers to was not known to be made, so it was not
    if len(ids) == len(users) or result is not None:
        await _conclude(client, team, made, result)
    for thing, wanted in users:
        if thing.candidates == [None] and not thing.left:
            await client.perform(thing, intents.create("/Users", wanted))
    ids = [thing.id for thing, _ in users if thing.present is not None and thing.id is not None]
    if team.candidates == [None] and not team.left:
        await client.perform(team, intents.create("/Groups", {**state, MEMBERS: sorted(ids)}))


async def _sent(client: Client, users: list[Wanted], group: Wanted) -> dict[str, dict[str, Any]]:
    """Return the results by the things' names; none where the answer is lost."""
    team, state = group
    body = intents.document("/Groups", {**state, MEMBERS: [f"bulkId:{thing.name}" for thing, _ in users]})
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": thing.name, "data": intents.document("/Users", wanted)}
        for thing, wanted in users
    ]
    operations.append({"method": "POST", "path": "/Groups", "bulkId": team.name, "data": body})
    outcome = await client.sender.send("POST", "/Bulk", payloads.bulk(operations))
    for thing, _ in [*users, group]:
        thing.history.append(f"POST in bulk -> {outcome.status or 'lost'}")
    if not outcome.done:
        return {}
    return {result["bulkId"]: result for result in outcome.body["Operations"]}


async def _conclude(client: Client, thing: Thing, intent: Intent, result: dict[str, Any] | None) -> None:
    """What the bulk request made of one thing: done, refused, or unknown until a look."""
    status = int(result["status"]) if result is not None else 0
    if result is not None and status == 201:
        client.sender.log.say(thing.acknowledge(intent.effect))
        thing.id = str(result["location"]).rpartition("/")[2]
        client.know(thing)
        return
    thing.history.append(f"its part -> {status or 'unknown'}")
    if status == 424:
        return
    if status not in (0, 429, 503):
        text = f"its POST in a bulk request was answered {status}: {result}"
        client.sender.log.say(thing.finding("false conflict" if status == 409 else f"answered {status}", text))
        return
    thing.doubt(intent.effect)
    await client.pause()
    if not await client.look(thing):
        thing.left = True
