"""One run: start everything, let the clients work while things fail, stop, and look at what is left.

Now and then the clients rest: everything that was to come late is delivered, the processes have nothing under way (or
are killed), housekeeping finishes what was cut short, and what is there is held against what every client knows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import IO

from dev.chaos import changes, judge, verify
from dev.chaos.client import Client
from dev.chaos.contest import CONTESTED, Contest
from dev.chaos.failures import Failures
from dev.chaos.faults import Faults
from dev.chaos.follower import Follower
from dev.chaos.gate import Gate
from dev.chaos.machines import App, Instance, Table
from dev.chaos.model import Finding, Thing
from dev.chaos.plan import Plan, Progress, Report
from dev.chaos.proxy import Proxy
from dev.chaos.requests import Sender
from dev.chaos.rival import Rival
from dev.chaos.work import Worker
from dev.credentials import SEALS, new_key
from dev.kit.payloads import GROUP, USER
from scim.store.table.azure import AzureTable

TABLE = "chaos"
_HOUSEKEEPINGS = 5
"""How often housekeeping may have to run until nothing is pending."""
_STOP_SECONDS = 300.0
_BYSTANDERS = 4
_SLOTS = {
    "/Users": [f"{CONTESTED}-{number}@x.example" for number in range(2)],
    "/Groups": [f"{CONTESTED.title()} {number}" for number in range(3)],
}
"""What all clients of a tenant write to."""
_PATIENCE = 3.0
"""Seconds that clients may go on with faults when they are to rest."""
_KILLED_AT_REST = 0.3
"""The chance that the processes are killed at a rest, instead of finishing what they do."""


class Run:
    """The parts of a run while it lasts. `markers` are the bytes by which proxies know what is contested."""

    def __init__(
        self,
        plan: Plan,
        report: Report,
        instances: Sequence[Instance],
        table: Table,
        tokens: dict[str, str],
        markers: set[bytes],
    ) -> None:
        self.plan = plan
        self.report = report
        self.instances = instances
        self.table = table
        self.tokens = tokens
        self.workers: list[Worker] = []
        self.rivals: list[Rival] = []
        self.contests: dict[str, Contest] = {}
        self._markers = markers
        self._gate = Gate()
        self._followers = {name: Follower(name) for name in plan.names}
        self._faults: list[Faults] = []
        self._dice = Random(f"{plan.seed} rests")
        self._began = time.monotonic()
        self._ended = False

    @property
    def over(self) -> bool:
        enough = self.report.log.requests >= self.plan.requests
        return enough or time.monotonic() - self._began > self.plan.seconds

    async def work(self, progress: Progress) -> None:
        """Let the clients work and things fail until the run is over."""
        await self.employ()
        self._began = time.monotonic()
        self._faults = [
            Faults(f"{self.plan.seed} faults {number}", self.plan.rate, self.plan.contested)
            for number in range(len(self.instances))
        ]
        self._let_fail()
        tasks = [
            asyncio.create_task(self._day(worker, rival))
            for worker, rival in zip(self.workers, self.rivals, strict=True)
        ]
        director = asyncio.create_task(self._direct())
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
        self.report.left = sum(thing.left for worker in self.workers for thing in worker.things)

    @staticmethod
    def _failed(tasks: Sequence[asyncio.Task[None]]) -> bool:
        return any(task.done() and task.exception() for task in tasks)

    async def employ(self) -> None:
        """Make the clients, and in each tenant what all of its clients write to."""
        users: dict[str, dict[str, Thing]] = {name: {} for name in self.plan.names}
        shared: dict[str, tuple[str, str]] = {}
        bystanders: dict[str, list[str]] = {}
        apps = [instance.app for instance in self.instances]
        for number in range(self.plan.clients):
            tenant = self.plan.names[number % self.plan.tenants]
            dice = Random(f"{self.plan.seed} client {number}")
            way = Random(f"{self.plan.seed} way {number}")
            sender = Sender(apps, tenant, self.tokens[tenant], self.report.log, way)
            worker = Worker(f"c{number}", Client(sender, dice, users[tenant]), dice)
            if tenant not in shared:
                shared[tenant] = await _shared(sender)
                self.contests[tenant] = Contest(tenant, _SLOTS, self._markers)
                bystanders[tenant] = await _bystanders(sender, self.contests[tenant])
            worker.share(*shared[tenant])
            self.workers.append(worker)
            rival_dice = Random(f"{self.plan.seed} rival {number}")
            self.rivals.append(Rival(f"c{number}", sender, rival_dice, self.contests[tenant], bystanders[tenant]))

    async def _day(self, worker: Worker, rival: Rival) -> None:
        while not self.over:
            async with self._gate:
                await (rival if rival.dice.random() < self.plan.contest else worker).step()

    async def _direct(self) -> None:
        """Have things fail, and the clients rest."""
        failures = Failures(self.plan, self.report, self.instances, self.table)
        rested = time.monotonic()
        while not self._ended:
            await asyncio.sleep(0.02)
            await failures.look()
            if self.plan.rest_every and time.monotonic() - rested > self.plan.rest_every and not self.over:
                await self._rest()
                rested = time.monotonic()

    async def _rest(self) -> None:
        """Let the clients come to rest, look, and let them go on."""
        self._gate.close()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gate.empty.wait(), _PATIENCE)
        self._stop_failing()
        await self._gate.empty.wait()
        killed = self._dice.random() < _KILLED_AT_REST
        await self._come_to_rest(killed=killed)
        await self._look()
        for instance in self.instances:
            instance.app.go_on()
        self._let_fail()
        self._gate.open()
        self.report.rests += 1

    def _let_fail(self) -> None:
        for instance, faults in zip(self.instances, self._faults, strict=True):
            instance.proxy.faults = faults

    def _stop_failing(self) -> None:
        for instance in self.instances:
            instance.proxy.faults = None

    async def _come_to_rest(self, *, killed: bool) -> None:
        """Nothing is under way any more: in the processes, in the proxies, in the table."""
        await asyncio.gather(*(self._settle(instance, killed=killed) for instance in self.instances))

    async def _settle(self, instance: Instance, *, killed: bool) -> None:
        await instance.proxy.flush()
        if not killed and not await instance.app.settle():
            self.report.log.say(Finding("endless request", "the app", "it is still at work without faults"))
            killed = True
        if killed:
            await instance.restart()
            await instance.app.settle()
        await instance.proxy.drained()

    async def conclude(self) -> None:
        """Kill the processes a last time, keep house, and compare."""
        await self._come_to_rest(killed=True)
        await self.instances[0].app.finish()  # with faults: it may fail, and the next one goes on
        self._stop_failing()
        await self._come_to_rest(killed=False)
        await self._look()
        for instance in self.instances:
            self.report.late += instance.proxy.delivered
        for faults in self._faults:
            self.report.faults += faults.injected
            self.report.trips += faults.number
        for contest in self.contests.values():
            self.report.contested += contest.answers

    async def _look(self) -> None:
        """Keep house until nothing is left to do, and hold what is there against what the clients know."""
        app_table = AzureTable.with_key(self.table.connection_string, TABLE)
        try:
            findings = await self._kept_house(app_table)
            for follower in self._followers.values():
                findings += await follower.follow(app_table)
        finally:
            await app_table.close()
        self.report.resources = 0
        for tenant in self.plan.names:
            workers = [worker for worker in self.workers if worker.tenant == tenant]
            if not workers:
                continue
            resources, wrong = await verify.listed(workers[0].client)
            things = [thing for worker in workers for thing in (*worker.things, *worker.shared)]
            findings += wrong + verify.compare(tenant, things, verify.uncontested(resources))
            findings += judge.settle(self.contests[tenant], verify.contested(resources))
            findings += self._followers[tenant].compare(resources)
            self.report.resources += sum(map(len, resources.values()))
        self.report.add(findings)

    async def _kept_house(self, app_table: AzureTable) -> list[Finding]:
        """Housekeeping until nothing is left to do; what is broken then."""
        findings: list[Finding] = []
        for _ in range(_HOUSEKEEPINGS):
            self.report.housekeepings += 1
            if not await self._dice.choice(self.instances).app.finish():
                findings.append(Finding("housekeeping failed", "the app", "it ended with an error on a healthy table"))
            found = [finding for tenant in self.plan.names for finding in await verify.rows(app_table, tenant)]
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
    """Azurite, the proxies and the app's processes, each served by the one before."""
    tokens = {name: new_key(name) for name in plan.names}
    markers = {CONTESTED.encode()}
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder, _opened(log) as file:
        table = Table(Path(folder), TABLE)
        await asyncio.to_thread(table.start)
        instances = []
        for number in range(plan.apps):
            proxy = Proxy(table.port, contested=lambda body: any(marker in body for marker in markers))
            await proxy.start()
            instances.append(Instance(App(_settings(plan, number, table, proxy, tokens), file), proxy))
        parts = Run(plan, report, instances, table, tokens, markers)
        try:
            await asyncio.gather(*(instance.app.start() for instance in instances))
            yield parts
        finally:
            await parts.close()
            for instance in instances:
                await instance.app.kill()
                await instance.proxy.stop()
            table.stop()


