"""`tenants check`."""

from __future__ import annotations

from scim.operate.check import Report, describe_stranger, examine, examine_shared, fix, fix_shared
from scim.operate.errors import CommandError
from scim.operate.place import Place
from scim.operate.tool.command import option
from scim.operate.tool.shown import bar, done
from scim.operate.tool.tenants.group import make_verb, take_tenant
from scim.store.store import Store

_UNKNOWN = "deleted resources must leave no membership; an id that never existed may stay"


@make_verb("check", "Read all rows of a tenant and name what is broken; --fix mends what can be proven.")
@take_tenant
@option("--fix", "mend", is_flag=True, help="mend what can be proven, and say what was done")
async def check(place: Place, tenant: str, mend: bool) -> int:
    """Read all rows of a tenant, and those that are about no tenant, and name every broken invariant, a line each.

    Requests may go on meanwhile: what does not agree is looked at again before it is named. Run it after a restore or
    an outage, when an answer looks wrong, and once a month. Exit code 1 if something is broken. Notes are no problems:
    rows of a newer version, members that never existed, resources that lack rows of a new index (see reindex).

    With --fix, what follows from other rows is mended: index rows that are missing or point at nobody, index rows that
    a resource does not name or names wrongly, memberships of which one side is missing, old bookmarks, and what
    housekeeping should have finished. Each repair happens only if nothing has changed since it was read. What cannot be
    proven, such as one unique value in two documents or a document that cannot be read, is named and left.
    """
    mended: list[str] = []
    async with place.opened() as opened:
        table, registry = opened.require_table(), place.registry()
        with bar("Reading rows") as step:
            if mend:
                fixed = await fix(Store(table, registry), tenant, registry, step)
                mended, report = [*fixed.done, *await fix_shared(table)], fixed.report
            else:
                report = await examine(table, tenant, registry, step=step)
            shared = sorted(finding.line for finding in await examine_shared(table))
    if not report.rows:
        raise CommandError(f"There is no row of a tenant {tenant}: tenants list shows all.")
    data = {
        "tenant": tenant,
        "rows": report.rows,
        "resources": report.resources,
        "memberships": report.memberships,
        "pending": report.pending,
        "problems": [*report.problems, *shared],
        "notes": report.notes,
        "unknown_members": report.strangers,
        **({"mended": mended} if mend else {}),
    }
    done(place, data, *_list_words(report, shared, mended))
    return 1 if report.problems or shared else 0


def _list_words(report: Report, shared: list[str], mended: list[str]) -> list[str]:
    problems = [*report.problems, *shared]
    lines = [*(f"mended: {line}" for line in mended), *problems]
    lines += [f"note: {note}" for note in report.notes]
    lines += [f"note: {describe_stranger(key, id)} ({_UNKNOWN})" for key, id in sorted(report.strangers.items())]
    counts = f"{report.rows:,} rows, {report.resources:,} resources, {report.memberships:,} memberships"
    repaired = f" {len(mended):,} repairs were made." if mended else ""
    return [*lines, f"{counts}, {report.pending:,} pending: {len(problems):,} problems.{repaired}"]
