"""The command line of `python -m scim`: help, progress, and calls that are none."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from scim.operate.tool.tenants import group as tenants
from tests.operate.conftest import Operator
from tests.support import Client

VERBS = ("list", "size", "export", "import", "move", "erase")


# The command line.


async def test_progress_is_shown_on_a_terminal_alone(
    operator: Operator, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.new_user("ada")
    steps = [
        (("export", client.tenant, "a.jsonl"), "Reading rows"),
        (("erase", client.tenant, "--confirm", client.tenant), "Removing rows"),
        (("import", "a.jsonl"), "Making resources"),
        (("list",), "Reading rows"),
    ]
    for arguments, label in steps:
        monkeypatch.setattr("scim.operate.tool.shown.is_watched", lambda: True)
        code, out, err = await operator.command("tenants", *arguments, "--json")
        assert (code, label in err) == (0, True), err
        json.loads(out)
    monkeypatch.setattr("scim.operate.tool.shown.is_watched", lambda: False)
    assert (await operator.command("tenants", "list"))[2] == ""


async def test_what_is_stopped_by_hand_says_so(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    async def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("scim.operate.tool.tenants.size.measure", stopped)
    code, out, err = await operator.command("tenants", "size", "t")
    assert (code, out, err.strip()) == (130, "", "Stopped.")


WRONG = [
    (("tenants", "move", "t"), "Give one of --to-endpoint and --to-connection-string-env"),
    (("tenants", "move", "t", "--to-endpoint", "https://x", "--to-connection-string-env", "Y"), "Give one of"),
    (("tenants", "move", "t", "--to-connection-string-env", "NOT_SET"), "The environment has no NOT_SET"),
    (("tenants", "export", "t"), "Missing argument 'FILE'"),
    (("tenants", "list", "--vault", "https://x", "--local", "y"), "are two places"),
    (("tenants", "list", "--vault", "https://x"), "Where is the table?"),
    (("tenants", "erase", "t", "--table", "https://x"), "Where are the connections that lead to that table?"),
    (("tenants", "frob"), "No such command 'frob'"),
    (("frob",), "No such command 'frob'"),
]


@pytest.mark.parametrize(("arguments", "mention"), WRONG)
async def test_command_line_that_is_none(
    operator: Operator, arguments: tuple[str, ...], mention: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1")
    monkeypatch.setenv("IDENTITY_HEADER", "x")
    assert mention in await operator.refused(*arguments, code=2)


async def test_table_that_does_not_answer(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    away = "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.2:9/x;"
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", away)
    assert "The table does not answer" in await operator.refused("tenants", "list", code=2)


async def test_table_that_is_not_there(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TABLE_NAME", "missing")
    assert "404 TableNotFound" in await operator.refused("tenants", "list", code=2)


async def test_connection_string_that_is_none(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", "hunter2")
    error = await operator.refused("tenants", "list", code=2)
    assert "its address is none" in error and "hunter2" not in error


@pytest.mark.parametrize("verb", ["", *VERBS])
async def test_help(operator: Operator, verb: str) -> None:
    out = await operator.run("tenants", *([verb] if verb else []), "--help")
    assert f"Usage: python -m scim tenants {verb}".strip() in out
    expected = (
        VERBS if not verb else [name for each in tenants.commands[verb].params for name in each.opts if name[0] == "-"]
    )
    assert expected and all(name in out for name in expected)


def test_tool_names_what_is_not_installed(tmp_path: Path) -> None:
    """On a machine that has the app's packages alone."""
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no click', name='click')")
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-m", "scim", "tenants", "list"],
        cwd=root,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, len(done.stderr.splitlines())) == (2, "", 1)
    assert "requirements-operate.txt" in done.stderr
