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
from scim.policy.binding import find_bound, find_group, name_group
from scim.policy.document import Grant, Policy
from scim.policy.draft import Draft, Event
from scim.policy.effects import Effects, join_grants
from scim.policy.holding import Holding, Taken
from scim.policy.kept import Kept, make_policy
from scim.policy.owners import Owners, is_held
from scim.policy.relinking import Relinking
from scim.policy.rows import Rows
from scim.policy.seats import ASSIGNED, Holder, Seats
from scim.policy.state import TOTAL, State
from scim.schema.registry import Registry
from scim.store import keys, properties
from scim.store.table import Partition

AT_ONCE = 10
"""Users whose seats are decided in one step."""
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
        self._effects = Effects(policy, registry)
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
                holder = Holder(
                    holder.seats, holder.groups, self._effects.list_licences(data), data.get("active") is not False
                )
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
        return Holder(own=self._effects.list_licences(document), active=document.get("active") is not False)

    def describe(self, data: Mapping[str, Any], *, is_new: bool, id: str = "") -> Event:
        """Return what the policy says of a user's document."""
        return self._effects.describe(data, is_new=is_new, is_held=is_held(self.state.ownerless.get(id, "")))

    # Grants --------------------------------------------------------------------------------------------------------

    def _grants_of(self, group: str) -> list[Grant]:
        return [grant for grant in self.policy.grants if grant.group and find_bound(grant.group, self.state) == group]

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
            names = {name_group(grant.group) for grant in self.policy.grants if grant.group}
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
        names = {name_group(grant.group): grant.group for grant in self.policy.grants if grant.group}
        bound = {name: id for name, id in state.bound.items() if name in names}
        for name, group in names.items():
            if name not in bound and (id := await find_group(self.rows.partition, self._registry, group)) is not None:
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
        found = [find_bound(grant.group, self.state) for grant in self.policy.grants if grant.group]
        return list(dict.fromkeys(id for id in found if id is not None))

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
        holder = Holder(
            known.seats, known.groups, self._effects.list_licences(document), document.get("active") is not False
        )
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


def _digest(grants: Iterable[Grant]) -> str:
    """Return what tells whether a group gives the same as before; "" if it gives nothing."""
    given = json.dumps([grant.given() for grant in grants], sort_keys=True)
    return hashlib.sha256(given.encode()).hexdigest()[:16] if given != "[]" else ""
