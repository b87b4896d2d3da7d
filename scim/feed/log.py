"""A tenant's log of changes, as its readers see it: events behind a cursor, and what it says about one resource.

A cursor is `<epoch>_<number>`, the last event that its reader has. It is refused (Gone) if the log cannot go on from
there: the events behind it are older than the log reaches, or the log has begun anew. Then the reader takes `now`,
lists the tenant by SCIM, and goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scim import deadline
from scim.clock import format_time
from scim.feed.sequencer import Head
from scim.policy.draft import Event
from scim.store import keys, properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import PAGE_ROWS, Partition, Table
from scim.store.transactions import remove_rows

NOW = "now"
"""The cursor behind the newest event."""
START = "start"
"""The cursor of a log that has no event yet. It is no cursor any more once the first ones are forgotten."""
MOST = 1000
"""Events of one page."""
_PAGE_BYTES = 4 * 2**20
"""Text of events after which a page ends."""
_FIRST_ROWS = 100
_CURSOR = re.compile(r"([0-9a-f]{8})_(0|[1-9][0-9]{0,15})")
_FORGOTTEN_AT_ONCE = 50


class BadCursor(Exception):
    """A text is no cursor."""


class Gone(Exception):
    """The log cannot go on from a cursor; the text says why."""


class Page(NamedTuple):
    """Events in their order, the cursor behind them, and whether there are more already."""

    events: list[Event]
    next: str
    more: bool


class Mention(NamedTuple):
    """That an event is about a resource: its number, type and time, and who made the change."""

    number: int
    type: str
    time: str
    connection: str = ""
    request: str = ""


def cursor(epoch: str, number: int) -> str:
    """Return the cursor behind an event."""
    return f"{epoch}_{number}"


class Log:
    """The logs of all tenants. Every method raises TableUnavailable if the table does not answer."""

    def __init__(self, table: Table) -> None:
        self._table = table

    async def read(self, tenant: str, after: str | None = None, most: int = MOST) -> Page:
        """Read up to `most` events behind a cursor, fewer if they are large; without one, from the oldest that is kept.
        Raises BadCursor, Gone."""
        at = None if after in (None, NOW, START) else _parsed(after or "")
        head = await Head.read(self._table, tenant)
        if head is None:
            if at is not None:
                raise Gone("the log has begun anew since: there is nothing in it yet")
            return Page([], START, more=False)
        if after == NOW:
            return Page([], cursor(head.epoch, head.seq), more=False)
        if at is not None and at[0] != head.epoch:
            raise Gone("the log has begun anew since, in a table that was restored or a tenant that was erased")
        last = at[1] if at is not None else 0 if after == START else None
        if last is not None and last > head.seq:
            raise Gone(f"the log ends before that, at {head.seq}: the table was restored")
        events = await self._events(tenant, last, most) if last != head.seq else []
        if last is not None and last < head.seq and (not events or events[0]["seq"] != last + 1):
            raise Gone(f"the events behind {last} are older than the log reaches")
        reached = events[-1]["seq"] if events else head.seq
        return Page(events, cursor(head.epoch, reached), more=reached < head.seq)

    async def _events(self, tenant: str, last: int | None, most: int) -> list[Event]:
        """Read events behind a number, or from the first; up to the end of a page of so many bytes."""
        found: list[Event] = []
        size, at = 0, last or 0
        while len(found) < most and size < _PAGE_BYTES:
            mean = size // len(found) if found else 0
            asked = min(most - len(found), PAGE_ROWS, max(1, (_PAGE_BYTES - size) // mean) if mean else _FIRST_ROWS)
            read = 0
            async for page in self._table.pages(tenant, *keys.log_range(at), size=asked):
                for row in page:
                    properties.check_format(row)
                    found.append(properties.join_document(row.values))
                    size += properties.measure_document(row.values)
                read += len(page)
                if read >= asked:
                    break
            if read < asked:
                break
            at = found[-1]["seq"]
        first = found[0]["seq"] if found else 0  # what is forgotten meanwhile leaves no gap
        return [event for number, event in enumerate(found, first) if event["seq"] == number]

    async def head(self, tenant: str) -> int:
        """Return the number of a tenant's newest event; 0 if it has none."""
        head = await Head.read(self._table, tenant)
        return head.seq if head else 0

    async def tenants(self, after: str = "") -> AsyncIterator[str]:
        """The tenants that have a log, or those behind one, in the order of their keys."""
        async for page in self._table.pages(SHARED, *shared_keys.feeds_range(after)):
            for row in page:
                if isinstance(tenant := row.values.get("tenant"), str):
                    yield tenant

    async def mentions(self, tenant: str, subject: str, most: int = MOST) -> list[Mention]:
        """Return what the log says about a resource's id, or about `=` and a folded name: the oldest first."""
        found: list[Mention] = []
        async for page in self._table.pages(tenant, *keys.about_range(subject), size=min(most, PAGE_ROWS)):
            found += [
                Mention(
                    keys.parse_number(row.key),
                    row.values["type"],
                    row.values["time"],
                    row.values.get("connection", ""),
                    row.values.get("request", ""),
                )
                for row in page
            ]
            if len(found) >= most:
                break
        return found[:most]

    async def forget(self, tenant: str, days: int) -> bool:
        """Remove events that are older than so many days, 100 rows a transaction, until the time of the work at hand is
        over; whether none is left."""
        until = format_time(datetime.now(UTC) - timedelta(days=days))
        while deadline.left() > 0:
            old: list[str] = []
            number = 0
            async for page in self._table.pages(tenant, *keys.log_range(-1), size=_FORGOTTEN_AT_ONCE):
                for row in page:
                    if not properties.was_written_before(row.etag, until):
                        break
                    old += [*filter(None, str(row.values.get("about", "")).split("\n")), row.key]
                    number += 1
                if page:
                    break
            await remove_rows(Partition(self._table, tenant), old)
            if number < _FORGOTTEN_AT_ONCE:
                return True
        return False


def _parsed(text: str) -> tuple[str, int]:
    found = _CURSOR.fullmatch(text)
    if found is None:
        raise BadCursor(text)
    return found[1], int(found[2])
