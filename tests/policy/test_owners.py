"""The last owner of an agent leaves: one event, and if the policy says so, a hold of its agents."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scim.clock import format_time
from scim.feed.log import Log
from scim.feed.sequencer import Head, Sequencer
from scim.insight.policies import explain_policy
from scim.policy.state import State
from scim.schema.loading import load
from scim.service.steering import set_policy
from tests.feed.test_examples import load as load_example
from tests.store.memory import Door, MemoryTable

FOLDER = Path(__file__).parents[2] / "optional-schemas" / "agents"
REGISTRY = load(FOLDER)
Event = dict[str, Any]


class Owned:
    """A tenant with people, agents and their feed."""

    def __init__(self) -> None:
        self.table = MemoryTable()
        self.door = Door(self.table, SCIM_SCHEMAS_FOLDER=str(FOLDER))
        self.client = self.door.client
        self.name = self.client.tenant
        self.seen = 0

    async def set(self, **agents: Any) -> None:
        await set_policy(self.table, REGISTRY, self.name, {"agents": agents}, "tests")

    async def person(self, name: str) -> str:
        return str((await self.client.post("/Users", {"userName": name})).json["id"])

    async def agent(self, name: str, *owners: str, **more: Any) -> str:
        body = {"agentUserName": name, "owners": [{"value": owner} for owner in owners], **more}
        answer = await self.client.post("/Agents", body)
        assert answer.status == 201, answer.body
        return str(answer.json["id"])

    async def enable(self, user: str, *, active: bool) -> None:
        answer = await self.client.patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": active})
        assert answer.status == 200

    async def told(self) -> list[Event]:
        """The events about ownership since the last call."""
        await Sequencer(self.table, REGISTRY).run(self.name, expected=True)
        events = [one for one in (await Log(self.table).read(self.name)).events if one["seq"] > self.seen]
        self.seen += len(events)
        assert [one["seq"] for one in events] == list(range(self.seen - len(events) + 1, self.seen + 1))
        return [one for one in events if one["type"] in ("agent.ownerless", "agent.held", "agent.released")]

    async def wait(self, days: float) -> None:
        """Have so many days pass for what is waited for."""
        head = await Head.read(self.table, self.name)
        assert head is not None
        state = State.load(head.policy)
        earlier = {
            agent: at if at == "held" else format_time(datetime.fromisoformat(at) - timedelta(days=days))
            for agent, at in state.ownerless.items()
        }
        changed = head._replace(policy=state.changed(ownerless=earlier).dump())
        await self.table.commit(self.name, [changed.write()])


async def test_a_person_who_owns_three_agents_leaves() -> None:
    owned = Owned()
    ada, bob = await owned.person("ada"), await owned.person("bob")
    agents = [await owned.agent(f"bot-{number}", ada) for number in range(3)]
    shared = await owned.agent("shared", ada, bob)
    off = await owned.agent("off", ada, active=False)
    assert await owned.told() == []
    await owned.enable(ada, active=False)
    (event,) = await owned.told()
    assert (event["type"], event["resource"]["id"], event["reason"]) == ("agent.ownerless", ada, "deactivated")
    assert sorted(event["agents"]) == sorted(agents)
    assert shared not in event["agents"] and off not in event["agents"] and "until" not in event
    assert event["request"]
    for agent in agents:
        assert (await owned.client.get(f"/Agents/{agent}")).json.get("active") is not False
    await owned.client.delete(f"/Users/{bob}")
    (second,) = await owned.told()
    assert (second["agents"], second["reason"]) == ([shared], "deleted")


async def test_a_group_with_an_active_member_owns_too() -> None:
    owned = Owned()
    ada, bob = await owned.person("ada"), await owned.person("bob")
    group = (await owned.client.post("/Groups", {"displayName": "owners", "members": [{"value": bob}]})).json["id"]
    agent = await owned.agent("bot", ada, group)
    await owned.enable(ada, active=False)
    assert await owned.told() == []
    empty = (await owned.client.post("/Groups", {"displayName": "nobody"})).json["id"]
    other = await owned.agent("other", bob, empty, "foreign-id")
    await owned.enable(bob, active=False)
    (event,) = await owned.told()
    assert sorted(event["agents"]) == sorted([agent, other])  # bob owned one of them by the group alone


async def test_many_agents_of_one_leaver_are_one_event() -> None:
    owned = Owned()
    ada = await owned.person("ada")
    for number in range(120):
        await owned.agent(f"bot-{number}", ada)
    await owned.told()
    await owned.client.delete(f"/Users/{ada}")
    (event,) = await owned.told()
    assert len(event["agents"]) == 120


async def test_a_hold_begins_after_its_days_and_ends_when_the_owner_returns() -> None:
    owned = Owned()
    await owned.set(ownerless="hold", graceDays=7)
    ada = await owned.person("ada")
    agent = await owned.agent("bot", ada)
    await owned.told()
    await owned.enable(ada, active=False)
    (event,) = await owned.told()
    left = datetime.fromisoformat(event["until"]) - datetime.now(UTC)
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)
    await owned.wait(6)
    assert await owned.told() == []
    await owned.wait(2)
    (held,) = await owned.told()
    assert (held["type"], held["resource"], held["effects"]) == (
        "agent.held",
        {"type": "Agent", "id": agent, "agentUserName": "bot"},
        {"held": True},
    )
    assert await owned.told() == []
    await owned.enable(ada, active=True)
    (released,) = await owned.told()
    assert (released["type"], released["resource"]["id"], released["effects"]) == (
        "agent.released",
        agent,
        {"held": False},
    )
    assert (await owned.client.get(f"/Agents/{agent}")).json.get("active") is not False


async def test_a_hold_ends_when_an_active_owner_is_named() -> None:
    owned = Owned()
    await owned.set(ownerless="hold", graceDays=0)
    ada, bob = await owned.person("ada"), await owned.person("bob")
    agent, waiting, gone = [await owned.agent(name, ada) for name in ("bot", "waiting", "gone")]
    await owned.enable(ada, active=False)
    assert [one["type"] for one in await owned.told()] == ["agent.ownerless", *["agent.held"] * 3]
    await owned.client.delete(f"/Agents/{gone}")
    named = {"op": "add", "path": "owners", "value": [{"value": bob}]}
    assert (await owned.client.patch(f"/Agents/{agent}", named)).status == 200
    assert [(one["type"], one["resource"]["id"]) for one in await owned.told()] == [("agent.released", agent)]
    await owned.set(ownerless="alarm")
    assert [(one["type"], one["resource"]["id"]) for one in await owned.told()] == [("agent.released", waiting)]
    head = await Head.read(owned.table, owned.name)
    assert head is not None and State.load(head.policy).ownerless == {waiting: "told"}


async def test_one_who_returns_within_the_days_is_no_matter() -> None:
    owned = Owned()
    await owned.set(ownerless="hold")
    ada = await owned.person("ada")
    await owned.agent("bot", ada)
    await owned.enable(ada, active=False)
    assert [one["type"] for one in await owned.told()] == ["agent.ownerless"]
    await owned.enable(ada, active=True)
    assert await owned.told() == []
    await owned.wait(8)
    assert await owned.told() == []


async def test_why_says_that_nobody_owns_it() -> None:
    owned = Owned()
    await owned.set(ownerless="hold", graceDays=0)
    ada = await owned.person("ada")
    agent = await owned.agent("bot", ada)
    await owned.enable(ada, active=False)
    await owned.told()
    stored = await owned.door.application._built().store.of(owned.name).resources.read(agent)
    assert stored is not None
    told = await explain_policy(owned.table, REGISTRY, owned.name, stored)
    assert told is not None and "Nobody active owns it" in told.text and "owner" in told.remedy


async def test_off_tells_nothing() -> None:
    owned = Owned()
    await owned.set(ownerless="off")
    ada = await owned.person("ada")
    await owned.agent("bot", ada)
    await owned.enable(ada, active=False)
    assert await owned.told() == []


@pytest.mark.parametrize("seed", range(2))
async def test_events_have_the_form_of_the_schema(seed: int) -> None:
    from jsonschema import Draft202012Validator

    schema = json.loads((Path(__file__).parents[2] / "scim/feed/event.schema.json").read_text())
    owned = Owned()
    await owned.set(ownerless="hold", graceDays=seed)
    ada = await owned.person("ada")
    agent = await owned.agent("bot", ada)
    body = {"displayName": "g", "members": [{"value": agent}, {"value": ada}]}
    group = (await owned.client.post("/Groups", body)).json
    await owned.enable(ada, active=False)
    await owned.told()
    events = (await Log(owned.table).read(owned.name)).events
    for event in events:
        Draft202012Validator(schema).validate(event)
    (members,) = (one for one in events if one["type"] == "group.members")
    assert members["types"] == {agent: "Agent"} and members["resource"]["id"] == group["id"]


async def test_without_agents_nothing_is_read_for_it() -> None:
    """The sequencer looks for what somebody owns only where a type has owners."""
    made = []
    for client, table, registry in (
        (Door(plain := MemoryTable()).client, plain, load()),
        ((owned := Owned()).client, owned.table, REGISTRY),
    ):
        user = (await client.post("/Users", {"userName": "ada"})).json["id"]
        await Sequencer(table, registry).run(client.tenant, expected=True)
        await client.patch(f"/Users/{user}", {"op": "replace", "path": "active", "value": False})
        table.reset()
        await Sequencer(table, registry).run(client.tenant, expected=True)
        made.append(len(table.trips))
    assert made[1] - made[0] == 2  # what the user owns, and which groups own something


async def test_the_story_ends_in_the_applications_database(tmp_path: Path) -> None:
    """A person who owns three agents leaves; nobody comes, and the application's copy says which agents are to stop."""
    owned = Owned()
    await owned.set(ownerless="hold", graceDays=7)
    ada, bob = await owned.person("ada"), await owned.person("bob")
    agents = {name: await owned.agent(name, ada) for name in ("one", "two", "three")}
    await owned.enable(ada, active=False)
    await owned.told()
    named = {"op": "replace", "path": "owners", "value": [{"value": bob}]}
    assert (await owned.client.patch(f"/Agents/{agents['one']}", named)).status == 200
    await owned.told()
    await owned.wait(8)
    assert {one["resource"]["id"] for one in await owned.told()} == {agents["two"], agents["three"]}
    copy = load_example("consumer").Copy(str(tmp_path / "copy.sqlite"))
    events = (await Log(owned.table).read(owned.name)).events
    copy.apply(None, owned.name, {"events": events, "next": "x"})
    held = "SELECT id FROM effects WHERE json_extract(effect, '$.held')"
    assert {id for (id,) in copy.database.execute(held)} == {agents["two"], agents["three"]}
    kinds = "SELECT type, count(*) FROM resources GROUP BY type ORDER BY type"
    assert copy.database.execute(kinds).fetchall() == [("Agent", 3), ("User", 2)]
    copy.database.close()
