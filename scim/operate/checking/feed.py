"""The change feed's rows: the outbox holds only what can be moved and is, and the log is whole.

What does not agree is looked at again, since events may have been added, or forgotten, while the rows went by.
"""

from __future__ import annotations

import json
import re
from datetime import datetime

from scim.operate.checking import rules
from scim.operate.checking.findings import Finding, Repair
from scim.store import keys
from scim.store.properties import parse_written_time
from scim.store.table import Row, Table, Write

WAITING = "has not gone into the change feed"
"""What is said of a row of the outbox that should have."""
_CURSOR = re.compile("[0-9a-f]{8}_[0-9]{1,16}|start")
_EPOCH = re.compile("[0-9a-f]{8}")
_MOST_LOOKS = 1000
"""Missing events that are looked for again; the first ones tell enough."""


class FeedSurvey:
    """Takes the rows of the feed one by one, in key order: what the log is about, outbox, head, events."""

    def __init__(self, late: datetime) -> None:
        self._late = late
        """What is in the outbox since before then is overdue."""
        self.findings: list[Finding] = []
        self._about: set[str] = set()
        self._named: dict[str, str] = {}
        """By key of what says what an event is about and was not seen, the key of the event."""
        self._missing: list[int] = []
        self._head: tuple[str, int] | None = None
        self._last: int | None = None

    def take(self, row: Row) -> None:
        """Look at a row of the feed."""
        match row.key.partition(" ")[0]:
            case keys.ABOUT:
                self._about.add(row.key)
            case keys.OUTBOX:
                self._take_change(row)
            case keys.LOG:
                self._take_event(row)
            case keys.SINK:
                self._take_sink(row)
            case _:
                self._take_head(row)

    def _take_change(self, row: Row) -> None:
        content, fault = rules.read_document(row)
        changes = content.get("changes") if content else None
        try:
            sound = isinstance(json.loads(row.values["by"]), dict) and isinstance(row.values["marks"], str)
        except (KeyError, TypeError, ValueError):
            sound = False
        if fault or not sound or not isinstance(changes, list) or not all(_is_change(one) for one in changes):
            self._say(row.key, "is a row of the outbox that cannot be read")
            return
        written = rules.parse_time(parse_written_time(row.etag))
        if written is not None and written < self._late:
            self._say(row.key, f"{WAITING} since {written:%Y-%m-%d %H:%M}")

    def _take_head(self, row: Row) -> None:
        epoch, number = row.values.get("epoch"), row.values.get("seq")
        if row.key != keys.FEED:
            self._say(row.key, "is a row of no known kind")
        elif not isinstance(epoch, str) or not _EPOCH.fullmatch(epoch) or not str(number).isdecimal():
            self._say(row.key, "is a head of the change feed that has no epoch or no number")
        else:
            self._head = epoch, int(str(number))

    def _take_sink(self, row: Row) -> None:
        after = row.values.get("after")
        if not isinstance(after, str) or (after and not _CURSOR.fullmatch(after)):
            self._say(row.key, "says not how far a sink has come: resume it with --from")

    def _take_event(self, row: Row) -> None:
        event, fault = rules.read_document(row)
        number = _parse_number(row.key)
        if number is None or fault or event is None or event.get("seq") != number:
            self._say(row.key, "is an event that cannot be read, or stands at the number of another")
            return
        if self._head is None:
            self._say(row.key, "is an event of a change feed that has no head")
        if self._last is not None:
            self._missing += range(self._last + 1, min(number, self._last + 1 + _MOST_LOOKS))
        self._last = number
        for key in filter(None, str(row.values.get("about", "")).split("\n")):
            if key in self._about:
                self._about.discard(key)
            else:
                self._named[key] = row.key

    def _say(self, key: str, rule: str, repair: Repair | None = None) -> None:
        self.findings.append(Finding(key, rule, repair))

    def finish(self) -> None:
        """All rows were there."""
        if self._head is not None and self._last is not None and self._last < self._head[1]:
            self._missing += range(self._last + 1, min(self._head[1], self._last + _MOST_LOOKS) + 1)

    async def look(self, table: Table, tenant: str) -> None:
        """Look again at what did not agree. Raises TableUnavailable."""
        oldest = await self._find_oldest(table, tenant) if self._missing else None
        for number in self._missing[:_MOST_LOOKS]:
            if oldest is not None and number > oldest and await table.read(tenant, keys.log_key(number)) is None:
                self._say(keys.log_key(number), "is missing: the change feed has a gap")
        for key, event in self._named.items():
            if await table.read(tenant, key) is None and await table.read(tenant, event) is not None:
                self._say(event, f"names {key}, which does not exist")
        for key in self._about:
            of = _parse_number(key)
            named = None if of is None else keys.log_key(of)
            row = await table.read(tenant, key)
            if row is not None and (named is None or await table.read(tenant, named) is None):
                removal = Repair("removed", [Write("delete", key, etag=row.etag)])
                self._say(key, "is about an event that is not in the change feed", removal)

    async def _find_oldest(self, table: Table, tenant: str) -> int | None:
        async for page in table.pages(tenant, *keys.log_range(-1), size=1, keys_only=True):
            if page:
                return _parse_number(page[0].key)
        return None


def _is_change(value: object) -> bool:
    return isinstance(value, dict) and isinstance(value.get("op"), str) and isinstance(value.get("id"), str)


def _parse_number(key: str) -> int | None:
    text = key.rpartition(" ")[2]
    return int(text) if len(text) == 16 and text.isdecimal() else None
