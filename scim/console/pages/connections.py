"""A tenant's connections: the list, and "Add a key" in the words that Entra has for what to paste where."""

from __future__ import annotations

from typing import Any

from scim.console.pages.looking import find_last, judge, list_views, name_state
from scim.console.rendering import link
from scim.console.visit import Answer, Page, Visit
from scim.console.words import WORDS
from scim.operate.connections.commands import Commands
from scim.operate.connections.entered import list_fields
from scim.operate.errors import CommandError
from scim.security.connections import ENTRA_PREFIX, Connection
from scim.security.keys import CONNECTION_NAME, fingerprint


async def show_connections(visit: Visit) -> Answer:
    """All connections of a tenant, those that ended last."""
    views = sorted(
        await list_views(visit), key=lambda view: (view.connection.revoked is not None, view.connection.name)
    )
    rows = [
        {
            "name": view.connection.name,
            "kind": view.connection.kind,
            "access": view.connection.access,
            "state": name_state(view, visit.now),
            "tone": judge(view, visit.now),
            "last": find_last(view),
            "known": view.used is not None,
            "ends": view.connection.find_last_end(),
        }
        for view in views
    ]
    return Page("connections.html", {**about(visit), "rows": rows})


async def show_add(visit: Visit) -> Answer:
    """The form for another key."""
    names = {view.connection.name for view in await list_views(visit)}
    return _form(visit, _suggest(visit.tenant, names), "")


async def add(visit: Visit) -> Answer:
    """Make a connection and show its secret, this once."""
    try:
        return await make(visit, visit.tenant, visit.sent("name", 63).lower())
    except CommandError as error:
        return _form(visit, visit.tenant, str(error))


async def make(visit: Visit, tenant: str, name: str) -> Page:
    """Make a connection of what the form says. Raises CommandError."""
    kind = visit.sent("kind")
    if kind not in WORDS.connections.kinds_hint:
        raise CommandError("Choose how Microsoft Entra ID shows who it is.")
    if visit.sent("expires") not in WORDS.add.lifetimes:
        raise CommandError("Choose when the key ends.")
    for text, what in ((tenant, WORDS.add.tenant), (name, WORDS.add.name)):
        if not CONNECTION_NAME.fullmatch(text):
            raise CommandError(f"{what}: use a-z, 0-9 and inner hyphens, 63 characters at most.")
    if name.startswith(ENTRA_PREFIX):
        raise CommandError(f"Names that begin with {ENTRA_PREFIX} are taken: choose another one.")
    commands = visit.parts.commands()
    access = "read" if visit.sent("read_only") else "write"
    given = {"kind": kind, "tenant": tenant, "access": access, "description": visit.sent("description", 200)}
    recoverable = bool(visit.sent("recoverable"))
    try:
        connection, secret = await commands.add(
            name, given, expires=visit.sent("expires"), recoverable=recoverable, replace=False
        )
    except CommandError as error:
        if await visit.parts.kept.get(name) is None:
            raise
        raise CommandError(f"A connection of the name {name} is there already: choose another name.") from error
    return show_secret(visit, tenant, connection, secret or "", commands)


def show_secret(visit: Visit, tenant: str, connection: Connection, secret: str, commands: Commands) -> Page:
    """Return the page with the values to paste, the secret among them."""
    key = next((key for key in connection.keys if key.id == fingerprint(secret)), None)
    values = {
        **about(visit, tenant),
        "name": connection.name,
        "fields": list_fields(connection, tenant_url(visit), secret),
        "recoverable": key is not None and key.recoverable,
        "takes_effect": commands.takes_effect,
        "remarks": commands.remarks,
    }
    return Page("secret.html", values, secret=True)


def tenant_url(visit: Visit) -> str:
    """Return what Entra asks for as Tenant URL."""
    return f"{visit.parts.origin}/scim"


def about(visit: Visit, tenant: str | None = None) -> dict[str, Any]:
    """Return the values that the pages about connections have in common."""
    title = WORDS.tabs["connections"]
    return {"tenant": tenant or visit.tenant, "tab": "connections", "tab_title": title}


def _suggest(tenant: str, taken: set[str]) -> str:
    numbers = (f"{tenant[:60]}-{number}" for number in range(2, 100))
    return next((each for each in (tenant, *numbers) if each not in taken), "")


def _form(visit: Visit, suggested: str, wrong: str) -> Page:
    here = link("tenants", visit.tenant, "connections")
    values = {**about(visit), "form": visit.form, "wrong": wrong, "suggested": suggested, "back": here}
    values |= {"action": f"{here}/add", "tab_title": WORDS.add.title}
    return Page("add.html", values, 400 if wrong else 200)
