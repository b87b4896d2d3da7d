"""Answers of a source that is far away and must not be asked for every request.

An answer, also that there is none, is good for a minute, so what is withdrawn ends within one. What is new works at
once: a kept answer that refuses the caller is asked for anew. Both are bounded, so that guesses cost no read each.
While the source is down, kept answers go on.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scim.limits import Bucket
from scim.security.connections import Unavailable

T = TypeVar("T")

SECONDS = 60.0
"""How long an answer is good for."""
_PAUSE = 10.0
"""Seconds between tries of a source that is down, for one name."""
_KEPT = 10_000
"""Names whose answers are kept."""


@dataclass(slots=True)
class _Answer(Generic[T]):
    value: T | None
    until: float
    failed: bool = False
    """Whether the last try to ask anew failed."""
    again: Bucket = field(default_factory=lambda: Bucket(5, 0.2))
    """How often it is asked for anew before its time, because it refuses somebody."""


class Cached(Generic[T]):
    """The answers of `read`, which raises Unavailable where it cannot tell."""

    def __init__(
        self, read: Callable[[str], Awaitable[T | None]], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._read = read
        self._clock = clock
        self._answers: OrderedDict[str, _Answer[T]] = OrderedDict()
        self._reads: dict[str, asyncio.Task[_Answer[T]]] = {}
        self._unknown = Bucket(100, 10.0)
        """Reads for names that turn out to be none: an attacker may make up many."""

    async def get(self, name: str, accept: Callable[[T], bool]) -> T | None:
        """The value of that name, asked for anew where the kept one is old or not accepted. Raises Unavailable."""
        answer = self._answers.get(name)
        if answer is not None:
            self._answers.move_to_end(name)
            if self._clock() < answer.until and _suits(answer, accept):
                return answer.value
        if name in self._reads:  # begun before this caller came, so what it brings may be older than what is accepted
            answer = await self._asked(name)
            if _suits(answer, accept):
                return answer.value
        if name not in self._reads and not self._may_ask(answer):
            return answer.value if answer is not None else None
        unknown = answer is None or answer.value is None
        answer = await self._asked(name)
        if unknown and answer.value is not None:
            self._unknown.give_back()
        if answer.failed and not _suits(answer, accept):
            raise Unavailable("the source does not answer")
        return answer.value

    def _may_ask(self, answer: _Answer[T] | None) -> bool:
        """Whether the source may be asked now, in place of what is kept. Raises Unavailable where that says nothing."""
        now = self._clock()
        if answer is not None and now < answer.until:
            if answer.failed:
                raise Unavailable("the source did not answer a moment ago")
            if not answer.again.take(now):
                return False
        if (answer is None or answer.value is None) and not self._unknown.take(now):
            raise Unavailable("too many unknown names were asked for")
        return True

    async def _asked(self, name: str) -> _Answer[T]:
        """Ask the source; callers that come meanwhile share the question."""
        task = self._reads.get(name)
        if task is None:
            task = self._reads[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda done: self._done(name, done))
        return await asyncio.shield(task)

    def _done(self, name: str, task: asyncio.Task[_Answer[T]]) -> None:
        del self._reads[name]
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more

    async def _ask(self, name: str) -> _Answer[T]:
        kept = self._answers.get(name)
        try:
            value = await self._read(name)
        except Unavailable:
            if kept is None or kept.value is None:
                raise
            kept.until, kept.failed = self._clock() + _PAUSE, True
            return kept
        answer = kept or _Answer(value, 0.0)
        answer.value, answer.until, answer.failed = value, self._clock() + SECONDS, False
        self._answers[name] = answer
        while len(self._answers) > _KEPT:
            self._answers.popitem(last=False)
        return answer


def _suits(answer: _Answer[T], accept: Callable[[T], bool]) -> bool:
    return answer.value is not None and accept(answer.value)
