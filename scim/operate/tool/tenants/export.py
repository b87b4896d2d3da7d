"""`tenants export`."""

from __future__ import annotations

from pathlib import Path

from scim.operate.place import Place
from scim.operate.tenants.exporting import export as run
from scim.operate.tool.command import argument
from scim.operate.tool.shown import bar, done, say, show_counts
from scim.operate.tool.tenants.group import make_verb, take_tenant


@make_verb("export", "Write a tenant to a file: its backup.")
@take_tenant
@argument("file", "the file to write, such as contoso-2026-11-25.jsonl", type=Path)
async def export(place: Place, tenant: str, file: Path) -> None:
    """Write all resources and memberships of a tenant to FILE, as JSON Lines, with their ids and times.

    Nothing is changed, and requests may go on meanwhile: each resource is as it was at one moment, but the file is no
    snapshot of the whole. Until it is whole it is called FILE.part; cut short, run the same command again and it goes
    on. The file holds personal data: only its owner may read it, and it is not encrypted.
    """
    say(place, f"Writing {tenant} to {file}, beside live traffic: consistent for each resource, no snapshot.")
    async with place.opened() as opened:
        table, registry = opened.require_table(), place.registry()
        with bar("Reading rows") as step:
            made = await run(table, registry, tenant, file, step)
    again = f" It went on behind {made.before:,} lines of an earlier run." if made.before else ""
    data = {"tenant": tenant, "file": str(file), "continued": made.before, **made.counts.data()}
    done(place, data, f"{file} holds {show_counts(made.counts)}.{again}")
