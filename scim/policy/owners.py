"""When the last owner of an agent leaves: it is told, and after some days the product may be told to stop the agent.

Owners are references in an attribute `owners` or `sponsor` that has an index, of any resource type: agents, or users
that are marked as agents. An owner is an active user, or a group with an active member, so somebody may leave by a
group, too. Nobody writes to the agent: its client would write it back. Nothing is read, and nothing costs, where no
type has such an index.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from scim.clock import format_time
from scim.policy.draft import Draft, Event
from scim.policy.rows import Rows
from scim.policy.state import State
from scim.schema.registry import Index, Registry, ResourceType
from scim.store import keys, properties
from scim.store.departures import find_groups
from scim.store.table import PARALLEL_READS

if TYPE_CHECKING:
    from scim.policy.document import Agents

_ATTRIBUTES = ("owners", "sponsor")
_MOST_LOOKED_AT = 5000
"""Agents of one leaver that are looked at: a run of the sequencer has a few seconds."""
_MOST_TOLD = 500
"""Agents that one event names."""
_MOST_INDEXED = 15
"""Agents in whose history the event is found: each is a row of the event's transaction."""
_MOST_KEPT = 2000
"""Agents without an owner that are kept of one tenant: they stand in the head of the log. Of more it is told alone."""
_MOST_GROUPS = 500
"""Groups that own agents: so many are asked whether the leaver was in them."""
_MOST_MEMBERS = 2000
"""Members of a group that owns an agent who are looked at for one that is active."""
TOLD = "told"
"""In place of the time when a hold begins: none will."""
HELD = "held"
"""The same: it has begun."""
BACK = "back"
"""The same: it has begun, and ends in a moment, as an owner came back."""
_AT_ONCE = 5
"""Holds that end in the step that ends them, with who did it. The events of more would not fit into its transaction:
they are told in steps of their own."""
_IN_ONE_STEP = 20
_MOST_NAME = 1024
"""Characters of a name that an event tells an agent by, as in other events."""
_CAUSES = ("connection", "credential", "request")


