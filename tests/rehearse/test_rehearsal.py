"""Whole rehearsals against our app, served over HTTP: nothing may fail, and nothing may be left behind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from dev.rehearse import gallery
from dev.rehearse.__main__ import main
from dev.rehearse.auth import ClientCredentials
from dev.rehearse.client import Client
from dev.rehearse.rehearsal import rehearse
from dev.rehearse.results import Report
from dev.rehearse.scenarios import CATALOGUE
from dev.rehearse.stage import Options
from tests.rehearse.conftest import Target

pytestmark = pytest.mark.long

Problems = Callable[[Report], list[str]]


async def test_our_app_passes_every_scenario(target: Target, problems: Problems) -> None:
    report = await target.rehearse(users=9, groups=3, cycles=2)
    assert problems(report) == []
    assert report.failures == report.warnings == 0
    passes = {scenario.name: sum(check.passes for check in scenario.checks) for scenario in report.scenarios}
    assert {name.partition(" ")[0] for name in passes} == {*(entry.name for entry in CATALOGUE), "clean-up"}
    assert [name for name, number in passes.items() if number < 3] == []
    skipped = [check.name for scenario in report.scenarios for check in scenario.checks if check.status == "skipped"]
    assert skipped == ["Validate_Credentials_Test", "Federated_Identity_Test"]
    assert (await target.total("/Users"), await target.total("/Groups")) == (0, 0)


async def test_what_was_played(target: Target) -> None:
    report = await target.rehearse(
        "initial-cycle", "incremental-cycles", "accidental-deletion", users=16, groups=4, cycles=3, dialects=("flag",)
    )
    cycles = {cycle.title: cycle.counts for scenario in report.scenarios for cycle in scenario.cycles}
    initial, held = cycles["Initial cycle (flag)"], cycles["A mistake (flag)"]
    assert (initial["users created"], initial["groups created"]) == (16, 4)
    assert initial["managers written"] > 5 and initial["members added"] > 5
    assert held == {"held": 7}
    assert cycles["Deletions allowed (flag)"]["users deleted"] == 5
    done = {what for title, counts in cycles.items() if title.startswith("Cycle") for what in counts}
    assert {"users updated", "users disabled", "users restored", "users deleted", "groups renamed"} <= done
    assert {"groups created", "groups deleted", "members added", "members removed"} <= done
    assert report.verdict and report.verdict.headline == "Entra would provision this target without trouble."


async def test_two_rehearsals_of_one_seed_write_the_same(target: Target) -> None:
    async def names() -> list[str]:
        client = target.client()
        await client.close()
        report = await target.rehearse("incremental-cycles", keep=True, dialects=("legacy",))
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.token}"}) as http:
            users = (await http.get(f"{target.url}/Users?count=1000")).json()["Resources"]
            for line in report.left:
                path = line.split(" ")[0]
                assert (await http.delete(target.url + path)).status_code == 204
        return sorted(
            json.dumps({n: u.get(n) for n in ("userName", "name", "emails", "active", "title")}) for u in users
        )

    assert await names() == await names()


async def test_what_is_kept_is_told(target: Target) -> None:
    report = await target.rehearse("on-demand", keep=True)
    assert report.failures == 0
    assert len(report.left) == await target.total("/Users") + await target.total("/Groups") > 0
    again = await target.rehearse("on-demand")
    found = {finding.problem.code for finding in again.findings()}
    assert found == {"UnexpectedMatch", "Duplicate"}
    assert len(report.left) == await target.total("/Users") + await target.total("/Groups")  # left alone


async def test_an_interruption_cleans_up_and_reports(target: Target) -> None:
    class Interrupt(httpx.AsyncHTTPTransport):
        """Interrupts the rehearsal in the middle of its tenth POST."""

        posts = 0

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            self.posts += request.method == "POST"
            if self.posts == 10 and request.method == "POST":
                playing.cancel()
            return await super().handle_async_request(request)

    wire = Interrupt()
    playing = asyncio.create_task(target.rehearse("initial-cycle", users=200, transport=wire))
    report = await playing
    assert 10 <= wire.posts < 20
    assert report.interrupted and report.left == []
    assert report.scenarios[0].broken == "interrupted" and report.failures == 0
    assert report.verdict and report.verdict.headline.startswith("Until the interruption: ")
    assert (await target.total("/Users"), await target.total("/Groups")) == (0, 0)


async def test_the_command(target: Target, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [tmp_path / name for name in ("deep/page.html", "report.json", "junit.xml")]
    arguments = [
        target.url,
        target.token,
        "--rate",
        "0",
        "--users",
        "3",
        "--groups",
        "1",
        "--scenario",
        "initial-cycle",
    ]
    arguments += ["--html", str(files[0]), "--json", str(files[1]), "--junit", str(files[2])]
    assert await asyncio.to_thread(main, arguments) == 0
    assert all(target.token not in file.read_text() for file in files)
    assert "without trouble" in capsys.readouterr().out
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {target.token}"}) as http:
        await http.post(f"{target.url}/Users", json={"userName": "here already"})
    assert await asyncio.to_thread(main, arguments) == 2
    assert "holds 1 users already" in capsys.readouterr().err
    assert await asyncio.to_thread(main, [*arguments, "--i-know"]) == 0
    assert await target.total("/Users") == 1
    assert await asyncio.to_thread(main, [target.url, "wrong", *arguments[2:]]) == 2
    assert "refuses the credentials" in capsys.readouterr().err
    assert await asyncio.to_thread(main, ["http://127.0.0.1:1", "t"]) == 2
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize(("seconds", "expected"), [(3600, []), (600, ["TokenLifetime"])])
async def test_oauth_credentials(
    target: Target, monkeypatch: pytest.MonkeyPatch, seconds: int, expected: list[str]
) -> None:
    class TokenEndpoint(httpx.AsyncHTTPTransport):
        """Gives the tenant's token to whoever has the secret."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            if request.url.path != "/oauth2/token":
                return await super().handle_async_request(request)
            if b"client_secret=right" not in request.content:
                return httpx.Response(401, json={"error": "invalid_client"})
            return httpx.Response(200, json={"access_token": target.token, "expires_in": seconds})

    named = ("Validate_Credentials_Test", "Federated_Identity_Test")
    monkeypatch.setattr(gallery, "TESTS", [test for test in gallery.TESTS if test.name in named])
    credentials = ClientCredentials("https://app.example/oauth2/token", "id", secret="right")
    client = Client(target.url, credentials, rate=0, transport=TokenEndpoint())
    try:
        report = await rehearse(client, Options(), ["test-connection", "gallery"])
    finally:
        await client.close()
    assert [finding.problem.code for finding in report.findings()] == expected
    checks = {check.name: check.status for scenario in report.scenarios for check in scenario.checks}
    assert checks["Validate_Credentials_Test"] == ("failed" if expected else "passed")
    assert checks["Federated_Identity_Test"] == "skipped"
