"""`python -m scim.connections`: make, list, rotate, revoke and pause connections."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scim.connections import printed
from scim.connections.commands import CommandError, Commands, View
from scim.connections.kept import Kept, KeptError, KeptInSettings, KeptInVault
from scim.security.connections import ENTRA_PREFIX, Unavailable, entra_name
from scim.security.trust import Trust, entra_federation, entra_issued, federation
from scim.security.vault import Vault
from scim.store.credentials import Credentials
from scim.store.gateway import TableGateway

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential


_ABOUT = """\
A connection is one identity provider's access to one tenant. Connections are kept in Key Vault (--vault, or
SCIM_KEY_VAULT_URL) or, on a laptop, in local.settings.json, which the app reads when it starts. In a vault, a new
connection or credential works at once, and what is revoked or paused ends within a minute. Whoever runs this needs the
role Key Vault Secrets Officer there; last uses are read from the table (--table, or SCIM_TABLE_ENDPOINT) with the role
Storage Table Data Reader.
"""
_EXAMPLES = """\
examples:
  add contoso                                        a secret token, to paste into Entra
  add contoso --kind oauth --expires 730d            client id and secret
  add contoso --kind federation --tenant-id GUID --app-id GUID --subject GUID
                                                     Entra's workload identity federation: no secret at all
  add contoso --kind federation --issuer https://accounts.google.com --audience AUD --subject SUB
  add --kind entra --tenant-id GUID --tenant contoso Entra's own token, for tests: the secret stays blank
  rotate contoso, then show contoso until it is safe to revoke, then revoke contoso --old
