"""`python -m dev.run` (what `make run` runs): the app of the current folder with Azurite, until SIGINT or SIGTERM.

Reads `local.settings.json` as the Functions Core Tools do: its Values become environment variables unless the
environment has them already. The first run makes that file, with a fresh API key for each of two tenants, and one for
an application that reads both. The app's table is always the one in Azurite.

PORT (7071) is where the app listens, TABLE_PORT (10002) where Azurite does; MEMORY=1 keeps no data on disk.

Standard output carries one line for each connection, `<tenant> <tenant URL> <token>`, once requests are served, then
one line for each request. An operator's connection has its own name in place of a tenant's, and `<tenant>` in its URL.
Everything else goes to standard error, a link to the console among it. What the tool or the console changes in
`local.settings.json` is served a second later. The token is `-` where it is not ours to print: a connection without an
API key, or with only the key's sha256. Exit code 0 after a signal; 1, and one line, where something is missing or in
the way.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import logging
import os
import re
import signal
import socket
import sys
from pathlib import Path
from types import FrameType
from typing import Any

import scim
from dev.azurite import Azurite, StartError, find_node
from dev.host import BODY_LIMIT, Host, read_body_limit, read_custom_headers, read_route_prefix, serve
from scim.schema.loading import SchemaError, load
from scim.security.connections import Connection
from scim.settings import Settings, SettingsError, find_body_limit_problem

_SETTINGS = Path("local.settings.json")
_SAMPLE = Path("local.settings.sample.json")
_LIVE = ("SCIM_CONNECTIONS", "SCIM_SEALS", "SCIM_SIGNING_KEYS", "SCIM_SINKS")
"""Settings that the tool and the console write."""
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def main() -> int:
    """Run until a signal; the exit code."""
    _set_up_logging()
    for number in _SIGNALS:
        signal.signal(number, _exit)
    try:
        _run()
    except (StartError, SettingsError, SchemaError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    port, table_port = _port("PORT", 7071), _port("TABLE_PORT", 10002)
    memory = os.environ.get("MEMORY") == "1"
    find_node()
    if not _SETTINGS.exists():
        create_settings()
    values = _read_values()
    _renew_keys(values)
    for name, value in values.items():
        os.environ.setdefault(name, value)
    azurite = Azurite(port=table_port, memory=memory)
    os.environ["SCIM_TABLE_CONNECTION_STRING"] = azurite.connection_string
    os.environ.pop("SCIM_TABLE_ENDPOINT", None)
    os.environ.setdefault("SCIM_CONSOLE", "true")
    settings = Settings.from_environment()
    _check_body_limit(settings)
    load(Path(scim.__file__).parent.parent / settings.schemas_folder)  # as the app does at its first request
    _say(f"Starting Azurite on port {table_port}, data in {'memory' if memory else '.azurite'}")
    with azurite:
        azurite.create_table(settings.table_name)
        asyncio.run(_serve(settings, port))


def _check_body_limit(settings: Settings) -> None:
    """StartError if the host would refuse, without a text, a body that the app takes; a hint if it has no limit."""
    try:
        read_body_limit(os.environ)
    except ValueError as error:
        raise StartError(f"{error}; set it to {settings.wanted_body_limit()}") from None
    problem = find_body_limit_problem(os.environ, settings)
    if problem is not None:
        raise StartError(problem)
    if BODY_LIMIT not in os.environ:
        _say(
            f"{_SETTINGS} has no {BODY_LIMIT}: this host, as the one in Azure would, reads bodies of up to 100 MB; "
            f"add it with {settings.wanted_body_limit()}"
        )


async def _serve(settings: Settings, port: int) -> None:
    """Serve the app until a signal comes, then stop it."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in _SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    function_app = importlib.import_module("function_app")
    prefix, headers = read_route_prefix(Path("host.json")), read_custom_headers(Path("host.json"))
    try:
        runner = await serve(Host(function_app.app, route_prefix=prefix), port, headers)
    except OSError as error:
        raise StartError(f"port {port} cannot be served ({error.strerror}); set PORT to another one") from None
    base = f"http://127.0.0.1:{port}" + (f"/{prefix}" if prefix else "")
    for connection in settings.connections.values():
        url = f"{base}/scim" if connection.tenant else f"{base}/tenants/<tenant>/scim"
        print(connection.tenant or connection.name, url, _token(connection), flush=True)
    if settings.console:
        _say(f"Console, for whoever opens this first: {await _invite(settings, base)}")
    watching = asyncio.create_task(_watch(function_app))
    await stopped.wait()
    watching.cancel()
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # what follows is short, and a second signal must not cut it off
    await runner.cleanup()
    application = getattr(function_app, "application", None)
    if application is not None:
        await application.close()


async def _invite(settings: Settings, base: str) -> str:
    """The address of a new link that lets an operator into the console once."""
    from scim.operate.access.sessions import Sessions
    from scim.store.table.azure import AzureTable

    table = AzureTable.with_key(settings.table_connection_string or "", settings.table_name)
    try:
        _, token = await Sessions(table).invite("operator", None, "make run")
    finally:
        await table.close()
    return f"{base}/console/invitation#{token}"


