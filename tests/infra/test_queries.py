"""The queries through Microsoft's own analysis of Kusto, as they stand and as the alerts run them."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from dev.azurite import find_node
from dev.bicep.queries import read_rules
from dev.bicep.snapshots import read_snapshots
from tests.core import cases
from tests.infra.conftest import ROOT

QUERIES = {path.stem: path.read_text() for path in sorted((ROOT / "infra/queries").glob("*.kql"))}
RULES = {rule.name: rule for rule in read_rules(read_snapshots(ROOT / "infra"))}
NUMBERS = {"long", "int", "real"}
FAULTS = {
    "reserved name": ("latest = max", "last = max", "line 17: The name 'last' needs to be bracketed"),
    "unknown function": ("take_any(", "take_one(", "line 18: The name 'take_one' does not refer to any known function"),
    "bracket too few": ("status >= 400)", "status >= 400", "line 9: "),
    "string without an end": ('"(unknown)"', '"(unknown)', "line 19: "),
    "unknown column": (
        "max(timestamp)",
        "max(moment)",
        "line 17: The name 'moment' does not refer to any known column",
    ),
}
AUTH = QUERIES["auth-failures"]


@pytest.fixture(scope="module")
def answers() -> dict[str, dict[str, Any]]:
    """By name, the columns of each query with their types, and what is wrong with it; those with faults too."""
    faulty = {f"fault {name}": AUTH.replace(old, new, 1) for name, (old, new, _) in FAULTS.items()}
    alerts = {f"alert {name}": rule.query for name, rule in RULES.items()}
    text = json.dumps({**QUERIES, **alerts, **faulty})
    command = [find_node(), "dev/bicep/kql.js"]
    done = subprocess.run(command, cwd=ROOT, input=text, capture_output=True, text=True, check=False)
    if "Cannot find module '@kusto" in done.stderr:
        pytest.skip("the Kusto language service is not installed in dev/node_modules")
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, Any]] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("name", QUERIES)
def test_a_query_is_kusto(answers: dict[str, dict[str, Any]], name: str) -> None:
    assert answers[name]["problems"] == []
    assert answers[name]["columns"]


@pytest.mark.parametrize("name", RULES)
def test_an_alert_compares_numbers_for_each_text(answers: dict[str, dict[str, Any]], name: str) -> None:
    found, rule = answers[f"alert {name}"], RULES[name]
    assert found["problems"] == []
    assert found["columns"][rule.column] in NUMBERS
    assert rule.dimension == "" or found["columns"][rule.dimension] == "string"


@pytest.mark.parametrize(("name", "problem"), cases({name: (name, row[2]) for name, row in FAULTS.items()}))
def test_a_fault_is_told(answers: dict[str, dict[str, Any]], name: str, problem: str) -> None:
    problems = answers[f"fault {name}"]["problems"]
    assert any(text.startswith(problem) for text in problems), problems


def test_a_rule_runs_the_query_and_its_clause() -> None:
    assert len(RULES) >= 6
    assert RULES["auth-failures"].query == f"{AUTH}| where proven"
