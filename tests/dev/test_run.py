"""`python -m dev.run` starts the app with Azurite, says how to call it, and leaves nothing behind."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from azure.data.tables import TableServiceClient

from dev import azurite
from dev.azurite import Azurite, StartError, free_port
from dev.credentials import SEALS, new_key

REPOSITORY = Path(__file__).parents[2]
FILES = ("host.json", "local.settings.sample.json")


class Run:
    """`python -m dev.run` in a folder, on two free ports; `settings` are more environment variables."""

    def __init__(self, folder: Path, **settings: str) -> None:
        self.folder = folder
        self.port, self.table_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}/scim"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
        ports = {"PORT": str(self.port), "TABLE_PORT": str(self.table_port)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run"],
            cwd=folder,
            env={**inherited, **ports, "MEMORY": "1", "PYTHONPATH": str(REPOSITORY), **settings},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def lines(self, count: int) -> list[str]:
        """The next lines of standard output."""
        assert self.process.stdout
        return [self.process.stdout.readline().rstrip("\n") for _ in range(count)]

    def errors(self, last: str) -> str:
        """What standard error has up to the line `last`."""
        assert self.process.stderr
        return "".join(iter(self.process.stderr.readline, f"{last}\n"))

    def call(self, path: str, token: str, body: object = None) -> tuple[int, bytes]:
        """GET a path under the tenant URL, or POST the body; status and body of the answer."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(f"http://127.0.0.1:{self.port}/scim{path}", data, headers), timeout=10) as response:
                return response.status, response.read()
        except HTTPError as error:
            with error:
                return error.code, error.read()

    def end(self, number: signal.Signals | None = None) -> tuple[int, str, str]:
        """Send a signal, if one is given, and wait; exit code, and what is left on standard output and error."""
        if number:
            self.process.send_signal(number)
        assert self.process.stdout and self.process.stderr
        patience = threading.Timer(20, self.process.kill)
        patience.start()
        out, err = self.process.stdout.read(), self.process.stderr.read()  # what lines() has buffered, too
        code = self.process.wait()
        patience.cancel()
        return code, out, err

    def kill(self) -> None:
        self.process.kill()
        for stream in (self.process.stdout, self.process.stderr):
            if stream:
                stream.close()
        self.process.wait()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An app's folder before its first run."""
    for name in FILES:
        shutil.copy(REPOSITORY / name, tmp_path)
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Callable[..., Run]]:
    """Starts runs in the folder, and ends them however the test ends."""
    runs: list[Run] = []

    def start(**settings: str) -> Run:
        runs.append(Run(folder, **settings))
        return runs[-1]

    yield start
    for run in runs:
        run.kill()


def write_settings(folder: Path, text: str) -> None:
    (folder / "local.settings.json").write_text(text)


