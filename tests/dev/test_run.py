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
        self.port, self.table_port = free_port(), free_port()
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
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

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
    assert [line.split()[2:5] for line in out.splitlines()] == [
        ["GET", "/scim/Users", status] for status in ("401", "200", "200")
    ]
    assert "Traceback" not in err and "Unclosed" not in err
    assert "/scim/Users" not in err and not any(token in err for token in tokens.values())
    assert not answers(run.port) and not answers(run.table_port) and not azurites(run.table_port)


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
