"""`python -m scim connections`: make, list, show, rotate, revoke, pause and resume connections."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import click
from pydantic import ValidationError

from scim.operate.connections import printed
from scim.operate.connections.commands import Commands, View
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool import shown
from scim.operate.tool.command import ARGUMENTS, Function, Noun, Verb, argument, option, placed
from scim.security.connections import ENTRA_PREFIX, Connection, entra_name
from scim.security.trust import GUID, Trust, entra_federation, entra_issued, entra_tenant, federation
from scim.store.credentials import Credentials

_PINNED = "Kinds federation and entra: what the signed token must say"
_NAME = "the connection's name"


@click.group(
    cls=Noun,
    epilog="""
\b
Examples:
  add contoso                                        a secret token, to paste into Entra
  add contoso --kind oauth --expires 730d            client id and secret, for two years instead of one
  add contoso --kind federation --tenant-id GUID --app-id GUID --subject GUID
                                                     Entra's workload identity federation: no secret at all
  add contoso --kind federation --issuer https://accounts.google.com --audience AUD --subject SUB
  add --kind entra --tenant-id GUID --tenant contoso --read-only
                                                     Entra's own token, for tests: the secret stays blank
  rotate contoso, then show contoso until it is safe to revoke, then revoke contoso --old
  pause contoso, then show contoso, then revoke contoso --credential ID, if a secret leaked
