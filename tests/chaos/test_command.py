"""The long run's command: its seed, its report and its exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.azurite import StartError
from dev.chaos import __main__ as command
from dev.chaos.model import Finding
from dev.chaos.plan import Plan, Progress, Report


@pytest.mark.parametrize(("found", "code"), [([], 0), ([Finding("half a write", "here", "why")], 1)])
def test_exit_codes(
    found: list[Finding], code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    plans = []

    async def run(plan: Plan, progress: Progress, *, log: Path) -> Report:
        plans.append(plan)
        report = Report(plan.seed)
        progress(report)
        report.findings.extend(found)
        return report

    monkeypatch.setattr(command, "run", run)
    assert command.main(["--minutes", "2", "--seed", "7", "--clients", "3", "--tenants", "1", "--apps", "3"]) == code
    assert plans == [Plan(seed=7, clients=3, tenants=1, apps=3, seconds=120.0, rate=0.1)]
    said = capsys.readouterr()
    assert "seed 7" in said.err
    assert ("half a write: here: why" in said.out) == bool(found)


def test_a_seed_is_made_and_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def run(plan: Plan, progress: Progress, *, log: Path) -> Report:
        return Report(plan.seed)

    monkeypatch.setattr(command, "run", run)
    seeds = set()
    for _ in range(3):
        assert command.main([]) == 0
        said = capsys.readouterr()
        seed = said.err.split()[1].rstrip(";")
        assert f"seed {seed}:" in said.out
        seeds.add(seed)
    assert len(seeds) > 1


def test_what_keeps_it_from_starting_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def run(plan: Plan, progress: Progress, *, log: Path) -> Report:
        raise StartError("Azurite is not installed; run: npm ci --prefix dev")

    monkeypatch.setattr(command, "run", run)
    assert command.main(["--seed", "7"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == "Azurite is not installed; run: npm ci --prefix dev"
