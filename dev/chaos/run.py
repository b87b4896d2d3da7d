"""One run: start everything, let the clients work while things fail, stop, and look at what is left."""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import IO

from dev.chaos import verify
from dev.chaos.client import Client
from dev.chaos.faults import Faults
from dev.chaos.intents import GROUP, USER
from dev.chaos.machines import App, Table
from dev.chaos.model import Finding, Thing
from dev.chaos.proxy import Proxy
from dev.chaos.requests import Log, Sender
from dev.chaos.work import Worker
from scim.security.keys import new_key
from scim.store.gateway import TableGateway

TABLE = "chaos"
_HOUSEKEEPINGS = 5
"""How often housekeeping may have to run until nothing is pending."""
_STOP_SECONDS = 240.0
_STALL_SECONDS = 10.0
"""Longer than a trip to the table may take (scim/store/gateway.py)."""
_IN_LONG = 0.7
_IN_LONG_SECONDS = 3.0
"""The chance that a kill waits for a request of several transactions, and how long."""
KILLS = {"app killed": 4.0, "table stopped": 1.0, "table killed": 1.0, "table stalled": 0.5}
"""How often each comes, relative to the others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run ends after `requests` of the clients, or `seconds`. `rate` is the share of requests to the table that get a
    fault; something is killed after about every `kill_every` requests of the clients, never where it is 0."""

    seed: int
    clients: int = 6
    tenants: int = 2
    requests: int = 1_000_000_000
    seconds: float = 60.0
    rate: float = 0.1
    kill_every: int = 250
    kills: Mapping[str, float] = field(default_factory=lambda: KILLS)

    @property
    def names(self) -> list[str]:
        return [f"tenant-{number}" for number in range(self.tenants)]


@dataclass(slots=True)
class Report:
    """What a run did and found."""

    seed: int
    seconds: float = 0.0
    log: Log = field(default_factory=Log)
    faults: Counter[str] = field(default_factory=Counter)
    trips: int = 0
    events: Counter[str] = field(default_factory=Counter)
    resources: int = 0
    left: int = 0
    """Resources that a client gave up with an unknown outcome."""
    housekeepings: int = 0

    @property
    def findings(self) -> list[Finding]:
        return self.log.findings


Progress = Callable[[Report], None]


