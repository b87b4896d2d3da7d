"""Our app behind HTTP, for a rehearsal to be played against: one server for a module, a fresh tenant for a test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from dev.azurite import free_port
from dev.host import Host, serve
from dev.rehearse.auth import SecretToken
from dev.rehearse.client import Client
from dev.rehearse.rehearsal import rehearse
from dev.rehearse.results import Report
from dev.rehearse.stage import Options


@dataclass(frozen=True)
class Target:
    """A tenant of the served app."""

    url: str
    token: str

    def client(self, transport: httpx.AsyncBaseTransport | None = None) -> Client:
        return Client(self.url, SecretToken(self.token), rate=0, parallel=4, transport=transport, timeout=20)

    async def rehearse(
        self, *names: str, transport: httpx.AsyncBaseTransport | None = None, keep: bool = False, **options: Any
    ) -> Report:
        """A small rehearsal of these scenarios, without limits of pace."""
        chosen = Options(**{"users": 6, "groups": 2, "cycles": 1, **options})
        client = self.client(transport)
        try:
            return await rehearse(client, chosen, list(names), keep=keep)
        finally:
            await client.close()

    async def total(self, path: str) -> int:
        """How many resources the tenant holds."""
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {self.token}"}) as http:
            total: int = (await http.get(f"{self.url}{path}?count=0")).json()["totalResults"]
            return total


@pytest.fixture(scope="module")
async def served(host: Host) -> AsyncIterator[str]:
    """The URL of the app, served on a free port."""
    port = free_port()
    runner = await serve(host, port)
    yield f"http://127.0.0.1:{port}/scim"
    await runner.cleanup()


@pytest.fixture
def target(served: str, unused: Iterator[tuple[str, str]]) -> Target:
    return Target(served, next(unused)[1])


@pytest.fixture
def problems() -> Callable[[Report], list[str]]:
    """All that a report found, as texts to search in."""

    def read(report: Report) -> list[str]:
        broken = [f"{scenario.name}: {scenario.broken}" for scenario in report.scenarios if scenario.broken]
        return broken + [
            f"{finding.problem.code}: {title}"
            for finding in report.findings()
            for title in (finding.problem.title, *finding.others)
        ]

    return read
