"""`tenants erase`."""

from __future__ import annotations

import sys

import click

from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tenants.erasing import count_rows, list_connections, require_quiet
from scim.operate.tenants.erasing import erase as run
from scim.operate.tool.command import option
from scim.operate.tool.shown import bar, done, say
from scim.operate.tool.tenants.group import make_verb, take_tenant


@make_verb("erase", "Remove a tenant: every row, and a proof that none is left.")
@take_tenant
@option("--confirm", metavar="NAME", help="the tenant's name again, instead of the question, for scripts")
async def erase(place: Place, tenant: str, confirm: str | None) -> int:
    """Remove every row of a tenant, and what the table notes of its connections. There is no way back but a file that
    export wrote.

    All connections of the tenant must be paused or revoked, for three minutes if they are in a vault, so that nobody
    writes meanwhile. Cut short, run the same command again. At the end the table is read once more: exit code 0 means
    that no row is left. The connections themselves stay where they are kept: they hold no user's data.
    """
    async with place.opened() as opened:
        table, kept = opened.require_table(), opened.require_connections()
        connections = await list_connections(kept, tenant)
        require_quiet(connections, kept)
        names = [connection.name for connection in connections]
        with bar("Counting rows") as step:
            rows = await count_rows(table, tenant, step)
        say(place, f"Removing {rows:,} rows of {tenant}, and what is noted of {_name_connections(names)}.")
        _confirm(tenant, confirm)
        with bar("Removing rows", rows) as step:
            erased = await run(table, tenant, names, step)
    data = {
        "tenant": tenant,
        "connections": names,
        "rows": erased.rows,
        "shared": erased.shared,
        "left": erased.left,
    }
    proof = f"A last look found {erased.left:,} left{': run it again' if erased.left else ''}."
    done(place, data, f"{erased.rows:,} rows of {tenant} and {erased.shared:,} about it are removed. {proof}")
    return 1 if erased.left else 0


def _confirm(tenant: str, confirm: str | None) -> None:
    if confirm is None:
        if not sys.stdin.isatty():
            raise CommandError(f"Nothing was removed: give --confirm {tenant}.")
        confirm = click.prompt("Type the tenant's name to go on", err=True)
    if confirm != tenant:
        raise CommandError(f"Nothing was removed: {confirm} is not {tenant}.")


def _name_connections(names: list[str]) -> str:
    return f"its connections {', '.join(names)}" if names else "it elsewhere; no connection leads to it"