class Run:
    """The parts of a run while it lasts."""

    def __init__(
        self, plan: Plan, report: Report, app: App, table: Table, proxy: Proxy, tokens: dict[str, str]
    ) -> None:
        self.plan = plan
        self.report = report
        self.app = app
        self.table = table
        self.proxy = proxy
        self.tokens = tokens
        self.workers: list[Worker] = []
        self._began = time.monotonic()
        self._ended = False

    @property
    def over(self) -> bool:
        enough = self.report.log.requests >= self.plan.requests
        return enough or time.monotonic() - self._began > self.plan.seconds

    async def work(self, progress: Progress) -> None:
        """Let the clients work and things fail until the run is over."""
        await self.employ()
        self.proxy.faults = Faults(f"{self.plan.seed} faults", self.plan.rate)
        tasks = [asyncio.create_task(self._day(worker)) for worker in self.workers]
        director = asyncio.create_task(self._fail())
        try:
            async with asyncio.timeout(self.plan.seconds + _STOP_SECONDS):
                while not all(task.done() for task in tasks) and not self._failed([*tasks, director]):
                    await asyncio.wait([*tasks, director], timeout=1.0, return_when=asyncio.FIRST_EXCEPTION)
                    self.report.seconds = time.monotonic() - self._began
                    progress(self.report)
        finally:
            self._ended = True  # what was killed is started again before the run goes on
            for task in tasks:
                task.cancel()
            results = await asyncio.gather(director, *tasks, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result
        self.report.faults, self.report.trips = self.proxy.faults.injected, self.proxy.faults.number
        self.report.left = sum(thing.left for worker in self.workers for thing in worker.things)

    @staticmethod
    def _failed(tasks: Sequence[asyncio.Task[None]]) -> bool:
        return any(task.done() and task.exception() for task in tasks)

    async def employ(self) -> None:
        """Make the clients, and in each tenant the user and the group that all of its clients write to."""
        users: dict[str, dict[str, Thing]] = {name: {} for name in self.plan.names}
        shared: dict[str, tuple[str, str]] = {}
        for number in range(self.plan.clients):
            tenant = self.plan.names[number % self.plan.tenants]
            dice = Random(f"{self.plan.seed} client {number}")
            sender = Sender(self.app, tenant, self.tokens[tenant], self.report.log)
            worker = Worker(f"c{number}", Client(sender, dice, users[tenant]), dice)
            if tenant not in shared:
                shared[tenant] = await _shared(sender)
            worker.share(*shared[tenant])
            self.workers.append(worker)

    async def _day(self, worker: Worker) -> None:
        while not self.over:
            await worker.step()

    async def _fail(self) -> None:
        """Kill and start again, each after so many requests of the clients."""
        dice, every = Random(f"{self.plan.seed} kills"), self.plan.kill_every
        next_at = every
        while every and not self._ended:
            await asyncio.sleep(0.02)
            if self.app.died:
                self.report.log.say(Finding("app died", "the app", "its process ended by itself"))
                await self.restart_app()
            if self.report.log.requests < next_at:
                continue
            event = dice.choices(list(self.plan.kills), list(self.plan.kills.values()))[0]
            if dice.random() < _IN_LONG:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self.report.log.long.wait(), _IN_LONG_SECONDS)
            await asyncio.sleep(dice.uniform(0.0, 0.2))
            await {
                "app killed": self.restart_app,
                "table stopped": self.restart_table,
                "table killed": self.kill_table,
                "table stalled": self.stall_table,
            }[event]()
            self.report.events[event] += 1
            next_at = self.report.log.requests + dice.randint(every // 2, every * 3 // 2)

    async def restart_app(self) -> None:
        """SIGKILL, and a new process when the table has done what the old one asked for."""
        await self.app.kill()
        await self.proxy.drained()
        await self.app.start()

    async def restart_table(self) -> None:
        """SIGINT in the middle of what it does: it saves what it has acknowledged."""
        await asyncio.to_thread(self.table.stop)
        await asyncio.to_thread(self.table.start)

    async def kill_table(self) -> None:
        """SIGKILL when all that was acknowledged is saved; the requests held back find nobody at first."""
        self.proxy.hold()
        try:
            await self.proxy.drained()
            await asyncio.to_thread(self.table.save)
            self.table.kill()
        finally:
            self.proxy.release()
        await asyncio.sleep(0.2)
        await asyncio.to_thread(self.table.start)

    async def stall_table(self) -> None:
        """The table stands still for longer than the app waits, and then does what it was sent before: writes that the
        app has reported as uncertain happen late, but before anything newer."""
        self.proxy.hold()
        try:
            self.table.stall()
            await asyncio.sleep(_STALL_SECONDS)
            self.table.go_on()
            await self.proxy.drained()
        finally:
            self.proxy.release()

    async def conclude(self) -> None:
        """Kill the app a last time, keep house, and compare."""
        await self.app.kill()
        await self.proxy.drained()
        await self.app.housekeep()  # with faults: it may fail, and the next one goes on
        self.proxy.faults = None
        gateway = TableGateway.with_key(self.table.connection_string, TABLE)
        try:
            findings = await self._kept_house(gateway)
        finally:
            await gateway.close()
        await self.app.start()
        for tenant in self.plan.names:
            workers = [worker for worker in self.workers if worker.tenant == tenant]
            if not workers:
                continue
            resources, wrong = await verify.listed(workers[0].client)
            things = [thing for worker in workers for thing in (*worker.things, *worker.shared)]
            findings += wrong + verify.compare(tenant, things, resources)
            self.report.resources += sum(map(len, resources.values()))
        self.report.findings.extend(findings)

    async def _kept_house(self, gateway: TableGateway) -> list[Finding]:
        """Housekeeping until nothing is left to do; what is broken then."""
        findings: list[Finding] = []
        for number in range(_HOUSEKEEPINGS):
            self.report.housekeepings = number + 1
            if await self.app.housekeep():
                findings.append(Finding("housekeeping failed", "the app", "it ended with an error on a healthy table"))
            found = [finding for tenant in self.plan.names for finding in await verify.rows(gateway, tenant)]
            if not any(finding.kind == verify.PENDING for finding in found):
                break
        return findings + found

    async def close(self) -> None:
        for worker in self.workers:
            await worker.client.sender.close()


async def run(plan: Plan, progress: Progress = lambda _: None, *, log: Path | None = None) -> Report:
    """Run the plan. `log` takes the app's log."""
    report = Report(plan.seed)
    async with started(plan, report, log) as parts:
        await parts.work(progress)
        await parts.conclude()
    return report


@asynccontextmanager
async def started(plan: Plan, report: Report, log: Path | None = None) -> AsyncIterator[Run]:
    """Azurite, the proxy and the app, each served by the one before."""
    tokens = {name: new_key(name) for name in plan.names}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, _opened(log) as file:
        table = Table(Path(folder), TABLE)
        await asyncio.to_thread(table.start)
        proxy = Proxy(table.port)
        await proxy.start()
        connections = {name: {"tenant": name, "keys": [token]} for name, token in tokens.items()}
        direct, through = f":{table.port}/", f":{proxy.port}/"
        settings = {
            "SCIM_TABLE_CONNECTION_STRING": table.connection_string.replace(direct, through),
            "SCIM_TABLE_NAME": TABLE,
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_USAGE_MINUTES": "0",
        }
        app = App(settings, file)
        parts = Run(plan, report, app, table, proxy, tokens)
        try:
            await app.start()
            yield parts
        finally:
            await parts.close()
            await app.kill()
            await proxy.stop()
            table.stop()


async def _shared(sender: Sender) -> tuple[str, str]:
    user = {"schemas": [USER], "userName": "shared@chaos.example", "externalId": "shared-user", "active": True}
    group = {"schemas": [GROUP], "displayName": "Shared", "externalId": "shared-group"}
    made = [await sender.send("POST", "/Users", user), await sender.send("POST", "/Groups", group)]
    return made[0].body["id"], made[1].body["id"]


def _opened(log: Path | None) -> IO[bytes]:
    return log.open("ab") if log else tempfile.TemporaryFile()
