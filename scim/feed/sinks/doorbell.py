"""The doorbell: a message `{"tenant": "contoso", "seq": 4711}` in a Storage Queue, so that an application wakes and
reads the feed. It says only that there is news: many changes ring once, and a message that is lost, late or doubled
changes nothing, since whoever wakes reads everything behind its own cursor.

What was rung last is in the tenant's row of the doorbell, so that the timer rings for what a process left that was
killed before it did. Messages are base64, as the queue trigger of Azure Functions takes them.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from scim.behind import Rounds
from scim.feed.log import cursor
from scim.feed.sequencer import Head
from scim.feed.sinks.state import Overtaken, read_state, write_state
from scim.limits import Seldom, forget_oldest
from scim.store.properties import NewerFormat
from scim.store.table import Table, TableUnavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

log = logging.getLogger("scim")

NAME = "_doorbell"
"""What its rows are called, which no webhook can be."""
EVERY = 5.0
"""Seconds between two messages about one tenant from one process."""
LIFETIME = 24 * 3600
"""Seconds that a message waits in the queue."""
_SECONDS = 10.0
_TELL_EVERY = 240.0
_MOST_KNOWN = 1000


class Queue:
    """A Storage Queue, opened by a connection string or with the app's identity."""

    def __init__(
        self,
        name: str,
        *,
        connection_string: str | None = None,
        endpoint: str | None = None,
        identity: AsyncTokenCredential | None = None,
    ) -> None:
        self._name = name
        self._connection_string = connection_string
        self._endpoint = endpoint
        self._identity = identity
        self._client: Any = None

    async def send(self, text: str) -> None:
        """Put a message into the queue. Raises OSError, or what the SDK raises, if it cannot be reached."""
        if self._client is None:
            # In a thread: it takes a tenth of a second, in which requests are to be answered.
            queues = await asyncio.to_thread(importlib.import_module, "azure.storage.queue.aio")
            policies = importlib.import_module("azure.storage.queue")
            options = {
                "message_encode_policy": policies.TextBase64EncodePolicy(),
                "retry_total": 1,
                "connection_timeout": 3,
                "read_timeout": 5,
            }
            if self._connection_string:
                made = queues.QueueClient.from_connection_string(self._connection_string, self._name, **options)
            else:
                made = queues.QueueClient(self._endpoint, self._name, credential=self._identity, **options)
            self._client = made
        async with asyncio.timeout(_SECONDS):
            await self._client.send_message(text, time_to_live=LIFETIME)

    async def close(self) -> None:
        if self._client is not None:
            await self._client.close()
            self._client = None


class Doorbell:
    """Rings for all tenants in this process."""

    def __init__(self, table: Table, queue: Queue, *, every: float = EVERY) -> None:
        self._table = table
        self._queue = queue
        self._every = every
        self._rounds = Rounds()
        self._rung: dict[str, tuple[str, float]] = {}
        """By tenant, the cursor that was rung last and when."""
        self._told = Seldom(_TELL_EVERY, _MOST_KNOWN)

    def follow(self, tenant: str) -> None:
        """Ring if there is news. Returns at once."""
        self._rounds.call(tenant, lambda: self._ring_surely(tenant), lambda: self._pause(tenant))

    async def finish(self, seconds: float) -> None:
        """Wait until what has begun is done, so many seconds at the most."""
        await self._rounds.wait(seconds)

    async def close(self) -> None:
        """Stop."""
        await self._rounds.stop()
        await self._queue.close()

    def _pause(self, tenant: str) -> float:
        """Return the seconds until the bell may be rung for a tenant again."""
        _, at = self._rung.get(tenant, ("", 0.0))
        return at + self._every - time.monotonic()

    async def _ring_surely(self, tenant: str) -> None:
        """Ring if there is news; if that fails, the next change or the timer rings."""
        try:
            await self._ring(tenant)
        except (NewerFormat, TableUnavailable, Overtaken) as error:
            log.info("the doorbell of %s rings later: %s", tenant, error)
        except Exception as error:
            if self._told.take("", time.monotonic()):
                log.warning("the doorbell cannot be rung: %s", f"{type(error).__name__}: {error}".split("\n")[0][:200])

    async def _ring(self, tenant: str) -> None:
        head = await Head.read(self._table, tenant)
        if head is None or not head.seq:
            return
        news = cursor(head.epoch, head.seq)
        known, _ = self._rung.get(tenant, ("", 0.0))
        if news == known:
            return
        state = await read_state(self._table, tenant, NAME)
        if state.after != news:
            await self._queue.send(json.dumps({"tenant": tenant, "seq": head.seq}))
            await write_state(self._table, tenant, NAME, replace(state, after=news))
        self._rung.pop(tenant, None)
        self._rung[tenant] = news, time.monotonic()
        forget_oldest(self._rung, _MOST_KNOWN)
