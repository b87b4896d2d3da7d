"""When the last owner of an agent leaves: it is told, and after some days the product may be told to stop the agent.

Owners are references in an attribute `owners` or `sponsor` that has an index, of any resource type: agents, or users
that are marked as agents. Nobody writes to the agent: its client would write it back. Nothing is read, and nothing
costs, where no type has such an index.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scim.clock import format_time
from scim.policy.draft import Draft, Event
from scim.policy.rows import Rows
from scim.policy.state import State
from scim.schema.registry import Index, Registry, ResourceType
from scim.store import keys, properties

if TYPE_CHECKING:
    from scim.policy.document import Agents

_ATTRIBUTES = ("owners", "sponsor")
_MOST_TOLD = 500
"""Agents that one event names."""
_MOST_INDEXED = 40
"""Agents in whose history the event is found: each is a row of the event's transaction."""
_MOST_WAITING = 300
"""Agents of one tenant that a hold waits for or holds: they stand in the head of the log. Of more it is told alone."""
_MOST_MEMBERS = 20
"""Members of a group that owns an agent who are looked at for one that is active."""
HELD = "held"
"""In place of the time when a hold begins."""
_CAUSES = ("connection", "credential", "request")


class Owners:
    """Looks and decides for one run."""

    def __init__(self, rows: Rows, rule: Agents, registry: Registry) -> None:
        self._rows = rows
        self._rule = rule
        self._registry = registry
        self._owned = list_owned(registry)

    @property
    def watches(self) -> bool:
        """Whether there is a type with owners, and the policy wants to know."""
        return bool(self._owned) and self._rule.ownerless != "off"

    async def leave(self, state: State, event: Event, reason: str) -> tuple[State, list[Draft]]:
        """A user was disabled or deleted: return the one event for all active agents that nobody active owns now."""
        owner = event["resource"]["id"]
        found = [agent async for agent in self._list_owned_by(owner) if await self._is_ownerless(agent)]
        if not found:
            return state, []
        told = {**_cause(event), "type": "agent.ownerless", "resource": event["resource"], "reason": reason}
        told["agents"] = found[:_MOST_TOLD]
        if len(found) > _MOST_TOLD:
            told["number"] = len(found)
        if self._rule.ownerless == "hold":
            until = format_time(datetime.now(UTC) + timedelta(days=self._rule.grace_days))
            waiting = {agent: until for agent in found if agent not in state.ownerless}
            room = max(_MOST_WAITING - len(state.ownerless), 0)
            state = state.changed(ownerless={**state.ownerless, **dict([*waiting.items()][:room])})
            told["until"] = until
        return state, [Draft(told, (owner, *found[:_MOST_INDEXED]))]

    async def look_again(self, state: State, event: Event, what: str) -> tuple[State, list[Draft]]:
        """Somebody came back, or an agent was changed: return the events of holds that end by that."""
        id = event["resource"]["id"]
        concerned = [id] if id in state.ownerless else []
        if what == "activated" and state.ownerless:
            owned = {agent async for agent in self._list_owned_by(id)}
            concerned += [agent for agent in state.ownerless if agent in owned and agent != id]
        told: list[Draft] = []
        for agent in concerned:
            if what != "deleted" and await self._is_ownerless(agent):
                continue
            if state.ownerless[agent] == HELD and what != "deleted":
                told.append(self._tell(agent, "released", _cause(event)))
            state = state.changed(ownerless={one: at for one, at in state.ownerless.items() if one != agent})
        return state, told

    def is_due(self, state: State, now: str) -> bool:
        """Whether a hold begins now, or the policy says no more that there are any."""
        return not self._holds or any(at != HELD and at <= now for at in state.ownerless.values())

    async def catch_up(self, state: State, now: str) -> tuple[State, list[Draft]]:
        """Begin and end holds whose time has come: return the events that tell it."""
        told: list[Draft] = []
        left = dict(state.ownerless)
        for agent, at in state.ownerless.items():
            if not self._holds:
                del left[agent]
                if at == HELD:
                    told.append(self._tell(agent, "released", {"time": now}))
            elif at != HELD and at <= now:
                if await self._is_ownerless(agent):
                    left[agent] = HELD
                    told.append(self._tell(agent, "held", {"time": now}))
                else:
                    del left[agent]
        return (state if left == state.ownerless else state.changed(ownerless=left)), told

    @property
    def _holds(self) -> bool:
        return self.watches and self._rule.ownerless == "hold"

    def _tell(self, agent: str, what: str, cause: Event) -> Draft:
        resource_type = self._registry.by_id(agent)
        name = resource_type.name if resource_type else "Agent"
        effects = {"effects": {"held": what == "held"}}
        return Draft({**cause, "type": f"agent.{what}", "resource": {"type": name, "id": agent}, **effects}, (agent,))

    async def _list_owned_by(self, owner: str) -> AsyncIterator[str]:
        seen = {owner}  # nobody owns themselves
        for resource_type, index in self._owned:
            async for page in self._rows.partition.pages(*keys.lookup_range(resource_type, index, owner), size=100):
                for row in page:
                    if (id := str(row.values["id"])) not in seen:
                        seen.add(id)
                        yield id

    async def _is_ownerless(self, agent: str) -> bool:
        """Whether an agent is active and nobody active owns it. An owner whose id is not ours may be anybody."""
        document = await self._read(agent)
        if document is None or document.get("active") is False:
            return False
        resource_type = self._registry.by_id(agent)
        for owned_type, index in self._owned:
            if owned_type is resource_type:
                for owner in _list_values(document, index):
                    if owner != agent and await self._is_active(owner):
                        return False
        return True

    async def _is_active(self, owner: str) -> bool:
        """Whether an owner is an active user, or a group with one."""
        resource_type = self._registry.by_id(owner)
        if resource_type is None:
            return False
        if resource_type.members is None:
            document = await self._read(owner)
            return document is not None and document.get("active") is not False
        async for page in self._rows.partition.pages(*keys.members_range(owner), size=_MOST_MEMBERS):
            for row in page:
                document = await self._read(str(row.values["member"]))
                if document is not None and document.get("active") is not False:
                    return True
            return False
        return False

    async def _read(self, id: str) -> Mapping[str, Any] | None:
        row = await self._rows.partition.read(keys.resource_key(id))
        return None if row is None else properties.join_document(row.values)


def list_owned(registry: Registry) -> list[tuple[ResourceType, Index]]:
    """Return the types whose resources have owners, with the index by which an owner's are found."""
    return [
        (resource_type, index)
        for resource_type in registry.resource_types
        for index in resource_type.indexes.values()
        if index.target.name in _ATTRIBUTES and index.target.attribute.is_reference
    ]


def _list_values(document: Mapping[str, Any], index: Index) -> list[str]:
    container = document if index.target.urn is None else document.get(index.target.urn, {})
    value = container.get(index.target.name)
    elements = value if isinstance(value, list) else [value]
    return [str(each["value"]) for each in elements if isinstance(each, dict) and "value" in each]


def _cause(event: Event) -> Event:
    return {"time": event["time"], **{name: event[name] for name in _CAUSES if name in event}}
