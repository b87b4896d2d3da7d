"""Work that goes on behind a response: no request waits for it or pays for it, nor does it end with one."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, TypeVar

_Result = TypeVar("_Result")


def start_apart(work: Coroutine[Any, Any, _Result]) -> asyncio.Task[_Result]:
    """Start a task in a context of its own: what it costs is not the request's, nor does it end with its deadline."""
    return asyncio.create_task(work, context=contextvars.Context())


class Background:
    """Tasks that are kept until they are done, so that whoever closes can wait for them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Start a task apart. Returns at once."""
        task = start_apart(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def settle(self) -> None:
        """Wait until all that has begun is done."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def wait(self, seconds: float) -> None:
        """Wait for what has begun, up to that many seconds."""
        if tasks := [*self._tasks]:
            await asyncio.wait(tasks, timeout=max(0.0, seconds))

    async def stop(self) -> None:
        """Cancel what has begun."""
        tasks = [*self._tasks]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Rounds(Background):
    """One task for each key, which goes round once more if it was called for while it worked."""

    def __init__(self) -> None:
        super().__init__()
        self._running: set[Hashable] = set()
        self._again: set[Hashable] = set()

    def call(
        self, key: Hashable, work: Callable[[], Awaitable[None]], pause: Callable[[], float] | None = None
    ) -> None:
        """Have `work` done for the key, by the task that is at it if there is one. `pause` says how many seconds to
        wait before each round; whoever calls during that time is served by it. Returns at once."""
        if key in self._running:
            self._again.add(key)
            return
        self._running.add(key)
        self.start(self._go(key, work, pause))

    async def _go(self, key: Hashable, work: Callable[[], Awaitable[None]], pause: Callable[[], float] | None) -> None:
        try:
            while True:
                if pause is not None:
                    await asyncio.sleep(pause())
                self._again.discard(key)
                await work()
                if key not in self._again:
                    return
        finally:
            self._running.discard(key)
