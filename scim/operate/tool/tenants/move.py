"""`tenants move`."""

from __future__ import annotations

import tempfile
from pathlib import Path

import click

from scim.operate.place import Place
from scim.operate.tenants.erasing import list_connections, require_quiet
from scim.operate.tenants.moving import move as run
from scim.operate.tool.command import Address, option
from scim.operate.tool.shown import bar, done, say, show_counts
from scim.operate.tool.tenants.group import make_verb, take_tenant

_TO = "Where to (give one of the first two)"


@make_verb("move", "Copy a tenant to another table, and compare both.")
@take_tenant
@option("--to-endpoint", type=Address(), section=_TO, help="the other table endpoint, opened as whoever is signed in")
@option(
    "--to-connection-string-env",
    metavar="VARIABLE",
    section=_TO,
    help="the environment variable that holds the other account's connection string",
)
@option("--to-table", metavar="NAME", section=_TO, help="the other table's name (default: the same)")
async def move(
    place: Place, tenant: str, to_endpoint: str | None, to_connection_string_env: str | None, to_table: str | None
) -> int:
    """Copy a tenant to another table, which must be there, and compare resource by resource what arrived.

    All connections of the tenant must be paused or revoked, for three minutes if they are in a vault. The tenant stays
    where it is: when its connections lead to the other deployment, erase it here. Cut short, run the same command
    again: what has arrived is passed over. Exit code 1 if something differs. Meanwhile the tenant is in a temporary
    folder of this machine too.
    """
    if (to_endpoint is None) == (to_connection_string_env is None):
        raise click.UsageError("Give one of --to-endpoint and --to-connection-string-env.", click.get_current_context())
    async with (
        place.opened() as opened,
        place.other_table(to_endpoint, to_connection_string_env, to_table) as target,
    ):
        table, kept = opened.require_table(), opened.require_connections()
        require_quiet(await list_connections(kept, tenant), kept)
        say(place, f"Copying {tenant} to the other table; it stays here.")
        with tempfile.TemporaryDirectory() as folder, bar("Copying") as step:
            moved = await run(table, target, place.registry(), tenant, Path(folder), step)
    counts = moved.imported.counts
    data = {
        "tenant": tenant,
        "made": moved.imported.made,
        "there": moved.imported.there,
        "problems": moved.imported.problems,
        "difference": moved.difference,
        **counts.data(),
    }
    if moved.difference:
        words = [*moved.imported.problems, f"The copy differs, first in: {moved.difference}"]
        done(place, data, *words)
        return 1
    done(
        place,
        data,
        f"The other table holds {show_counts(counts)}, the same as here. Now give its deployment the connections, and"
        f" when Entra writes there, run: tenants erase {tenant}",
    )
    return 0
