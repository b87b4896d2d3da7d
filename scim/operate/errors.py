"""Why a command is not done. The text is one line, in plain words, and says what to do instead."""

from __future__ import annotations


class CommandError(Exception):
    """The command is refused, or something is wrong with what it found: exit code 1."""


class PlaceError(Exception):
    """Where the table or the connections are is not known, or is said wrongly: exit code 2."""
