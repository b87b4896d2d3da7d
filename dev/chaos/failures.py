"""Kills what serves, and starts it again."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from random import Random

from dev.chaos.machines import Instance, Table
from dev.chaos.model import Finding
from dev.chaos.plan import Plan, Report

_STALL_SECONDS = 10.0
"""Longer than a trip to the table may take (scim/store/table/azure.py)."""
_IN_LONG = 0.7
_IN_LONG_SECONDS = 3.0
"""The chance that a kill waits for a request of several transactions, and how long."""


class Failures:
    """What fails in a run, each thing after so many requests of the clients."""

    def __init__(self, plan: Plan, report: Report, instances: Sequence[Instance], table: Table) -> None:
        self._report = report
        self._instances = instances
        self._table = table
        self._kills = plan.kills
        self._every = plan.kill_every
        self._next = plan.kill_every
        self._dice = Random(f"{plan.seed} kills")

    async def look(self) -> None:
        """Kill something if it is time, and start what died by itself."""
        for instance in self._instances:
            if instance.app.died:
                self._report.log.say(Finding("app died", "the app", "its process ended by itself"))
                await instance.restart()
        if not self._every or self._report.log.requests < self._next:
            return
        event = self._dice.choices(list(self._kills), list(self._kills.values()))[0]
        if self._dice.random() < _IN_LONG:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._report.log.long.wait(), _IN_LONG_SECONDS)
        await asyncio.sleep(self._dice.uniform(0.0, 0.2))
        await {
            "app killed": self._dice.choice(self._instances).restart,
            "table stopped": self._restart_table,
            "table killed": self._kill_table,
            "table stalled": self._stall_table,
        }[event]()
        self._report.events[event] += 1
        self._next = self._report.log.requests + self._dice.randint(self._every // 2, self._every * 3 // 2)

    async def _restart_table(self) -> None:
        """SIGINT in the middle of what it does: it saves what it has acknowledged."""
        await asyncio.to_thread(self._table.stop)
        await asyncio.to_thread(self._table.start)

    async def _kill_table(self) -> None:
        """SIGKILL when all that was acknowledged is saved; the requests held back find nobody at first."""
        self._hold()
        try:
            await self._drained()
            await asyncio.to_thread(self._table.save)
            self._table.kill()
        finally:
            self._release()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(self._table.start)

    async def _stall_table(self) -> None:
        """The table stands still for longer than the app waits, and then does what it was sent before: writes that the
        app has reported as uncertain happen late, but before anything newer."""
        self._hold()
        try:
            self._table.stall()
            await asyncio.sleep(_STALL_SECONDS)
            self._table.go_on()
            await self._drained()
        finally:
            self._release()

    def _hold(self) -> None:
        for instance in self._instances:
            instance.proxy.hold()

    def _release(self) -> None:
        for instance in self._instances:
            instance.proxy.release()

    async def _drained(self) -> None:
        await asyncio.gather(*(instance.proxy.drained() for instance in self._instances))
