"""What the clients know: the states that each resource may be in, and what contradicts them.

Every resource, or every client's part of a shared one, has one writer, whose requests follow one another. So what is
known of it is a list of candidates: one after an acknowledged write; one more for each write whose outcome is unknown,
since that was done wholly or not at all. A read that shows none of them is a finding.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass, field
from typing import Any

State = dict[str, Any] | None
"""What a client cares about of a resource; None where there is none. A list is sorted and keeps repeated values."""
Effect = Callable[[State], State]
"""What a request makes of a state. Raises Inapplicable where it cannot succeed on it."""
View = Callable[[dict[str, Any]], dict[str, Any]]
"""From a resource in a response to the state of it."""

MEMBERS = "members"


class Inapplicable(Exception):
    """The request cannot have succeeded on such a state."""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that must not be. `kind` is what the report counts by."""

    kind: str
    where: str
    text: str

    def __str__(self) -> str:
        return f"{self.kind}: {self.where}: {self.text}"


@dataclass(slots=True)
class Thing:
    """A resource as its one writer knows it.

    `name` is its externalId, which never changes; `view` is the part of it that the writer owns. `version` is the ETag
    of the last acknowledged write, where nothing else can change it. `leaving`: its DELETE was sent. `left`: the client
    gave it up with an unknown outcome, and sends nothing more about it."""

    tenant: str
    path: str
    name: str
    view: View
    candidates: list[State] = field(default_factory=lambda: [None])
    id: str | None = None
    version: str | None = None
    shared: bool = False
    leaving: bool = False
    left: bool = False
    history: list[str] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"{self.tenant}{self.path}/{self.name} ({self.id})"

    @property
    def certain(self) -> bool:
        return len(self.candidates) == 1

    @property
    def present(self) -> State:
        """The only state that it can be in, where that is known and not absence."""
        return self.candidates[0] if self.certain else None

    @property
    def may_be_absent(self) -> bool:
        return None in self.candidates

    def acknowledge(self, effect: Effect) -> Finding | None:
        """Note that a request was answered with success."""
        after = _applied(self.candidates, effect)
        if not after:
            return self._finding("impossible success", f"succeeded, but it can only be {_shown(self.candidates)}")
        self.candidates = after
        return None

    def doubt(self, effect: Effect) -> None:
        """The outcome of a request is unknown."""
        self.candidates = _distinct([*self.candidates, *_applied(self.candidates, effect)])
        self.version = None

    def observe(
        self, state: State, *, ignoring: Container[str] = (), members: bool = True, absent_ids: Container[str] = ()
    ) -> Finding | None:
        """Note what a read has shown. `members` False: they were not asked for. Members in `ignoring` may be there or
        not, those in `absent_ids` must not be."""

        def fits(candidate: State) -> bool:
            if candidate is None or state is None:
                return candidate is state
            return _comparable(candidate, ignoring, members, absent_ids) == _comparable(state, ignoring, members)

        fitting = [candidate for candidate in self.candidates if fits(candidate)]
        if fitting:
            self.candidates = fitting
            return None
        expected, self.candidates = self.candidates, [state]
        return self._finding(
            _kind(expected, state), f"is {_difference(state, expected)}; it can only be {_shown(expected)}"
        )

    def finding(self, kind: str, text: str) -> Finding:
        return self._finding(kind, text)

    def _finding(self, kind: str, text: str) -> Finding:
        return Finding(kind, self.where, f"{text}; its last requests: {'; '.join(self.history[-6:])}")


def _applied(candidates: Iterable[State], effect: Effect) -> list[State]:
    after = []
    for candidate in candidates:
        try:
            after.append(effect(candidate))
        except Inapplicable:
            continue
    return _distinct(after)


def _distinct(states: Iterable[State]) -> list[State]:
    return list({json.dumps(state, sort_keys=True): state for state in states}.values())


def _comparable(
    state: dict[str, Any], ignoring: Container[str], members: bool, absent: Container[str] = ()
) -> dict[str, Any]:
    if MEMBERS not in state:
        return state
    rest = {name: value for name, value in state.items() if name != MEMBERS}
    if not members:
        return rest
    return {**rest, MEMBERS: [one for one in state[MEMBERS] if one not in ignoring and one not in absent]}


def _kind(expected: list[State], state: State) -> str:
    """Return what sort of contradiction it is."""
    lists = [value for value in (state or {}).values() if isinstance(value, list)]
    if any(number > 1 for values in lists for number in Counter(values).values()):
        return "applied twice"
    return "half a write" if state is not None and len(expected) > 1 else "acknowledged write lost"


def _difference(state: State, expected: list[State]) -> str:
    """Return what is shown, without the members where there are many."""
    last = expected[-1]
    if state is None or last is None:
        return _shown([state])
    different = [name for name in state if state[name] != last.get(name)]
    parts = []
    for name in different:
        now, then = state[name], last.get(name)
        if isinstance(now, list) and isinstance(then, list):
            parts.append(f"{name} with {_few(set(now) - set(then))} and without {_few(set(then) - set(now))}")
        else:
            parts.append(f"{name} {now!r} instead of {then!r}")
    return ", ".join(parts) or "different in repeated values"


def _few(values: set[str]) -> str:
    first = sorted(values)[:4]
    return f"{first} and {len(values) - 4} more" if len(values) > 4 else f"{first}"


def _shown(states: list[State]) -> str:
    return " or ".join(_short(state) for state in states)


def _short(state: State) -> str:
    if state is None:
        return "absent"
    shown = {
        name: f"{len(value)} values" if isinstance(value, list) and len(value) > 8 else value
        for name, value in state.items()
    }
    return json.dumps(shown, ensure_ascii=False)


def user_view(resource: dict[str, Any]) -> dict[str, Any]:
    """Return all that a client writes of a user of its own."""
    plain = {name: resource.get(name) for name in ("userName", "externalId", "displayName", "title", "active")}
    return {**plain, "marks": sorted(one["value"] for one in resource.get("phoneNumbers", []))}


def group_view(resource: dict[str, Any]) -> dict[str, Any]:
    """Return all that a client writes of a group of its own."""
    plain = {name: resource.get(name) for name in ("displayName", "externalId")}
    return {**plain, MEMBERS: sorted(one["value"] for one in resource.get(MEMBERS, []))}


def marks_of(prefix: str) -> View:
    """Return one client's part of a user that several write to: its own values of a list."""

    def view(resource: dict[str, Any]) -> dict[str, Any]:
        values = [one["value"] for one in resource.get("phoneNumbers", [])]
        return {"marks": sorted(value for value in values if value.startswith(prefix))}

    return view


def members_of(prefix: str) -> View:
    """Return one client's part of a group that several write to: its own members."""

    def view(resource: dict[str, Any]) -> dict[str, Any]:
        values = [one["value"] for one in resource.get(MEMBERS, [])]
        return {MEMBERS: sorted(value for value in values if value.startswith(prefix))}

    return view
