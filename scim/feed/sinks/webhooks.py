"""Delivers events to webhooks: one message in flight for each sink and tenant, in the order of the log, until each is
taken. The log is what keeps them: a sink that is down holds nothing but its cursor.

    2xx                     taken: the cursor moves on
    410                     stopped until the operator resumes
    another answer          refused: half of the events are sent at once, and so on down to the first, so that it alone
                            is what waits; Retry-After, 429 and 503 are about the receiver, and nothing is halved
    no answer               tried again, after a silence with half of the events

What waits is tried again after the times that Standard Webhooks 1.0 gives, then once a day.
"""

from __future__ import annotations

import asyncio
import logging
import random
import secrets
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial

from scim.behind import Background, Rounds
from scim.clock import format_time
from scim.events import log_event
from scim.feed.log import Gone, Log, Page
from scim.feed.sinks.client import Refusal, WebhookClient
from scim.feed.sinks.document import SECRET, SinkDocument, Sinks
from scim.feed.sinks.messages import Message, build_message, sign
from scim.feed.sinks.state import MOST_EVENTS, Overtaken, State, parse_instant, read_state, write_state
from scim.limits import Seldom
from scim.security.secrets import Lookup, SecretsUnavailable
from scim.store.properties import NewerFormat
from scim.store.table import Table, TableUnavailable

log = logging.getLogger("scim")

SCHEDULE = (5, 5 * 60, 30 * 60, *(hours * 3600 for hours in (2, 5, 10, 14, 20, 24)))
"""Seconds from one try of a message to the next; the last one goes on."""
_SOON = 10.0
"""A wait of up to so many seconds is sat out by the process at hand; longer ones end with a run of the timer."""
_AT_ONCE = 8
"""Messages that one sink gets at once, of different tenants."""
_SILENT = 10.0
"""Seconds for which a process leaves a receiver alone that gave no answer, whichever tenant is next."""
_TELL_EVERY = 240.0
"""Seconds between two log lines about the same sink and tenant that wait: the timer comes every 300."""
_MOST_KNOWN = 1000
_MOST_ERROR = 300
_BUSY = {429, 503}


