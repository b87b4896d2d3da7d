"""Each check is seen to fail: one small edit of the templates gives exactly one finding, with its place and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from dev.bicep.__main__ import findings, main
from scim.settings import Settings
from tests.core import cases
from tests.infra.mistakes import APP, AUTH, MAIN, MISTAKES, NETWORK, REBUILD, STORAGE, VAULT, Mistake


def seed(project: Path, mistake: Mistake) -> str:
    """Make the mistake; where it must be found, as file:line."""
    path = project / mistake.file
    before = path.read_text()
    assert mistake.old in before
    after = before.replace(mistake.old, mistake.new, 1)
    path.write_text(after)
    if mistake.at is None:
        pairs = zip(before.splitlines(), after.splitlines(), strict=False)
        return f"{mistake.file}:{next(n for n, (old, new) in enumerate(pairs, 1) if old != new)}"
    file, part = mistake.at
    return f"{file}:{after[: after.index(part)].count(chr(10)) + 1}"


def found(project: Path) -> list[str]:
    return [str(finding) for finding in findings(project / "infra")]


def test_the_templates_as_they_are(project: Path) -> None:
    assert found(project) == []


@pytest.mark.parametrize("mistake", cases({name: (mistake,) for name, mistake in MISTAKES.items()}))
def test_mistake_is_found(project: Path, mistake: Mistake) -> None:
    where = seed(project, mistake)
    assert found(project) == [f"{where}: {mistake.text}"]


QUERIES = {
    "unknown field": ("line.grant", "line.grants", "grants is no field of request or token; correct the name"),
    "field of another event": ("line.error", "line.days", "days is no field of request or token; correct the name"),
    "unknown event": ('event == "token" and', 'event == "tokens" and', "the app logs no event tokens; it is one of "
                      "request, change, token, revoked_credential, housekeeping, credential_expiring"),
    "bracket too few": ("status >= 400)", "status >= 400", "( is never closed; close it"),
    "bracket too many": ("status >= 400)", "status >= 400))", ") closes nothing; remove it or open it before"),
    "string without an end": ('"(unknown)"', '"(unknown)', "a string does not end on its line; close it"),
    "lines that are no JSON": ('| where message startswith "{"\n', "", "parses lines that are no JSON too; "
                               'write | where message startswith "{" before'),
    "blank line": ("| order by", "\n| order by", "is blank, which ends a query in the portal; remove the line"),
    "another table": ("traces\n", "AppTraces\n", "reads AppTraces; begin with traces or requests"),
    "no comment": ("// Refused", "//Refused", "does not begin with a comment; say what it shows in one line after //"),
    "no line break at the end": ("| order by failures desc\n", "| order by failures desc",
                                 "does not end with a line break, and a clause may follow; add one"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "text"), cases(QUERIES))
def test_mistake_in_a_query_is_found(project: Path, old: str, new: str, text: str) -> None:
    at = (AUTH, "| order by") if old.startswith("| order by failures") else None
    where = seed(project, Mistake(AUTH, old, new, text, at))
    workbook, *_ = [line for line in found(project) if line.endswith(REBUILD)]
    assert found(project) == sorted([f"{where}: {text}", workbook])


SYNTAX = {
    "missing brace": (APP, "  sku: {\n", "  sku: \n"),
    "missing quote": (VAULT, "sku: {\n      family: 'A'", "sku: {\n      family: 'A"),
    "missing bracket": (STORAGE, "    logs: [\n", "    logs: \n"),
}


@pytest.mark.parametrize(("file", "old", "new"), cases(SYNTAX))
def test_both_grammars_refuse_what_is_no_bicep(project: Path, file: str, old: str, new: str) -> None:
    seed(project, Mistake(file, old, new, ""))
    lines = found(project)
    assert [line.split(":")[2] for line in sorted(lines, key=lambda line: "tree-sitter" in line)] == [
        " is no Bicep to pycep",
        " is no Bicep to tree-sitter",
    ]
    assert all(line.startswith(f"{file}:") and line.endswith("correct it, or write it more plainly") for line in lines)


ONE = {
    "pycep": (
        VAULT,
        "param location string",
        "param location 'a' | 'b'",
        "is no Bicep to pycep: param location 'a' | 'b' (or before); correct it, or write it more plainly",
    ),
    "tree-sitter": (
        NETWORK,
        "var endpoints",
        "variable endpoints",
        "is no Bicep to tree-sitter: variable endpoints = [ (or before); correct it, or write it more plainly",
    ),
}


@pytest.mark.parametrize(("file", "old", "new", "text"), cases(ONE))
def test_what_only_one_grammar_refuses_is_found(project: Path, file: str, old: str, new: str, text: str) -> None:
    where = seed(project, Mistake(file, old, new, ""))
    assert found(project) == [f"{where}: {text}"]


def test_setting_that_is_new_in_the_app_is_missing(project: Path) -> None:
    fields = {**Settings.model_fields, "colour": Settings.model_fields["table_name"]}
    (only,) = findings(project / "infra", fields)
    assert str(only) == f"{MAIN}:1: SCIM_COLOUR, which the app reads, is not set; add it to the app's settings"


def test_default_that_is_another_in_the_app_is_found(project: Path) -> None:
    fields = {**Settings.model_fields, "scan_limit": Settings.model_fields["sort_limit"]}
    (only,) = findings(project / "infra", fields)
    assert only.text == "the default of scanLimit is 100000, of SCIM_SCAN_LIMIT 10000; take that"


def test_setting_that_is_gone_from_the_app_is_found(project: Path) -> None:
    fields = {name: field for name, field in Settings.model_fields.items() if name != "scan_limit"}
    (only,) = findings(project / "infra", fields)
    assert only.text == "SCIM_SCAN_LIMIT is no setting of the app; remove it or correct the name"


def test_the_command_prints_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    infra = str(project / "infra")
    assert main([infra]) == 0
    assert capsys.readouterr().out == ""
    where = seed(project, MISTAKES["unused var"])
    assert main([infra]) == 1
    assert capsys.readouterr().out == f"{where}: var more is never used; use or remove it\n"
    assert main([str(project)]) == 2
    assert "has no main.bicep" in capsys.readouterr().err
