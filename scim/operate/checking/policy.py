"""What the rows of policies must be: seats, waiting lines, what is held back, and who was deleted."""

from __future__ import annotations

import json
from collections import Counter

from scim.operate.checking import rules
from scim.operate.checking.findings import Finding
from scim.policy.seats import ASSIGNED, Holder, parse_holder
from scim.policy.state import State, join_state
from scim.store import keys
from scim.store.table import Row, Table

KINDS = ("d", "eh", "n", "q", "z")


class PolicySurvey:
    """Takes the rows of policies one by one. The head of the log says how many seats are taken; the sequencer may have
    moved on meanwhile, so what does not agree is looked at again."""

    def __init__(self) -> None:
        self.findings: list[Finding] = []
        self._head: Row | None = None
        self._assigned: Counter[str] = Counter()
        self._waiting: dict[str, str] = {}
        """By the key of a place in line, the user whose row names it."""
        self._places: dict[str, str] = {}

    def take(self, row: Row) -> None:
        """Look at a row of a policy."""
        match row.key.partition(" ")[0]:
            case "n":
                self._take_holder(row)
            case "q":
                self._take_place(row)
            case "eh":
                if rules.read_document(row)[1] or not isinstance(row.values.get("marks"), str):
                    self._say(row.key, "is a change that is held back and cannot be read")
            case "z":
                if not isinstance(row.values.get("keys"), str):
                    self._say(row.key, "says not what is held back of a resource")
            case _:
                if not isinstance(row.values.get("id"), str) or not _is_until(row.values.get("until")):
                    self._say(row.key, "says not who was deleted, or until when they may come back")

    def take_head(self, row: Row) -> None:
        """Look at the head of the log, which says how many seats are taken."""
        self._head = row

    def _take_holder(self, row: Row) -> None:
        holder = _read_holder(row)
        if holder is None:
            self._say(row.key, "says not which seats a user has")
            return
        user = row.key.partition(" ")[2]
        for licence, seat in holder.seats.items():
            if seat == ASSIGNED:
                self._assigned[licence] += 1
            else:
                self._waiting[keys.line_key(licence, int(seat))] = user

    def _take_place(self, row: Row) -> None:
        user = row.values.get("user")
        if isinstance(user, str):
            self._places[row.key] = user
        else:
            self._say(row.key, "is a place in line of nobody")

    async def look(self, table: Table, tenant: str) -> None:
        """Look again at what did not agree. Raises TableUnavailable."""
        for key, user in self._waiting.items() - self._places.items():
            if await self._is_named(table, tenant, user, key) and await table.read(tenant, key) is None:
                self._say(keys.seat_key(user), f"names a place in line that is not there: {key}")
        for key, user in self._places.items() - self._waiting.items():
            if await table.read(tenant, key) is not None and not await self._is_named(table, tenant, user, key):
                self._say(key, f"is a place in line of {user}, who does not wait there")
        await self._look_at_numbers(table, tenant)

    async def _is_named(self, table: Table, tenant: str, user: str, key: str) -> bool:
        row = await table.read(tenant, keys.seat_key(user))
        holder = _read_holder(row) if row is not None else None
        seats = holder.seats if holder else {}
        return key in [keys.line_key(one, int(seat)) for one, seat in seats.items() if seat != ASSIGNED]

    async def _look_at_numbers(self, table: Table, tenant: str) -> None:
        """Compare how many seats are taken, unless the log moved on while they were counted again."""
        if self._head is None or _read_used(self._head) == _select_limited(self._head, self._assigned):
            return
        head = await table.read(tenant, keys.FEED)
        if head is None:
            return
        counted: Counter[str] = Counter()
        async for page in table.pages(tenant, *keys.seats_range()):
            for holder in filter(None, map(_read_holder, page)):
                counted.update(licence for licence, seat in holder.seats.items() if seat == ASSIGNED)
        after = await table.read(tenant, keys.FEED)
        if after is not None and after.etag == head.etag and _read_used(head) != _select_limited(head, counted):
            used, taken = dict(_read_used(head)), dict(_select_limited(head, counted))
            self._say(keys.FEED, f"says that other seats are taken ({used}) than are ({taken})")

    def _say(self, key: str, rule: str) -> None:
        self.findings.append(Finding(key, rule))


def _is_until(text: object) -> bool:
    return text == "" or rules.parse_time(text) is not None


def _read_used(head: Row) -> Counter[str]:
    return +Counter(State.load(join_state(head.values)[0]).used)


def _select_limited(head: Row, counted: Counter[str]) -> Counter[str]:
    """Return the counts of the licences that are limited: of others, rows may tell how it was before."""
    limits = State.load(join_state(head.values)[0]).limits
    return Counter({licence: number for licence, number in counted.items() if licence in limits and number})


def _read_holder(row: Row) -> Holder | None:
    try:
        holder = parse_holder(row.values)
        sound = all(seat == ASSIGNED or seat.isdecimal() for seat in holder.seats.values())
    except (KeyError, TypeError, ValueError, AttributeError, json.JSONDecodeError):
        return None
    return holder if sound else None
