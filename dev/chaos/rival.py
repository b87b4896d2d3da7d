"""One of several clients that write to the same users and groups, and do not wait for each other.

It reads nothing before it writes, sends some requests a second time, gives some up, and lies in wait for groups that
others are making: it changes one the moment it appears.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from random import Random
from urllib.parse import quote

from dev.chaos import changes
from dev.chaos.changes import Change
from dev.chaos.client import BARE
from dev.chaos.contest import NAMES, Contest, Request, Slot, Subject
from dev.chaos.requests import Outcome, Sender

_GIVES_UP = 0.1
_GIVES_UP_AFTER = (0.01, 0.8)
"""The chance that it closes a request's connection before the answer, and after how many seconds."""
_REPEATS = 0.35
"""The chance that a request whose outcome is unknown is sent once more."""
_WAITS = 0.7
"""The chance that it lies in wait for a resource if somebody is making one."""
_LOOKS = 40
_LOOK = 0.03
_STRANGERS = 230
"""Members to choose from that are no users of the tenant."""
_LONG = 45


class Rival:
    """One client's part in a contest. `bystanders` are users that stay, and are members of what is contested."""

    def __init__(self, name: str, sender: Sender, dice: Random, contest: Contest, bystanders: list[str]) -> None:
        self.name = name
        self.sender = sender
        self.dice = dice
        self.contest = contest
        self._pool = [*(f"stranger-{number}" for number in range(_STRANGERS)), *bystanders]
        self._made = 0

    async def step(self) -> None:
        """One thing done, whatever comes of it."""
        awaited = [slot for slot in self.contest.slots if slot.posts]
        if awaited and self.dice.random() < _WAITS:
            await self._lie_in_wait(self.dice.choice(awaited))
            return
        slot = self.dice.choice(self.contest.slots)
        known = slot.known()
        if not known or self.dice.random() < 0.08:
            await self._post(slot)
            return
        subject = self.dice.choice(known)
        if self.dice.random() < 0.15:
            await self._read(slot, subject)
            return
        change = self._change(slot, subject)
        for _ in range(3):
            outcome = await self._sent(subject, change)
            if not outcome.unknown or self.dice.random() >= _REPEATS:
                break
        if outcome.unknown and self.dice.random() < 0.5:
            await self._sent(subject, self._change(slot, subject))
        elif change.method == "DELETE" and self.dice.random() < 0.7:
            await self._post(slot)

    def _change(self, slot: Slot, subject: Subject) -> Change:
        makers: list[tuple[float, Callable[[Slot, Subject], Change]]] = (
            [
                (3, self._put_group),
                (4, self._add),
                (3, self._remove),
                (1, self._exchange),
                (2, self._replace),
                (1, self._clear),
                (1.5, self._rename),
                (2.5, self._delete),
            ]
            if slot.path == "/Groups"
            else [(3, self._put_user), (5, self._assign), (3, self._mark), (1, self._rename), (1.0, self._delete)]
        )
        make = self.dice.choices([make for _, make in makers], [weight for weight, _ in makers])[0]
        return make(slot, subject)

    def _put_group(self, slot: Slot, subject: Subject) -> Change:
        return changes.whole_group("PUT", subject, self._named(slot), self._some())

    def _put_user(self, slot: Slot, subject: Subject) -> Change:
        return self._whole_user("PUT", slot, subject, self._named(slot))

    def _whole_user(self, method: str, slot: Slot, subject: Subject, name: str) -> Change:
        values = {"userName": name, "displayName": self._fresh(), "title": self._fresh(), "nickName": None}
        return changes.whole_user(method, subject, values, [self._fresh() for _ in range(self.dice.randint(0, 2))])

    def _add(self, slot: Slot, subject: Subject) -> Change:
        values = {"displayName": self._named(slot)} if self.dice.random() < 0.15 else None
        return changes.add_members(self._some() or [self._fresh()], values)

    def _remove(self, slot: Slot, subject: Subject) -> Change:
        return changes.remove_members(self._held(subject))

    def _exchange(self, slot: Slot, subject: Subject) -> Change:
        gone = self._held(subject)
        return changes.exchange_members({*self._some(), self._fresh()} - {*gone}, gone)

    def _replace(self, slot: Slot, subject: Subject) -> Change:
        return changes.replace_members(self._some() or [self._fresh()])

    def _clear(self, slot: Slot, subject: Subject) -> Change:
        return changes.clear_members()

    def _rename(self, slot: Slot, subject: Subject) -> Change:
        more = {"nickName": self._fresh()} if slot.path == "/Users" else {}
        return changes.assign({NAMES[slot.path]: self._named(slot), **more})

    def _assign(self, slot: Slot, subject: Subject) -> Change:
        names = self.dice.sample(["displayName", "title", "nickName"], self.dice.randint(1, 2))
        return changes.assign({name: self._fresh() for name in names})

    def _mark(self, slot: Slot, subject: Subject) -> Change:
        return changes.add_mark(self._fresh())

    def _delete(self, slot: Slot, subject: Subject) -> Change:
        return changes.delete()

    async def _post(self, slot: Slot) -> None:
        subject = self.contest.conceive(slot.path, slot)
        if slot.path == "/Groups":
            members = (
                self._some() if self.dice.random() < 0.4 else self.dice.sample(self._pool, self.dice.randint(60, 200))
            )
            change = changes.whole_group("POST", subject, slot.name, members)
        else:
            change = self._whole_user("POST", slot, subject, slot.name)
        slot.posts += 1
        try:
            await self._sent(subject, change)
        finally:
            slot.posts -= 1

    async def _lie_in_wait(self, slot: Slot) -> None:
        """Look for what somebody is making, and change it the moment it appears."""
        query = "filter=" + quote(f'{NAMES[slot.path]} eq "{slot.name}"') + f"&{BARE[slot.path]}"
        known = {subject.id for subject in slot.subjects}
        for _ in range(_LOOKS):
            outcome = await self.sender.send("GET", f"{slot.path}?{query}")
            for resource in outcome.body.get("Resources", []):
                new = resource["id"] not in known
                subject = self.contest.meet(resource)
                if subject is not None and new:
                    fresh = [self._fresh()]
                    change = changes.add_mark(*fresh) if slot.path == "/Users" else changes.add_members(fresh)
                    await self._sent(subject, change)
                    return
            if not slot.posts:
                return
            await asyncio.sleep(_LOOK)

    async def _read(self, slot: Slot, subject: Subject) -> None:
        """Look at it, and perhaps change it under the condition that nobody else did meanwhile."""
        request = self.contest.begin("GET", "GET", subject)
        outcome = await self.sender.send("GET", f"{subject.path}/{subject.id}?{BARE[subject.path]}")
        self.contest.end(request, outcome)
        if outcome.done and outcome.version and self.dice.random() < 0.4:
            await self._sent(subject, self._change(slot, subject), request, outcome.version)

    async def _sent(
        self, subject: Subject, change: Change, after: Request | None = None, version: str | None = None
    ) -> Outcome:
        """Send it; under the condition of a `version` that the read `after` has shown, if there is one."""
        name = f"{self.name} {change.name}{' If-Match' if version else ''}"
        request = self.contest.begin(name, change.method, subject, change.writes, after)
        path = subject.path if change.method == "POST" else f"{subject.path}/{subject.id}"
        headers = {"If-Match": version} if version else {}
        patience = self.dice.uniform(*_GIVES_UP_AFTER) if self.dice.random() < _GIVES_UP else None
        with self._noted(change):
            outcome = await self.sender.send(change.method, path, change.body, headers, patience=patience)
        self.contest.end(request, outcome)
        return outcome

    @contextlib.contextmanager
    def _noted(self, change: Change) -> Iterator[None]:
        """Whether a request of several transactions is under way: kills wait for one."""
        if change.writes is None or change.writes.size <= _LONG:
            yield
            return
        self.sender.log.long.set()
        try:
            yield
        finally:
            self.sender.log.long.clear()

    def _named(self, slot: Slot) -> str:
        """Return the name that others ask for too, or one of its own."""
        return slot.name if self.dice.random() < 0.6 else f"{slot.name} {self._fresh()}"

    def _fresh(self) -> str:
        self._made += 1
        return f"{self.name}-{self._made}"

    def _number(self) -> int:
        """Return how many members a request names: none, a few, as many as fit into a transaction, or more."""
        least, most = self.dice.choices([(0, 1), (2, 10), (40, 50), (51, 200)], [1, 3, 1, 4])[0]
        return self.dice.randint(least, most)

    def _held(self, subject: Subject) -> list[str]:
        """Return members that a request takes out: most are there, unless somebody was faster."""
        held = sorted(subject.guess)
        gone = self.dice.sample(held, min(len(held), self._number()))
        return gone if gone and self.dice.random() < 0.8 else [*gone, self.dice.choice(self._pool)]

    def _some(self) -> list[str]:
        """Return members that a request names. Most requests name one that no other does."""
        some = self.dice.sample(self._pool, self._number())
        return [*some, self._fresh()] if some and self.dice.random() < 0.7 else some
