"""`make test FAST=1`, for while one writes: without what is marked long, and without the files below.

They take the most time, and hold what is seldom broken by chance: tools, templates, crashes, races, bounds. What is
left holds the protocol, rows, the feed, policies and the console.
"""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).parents[1]
LEFT_OUT = {
    "tests/budget": "work of a request",
    "tests/chaos": "crashes and races",
    "tests/conformance": "other people's clients and testers",
    "tests/dev": "make run, bench and the other tools of developers",
    "tests/feed/test_killed.py": "crashes of the feed",
    "tests/feed/test_schedules.py": "the feed in every order of its steps",
    "tests/fuzz": "fuzzing",
    "tests/infra": "templates and deployment",
    "tests/operate": "the operator's command line",
    "tests/rehearse": "make rehearse",
    "tests/security/test_assertions.py": "assertions of every kind",
    "tests/security/test_rotation.py": "rotation",
    "tests/security/test_secrets.py": "secrets, as commands show them",
    "tests/security/test_tool.py": "python -m scim connections",
    "tests/security/test_two_operators.py": "two operators at once",
    "tests/security/test_vault.py": "Key Vault that fails",
    "tests/service/test_bounds.py": "limits of requests",
    "tests/service/test_faults.py": "a table that fails",
    "tests/service/test_strict.py": "strict connections",
    "tests/store/test_census.py": "processes with other indexes",
    "tests/store/test_credentials.py": "notes of use",
    "tests/store/test_late_copies.py": "requests that arrive twice",
    "tests/store/test_lost_answers.py": "answers that are lost",
    "tests/store/test_pending.py": "operations that are cut short",
    "tests/store/test_sequences.py": "changes of many members",
    "tests/store/test_table.py": "the table in each of its forms",
    "tests/store/test_walls.py": "tenants that hold each other up",
    "tests/test_readme.py": "commands that the docs print",
    "tests/worker": "the worker of Azure Functions",
}
"""Folders and files, and what they hold."""


def is_left_out(path: Path) -> bool:
    """Return whether a file or folder of tests is one that takes long."""
    return path.is_relative_to(ROOT) and path.relative_to(ROOT).as_posix() in LEFT_OUT


def describe() -> list[str]:
    """Return what to say of it when the tests begin."""
    return ["fast: without tests marked long, and without", *(f"  {p}: {what}" for p, what in LEFT_OUT.items())]
