"""`python -m scim users`: one person made again, or forgotten."""

from __future__ import annotations

import sys

import click

from scim.operate.errors import CommandError
from scim.operate.people import erase_user, restore_user
from scim.operate.place import Place
from scim.operate.tool.command import Noun, Verb, argument, give_place, option
from scim.operate.tool.shown import done, say
from scim.operate.tool.tenants.group import take_tenant


@click.group(cls=Noun)
def users() -> None:
    """One user of a tenant, by id: `why` and `history` tell the id."""


@users.command("restore", cls=Verb, short_help="Make a deleted user again, with the same id.")
@give_place
@take_tenant
@argument("id", "the user's id, which begins with u-")
async def restore(place: Place, tenant: str, id: str) -> None:
    """Make a deleted user again from the last document that the change feed has, with the same id, so that your
    application's data of the person fits again. It is refused if the userName, or another unique value, is taken.

    It comes back into the groups that it was in and that are still there. Cut short, run the same command again.
    """
    async with place.opened() as opened:
        made = await restore_user(opened.require_table(), place.registry(), tenant, id)
    data = {"tenant": tenant, "id": id, "userName": made.name, "groups": made.groups, "gone": made.gone}
    text = f"User {made.name} is there again, as {id}, in {len(made.groups)} groups."
    if made.gone:
        text += f" {len(made.gone)} groups that it was in are gone: {', '.join(made.gone[:10])}."
    done(place, data, text)


@users.command("erase", cls=Verb, short_help="Forget one user everywhere, and prove it.")
@give_place
@take_tenant
@argument("id", "the user's id, also of one who was deleted")
@option("--confirm", metavar="ID", help="the id again, instead of the question, for scripts")
async def erase(place: Place, tenant: str, id: str, confirm: str | None) -> int:
    """Remove a user, and all that is kept of the person: in the change feed, the history, the failures and what
    policies keep. Events stay at their numbers, without names and values, and say that they were erased. There is no
    way back.

    At the end every row of the tenant is read once more: exit code 0 means that none has the userName, the externalId
    or an e-mail address. What your application took from the feed before is your application's to erase.
    """
    async with place.opened() as opened:
        table = opened.require_table()
        say(place, f"Erasing user {id} of {tenant}, and all that is kept of the person.")
        _confirm(id, confirm)
        gone = await erase_user(table, place.registry(), tenant, id)
    data = {"tenant": tenant, "id": id, "existed": gone.existed, "events": gone.events, "rows": gone.rows}
    proof = "A last look at every row found none with a name of the person."
    if gone.left:
        proof = f"{len(gone.left)} rows still have a name of the person, such as {', '.join(gone.left[:3])}."
    text = f"User {id} is erased: {gone.events} events without names, {gone.rows} other rows removed. {proof}"
    done(place, {**data, "left": gone.left}, text)
    return 1 if gone.left else 0


def _confirm(id: str, confirm: str | None) -> None:
    if confirm is None:
        if not sys.stdin.isatty():
            raise CommandError(f"Nothing was removed: give --confirm {id}.")
        confirm = click.prompt("Type the user's id to go on", err=True)
    if confirm != id:
        raise CommandError(f"Nothing was removed: {confirm} is not {id}.")
