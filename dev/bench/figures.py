"""What a measurement comes to: a figure of ours beside its floor, the ratio of both, and the target for that ratio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Target:
    """What a ratio should be: `most` or `least` that much."""

    bound: Literal["most", "least"]
    value: float

    def met(self, ratio: float) -> bool:
        """Compared as it is shown, with two decimals."""
        return round(ratio, 2) <= self.value if self.bound == "most" else round(ratio, 2) >= self.value

    def __str__(self) -> str:
        return f"{'≤' if self.bound == 'most' else '≥'} {self.value:g}"


def most(value: float) -> Target:
    return Target("most", value)


def least(value: float) -> Target:
    return Target("least", value)


@dataclass(frozen=True, slots=True)
class Figure:
    """One row of the final table. `ratio` is ours over the floor, its median over the repetitions where there are
    several; `spread` its least and greatest value. Without a floor or target the figure is only told."""

    part: str
    name: str
    ours: float
    unit: str
    floor: float | None = None
    against: str = ""
    ratio: float | None = None
    target: Target | None = None
    spread: tuple[float, float] | None = None

    @property
    def met(self) -> bool | None:
        """None if there is no target."""
        if self.target is None or self.ratio is None:
            return None
        return self.target.met(self.ratio)

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "target": str(self.target) if self.target else None, "met": self.met}


@dataclass(frozen=True, slots=True)
class Table:
    """A table of details: what lies behind the figures of a part."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]

    def __str__(self) -> str:
        return markdown(self.head, self.rows)


@dataclass(frozen=True, slots=True)
class Result:
    """What a part gives: its figures, how they were got in one sentence, tables of details, and profiles by title."""

    figures: list[Figure]
    method: str
    tables: tuple[Table, ...] = ()
    profiles: tuple[tuple[str, str], ...] = ()


def compare(
    part: str,
    name: str,
    ours: Sequence[float],
    floor: Sequence[float],
    *,
    unit: str,
    against: str,
    target: Target | None,
) -> Figure:
    """Return the figure of two sides that were measured in turn: medians, and the median of the ratios of each turn."""
    ratios = [mine / other for mine, other in zip(ours, floor, strict=True)]
    return Figure(
        part=part,
        name=name,
        ours=median(ours),
        unit=unit,
        floor=median(floor),
        against=against,
        ratio=median(ratios),
        target=target,
        spread=(min(ratios), max(ratios)),
    )


def median(values: Iterable[float]) -> float:
    return percentile(values, 0.5)


def percentile(values: Iterable[float], part: float) -> float:
    """Return the value below which that part of the values lies, between neighbours in proportion. ValueError for
    none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values to take a percentile of")
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def final_table(figures: Iterable[Figure]) -> str:
    """Return all figures as one Markdown table."""
    head = ("part", "figure", "ours", "floor", "ratio", "target", "met")
    return markdown(head, [_row(figure) for figure in figures])


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a Markdown table whose columns line up."""
    widths = [max(len(row[column]) for row in [head, *rows]) for column in range(len(head))]
    lines = [head, ["-" * width for width in widths], *rows]
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def number(value: float) -> str:
    """Three significant digits, thousands apart."""
    if value == 0:
        return "0"
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _row(figure: Figure) -> list[str]:
    ratio = "" if figure.ratio is None else f"{figure.ratio:.2f}"
    if figure.spread is not None and len(set(figure.spread)) == 2:
        ratio += f" ({figure.spread[0]:.2f} to {figure.spread[1]:.2f})"
    floor = "" if figure.floor is None else f"{number(figure.floor)} {figure.unit}"
    met = {None: "", True: "yes", False: "**no**"}[figure.met]
    return [
        figure.part,
        figure.name,
        f"{number(figure.ours)} {figure.unit}",
        f"{floor} {figure.against}".strip(),
        ratio,
        str(figure.target) if figure.target else "",
        met,
    ]
