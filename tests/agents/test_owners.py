"""Owners who leave by a group, come back, or own what is switched off; and who begins anew."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest

from scim.clock import format_time
from scim.console.pages import policy
from scim.feed.following import Following
from scim.feed.log import Log
from scim.feed.sequencer import Head, Sequencer
from scim.policy.kept import write_policy
from scim.policy.state import State
from scim.schema.loading import load
from scim.service.steering import list_standings, show_policy
from tests.agents.place import Agents, Event, show
from tests.feed.test_examples import load as load_example
from tests.insight.place import TENANT
from tests.policy.test_policies import Killed, Killing

MARKED = "urn:ietf:params:scim:schemas:extension:agent:2.0:User"
OWNED = ("agent.ownerless", "agent.held", "agent.released")


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    folder = tmp_path / "schemas"
    folder.mkdir()
    return Agents(folder, "agents", "agent-users")


async def owned(agents: Agents) -> list[Event]:
    """The events about ownership since the last call."""
    return [each for each in await agents.events() if each["type"] in OWNED]


async def hold(agents: Agents, days: int = 0) -> None:
    await agents.set(agents={"ownerless": "hold", "graceDays": days})


async def remove_member(agents: Agents, group: str, member: str) -> None:
    answer = await agents.client.patch(f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{member}"]'})
    assert answer.status == 204


async def add_member(agents: Agents, group: str, member: str) -> None:
    add = {"op": "add", "path": "members", "value": [{"value": member}]}
    assert (await agents.client.patch(f"/Groups/{group}", add)).status == 204


@pytest.mark.parametrize("way", ["disabled", "deleted", "taken out", "group deleted"])
async def test_the_last_active_member_of_an_owning_group_leaves(agents: Agents, way: str) -> None:
    ada, bob = await agents.make_user("ada"), await agents.make_user("bob")
    await agents.enable(bob, active=False)
    group = await agents.make_group("owners", ada, bob)
    await agents.make_group("others", ada)
    bot = await agents.make_agent("bot", group)
    await agents.make_agent("foreign", "emp-42")
    assert await owned(agents) == []
    match way:
        case "disabled":
            await agents.enable(ada, active=False)
        case "deleted":
            await agents.client.delete(f"/Users/{ada}")
        case "taken out":
            await remove_member(agents, group, ada)
        case _:
            await agents.client.delete(f"/Groups/{group}")
    (event,) = await owned(agents)
    left = (ada, "User") if way in ("disabled", "deleted") else (group, "Group")
    assert (event["resource"]["id"], event["resource"]["type"]) == left
    reasons = {"disabled": "deactivated", "deleted": "deleted", "taken out": "removed", "group deleted": "deleted"}
    assert (event["agents"], event["reason"]) == ([bot], reasons[way])


async def test_a_hold_ends_when_an_owning_group_has_somebody_again(agents: Agents) -> None:
    await hold(agents)
    ada, bob = await agents.make_user("ada"), await agents.make_user("bob")
    group = await agents.make_group("owners", ada)
    bots = [await agents.make_agent(name, group) for name in ("one", "two")]
    await remove_member(agents, group, ada)
    assert [each["type"] for each in await owned(agents)] == ["agent.ownerless", "agent.held", "agent.held"]
    await add_member(agents, group, bob)
    told = await owned(agents)
    assert [each["type"] for each in told] == ["agent.released"] * 2
    assert {each["resource"]["id"] for each in told} == {*bots}
    await agents.enable(bob, active=False)
    assert sorted((await owned(agents))[0]["agents"]) == sorted(bots)
    await agents.enable(bob, active=True)
    assert [each["type"] for each in await owned(agents)] == ["agent.released"] * 2


async def test_an_agent_does_not_shake_off_its_hold_by_being_switched_off(agents: Agents) -> None:
    await hold(agents)
    ada = await agents.make_user("ada")
    bot, off = await agents.make_agent("bot", ada), await agents.make_agent("off", ada, active=False)
    await agents.enable(ada, active=False)
    told = await owned(agents)
    assert told[0]["agents"] == [bot]
    assert {each["resource"]["id"] for each in told[1:]} == {bot, off}  # it would be switched on tomorrow
    for active in (False, True):
        await agents.enable(bot, active=active, path="/Agents")
    await agents.enable(off, path="/Agents")
    assert await owned(agents) == []
    await agents.enable(ada)
    assert {each["resource"]["id"] for each in await owned(agents)} == {bot, off}


async def test_an_owner_who_is_made_again_ends_the_hold(agents: Agents) -> None:
    from scim.operate.people import restore_user

    await hold(agents)
    ada = await agents.make_user("ada")
    bot = await agents.make_agent("bot", ada)
    await agents.client.delete(f"/Users/{ada}")
    assert [each["type"] for each in await owned(agents)] == ["agent.ownerless", "agent.held"]
    await restore_user(agents.table, agents.registry, TENANT, ada)
    assert [(each["type"], each["resource"]["id"]) for each in await owned(agents)] == [("agent.released", bot)]


async def test_who_does_not_know_enough_releases_nobody(agents: Agents) -> None:
    """A process without the files, or one that cannot read the policy, moves the log too."""
    await hold(agents)
    ada = await agents.make_user("ada")
    bot = await agents.make_agent("bot", ada)
    await agents.enable(ada, active=False)
    assert len(await owned(agents)) == 2
    await agents.make_user("somebody")
    await Sequencer(agents.table, load()).run(TENANT, expected=True)
    assert await owned(agents) == []
    await write_policy(agents.table, TENANT, {"from": "a newer version"}, "tests")
    await agents.make_user("somebody else")
    assert await owned(agents) == []
    head = await Head.read(agents.table, TENANT)
    assert head is not None and State.load(head.policy).ownerless == {bot: "held"}


async def test_an_alarm_is_remembered_and_a_hold_may_follow(agents: Agents) -> None:
    ada, bob = await agents.make_user("ada"), await agents.make_user("bob")
    bot = await agents.make_agent("bot", ada)
    await agents.enable(ada, active=False)
    assert [each["type"] for each in await owned(agents)] == ["agent.ownerless"]
    assert "Nobody active owns it." in (await agents.why().ask("bot")).text
    assert (await show_policy(agents.table, TENANT))[1]["ownerless"] == [{"agent": bot, "standing": "told"}]
    assert f'/agents/{bot}">bot</a> is told of' in await show(agents, policy.show)
    await hold(agents, 7)
    assert await owned(agents) == []
    assert "is held from <time" in await show(agents, policy.show)
    (waiting,) = (await show_policy(agents.table, TENANT))[1]["ownerless"]
    assert waiting["standing"] == "waiting" and waiting["until"] > format_time(datetime.now().astimezone())
    owners = {"op": "replace", "path": "owners", "value": [{"value": bob}]}
    assert (await agents.client.patch(f"/Agents/{bot}", owners)).status == 200
    assert await owned(agents) == []
    assert (await show_policy(agents.table, TENANT))[1]["ownerless"] == []
    assert "Nobody" not in (await agents.why().ask("bot")).text


async def test_an_application_that_begins_anew_knows_the_holds(agents: Agents, tmp_path: Path) -> None:
    await agents.set(agents={"ownerless": "hold", "graceDays": 0}, values=[{"from": "title", "to": "rank", "map": {},
                     "else": "none"}])  # fmt: skip
    ada = await agents.make_user("ada")
    bot = await agents.make_agent("bot", ada)
    marked = {"kind": "agent", "sponsor": {"value": ada}}
    user = await agents.make_user("bot-user", schemas=[MARKED], **{MARKED: marked})
    await agents.enable(ada, active=False)
    events = await agents.events()
    change = {"op": "replace", "path": "title", "value": "bot"}
    assert (await agents.client.patch(f"/Users/{user}", change)).status == 200
    events += await agents.events()
    copies = [load_example("consumer").Copy(str(tmp_path / f"{number}.sqlite")) for number in range(2)]
    copies[0].apply(None, TENANT, {"events": events, "next": "x"})
    listed: dict[str, Any] = {TENANT: {"next": "now"}}
    listed["seats"] = await list_standings(agents.table, agents.registry, TENANT)
    listed["ResourceTypes"] = (await agents.client.get("/ResourceTypes")).json
    for name in ("Users", "Groups", "Agents"):
        listed[name] = (await agents.client.get(f"/{name}")).json["Resources"]
    copies[1].begin_anew(Pages(listed), TENANT)
    for copy in copies:
        held = "SELECT id FROM effects WHERE json_extract(effect, '$.held') ORDER BY id"
        assert [id for (id,) in copy.database.execute(held)] == sorted([bot, user])
        assert copy.entitle(TENANT)["bot-user"]["rank"] == "none"
        copy.database.close()
    await agents.enable(ada)
    copy = load_example("consumer").Copy(str(tmp_path / "0.sqlite"))
    copy.apply(None, TENANT, {"events": await agents.events(), "next": "y"})
    assert copy.database.execute(held).fetchall() == []
    assert copy.entitle(TENANT)["bot-user"]["rank"] == "none"
    copy.database.close()


class Pages(load_example("consumer").Service):  # type: ignore[misc]
    """The service, as it would list this."""

    def __init__(self, answers: dict[str, Any]) -> None:
        self._answers = answers

    def get(self, path: str, **query: object) -> Any:
        return self._answers[path.rpartition("/")[2]]

    def resources(self, tenant: str, what: str) -> Any:
        return self._answers[what]


async def test_the_agents_of_one_leaver_are_read_together(agents: Agents, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, thousands would take longer than a run has, and the feed would never go on."""
    ada = await agents.make_user("ada")
    for number in range(48):
        await agents.make_agent(f"bot-{number}", ada)
    await owned(agents)
    await agents.enable(ada, active=False)
    read, under_way, most = agents.table.read, 0, 0

    async def read_slowly(tenant: str, key: str, *rest: Any) -> Any:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.001)
        under_way -= 1
        return await read(tenant, key, *rest)

    monkeypatch.setattr(agents.table, "read", read_slowly)
    (event,) = await owned(agents)
    assert len(event["agents"]) == 48 and most >= 16


