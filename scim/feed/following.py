"""What keeps a tenant's log up to date, and follows it: behind requests, on reads, and from the housekeeping timer.

Nothing here delays a request or fails one. The process that wrote runs the sequencer behind its responses, at most once
in a while for each tenant; whoever reads runs it first; and the timer finds what a process left that was killed before
it got there. Sinks, which bring events to somebody, are driven in the same three places: see Sink.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from weakref import WeakValueDictionary

from scim import deadline
from scim.behind import Rounds
from scim.deadline import OutOfTime
from scim.feed.log import MOST, Log, Page
from scim.feed.sequencer import Sequencer
from scim.limits import Seldom, forget_oldest
from scim.policy.owners import list_owned
from scim.policy.relinking import forget_gone
from scim.schema.registry import Registry
from scim.store import shared_keys
from scim.store.properties import NewerFormat
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Row, Table, TableUnavailable, Write
from scim.store.tenants import Tenants
from scim.store.transactions import commit_surely

log = logging.getLogger("scim")

KEEP_SECONDS = 20.0
"""What a run of the timer may take for all feeds, beside the other housekeeping."""
_SINK_SECONDS = 5.0
"""What a run of the timer waits at least for what sinks have begun."""
_READ_SECONDS = 5.0
"""What a reader waits for the sequencer; what is not moved by then, the next read brings."""
_AT_ONCE = 8
"""Tenants whose outboxes are moved at once."""
_MOST_KNOWN = 1000
_TELL_EVERY = 60.0
_STATE = "k feed"
"""In the shared partition: which tenant the timer reached last, and how far it has looked for tenants without a log."""


class Sink(Protocol):
    """Something that brings the events of all tenants to somebody, and keeps its own cursors."""

    def follow(self, tenant: str) -> None:
        """Begin to bring what is in the tenant's log and was not brought yet, and return at once: whoever is slow must
        not keep the sequencer waiting. Called after events were added, on reads and by the timer."""

    async def finish(self, seconds: float) -> None:
        """Wait for what has begun, so many seconds at the most: the process may rest when the timer's run ends."""

    async def close(self) -> None:
        """Stop, and give back connections."""


class Following:
    """Keeps the logs of all tenants up to date. `every` is how many seconds lie between two runs of the sequencer for a
    tenant in this process, 0 for none behind requests; `days` is how long events are kept."""

    def __init__(self, table: Table, registry: Registry, *, every: float = 1.0, days: int = 30) -> None:
        self.log = Log(table)
        self.sinks: list[Sink] = []
        self._table = table
        self._tenants = Tenants(table)
        self._sequencer = Sequencer(table, registry)
        self._has_owned = bool(list_owned(registry))
        """Whether agents may be due for a hold though nobody writes."""
        self._every = every
        self._days = days
        self._rounds = Rounds()
        self._ran: dict[str, float] = {}
        self._places = asyncio.Semaphore(_AT_ONCE)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._told = Seldom(_TELL_EVERY, _MOST_KNOWN)

    def wake(self, tenant: str) -> None:
        """Something was written to the tenant's outbox. Returns at once."""
        if self._every:
            self._rounds.call(tenant, lambda: self._bring_in_turn(tenant), lambda: self._pause(tenant))

    def _pause(self, tenant: str) -> float:
        """Return the seconds until the sequencer may run for a tenant again."""
        return self._ran.get(tenant, -math.inf) + self._every - time.monotonic()

    async def _bring_in_turn(self, tenant: str) -> None:
        self._ran.pop(tenant, None)
        self._ran[tenant] = time.monotonic()
        forget_oldest(self._ran, _MOST_KNOWN)
        async with self._places:
            await self._bring(tenant, expected=True)

    async def read(self, tenant: str, after: str | None = None, most: int = MOST) -> Page:
        """Read events behind a cursor, what was written a moment ago among them. Raises BadCursor, Gone,
        TableUnavailable."""
        with suppress(OutOfTime, NewerFormat), deadline.within(_READ_SECONDS):
            if await self._sequencer.run(tenant):
                self.wake(tenant)  # sinks want to know, but not before the reader
        return await self.log.read(tenant, after, most)

    async def _bring(self, tenant: str, *, expected: bool = False) -> None:
        """Move the tenant's outbox, and drive the sinks. Whatever goes wrong is logged, and the next run tries it
        again."""
        lock = self._locks.get(tenant) or self._locks.setdefault(tenant, asyncio.Lock())
        try:
            async with lock:
                await self._sequencer.run(tenant, expected=expected)
                for sink in self.sinks:
                    sink.follow(tenant)
        except OutOfTime:
            pass
        except (NewerFormat, TableUnavailable) as error:
            if self._told.take(tenant, time.monotonic()):
                log.warning("the change feed of %s goes on later: %s", tenant, error)
        except Exception:
            if self._told.take(tenant, time.monotonic()):
                log.exception("the change feed of %s failed", tenant)

    async def settle(self) -> None:
        """Stop what runs behind requests: what it leaves, others bring."""
        await self._rounds.stop()
        for sink in self.sinks:
            await sink.close()

    # The timer ------------------------------------------------------------------------------------------------------

    async def keep(self, seconds: float = KEEP_SECONDS) -> None:
        """Look after the logs of all tenants for so many seconds, beginning behind the one that the last run reached.
        Raises TableUnavailable if the shared partition does not answer."""
        with deadline.within(seconds):
            state = await self._table.read(SHARED, _STATE)
            values = state.values if state else {}
            noted = {str(row.values["tenant"]): row async for row in self._notes()}
            every = sorted({*noted, *await self._tenants.list_all()})
            last = str(values.get("reached", ""))
            turn = [name for name in every if name > last] + [name for name in every if name <= last]
            for at in range(0, len(turn), _AT_ONCE):
                if deadline.left() <= 0:
                    break
                some = turn[at : at + _AT_ONCE]
                await asyncio.gather(*(self._look_after(tenant, noted.get(tenant)) for tenant in some))
                last = some[-1]
            walked = await self._find_unknown(values, set(every))
            await commit_surely(Partition(self._table, SHARED), [Write("upsert", _STATE, {"reached": last, **walked})])
            for sink in self.sinks:
                await sink.finish(max(deadline.left(), _SINK_SECONDS))

    async def _notes(self) -> AsyncIterator[Row]:
        async for page in self._table.pages(SHARED, *shared_keys.feeds_range()):
            for row in page:
                if isinstance(row.values.get("tenant"), str):
                    yield row

    async def _look_after(self, tenant: str, note: Row | None) -> None:
        """Bring what is left, or is due; and once a day forget what is old."""
        await self._bring(tenant, expected=self._has_owned and note is not None)
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        if note is None or note.values.get("tidied") == today:
            return
        try:
            await forget_gone(Partition(self._table, tenant))
            if await self.log.forget(tenant, self._days):
                await commit_surely(Partition(self._table, SHARED), [Write("merge", note.key, {"tidied": today})])
        except Exception as error:  # whatever it is, it must not stop the others
            log.warning("old events of %s were not removed: %s", tenant, error)

    async def _find_unknown(self, state: dict[str, object], known: set[str]) -> dict[str, str]:
        """Once a day look for tenants of which nobody knows, as their first change was written by a process that was
        killed right behind it. Returns what the state says of it then: until when, or how far, it was done."""
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        if state.get("walked") == today:
            return {}
        reached = str(state.get("walking", ""))
        async for partition in self._table.partitions(reached):
            if deadline.left() <= 0:
                return {"walking": reached}
            if partition not in known and partition != SHARED:
                await self._bring(partition)
            reached = partition
        return {"walked": today, "walking": ""}
