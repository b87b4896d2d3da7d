"""Answers of a source that is far away and must not be asked for every request.

An answer, also that there is none, is good for a minute, so what is withdrawn ends within one. What is new works at
once: a kept answer that refuses the caller is asked for anew, a few times. While the source is down, kept answers go on
for some hours and no longer: what was withdrawn meanwhile must end, too.

Whoever comes here has shown that the name is one that was issued, so nobody can make names up to push others out, or to
use up what others need: there is no budget for all names together. Names that turn out to be none are kept apart.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from scim.limits import Bucket, forget_oldest
from scim.security.secrets import SecretsUnavailable

T = TypeVar("T")

SECONDS = 60.0
"""How long an answer is good for."""
LASTING = 4 * 3600.0
"""Seconds after the source said so that an answer goes on while the source is down, unless told otherwise."""
_PAUSE = 10.0
"""Seconds between tries of a source that is down, for one name."""
KEPT = 10_000
"""Names whose answers are kept."""
_KEPT_NONE = 1_000
"""Names of which it is kept that there is no answer."""


@dataclass(slots=True)
class _Answer(Generic[T]):
    value: T | None
    until: float
    """When it is asked for anew."""
    given: float
    """When the source said so."""
    failed: bool = False
    """Whether the last try to ask anew failed."""
    again: Bucket = field(default_factory=lambda: Bucket(5, 0.2))
    """How often it is asked for anew before its time, because it refuses somebody."""


class Cached(Generic[T]):
    """The answers of `read`, which raises SecretsUnavailable if it cannot tell. `lasting`: seconds for which an answer
    goes on while it cannot."""

    def __init__(
        self,
        read: Callable[[str], Awaitable[T | None]],
        *,
        lasting: float = LASTING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._read = read
        self._lasting = lasting
        self._clock = clock
        self._some: OrderedDict[str, _Answer[T]] = OrderedDict()
        self._none: OrderedDict[str, _Answer[T]] = OrderedDict()
        self._reads: dict[str, asyncio.Task[_Answer[T]]] = {}

    async def get(self, name: str, accept: Callable[[T], bool] = bool) -> T | None:
        """Return the value of that name, asked for anew if the kept one is old or not accepted. Raises
        SecretsUnavailable."""
        answer = self._find(name)
        if answer is not None and self._suits(answer, accept):
            if self._clock() < answer.until:
                return answer.value
            if answer.failed and self._clock() < answer.until + _PAUSE:  # nobody waits for a source that is down
                self._start(name)
                return answer.value
        if name in self._reads:  # begun before this caller came, so what it brings may be older than what is accepted
            answer = await self._await_answer(name)
            if self._suits(answer, accept):
                return answer.value
        if name not in self._reads and not self._may_ask(answer):
            return answer.value if answer is not None else None
        answer = await self._await_answer(name)
        if answer.failed and not self._suits(answer, accept):
            raise SecretsUnavailable("the source does not answer")
        return answer.value

    def failed(self, name: str) -> bool:
        """Return whether the last try to ask anew for a name that is kept failed."""
        answer = self._some.get(name)
        return answer is not None and answer.failed

    def _find(self, name: str) -> _Answer[T] | None:
        for answers in (self._some, self._none):
            if (answer := answers.get(name)) is not None:
                answers.move_to_end(name)
                return answer
        return None

    def _keep(self, name: str, answer: _Answer[T]) -> None:
        kept, other, most = (
            (self._some, self._none, KEPT) if answer.value is not None else (self._none, self._some, _KEPT_NONE)
        )
        other.pop(name, None)
        kept[name] = answer
        forget_oldest(kept, most)

    def _suits(self, answer: _Answer[T], accept: Callable[[T], bool]) -> bool:
        lasts = self._clock() < answer.given + max(self._lasting, SECONDS)
        return answer.value is not None and lasts and accept(answer.value)

    def _may_ask(self, answer: _Answer[T] | None) -> bool:
        """Return whether the source may be asked now, in place of what is kept. Raises SecretsUnavailable if that says
        nothing."""
        now = self._clock()
        if answer is None or now >= answer.until:
            return True
        if answer.failed:
            raise SecretsUnavailable("the source did not answer a moment ago")
        return answer.again.take(now)

    async def _await_answer(self, name: str) -> _Answer[T]:
        """Ask the source; callers that come meanwhile share the question."""
        return await asyncio.shield(self._start(name))

    def _start(self, name: str) -> asyncio.Task[_Answer[T]]:
        task = self._reads.get(name)
        if task is None:
            task = self._reads[name] = asyncio.create_task(self._ask(name))
            task.add_done_callback(lambda done: self._finish(name, done))
        return task

    def _finish(self, name: str, task: asyncio.Task[_Answer[T]]) -> None:
        del self._reads[name]
        if not task.cancelled():
            task.exception()  # nobody may be waiting any more

    async def _ask(self, name: str) -> _Answer[T]:
        kept = self._find(name)
        try:
            value = await self._read(name)
        except SecretsUnavailable:
            if kept is None or kept.value is None:
                raise
            kept.until, kept.failed = self._clock() + _PAUSE, True
            return kept
        now = self._clock()
        answer = kept or _Answer(value, now, now)
        answer.value, answer.until, answer.given, answer.failed = value, now + SECONDS, now, False
        self._keep(name, answer)
        return answer