def _settings(plan: Plan, number: int, table: Table, proxy: Proxy, tokens: dict[str, str]) -> dict[str, str]:
    """Return the environment of the n-th process of the app."""
    connections = {name: {"tenant": name, "keys": [token]} for name, token in tokens.items()}
    return {
        "SCIM_TABLE_CONNECTION_STRING": table.connection_string.replace(f":{table.port}/", f":{proxy.port}/"),
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_USAGE_MINUTES": "0",
        "SCIM_INSIGHT_SECONDS": "0",
        "SCIM_TENANT_RESOURCES": "0",
        "SCIM_TENANT_MEMBERS": "0",
        "SCIM_TENANT_MEGABYTES": "0",
        "CHAOS_CLOCK": str(plan.clock(number)),
        "CHAOS_HOUSEKEEPING": str(plan.housekeeping),
    }


async def _shared(sender: Sender) -> tuple[str, str]:
    user = {"schemas": [USER], "userName": "shared@chaos.example", "externalId": "shared-user", "active": True}
    group = {"schemas": [GROUP], "displayName": "Shared", "externalId": "shared-group"}
    made = [await sender.send("POST", "/Users", user), await sender.send("POST", "/Groups", group)]
    return made[0].body["id"], made[1].body["id"]


async def _bystanders(sender: Sender, contest: Contest) -> list[str]:
    """Users that are members of what is contested, and otherwise left alone."""

    async def make(number: int) -> None:
        subject = contest.conceive("/Users")
        values = {"userName": f"{subject.tag}@x.example", "displayName": None, "title": None, "nickName": None}
        change = changes.whole_user("POST", subject, values, [])
        request = contest.begin(f"bystander {number}", "POST", subject, change.writes)
        contest.end(request, await sender.send("POST", "/Users", change.body))

    await asyncio.gather(*map(make, range(_BYSTANDERS)))
    return [str(subject.id) for subject in contest.subjects.values()]


def _opened(log: Path | None) -> IO[bytes]:
    return log.open("ab") if log else tempfile.TemporaryFile()
