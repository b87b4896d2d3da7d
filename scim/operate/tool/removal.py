"""`python -m scim connections remove`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from scim.operate.connections.commands import View
from scim.operate.connections.printed import describe_state, reach
from scim.operate.connections.removing import find, is_in_force
from scim.operate.connections.removing import remove as run
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool import shown
from scim.operate.tool.command import argument, option
from scim.operate.tool.connections import make_verb, opened


@make_verb("remove", "Remove a connection for good, with what is noted of its use; its tenant's users stay.")
@argument("name", "the connection's name")
@option("--force", is_flag=True, help="even if it is in force, without a question")
async def remove(place: Place, url: str | None, name: str, force: bool) -> None:
    async with opened(place) as commands:
        view = await find(commands, name)
        shown.say(place, _plan(name, view))
        if view is not None and not force and is_in_force(view, datetime.now(UTC)):
            _confirm(name)
        removed = await run(commands, name, view)
        data = {
            "name": name,
            "removed": True,
            "was": removed.state,
            "uses": removed.uses,
            "marks": removed.marks,
            "left": removed.left,
        }
        marks = (
            f" {removed.marks} marks of what it had stay, so that none of it works again under this name."
            if removed.marks
            else ""
        )
        uses = f"Connection {name} is removed, with {removed.uses} notes of its use.{marks}"
        after = f"A token that is out ends with it. {commands.takes_effect}"
        shown.done(place, data, uses, *filter(None, (removed.left, after)))


def _plan(name: str, view: View | None) -> str:
    """What will be done, in words."""
    if view is None:
        return f"Connection {name} is gone already; what is noted of its use goes, too."
    connection = view.connection
    whose = (
        f"of tenant {connection.tenant}"
        if connection.operator is None
        else f"of your application ({reach(connection)})"
    )
    stay = (
        f" Users and groups of {connection.tenant} stay: tenants erase {connection.tenant} removes them."
        if connection.tenant
        else ""
    )
    how = describe_state(connection, datetime.now(UTC))
    return f"Removing connection {name} {whose}, {connection.kind}, {how}: all that it lets in ends for good.{stay}"


def _confirm(name: str) -> None:
    """Ask for the name of a connection that is in force. Raises CommandError unless it is typed."""
    advice = f"Connection {name} is in force, and nothing was removed: pause {name} or revoke {name} --all first"
    if not sys.stdin.isatty():
        raise CommandError(f"{advice}, or give --force.")
    typed = click.prompt("It is in force. Type its name to go on", err=True)
    if typed != name:
        raise CommandError(f"{advice}; {typed} is not {name}.")
