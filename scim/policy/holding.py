"""Mass changes: many disables and deletes within an hour are told, and held back if the policy says so.

What is held leaves the outbox for rows of its own (`eh <number>`), so that no run reads it again and again; `z <id>`
says what is held of a resource, whose later changes wait behind it. A disable that is held and the enable that follows
it cancel each other. When the hold ends, by hand or by its time, what is held goes into the log in its order.

A name that somebody gives up by what is held may be taken by somebody else, who is not held: a user that was deleted
and comes back. Then what is held of the one goes into the log before the other, or readers would see the name twice.
`d <name>` says whose it is (relinking.py).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from scim.clock import format_time
from scim.policy.document import MassChange
from scim.policy.draft import Draft
from scim.policy.relinking import list_gone_keys
from scim.policy.rows import Rows
from scim.policy.state import Hold, State
from scim.schema.registry import Registry
from scim.store import keys, properties

Change = Mapping[str, Any]
MASS_CHANGE = "mass.change"
"""The type of the event that tells of one."""
_LOST = ("deactivated", "deleted")
_HOUR = timedelta(hours=1)


class Taken(NamedTuple):
    """What becomes of a row of the outbox: the changes that go into the log now (None: it is held back), events that
    tell of it first, and the keys of rows that are held and go into the log before it."""

    changes: list[dict[str, Any]] | None
    told: list[Draft]
    before: Sequence[str] = ()


class Holding:
    """Holds back for one run. `state` is as of the last row."""

    def __init__(self, rows: Rows, rule: MassChange, registry: Registry) -> None:
        self._rows = rows
        self._rule = rule
        self._registry = registry
        self._users = registry.by_endpoint("users")

    async def take(
        self, state: State, ids: Sequence[str], changes: list[dict[str, Any]], values: Mapping[str, Any], time: str
    ) -> tuple[State, Taken]:
        """Decide what becomes of a row of the outbox with these changes."""
        told: list[Draft] = []
        state, lost = await self._count(state, changes, time)
        if lost and self._is_mass(state):
            state, told = self._tell(state, time, json.loads(str(values.get("by", "{}"))))
        if state.hold is None and self._rule.hold == "all" and not state.seen_all:
            state, begun = self._begin(state.changed(seen_all=True), "all", time)
            told += begun
        if state.hold is None:
            return state, Taken(changes, told)
        marker = await self._rows.read(keys.withheld_key(ids[0])) if len(ids) == 1 else None
        if marker is not None and changes[0]["op"] == "activated":
            cancelled = await self._cancel(marker, changes)
            if cancelled is not None:
                self._rows.remove(keys.withheld_key(ids[0]))
                hold = state.hold
                return state.changed(hold=_with_number(hold, hold.number - 1)), Taken(cancelled, told)
        is_held = state.hold.kind == "all" or marker is not None or (lost and self._is_past(state))
        if not is_held:
            return state, Taken(changes, told, await self._find_before(ids, changes))
        for change in changes:
            self._note_names(change, state.hold)
        return self._keep(state, ids, marker, values, time), Taken(None, told)

    def _note_names(self, change: Change, hold: Hold) -> None:
        """Note whose names these are, which a change that is held gives up."""
        given_up = change.get("resource", {}) if change["op"] == "deleted" else change.get("previous", {})
        if self._is_user(str(change["id"])):
            for key in list_gone_keys(given_up, self._registry):
                self._rows.put(key, {"id": change["id"], "until": hold.until, "held": True})

    async def _find_before(self, ids: Sequence[str], changes: Sequence[Change]) -> list[str]:
        """Return the keys of what is held of somebody whose name is taken by these changes."""
        found: list[str] = []
        for change in changes:
            if change["op"] == "created" or {"userName", "externalId"} & {*change.get("changed", ())}:
                for key in list_gone_keys(change["resource"], self._registry) if self._is_user(change["id"]) else ():
                    gone = await self._rows.read(key)
                    if gone is not None and gone.get("held") and gone["id"] not in ids:
                        found += await self.find_held(str(gone["id"]))
        return list(dict.fromkeys(found))

    async def find_held(self, id: str) -> list[str]:
        """Return the keys of what is held of a resource, in its order."""
        marker = await self._rows.read(keys.withheld_key(id))
        return keys.parse_held(str(marker["keys"])) if marker is not None else []

    def _keep(
        self, state: State, ids: Sequence[str], marker: Mapping[str, Any] | None, values: Mapping[str, Any], time: str
    ) -> State:
        number = state.held + 1
        key = keys.held_key(number)
        self._rows.put(key, {**values, "time": time}, is_new=True)
        for id in ids:
            before = str(marker["keys"]) if marker is not None else ""
            self._rows.put(keys.withheld_key(id), {"keys": f"{before} {key}".strip(), "last": key})
        assert state.hold is not None
        return state.changed(held=number, hold=_with_number(state.hold, state.hold.number + 1))

    async def _cancel(self, marker: Mapping[str, Any], changes: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
        """Return what is left of an enable and the disable that is held; None if more than that is held."""
        key, *more = keys.parse_held(str(marker["keys"]))
        held = await self._rows.read(key) if not more else None
        if held is None or len(changes) != 1:
            return None
        before = properties.join_document(dict(held))["changes"]
        if [one["op"] for one in before] != ["deactivated"]:
            return None
        self._rows.remove(key)
        names = [*dict.fromkeys([*before[0]["changed"], *changes[0]["changed"]])]
        changed = [name for name in names if name != "active"]
        if not changed:
            return []
        previous = {**changes[0]["previous"], **before[0]["previous"]}
        previous.pop("active", None)
        return [{**changes[0], "op": "updated", "changed": changed, "previous": previous}]

    async def release(self, state: State, ids: Sequence[str], key: str) -> State:
        """A row that was held goes into the log."""
        self._rows.remove(key)
        for id in ids:
            marker = await self._rows.read(keys.withheld_key(id))
            if marker is not None and marker["last"] == key:
                self._rows.remove(keys.withheld_key(id))
        hold = state.hold
        return state if hold is None else state.changed(hold=_with_number(hold, hold.number - 1))

    def is_over(self, hold: Hold, now: str) -> bool:
        """Whether a hold ends now: by hand, by its time, or since the policy says no more that this is held."""
        rule = self._rule.hold
        return hold.releasing or now >= hold.until or rule == "off" or (hold.kind == "all" and rule == "on")

    def end(self, state: State, time: str) -> tuple[State, list[Draft]]:
        """Return the state without its hold, and the event that tells."""
        event = {"time": time, "type": "hold.ended", "resource": _TENANT}
        return state.changed(hold=None, recent={}, deleted={}), [Draft(event, ())]

    # Counting ------------------------------------------------------------------------------------------------------

    async def _count(self, state: State, changes: Sequence[Change], time: str) -> tuple[State, bool]:
        """Count users who come and go; whether a user is lost by these changes."""
        ops = [str(one["op"]) for one in changes if self._is_user(str(one["id"]))]
        lost, deleted = sum(op in _LOST for op in ops), ops.count("deleted")
        if lost and state.users is None:
            state = state.changed(users=await self._count_users())
        if state.users is not None:
            state = state.changed(users=max(0, state.users + ops.count("created") - ops.count("deleted")))
        if lost:
            since = _minute(time, _HOUR)
            now = _minute(time)
            recent, before = (_forget(numbers, since) for numbers in (state.recent, state.deleted))
            recent[now] = recent.get(now, 0) + lost
            if deleted:
                before[now] = before.get(now, 0) + deleted
            state = state.changed(recent=recent, deleted=before)
        return state, bool(lost)

    async def _count_users(self) -> int:
        number = 0
        if self._users is not None:
            async for page in self._rows.partition.pages(*keys.resource_range(self._users), keys_only=True):
                number += len(page)
        return number

    def _is_user(self, id: str) -> bool:
        return self._users is not None and id.partition("-")[0] == self._users.id_prefix

    def _find_threshold(self, state: State) -> int:
        return max(self._rule.at_least, (state.users or 0) * self._rule.percent // 100)

    def _is_past(self, state: State) -> bool:
        return sum(state.recent.values()) > self._find_threshold(state)

    def _is_mass(self, state: State) -> bool:
        return self._is_past(state) and (self._rule.alarm or self._rule.hold == "on")

    def _tell(self, state: State, time: str, by: Mapping[str, str]) -> tuple[State, list[Draft]]:
        """Say that many were disabled or deleted, and by whom the last one was."""
        told: list[Draft] = []
        if self._rule.alarm and state.alarmed < _minute(time, _HOUR):
            numbers = {"number": sum(state.recent.values()), "deleted": sum(state.deleted.values())}
            event = {"time": time, "type": MASS_CHANGE, "resource": _TENANT, **by, **numbers}
            told.append(Draft({**event, "threshold": self._find_threshold(state)}, ()))
            state = state.changed(alarmed=_minute(time))
        if self._rule.hold == "on" and state.hold is None:
            state, begun = self._begin(state, "on", time)
            told += begun
        return state, told

    def _begin(self, state: State, kind: str, time: str) -> tuple[State, list[Draft]]:
        until = format_time(datetime.now(UTC) + timedelta(hours=self._rule.hold_hours))
        event = {"time": time, "type": "hold.started", "resource": _TENANT, "hold": kind, "until": until}
        return state.changed(hold=Hold(kind, time, until)), [Draft(event, ())]


_TENANT = {"type": "Tenant", "id": "tenant"}
"""What an event is about that is about no resource."""


def _with_number(hold: Hold, number: int) -> Hold:
    return replace(hold, number=number)


def _forget(numbers: Mapping[str, int], since: str) -> dict[str, int]:
    return {minute: number for minute, number in numbers.items() if minute >= since}


def _minute(time: str, before: timedelta = timedelta(0)) -> str:
    return f"{datetime.fromisoformat(time) - before:%Y-%m-%dT%H:%M}"
