"""How time is taken: bursts of requests, so many at a time, of several sides in turn.

Machines are noisy and other processes share them, so nothing is compared across runs: each turn measures every side,
another one first each time, and the ratio is that of a turn.
"""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from dev.bench.figures import percentile

Ask = Callable[[int], Awaitable[object]]
"""One operation; its number is never used twice, so that each may concern something of its own."""


@dataclass(frozen=True, slots=True)
class Burst:
    """What a burst took: wall seconds for all, CPU seconds of this process, and the seconds of each operation."""

    wall: float
    cpu: float
    latencies: tuple[float, ...]

    @property
    def per_second(self) -> float:
        return len(self.latencies) / self.wall

    @property
    def wall_each(self) -> float:
        return self.wall / len(self.latencies)

    @property
    def cpu_each(self) -> float:
        return self.cpu / len(self.latencies)


async def burst(ask: Ask, first: int, number: int, at_once: int) -> Burst:
    """Run the operations `first` to `first + number - 1`, so many at a time."""
    waiting = iter(range(first, first + number))
    latencies: list[float] = []

    async def work() -> None:
        for one in waiting:
            began = time.perf_counter()
            await ask(one)
            latencies.append(time.perf_counter() - began)

    gc.collect()
    wall, cpu = time.perf_counter(), time.process_time()
    await asyncio.gather(*(work() for _ in range(at_once)))
    return Burst(time.perf_counter() - wall, time.process_time() - cpu, tuple(latencies))


async def in_turns(
    sides: Mapping[str, Ask], *, turns: int, number: int, at_once: int, first: int = 0
) -> dict[str, list[Burst]]:
    """Return each side's bursts, one for each turn, after one that warms up and does not count. `first` is the number
    of the first operation; turns + 1 times `number` of them are used."""
    bursts: dict[str, list[Burst]] = {name: [] for name in sides}
    names = list(sides)
    for turn in range(turns + 1):
        shift = turn % len(names)
        for name in names[shift:] + names[:shift]:
            took = await burst(sides[name], first + turn * number, number, at_once)
            if turn:
                bursts[name].append(took)
    return bursts


def latency(bursts: list[Burst], part: float) -> float:
    """Return a percentile over all operations of the bursts, in seconds."""
    return percentile([one for took in bursts for one in took.latencies], part)


def timed(work: Callable[[], object], least_seconds: float = 0.02) -> float:
    """CPU seconds of one call, over as many calls as take that long: what others do on the machine is not in them."""
    number = 1
    while True:
        began = time.process_time()
        for _ in range(number):
            work()
        took = time.process_time() - began
        if took >= least_seconds:
            return took / number
        number *= 2 if took < least_seconds / 4 else 1 + int(least_seconds / took)
