"""`tenants list`."""

from __future__ import annotations

from scim.operate.place import Place
from scim.operate.tenants.measure import list_tenants, measure
from scim.operate.tool.command import option
from scim.operate.tool.shown import align_columns, bar, done, show_amount
from scim.operate.tool.tenants.group import make_verb

_HEAD = ("TENANT", "RESOURCES", "MEMBERSHIPS", "ROWS", "SIZE", "LAST CHANGE")


@make_verb("list", "All tenants: resources, rows, size, last change.")
@option("--names", is_flag=True, help="the names alone: one trip a tenant")
async def list_(place: Place, names: bool) -> None:
    """List all tenants that have rows: their resources by type, rows, size, and when the last row was written.

    To count, all rows are read, 1,000 a trip; --names does not count.
    """
    async with place.opened() as opened:
        table = opened.require_table()
        found = [tenant async for tenant in list_tenants(table)]
        if names:
            done(place, found, *(found or ["There are no tenants."]))
            return
        registry = place.registry()
        with bar("Reading rows") as step:
            sizes = [await measure(table, registry, tenant, step) for tenant in found]
    rows = [
        (
            size.tenant,
            ", ".join(f"{number:,} {name}" for name, number in sorted(size.resources.items())) or "none",
            f"{size.memberships:,}",
            f"{size.rows:,}",
            show_amount(size.bytes),
            size.changed,
        )
        for size in sizes
    ]
    text = align_columns([_HEAD, *rows], right=(2, 3, 4)) if rows else "There are no tenants."
    done(place, [size.data() for size in sizes], *text.split("\n"))
