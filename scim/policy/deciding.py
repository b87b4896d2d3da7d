"""What a policy makes of the changes that go into the log: effects that their events tell, and events of its own.

The sequencer asks for each event in the order of the log, and writes in one transaction what comes of it: the events,
rows that follow from them (rows.py), and the state (state.py), which stands in the head of the log. So whatever is
killed, a decision is made once, by what the log says and nothing else.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from scim.clock import format_time
from scim.policy.document import Grant, GroupName, Policy
from scim.policy.draft import Draft, Event
from scim.policy.guard import list_filled
from scim.policy.holding import Holding, Taken
from scim.policy.kept import Kept, make_policy
from scim.policy.offering import find_unknown
from scim.policy.owners import Owners, is_held
from scim.policy.relinking import Relinking
from scim.policy.rows import Rows
from scim.policy.seats import ASSIGNED, Holder, Seats
from scim.policy.state import TOTAL, State
from scim.schema.registry import Declared, Registry
from scim.store import keys, properties
from scim.store.table import Partition

AT_ONCE = 10
"""Users whose seats are decided in one step."""
_LICENSE = ("license", "licence")
_LOST = {"user.deactivated", "user.deleted"}


class Decider:
    """Decides for one run. `state` is as of the last decision."""

    def __init__(
        self,
        partition: Partition,
        policy: Policy,
        version: str,
        state: State,
        registry: Registry,
        *,
        is_known: bool = True,
    ) -> None:
        """`is_known` is false if there is a policy that this version of the app cannot read: then a hold goes on."""
        self.policy = policy
        self._is_known = is_known
        self._version = version
        self.state = state
        self.rows = Rows(partition)
        self._seats = Seats(self.rows)
        self.holding = Holding(self.rows, policy.mass_change, registry)
        self._relinking = Relinking(self.rows, policy.relink.hours, registry)
        self._owners = Owners(self.rows, policy.agents, registry)
        self._registry = registry
        seats = policy.seats
        self._limits = dict(seats.licenses) | ({} if seats.total is None else {TOTAL: seats.total})

    def has_work(self) -> bool:
        """Whether there is something to do though nothing was written."""
        state = self.state
        waits = bool(state.ownerless) and self._is_known and self._owners.is_due(state, format_time(datetime.now(UTC)))
        return bool(state.version != self._version or state.counting or state.telling or state.hold or waits)

    async def hold(
        self, ids: Sequence[str], changes: list[dict[str, Any]], values: Mapping[str, Any], time: str
    ) -> Taken:
        """Decide whether a row of the outbox is held back."""
        self.state, taken = await self.holding.take(self.state, ids, changes, values, time)
        return taken

    def is_releasing(self, now: str) -> bool:
        """Whether what is held goes into the log now."""
        hold = self.state.hold
        return hold is not None and self._is_known and self.holding.is_over(hold, now)

    async def release(self, ids: Sequence[str], key: str) -> None:
        """A row that was held goes into the log."""
        self.state = await self.holding.release(self.state, ids, key)

    def end_hold(self, now: str) -> list[Draft]:
        """End the hold, and tell it."""
        self.state, told = self.holding.end(self.state, now)
        return told

    # Events --------------------------------------------------------------------------------------------------------

    def find_size(self, group: str) -> int:
        """Return how many members one event of a group names at the most; 0 for as many as there are."""
        return AT_ONCE if self._limits and any(grant.licenses for grant in self._grants_of(group)) else 0

    @staticmethod
    def split(draft: Draft, size: int) -> list[Draft]:
        """Return an event in pieces of so many members, whose decisions fit into one step each."""
        event = draft.event
        if not size or not event["type"].endswith(".members"):
            return [draft]
        signed = [(id, True) for id in event["added"]] + [(id, False) for id in event["removed"]]
        pieces = []
        for at in range(0, len(signed), size):
            some = signed[at : at + size]
            told = {"added": [id for id, comes in some if comes], "removed": [id for id, comes in some if not comes]}
            pieces.append(Draft({**event, **told}, draft.subjects))
        return pieces

    async def decide(self, draft: Draft) -> list[Draft]:
        """Return the event as it is to be told, and those that follow from it."""
        event = draft.event
        kind, _, what = event["type"].partition(".")
        told = [draft]
        if kind == "user":
            told = await self._decide_user(draft, what)
        elif what == "members":
            told = await self._decide_members(draft)
        elif kind == "group":
            self._bind(event, what)
        if self._owners.watches:
            self.state, following = await self._owners.look(self.state, event)
            told += following
        return told

    async def _decide_user(self, draft: Draft, what: str) -> list[Draft]:
        event = dict(draft.event)
        id, data = event["resource"]["id"], event.get("data")
        if what == "deleted":
            self.state, event = self._relinking.remember(self.state, event)
        elif data is not None:
            event |= self.describe(data, is_new=what == "created", id=id)
        if what == "created":
            event = await self._relinking.recognise(self.state, event)
        following = []
        if self._limits:
            holder = await self._seats.read(id) or Holder()
            if what == "deleted":
                holder = Holder(holder.seats, {}, [], active=False)
            elif data is not None:
                holder = Holder(holder.seats, holder.groups, self._list_own(data), data.get("active") is not False)
            elif what in ("activated", "deactivated"):
                holder = Holder(holder.seats, holder.groups, holder.own, what == "activated")
            following = await self._settle(id, holder, event)
        return [Draft(event, draft.subjects), *following]

    async def _decide_members(self, draft: Draft, *, is_told: bool = False) -> list[Draft]:
        """Say what a group gives to its members. `is_told`: also that it gives nothing any more."""
        event = dict(draft.event)
        group = event["resource"]["id"]
        grants = self._grants_of(group)
        if not grants and not is_told:
            return [draft]
        event["grants"] = join_grants(grant.given() for grant in grants)
        following: list[Draft] = []
        licences = [one for grant in grants for one in grant.licenses]
        if is_told or any(one in self._limits for one in licences):
            for member, comes in [(id, True) for id in event["added"]] + [(id, False) for id in event["removed"]]:
                if self._is_user(member):
                    following += await self._grant(member, group, licences if comes else [], event)
        return [Draft(event, draft.subjects), *following]

    async def _grant(self, user: str, group: str, licences: Sequence[str], event: Event) -> list[Draft]:
        """Have a user's licences from one group be these."""
        holder = await self._seats.read(user) or await self._find_holder(user)
        if holder is None:
            return []
        groups = {id: each for id, each in holder.groups.items() if id != group}
        if licences:
            groups[group] = list(licences)
        return await self._settle(user, Holder(holder.seats, groups, holder.own, holder.active), event)

    async def _find_holder(self, user: str) -> Holder | None:
        """Return what is known of a user without a seat: by the document; None if there is no such user."""
        row = await self.rows.partition.read(keys.resource_key(user))
        if row is None:
            return None
        document = properties.join_document(row.values)
        return Holder(own=self._list_own(document), active=document.get("active") is not False)

    def describe(self, data: Mapping[str, Any], *, is_new: bool, id: str = "") -> Event:
        """Return what the policy says of a user's document: what follows from roles and values, and what is a
        default."""
        effects: Event = {"held": True} if is_held(self.state.ownerless.get(id, "")) else {}
        if is_new and (filled := list_filled(self.policy, dict(data))):
            effects["defaults"] = filled
        roles = [str(role.get("value", "")) for role in data.get("roles", ()) if isinstance(role, dict)]
        never = {name.lower() for name in self.policy.never}
        if refused := [role for role in roles if role.lower() in never]:
            effects["refused"] = refused
        if unknown := find_unknown(self.policy, self._registry, data):
            effects["unknown"] = unknown
        values, fallbacks = self._map_values(data)
        if values:
            effects["values"] = values
        if fallbacks:
            effects["fallbacks"] = fallbacks
        grants = join_grants(grant.given() for grant in self._grants_for(roles))
        return ({"effects": effects} if effects else {}) | ({"grants": grants} if grants else {})

    def _map_values(self, data: Mapping[str, Any]) -> tuple[Event, list[str]]:
        values, fallbacks = {}, []
        for each in self.policy.values:
            found = self._read_value(each.source, data)
            folded = {name.casefold(): to for name, to in each.map.items()}
            if found is not None and (to := folded.get(found.casefold())) is not None:
                values[each.to] = to
            elif each.otherwise is not None:
                values[each.to] = each.otherwise
                fallbacks.append(each.to)
        return values, fallbacks

    def _read_value(self, name: str, data: Mapping[str, Any]) -> str | None:
        users = self._registry.by_endpoint("users")
        target = users.resolve(name) if users else None
        if target is None:
            return None
        container = data if target.urn is None else data.get(target.urn, {})
        value = container.get(target.name)
        for element in value if isinstance(value, list) else [value]:
            if isinstance(target, Declared) and target.sub is not None:
                element = element.get(target.sub.name) if isinstance(element, dict) else None
            if element is not None:
                return str(element)
        return None

    # Grants --------------------------------------------------------------------------------------------------------

    def _grants_for(self, roles: Iterable[str]) -> list[Grant]:
        """Return what app roles give. A role that the policy never gives, gives nothing."""
        never = {name.lower() for name in self.policy.never}
        having = {role.lower() for role in roles} - never
        return [grant for grant in self.policy.grants if grant.role is not None and grant.role.lower() in having]

    def _grants_of(self, group: str) -> list[Grant]:
        return [grant for grant in self.policy.grants if grant.group and self._find_bound(grant.group) == group]

    def _find_bound(self, name: GroupName) -> str | None:
        return bound_group(name, self.state)

    def _bind(self, event: Event, what: str) -> None:
        """Follow the groups that the policy names: one that was found once keeps its place through renames, until it is
        deleted."""
        group, bound = event["resource"]["id"], self.state.bound
        if what == "deleted":
            left = {name: id for name, id in bound.items() if id != group}
        else:
            called = {
                f"displayName={str(event['resource'].get('displayName', '')).casefold()}",
                f"externalId={event['resource'].get('externalId', '')}",
            }
            names = {_name_group(grant.group) for grant in self.policy.grants if grant.group}
            left = {**{name: group for name in called & names if name not in bound}, **bound}
        if left == bound:
            return
        self.state = self.state.changed(bound=left)
        if what == "deleted" or what == "created":  # its members are told by their own events
            granting = {id: _digest(self._grants_of(id)) for id in self._list_granting()}
            self.state = self.state.changed(granted=granting)
        else:
            self._plan_telling()

    def _is_user(self, id: str) -> bool:
        resource_type = self._registry.by_id(id)
        return resource_type is not None and resource_type.name == "User"

    # Seats ---------------------------------------------------------------------------------------------------------

    def _list_own(self, data: Mapping[str, Any]) -> list[str]:
        """Return the licences that a document says: entitlements of the type license, and what app roles give."""
        own = [
            str(each["value"])
            for each in data.get("entitlements", ())
            if isinstance(each, dict) and "value" in each and str(each.get("type", "license")).lower() in _LICENSE
        ]
        roles = [str(role.get("value", "")) for role in data.get("roles", ()) if isinstance(role, dict)]
        return list(dict.fromkeys([*own, *(one for grant in self._grants_for(roles) for one in grant.licenses)]))

    async def _settle(self, user: str, holder: Holder, cause: Event) -> list[Draft]:
        """Give, free and queue, so that the user has or waits for exactly what is wanted."""
        told: list[Draft] = []
        wanted = holder.list_wanted(self._limits)
        seats = dict(holder.seats)
        freed = []
        for licence, seat in holder.seats.items():
            if licence in wanted:
                continue
            del seats[licence]
            if seat == ASSIGNED:
                self._count(licence, -1)
                freed.append(licence)
                told.append(self._tell("freed", user, licence, cause))
            else:
                self._seats.leave(licence, int(seat))
        for licence in wanted:
            if licence in seats:
                continue
            if self._is_free(licence):
                seats[licence] = ASSIGNED
                self._count(licence, 1)
                told.append(self._tell("assigned", user, licence, cause))
            else:
                number = self.state.line + 1
                self.state = self.state.changed(line=number)
                seats[licence] = str(number)
                self._seats.enter(licence, number, user)
                told.append(self._tell("waiting", user, licence, cause))
        if seats != holder.seats or seats or holder.groups or await self._seats.read(user):
            self._seats.keep(user, Holder(seats, holder.groups, holder.own, holder.active))
        for licence in freed:
            told += await self._give_next(licence, cause)
        return told

    async def _give_next(self, licence: str, cause: Event) -> list[Draft]:
        """Give a free seat to the first in line."""
        if not self._is_free(licence) or (first := await self._seats.find_first(licence)) is None:
            return []
        number, user = first
        self._seats.leave(licence, number)
        holder = await self._seats.read(user) or Holder()
        self._seats.keep(user, Holder({**holder.seats, licence: ASSIGNED}, holder.groups, holder.own, holder.active))
        self._count(licence, 1)
        return [self._tell("assigned", user, licence, cause)]

    def _is_free(self, licence: str) -> bool:
        return self.state.used.get(licence, 0) < self._limits.get(licence, 0)

    def _count(self, licence: str, by: int) -> None:
        if licence not in self._limits:  # it was not limited any more before the seat was given up
            return
        self.state = self.state.changed(used={**self.state.used, licence: self.state.used.get(licence, 0) + by})

    @staticmethod
    def _tell(what: str, user: str, licence: str, cause: Event) -> Draft:
        event = {"time": cause["time"], "type": f"seat.{what}", "resource": {"type": "User", "id": user}}
        event |= {name: cause[name] for name in ("connection", "credential", "request") if name in cause}
        return Draft(event | ({"license": licence} if licence != TOTAL else {}), (user,))

    # A policy that was changed --------------------------------------------------------------------------------------

    async def catch_up(self, time: str) -> AsyncIterator[list[Draft]]:
        """Follow a policy that was changed: find the groups that it names, tell their members what they get, give a
        seat to everybody who has a licence that was not limited before, however many these are, and free seats to who
        waits. Nobody loses one. Yields what each step tells."""
        cause: Event = {"time": time}
        if self.state.version != self._version:
            await self._begin_anew()
            yield []
        while self.state.counting:
            yield await self._count_some(cause)
        while self.state.telling:
            async for told in self._tell_some(cause):
                yield told
        for licence in self._limits:
            while given := await self._give_next(licence, cause):
                yield given
        while self.state.ownerless and self._is_known and self._owners.is_due(self.state, time):
            self.state, told = await self._owners.catch_up(self.state, time)
            yield told

    async def _begin_anew(self) -> None:
        """Take note of what is other in this version of the policy."""
        state = self.state
        new = {licence: "" for licence in self._limits if licence not in state.limits}
        used = {licence: number for licence, number in state.used.items() if licence in self._limits}
        counting = {licence: at for licence, at in state.counting.items() if licence in self._limits}
        names = {_name_group(grant.group): grant.group for grant in self.policy.grants if grant.group}
        bound = {name: id for name, id in state.bound.items() if name in names}
        for name, group in names.items():
            if name not in bound and (id := await self._look_up(group)) is not None:
                bound[name] = id
        self.state = state.changed(
            version=self._version,
            limits=self._limits,
            used=used,
            counting={**new, **counting},
            bound=bound,
            seen_all=state.seen_all and self.policy.mass_change.hold == "all",
        )
        self._plan_telling()

    def _plan_telling(self) -> None:
        """Note which groups' members are to be told anew what they get."""
        granted = {group: _digest(self._grants_of(group)) for group in self._list_granting()}
        before = self.state.granted
        changed = [group for group in {**before, **granted} if before.get(group) != granted.get(group)]
        self.state = self.state.changed(granted=granted, telling={**self.state.telling, **dict.fromkeys(changed, "")})

    def _list_granting(self) -> list[str]:
        found = [self._find_bound(grant.group) for grant in self.policy.grants if grant.group]
        return list(dict.fromkeys(id for id in found if id is not None))

    async def _look_up(self, name: GroupName) -> str | None:
        """Return the id of a group that is there already; None if there is none of that name."""
        groups = self._registry.by_endpoint("groups")
        if name.id is not None or groups is None:
            return name.id
        attribute, value = ("displayname", name.display_name) if name.display_name else ("externalid", name.external_id)
        index = groups.indexes.get(attribute)
        if index is None or value is None:
            return None
        if index.unique:
            row = await self.rows.partition.read(keys.unique_key(groups, index, value))
            return None if row is None else str(row.values["id"])
        async for page in self.rows.partition.pages(*keys.lookup_range(groups, index, value), size=1):
            for row in page:
                return str(row.values["id"])
        return None

    async def _tell_some(self, cause: Event) -> AsyncIterator[list[Draft]]:
        """Tell members of one group what they get now."""
        group, reached = next(iter(self.state.telling.items()))
        start, end = keys.members_range(group)
        kind = self._registry.by_id(group)
        event = {**cause, "type": "group.members", "resource": {"type": kind.name if kind else "Group", "id": group}}
        rest = {id: at for id, at in self.state.telling.items() if id != group}
        async for page in self.rows.partition.pages(keys.id_after(reached) if reached else start, end, size=100):
            for at in range(0, len(page), AT_ONCE):
                some = page[at : at + AT_ONCE]
                told = {**event, "added": [str(row.values["member"]) for row in some], "removed": []}
                drafts = await self._decide_members(Draft(told, (group,)), is_told=True)
                self.state = self.state.changed(telling={group: some[-1].key, **rest})
                yield drafts
            if page:
                return
        self.state = self.state.changed(telling=rest)
        yield []

    async def _count_some(self, cause: Event) -> list[Draft]:
        """Give a seat to the next users who have a licence that was not limited before."""
        users = self._registry.by_endpoint("users")
        assert users is not None
        licences = [*self.state.counting]
        reached = min(self.state.counting.values())
        start = keys.id_after(reached) if reached else None
        told: list[Draft] = []
        counted = 0
        async for page in self.rows.partition.pages(*keys.resource_range(users, start), size=AT_ONCE):
            for row in page:
                told += await self._count_user(keys.parse_id(row.key), row.values, licences, cause)
                reached = keys.parse_id(row.key)
            counted = len(page)
            if page:
                break
        left = {licence: reached for licence in licences} if counted else {}
        self.state = self.state.changed(counting=left)
        return told

    async def _count_user(
        self, user: str, values: Mapping[str, Any], licences: Sequence[str], cause: Event
    ) -> list[Draft]:
        document = properties.join_document(dict(values))
        known = await self._seats.read(user) or Holder()
        holder = Holder(known.seats, known.groups, self._list_own(document), document.get("active") is not False)
        told, seats = [], {licence: seat for licence, seat in known.seats.items() if licence not in licences}
        for licence, seat in known.seats.items():  # from when it was limited before
            if licence in licences and seat != ASSIGNED:
                self._seats.leave(licence, int(seat))
        for licence in holder.list_wanted(self._limits):
            if licence in licences and licence not in seats:
                seats[licence] = ASSIGNED
                self._count(licence, 1)
                told.append(self._tell("assigned", user, licence, cause))
        if seats != known.seats:
            self._seats.keep(user, Holder(seats, holder.groups, holder.own, holder.active))
        return told