class Webhooks:
    """Drives the webhooks of all tenants in this process. `now` is the clock that waits go by."""

    def __init__(
        self,
        table: Table,
        source: Lookup[Sinks],
        client: WebhookClient,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._table = table
        self._log = Log(table)
        self._source = source
        self._client = client
        self._now = now
        self._owner = secrets.token_hex(8)
        self._asking = Background()
        self._rounds = Rounds()
        self._places: dict[str, asyncio.Semaphore] = {}
        self._silent: dict[str, float] = {}
        self._told = Seldom(_TELL_EVERY, _MOST_KNOWN)

    def follow(self, tenant: str) -> None:
        """Begin to bring what is in the tenant's log. Returns at once."""
        self._asking.start(self._begin(tenant))

    async def finish(self, seconds: float) -> None:
        """Wait until what has begun is done, so many seconds at the most."""
        until = time.monotonic() + seconds
        for tasks in (self._asking, self._rounds):
            await tasks.wait(until - time.monotonic())

    async def close(self) -> None:
        """Stop. Whatever was under way is sent again by others."""
        for tasks in (self._asking, self._rounds):
            await tasks.stop()
        await self._client.close()

    async def _begin(self, tenant: str) -> None:
        """Begin for each sink on its own: one that is slow keeps no other waiting."""
        try:
            sinks = await self._source.get(SECRET, lambda sinks: True) or {}
        except SecretsUnavailable as error:
            if self._told.take("", time.monotonic()):
                log.warning("webhooks wait for the vault: %s", error)
            return
        for sink in sinks.values():
            if sink.reaches(tenant):
                self._rounds.call((sink.name, tenant), partial(self._serve, sink, tenant))

    async def _serve(self, sink: SinkDocument, tenant: str) -> None:
        """Bring a sink what there is, unless others do. What goes wrong is logged, and the next run tries again."""
        places = self._places.setdefault(sink.name, asyncio.Semaphore(_AT_ONCE))
        try:
            wait: float | None = 0.0
            while wait is not None:
                await asyncio.sleep(wait)
                async with places:
                    wait = self._silent.get(sink.name, 0.0) - time.monotonic()
                    if wait <= 0:
                        wait = await self._deliver(sink, tenant)
        except Overtaken:
            log.info("another process brings %s the events of %s", sink.name, tenant)
        except (NewerFormat, TableUnavailable) as error:
            if self._told.take(tenant, time.monotonic()):
                log.warning("sink %s of %s goes on later: %s", sink.name, tenant, error)
        except Exception:
            if self._told.take(tenant, time.monotonic()):
                log.exception("sink %s of %s failed", sink.name, tenant)

    async def _deliver(self, sink: SinkDocument, tenant: str) -> float | None:
        """Send until nothing is left, or something is to wait: the seconds after which to try again here, None if that
        is not for this run. Raises Overtaken."""
        state = await read_state(self._table, tenant, sink.name)
        if not state.is_due(self._now()):
            self._tell_waiting(sink, tenant, state)
            return self._left(state)
        if not state.is_free(self._owner, self._now()):
            return None
        while True:
            page = await self._read(sink, tenant, state)
            if page is None:
                return None
            if not page.events:
                if state.owner != self._owner:
                    return None
                # Then one more look: whoever wrote meanwhile saw that somebody delivers, and went.
                state = await self._write(sink, tenant, replace(state, owner="", claimed=""))
            at = 0
            while at < len(page.events):
                state = await self._write(sink, tenant, self._claimed(state))
                message = build_message(tenant, page.events[at:], state.most)
                try:
                    await self._send(sink, message)
                except Refusal as refusal:
                    state = self._failed(state, message, refusal)
                    if state.owner:
                        continue
                    return await self._give_up(sink, tenant, state, refusal)
                if state.tries:
                    log_event("sink_recovered", {"sink": sink.name, "tenant": tenant, "since": state.since})
                self._silent.pop(sink.name, None)
                at += message.number
                state = self._taken(state, message)

    async def _give_up(self, sink: SinkDocument, tenant: str, state: State, refusal: Refusal) -> float | None:
        """Note that a message was not taken; the seconds to wait for the next try here."""
        state = await self._write(sink, tenant, state)
        self._told.take((sink.name, tenant), time.monotonic())
        self._tell(sink, tenant, state, status=refusal.status)
        if not refusal.status:
            self._silent[sink.name] = time.monotonic() + _SILENT
        return self._left(state)

    async def _read(self, sink: SinkDocument, tenant: str, state: State) -> Page | None:
        """Read what comes next; None, and the sink stops, if the log does not reach back that far."""
        try:
            return await self._log.read(tenant, state.after or None, MOST_EVENTS)
        except Gone as gone:
            error = f"{gone}: list the tenant by SCIM, then resume with --from now"
            state = replace(state, stopped=True, error=error, since=state.since or self._stamp(), owner="", claimed="")
            await self._write(sink, tenant, state)
            self._tell(sink, tenant, state)
            return None

    async def _write(self, sink: SinkDocument, tenant: str, state: State) -> State:
        """Write the state. If the answer to a write of ours was lost, the row says that it is ours all the same."""
        state = replace(state, error=state.error[:_MOST_ERROR])
        try:
            return await write_state(self._table, tenant, sink.name, state)
        except Overtaken:
            found = await read_state(self._table, tenant, sink.name)
            if replace(found, etag=state.etag) == state:
                return found
            raise

    async def _send(self, sink: SinkDocument, message: Message) -> None:
        timestamp = int(time.time())
        headers = {
            "Content-Type": "application/json",
            "webhook-id": message.id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": sign(message, timestamp, sink.secrets),
        }
        await self._client.send(sink.url, message.body, headers)

    def _claimed(self, state: State) -> State:
        return replace(state, owner=self._owner, claimed=self._stamp())

    def _taken(self, state: State, message: Message) -> State:
        most = min(MOST_EVENTS, 2 * state.most)
        fresh = State(after=message.next, most=most, taken=self._stamp(), etag=state.etag)
        return replace(fresh, owner=state.owner, claimed=state.claimed)

    def _failed(self, state: State, message: Message, refusal: Refusal) -> State:
        """The state after a message was not taken: still this process's if a half of it is to be sent at once."""
        state = replace(state, error=str(refusal), since=state.since or self._stamp())
        free = replace(state, owner="", claimed="")
        if refusal.status == 410:
            return replace(free, stopped=True, error=f"{refusal}: the receiver wants no more; resume when it does")
        halved = max(1, message.number // 2)
        about_events = refusal.status and refusal.status not in _BUSY and refusal.wait is None
        if about_events and message.number > 1:
            return replace(state, most=halved)
        wait = SCHEDULE[min(state.tries, len(SCHEDULE) - 1)]
        asked = min(refusal.wait or 0.0, float(SCHEDULE[-1]))
        spread = wait * random.uniform(1.0, 1.1)  # so that tenants that failed together do not all come together
        due = format_time(self._now() + timedelta(seconds=max(spread, asked)))
        return replace(free, tries=state.tries + 1, due=due, most=state.most if refusal.status else halved)

    def _left(self, state: State) -> float | None:
        """The seconds to wait here for the next try; None if that is too long."""
        left = (parse_instant(state.due) - self._now()).total_seconds()
        return None if state.stopped or left > _SOON else max(0.0, left)

    def _stamp(self) -> str:
        return format_time(self._now())

    def _tell_waiting(self, sink: SinkDocument, tenant: str, state: State) -> None:
        if (state.stopped or state.tries) and self._told.take((sink.name, tenant), time.monotonic()):
            self._tell(sink, tenant, state)

    def _tell(self, sink: SinkDocument, tenant: str, state: State, status: int = 0) -> None:
        """Log that events wait. `lag`: seconds since the first try that failed."""
        lag = round((self._now() - parse_instant(state.since)).total_seconds()) if state.since else 0
        how = "stopped" if state.stopped else "failing"
        fields = {"sink": sink.name, "tenant": tenant, "state": how, "lag": lag, "tries": state.tries}
        log_event("sink", {**fields, "status": status, "error": state.error}, logging.WARNING)
