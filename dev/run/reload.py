"""RELOAD=1: the app in a process of its own, which is started anew when what it is made of changes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path

from dev.azurite import Azurite, StartError
from dev.run.serving import LIVE
from dev.run.settings_file import SETTINGS, read_values

APP = "--app"
"""The argument that makes `python -m dev.run` the process of the app."""
AGAIN = "--again"
"""The argument that tells it that another one served before."""
_PATTERNS = ("*.py", "host.json", "scim/**/*.py", "scim/**/*.json", "scim/console/*/*", "schemas/*.json")
_EVERY = 0.5
_STOP_SECONDS = 10.0


def serve_and_reload(azurite: Azurite, environment: Mapping[str, str]) -> None:
    """Serve until a signal comes, and start the app anew at each change; one that does not start is tried again at the
    next change. `environment` is that of the run before the settings. Raises StartError if Azurite ends."""
    seen, app, told = _look(), _start(azurite, environment, APP), False
    try:
        while azurite.exit_code() is None:
            time.sleep(_EVERY)
            now = _look()
            if now != seen:
                changed = sorted(name for name in now.keys() | seen.keys() if now.get(name) != seen.get(name))
                print(f"{changed[0]} changed: starting the app anew", file=sys.stderr, flush=True)
                _stop(app)
                seen, app, told = now, _start(azurite, environment, APP, AGAIN), False
            elif app.poll() is not None and not told:
                print("The app ended: it is started anew when something changes", file=sys.stderr, flush=True)
                told = True
    finally:
        _stop(app)
    raise StartError("Azurite ended by itself, and the app has no table without it: start make run again")


def end_with_parent() -> None:
    """End this process, as Ctrl-C would, when the one that started it is no more."""

    def wait() -> None:
        while os.read(0, 1):  # not sys.stdin, whose lock would be held when this process ends otherwise
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


def _start(azurite: Azurite, environment: Mapping[str, str], *arguments: str) -> subprocess.Popen[bytes]:
    mine = {**environment, "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string}
    return subprocess.Popen([sys.executable, "-m", "dev.run", *arguments], env=mine, stdin=subprocess.PIPE)


def _stop(app: subprocess.Popen[bytes]) -> None:
    app.terminate()
    try:
        app.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        app.kill()
        app.wait()
    if app.stdin:
        app.stdin.close()


def _look() -> dict[str, object]:
    """Return when each file was changed, and the settings that the app reads once."""
    found: dict[str, object] = {}
    for pattern in _PATTERNS:
        for file in Path().glob(pattern):
            try:
                found[str(file)] = file.stat().st_mtime_ns
            except OSError:  # it was removed meanwhile
                continue
    try:
        found[str(SETTINGS)] = {name: value for name, value in read_values().items() if name not in LIVE}
    except StartError:
        pass  # half-written: the next look reads it
    return found
