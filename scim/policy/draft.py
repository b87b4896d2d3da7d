"""An event that has no place in the log yet."""

from __future__ import annotations

from typing import Any, NamedTuple

Event = dict[str, Any]


class Draft(NamedTuple):
    """An event without its place in the log. `subjects` are what it is found by: the resource's id, and its names
    if it got or lost them, each behind a `=`."""

    event: Event
    subjects: tuple[str, ...]
