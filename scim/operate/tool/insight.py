"""`why`, `history` and `status`: what somebody who is called at night asks first."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import click

from scim.insight.connections import LookUp
from scim.insight.status import Status, read_status
from scim.insight.why import Why
from scim.operate.connections.secret_store import SecretStore
from scim.operate.errors import CommandError
from scim.operate.place import Opened, Place
from scim.operate.tool.command import Verb, argument, give_place, option
from scim.operate.tool.shown import done
from scim.operate.tool.tenants.group import check_name, take_tenant
from scim.security.connections import Connection
from scim.store.table import PARALLEL_READS

_Listed = dict[str, Connection | None]


@click.command("why", cls=Verb, short_help="Why a user or group is not there, or not in a group, and what to do.")
@give_place
@take_tenant
@argument("name", "a userName, e-mail address, externalId, displayName or id, or the beginning of one")
@option("--group", "as_group", is_flag=True, help="NAME is a group")
@option("--in", "group", metavar="GROUP", help="why the user is not a member of that group")
async def why(place: Place, tenant: str, name: str, as_group: bool, group: str | None) -> int:
    """Say why somebody is not there: refused (with the text that Entra shows), disabled, deleted, never asked for, or
    a connection that does not get in; and what to do about it.

    Exit code 0 if the user is there, or in the group; 1 if not.
    """
    if as_group and group:
        raise CommandError("--group and --in are two questions: give one.")
    async with place.opened() as opened:
        listed = await _list(opened)
        asked = Why(opened.require_table(), place.registry(), tenant, _make_look_up(opened.kept, listed, tenant))
        answer = await (asked.ask_membership(name, group) if group else asked.ask(name, groups=as_group))
    done(place, answer.data(), *answer.lines())
    return 0 if answer.verdict in ("there", "member") else 1


@click.command("history", cls=Verb, short_help="What happened to a user or group: when, by whom, from what to what.")
@give_place
@take_tenant
@argument("name", "a userName, e-mail address, externalId, displayName or id, also of one who was deleted")
@option("--group", "as_group", is_flag=True, help="NAME is a group")
async def history(place: Place, tenant: str, name: str, as_group: bool) -> int:
    """Tell what happened to a user or a group within 30 days, the newest 100 changes: when, by which connection and
    credential, which attributes from what to what, which members came and went.

    Exit code 0 if something is known of it; 1 if not.
    """
    async with place.opened() as opened:
        asked = Why(opened.require_table(), place.registry(), tenant, _make_look_up(opened.kept, {}, tenant))
        told = await asked.tell(name, groups=as_group)
    done(place, told.data(), *told.lines())
    return 0 if told.id is not None else 1


@click.command("status", cls=Verb, short_help="How each tenant's provisioning does: last cycle, failures, what to do.")
@give_place
@argument(
    "tenant", "the tenant's name; all that have connections if it is left out", required=False, callback=check_name
)
@option("--expect", type=click.IntRange(1), metavar="N", help="how many users and groups are assigned in Entra")
async def status(place: Place, tenant: str | None, expect: int | None) -> int:
    """Say how the connections of a tenant do, or of all tenants that have connections: last cycle and next one, what
    failed beside Entra's rules of quarantine, how a first cycle goes, which credential expires, and what to do.

    Exit code 0 if there is nothing to do; 1 if there is.
    """
    async with place.opened() as opened:
        table, listed = opened.require_table(), await _list(opened)
        tenants = [tenant] if tenant else await _list_tenants(opened.kept, listed)
        places = asyncio.Semaphore(PARALLEL_READS)

        async def read(name: str) -> Status:
            async with places:
                return await read_status(table, name, _make_look_up(opened.kept, listed, name), expected=expect)

        found = await asyncio.gather(*map(read, tenants))
    if tenant is None and not found:
        raise CommandError("No connection is known: connections add makes one; --vault says where they are.")
    lines = [line for each in found for line in each.lines()]
    done(place, [each.data() for each in found] if tenant is None else found[0].data(), *lines)
    return 1 if any(each.advice() for each in found) else 0


async def _list(opened: Opened) -> _Listed:
    """All connections, if it is known that they lead to the table."""
    return await opened.kept.known() if opened.ours else {}


async def _list_tenants(kept: SecretStore, listed: _Listed) -> list[str]:
    connections = [each or await kept.get(name) for name, each in listed.items()]
    return sorted({each.tenant for each in connections if each is not None and each.tenant is not None})


def _make_look_up(kept: SecretStore, listed: _Listed, tenant: str) -> LookUp:
    async def look_up(_: Iterable[str]) -> list[Connection]:
        found = [each or await kept.get(name) for name, each in listed.items() if each is None or each.tenant == tenant]
        return [each for each in found if each is not None and each.tenant == tenant]

    return look_up


COMMANDS = (why, history, status)
