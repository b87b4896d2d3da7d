"""Seats: who has one, and who waits in line.

A row for each user who has a seat or waits for one (`n <user>`) says of each licence how it stands, and which licences
come from which group; a row for each place in a line (`q <licence> <number>`) names who waits there. Both are written
in the transaction that moves the log on, so the number of seats taken, in the head of the log, is exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from scim.policy.rows import Rows
from scim.policy.state import TOTAL
from scim.store import keys
from scim.store.table import Partition

ASSIGNED = "assigned"
_PLACES = 100


@dataclass(slots=True)
class Holder:
    """What is kept of a user: by licence `assigned`, or the number of the place in line; by group, the licences that
    the user has from it; and whether the user is active, with the licences that the document says."""

    seats: dict[str, str] = field(default_factory=dict)
    groups: dict[str, list[str]] = field(default_factory=dict)
    own: list[str] = field(default_factory=list)
    active: bool = True

    @property
    def is_empty(self) -> bool:
        """Whether nothing need be kept of the user."""
        return not (self.seats or self.groups)

    def list_wanted(self, limits: Mapping[str, int]) -> list[str]:
        """Return the limited licences that the user needs a seat of, and TOTAL if all are limited."""
        if not self.active:
            return []
        licences = dict.fromkeys([TOTAL, *self.own, *(one for each in self.groups.values() for one in each)])
        return [one for one in licences if one in limits]

    def dump(self) -> dict[str, Any]:
        """Return what the row says."""
        told = {"seats": self.seats, "groups": self.groups, "own": self.own, "active": self.active}
        return {"seat": json.dumps(told)}


def parse_holder(values: Mapping[str, Any]) -> Holder:
    """Return what a row says of a user."""
    told: dict[str, Any] = json.loads(values["seat"])
    return Holder(told.get("seats", {}), told.get("groups", {}), told.get("own", []), told.get("active", True))


class Seats:
    """The rows about seats."""

    def __init__(self, rows: Rows) -> None:
        self._rows = rows

    async def read(self, user: str) -> Holder | None:
        """Return what is kept of a user; None if nothing is."""
        values = await self._rows.read(keys.seat_key(user))
        return None if values is None else parse_holder(values)

    def keep(self, user: str, holder: Holder) -> None:
        """Keep that of a user; a row that says nothing goes."""
        key = keys.seat_key(user)
        if holder.is_empty:
            self._rows.remove(key)
        else:
            self._rows.put(key, holder.dump())

    def enter(self, licence: str, number: int, user: str) -> None:
        """Put a user at the end of a line."""
        self._rows.put(keys.line_key(licence, number), {"user": user}, is_new=True)

    def leave(self, licence: str, number: int) -> None:
        """Take a place out of a line."""
        self._rows.remove(keys.line_key(licence, number))

    async def find_first(self, licence: str) -> tuple[int, str] | None:
        """Return the first place in a line: its number, and who waits there; None if nobody does."""
        changed = self._rows.changed()
        start, end = keys.line_range(licence)
        own = {key: values for key, values in changed.items() if start <= key < end}
        found = [(keys.parse_number(key), str(values["user"])) for key, values in own.items() if values is not None]
        async for page in self._rows.partition.pages(start, end, size=_PLACES):
            there = [(keys.parse_number(row.key), str(row.values["user"])) for row in page if row.key not in own]
            if there:
                found.append(there[0])
                break
        return min(found, default=None)


async def find_place(partition: Partition, licence: str, number: int) -> int:
    """Return which one in line a place is, the first being 1."""
    start, _ = keys.line_range(licence)
    before = 0
    async for page in partition.pages(start, keys.line_key(licence, number), keys_only=True):
        before += len(page)
    return before + 1
