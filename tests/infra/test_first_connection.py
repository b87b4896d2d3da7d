"""The hook of azd: it makes one connection, once, and has patience with a vault that does not know the deployer yet."""

from __future__ import annotations

import importlib.util
import json
import os
import pty
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from tests.infra.conftest import ROOT

SCRIPT = ROOT / "infra/hooks/first_connection.py"
VAULT, URL = "https://kv-x.vault.azure.net", "https://func-x.azurewebsites.net/scim"
ENVIRONMENT = {
    "SCIM_KEY_VAULT_URL": VAULT,
    "SCIM_TENANT_URL": URL,
    "SCIM_VNET_ENABLED": "false",
    "SCIM_CONNECTION": "contoso",
}
LIST = ["py", "-m", "scim", "connections", "list", "--vault", VAULT, "--json"]
ADD = ["py", "-m", "scim", "connections", "add", "contoso", "--vault", VAULT, "--url", URL]
FORBIDDEN = (1, "", "Key Vault: HttpResponseError 403: Forbidden")
EMPTY = (0, "[]", "")
MADE = (0, "Secret token: x\n", "")


@pytest.fixture(scope="module")
def hook() -> ModuleType:
    spec = importlib.util.spec_from_file_location("first_connection", SCRIPT)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Commands:
    """Answers commands with what is given, in order, and remembers them."""

    def __init__(self, *answers: tuple[int, str, str]) -> None:
        self._answers: Iterator[tuple[int, str, str]] = iter(answers)
        self.ran: list[list[str]] = []
        self.paused: list[float] = []

    def ask(self, question: str) -> str:
        """Nothing was to be asked."""
        raise AssertionError(question)

    def run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        self.ran.append(command)
        code, out, err = next(self._answers)
        return subprocess.CompletedProcess(command, code, out, err)