def answers(port: int) -> bool:
    """Whether anything listens on the port."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def azurites(table_port: int) -> list[str]:
    """The processes that are Azurite on that port."""
    found = []
    for command in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            arguments = command.read_bytes().split(b"\0")
        except OSError:  # it ended meanwhile
            continue
        if str(table_port).encode() in arguments:
            found.append(command.parent.name)
    return found


def eventually(condition: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 5
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_first_run(number: signal.Signals, folder: Path, start: Callable[..., Run]) -> None:
    run = start()
    tokens = {}
    bases = {"contoso": "/scim", "fabrikam": "/scim", "application": "/tenants/<tenant>/scim"}
    for line, (tenant, path) in zip(run.lines(3), bases.items(), strict=True):
        found = re.fullmatch(rf"{tenant} http://127\.0\.0\.1:{run.port}{path} (scim_{tenant}_\w+)", line)
        assert found, line
        tokens[tenant] = found[1]

    settings = folder / "local.settings.json"
    assert stat.S_IMODE(settings.stat().st_mode) == 0o600
    connections = json.loads(json.loads(settings.read_text())["Values"]["SCIM_CONNECTIONS"])
    operator = {"tenants": "*", "rights": ["feed", "read", "manage"]}
    assert connections.pop("application") == {"operator": operator, "keys": [tokens.pop("application")]}
    assert connections == {
        name: {"tenant": name, "kind": "api-key", "access": "write", "keys": [token]} for name, token in tokens.items()
    }

    assert run.call("/Users?filter=secret", "nonsense")[0] == 401
    assert run.call("/Users", tokens["contoso"])[0] == 200
    assert run.call("/Users", tokens["fabrikam"])[0] == 200
    assert len(azurites(run.table_port)) == 1

    began = time.monotonic()
    code, out, err = run.end(number)
    assert (code, time.monotonic() - began < 3) == (0, True)
    block, _, requests = out.partition("Ctrl-C\n\n")
    assert f"curl -H 'Authorization: Bearer {tokens['contoso']}' '{run.url}/Users?filter=" in block
    assert f"make rehearse ARGS='{run.url} {tokens['contoso']}'" in block
    assert re.search(rf"http://127\.0\.0\.1:{run.port}/console/invitation#\S+", block)
    told = [re.sub(r"\d+ ms", "N ms", line).split(maxsplit=1)[1] for line in requests.splitlines()]
    assert told == [
        "- GET /scim/Users 401 N ms  malformed",
        "contoso GET /scim/Users 200 N ms",
        "fabrikam GET /scim/Users 200 N ms",
    ]
    assert re.search(r"^Ready in [\d.]+ s\.", err, re.M)
    assert "  connection contoso: secret token, may write, active, never ends\n" in err
    assert "Traceback" not in err and "Unclosed" not in err
    assert "/scim/Users" not in err and not any(token in err for token in tokens.values())
    assert not answers(run.port) and not answers(run.table_port) and not azurites(run.table_port)


def test_with_a_public_url_all_that_is_printed_leads_there(start: Callable[..., Run]) -> None:
    run = start(SCIM_PUBLIC_URL="https://tunnel.example/scim")
    assert all("https://tunnel.example/" in line for line in run.lines(3))
    _, out, err = run.end(signal.SIGTERM)
    assert "https://tunnel.example/console/invitation#" in out and "127.0.0.1" not in out
    assert f"Served at http://127.0.0.1:{run.port} for https://tunnel.example, which has to lead there" in err


def test_keys_and_data_survive_a_restart(start: Callable[..., Run]) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "babs@example.com"}
    run = start(MEMORY="")
    _, _, token = run.lines(1)[0].split()
    status, body = run.call("/Users", token, user)
    assert status == 201, body
    assert run.end(signal.SIGTERM)[0] == 0

    run = start(MEMORY="")
    assert run.lines(1)[0].split()[2] == token
    status, again = run.call(f"/Users/{json.loads(body)['id']}", token)
    assert (status, json.loads(again)["userName"]) == (200, "babs@example.com")
    assert run.end(signal.SIGTERM)[0] == 0


def test_environment_goes_before_the_file(start: Callable[..., Run]) -> None:
    key = new_key("acme")
    connection = {"tenant": "acme", "keys": [f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"]}
    run = start(SCIM_CONNECTIONS=json.dumps({"acme": connection}), SCIM_SEALS=SEALS)
    assert run.lines(1) == [f"acme http://127.0.0.1:{run.port}/scim -"]
    assert run.call("/Users", key)[0] == 200
    assert run.end(signal.SIGTERM)[0] == 0


def test_stop_while_starting(start: Callable[..., Run]) -> None:
    run = start()
    stderr: IO[str] | None = run.process.stderr
    assert stderr
    while "Starting Azurite" not in stderr.readline():
        pass
    code, out, err = run.end(signal.SIGTERM)
    assert (code, out) == (0, "")
    assert "Traceback" not in err
    assert not azurites(run.table_port)


def test_azurite_ends_with_a_killed_run(start: Callable[..., Run]) -> None:
    run = start()
    run.lines(2)
    assert answers(run.table_port)
    run.end(signal.SIGKILL)
    assert eventually(lambda: not answers(run.table_port) and not azurites(run.table_port))


@pytest.mark.parametrize("variable", ["PORT", "TABLE_PORT"])
def test_port_in_use(variable: str, folder: Path, start: Callable[..., Run]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, out, err = start(**{variable: str(port)}).end()
    assert (code, out) == (1, "")
    assert re.fullmatch(rf"port {port} cannot be used \(.+\); set {variable} to another one\n", err)
    assert not (folder / "local.settings.json").exists()


@pytest.mark.parametrize("port", ["", "0", "70000", "http"])
def test_bad_port(port: str, start: Callable[..., Run]) -> None:
    assert start(PORT=port).end() == (1, "", f"PORT must be a port number from 1 to 65535, not {port!r}\n")


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ("{", "cannot be read"),
        ("[]", "must hold a JSON object"),
        ("{}", "Values must be an object"),
        ('{"Values": []}', "Values must be an object"),
        ('{"Values": {"SCIM_PAGE_SIZE": 5}}', "SCIM_PAGE_SIZE must be a string"),
        ('{"IsEncrypted": true, "Values": {}}', "IsEncrypted must be false"),
        ('{"Values": {"SCIM_CONNECTIONS": "{"}}', "SCIM_CONNECTIONS"),
        ('{"Values": {"SCIM_PAGE_SIZE": "many"}}', "SCIM_PAGE_SIZE"),
        ('{"Values": {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "8 MB"}}', "must be a number of bytes, not '8 MB'; set it"),
        ('{"Values": {"FUNCTIONS_REQUEST_BODY_SIZE_LIMIT": "1048576"}}', "Set it to 8454144"),
    ],
)
def test_broken_settings(settings: str, complaint: str, folder: Path, start: Callable[..., Run]) -> None:
    write_settings(folder, settings)
    code, out, err = start().end()
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert complaint in err


@pytest.mark.parametrize(("version", "complaint"), [(None, "no `node` on PATH"), ("v18.20.4", "is v18.20.4")])
def test_node_is_missing_or_old(version: str | None, complaint: str, tmp_path: Path, start: Callable[..., Run]) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    if version:
        (path / "node").write_text(f"#!/bin/sh\necho {version}\n")
        (path / "node").chmod(0o755)
    code, out, err = start(PATH=str(path)).end()
    assert (code, out, err.count("\n")) == (1, "", 1), err
    assert "Node.js 20 or newer is needed" in err and complaint in err


def test_data_is_one_runs_alone(folder: Path, start: Callable[..., Run]) -> None:
    """A second run would overwrite what the first one saves; with MEMORY=1 it may run beside it."""
    first = start(MEMORY="")
    first.lines(1)
    code, out, err = start(MEMORY="").end()
    assert (code, out) == (1, "")
    assert err == (
        f"another make run (process {first.process.pid}, http://127.0.0.1:{first.port}) uses the data in .azurite:"
        " stop it, or run beside it with MEMORY=1, PORT and TABLE_PORT\n"
    )
    second = start()
    second.lines(1)
    runs = {int(file.stem) for file in (folder / ".azurite/runs").iterdir()}
    assert runs == {first.port, second.port}
    assert second.end(signal.SIGTERM)[0] == 0
    first.end(signal.SIGKILL)
    third = start(MEMORY="")
    assert third.lines(1)[0].startswith("contoso ")
    assert third.end(signal.SIGTERM)[0] == 0


def run_tool(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
    return subprocess.run(
        [sys.executable, "-m", "scim", *arguments],
        cwd=folder,
        env={**environment, "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_tool_works_on_what_is_served(folder: Path, start: Callable[..., Run]) -> None:
    """Whatever the ports are, and the app serves a second later what the tool made."""
    run = start()
    _, _, token = run.lines(1)[0].split()
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "babs@example.com"}
    assert run.call("/Users", token, user)[0] == 201
    assert "is here since" in run_tool(folder, "why", "contoso", "babs@example.com").stdout
    made = run_tool(folder, "connections", "add", "acme", "--print-secret")
    assert run.url in made.stdout, made.stderr
    key = re.search(r"scim_acme_\w+", made.stdout)
    assert key and eventually(lambda: run.call("/Users", key[0])[0] == 200)
    assert run.end(signal.SIGTERM)[0] == 0
    assert not list((folder / ".azurite/runs").iterdir())
    after = run_tool(folder, "why", "contoso", "babs@example.com")
    assert after.returncode == 2 and "is make run under way?" in after.stderr


def test_no_connection(folder: Path, start: Callable[..., Run]) -> None:
    """The sample's settings as they are: ready, and what to do."""
    shutil.copy(folder / "local.settings.sample.json", folder / "local.settings.json")
    run = start()
    assert run.lines(1) == [""]
    code, out, err = run.end(signal.SIGTERM)
    assert code == 0 and "Stop" in out
    assert "There is no connection yet: .venv/bin/python -m scim connections add NAME" in err


