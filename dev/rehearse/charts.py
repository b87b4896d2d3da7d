"""Drawings for the HTML report: SVG without text, stretched to whatever width there is; words stand beside them."""

from __future__ import annotations

import math
from collections.abc import Iterable

from dev.rehearse.results import Operation, Scenario

WIDTH = 1000
_HEIGHT = 26
_BINS = 48


def timeline(scenario: Scenario, seconds: float) -> str:
    """When a scenario ran, its cycles as blocks on its bar; those in which something failed are marked."""
    scale = WIDTH / max(seconds, 0.001)
    bars = [_bar("span", scenario.started, scenario.ended, scale, 9, 8)]
    for number, cycle in enumerate(scenario.cycles):
        kind = "bad" if cycle.counts.get("failed") else "cycle even" if number % 2 else "cycle"
        bars.append(_bar(kind, cycle.started, cycle.ended, scale, 3, 20))
    if scenario.failures and not scenario.cycles:
        bars.append(_bar("bad", scenario.started, scenario.ended, scale, 9, 8))
    return _svg("when it was played", bars)


def durations(operation: Operation, least: float, most: float) -> str:
    """How long requests of a kind took, on a logarithmic axis from `least` to `most` milliseconds.

    Bars are how many there are, the line within is the median, the dashed one the 95th percentile.
    """
    counts = [0] * _BINS
    for value in operation.durations:
        counts[min(_BINS - 1, int(place(value, least, most) * _BINS))] += 1
    peak, step = max(counts) or 1, WIDTH / _BINS
    shapes = []
    for number, count in enumerate(counts):
        if count:
            height = max(2.0, count / peak * (_HEIGHT - 4))
            shapes.append(
                f'<rect class="density" x="{number * step:.1f}" y="{_HEIGHT - height:.1f}" '
                f'width="{step - 2:.1f}" height="{height:.1f}"/>'
            )
    for kind, share in (("median", 0.5), ("p95", 0.95)):
        x = place(operation.quantile(share), least, most) * WIDTH
        shapes.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="0" y2="{_HEIGHT}"/>')
    return _svg("how the durations are spread", shapes)


def axis(operations: Iterable[Operation]) -> tuple[float, float]:
    """Decades of milliseconds around all durations."""
    values = [value for operation in operations for value in operation.durations if value > 0]
    if not values:
        return 1.0, 10.0
    least, most = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    return float(least), float(max(most, least * 10))


def place(value: float, least: float, most: float) -> float:
    """Where a duration is on the axis, from 0 to 1."""
    span = math.log10(most / least)
    return min(1.0, max(0.0, math.log10(max(value, least) / least) / span))


def ticks(least: float, most: float) -> list[float]:
    """The decades of the axis, both ends included."""
    return [least * 10**power for power in range(round(math.log10(most / least)) + 1)]


def _bar(kind: str, start: float, end: float, scale: float, top: int, height: int) -> str:
    width = max(3.0, (end - start) * scale - 1)
    left = min(start * scale, WIDTH - width)
    return f'<rect class="{kind}" x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}" rx="2"/>'


def _svg(label: str, shapes: list[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{label}">'
        f"{''.join(shapes)}</svg>"
    )
