"""docs/conformance.md names tests that exist, and all that it is made from."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from dev.conformance import FEATURES, PAGE
from tests.service.test_strict import ROWS

REPOSITORY = Path(__file__).parents[2]


def functions(file: str) -> set[str]:
    """The test functions of a file."""
    tree = ast.parse((REPOSITORY / file).read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


@pytest.mark.parametrize(("feature", "tests"), FEATURES, ids=[feature for feature, _ in FEATURES])
def test_every_feature_names_tests_that_exist(feature: str, tests: list[str]) -> None:
    assert tests
    for test in tests:
        file, _, name = test.partition("::")
        assert name.startswith("test_") and name in functions(file), test


def test_the_page_has_every_feature_and_requirement() -> None:
    """Else run `make conformance` again."""
    page = (REPOSITORY / PAGE).read_text(encoding="utf-8")
    lines = page.splitlines()
    for feature, tests in FEATURES:
        (line,) = [line for line in lines if line.startswith(f"| {feature} |")]
        assert [test for test in tests if test.removeprefix("tests/") not in line] == []
    for row in ROWS:
        assert sum(line.startswith(f"| {row.number} | {row.force} | {row.name} |") for line in lines) == 1