def test_states_are_told(folder: Path, start: Callable[..., Run]) -> None:
    """A paused one is marked, and of two tokens in a rotation the newer one is printed."""
    run = start()
    run.lines(3)
    new = run_tool(folder, "connections", "rotate", "contoso", "--recoverable", "--print-secret", "--json")
    assert run_tool(folder, "connections", "pause", "fabrikam").returncode == 0
    run.end(signal.SIGTERM)
    run = start()
    assert run.lines(1)[0].split()[2] == json.loads(new.stdout)["enter"]["Secret Token"]
    run.lines(2)
    _, _, err = run.end(signal.SIGTERM)
    assert "connection contoso: secret token, may write, rotating" in err and "this is the newer token" in err
    assert "connection fabrikam: secret token, may write, paused since" in err


def test_a_slip_of_the_pen_in_a_setting_is_told_at_start(start: Callable[..., Run]) -> None:
    run = start(SCIM_PAGESIZE="5", SCIM_COLOUR="red")
    run.lines(1)
    _, _, err = run.end(signal.SIGTERM)
    assert "WARNING: there is no setting SCIM_PAGESIZE: did you mean SCIM_PAGE_SIZE?\n" in err
    assert "WARNING: there is no setting SCIM_COLOUR: docs/settings.md lists all.\n" in err


