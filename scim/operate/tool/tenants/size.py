"""`tenants size`."""

from __future__ import annotations

from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tenants.measure import measure
from scim.operate.tool.shown import align_columns, bar, done, show_amount
from scim.operate.tool.tenants.group import make_verb, take_tenant


@make_verb("size", "One tenant: resources by type, and rows and bytes by what they are for.")
@take_tenant
async def size(place: Place, tenant: str) -> None:
    """Count one tenant: its resources by type, and its rows and their size by what they are for.

    All its rows are read, 1,000 a trip.
    """
    async with place.opened() as opened:
        table, registry = opened.require_table(), place.registry()
        with bar("Reading rows") as step:
            found = await measure(table, registry, tenant, step)
    if not found.rows:
        raise CommandError(f"There is no row of a tenant {tenant}: tenants list shows all.")
    lines = [(name, f"{number:,}", "") for name, number in sorted(found.resources.items())]
    lines += [("memberships", f"{found.memberships:,}", "")]
    lines += [
        (f"rows: {kind}", f"{rows:,}", show_amount(length)) for kind, (rows, length) in sorted(found.kinds.items())
    ]
    lines += [("rows: all", f"{found.rows:,}", show_amount(found.bytes)), ("last change", found.changed, "")]
    done(place, found.data(), *align_columns([(tenant, "", ""), *lines], right=(1, 2)).split("\n"))
