"""Charts of what a tenant's connections did: stacked bars as shapes of an SVG, and the numbers as a table behind it.

Only geometry is computed here, in units of the viewBox; parts/chart.html draws it. Colours are the style sheet's, so
that a chart follows light and dark, and failures are hatched too: colour is not all that tells them apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scim.counters import Counts
from scim.insight.counts import Minutes, time_of_minute

WIDTH, HEIGHT = 640, 180
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 8, 12, 30
_TICKS = 4


class Bin(NamedTuple):
    """One bar: from when on, how many changes went well, and how many failed."""

    start: datetime
    done: int
    failed: int


class Bar(NamedTuple):
    """A bar's two rectangles: x and width of both, y and height of each."""

    x: float
    width: float
    done_y: float
    done_height: float
    failed_y: float
    failed_height: float
    bin: Bin


class Tick(NamedTuple):
    """A label at an axis."""

    at: float
    text: str


class TimeTick(NamedTuple):
    """A label of the time axis; the reader's zone is known to their browser alone."""

    at: float
    time: datetime
    text: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: where everything is. `hours` says whether its bars are hours or days."""

    bars: list[Bar]
    values: list[Tick]
    times: list[TimeTick]
    hours: bool
    left: int = _LEFT
    right: int = WIDTH - _RIGHT
    top: int = _TOP
    floor: int = HEIGHT - _BOTTOM
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def done(self) -> int:
        return sum(bar.bin.done for bar in self.bars)

    @property
    def failed(self) -> int:
        return sum(bar.bin.failed for bar in self.bars)

    @property
    def is_empty(self) -> bool:
        return not (self.done or self.failed)


def chart_hours(connections: Iterable[Minutes], now: datetime, hours: int = 24) -> Chart:
    """Return the chart of the last hours, the one that goes on being the last."""
    first = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    bins = _fill(connections, first, timedelta(hours=1), hours)
    return _draw(bins, [number for number in range(0, hours, 4)], "%H:%M", hours=True)


def chart_days(connections: Iterable[Minutes], now: datetime, days: int = 30) -> Chart:
    """Return the chart of the last days (of UTC), today being the last."""
    first = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0) - timedelta(days=days - 1)
    bins = _fill(connections, first, timedelta(days=1), days)
    return _draw(bins, [number for number in range(0, days, 5)], "%d %b", hours=False)


def _fill(connections: Iterable[Minutes], first: datetime, step: timedelta, number: int) -> list[Bin]:
    done, failed = [0] * number, [0] * number
    for minutes in connections:
        for minute, counts in minutes.items():
            at = (time_of_minute(minute) - first) // step
            if 0 <= at < number:
                wrong = _count_failed(counts)
                failed[at] += wrong
                done[at] += max(0, counts.get("writes", 0) - counts.get("failedWrites", 0))
    return [Bin(first + at * step, done[at], failed[at]) for at in range(number)]


def _count_failed(counts: Counts) -> int:
    """Changes that failed, and requests whose credential was refused."""
    return counts.get("failedWrites", 0) + counts.get("refused", 0)


def _draw(bins: Sequence[Bin], labelled: Sequence[int], form: str, *, hours: bool) -> Chart:
    top = round_up(max(each.done + each.failed for each in bins))
    slot = (WIDTH - _LEFT - _RIGHT) / len(bins)
    floor, room = HEIGHT - _BOTTOM, HEIGHT - _BOTTOM - _TOP
    bars = []
    for at, each in enumerate(bins):
        done, failed = room * each.done / top, room * each.failed / top
        if each.failed:
            failed = max(failed, 2.0)  # one among thousands is still to be seen
        x = _LEFT + at * slot + slot * 0.15
        y = floor - done
        tops = (round(y, 1), round(done, 1), round(y - failed, 1), round(failed, 1))
        bars.append(Bar(round(x, 1), round(slot * 0.7, 1), *tops, each))
    steps = min(_TICKS, top)
    values = [Tick(round(floor - room * at / steps, 1), f"{top * at // steps:,}") for at in range(steps + 1)]
    times = [
        TimeTick(round(_LEFT + (at + 0.5) * slot, 1), bins[at].start, bins[at].start.strftime(form)) for at in labelled
    ]
    return Chart(bars, values, times, hours)


def round_up(number: int) -> int:
    """Return the end of an axis for values up to that: 4, 8 or 20 with zeros, so that its four steps are whole numbers;
    up to 4, the number itself."""
    if number <= _TICKS:
        return max(1, number)
    zeros = 1
    while True:
        for size in (4, 8, 20):
            if number <= size * zeros:
                return size * zeros
        zeros *= 10