def open_decider(partition: Partition, kept: Kept, state: str, registry: Registry) -> Decider:
    """Return who decides by a policy that is kept, from the state that the last decision left. If there is no policy
    any more, or none that this version of the app can read, it is one that says nothing."""
    policy = make_policy(kept, registry, partition.name)
    is_known = policy is not None or not kept.version
    return Decider(partition, policy or Policy(), kept.version, State.load(state), registry, is_known=is_known)


def bound_group(name: GroupName, state: State) -> str | None:
    """Return the id of the group that a policy names; None if none was found yet."""
    return name.id or state.bound.get(_name_group(name))


def _name_group(name: GroupName) -> str:
    if name.display_name is not None:
        return f"displayName={name.display_name.casefold()}"
    return f"externalId={name.external_id}" if name.external_id is not None else f"id={name.id}"


def _digest(grants: Iterable[Grant]) -> str:
    """Return what tells whether a group gives the same as before; "" if it gives nothing."""
    given = json.dumps([grant.given() for grant in grants], sort_keys=True)
    return hashlib.sha256(given.encode()).hexdigest()[:16] if given != "[]" else ""


def join_grants(grants: Iterable[Mapping[str, Any]]) -> Event:
    """Return what several grants give together."""
    joined: Event = {}
    for grant in grants:
        for name, part in grant.items():
            if isinstance(part, dict):
                joined[name] = {**joined.get(name, {}), **part}
            else:
                joined[name] = list(dict.fromkeys([*joined.get(name, []), *part]))
    return joined