async def _watch(function_app: Any) -> None:
    """Serve what is written into the settings file while the app runs: connections, seals, signing keys, webhooks."""
    seen = _SETTINGS.stat().st_mtime_ns  # noqa: ASYNC240  a look at a local file
    while True:
        await asyncio.sleep(0.5)
        with contextlib.suppress(OSError, StartError, SettingsError):
            now = _SETTINGS.stat().st_mtime_ns  # noqa: ASYNC240
            if now == seen:
                continue
            seen = now
            values = _read_values()
            os.environ.update({name: values[name] for name in _LIVE if name in values})
            Settings.from_environment()
            old, function_app.application = function_app.application, type(function_app.application)()
            await asyncio.sleep(1)  # for the requests that it has under way
            await old.close()


def _exit(number: int, frame: FrameType | None) -> None:
    """Handle a signal that comes before the app is served."""
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def _set_up_logging() -> None:
    """The app's log on standard error, one line for each request on standard output."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    logging.getLogger("azure").setLevel(logging.WARNING)  # it logs each request to storage at INFO
    requests = logging.getLogger("dev.host.requests")
    requests.propagate = False
    lines = logging.StreamHandler(sys.stdout)
    lines.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    requests.addHandler(lines)


def _say(progress: str) -> None:
    print(progress, file=sys.stderr)


def _port(variable: str, default: int) -> int:
    """The port that an environment variable sets; StartError where it is none or in use."""
    text = os.environ.get(variable, str(default))
    if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
        raise StartError(f"{variable} must be a port number from 1 to 65535, not {text!r}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise StartError(f"port {text} cannot be used ({error.strerror}); set {variable} to another one") from None
    return int(text)


def create_settings() -> None:
    """Make local.settings.json from the sample, with two tenants, an application that reads them, and a fresh API key
    for each."""
    from scim.security.keys import new_key
    from scim.security.seals import create_seal, write_seals

    settings, seal = _read_object(_SAMPLE), create_seal()
    connections: dict[str, dict[str, Any]] = {
        name: {"tenant": name, "kind": "api-key", "access": "write", "keys": [new_key(name, seal)]}
        for name in ("contoso", "fabrikam")
    }
    operator = {"tenants": "*", "rights": ["feed", "read", "manage"]}
    connections["application"] = {"operator": operator, "keys": [new_key("application", seal)]}
    settings["Values"]["SCIM_CONNECTIONS"] = json.dumps(connections)
    settings["Values"]["SCIM_SEALS"] = write_seals((seal,))
    _write_settings(settings, os.O_CREAT | os.O_EXCL)
    _say(f"Made {_SETTINGS} with a fresh API key for each of {' and '.join(connections)}")


def _renew_keys(values: dict[str, Any]) -> None:
    """Make the keys anew that this service made before keys had seals, when local.settings.json had no SCIM_SEALS."""
    from scim.security.keys import new_key
    from scim.security.seals import create_seal, write_seals

    try:
        connections = json.loads(values.get("SCIM_CONNECTIONS") or "{}")
        old = [name for name, each in connections.items() if _is_unsealed(name, each["keys"])]
    except (ValueError, TypeError, KeyError, AttributeError):
        return  # what is wrong with it is told by the settings
    if not old or "SCIM_SEALS" in values:
        return
    seal = create_seal()
    for name in old:
        connections[name]["keys"] = [new_key(name, seal)]
    settings = _read_object(_SETTINGS)
    settings["Values"] |= {"SCIM_CONNECTIONS": json.dumps(connections), "SCIM_SEALS": write_seals((seal,))}
    _write_settings(settings, os.O_TRUNC)
    values |= settings["Values"]
    _say(f"The keys of {' and '.join(old)} in {_SETTINGS} were made by an older version: they have new ones now")


def _is_unsealed(name: str, keys: list[object]) -> bool:
    """Whether keys are of the form that they had before they had seals."""
    return bool(keys) and all(
        isinstance(key, str) and re.fullmatch(rf"scim_{re.escape(name)}_[0-9A-Za-z]{{38}}", key) for key in keys
    )


def _write_settings(settings: dict[str, Any], how: int) -> None:
    with open(os.open(_SETTINGS, os.O_WRONLY | how, 0o600), "w") as file:
        json.dump(settings, file, indent=2)
        file.write("\n")


def _read_values() -> dict[str, str]:
    """The Values of local.settings.json; StartError names what is wrong with them."""
    settings = _read_object(_SETTINGS)
    if settings.get("IsEncrypted"):
        raise StartError(f"{_SETTINGS}: IsEncrypted must be false; run: func settings decrypt")
    values = settings.get("Values")
    if not isinstance(values, dict):
        raise StartError(f"{_SETTINGS}: Values must be an object")
    for name, value in values.items():
        if not isinstance(value, str):
            raise StartError(f"{_SETTINGS}: {name} must be a string")
    return values


def _read_object(path: Path) -> dict[str, Any]:
    """A JSON object from a file; StartError names the file and what is wrong with it."""
    try:
        value = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError) as error:
        raise StartError(f"{path} cannot be read: {error}") from None
    if not isinstance(value, dict):
        raise StartError(f"{path} must hold a JSON object")
    return value


def _token(connection: Connection) -> str:
    """The secret token to print, the first that is stored as itself; `-` where there is none."""
    keys = [key.value for key in connection.keys if connection.kind == "api-key"]
    return next((key for key in keys if not key.startswith("sha256:")), "-")


if __name__ == "__main__":
    sys.exit(main())
