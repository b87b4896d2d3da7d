"""The command: see the package."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from contextlib import nullcontext
from types import FrameType

from dev.azurite import Azurite, StartError, find_node
from dev.run.folder import DATA, hold_data
from dev.run.log import set_up_logging
from dev.run.reload import AGAIN, APP, end_with_parent, serve_and_reload
from dev.run.serving import SIGNALS, load_settings, serve_app
from dev.run.settings_file import SETTINGS, create_settings, read_values, renew_keys
from scim.schema.loading import SchemaError
from scim.settings import SettingsError


def main(arguments: list[str]) -> int:
    """Run until a signal; the exit code."""
    set_up_logging(as_json=os.environ.get("LOG") == "json")
    for number in SIGNALS:
        signal.signal(number, _exit)
    try:
        _run_app(again=AGAIN in arguments) if APP in arguments else _run()
    except (StartError, SettingsError, SchemaError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _run() -> None:
    """Start Azurite, and the app in this process or, with RELOAD=1, in one of its own."""
    began = time.monotonic()
    memory = os.environ.get("MEMORY") == "1"
    find_node()
    with nullcontext() if memory else hold_data():
        port, table_port = _find_port("PORT", 7071), _find_port("TABLE_PORT", 10002)
        if port == table_port:
            raise StartError(f"PORT and TABLE_PORT are both {port}: set one of them to another number")
        if not SETTINGS.exists():
            create_settings()
        values = read_values()
        renew_keys(values)
        environment = dict(os.environ)
        azurite = Azurite(port=table_port, memory=memory, location=DATA)
        settings = load_settings(values, azurite.connection_string)
        print(f"Starting Azurite on port {table_port}, data in {'memory' if memory else DATA}", file=sys.stderr)
        with azurite:
            azurite.create_table(settings.table_name)
            if os.environ.get("RELOAD") == "1":
                serve_and_reload(azurite, environment)
            else:
                asyncio.run(serve_app(settings, port, azurite, began))


def _run_app(*, again: bool) -> None:
    """Serve the app on a table that another process runs."""
    began = time.monotonic()
    end_with_parent()
    settings = load_settings(read_values(), os.environ["SCIM_TABLE_CONNECTION_STRING"])
    asyncio.run(serve_app(settings, int(os.environ.get("PORT", 7071)), None, began, again=again))


def _exit(number: int, frame: FrameType | None) -> None:
    """Handle a signal that comes before the app is served."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(0)


def _find_port(variable: str, default: int) -> int:
    """Return the port that an environment variable sets. Raises StartError if it is none or in use."""
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
