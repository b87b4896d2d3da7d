"""Feed, insight and console know any type that is loaded, as they know users and groups."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scim.console.pages import log, people
from scim.operate.check import list_problems
from scim.operate.errors import CommandError
from scim.operate.tool.members import require_types
from tests.agents.place import Agents, show
from tests.insight.place import TENANT


@pytest.fixture
def agents(tmp_path: Path) -> Agents:
    return Agents(tmp_path, "agents")


async def test_events_of_an_agent_are_named_by_its_type(agents: Agents) -> None:
    bot = await agents.make_agent("bot", displayName="Bot")
    await agents.client.patch(f"/Agents/{bot}", {"op": "replace", "path": "displayName", "value": "Robot"})
    for active in (False, True):
        await agents.enable(bot, active=active, path="/Agents")
    await agents.client.delete(f"/Agents/{bot}")
    events = await agents.events()
    assert [each["type"].removeprefix("agent.") for each in events] == [
        *("created", "updated", "deactivated", "activated", "deleted")
    ]
    assert {each["resource"]["agentUserName"] for each in events} == {"bot"}
    assert await list_problems(agents.table, TENANT, agents.registry) == []


async def test_why_and_history_know_an_agent_by_its_name(agents: Agents) -> None:
    bot = await agents.make_agent("support-bot", displayName="Support")
    await agents.enable(bot, active=False, path="/Agents")
    await agents.sequence()
    answer = await agents.why().ask("Support-Bot")
    assert (answer.id, answer.verdict) == (bot, "disabled")
    assert "Agent Support is here" in answer.text
    told = await agents.why().tell("support-bot")
    assert [each.type for each in told.changes] == ["agent.created", "agent.deactivated"]
    await agents.client.delete(f"/Agents/{bot}")
    await agents.sequence()
    assert (await agents.why().ask("support-bot")).verdict == "deleted"
    assert (await agents.why().tell("support-bot")).changes[-1].name == "Support"
    assert (await agents.client.post("/Agents", {"agentUserName": "crooked", "active": "perhaps"})).status == 400
    await agents.settle()
    refused = await agents.why().ask("CROOKED")
    assert refused.verdict == "refused" and refused.text.startswith("crooked is not here")


async def test_the_console_shows_agents_beside_users_and_groups(agents: Agents) -> None:
    bot = await agents.make_agent("bot", displayName="Bot")
    group = await agents.make_group("all", bot)
    await agents.enable(bot, active=False, path="/Agents")
    await agents.sequence()
    listed = await show(agents, people.show_people, people="agents")
    tabs = re.findall(rf'/console/tenants/{TENANT}/(\w+)"', listed)
    assert tabs[tabs.index("groups") + 1] == "agents"
    assert f"/console/tenants/{TENANT}/agents/{bot}" in listed and "Disabled" in listed and ">Agents<" in listed
    assert f"/agents/{bot}" in await show(agents, log.show_log, result="done")
    single = await show(agents, people.show_person, people="agents", id=bot)
    assert "agent.deactivated" in single and f"/groups/{group}" in single
    assert f"/agents/{bot}" in await show(agents, people.show_person, people="groups", id=group)
    assert "Agent Bot is here" in await show(agents, people.show_why, people="agents", name="bot")


async def test_types_of_a_connection_may_be_those_that_are_only_read(tmp_path: Path) -> None:
    registry = Agents(tmp_path, "roles").registry
    require_types(("User", "Group", "Role"), registry)
    with pytest.raises(CommandError, match=r"no resource type Rolle; there are .*Role"):
        require_types(("Rolle",), registry)
