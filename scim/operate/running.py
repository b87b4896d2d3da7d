"""The app that `make run` serves on this machine: which it is, and where it and its table are.

Each run writes `.azurite/runs/<port>.json` beside the settings file, with the address of the app and of its table. What
a killed run left behind counts for nothing, since nobody answers where it says.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from scim.operate.errors import PlaceError

RUNS = Path(".azurite/runs")
"""Where runs say where they are, from the folder of the settings file."""
_LOCAL = ("127.0.0.1", "localhost", "::1")
_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Run:
    """A run that serves. `origin` is the app's address without `/scim`, such as http://127.0.0.1:7071; `public_origin`
    where it is reached from outside, if there is such an address: then the app answers to no other."""

    port: int
    process: int
    origin: str
    connection_string: str
    public_origin: str | None = None


def find_run(folder: Path, environment: Mapping[str, str]) -> Run | None:
    """Return the run of a folder that serves now; of several the one on the environment's PORT; None if there is none.
    Raises PlaceError if there are several and PORT names none of them."""
    runs = [run for run in read_runs(folder) if is_answered(run.origin)]
    if len(runs) > 1:
        ports = " and ".join(str(run.port) for run in runs)
        runs = [run for run in runs if str(run.port) == environment.get("PORT")]
        if not runs:
            raise PlaceError(f"Apps are served from this folder on the ports {ports}: set PORT to the one you mean.")
    return runs[0] if runs else None


def read_runs(folder: Path) -> list[Run]:
    """Return what the runs of a folder wrote, those that ended without a word too, by port."""
    found = []
    for file in (folder / RUNS).glob("*.json"):
        try:
            found.append(Run(**json.loads(file.read_text(encoding="utf-8"))))
        except (OSError, ValueError, TypeError):
            continue  # half-written or of another version: the run is not known
    return sorted(found, key=lambda run: run.port)


def find_trouble(address: str) -> str | None:
    """Return why a table cannot be on this machine; None if it is elsewhere, or somebody answers there."""
    where = urlsplit(address)
    if where.hostname not in _LOCAL or is_answered(address):
        return None
    return f"Nothing answers at {where.hostname}:{where.port}, where the table is: is make run under way?"


def is_answered(address: str) -> bool:
    """Return whether anything takes connections at an http:// address."""
    where = urlsplit(address)
    try:
        socket.create_connection((where.hostname or "", where.port or 80), timeout=_SECONDS).close()
    except (OSError, ValueError):
        return False
    return True
