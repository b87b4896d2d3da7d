"""`python -m scim connections`: make, list, show, rotate, revoke, pause and resume connections."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import click

from scim.operate.connections import printed
from scim.operate.connections.commands import Commands, View
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool.command import Function, Noun, Verb, argument, option, placed
from scim.security.connections import ENTRA_PREFIX, Connection, entra_name
from scim.security.trust import Trust, entra_federation, entra_issued, federation
from scim.store.credentials import Credentials

_PINNED = "Kinds federation and entra: what the signed token must say"
_NAME = "the connection's name"


@click.group(
    cls=Noun,
    epilog="""
\b
Examples:
  add contoso                                        a secret token, to paste into Entra
  add contoso --kind oauth --expires 730d            client id and secret
  add contoso --kind federation --tenant-id GUID --app-id GUID --subject GUID
                                                     Entra's workload identity federation: no secret at all
  add contoso --kind federation --issuer https://accounts.google.com --audience AUD --subject SUB
  add --kind entra --tenant-id GUID --tenant contoso Entra's own token, for tests: the secret stays blank
  rotate contoso, then show contoso until it is safe to revoke, then revoke contoso --old
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


def _verb(name: str, help: str) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], click.Command]:
    """Make an async function a command of this noun."""

    def made(function: Callable[..., Coroutine[Any, Any, int | None]]) -> click.Command:
        return connections.command(name, cls=Verb, help=help, short_help=help)(_url(placed(function)))

    return made


def _named(function: Function) -> Function:
    return argument("name", _NAME)(function)


def _secret(function: Function) -> Function:
    """The options of commands that make a secret."""
    expires = option("--expires", default="never", help="when it ends: 365d, 2027-11-21, or never (default)")
    hashed = option("--hash-only", is_flag=True, help="keep only the secret's sha256, so nobody reads it")
    return expires(hashed(function))


@_verb("add", "Make a connection and print what to enter in Entra, the secret once.")
@argument("name", "a-z, 0-9 and inner hyphens; left out for kind entra", required=False)
@option("--kind", type=click.Choice(["api-key", "oauth", "federation", "entra"]), default="api-key", show_default=True)
@option("--tenant", help="the tenant whose users it reaches (default: the connection's name)")
@option("--description", default="", help="up to 200 characters")
@option("--read-only", is_flag=True, help="it may look, and change nothing")
@option("--strict", is_flag=True, help="hold to the interoperability profile; not for Entra")
@option("--replace", is_flag=True, help="in place of the connection of that name")
@_secret
@option("--tenant-id", metavar="GUID", section=_PINNED, help="the Entra tenant")
@option("--app-id", metavar="GUID", section=_PINNED, help="the workload identity's application, the token's audience")
@option("--subject", section=_PINNED, help="the object id that Entra's setup page shows, or the issuer's name for it")
@option("--issuer", metavar="URL", section=_PINNED, help="an issuer other than Entra")
@option("--audience", section=_PINNED, help="the token's audience, with --issuer; or a gallery app's for kind entra")
@option("--jwks-uri", metavar="URL", section=_PINNED, help="where the issuer's keys are, if it is not known")
async def add(place: Place, url: str | None, **given: Any) -> None:
    name, members = _given(given)
    expires = _expiry(given["expires"])
    async with _opened(place) as commands:
        connection, secret = await commands.add(
            name, members, expires=expires, hashed=given["hash_only"], replace=given["replace"]
        )
        # Nobody can have used what was just made.
        _print_made(place, View(connection, [], None), secret, url, commands.takes_effect)


@_verb("list", "All connections: state, expiry, last use.")
async def list_(place: Place, url: str | None) -> None:
    now = datetime.now(UTC)
    async with _opened(place) as commands:
        views = await commands.list()
    if place.json:
        print(json.dumps([printed.data(view, now) for view in views], indent=2))
    else:
        print(printed.table(views, now))


@_verb("show", "One connection: its credentials, their uses, and whether the old one may be revoked.")
@_named
async def show(place: Place, url: str | None, name: str) -> None:
    async with _opened(place) as commands:
        _print(place, await commands.show(name))


@_verb("rotate", "Make a second credential; both work until the old one is revoked.")
@_named
@_secret
async def rotate(place: Place, url: str | None, name: str, expires: str, hash_only: bool) -> None:
    ends = _expiry(expires)
    async with _opened(place) as commands:
        connection, secret = await commands.rotate(name, expires=ends, hashed=hash_only)
        after = f"The old credential goes on until it is revoked: show tells when that is safe. {commands.takes_effect}"
        _print_made(place, await commands.show(connection.name), secret, url, after)