async def test_a_time_that_comes_is_kept_to_the_day(agents: Agents) -> None:
    await hold(agents, 7)
    ada = await agents.make_user("ada")
    await agents.make_agent("bot", ada)
    await agents.enable(ada, active=False)
    (event,) = await owned(agents)
    left = datetime.fromisoformat(event["until"]) - datetime.now().astimezone()
    assert timedelta(days=6, hours=23) < left <= timedelta(days=7)


async def test_who_is_erased_is_in_no_event_about_agents(agents: Agents) -> None:
    from scim.operate.people import erase_user

    await hold(agents)
    ada = await agents.make_user("ada.lovelace@contoso.example", externalId="emp-1815")
    group = await agents.make_group("owners", ada)
    for name, owner in (("bot", ada), ("other", group)):
        await agents.make_agent(name, owner)
    marked = {"schemas": [MARKED], MARKED: {"kind": "agent", "sponsor": {"value": ada}}}
    user = await agents.make_user("bot.lovelace@contoso.example", **marked)
    await agents.enable(ada, active=False)
    assert len(await owned(agents)) == 4
    assert (await erase_user(agents.table, agents.registry, TENANT, user)).left == []
    gone = await erase_user(agents.table, agents.registry, TENANT, ada)
    assert gone.left == []
    agents.seen = 0
    (alarm,) = [each for each in await agents.events() if each["type"] == "agent.ownerless"]
    assert alarm["erased"] and len(alarm["agents"]) == 3
    assert "lovelace" not in repr([each.values for each in agents.table.rows(TENANT)])


