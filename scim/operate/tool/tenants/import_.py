"""`tenants import`."""

from __future__ import annotations

from pathlib import Path

from scim.operate.errors import CommandError
from scim.operate.place import Opened, Place
from scim.operate.tenants.dump import Dump
from scim.operate.tenants.importing import import_all, list_unknown_schemas
from scim.operate.tenants.restoring import plan, restore
from scim.operate.tenants.vetting import vet
from scim.operate.tool.command import argument, option
from scim.operate.tool.shown import bar, done, say, show_counts
from scim.operate.tool.tenants.group import check_name, make_verb
from scim.security.keys import CONNECTION_NAME


@make_verb("import", "Make what a file holds: the whole of it, or single resources.")
@argument("file", "a file that export wrote", type=Path)
@option("--tenant", metavar="NAME", callback=check_name, help="the tenant to make it in (default: the file's)")
@option(
    "--only",
    "--restore",
    "only",
    metavar="ID",
    multiple=True,
    help="restore this resource alone; may be given several times",
)
async def import_(place: Place, file: Path, tenant: str | None, only: tuple[str, ...]) -> int:
    """Make the resources and memberships that FILE holds, with the same ids and times.

    Every line is held against the schemas first: if one is wrong it is named, and nothing is made.

    A whole file goes into an empty tenant. Cut short, run the same command again: what is there and equal is passed
    over. At the end the tenant is counted and compared with the file; exit code 1 if they differ.

    With --only, single resources are restored: one that was deleted comes back, in its groups too; one that is there
    is replaced by what the file says. What will be replaced is told first. If a unique value, such as a userName,
    belongs to somebody else by now, nothing is changed and the one who has it is named.
    """
    dump = Dump(file)
    into = tenant or _find_tenant(dump)
    async with place.opened() as opened:
        if missing := list_unknown_schemas(place.registry(), dump):
            say(place, f"Not declared here, so kept as it is: {', '.join(missing)}.")
        vet(dump, place.registry(), only or None)
        if only:
            return await _restore(place, opened, dump, into, only)
        return await _import(place, opened, dump, into)


def _find_tenant(dump: Dump) -> str:
    """The tenant that the file names."""
    if not CONNECTION_NAME.fullmatch(dump.tenant):
        raise CommandError(f"{dump.path} names no tenant: give --tenant NAME.")
    return dump.tenant


async def _import(place: Place, opened: Opened, dump: Dump, tenant: str) -> int:
    say(place, f"Making {show_counts(dump.counts)} in {tenant}, from {dump.path} of {dump.exported}.")
    with bar("Making resources", dump.counts.resources.total()) as step:
        made = await import_all(opened.require_table(), place.registry(), dump, tenant, step)
    problems = list(made.problems)
    if made.counts != dump.counts:
        problems.append(f"{tenant} holds {show_counts(made.counts)} now; the file holds {show_counts(dump.counts)}")
    data = {
        "tenant": tenant,
        "file": str(dump.path),
        "made": made.made,
        "there": made.there,
        "problems": problems,
        **made.counts.data(),
    }
    words = [*problems, f"{made.made:,} resources were made, {made.there:,} were there and equal."]
    if not problems:
        words.append(f"{tenant} holds {show_counts(made.counts)}, as the file does.")
    done(place, data, *words)
    return 1 if problems else 0


async def _restore(place: Place, opened: Opened, dump: Dump, tenant: str, ids: tuple[str, ...]) -> int:
    table = opened.require_table()
    planned = await plan(table, place.registry(), dump, tenant, ids)
    for each in planned:
        say(place, str(each))
    problems = await restore(table, place.registry(), tenant, planned)
    restored = [each.resource.id for each in planned if each.kept is None]
    replaced = [each.resource.id for each in planned if each.kept is not None and each.differs]
    data = {
        "tenant": tenant,
        "file": str(dump.path),
        "will": [str(each) for each in planned],
        "restored": restored,
        "replaced": replaced,
        "problems": problems,
    }
    words = f"{len(restored)} came back, {len(replaced)} were replaced, {len(problems)} problems."
    done(place, data, *problems, words)
    return 1 if problems else 0