@_verb("revoke", "End a credential, or the whole connection; its holder is told so in the 401.")
@_named
@option("--old", is_flag=True, help="the older of two, if nobody uses it any more")
@option("--credential", metavar="ID", help="the one of that id (see show)")
@option("--all", "whole", is_flag=True, help="the connection with all its credentials and tokens")
@option("--force", is_flag=True, help="with --old: even if it is in use")
async def revoke(
    place: Place, url: str | None, name: str, old: bool, credential: str | None, whole: bool, force: bool
) -> None:
    if (old, credential is not None, whole).count(True) != 1:
        raise click.UsageError("Give one of --old, --credential ID and --all.", click.get_current_context())
    after = "Whoever still uses what was revoked is refused, and told why."
    async with _opened(place) as commands:
        connection = await commands.revoke(name, "old" if old else credential, force=force)
        await _print_changed(place, commands, connection, after)


@_verb("pause", "Answer 503 with Retry-After, which Entra takes for a short outage, until resume.")
@_named
async def pause(place: Place, url: str | None, name: str) -> None:
    after = "Requests get 503; Entra tries again in each cycle and loses nothing."
    async with _opened(place) as commands:
        await _print_changed(place, commands, await commands.pause(name), after)


@_verb("resume", "Answer again.")
@_named
async def resume(place: Place, url: str | None, name: str) -> None:
    after = "Entra repeats what failed by and by; to have it all at once, restart provisioning in Entra."
    async with _opened(place) as commands:
        await _print_changed(place, commands, await commands.resume(name), after)


@_verb("rotate-signing-keys", "Sign access tokens with a new key; those that are out go on.")
async def rotate_signing_keys(place: Place, url: str | None) -> None:
    async with _opened(place) as commands:
        await commands.rotate_signing_keys()
        after = "Access tokens are signed with a new key in five minutes; tokens that are out go on."
        print(json.dumps({"rotated": True}) if place.json else f"{after} {commands.takes_effect}")


@asynccontextmanager
async def _opened(place: Place) -> AsyncIterator[Commands]:
    async with place.opened() as opened:
        if opened.trouble:
            print(f"When credentials were used is not known. {opened.trouble}", file=sys.stderr)
        yield Commands(opened.kept, Credentials(opened.table) if opened.table else None)


def _print(place: Place, view: View, after: str = "") -> None:
    now = datetime.now(UTC)
    if place.json:
        print(json.dumps(printed.data(view, now), indent=2))
    else:
        print(printed.details(view, now) + (f"\n{after}" if after else ""))


async def _print_changed(place: Place, commands: Commands, connection: Connection, after: str) -> None:
    _print(place, await commands.show(connection.name), f"{after} {commands.takes_effect}")


def _print_made(place: Place, view: View, secret: str | None, given_url: str | None, after: str) -> None:
    """Print what to enter in Entra, the secret this once."""
    url = _tenant_url(place, given_url)
    if place.json:
        entered = printed.entered(view.connection, url, secret)
        print(json.dumps({**printed.data(view, datetime.now(UTC)), "enter": entered}, indent=2))
    else:
        print(f"{printed.instructions(view.connection, url, secret)}\n{after}")


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
    if trust is not None and options["hash_only"]:
        raise CommandError(f"--hash-only is about a secret, and a connection of kind {kind} has none.")
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
    members: dict[str, Any] = {
        "tenant": options["tenant"] or name,
        "kind": kind,
        "description": options["description"],
        "access": "read" if options["read_only"] else "write",
        "mode": "strict" if options["strict"] else "entra",
    }
    return name, members if trust is None else {**members, "trust": trust.model_dump()}


_PINNED_NAMES = ("tenant_id", "app_id", "subject", "issuer", "audience", "jwks_uri")


def _trust(options: dict[str, Any]) -> Trust | None:
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
        reason = error.errors()[0] if hasattr(error, "errors") else None
        raise CommandError(f"{reason['loc'][0]}: {reason['msg']}" if reason else str(error)) from None
    return None


def _needed(options: dict[str, Any], *names: str) -> None:
    for name in names:
        if not options[name]:
            kind = options["kind"]
            raise CommandError(f"--{name.replace('_', '-')} is missing: a connection of kind {kind} pins it.")


def _expiry(text: str) -> datetime | None:
    if text == "never":
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    if days := re.fullmatch(r"(\d{1,5})d", text):
        given = now + timedelta(days=int(days[1]))
    else:
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            raise CommandError("--expires must be never, days such as 365d, or a date such as 2027-11-21.") from None
    given = given if given.tzinfo else given.replace(tzinfo=UTC)
    if given <= now:
        raise CommandError(f"--expires {text} is over already.")
    return given