class Owners:
    """Looks and decides for one run. What it keeps of agents (`State.ownerless`) is left alone by whoever does not
    know their type."""

    def __init__(self, rows: Rows, rule: Agents, registry: Registry) -> None:
        self._rows = rows
        self._rule = rule
        self._registry = registry
        self._owned = list_owned(registry)
        self._known: dict[str, Mapping[str, Any] | None] = {}
        self._owning: list[str] | None = None

    @property
    def watches(self) -> bool:
        """Whether there is a type with owners, and the policy wants to know."""
        return bool(self._owned) and self._rule.ownerless != "off"

    async def look(self, state: State, event: Event) -> tuple[State, list[Draft]]:
        """Return the events that follow for agents from what happened to an owner, or to an agent itself."""
        id, what = event["resource"]["id"], event["type"].partition(".")[2]
        resource_type = self._registry.by_id(id)
        is_group = resource_type is not None and bool(resource_type.members)
        is_user = resource_type is not None and resource_type.name == "User"
        comes = (is_user and what in ("activated", "created")) or (is_group and bool(event.get("added")))
        told: list[Draft] = []
        if state.ownerless and (comes or id in state.ownerless):
            state, told = await self._look_again(state, event, what, comes=comes)
        if is_user and what in ("deactivated", "deleted"):
            groups = await self._list_groups(id, is_deleted=what == "deleted")
            state, left = await self._leave(state, event, what, [id, *groups])
        elif is_group and (what == "deleted" or event.get("removed")):
            state, left = await self._leave(state, event, "deleted" if what == "deleted" else "removed", [id])
        else:
            left = []
        return state, told + left

    async def _leave(self, state: State, event: Event, reason: str, owners: Sequence[str]) -> tuple[State, list[Draft]]:
        """Return the one event for all active agents of these owners that nobody active owns now."""
        # What is kept was told: who was disabled a month ago is deleted now.
        ownerless = [one async for one in self._list_ownerless(owners) if one[0] not in state.ownerless]
        found = [agent for agent, active in ownerless if active]
        until = self._find_until() if self._holds else TOLD
        # One that is switched off is held too: it may be switched on tomorrow.
        room = max(_MOST_KEPT - len(state.ownerless), 0)
        kept = dict.fromkeys([agent for agent, active in ownerless if active or self._holds][:room], until)
        state = state.changed(ownerless={**state.ownerless, **kept})
        if not found:
            return state, []
        about = {name: text for name, text in event["resource"].items() if text}
        told: Event = {**_cause(event), "type": "agent.ownerless", "resource": about, "reason": reason}
        told["agents"] = found[:_MOST_TOLD]
        if len(found) > _MOST_TOLD:
            told["number"] = len(found)
        if self._holds:
            told["until"] = until
        return state, [Draft(told, (event["resource"]["id"], *found[:_MOST_INDEXED]))]

    async def _look_again(self, state: State, event: Event, what: str, *, comes: bool) -> tuple[State, list[Draft]]:
        """Somebody came or came back, or an agent was changed: return the events of holds that end by that."""
        id = event["resource"]["id"]
        concerned = [id] if id in state.ownerless else []
        if comes:
            groups = await self._list_groups(id) if what == "activated" else []
            owned = {agent async for agent in self._list_owned_by([id, *groups])}
            concerned += [agent for agent in state.ownerless if agent in owned and agent != id]
        told: list[Draft] = []
        left = dict(state.ownerless)
        for agent in concerned:
            is_gone = agent == id and what == "deleted"
            if not is_gone and not await self._has_owner(agent):
                continue
            at = left.pop(agent)
            if is_held(at) and not is_gone and len(told) < _AT_ONCE:
                told.append(self._tell(agent, "released", _cause(event)))
            elif is_held(at) and not is_gone:
                left[agent] = BACK
        return state.changed(ownerless=left), told

    def is_due(self, state: State, now: str) -> bool:
        """Whether a hold begins or ends now, or the policy says another thing than when an agent was kept."""
        return bool(self._owned) and any(self._is_due(at, now) for at in state.ownerless.values())

    def _is_due(self, at: str, now: str) -> bool:
        if self._holds:
            return at in (TOLD, BACK) or (at != HELD and at <= now)
        return at != TOLD or not self.watches

    async def catch_up(self, state: State, now: str) -> tuple[State, list[Draft]]:
        """Begin and end some of the holds that are due: return the events that tell it. Ask again while any is."""
        told: list[Draft] = []
        left = dict(state.ownerless)
        due = [agent for agent, at in left.items() if self._is_due(at, now)]
        for agent in due[:_IN_ONE_STEP]:
            at = left.pop(agent)
            if at == TOLD and self._holds:
                left[agent] = self._find_until()
                continue
            is_owned = await self._has_owner(agent) or await self._read(agent) is None
            if self._holds and not is_owned:
                left[agent] = HELD
            elif self.watches and not is_owned:
                left[agent] = TOLD
            if is_held(at) != (left.get(agent) == HELD):
                told.append(self._tell(agent, "released" if is_held(at) else "held", {"time": now}))
        return state.changed(ownerless=left), told

    def _find_until(self) -> str:
        return format_time(datetime.now(UTC) + timedelta(days=self._rule.grace_days))

    @property
    def _holds(self) -> bool:
        return self.watches and self._rule.ownerless == "hold"

    def _tell(self, agent: str, what: str, cause: Event) -> Draft:
        resource_type = self._registry.by_id(agent)
        about = {"type": resource_type.name if resource_type else "Agent", "id": agent}
        document = self._known.get(agent) or {}
        if resource_type is not None:
            for name in filter(None, ("externalId", resource_type.known_by)):
                text, attribute = document.get(name), resource_type.core_attributes[name.lower()]
                if isinstance(text, str) and len(text) <= _MOST_NAME and not attribute.hidden:
                    about[name] = text
        return Draft(
            {**cause, "type": f"agent.{what}", "resource": about, "effects": {"held": what == "held"}}, (agent,)
        )

    async def _list_ownerless(self, owners: Iterable[str]) -> AsyncIterator[tuple[str, bool]]:
        """The agents of these owners that nobody active owns, and whether each is active."""
        agents = [agent async for agent in self._list_owned_by(owners)]
        for at in range(0, len(agents), PARALLEL_READS):
            some = agents[at : at + PARALLEL_READS]
            read = await asyncio.gather(*map(self._read, some))
            owned = await asyncio.gather(*map(self._has_owner, some))
            for agent, document, has_owner in zip(some, read, owned, strict=True):
                if document is not None and not has_owner:
                    yield agent, document.get("active") is not False

    async def _list_owned_by(self, owners: Iterable[str]) -> AsyncIterator[str]:
        seen: set[str] = set()
        for owner in dict.fromkeys(owners):
            for resource_type, index in self._owned:
                async for page in self._rows.partition.pages(*keys.lookup_range(resource_type, index, owner)):
                    for row in page:
                        id = str(row.values["id"])
                        if id not in seen and id != owner and len(seen) < _MOST_LOOKED_AT:  # nobody owns themselves
                            seen.add(id)
                            yield id

    async def _list_groups(self, user: str, *, is_deleted: bool = False) -> list[str]:
        """Return the groups that own agents and have, or had until now, that user in them."""
        owning = await self._list_owning_groups()
        if not owning:
            return []
        if is_deleted:
            return [group for group in await find_groups(self._rows.partition, user) if group in owning]
        found: list[str] = []
        for at in range(0, len(owning), PARALLEL_READS):
            some = owning[at : at + PARALLEL_READS]
            edges = (self._rows.partition.read(keys.member_key(group, user)) for group in some)
            found += [group for group, edge in zip(some, await asyncio.gather(*edges), strict=True) if edge is not None]
        return found

    async def _list_owning_groups(self) -> list[str]:
        """Return the groups that own agents: a trip for each type that has owners, once in a run."""
        if self._owning is None:
            found: dict[str, None] = {}
            prefixes = [f"{each.id_prefix}-" for each in self._registry.resource_types if each.members]
            for resource_type, index in self._owned:
                for prefix in prefixes:
                    start, end = keys.prefix_range(resource_type, index, prefix)
                    async for page in self._rows.partition.pages(start, end, keys_only=True):
                        found |= dict.fromkeys(keys.parse_looked_up(row.key) for row in page)
                        if len(found) >= _MOST_GROUPS:
                            break
            self._owning = list(found)[:_MOST_GROUPS]
        return self._owning

    async def _has_owner(self, agent: str) -> bool:
        """Whether somebody active owns an agent. An owner whose id is not ours may be anybody, and counts for
        nobody."""
        document = await self._read(agent)
        resource_type = self._registry.by_id(agent)
        for owned_type, index in self._owned if document is not None else ():
            if owned_type is resource_type:
                for owner in _list_values(document or {}, index):
                    if owner != agent and await self._is_active(owner):
                        return True
        return False

    async def _is_active(self, owner: str) -> bool:
        """Whether an owner is an active user, or a group with one; of a very large group without an active member
        among those that are looked at, it is taken for granted."""
        resource_type = self._registry.by_id(owner)
        if resource_type is None or (document := await self._read(owner)) is None:
            return False
        if resource_type.members is None:
            return document.get("active") is not False
        looked_at = 0
        async for page in self._rows.partition.pages(*keys.members_range(owner), size=PARALLEL_READS):
            members = await asyncio.gather(*(self._read(str(row.values["member"])) for row in page))
            if any(one is not None and one.get("active") is not False for one in members):
                return True
            looked_at += len(page)
            if looked_at >= _MOST_MEMBERS:
                return True
        return False

    async def _read(self, id: str) -> Mapping[str, Any] | None:
        """Read a document, once in a run: it is as new as all that the run decides about, or newer."""
        if id not in self._known:
            row = await self._rows.partition.read(keys.resource_key(id))
            self._known[id] = None if row is None else properties.join_document(row.values)
        return self._known[id]


def is_held(at: str) -> bool:
    """Whether the application keeps an agent from working, by what is kept of it."""
    return at in (HELD, BACK)


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
