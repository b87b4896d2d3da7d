"""Each check is seen to fail: one small edit is found, by the compiler or by what we check besides."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dev.bicep.__main__ import findings, main
from scim.settings import Settings
from tests.core import cases
from tests.infra.compiler import Compiler
from tests.infra.mistakes import AUTH, COMPILER, OURS, REBUILD, Mistake

DEFAULT = "infra/snapshots/default.snapshot.json"


def seed(project: Path, mistake: Mistake) -> int:
    """Make the mistake; the first line that differs."""
    path = project / mistake.file
    before = path.read_text()
    assert mistake.old in before
    after = before.replace(mistake.old, mistake.new, 1)
    path.write_text(after)
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((number for number, (old, new) in enumerate(pairs, 1) if old != new), 1)


def found(project: Path) -> list[str]:
    return [str(finding) for finding in findings(project / "infra")]


def test_the_templates_as_they_are(project: Path) -> None:
    assert found(project) == []


@pytest.mark.long
@pytest.mark.parametrize("mistake", cases({name: (mistake,) for name, mistake in COMPILER.items()}))
def test_the_compiler_finds_a_mistake(project: Path, compiler: Compiler, mistake: Mistake) -> None:
    seed(project, mistake)
    told = compiler.lint(project / "infra/main.bicep")
    assert any(f" {mistake.told}: " in line and line.startswith(Path(mistake.file).name) for line in told), told


TEMPLATES = {name: mistake for name, mistake in OURS.items() if mistake.file.endswith(".bicep")}


@pytest.mark.long
@pytest.mark.parametrize("mistake", cases({name: (mistake,) for name, mistake in TEMPLATES.items()}))
def test_a_mistake_that_compiles_is_found(project: Path, compiler: Compiler, mistake: Mistake) -> None:
    seed(project, mistake)
    for path in sorted((project / "infra/snapshots").glob("*.bicepparam")):
        snapshot = compiler.take_snapshot(path)
        path.with_suffix(".snapshot.json").write_text(json.dumps(snapshot))
    told = found(project)
    assert told and any(line.endswith(mistake.told) for line in told), told


BESIDE = {name: mistake for name, mistake in OURS.items() if name not in TEMPLATES}


@pytest.mark.parametrize("mistake", cases({name: (mistake,) for name, mistake in BESIDE.items()}))
def test_a_mistake_in_another_file_is_found(project: Path, mistake: Mistake) -> None:
    seed(project, mistake)
    told = found(project)
    assert told and all(line.startswith(mistake.file) for line in told), told
    assert any(line.endswith(mistake.told) for line in told), told


QUERIES = {
    "unknown field": ("line.grant", "line.grants", "grants is no field of request or token; correct the name"),
    "field of another event": ("line.error", "line.days", "days is no field of request or token; correct the name"),
    "unknown event": ('event == "token" and', 'event == "tokens" and', "the app logs no event tokens; it is one of "
                      "request, change, token, revoked_credential, mass_change, quota, sink, sink_recovered, "
                      "housekeeping, cycle_overdue, credential_expiring"),
    "lines that are no JSON": ('| where message startswith "{"\n', "", "parses lines that are no JSON too; "
                               'write | where message startswith "{" before'),
    "blank line": ("| order by", "\n| order by", "is blank, which ends a query in the portal; remove the line"),
    "another table": ("traces\n", "AppTraces\n", "reads AppTraces; begin with traces or requests or Usage"),
    "no comment": ("// Refused", "//Refused", "does not begin with a comment; say what it shows in one line after //"),
    "no line break at the end": ("| order by failures desc\n", "| order by failures desc",
                                 "does not end with a line break, and a clause may follow; add one"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "text"), cases(QUERIES))
def test_mistake_in_a_query_is_found(project: Path, old: str, new: str, text: str) -> None:
    line = seed(project, Mistake(AUTH, old, new, text))
    if old.startswith("| order by failures"):
        line = len((project / AUTH).read_text().splitlines())
    told = found(project)
    assert f"{AUTH}:{line}: {text}" in told and len(told) == 2
    assert any(line.endswith(REBUILD) for line in told)


def test_setting_that_is_new_in_the_app_is_missing(project: Path) -> None:
    fields = {**Settings.model_fields, "colour": Settings.model_fields["table_name"]}
    text = "SCIM_COLOUR, which the app reads, is not set; add it to the app's settings in infra/main.bicep"
    assert {finding.text for finding in findings(project / "infra", fields)} == {text}


def test_default_that_is_another_in_the_app_is_found(project: Path) -> None:
    fields = {**Settings.model_fields, "scan_limit": Settings.model_fields["sort_limit"]}
    (only,) = findings(project / "infra", fields)
    assert str(only) == f"{DEFAULT}: SCIM_SCAN_LIMIT is '100000' by default, in the app '10000'; take that"


def test_setting_that_is_gone_from_the_app_is_found(project: Path) -> None:
    fields = {name: field for name, field in Settings.model_fields.items() if name != "scan_limit"}
    told = {finding.text for finding in findings(project / "infra", fields)}
    assert told == {"SCIM_SCAN_LIMIT is no setting of the app; remove it or correct the name"}


def test_the_command_prints_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infra = str(project / "infra")
    assert main([infra]) == 0
    assert capsys.readouterr().out == ""
    seed(project, OURS["two defaults"])
    assert main([infra]) == 1
    assert OURS["two defaults"].told in capsys.readouterr().out
    assert main([str(project)]) == 2
    assert "has no snapshots" in capsys.readouterr().err
