"""Index rows in their order, in either direction, from anywhere on.

Table Storage reads forward only. So the rows before a key are found by looking for a start from which on they fit a
page: what a page that is too full ends with, and where one that is not begins, narrow it down. Usually that takes a few
trips for 1,000 rows, however many there are.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from scim.store import keys
from scim.store.table import PAGE_ROWS, Partition, Row

_TILDE = "~"
"""Most of what keys are written in sorts up to here."""


class Window(NamedTuple):
    """All rows from `start` up to where the window above it starts, in the order of keys."""

    start: str
    rows: list[Row]


class OrderedIndex:
    """The rows of a key range. `spend` is told how many rows are given out, and raises if they are too many. Every
    method raises TableUnavailable if the table does not answer."""

    def __init__(self, partition: Partition, keys: tuple[str, str], spend: Callable[[int], None]) -> None:
        self._partition = partition
        self._start, self._end = keys
        self._spend = spend

    async def read_first(self) -> tuple[list[Row], bool]:
        """Return the first 1,000 rows, and whether these are all."""
        return await self._read(self._start, self._end)

    async def walk_up(self, after: str | None, size: int) -> AsyncIterator[list[Row]]:
        """Return pages of rows behind the key `after`, upwards."""
        start = self._start if after is None else keys.id_after(after)
        async for page in self._partition.pages(start, self._end, size=min(size, PAGE_ROWS)):
            self._spend(len(page))
            yield page

    async def walk_down(self, before: str | None, start: str | None, known: list[Row]) -> AsyncIterator[Window]:
        """Yield windows of the rows before the key `before`, downwards; the first reaches from `start` on, if that is
        given. `known` are the first rows of all, if they have been read."""
        floor, ceiling = self._start, before or self._end
        full: Window | None = None
        if known:
            full, floor = Window(self._start, known), keys.id_after(known[-1].key)
        turn = 0
        while ceiling > self._start:
            at = start if start is not None and turn == 0 else _choose_between(floor, ceiling, turn)
            turn += 1
            found, ends = await self._read(at, ceiling)
            if not ends:  # too many: what is wanted lies behind them
                full, floor = Window(at, found), keys.id_after(found[-1].key)
                continue
            self._spend(len(found))
            yield Window(at, found)
            ceiling = at
            if at == floor and full is not None:  # nothing is left between the full page and what was given
                self._spend(len(full.rows))
                yield full
                floor, ceiling, full = self._start, full.start, None

    async def _read(self, start: str, end: str) -> tuple[list[Row], bool]:
        found: list[Row] = []
        async for page in self._partition.pages(start, end):
            found += page
            if len(found) >= PAGE_ROWS:
                return found, False
        return found, True


def _choose_between(floor: str, ceiling: str, turn: int) -> str:
    """Return a key from `floor` on and before `ceiling`, to look from: by turns one that shares half of what either
    goes on with, and one whose first character that is not common lies in the middle."""
    common = next(
        (n for n, (a, b) in enumerate(zip(floor, ceiling, strict=False)) if a != b), min(map(len, (floor, ceiling)))
    )
    at = floor
    if turn % 2 == 0:
        if len(ceiling) > common + 1:
            at = ceiling[: (common + 1 + len(ceiling)) // 2]
        elif len(floor) > common + 1:
            at = keys.key_range(floor[: (common + 2 + len(floor)) // 2])[1]
    elif middle := _find_middle(floor[common : common + 1] or " ", ceiling[common]):
        at = ceiling[:common] + middle
    elif len(ceiling) > common + 1:
        at = ceiling[: common + 1]
    elif len(floor) > common + 1 and (middle := _find_middle(floor[common + 1], "\x7f")):
        at = floor[: common + 1] + middle
    return at if floor < at < ceiling else floor


def _find_middle(low: str, high: str) -> str | None:
    """Return a character between two; None if there is none that a key may be asked for."""
    first, last = ord(low), ord(high)
    if last > 0xFFFF:  # it sorts as a surrogate does
        last = 0xD800 if first < 0xD800 else last
    elif first > 0xFFFF:
        first = 0xDFFF
    middle = (first + last) // 2
    if low < _TILDE:
        middle = min(middle, ord(_TILDE))
    if not first < middle < last or 0x7F <= middle < 0xA0 or 0xD800 <= middle <= 0xDFFF:
        return None
    return chr(middle)
