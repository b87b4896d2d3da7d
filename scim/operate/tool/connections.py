"""`python -m scim connections`: make, list, show, rotate, revoke, pause and resume connections."""

from __future__ import annotations

import shlex
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

import click

from scim.operate.connections import entered, printed
from scim.operate.connections.commands import Commands, View
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool import shown
from scim.operate.tool.command import ARGUMENTS, Address, Function, Noun, Verb, argument, give_place, option
from scim.operate.tool.members import (
    RIGHTS,
    USUAL_RIGHTS,
    read_list,
    read_members,
    read_rights,
    read_tenants,
    require_types,
)
from scim.security.connections import Connection
from scim.store.credentials import Credentials

_PINNED = "Kinds federation and entra: what the signed token must say"
_OPERATORS = "Your own application, in place of an identity provider"
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
  add billing --operator --all-tenants               your own application follows and reads every tenant
  grant billing --tenants contoso,fabrikam --rights read
  rotate contoso, then show contoso until it is safe to revoke, then revoke contoso --old
  pause contoso, then show contoso, then revoke contoso --credential ID, if a secret leaked
""",
)
def connections() -> None:
    """Who may call: make, list, rotate, revoke and pause connections.

    A connection is one identity provider's access to one tenant, or your own application's to many. Connections are
    kept in Key Vault (--vault, or SCIM_KEY_VAULT_URL) or, on a laptop, in local.settings.json, which the app reads when
    it starts. In a vault, a new connection or credential works at once, and what is revoked or paused ends within a
    minute. Whoever runs this needs the role Key Vault Secrets Officer there; last uses are read from the table
    (--table, or SCIM_TABLE_ENDPOINT) with the role Storage Table Data Reader.
    """


_url = option("--url", type=Address("/scim", local=True), section="Where it is", help="the tenant URL to print")


def make_verb(name: str, help: str) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], click.Command]:
    """Make an async function a command of this noun."""

    def made(function: Callable[..., Coroutine[Any, Any, int | None]]) -> click.Command:
        return connections.command(name, cls=Verb, help=help, short_help=help)(_url(give_place(function)))

    return made


def _take_name(function: Function) -> Function:
    return argument("name", _NAME)(function)


def _take_secret_options(function: Function) -> Function:
    """The options of commands that make a secret."""
    expires = option(
        "--expires", help="when it ends: 365d (add's default), 2027-11-21, never; rotate: as long as the one before"
    )
    recoverable = option("--recoverable", is_flag=True, help="keep the secret itself, not only its digest")
    return expires(recoverable(_unseen(function)))


def _take_reach_options(rights: str) -> Callable[[Function], Function]:
    """The options that say what an operator's connection reaches and may do."""

    def made(function: Function) -> Function:
        every = option("--all-tenants", is_flag=True, section=_OPERATORS, help="it reaches all, those to come too")
        some = option("--tenants", metavar="LIST", section=_OPERATORS, help="it reaches these: names, commas between")
        return every(some(option("--rights", metavar="LIST", section=_OPERATORS, help=rights)(function)))

    return made


def _unseen(function: Function) -> Function:
    return option("--print-secret", is_flag=True, help="print it although this is no terminal: keep it out of logs")(
        function
    )


@make_verb("add", "Make a connection and print what to enter in Entra, the secret once.")
@argument("name", "a-z, 0-9 and inner hyphens; left out for kind entra", required=False)
@option("--kind", type=click.Choice(["api-key", "oauth", "federation", "entra"]), default="api-key", show_default=True)
@option("--tenant", help="the tenant whose users it reaches (default: the connection's name)")
@option("--description", default="", help="up to 200 characters")
@option("--read-only", is_flag=True, help="it may look, and change nothing")
@option("--strict", is_flag=True, help="hold to the interoperability profile; not for Entra")
@option("--types", metavar="LIST", help="it may use these resource types alone, such as Agent,Group")
@option("--replace", is_flag=True, help="in place of the connection of that name, whose secrets end")
@option("--accept-replay", is_flag=True, help="let kind entra write, although others can use such a token here")
@_take_secret_options
@option("--operator", is_flag=True, section=_OPERATORS, help="it reads and follows tenants, and writes none by SCIM")
@_take_reach_options(f"which it has there, of {RIGHTS} (default: {USUAL_RIGHTS})")
@option("--tenant-id", metavar="GUID", section=_PINNED, help="the Entra tenant")
@option("--app-id", metavar="GUID", section=_PINNED, help="the workload identity's application, the token's audience")
@option("--subject", section=_PINNED, help="the object id that Entra's setup page shows, or the issuer's name for it")
@option("--issuer", metavar="URL", section=_PINNED, help="the token's issuer, as the setup page shows it")
@option("--audience", section=_PINNED, help="the token's audience, with --issuer; or a gallery app's for kind entra")
@option("--jwks-uri", metavar="URL", section=_PINNED, help="where the issuer's keys are, if it is not known")
async def add(place: Place, url: str | None, **given: Any) -> None:
    name, members = read_members(given)
    if members.get("types"):
        require_types(members["types"], place.registry())
    if "trust" not in members:
        _refuse_unseen(given["print_secret"])
    async with opened(place) as commands:
        connection, secret = await commands.add(
            name, members, expires=given["expires"], recoverable=given["recoverable"], replace=given["replace"]
        )
        # Nobody can have used what was just made.
        _print_made(place, View(connection, [], None), secret, url, commands.takes_effect)


