"""Serve the app of the current folder until a signal comes."""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import scim
from dev.azurite import Azurite, StartError
from dev.host import BODY_LIMIT, Host, read_body_limit, read_custom_headers, read_route_prefix, serve
from dev.run.block import print_ready
from dev.run.folder import announce_run
from dev.run.settings_file import SETTINGS, read_values
from scim.operate.running import Run
from scim.schema.loading import load
from scim.settings import PREFIX, Settings, SettingsError, find_body_limit_problem, unknown

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LIVE = ("SCIM_CONNECTIONS", "SCIM_SEALS", "SCIM_SIGNING_KEYS", "SCIM_SINKS")
"""Settings that the tool and the console write."""


def load_settings(values: dict[str, str], connection_string: str) -> Settings:
    """Make the environment that of the app, and return its settings. Raises StartError, SettingsError or SchemaError,
    with one line that says what to do, for what the app would stumble over."""
    for name, value in values.items():
        os.environ.setdefault(name, value)
    os.environ["SCIM_TABLE_CONNECTION_STRING"] = connection_string
    os.environ.pop("SCIM_TABLE_ENDPOINT", None)
    os.environ.setdefault("SCIM_CONSOLE", "true")
    settings = Settings.from_environment()
    _check_body_limit(settings)
    for name in unknown(os.environ):
        near = difflib.get_close_matches(name, [PREFIX + field.upper() for field in Settings.model_fields], 1, 0.8)
        meant = f"did you mean {near[0]}?" if near else "docs/settings.md lists all."
        _say(f"WARNING: there is no setting {name}: {meant}")
    load(Path(scim.__file__).parent.parent / settings.schemas_folder)  # as the app does at its first request
    return settings


async def serve_app(
    settings: Settings, port: int, azurite: Azurite | None, began: float, *, again: bool = False
) -> None:
    """Serve until a signal comes. `again` spares the reader what was printed before. Raises StartError if the port is
    taken, and if Azurite ends, when it is given."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    for number in SIGNALS:
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(stopped.set))
    function_app = importlib.import_module("function_app")
    prefix, headers = read_route_prefix(Path("host.json")), read_custom_headers(Path("host.json"))
    try:
        runner = await serve(Host(function_app.app, route_prefix=prefix), port, headers)
    except OSError as error:
        raise StartError(f"port {port} cannot be served ({error.strerror}); set PORT to another one") from None
    origin = f"http://127.0.0.1:{port}" + (f"/{prefix}" if prefix else "")
    run = Run(port, os.getpid(), origin, settings.table_connection_string or "", settings.public_origin)
    with announce_run(run):
        if again:
            _say(f"Ready in {time.monotonic() - began:.1f} s")
        else:
            shown = settings.find_origin(origin)
            if shown != origin:
                _say(f"Served at {origin} for {shown}, which has to lead there: the app answers to no other host name")
            console = await _invite(settings, settings.find_console_origin(shown)) if settings.console else None
            print_ready(settings.connections.values(), shown, console, time.monotonic() - began)
        beside = [asyncio.create_task(_watch_settings(function_app))]
        beside += [asyncio.create_task(_watch_azurite(azurite, stopped))] if azurite else []
        await stopped.wait()
    for task in beside:
        task.cancel()
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # what follows is short, and a second signal must not cut it off
    await runner.cleanup()
    application = getattr(function_app, "application", None)
    if application is not None:
        await application.close()
    if azurite is not None and azurite.exit_code() is not None:
        raise StartError(
            f"Azurite ended by itself (exit code {azurite.exit_code()}), and the app has no table without it: start"
            " make run again"
        )


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
            f"{SETTINGS} has no {BODY_LIMIT}: this host, as the one in Azure would, reads bodies of up to 100 MB; "
            f"add it with {settings.wanted_body_limit()}"
        )


async def _invite(settings: Settings, origin: str) -> str:
    """Return the address of a new link that lets an operator into the console once."""
    from scim.operate.access.sessions import Sessions
    from scim.store.table.azure import AzureTable

    table = AzureTable.with_key(settings.table_connection_string or "", settings.table_name)
    try:
        _, token = await Sessions(table).invite("operator", None, "make run")
    finally:
        await table.close()
    return f"{origin}/console/invitation#{token}"


async def _watch_azurite(azurite: Azurite, stopped: asyncio.Event) -> None:
    """Stop the app when Azurite is no more."""
    while azurite.exit_code() is None:  # noqa: ASYNC110  a process has no event to wait for
        await asyncio.sleep(0.5)
    stopped.set()


async def _watch_settings(function_app: Any) -> None:
    """Serve what is written into the settings file while the app runs: connections, seals, signing keys, webhooks."""
    seen = SETTINGS.stat().st_mtime_ns
    while True:
        await asyncio.sleep(0.5)
        with contextlib.suppress(OSError, StartError, SettingsError):
            now = SETTINGS.stat().st_mtime_ns
            if now == seen:
                continue
            seen = now
            values = read_values()
            os.environ.update({name: values[name] for name in LIVE if name in values})
            Settings.from_environment()
            old, function_app.application = function_app.application, type(function_app.application)()
            await asyncio.sleep(1)  # for the requests that it has under way
            await old.close()


def _say(progress: str) -> None:
    print(progress, file=sys.stderr, flush=True)