def test_first_connection_is_made_and_printed(hook: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands(EMPTY, MADE)
    assert hook.connect("py", ENVIRONMENT, commands.run, commands.paused.append, commands.ask, terminal=True) == 0
    assert commands.ran == [LIST, [*ADD, "--print-secret"]]
    assert commands.paused == []
    assert capsys.readouterr().out == "Secret token: x\n"


PIPELINES: dict[str, tuple[dict[str, str], bool]] = {
    "no terminal": ({}, False),
    "a pipeline": ({"CI": "true"}, False),
    "a pipeline with a terminal": ({"CI": "true"}, True),
    "GitHub": ({"GITHUB_ACTIONS": "true"}, True),
    "Azure Pipelines": ({"TF_BUILD": "True"}, True),
}


@pytest.mark.parametrize(("variables", "terminal"), PIPELINES.values(), ids=PIPELINES)
def test_a_pipeline_gets_no_secret(
    hook: ModuleType, capsys: pytest.CaptureFixture[str], variables: dict[str, str], terminal: bool
) -> None:
    """The deployment goes on, and says what to run."""
    commands = Commands(EMPTY)
    environment = {**ENVIRONMENT, **variables}
    assert hook.connect("py", environment, commands.run, commands.paused.append, commands.ask, terminal=terminal) == 0
    assert commands.ran == [LIST]
    assert " ".join(ADD) in capsys.readouterr().out


UNNAMED = {name: value for name, value in ENVIRONMENT.items() if name != "SCIM_CONNECTION"}


def test_its_name_is_asked_for(hook: ModuleType) -> None:
    """The name stays for good, as the tenant's: so it is not ours to choose."""
    commands, typed = Commands(EMPTY, MADE), iter(["Contoso Ltd", " fabrikam "])
    questions = []

    def ask(question: str) -> str:
        questions.append(question)
        return next(typed)

    hook.connect("py", UNNAMED, commands.run, commands.paused.append, ask, terminal=True)
    assert commands.ran[1][5] == "fabrikam"
    assert "for good" in questions[0] and "'Contoso Ltd' is no name" in questions[1]


def test_no_name_makes_no_connection(hook: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands(EMPTY)
    assert hook.connect("py", UNNAMED, commands.run, commands.paused.append, lambda _: "", terminal=True) == 0
    assert commands.ran == [LIST]
    assert f"add NAME --vault {VAULT} --url {URL}" in capsys.readouterr().out


def test_a_second_run_makes_nothing(hook: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands((0, json.dumps([{"name": "contoso"}]), ""))
    assert hook.connect("py", ENVIRONMENT, commands.run, commands.paused.append, commands.ask, terminal=True) == 0
    assert commands.ran == [LIST]
    out = capsys.readouterr().out
    assert "already (contoso)" in out
    assert f"add NAME --vault {VAULT} --url {URL}" in out


def test_a_role_that_does_not_work_yet_is_waited_for(hook: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands(FORBIDDEN, FORBIDDEN, EMPTY, FORBIDDEN, EMPTY, MADE)
    assert hook.connect("py", ENVIRONMENT, commands.run, commands.paused.append, commands.ask, terminal=True) == 0
    assert commands.ran == [LIST, LIST, LIST, [*ADD, "--print-secret"], LIST, [*ADD, "--print-secret"]]
    assert commands.paused == [hook.PAUSE] * 3
    assert "Forbidden: trying again" in capsys.readouterr().err


def test_patience_ends_with_the_error_and_the_command(hook: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    commands = Commands(*[FORBIDDEN] * hook.TRIES)
    assert hook.connect("py", ENVIRONMENT, commands.run, commands.paused.append, commands.ask, terminal=True) == 1
    assert sum(commands.paused) >= 9 * 60, "a role may take ten minutes to work"
    last = capsys.readouterr().err.splitlines()[-2:]
    assert "no connection was made: Key Vault: HttpResponseError 403: Forbidden" in last[0]
    assert "The app is deployed all the same" in last[0]
    assert last[1].strip() == " ".join(ADD)


def test_a_vault_in_a_virtual_network_does_not_stop_the_deployment(
    hook: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    commands = Commands(FORBIDDEN)
    environment = {**ENVIRONMENT, "SCIM_VNET_ENABLED": "true"}
    assert hook.connect("py", environment, commands.run, commands.paused.append, commands.ask, terminal=True) == 0
    assert commands.paused == [], "a vault that is closed does not open by waiting"
    assert " ".join(ADD) in capsys.readouterr().out


def test_it_signs_in_as_azd_does(hook: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    command = [sys.executable, "-c", "import os; print(os.environ['AZURE_TOKEN_CREDENTIALS'])"]
    monkeypatch.delenv("AZURE_TOKEN_CREDENTIALS", raising=False)
    assert hook._run(command).stdout == "AzureDeveloperCliCredential\n"
    monkeypatch.setenv("AZURE_TOKEN_CREDENTIALS", "dev")
    assert hook._run(command).stdout == "dev\n"


def test_it_says_what_is_not_set() -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
    done = subprocess.run([sys.executable, SCRIPT], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "SCIM_KEY_VAULT_URL, SCIM_TENANT_URL is not set: run azd provision" in done.stderr


def test_as_azd_runs_it(hook: ModuleType, tmp_path: Path) -> None:
    """In a project of its own, whose connections are a stand-in: the environment is made, and the tool runs in it."""
    tool = tmp_path / "scim" / "__main__.py"
    tool.parent.mkdir(parents=True)
    tool.write_text("import sys\nprint('[]' if sys.argv[2] == 'list' else 'in ' + sys.prefix)\n")
    (tmp_path / "requirements-operate.txt").write_text("")
    shutil.copytree(SCRIPT.parent, tmp_path / "infra" / "hooks")
    environment = {**os.environ, **ENVIRONMENT}
    command = [sys.executable, "infra/hooks/first_connection.py"]
    environment = {name: value for name, value in environment.items() if name not in hook.PIPELINES}
    piped = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (piped.returncode, "in a terminal only" in piped.stdout) == (0, True), piped.stderr
    terminal, other_end = pty.openpty()
    try:
        done = subprocess.run(
            command, cwd=tmp_path, env=environment, stdout=other_end, stderr=subprocess.PIPE, check=False
        )
        printed = os.read(terminal, 10_000).decode()
    finally:
        os.close(terminal)
        os.close(other_end)
    assert done.returncode == 0, done.stderr
    assert Path(printed.removeprefix("in ").strip()).samefile(tmp_path / ".venv")
