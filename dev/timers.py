"""Timer triggers: when they are due, and that one never overlaps itself."""

from __future__ import annotations

import asyncio
import logging
import os
import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from cronsim import CronSim, CronSimError

_log = logging.getLogger(__name__)


class Timer:
    """One timer function. A second run that falls into the first waits for its end.

    `schedule` is NCRONTAB (seconds first; five fields mean second 0) in UTC, or `%NAME%`: the environment variable
    that holds it. ValueError where it is neither.
    """

    def __init__(
        self, name: str, schedule: str, *, run_on_startup: bool, call: Callable[[], Awaitable[object]]
    ) -> None:
        self._name = name
        self._run_on_startup = run_on_startup
        self._call = call
        self._running = asyncio.Lock()
        if setting := re.fullmatch("%(.+)%", schedule):
            schedule = os.environ.get(setting[1], "")
        try:
            next_run(schedule, datetime.now(UTC))
        except CronSimError as error:
            raise ValueError(f"timer {name}: {schedule!r} is not a schedule ({error})") from None
        self._schedule = schedule

    async def run(self) -> None:
        """Run once; what the function raises is raised."""
        async with self._running:
            await self._call()

    async def run_logged(self) -> None:
        """Run once; what the function raises goes to the log."""
        try:
            await self.run()
        except Exception:
            _log.exception("timer %s failed", self._name)

    async def keep_schedule(self) -> None:
        """Run whenever the schedule says so, until cancelled. A time that passes during a run is skipped."""
        if self._run_on_startup:
            await self.run_logged()
        due = datetime.now(UTC)
        while True:
            # Sleep may end a moment early: from max(), the same due time does not come twice.
            now = datetime.now(UTC)
            due = next_run(self._schedule, max(now, due))
            await asyncio.sleep((due - now).total_seconds())
            await self.run_logged()


def next_run(schedule: str, after: datetime) -> datetime:
    """The first time strictly after `after` that the schedule names. CronSimError where it is no schedule."""
    times = CronSim(schedule, after)
    times.day_and = True  # NCRONTAB wants day of month and day of week both; cron is content with one
    return next(times)
