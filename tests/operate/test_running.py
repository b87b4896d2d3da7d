"""The tool finds what `make run` serves: its table, its address, and that it is not under way."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from dev.azurite import Azurite, free_port
from scim.operate.errors import PlaceError
from scim.operate.place import Place
from scim.operate.running import RUNS, find_run
from scim.operate.tool.main import main
from tests.conftest import TABLE


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings as `make run` makes them, which is the current one; no settings in the environment."""
    values = {"SCIM_TABLE_CONNECTION_STRING": "UseDevelopmentStorage=true", "SCIM_TABLE_NAME": TABLE}
    (tmp_path / "local.settings.json").write_text(json.dumps({"Values": values}))
    monkeypatch.chdir(tmp_path)
    for name in ("SCIM_TABLE_CONNECTION_STRING", "SCIM_TABLE_ENDPOINT", "SCIM_TENANT_URL", "SCIM_PUBLIC_URL", "PORT"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.fixture
def ports() -> Iterator[list[int]]:
    """Two ports that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as two:
        yield [one.getsockname()[1], two.getsockname()[1]]


def note(folder: Path, port: int, connection_string: str = "TableEndpoint=x", **more: str) -> None:
    (folder / RUNS).mkdir(parents=True, exist_ok=True)
    text = {"port": port, "process": 1, "origin": f"http://127.0.0.1:{port}", "connection_string": connection_string}
    text |= more
    (folder / RUNS / f"{port}.json").write_text(json.dumps(text))


def test_the_run_that_serves_is_found(folder: Path, ports: list[int]) -> None:
    note(folder, ports[0])
    note(folder, free_port())  # of a run that was killed
    (folder / RUNS / "1.json").write_text("{")
    run = find_run(folder, {})
    assert run is not None and run.port == ports[0]
    assert Place().environment["SCIM_TABLE_CONNECTION_STRING"] == "TableEndpoint=x"
    assert Place().origin == f"http://127.0.0.1:{ports[0]}"


def test_what_is_printed_leads_through_the_tunnel(folder: Path, ports: list[int]) -> None:
    note(folder, ports[0], public_origin="https://tunnel.example")
    assert Place().origin == "https://tunnel.example"


def test_of_two_runs_the_port_tells_which(folder: Path, ports: list[int]) -> None:
    for port in ports:
        note(folder, port)
    run = find_run(folder, {"PORT": str(ports[1])})
    assert run is not None and run.port == ports[1]
    first, second = sorted(ports)
    with pytest.raises(PlaceError, match=f"on the ports {first} and {second}: set PORT"):
        find_run(folder, {"PORT": "80"})


def test_no_run(folder: Path) -> None:
    assert find_run(folder, {}) is None
    assert Place().origin == "http://127.0.0.1:7071"


def test_the_environment_goes_before_the_run(folder: Path, ports: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    note(folder, ports[0])
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", "TableEndpoint=y")
    monkeypatch.setenv("SCIM_PUBLIC_URL", "https://tunnel.example/scim")
    assert Place().environment["SCIM_TABLE_CONNECTION_STRING"] == "TableEndpoint=y"
    assert Place().origin == "https://tunnel.example"


def test_commands_reach_the_table_of_the_run(
    folder: Path, azurite: Azurite, capsys: pytest.CaptureFixture[str], ports: list[int]
) -> None:
    note(folder, ports[0], azurite.connection_string)
    assert main(["connections", "add", "acme", "--print-secret"]) == 0
    assert f"http://127.0.0.1:{ports[0]}/scim" in capsys.readouterr().out
    assert main(["connections", "list"]) == 0
    shown = capsys.readouterr()
    assert "never" in shown.out and "not known" not in shown.out + shown.err


@pytest.mark.parametrize("command", [("tenants", "list"), ("why", "contoso", "babs"), ("console", "links")])
def test_a_table_that_is_not_there_is_said_in_one_line(
    folder: Path, command: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    port = free_port()
    settings = json.loads((folder / "local.settings.json").read_text())
    text = Azurite(port=port).connection_string
    settings["Values"]["SCIM_TABLE_CONNECTION_STRING"] = text
    (folder / "local.settings.json").write_text(json.dumps(settings))
    assert main(list(command)) == 2
    error = f"Nothing answers at 127.0.0.1:{port}, where the table is: is make run under way?"
    assert error in capsys.readouterr().err


def test_uses_are_not_known_without_the_table(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    settings = json.loads((folder / "local.settings.json").read_text())
    settings["Values"]["SCIM_TABLE_CONNECTION_STRING"] = Azurite(port=free_port()).connection_string
    (folder / "local.settings.json").write_text(json.dumps(settings))
    assert main(["connections", "add", "acme", "--print-secret"]) == 0
    assert main(["connections", "show", "acme"]) == 0
    shown = capsys.readouterr()
    assert "uses not known" in shown.out and "is make run under way?" in shown.err
