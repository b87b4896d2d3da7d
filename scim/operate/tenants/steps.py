"""How long work tells how far it is."""

from __future__ import annotations

from collections.abc import Callable

Step = Callable[[int], None]
"""Called with how much more is done: rows, or resources."""


def watch_nothing(done: int) -> None:
    """Nobody looks."""
