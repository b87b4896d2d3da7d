"""`python -m scim feed sink`: the webhooks that get the events of the change feed."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import click

from scim.operate import sinks
from scim.operate.connections.secret_store import SINKS
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool import shown
from scim.operate.tool.command import Function, Noun, Verb, argument, give_place, option
from scim.operate.tool.members import read_list

_NAME = "the sink's name"
_SENDS = "The app goes on with the tenant's next change, or within five minutes."


@click.group(cls=Noun)
def feed() -> None:
    """The change feed: where its events are brought."""


@feed.group(
    cls=Noun,
    epilog="""
\b
Examples:
  add crm https://crm.example/hooks                  every tenant's events, from the oldest that is kept
  add crm https://crm.example/hooks --from now       only what changes from now on
  list                                               how far each has come, and what is wrong
  resume crm                                         try again at once, also what was stopped
  skip crm 4711 --tenant contoso                     go on behind an event that the receiver cannot take
  replay crm --from 4650 --tenant contoso            send again from an event on
  rotate crm, then rotate crm --finish               a new secret; both sign until the second
""",
)
def sink() -> None:
    """Webhooks: Standard Webhooks 1.0, in order, until each message is taken (docs/application.md).

    Sinks are kept where connections are: in Key Vault (--vault, or SCIM_KEY_VAULT_URL) or in local.settings.json. How
    far each has come with a tenant is in the table (--table, or SCIM_TABLE_ENDPOINT).
    """


def _make_verb(name: str, help: str) -> Callable[[Callable[..., Coroutine[Any, Any, int | None]]], click.Command]:
    def made(function: Callable[..., Coroutine[Any, Any, int | None]]) -> click.Command:
        return sink.command(name, cls=Verb, help=help, short_help=help)(give_place(function))

    return made


def _take_name(function: Function) -> Function:
    return argument("name", _NAME)(function)


_tenant = option("--tenant", metavar="TENANT", required=True, help="the tenant whose events it is about")


@_make_verb("add", "Have events sent to a URL, and print the secret that they are signed with.")
@_take_name
@argument("url", "where to: https, and a public address")
@option("--tenants", metavar="LIST", help="only these tenants' events: contoso,fabrikam")
@option("--from", "start", type=click.Choice([sinks.START, "now"]), default=sinks.START, help="what comes first")
async def add(place: Place, name: str, url: str, tenants: str | None, start: str) -> None:
    async with place.opened() as opened:
        kept = opened.require_connections()
        table = opened.require_table() if start == "now" else None
        made = await sinks.add_sink(kept, name, url, read_list("--tenants", tenants))
        if table is not None:
            async for standing in sinks.list_standings(table, made):
                await sinks.set_cursor(table, made, standing.tenant, "now")
        lines = (
            f"Sink {name} sends to {made.host}. {kept.takes_effect}",
            f"Its secret, which the receiver needs: {made.secrets[0]}",
        )
        shown.done(place, {"name": name, "url": url, "secret": made.secrets[0]}, *lines)


@_make_verb("list", "Which sinks there are, how far each has come, and what is wrong.")
@option("--tenant", metavar="TENANT", help="only this tenant")
async def list_(place: Place, tenant: str | None) -> None:
    async with place.opened() as opened:
        known = await opened.require_connections().read(SINKS)
        found = []
        for each in known.values():
            standings = [one async for one in sinks.list_standings(opened.require_table(), each, tenant)]
            found.append((each, standings))
    if place.json:
        data = [
            {
                "name": each.name,
                "url": each.url,
                "rotating": len(each.secrets) == 2,
                "tenants": [s.data() for s in some],
            }
            for each, some in found
        ]
        shown.show_data(data)
        return
    if not found:
        shown.show("There are no sinks.")
        return
    rows = [["sink", "tenant", "state", "behind", "last taken", "error"]]
    for each, some in found:
        rows += [
            [each.name, one.tenant, one.how, str(one.behind), one.state.taken[:19] or "-", one.state.error or "-"]
            for one in some
            if tenant or one.how != "ok"
        ]
        well = sum(one.how == "ok" for one in some)
        shown.show(f"{each.name}: {each.host}, {well} of {len(some)} tenants up to date")
    if len(rows) > 1:
        shown.show(shown.align_columns(rows, right=[3]))


@_make_verb("resume", "Try again at once what waits or was stopped.")
@_take_name
@option("--tenant", metavar="TENANT", help="only for this tenant; else for all that wait")
@option("--from", "start", metavar="WHERE", help="start, now, or the number of an event; needs --tenant")
async def resume(place: Place, name: str, tenant: str | None, start: str | None) -> None:
    if start and not tenant:
        raise CommandError("--from is about one tenant's events: give --tenant, too.")
    async with place.opened() as opened:
        table, found = opened.require_table(), await sinks.find_sink(opened.require_connections(), name)
        done = []
        async for standing in sinks.list_standings(table, found, tenant):
            if start:
                await sinks.set_cursor(table, found, standing.tenant, start)
            elif standing.how in ("stopped", "failing"):
                await sinks.resume(table, found, standing.tenant)
            else:
                continue
            done.append(standing.tenant)
    told = f"Resumed for {', '.join(done)}. {_SENDS}" if done else "Nothing waits."
    shown.done(place, {"resumed": done}, told)


@_make_verb("replay", "Send a tenant's events again, from one on.")
@_take_name
@option("--from", "start", metavar="WHERE", required=True, help="the number of an event, or start")
@_tenant
async def replay(place: Place, name: str, start: str, tenant: str) -> None:
    async with place.opened() as opened:
        found = await sinks.find_sink(opened.require_connections(), name)
        await sinks.set_cursor(opened.require_table(), found, tenant, start)
    shown.done(place, {"tenant": tenant, "from": start}, f"Events of {tenant} go again from {start}. {_SENDS}")


@_make_verb("skip", "Go on behind the next event, which the receiver cannot take.")
@_take_name
@argument("number", "the event's number (seq)", type=int)
@_tenant
async def skip(place: Place, name: str, number: int, tenant: str) -> None:
    async with place.opened() as opened:
        found = await sinks.find_sink(opened.require_connections(), name)
        await sinks.skip_event(opened.require_table(), found, tenant, number)
    told = f"Event {number} of {tenant} is not sent; it stays in the feed. {_SENDS}"
    shown.done(place, {"tenant": tenant, "skipped": number}, told)


@_make_verb("rotate", "Sign with a new secret as well; with --finish, no more with the old one.")
@_take_name
@option("--finish", is_flag=True, help="the receiver has the new secret: the old one ends")
async def rotate(place: Place, name: str, finish: bool) -> None:
    async with place.opened() as opened:
        kept = opened.require_connections()
        made = await sinks.rotate_secret(kept, name, finish=finish)
        if finish:
            shown.done(place, {"name": name, "finished": True}, f"The old secret is gone. {kept.takes_effect}")
            return
        lines = (
            f"The new secret, which the receiver needs: {made.secrets[0]}",
            f"Messages are signed with both. {kept.takes_effect}",
            f"When the receiver has the new one: rotate {name} --finish.",
        )
        shown.done(place, {"name": name, "secret": made.secrets[0]}, *lines)


@_make_verb("remove", "Send no more, and forget how far it has come.")
@_take_name
async def remove(place: Place, name: str) -> None:
    async with place.opened() as opened:
        kept = opened.require_connections()
        if wait := kept.settles_after.total_seconds():
            shown.say(place, f"This takes {wait:.0f} seconds, until no process sends any more.")
        number = await sinks.remove_sink(kept, opened.require_table(), name)
        shown.done(
            place, {"name": name, "tenants": number}, f"Sink {name} is gone; it had begun with {number} tenants."
        )