def test_azurite_that_dies_ends_the_run(start: Callable[..., Run]) -> None:
    run = start()
    run.lines(3)
    (process,) = azurites(run.table_port)
    os.kill(int(process), signal.SIGKILL)
    code, _, err = run.end()
    assert code == 1
    assert err.endswith(
        "Azurite ended by itself (exit code -9), and the app has no table without it: start make run again\n"
    )


def test_events_as_the_app_logs_them(start: Callable[..., Run]) -> None:
    run = start(LOG="json")
    _, _, token = run.lines(3)[0].split()
    assert run.call("/Users", token)[0] == 200
    _, out, err = run.end(signal.SIGTERM)
    (event,) = (json.loads(line) for line in out.splitlines() if line.startswith("{"))
    assert (event["event"], event["tenant"], event["operation"], event["status"]) == (
        *("request", "contoso", "GET Users", 200),
    )
    assert '"event"' not in err


def test_reload(folder: Path, start: Callable[..., Run]) -> None:
    """Changed settings and code are served, with the data of before; an app that fails is tried again."""
    code = folder / "function_app.py"
    shutil.copy(REPOSITORY / "function_app.py", code)
    run = start(RELOAD="1")
    _, _, token = run.lines(1)[0].split()
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "babs@example.com"}
    assert run.call("/Users", token, user)[0] == 201

    def count() -> int | None:
        """How many users there are; None while nobody answers."""
        try:
            return int(json.loads(run.call("/Users", token)[1])["totalResults"])
        except OSError:
            return None

    code.write_text("raise RuntimeError('broken')\n")
    told = run.errors("The app ended: it is started anew when something changes")
    assert "function_app.py changed: starting the app anew" in told and "RuntimeError: broken" in told
    assert count() is None
    code.write_text((REPOSITORY / "function_app.py").read_text())
    assert eventually(lambda: count() == 1)
    exit_code, out, _ = run.end(signal.SIGTERM)
    assert exit_code == 0 and "http://127.0.0.1" in out and token not in out.partition("Ctrl-C")[2]
    assert not answers(run.port) and not azurites(run.table_port)


def test_azurite() -> None:
    with Azurite() as started:
        started.create_table("things")
        started.create_table("things")
        with TableServiceClient.from_connection_string(started.connection_string) as service:
            assert [table.name for table in service.list_tables()] == ["things"]
            service.get_table_client("things").create_entity({"PartitionKey": "p", "RowKey": "r"})
    assert not answers(started.port) and not azurites(started.port)
    started.stop()


def test_azurite_on_a_port_in_use() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartError, match=f"did not start on port {port}: .*EADDRINUSE"), Azurite(port=port):
            pytest.fail("it started")
    assert not azurites(port)


def test_azurite_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(azurite, "_MAIN", tmp_path / "main.js")
    with pytest.raises(StartError, match="npm ci --prefix dev"), Azurite():
        pytest.fail("it started")