async def test_many_holds_begin_and_end(agents: Agents) -> None:
    """Their events do not fit into one transaction."""
    await hold(agents)
    ada = await agents.make_user("ada")
    bots = {await agents.make_agent(f"bot-{number}", ada) for number in range(120)}
    await agents.enable(ada, active=False)
    told = await owned(agents)
    assert [each["type"] for each in told] == ["agent.ownerless", *["agent.held"] * 120]
    await agents.enable(ada)
    back = await owned(agents)
    assert [each["type"] for each in back] == ["agent.released"] * 120
    assert {each["resource"]["id"] for each in told[1:]} == {each["resource"]["id"] for each in back} == bots
    await agents.enable(ada, active=False)
    assert len(await owned(agents)) == 121
    await agents.set(agents={"ownerless": "alarm"})
    assert [each["type"] for each in await owned(agents)] == ["agent.released"] * 120


@pytest.mark.parametrize("seed", range(2))
async def test_whatever_is_killed_each_is_told_once(agents: Agents, seed: int) -> None:
    await hold(agents)
    ada = await agents.make_user("ada")
    for number in range(60):
        await agents.make_agent(f"bot-{number}", ada)
    dice, kills = Random(seed), 0
    for active in (False, True):
        await agents.enable(ada, active=active)
        moved = 1
        while moved:
            try:
                killing = Killing(agents.table, dice, 0.5)
                moved = await Sequencer(killing, agents.registry).run(TENANT, expected=True)  # type: ignore[arg-type]
            except Killed:
                kills += 1
    told = await owned(agents)
    assert kills and Counter(each["type"] for each in told) == {
        "agent.ownerless": 1,
        "agent.held": 60,
        "agent.released": 60,
    }
    assert len({each["resource"]["id"] for each in told if each["type"] == "agent.released"}) == 60


async def test_many_leavers_who_own_nothing_cost_a_look_each(agents: Agents) -> None:
    users = [await agents.make_user(f"user-{number}") for number in range(20)]
    await agents.make_agent("bot", await agents.make_group("owners", users[0]))
    await agents.events()
    for user in users[1:]:
        await agents.enable(user, active=False)
    agents.table.reset()
    await agents.sequence()
    with_agents = len(agents.table.trips)
    assert with_agents <= 19 * 3 + 20, with_agents  # by two indexes, and whether they are in the one group that owns


async def test_who_is_disabled_and_deleted_later_is_told_once(agents: Agents) -> None:
    ada = await agents.make_user("ada")
    for owner in (ada, await agents.make_group("owners", ada)):
        await agents.make_agent(f"bot of {owner}", owner)
    await agents.enable(ada, active=False)
    assert len((await owned(agents))[0]["agents"]) == 2
    await agents.client.delete(f"/Users/{ada}")
    assert await owned(agents) == []


async def test_a_hold_begins_though_nobody_writes(agents: Agents) -> None:
    """The timer looks."""
    await hold(agents, 7)
    ada = await agents.make_user("ada")
    bot = await agents.make_agent("bot", ada)
    await agents.enable(ada, active=False)
    assert len(await owned(agents)) == 1
    head = await Head.read(agents.table, TENANT)
    assert head is not None
    due = State.load(head.policy).changed(ownerless={bot: "2026-01-01T00:00:00.000Z"})
    await agents.table.commit(TENANT, [head._replace(policy=due.dump()).write()])
    following = Following(agents.table, agents.registry)
    await following.keep()
    await following.settle()
    events = (await Log(agents.table).read(TENANT)).events
    assert (events[-1]["type"], events[-1]["resource"]["id"]) == ("agent.held", bot)
