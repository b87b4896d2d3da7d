"""How verbs show what they do: lines on standard output, a bar on standard error if somebody looks.

Nothing else of the tool prints, so that nothing reaches a terminal that it would obey.
"""

from __future__ import annotations

import itertools
import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import click

from scim.operate.escaping import escape, escape_lines
from scim.operate.place import Place
from scim.operate.tenants.dump import Counts
from scim.operate.tenants.steps import Step, watch_nothing


@contextmanager
def bar(label: str, length: int | None = None) -> Iterator[Step]:
    """A progress bar, of a known length or as a count, for as long as the block runs; none if nobody looks."""
    if not is_watched():
        yield watch_nothing
        return
    shown = (
        click.progressbar(itertools.repeat(None), label=label, file=sys.stderr, show_pos=True)
        if length is None
        else click.progressbar(length=length, label=label, file=sys.stderr)
    )
    with shown as made:
        yield made.update


def is_watched() -> bool:
    """Whether somebody looks: standard error is a terminal."""
    return sys.stderr.isatty()


def is_terminal() -> bool:
    """Whether what is printed goes to a terminal, and not to a file, a pipe or the log of a pipeline."""
    return sys.stdout.isatty()


def show(text: object) -> None:
    """What a verb found, in lines."""
    print(escape_lines(str(text)), flush=True)


def warn(text: object) -> None:
    """What went wrong, or is to be known beside: on standard error."""
    print(escape_lines(str(text)), file=sys.stderr, flush=True)


def show_data(data: Any) -> None:
    """The same as JSON."""
    show(json.dumps(data, indent=2))


def say(place: Place, text: str) -> None:
    """What is about to happen, or has. With --json it goes to standard error."""
    (warn if place.json else show)(escape(text))


def done(place: Place, data: Any, *lines: str) -> None:
    """The end of a verb: as JSON, or in words, each of one line."""
    if place.json:
        show_data(data)
    else:
        show("\n".join(map(escape, lines)))


def align_columns(rows: Sequence[Sequence[str]], right: Sequence[int] = ()) -> str:
    """A table whose first row is its head; the columns in `right` hold numbers."""
    rows = [[escape(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]

    def cell(column: int, text: str) -> str:
        return text.rjust(widths[column]) if column in right else text.ljust(widths[column])

    return "\n".join("  ".join(cell(column, text) for column, text in enumerate(row)).rstrip() for row in rows)


def show_amount(size: int) -> str:
    """Bytes in a unit that can be read."""
    value, unit = float(size), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if value < 1024:
            break
        value, unit = value / 1024, larger
    return f"{size} B" if unit == "B" else f"{value:.1f} {unit}"


def show_counts(counts: Counts) -> str:
    """Such as: 1,200 User, 30 Group, 4,000 memberships."""
    parts = [f"{number:,} {name}" for name, number in sorted(counts.resources.items())]
    return ", ".join([*parts, f"{counts.memberships:,} memberships"])
