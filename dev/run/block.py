"""What a run prints when it is ready: each connection with its tenant URL and token, and what to do next."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from datetime import UTC, datetime

from scim.operate.connections.printed import describe_state, name_rights, reach, show_moment
from scim.operate.connections.rotation import sort_by_age
from scim.security.connections import Connection

_KINDS = {"api-key": "secret token", "oauth": "OAuth client", "federation": "federation", "entra": "Entra's own token"}
_TOOL = ".venv/bin/python -m scim"
_NOBODY = "00000000-0000-0000-0000-000000000000"


def print_ready(connections: Iterable[Connection], origin: str, console: str | None, seconds: float) -> None:
    """Print that the app is ready, the connections, and the commands that come next."""
    connections = list(connections)
    _say(
        f"Ready in {seconds:.1f} s. Tenant, tenant URL and secret token, as Entra asks for them:" if connections else ""
    )
    for connection in connections:
        url = f"{origin}/scim" if connection.tenant else f"{origin}/tenants/<tenant>/scim"
        print(connection.tenant or connection.name, url, find_token(connection), flush=True)
        _say(f"  {_describe(connection)}")
    if not connections:
        _say(f"Ready in {seconds:.1f} s at {origin}/scim. There is no connection yet: {_TOOL} connections add NAME")
    steps = dict(_find_steps(connections, origin, console))
    width = max(map(len, steps))
    print("\n".join(["", *(f"{name:{width}}  {what}" for name, what in steps.items()), ""]), flush=True)


def find_token(connection: Connection) -> str:
    """Return the newest secret token that is kept as itself; `-` if there is none."""
    keys = [key.value for key in sort_by_age(connection) if connection.kind == "api-key" and key.recoverable]
    return keys[-1] if keys else "-"


def _describe(connection: Connection) -> str:
    now, ends = datetime.now(UTC), connection.find_last_end()
    kind = _KINDS[connection.kind]
    if connection.operator is not None:
        words = [
            f"connection {connection.name} of your application: {kind}",
            name_rights(connection),
            reach(connection),
        ]
    else:
        words = [f"connection {connection.name}: {kind}", "read-only" if connection.access == "read" else "may write"]
    words += [describe_state(connection, now), f"ends {show_moment(ends)}" if ends else "never ends"]
    if len(connection.keys) > 1:
        words.append("this is the newer token")
    return ", ".join(words)


def _find_steps(connections: list[Connection], origin: str, console: str | None) -> Iterable[tuple[str, str]]:
    if console is not None:
        yield "Console", f"{console}  (for whoever opens it first)"
    first = next((each for each in connections if each.tenant and find_token(each) != "-"), None)
    if first is not None:
        token = find_token(first)
        found = f"{origin}/scim/Users?filter=userName+eq+%22{_NOBODY}%22"
        yield "Test Connection", f"curl -H 'Authorization: Bearer {token}' '{found}'"
        yield "Play Entra", f"make rehearse ARGS='{origin}/scim {token}'"
    yield "Operate", f"{_TOOL} --help"
    yield "API", f"{origin}/scim/openapi.json"
    yield "Stop", "Ctrl-C"


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