@make_verb("list", "All connections: state, expiry, last use.")
async def list_(place: Place, url: str | None) -> None:
    now = datetime.now(UTC)
    async with opened(place) as commands:
        views = await commands.list()
    if place.json:
        shown.show_data([printed.summarize(view, now) for view in views])
    else:
        shown.show(printed.print_table(views, now))


@make_verb("show", "One connection: its credentials, their uses, and whether the old one may be revoked.")
@_take_name
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


@make_verb("rotate", "Make a second credential; both work until the old one is revoked.")
@_take_name
@_take_secret_options
async def rotate(
    place: Place, url: str | None, name: str, expires: str | None, recoverable: bool, print_secret: bool
) -> None:
    _refuse_unseen(print_secret)
    async with opened(place) as commands:
        connection, secret = await commands.rotate(name, expires=expires, recoverable=recoverable)
        after = f"The old credential goes on until it is revoked: show tells when that is safe. {commands.takes_effect}"
        _print_made(place, await commands.show(connection.name), secret, url, after)


@make_verb("revoke", "End a credential, or the whole connection; its holder is told so in the 401.")
@_take_name
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


@make_verb("grant", "Give your application's connection other tenants or rights; its credentials stay.")
@_take_name
@_take_reach_options(f"these and no others, of {RIGHTS}")
@option("--add-tenants", metavar="LIST", section=_OPERATORS, help="these beside those of now")
async def grant(place: Place, url: str | None, name: str, add_tenants: str | None, **given: Any) -> None:
    tenants, more = read_tenants(given), read_list("--add-tenants", add_tenants)
    rights = read_rights(given["rights"]) if given["rights"] else None
    if tenants is None and more is None and rights is None:
        raise click.UsageError("Give --all-tenants, --tenants, --add-tenants or --rights.", click.get_current_context())
    if tenants is not None and more is not None:
        raise click.UsageError("Give --add-tenants alone, without other tenants.", click.get_current_context())
    async with opened(place) as commands:
        connection = await commands.grant(name, tenants=tenants, more=more, rights=rights)
        await _print_changed(place, commands, connection, "Requests beyond it get 403.")


@make_verb("pause", "Answer 503 with Retry-After, which Entra takes for a short outage, until resume.")
@_take_name
async def pause(place: Place, url: str | None, name: str) -> None:
    async with opened(place) as commands:
        connection = await commands.pause(name)
        await _print_changed(place, commands, connection, _tell_rest(commands, connection))


@make_verb("resume", "Answer again.")
@_take_name
async def resume(place: Place, url: str | None, name: str) -> None:
    after = "Entra repeats what failed by and by; to have it all at once, restart provisioning in Entra."
    async with opened(place) as commands:
        connection = await commands.resume(name)
        await _print_changed(place, commands, connection, after if connection.operator is None else "")


def _tell_rest(commands: Commands, connection: Connection) -> str:
    """When a connection that is paused now is at rest."""
    caller = "Entra tries again in each cycle" if connection.operator is None else "your application tries again later"
    after = f"Requests get 503; {caller} and loses nothing."
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
        shown.show_data(printed.build_data(view, now))
    else:
        shown.show(printed.print_details(view, now) + (f"\n{after}" if after else ""))


async def _print_changed(place: Place, commands: Commands, connection: Connection, after: str) -> None:
    _print(place, await commands.show(connection.name), f"{after} {commands.takes_effect}".strip())


def _print_made(place: Place, view: View, secret: str | None, given_url: str | None, after: str) -> None:
    """Print what to enter in Entra, the secret this once."""
    url = _find_tenant_url(place, given_url)
    if place.json:
        fields = entered.list_fields(view.connection, url, secret)
        shown.show_data({**printed.build_data(view, datetime.now(UTC)), "enter": fields})
    else:
        shown.show(f"{entered.write_instructions(view.connection, url, secret)}\n{after}")


def _find_tenant_url(place: Place, given: str | None) -> str:
    """The tenant URL, as far as it is known here."""
    return given or f"{place.origin or 'https://<function app>.azurewebsites.net'}/scim"
