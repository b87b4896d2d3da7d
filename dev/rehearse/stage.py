"""What a scenario is played on: the connection, what the admin chose, and where results go."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from dev.rehearse.client import Client
from dev.rehearse.dialect import Dialect
from dev.rehearse.expect import Refused
from dev.rehearse.results import Check, Cycle, Scenario
from dev.rehearse.verdict import Tally

T = TypeVar("T")


@dataclass(frozen=True)
class Options:
    """How much is played.

    `deletion_threshold`: how many deletions and disablings of a cycle Entra lets pass. `members_per_patch`: how many
    members it sends at once, of which Microsoft documents no number.
    """

    users: int = 40
    groups: int = 8
    cycles: int = 3
    seed: int = 1
    dialects: tuple[Dialect, ...] = ("legacy", "flag")
    parallel: int = 8
    deletion_threshold: int = 5
    members_per_patch: int = 100


class Progress(Protocol):
    """Where long work shows how far it is."""

    def begin(self, title: str, total: int) -> None: ...

    def advance(self) -> None: ...


class NoProgress:
    """Shows nothing."""

    def begin(self, title: str, total: int) -> None:
        """Nothing to show."""

    def advance(self) -> None:
        """Nothing to show."""


@dataclass
class Stage:
    """One scenario's view of the rehearsal."""

    client: Client
    options: Options
    tally: Tally
    scenario: Scenario
    progress: Progress = field(default_factory=NoProgress)
    epoch: float = field(default_factory=time.monotonic)

    def now(self) -> float:
        """Seconds since the rehearsal began."""
        return time.monotonic() - self.epoch

    def label(self, name: str) -> str:
        """The part of all names that tells what made them: the seed and what for."""
        return f"{name}-r{self.options.seed}"

    def check(self, name: str) -> Check:
        return self.scenario.check(name)

    @contextmanager
    def strictly(self, check: str, subject: str) -> Iterator[None]:
        """Count what happens inside as passed, or as the problem that `Refused` brings, which goes on."""
        try:
            yield
        except Refused as refused:
            self.check(check).report(refused.problem, subject)
            raise
        self.check(check).passed()

    @contextmanager
    def trying(self, check: Check | str, subject: str, *, optional: bool = False) -> Iterator[None]:
        """Count what happens inside as passed, or as the problem that `Refused` brings; it ends here.

        An optional check's problems are warnings.
        """
        check = self.check(check) if isinstance(check, str) else check
        try:
            yield
        except Refused as refused:
            refused.problem.warning = refused.problem.warning or optional
            check.report(refused.problem, subject)
        else:
            check.passed()

    @contextmanager
    def cycle(self, title: str, changes: Iterable[str] = ()) -> Iterator[Cycle]:
        """A cycle on the timeline, from now to the end of the block."""
        cycle = Cycle(title, self.now(), changes=list(changes))
        self.scenario.cycles.append(cycle)
        before = self.client.statistics.requests
        try:
            yield cycle
        finally:
            cycle.ended = self.now()
            cycle.requests = self.client.statistics.requests - before

    async def all(self, title: str, work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
        """Do all of it, so many at a time as there may be requests, and show how far it is."""
        self.progress.begin(title, len(work))
        places = asyncio.Semaphore(self.options.parallel)

        async def one(each: Coroutine[Any, Any, T]) -> T:
            try:
                async with places:
                    result = await each
            finally:
                each.close()  # it never began where all of it was cancelled
            self.progress.advance()
            return result

        return await asyncio.gather(*(one(each) for each in work))
