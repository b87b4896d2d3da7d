"""`python -m scim console`: links that let somebody into the console once, and directories whose people sign in."""

from __future__ import annotations

import getpass
from datetime import datetime

import click

from scim.clock import show_time
from scim.operate.access.directories import Directories
from scim.operate.access.people import Role
from scim.operate.access.sessions import Sessions
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool.command import Address, Noun, Verb, argument, give_place, option
from scim.operate.tool.shown import align_columns, done, show
from scim.operate.tool.tenants.group import check_name


@click.group(cls=Noun)
def console() -> None:
    """The console (docs/console.md): who gets in. A link lets in once, within three days."""


@console.command("invite", cls=Verb, short_help="Make a link for a tenant's admin, an operator or a reader.")
@give_place
@argument("tenant", "the tenant of the admin who is invited", required=False, callback=check_name)
@option("--operator", is_flag=True, help="for an operator, who sees and changes all tenants")
@option("--reader", is_flag=True, help="for somebody who may look at all tenants")
@option("--url", type=Address(local=True), help="where the console is, such as https://console.example.com")
async def invite(place: Place, tenant: str | None, operator: bool, reader: bool, url: str | None) -> None:
    """Make a link that lets somebody in once, within three days. Whoever has it is that somebody: send it by a way that
    nobody else reads.
    """
    if sum((tenant is not None, operator, reader)) != 1:
        raise CommandError("Say who is invited: a TENANT, --operator or --reader.")
    role: Role = "operator" if operator else "reader" if reader else "admin"
    async with place.opened() as opened:
        sessions = Sessions(opened.require_table())
        link, token = await sessions.invite(role, tenant, f"{getpass.getuser()} by hand")
    origin = (url or _find_origin(place)).rstrip("/")
    address = f"{origin}/console/invitation#{token}"
    data = {"id": link.id, "role": role, "tenant": tenant, "until": link.until, "url": address}
    done(place, data, address, f"Good once, until {link.until[:16].replace('T', ' ')} UTC, for {tenant or role}.")


@console.command("links", cls=Verb, short_help="The links that nobody has used yet.")
@give_place
async def links(place: Place) -> None:
    """List the links that nobody has used yet, and that are still good."""
    async with place.opened() as opened:
        found = [link async for link in Sessions(opened.require_table()).links()]
    if place.json:
        done(place, [{"id": each.id, "role": each.role, "tenant": each.tenant, "until": each.until} for each in found])
        return
    rows = [
        (each.id, each.tenant or each.role, each.by, show_time(datetime.fromisoformat(each.until))) for each in found
    ]
    show(align_columns([("id", "for", "by", "until"), *rows]))


@console.command("revoke", cls=Verb, short_help="Take a link back.")
@give_place
@argument("id", "the link's id, as links shows it")
async def revoke(place: Place, id: str) -> None:
    """Take back a link that nobody has used."""
    async with place.opened() as opened:
        if not await Sessions(opened.require_table()).revoke_link(id):
            raise CommandError(f"There is no link {id} that is still good: links shows them.")
    done(place, {"id": id}, f"Link {id} lets nobody in any more.")


@console.command("directories", cls=Verb, short_help="From which directory each tenant's admins sign in.")
@give_place
async def directories(place: Place) -> None:
    """List the tenants whose admins sign in at an identity provider, with the directory (tid) they sign in from. Those
    of SCIM_CONSOLE_DIRECTORIES, which the deployment sets, are not among them.
    """
    async with place.opened() as opened:
        found = [each async for each in Directories(opened.require_table(), {}).list()]
    if place.json:
        done(place, [{"tenant": tenant, "directory": directory} for tenant, directory in found])
        return
    show(align_columns([("tenant", "directory"), *found]))


@console.command("release", cls=Verb, short_help="Have nobody sign in for a tenant from the directory that it named.")
@give_place
@argument("tenant", "the tenant", callback=check_name)
async def release(place: Place, tenant: str) -> None:
    """Take back that a tenant's admins sign in from the directory that one of them named. Sessions that have begun end
    within eight hours; the next link may name another directory.
    """
    async with place.opened() as opened:
        if not await Directories(opened.require_table(), {}).release(tenant):
            raise CommandError(f"{tenant} has named no directory: directories shows who has.")
    done(place, {"tenant": tenant}, f"Nobody signs in for {tenant} any more, until an admin names a directory again.")


def _find_origin(place: Place) -> str:
    said = place.environment.get("SCIM_CONSOLE_URL")
    if said:
        return said.removesuffix("/console")
    return place.origin or "https://<function app>.azurewebsites.net"
