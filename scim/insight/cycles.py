"""A connection's cycles, and how close it is to what makes Entra stop: told from what was counted by the minute.

A cycle is a row of requests that are at most 10 minutes apart. Entra begins one some 40 minutes after the one before,
and sends at least a probe. Its rules of quarantine: at once if its credential is refused; from 5,000 failures on if
more than 40 % of what it sends fails, or more than 40,000 fail; from 60,000 on in any case.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from scim.clock import show_time
from scim.counters import Counts
from scim.insight.counts import Minutes, time_of_minute, total

GAP = 10
"""Minutes without a request that end a cycle."""
INTERVAL = timedelta(minutes=40)
MINUTES_PER_OBJECT = (0.01, 0.08)
"""What Entra says that a first cycle takes for each assigned user, group and member."""
STATISTICAL, RATE, MANY, MOST = 5_000, 40, 40_000, 60_000


class Cycle(NamedTuple):
    """One cycle: its first and last minute, and what was done in it."""

    first: datetime
    last: datetime
    counts: Counts

    def is_running(self, now: datetime) -> bool:
        return now - self.last <= timedelta(minutes=GAP)

    @property
    def failed_percent(self) -> float:
        """How much of what was to be written failed."""
        writes = self.counts.get("writes", 0)
        return round(100 * self.counts.get("failedWrites", 0) / writes, 1) if writes else 0.0

    @property
    def is_refused(self) -> bool:
        """Whether nothing but refusals was answered."""
        return self.counts.get("refused", 0) == self.counts.get("requests", 0)


def split_cycles(minutes: Minutes) -> Iterator[Cycle]:
    """The cycles of a connection, in the order of time."""
    numbers = list(minutes)
    start = 0
    for at in range(1, len(numbers) + 1):
        if at == len(numbers) or numbers[at] - numbers[at - 1] > GAP:
            part = numbers[start:at]
            counted = total(minutes[number] for number in part)
            yield Cycle(time_of_minute(part[0]), time_of_minute(part[-1]), counted)
            start = at


def expect_next(cycle: Cycle) -> datetime:
    """When the cycle after this one should begin: an interval after its beginning, or after its end if it took longer
    than that."""
    long = cycle.last - cycle.first > INTERVAL
    return (cycle.last if long else cycle.first) + INTERVAL


def is_overdue(cycle: Cycle, now: datetime) -> bool:
    """Whether the next cycle has not come though it was expected an interval ago."""
    return not cycle.is_running(now) and now > expect_next(cycle) + INTERVAL


def advise(cycle: Cycle, subjects: int, now: datetime) -> Iterator[str]:
    """What to do about a cycle, each in whole sentences; nothing if all is well. `subjects` failed in it, by name."""
    failed, percent = cycle.counts.get("failedWrites", 0), cycle.failed_percent
    if cycle.is_refused:
        yield (
            "Every request of the last cycle was refused: Entra puts the job into quarantine at once. Mend the "
            "credential, then start provisioning again in Entra."
        )
    elif failed >= MOST or (failed >= STATISTICAL and (percent > RATE or failed > MANY)):
        yield (
            f"{failed:,} of what Entra sent failed ({percent:g} %): it puts the job into quarantine, tries once a day, "
            "and switches it off after four weeks. Mend the commonest cause first, then restart provisioning."
        )
    elif percent > RATE / 2 and failed >= 10:
        yield (
            f"{failed:,} of what Entra sent failed ({percent:g} %). From {STATISTICAL:,} failures on, more than "
            f"{RATE} % is quarantine: mend the commonest cause ({subjects:,} users and groups fail)."
        )
    if is_overdue(cycle, now):
        yield (
            f"The cycle that was expected at {show_time(expect_next(cycle))} has not come. In Entra, look whether "
            "provisioning is stopped, or in quarantine (then it tries once a day)."
        )


class Progress(NamedTuple):
    """How a first cycle goes: creations in all and in each minute, and with an expected number the rest of it."""

    created: int
    a_minute: float
    expected: int | None
    minutes_left: float | None
    entra_minutes: tuple[float, float] | None
    """The whole, by Entra's own rule."""


def measure_progress(cycle: Cycle, expected: int | None) -> Progress:
    """Measure how far a cycle has come in creating so many users and groups."""
    created = cycle.counts.get("creates", 0)
    minutes = (cycle.last - cycle.first) / timedelta(minutes=1) + 1
    rate = created / minutes
    left = (max(0, expected - created) / rate) if expected is not None and rate else None
    entra = (expected * MINUTES_PER_OBJECT[0], expected * MINUTES_PER_OBJECT[1]) if expected is not None else None
    return Progress(created, round(rate, 1), expected, round(left, 1) if left is not None else None, entra)
