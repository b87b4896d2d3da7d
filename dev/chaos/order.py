"""Whether what is there at the end can be the work of some serial order of the requests.

A resource that several clients write to is a set of registers: one for each attribute, and one for each possible member
(or mark), which is in or out. A request sets some of them: a PUT sets all, a replacement or removal of all members
sets every member's, an addition or removal of named ones sets those. What a request sets never depends on what was
there. So an order explains what is there if, for each register, the last request in the order that sets it sets the
value that is there.

An order is allowed if it has every acknowledged request, wholly and once, and any of those whose outcome is unknown,
wholly and once; and if a request that had ended before another began stands before it. A request with an unknown
outcome has no end: the table may receive it late, or housekeeping finish it.

`decide` builds the order from its end. Call a register open while nothing that stands in the order sets it. A request
fits as the next one from the end if nothing that must stand after it is missing, and if it sets every open register
to the value that is there. Three facts make this exact, without a search:

1. A request that fits now may always be taken now. In any order that explains what is there, move it to this place:
   the registers that it sets have the right value by it, all others as before.
2. Taking an acknowledged request rules out the unknown ones that began after its end and are not taken yet: they would
   stand before it. So what rules out nobody is taken first.
3. If each that fits rules somebody out, take the one that ended last: whoever it rules out, each of the others rules
   out too.

What is left when nothing fits any more: acknowledged requests, which is a contradiction; or none, and then each open
register must have the value from which all began. tests/chaos/test_order.py holds this against a trial of all orders.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NOTHING: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class State:
    """A resource: its attributes, and its members or marks."""

    values: Mapping[str, Any]
    items: frozenset[str] = NOTHING


@dataclass(frozen=True, slots=True)
class Writes:
    """What a request sets: attributes; the items that are in afterwards, if it names them all; or those that come and
    go."""

    values: Mapping[str, Any] = field(default_factory=dict)
    whole: frozenset[str] | None = None
    add: frozenset[str] = NOTHING
    remove: frozenset[str] = NOTHING

    @property
    def size(self) -> int:
        """How many items it names."""
        return len(self.whole or ()) + len(self.add) + len(self.remove)


@dataclass(frozen=True, slots=True)
class Step:
    """A request in the order. `end` is infinite if its outcome is unknown."""

    name: str
    writes: Writes
    start: float
    end: float = math.inf

    @property
    def acknowledged(self) -> bool:
        return self.end < math.inf


@dataclass(frozen=True, slots=True)
class Contradiction:
    """No order explains what is there. `kind` is for counting; `text` names what stands in the way."""

    kind: str
    text: str


class _Open:
    """The registers that nothing in the order sets so far, and what is there."""

    def __init__(self, seen: State, universe: Iterable[str]) -> None:
        self.seen = seen
        self.values = set(seen.values)
        self.items = set(universe)

    def wrong(self, writes: Writes) -> Wrong:
        """Return what the writes would set to something else than what is there."""
        there = self.seen.items
        values = {
            name for name, value in writes.values.items() if name in self.values and self.seen.values[name] != value
        }
        if writes.whole is not None:
            missing, extra = (writes.whole - there) & self.items, (there - writes.whole) & self.items
            right = writes.whole & there & self.items
        else:
            missing, extra = (writes.add - there) & self.items, writes.remove & there & self.items
            right = (writes.add & there & self.items) | ((writes.remove - there) & self.items)
        number = len(right) + len(self.values & writes.values.keys()) - len(values)
        return Wrong(frozenset(values), frozenset(missing), frozenset(extra), number)

    def close(self, writes: Writes) -> None:
        """The writes stand in the order now."""
        self.values -= writes.values.keys()
        if writes.whole is not None:
            self.items.clear()
        self.items -= writes.add
        self.items -= writes.remove


@dataclass(frozen=True, slots=True)
class Wrong:
    """Attributes with another value, items that should be in and are not, items that should not be in and are; and how
    many attributes and items are as they should be."""

    values: frozenset[str]
    missing: frozenset[str]
    extra: frozenset[str]
    right: int

    def __bool__(self) -> bool:
        return bool(self.values or self.missing or self.extra)


def decide(first: State, steps: Sequence[Step], seen: State) -> Contradiction | None:
    """None if some allowed order of the steps leads from `first` to what is `seen`."""
    universe = set(first.items | seen.items)
    for step in steps:
        universe |= (step.writes.whole or NOTHING) | step.writes.add | step.writes.remove
    left = _Open(seen, universe)
    waiting = list(steps)
    while (taken := _next(left, waiting)) is not None:
        left.close(taken.writes)
        end = taken.end
        waiting = [step for step in waiting if step is not taken and (step.acknowledged or step.start <= end)]
    known = [step for step in waiting if step.acknowledged]
    begin = Writes(first.values, whole=first.items)
    if not known and not left.wrong(begin):
        return None
    return _contradiction(left, [step for step in known if step.end >= _last_start(known)], waiting, begin)


def _next(left: _Open, waiting: Sequence[Step]) -> Step | None:
    """Return the step to take next from the end of the order; None if nothing fits."""
    last = _last_start([step for step in waiting if step.acknowledged])
    fitting = [step for step in waiting if step.end >= last and not left.wrong(step.writes)]
    unknown = _last_start([step for step in waiting if not step.acknowledged])
    harmless = next((step for step in fitting if step.end >= unknown), None)
    return harmless or max(fitting, key=lambda step: step.end, default=None)


def _last_start(steps: Sequence[Step]) -> float:
    return max((step.start for step in steps), default=-math.inf)


def _contradiction(left: _Open, blocked: Sequence[Step], waiting: Sequence[Step], begin: Writes) -> Contradiction:
    """Return what the report says: of the acknowledged requests that would have to come last, what of each is not
    there."""
    lines = [f"{step.name}: {_told(left.wrong(step.writes), left)}" for step in blocked]
    if not blocked:
        lines.append(f"the state before: {_told(left.wrong(begin), left)}")
    halves = [step for step in waiting if not step.acknowledged and _half(left.wrong(step.writes))]
    lines += [f"{step.name}, never acknowledged: {_told(left.wrong(step.writes), left)}" for step in halves]
    return Contradiction(_kind(left, blocked, begin, halves), "; ".join(lines))


def _kind(left: _Open, blocked: Sequence[Step], begin: Writes, halves: Sequence[Step]) -> str:
    faults = [left.wrong(step.writes) for step in blocked] or [left.wrong(begin)]
    if any(step.writes.whole is not None and left.wrong(step.writes).extra for step in blocked):
        return "mixture"
    if any(_half(fault) for fault in faults) and blocked:
        return "half an acknowledged change"
    if halves:
        return "half an unacknowledged change"
    nobody = not blocked and all(fault.values and not fault.missing for fault in faults)
    return "value that nobody wrote" if nobody else "acknowledged change lost"


def _half(wrong: Wrong) -> bool:
    return bool(wrong and wrong.right)


def _told(wrong: Wrong, left: _Open) -> str:
    parts = [f"{name} is {left.seen.values[name]!r}" for name in sorted(wrong.values)]
    parts += [f"{len(wrong.missing)} missing {few(wrong.missing)}"] * bool(wrong.missing)
    parts += [f"{len(wrong.extra)} too many {few(wrong.extra)}"] * bool(wrong.extra)
    return ", ".join([*parts, f"{wrong.right} right"])


def few(values: Iterable[str], most: int = 3) -> str:
    """Return the first of many values."""
    first = sorted(values)
    return f"({', '.join(first[:most])}{', ...' if len(first) > most else ''})"
