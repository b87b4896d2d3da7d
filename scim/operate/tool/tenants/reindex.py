"""`tenants reindex`."""

from __future__ import annotations

from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.reindex import Reindexed
from scim.operate.reindex import reindex as run
from scim.operate.tool.command import option
from scim.operate.tool.shown import bar, done, say
from scim.operate.tool.tenants.group import make_verb, take_tenant


@make_verb("reindex", "Give every resource the index rows that the schemas ask for now.")
@take_tenant
@option("--drop", is_flag=True, help="also remove the rows of indexes that no schema declares any more")
async def reindex(place: Place, tenant: str, drop: bool) -> int:
    """Add the index rows that are missing since an attribute became unique or was named under storage.lookup.

    Run it once the new version is everywhere, with its schemas, beside live traffic. Until then, and until it has
    run, the attribute is searched by reading all resources, which has a limit. Cut short, or run twice, it does what
    is left. A unique value that two resources have is named with both: change one of them, and run it again.

    --drop is for the time after a way back: rows of an index that is gone cost a little with each change, and are
    harmless. Rows that a running version still keeps are left. Exit code 1 if something is left to do.
    """
    async with place.opened() as opened:
        table, registry = opened.require_table(), place.registry()
        say(place, f"Indexing {tenant} beside live traffic; documents stay as they are.")
        with bar("Reading resources") as step:
            made = await run(table, tenant, registry, drop=drop, step=step)
    if not made.read:
        raise CommandError(f"There is no resource of a tenant {tenant}: tenants list shows all.")
    data = {
        "tenant": tenant,
        "read": made.read,
        "written": made.written,
        "added": made.added,
        "removed": made.removed,
        "covered": made.covered,
        "duplicates": made.duplicates,
        "left": made.left,
        "kept": made.kept,
        "undeclared": sorted(made.undeclared),
        "again": {name: f"{when:%Y-%m-%dT%H:%M:%SZ}" for name, when in sorted(made.again.items())},
    }
    done(place, data, *_list_words(made, drop=drop))
    return 0 if made.done else 1


def _list_words(made: Reindexed, *, drop: bool) -> list[str]:
    lines = [*made.duplicates, *(f"left: {line}" for line in made.left), *(f"kept: {line}" for line in made.kept)]
    if made.again:
        when = max(made.again.values())
        lines.append(
            f"A process without {', '.join(sorted(made.again))} wrote beside this lately: once all run the new version,"
            f" run it again, after {when:%H:%M:%S} UTC."
        )
    if made.undeclared and not drop:
        lines.append(f"No schema here declares {', '.join(sorted(made.undeclared))}: --drop removes such rows.")
    if made.covered:
        lines.append(f"Searches use {', '.join(made.covered)}.")
    counts = f"{made.read:,} resources were read, {made.written:,} written"
    return [*lines, f"{counts}: {made.added:,} index rows added, {made.removed:,} removed."]