""",
)
def connections() -> None:
    """Who may call: make, list, rotate, revoke and pause connections.

    A connection is one identity provider's access to one tenant. Connections are kept in Key Vault (--vault, or
    SCIM_KEY_VAULT_URL) or, on a laptop, in local.settings.json, which the app reads when it starts. In a vault, a new
    connection or credential works at once, and what is revoked or paused ends within a minute. Whoever runs this needs
    the role Key Vault Secrets Officer there; last uses are read from the table (--table, or SCIM_TABLE_ENDPOINT) with
    the role Storage Table Data Reader.
    """


_url = option("--url", section="Where it is", help="the tenant URL to print")


def verb(name: str, help: str) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], click.Command]:
    """Make an async function a command of this noun."""

    def made(function: Callable[..., Coroutine[Any, Any, int | None]]) -> click.Command:
        return connections.command(name, cls=Verb, help=help, short_help=help)(_url(placed(function)))

    return made


def _named(function: Function) -> Function:
    return argument("name", _NAME)(function)


def _secret(function: Function) -> Function:
    """The options of commands that make a secret."""
    expires = option(
        "--expires", help="when it ends: 365d (add's default), 2027-11-21, never; rotate: as long as the one before"
    )
    recoverable = option("--recoverable", is_flag=True, help="keep the secret itself, not only its digest")
    return expires(recoverable(_unseen(function)))


def _unseen(function: Function) -> Function:
    return option("--print-secret", is_flag=True, help="print it although this is no terminal: keep it out of logs")(
        function
    )


@verb("add", "Make a connection and print what to enter in Entra, the secret once.")
@argument("name", "a-z, 0-9 and inner hyphens; left out for kind entra", required=False)
@option("--kind", type=click.Choice(["api-key", "oauth", "federation", "entra"]), default="api-key", show_default=True)
@option("--tenant", help="the tenant whose users it reaches (default: the connection's name)")
@option("--description", default="", help="up to 200 characters")
@option("--read-only", is_flag=True, help="it may look, and change nothing")
@option("--strict", is_flag=True, help="hold to the interoperability profile; not for Entra")
@option("--replace", is_flag=True, help="in place of the connection of that name, whose secrets end")
@option("--accept-replay", is_flag=True, help="let kind entra write, although others can use such a token here")
@_secret
@option("--tenant-id", metavar="GUID", section=_PINNED, help="the Entra tenant")
@option("--app-id", metavar="GUID", section=_PINNED, help="the workload identity's application, the token's audience")
@option("--subject", section=_PINNED, help="the object id that Entra's setup page shows, or the issuer's name for it")
@option("--issuer", metavar="URL", section=_PINNED, help="the token's issuer, as the setup page shows it")
@option("--audience", section=_PINNED, help="the token's audience, with --issuer; or a gallery app's for kind entra")
@option("--jwks-uri", metavar="URL", section=_PINNED, help="where the issuer's keys are, if it is not known")
async def add(place: Place, url: str | None, **given: Any) -> None:
    name, members = _given(given)
    if "trust" not in members:
        _refuse_unseen(given["print_secret"])
    async with opened(place) as commands:
        connection, secret = await commands.add(
            name, members, expires=given["expires"], recoverable=given["recoverable"], replace=given["replace"]
        )
        # Nobody can have used what was just made.
        _print_made(place, View(connection, [], None), secret, url, commands.takes_effect)


@verb("list", "All connections: state, expiry, last use.")
async def list_(place: Place, url: str | None) -> None:
    now = datetime.now(UTC)
    async with opened(place) as commands:
        views = await commands.list()
    if place.json:
        shown.show_data([printed.summary(view, now) for view in views])
    else:
        shown.show(printed.table(views, now))


@verb("show", "One connection: its credentials, their uses, and whether the old one may be revoked.")
@_named
@option("--print-secret", is_flag=True, help="print the secrets that are kept as they are (--recoverable)")
async def show(place: Place, url: str | None, name: str, print_secret: bool) -> None:
    async with opened(place) as commands:
        view = await commands.show(name)
    if not print_secret:
        return _print(place, view)
    secrets = {key.id: key.value for key in view.connection.keys if key.recoverable}
    if not secrets:
        raise CommandError(
            f"No secret of connection {name} can be shown: it has none, or its digest alone is kept. rotate {name}"
            " makes a new one, and prints it."
        )
    shown.done(place, secrets, *(f"{id}  {key}" for id, key in secrets.items()))


@verb("rotate", "Make a second credential; both work until the old one is revoked.")
@_named
@_secret
async def rotate(
    place: Place, url: str | None, name: str, expires: str | None, recoverable: bool, print_secret: bool
) -> None:
    _refuse_unseen(print_secret)
    async with opened(place) as commands:
        connection, secret = await commands.rotate(name, expires=expires, recoverable=recoverable)
        after = f"The old credential goes on until it is revoked: show tells when that is safe. {commands.takes_effect}"
        _print_made(place, await commands.show(connection.name), secret, url, after)


@verb("revoke", "End a credential, or the whole connection; its holder is told so in the 401.")
@_named
@option("--old", is_flag=True, help="the older of two, if nobody uses it any more")
@option("--credential", metavar="ID", help="the one of that id, as show and the logs have it")
@option("--all", "whole", is_flag=True, help="the connection with all its credentials and tokens")
@option("--force", is_flag=True, help="with --old: even if it is in use")
async def revoke(
    place: Place, url: str | None, name: str, old: bool, credential: str | None, whole: bool, force: bool
) -> None:
    if (old, credential is not None, whole).count(True) != 1:
        raise click.UsageError("Give one of --old, --credential ID and --all.", click.get_current_context())
    after = "Whoever still uses what was revoked is refused, and told why."
    async with opened(place) as commands:
        connection = await commands.revoke(
            name, "old" if old else credential.strip().lower() if credential else None, force=force
        )
        await _print_changed(place, commands, connection, after)


@verb("pause", "Answer 503 with Retry-After, which Entra takes for a short outage, until resume.")
@_named
async def pause(place: Place, url: str | None, name: str) -> None:
    async with opened(place) as commands:
        await _print_changed(place, commands, await commands.pause(name), _stops(commands))


@verb("resume", "Answer again.")
@_named
async def resume(place: Place, url: str | None, name: str) -> None:
    after = "Entra repeats what failed by and by; to have it all at once, restart provisioning in Entra."
    async with opened(place) as commands:
        await _print_changed(place, commands, await commands.resume(name), after)


def _stops(commands: Commands) -> str:
    """When a connection that is paused now is at rest."""
    after = "Requests get 503; Entra tries again in each cycle and loses nothing."
    if not commands.quiet_after:
        return after
    now = datetime.now(UTC)
    return (
        f"{after} The app looks into the vault once a minute, so the last process knows it by"
        f" {now + commands.settles_after:%H:%M:%S} UTC; a request that began before may write until"
        f" {now + commands.quiet_after:%H:%M:%S}. If the app cannot reach the vault, only stopping the app stops it."
    )


def _refuse_unseen(print_secret: bool) -> None:
    """Raise CommandError unless a terminal shows what is printed: a secret must not stay in the log of a pipeline."""
    if shown.is_terminal() or print_secret:
        return
    context = click.get_current_context()
    raise CommandError(
        "Nothing was made: a secret is printed in a terminal only. In one, run:"
        f" {context.command_path} {shlex.join(context.meta[ARGUMENTS])} (or give --print-secret here, if nothing keeps"
        " what is printed)."
    )


@asynccontextmanager
async def opened(place: Place) -> AsyncIterator[Commands]:
    async with place.opened() as opened:
        if opened.trouble:
            shown.warn(f"When credentials were used is not known. {opened.trouble}")
        commands = Commands(opened.kept, Credentials(opened.table) if opened.table else None)
        yield commands
        for remark in commands.remarks:
            shown.warn(remark)


def _print(place: Place, view: View, after: str = "") -> None:
    now = datetime.now(UTC)
    if place.json:
        shown.show_data(printed.data(view, now))
    else:
        shown.show(printed.details(view, now) + (f"\n{after}" if after else ""))


async def _print_changed(place: Place, commands: Commands, connection: Connection, after: str) -> None:
    _print(place, await commands.show(connection.name), f"{after} {commands.takes_effect}")


def _print_made(place: Place, view: View, secret: str | None, given_url: str | None, after: str) -> None:
    """Print what to enter in Entra, the secret this once."""
    url = _tenant_url(place, given_url)
    if place.json:
        entered = printed.entered(view.connection, url, secret)
        shown.show_data({**printed.data(view, datetime.now(UTC)), "enter": entered})
    else:
        shown.show(f"{printed.instructions(view.connection, url, secret)}\n{after}")


def _tenant_url(place: Place, given: str | None) -> str:
    """The tenant URL, as far as it is known here."""
    known = given or place.environment.get("SCIM_TENANT_URL") or place.environment.get("SCIM_PUBLIC_URL")
    return known or (
        "https://<function app>.azurewebsites.net/scim" if place.vault_url else "http://127.0.0.1:7071/scim"
    )


def _given(options: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """The name and the members of the connection to make. Raises CommandError."""
    trust, kind, given_name = _trust(options), options["kind"], options["name"]
    stray = [each for each in _PINNED_NAMES if trust is None and options[each]]
    if stray:
        raise CommandError(f"--{stray[0].replace('_', '-')} is for --kind federation or entra: which one is it?")
    about_secrets = [each for each in ("recoverable", "print_secret") if trust is not None and options[each]]
    if about_secrets:
        flag = about_secrets[0].replace("_", "-")
        raise CommandError(f"--{flag} is about a secret, and a connection of kind {kind} has none.")
    if options["accept_replay"] and kind != "entra":
        raise CommandError("--accept-replay is for --kind entra alone.")
    name = entra_name(trust) if kind == "entra" and trust else given_name
    if not name or (given_name and given_name != name):
        raise CommandError(
            f"A connection for Entra's own tokens is named {name}: leave the name out."
            if given_name
            else "Give the connection a name: a-z, 0-9 and inner hyphens."
        )
    if kind != "entra" and name.startswith(ENTRA_PREFIX):
        raise CommandError(f"Names that begin with {ENTRA_PREFIX} are for --kind entra: choose another one.")
    if kind == "entra" and not options["tenant"]:
        raise CommandError("--tenant is missing: whose users does Entra's own token reach?")
    if kind == "entra" and not options["read_only"] and not options["accept_replay"]:
        raise CommandError(
            "Entra sends one and the same token to every application of that Entra tenant whose secret is blank, and"
            " each of them can use it here until it ends. Give --read-only; or --accept-replay, to let them write."
        )
    members: dict[str, Any] = {
        "tenant": options["tenant"] or name,
        "kind": kind,
        "description": options["description"],
        "access": "read" if options["read_only"] else "write",
        "mode": "strict" if options["strict"] else "entra",
    }
    return name, members if trust is None else {**members, "trust": trust.model_dump()}


_PINNED_NAMES = ("tenant_id", "app_id", "subject", "issuer", "audience", "jwks_uri")


_GUIDS = {
    "tenant_id": "--tenant-id must be the Entra tenant's id, such as 0a1b2c3d-1111-2222-3333-444455556666",
    "app_id": "--app-id must be an application's id, such as 0a1b2c3d-1111-2222-3333-444455556666",
}
_MEMBERS = {
    **_GUIDS,
    "issuer": "--issuer must be an address that begins with https://",
    "jwks_uri": "--jwks-uri must be an address that begins with https://",
    "audience": "--audience must have 1 to 256 characters",
    "subject": "--subject must have 1 to 256 characters",
}
"""What to say of a member that is wrong."""


def _pasted(options: dict[str, Any]) -> None:
    """Take apart what Entra's page shows: its issuer names the tenant, its audience the application."""
    tenant_id = entra_tenant(options["issuer"] or "")
    if options["kind"] == "federation" and tenant_id is not None:
        if options["tenant_id"] and options["tenant_id"].strip().lower() != tenant_id:
            raise CommandError("--issuer is that of another Entra tenant than --tenant-id: leave one of them out.")
        options |= {"issuer": None, "tenant_id": tenant_id, "app_id": options["app_id"] or options["audience"]}
    if options["app_id"]:
        options["app_id"] = options["app_id"].strip().lower().removeprefix("api://").removesuffix("/.default")
    for name, fault in _GUIDS.items():
        if options[name] and not GUID.fullmatch(options[name].strip().lower()):
            raise CommandError(f"{fault}.")


def _trust(options: dict[str, Any]) -> Trust | None:
    _pasted(options)
    try:
        match options["kind"]:
            case "entra":
                _needed(options, "tenant_id")
                return entra_issued(options["tenant_id"], options["audience"], options["jwks_uri"])
            case "federation" if options["issuer"]:
                _needed(options, "audience", "subject")
                return federation(options["issuer"], options["audience"], options["subject"], options["jwks_uri"])
            case "federation":
                _needed(options, "tenant_id", "app_id", "subject")
                return entra_federation(
                    options["tenant_id"], options["app_id"], options["subject"], options["jwks_uri"]
                )
    except ValueError as error:
        fault = error.errors()[0]["loc"][0] if isinstance(error, ValidationError) else None
        raise CommandError(f"{_MEMBERS[str(fault)]}." if fault else str(error)) from None
    return None


def _needed(options: dict[str, Any], *names: str) -> None:
    for name in names:
        if not options[name]:
            kind = options["kind"]
            raise CommandError(f"--{name.replace('_', '-')} is missing: a connection of kind {kind} pins it.")
