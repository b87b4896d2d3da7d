"""One connection: values to paste, its keys, rotation with "safe to revoke", pause and resume, and its end.

Who has another tenant's connection in the address gets a 404, whatever they ask for. A secret is shown by the answer to
a form alone: it is in no address, and no other page has it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from scim.console.pages.connections import about, show_secret, tenant_url
from scim.console.pages.looking import find_last, judge, name_state
from scim.console.rendering import link
from scim.console.visit import Answer, NotThere, Page, Redirect, Visit
from scim.console.words import WORDS
from scim.operate.connections import printed
from scim.operate.connections.commands import Commands, View
from scim.operate.connections.entered import list_fields
from scim.operate.connections.rotation import sort_by_age
from scim.operate.errors import CommandError
from scim.security.connections import Connection


async def show_connection(visit: Visit) -> Answer:
    """One connection, without any secret."""
    return _page(visit, await _find(visit, visit.parts.commands()))


async def reveal(visit: Visit) -> Answer:
    """The newest secret, if it was made to be shown again."""
    commands = visit.parts.commands()
    view = await _find(visit, commands)
    key = next((key for key in reversed(sort_by_age(view.connection)) if key.recoverable), None)
    if key is None:
        return _page(visit, view, WORDS.connection.kept_digest)
    return show_secret(visit, visit.tenant, view.connection, key.value, commands)


async def rotate(visit: Visit) -> Answer:
    """Make a second secret beside the first, and show it."""
    commands = visit.parts.commands()
    view = await _find(visit, commands)
    try:
        connection, secret = await commands.rotate(
            view.connection.name, expires=None, recoverable=bool(visit.sent("recoverable"))
        )
    except CommandError as error:
        return _page(visit, view, str(error))
    return show_secret(visit, visit.tenant, connection, secret, commands)


async def revoke_old(visit: Visit) -> Answer:
    """End the older one of two secrets."""
    commands = visit.parts.commands()
    view = await _find(visit, commands)
    try:
        await commands.revoke(view.connection.name, "old", force=visit.sent("force") == "yes")
    except CommandError as error:
        return _page(visit, view, str(error))
    return await _go_back(visit, commands)


async def revoke(visit: Visit) -> Answer:
    """End the connection for good, if its name was typed."""
    commands = visit.parts.commands()
    view = await _find(visit, commands)
    name = view.connection.name
    if visit.sent("typed", 100) != name:
        return _page(visit, view, WORDS.connection.wrong_name.format(name))
    try:
        await commands.revoke(name, None, force=True)
    except CommandError as error:
        return _page(visit, view, str(error))
    return await _go_back(visit, commands)


async def pause(visit: Visit) -> Answer:
    """Have requests wait, with 503."""
    commands = visit.parts.commands()
    return await _change(visit, commands, commands.pause)


async def resume(visit: Visit) -> Answer:
    """Let requests in again."""
    commands = visit.parts.commands()
    return await _change(visit, commands, commands.resume)


async def _change(visit: Visit, commands: Commands, change: Callable[[str], Awaitable[Connection]]) -> Answer:
    view = await _find(visit, commands)
    try:
        await change(view.connection.name)
    except CommandError as error:
        return _page(visit, view, str(error))
    return await _go_back(visit, commands)


async def _go_back(visit: Visit, commands: Commands) -> Answer:
    """Go back to the connection; with what has to be told, show it at once."""
    if commands.remarks:
        return _page(visit, await _find(visit, commands), remarks=commands.remarks)
    return Redirect(link("tenants", visit.tenant, "connections", visit.path["name"]))


async def _find(visit: Visit, commands: Commands) -> View:
    """Return the connection in the address. Raises NotThere if it is none of the tenant's."""
    tenant = visit.tenant
    try:
        view = await commands.show(visit.path["name"])
    except CommandError:
        raise NotThere(visit.path["name"]) from None
    if view.connection.tenant != tenant:
        raise NotThere(visit.path["name"])
    return view


def _page(visit: Visit, view: View, wrong: str = "", remarks: list[str] | None = None) -> Page:
    connection = view.connection
    values = {
        **about(visit),
        "name": connection.name,
        "it": connection,
        "fields": list_fields(connection, tenant_url(visit), None),
        "recoverable": any(key.recoverable for key in connection.keys),
        "keys": printed.build_data(view, visit.now)["keys"],
        "turn": view.rotation,
        "last": find_last(view),
        "tone": judge(view, visit.now),
        "state": name_state(view, visit.now),
        "wrong": wrong,
        "remarks": remarks or [],
    }
    return Page("connection.html", values, 400 if wrong else 200)