"""


def main(arguments: Sequence[str] | None = None, *, ca_file: str | None = None) -> int:
    """Run one command; the exit code. `ca_file` replaces the system's trusted certificates towards the vault."""
    options = _parser().parse_args(arguments)
    try:
        print(asyncio.run(_run(options, ca_file)))
    except (CommandError, KeptError, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


async def _run(options: argparse.Namespace, ca_file: str | None) -> str:
    """Open what is kept, do the command, and give what to print."""
    environment = _environment(options)
    vault_url = options.vault or (None if options.local else environment.get("SCIM_KEY_VAULT_URL"))
    endpoint = options.table or (environment.get("SCIM_TABLE_ENDPOINT") if vault_url else None)
    identity = _identity() if vault_url or endpoint else None
    vault = Vault(vault_url, identity, ca_file=ca_file) if vault_url and identity else None
    kept: Kept = KeptInVault(vault) if vault else KeptInSettings(Path(options.local or "local.settings.json"))
    table = _table(environment, endpoint, identity)
    commands = Commands(kept, Credentials(table) if table else None)
    try:
        return await _command(options, commands, environment)
    finally:
        for opened in (vault, table, identity):
            if opened is not None:
                await opened.close()


async def _command(options: argparse.Namespace, commands: Commands, environment: Mapping[str, str]) -> str:
    now = datetime.now(UTC)
    secret = None
    after = " ".join(filter(None, (_AFTER.get(options.command), commands.takes_effect)))
    match options.command:
        case "list":
            views = await commands.list()
            if options.json:
                return json.dumps([printed.data(view, now) for view in views], indent=2)
            return printed.table(views, now)
        case "show":
            view = await commands.show(options.name)
            return json.dumps(printed.data(view, now), indent=2) if options.json else printed.details(view, now)
        case "rotate-signing-keys":
            await commands.rotate_signing_keys()
            return json.dumps({"rotated": True}) if options.json else after
        case "add":
            name, given = _given(options)
            connection, secret = await commands.add(
                name, given, expires=_expiry(options), hashed=options.hash_only, replace=options.replace
            )
        case "rotate":
            connection, secret = await commands.rotate(options.name, expires=_expiry(options), hashed=options.hash_only)
        case "revoke":
            which = "old" if options.old else options.credential
            connection = await commands.revoke(options.name, which, force=options.force)
        case "pause":
            connection = await commands.pause(options.name)
        case "resume":
            connection = await commands.resume(options.name)
    # Nobody can have used what was just made.
    view = View(connection, [], None) if options.command == "add" else await commands.show(connection.name)
    url = _url(options, environment)
    if options.json:
        told = {"enter": printed.entered(connection, url, secret)} if options.command in ("add", "rotate") else {}
        return json.dumps({**printed.data(view, now), **told}, indent=2)
    shown = printed.details(view, now)
    if options.command in ("add", "rotate"):
        shown = printed.instructions(connection, url, secret)
    return f"{shown}\n{after}"


_AFTER = {
    "rotate": "The old credential goes on until it is revoked: show tells when that is safe.",
    "revoke": "Whoever still uses what was revoked is refused, and told why.",
    "pause": "Requests get 503; Entra tries again in each cycle and loses nothing.",
    "resume": "Entra repeats what failed by and by; to have it all at once, restart provisioning in Entra.",
    "rotate-signing-keys": "Access tokens are signed with a new key in five minutes; tokens that are out go on.",
}


def _given(options: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """The name and the members of the connection to make. Raises CommandError."""
    trust = _trust(options)
    stray = [each for each in _PINNED if trust is None and getattr(options, each)]
    if stray:
        raise CommandError(f"--{stray[0].replace('_', '-')} is for --kind federation or entra: which one is it?")
    if trust is not None and options.hash_only:
        raise CommandError(f"--hash-only is about a secret, and a connection of kind {options.kind} has none.")
    name = entra_name(trust) if options.kind == "entra" and trust else options.name
    if not name or (options.name and options.name != name):
        raise CommandError(
            f"A connection for Entra's own tokens is named {name}: leave the name out."
            if options.name
            else "Give the connection a name: a-z, 0-9 and inner hyphens."
        )
    if options.kind != "entra" and name.startswith(ENTRA_PREFIX):
        raise CommandError(f"Names that begin with {ENTRA_PREFIX} are for --kind entra: choose another one.")
    if options.kind == "entra" and not options.tenant:
        raise CommandError("--tenant is missing: whose users does Entra's own token reach?")
    given: dict[str, Any] = {
        "tenant": options.tenant or name,
        "kind": options.kind,
        "description": options.description,
        "access": "read" if options.read_only else "write",
        "mode": "strict" if options.strict else "entra",
    }
    return name, given if trust is None else {**given, "trust": trust.model_dump()}


_PINNED = ("tenant_id", "app_id", "subject", "issuer", "audience", "jwks_uri")


def _trust(options: argparse.Namespace) -> Trust | None:
    try:
        match options.kind:
            case "entra":
                _needed(options, "tenant_id")
                return entra_issued(options.tenant_id, options.audience, options.jwks_uri)
            case "federation" if options.issuer:
                _needed(options, "audience", "subject")
                return federation(options.issuer, options.audience, options.subject, options.jwks_uri)
            case "federation":
                _needed(options, "tenant_id", "app_id", "subject")
                return entra_federation(options.tenant_id, options.app_id, options.subject, options.jwks_uri)
    except ValueError as error:
        reason = error.errors()[0] if hasattr(error, "errors") else None
        raise CommandError(f"{reason['loc'][0]}: {reason['msg']}" if reason else str(error)) from None
    return None


def _needed(options: argparse.Namespace, *names: str) -> None:
    for name in names:
        if not getattr(options, name):
            raise CommandError(f"--{name.replace('_', '-')} is missing: a connection of kind {options.kind} pins it.")


def _expiry(options: argparse.Namespace) -> datetime | None:
    text = str(options.expires)
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


def _url(options: argparse.Namespace, environment: Mapping[str, str]) -> str:
    """The tenant URL, as far as it is known here."""
    known = options.url or environment.get("SCIM_TENANT_URL") or environment.get("SCIM_PUBLIC_URL")
    local = not (options.vault or environment.get("SCIM_KEY_VAULT_URL")) or options.local
    return str(known or ("http://127.0.0.1:7071/scim" if local else "https://<function app>.azurewebsites.net/scim"))


def _environment(options: argparse.Namespace) -> dict[str, str]:
    """The environment over the Values of the local settings, as the app sees them."""
    try:
        values = json.loads(Path(options.local or "local.settings.json").read_text(encoding="utf-8-sig"))["Values"]
        local = {name: value for name, value in values.items() if isinstance(value, str)}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        local = {}  # what is wrong with the file is told where it is needed
    return {**local, **os.environ}


def _identity() -> AsyncTokenCredential:
    from scim.security.identity import identity

    return identity(None)


def _table(
    environment: Mapping[str, str], endpoint: str | None, identity: AsyncTokenCredential | None
) -> TableGateway | None:
    """The table that uses are noted in; None where it is not known."""
    name = environment.get("SCIM_TABLE_NAME") or "scim"
    try:
        if endpoint and identity:
            return TableGateway.with_identity(endpoint, name, identity)
        # That of the settings file is of this machine, and says nothing of a deployment.
        if key := (os.environ if identity else environment).get("SCIM_TABLE_CONNECTION_STRING"):
            return TableGateway.with_key(key, name)
    except ValueError:
        print("When credentials were used is not known: the table's address is none.", file=sys.stderr)
    return None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m scim.connections",
        description=_ABOUT,
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    common = argparse.ArgumentParser(add_help=False)
    place = common.add_argument_group("where connections are kept")
    one = place.add_mutually_exclusive_group()
    one.add_argument("--vault", metavar="URL", help="the Key Vault, such as https://NAME.vault.azure.net")
    one.add_argument("--local", metavar="FILE", help="a settings file, even where a vault is configured")
    place.add_argument("--table", metavar="URL", help="the table endpoint that last uses are read from")
    place.add_argument("--url", help="the tenant URL to print")
    common.add_argument("--json", action="store_true", help="print JSON")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, help: str, *, named: bool = True) -> argparse.ArgumentParser:
        made = commands.add_parser(name, help=help, description=help, parents=[common])
        if named:
            made.add_argument("name", help="the connection's name")
        return made

    _add_arguments(command("add", "make a connection and print what to enter in Entra, the secret once", named=False))
    command("list", "all connections: state, expiry, last use", named=False)
    command("show", "one connection: its credentials, their uses, and whether the old one may be revoked")
    _secret_arguments(command("rotate", "make a second credential; both work until the old one is revoked"))
    revoke = command("revoke", "end a credential, or the whole connection; its holder is told so in the 401")
    which = revoke.add_mutually_exclusive_group(required=True)
    which.add_argument("--old", action="store_true", help="the older of two, if nobody uses it any more")
    which.add_argument("--credential", metavar="ID", help="the one of that id (see show)")
    which.add_argument("--all", action="store_true", help="the connection with all its credentials and tokens")
    revoke.add_argument("--force", action="store_true", help="with --old: even if it is in use")
    command("pause", "answer 503 with Retry-After, which Entra takes for a short outage, until resume")
    command("resume", "answer again")
    command("rotate-signing-keys", "sign access tokens with a new key; those that are out go on", named=False)
    return parser


def _secret_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--expires", default="never", help="when it ends: 365d, 2027-11-21, or never (default)")
    parser.add_argument("--hash-only", action="store_true", help="keep only the secret's sha256, so nobody reads it")


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a-z, 0-9 and inner hyphens; left out for kind entra")
    parser.add_argument("--kind", choices=("api-key", "oauth", "federation", "entra"), default="api-key")
    parser.add_argument("--tenant", help="the tenant whose users it reaches (default: the connection's name)")
    parser.add_argument("--description", default="", help="up to 200 characters")
    parser.add_argument("--read-only", action="store_true", help="it may look, and change nothing")
    parser.add_argument("--strict", action="store_true", help="hold to the interoperability profile; not for Entra")
    parser.add_argument("--replace", action="store_true", help="in place of the connection of that name")
    _secret_arguments(parser)
    pinned = parser.add_argument_group("kinds federation and entra: what the signed token must say")
    pinned.add_argument("--tenant-id", metavar="GUID", help="the Entra tenant")
    pinned.add_argument("--app-id", metavar="GUID", help="the workload identity's application, the token's audience")
    pinned.add_argument("--subject", help="the object id that Entra's setup page shows, or the issuer's name for it")
    pinned.add_argument("--issuer", metavar="URL", help="an issuer other than Entra")
    pinned.add_argument("--audience", help="the token's audience, with --issuer; or a gallery app's for kind entra")
    pinned.add_argument("--jwks-uri", metavar="URL", help="where the issuer's keys are, if it is not known")


if __name__ == "__main__":
    sys.exit(main())
