"""A tenant into another table: out into a file, in from it, out again there, and both files compared."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from scim.operate.errors import CommandError
from scim.operate.tenants.dump import Dump
from scim.operate.tenants.exporting import export
from scim.operate.tenants.importing import Imported, import_all
from scim.operate.tenants.steps import Step, watch_nothing
from scim.schema.registry import Registry
from scim.store import keys
from scim.store.table import Table


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a move. `difference` is the first line that is not the same in both tables."""

    imported: Imported
    difference: str | None


async def move(
    source: Table, target: Table, registry: Registry, tenant: str, folder: Path, step: Step = watch_nothing
) -> Moved:
    """Copy a tenant; files go into `folder`. The source stays as it is. `step` counts rows read and resources made.
    Raises CommandError, TableUnavailable."""
    await _check_other(source, target, tenant)
    before, after = folder / f"{tenant}.jsonl", folder / f"{tenant}.moved.jsonl"
    await export(source, registry, tenant, before, step)
    imported = await import_all(target, registry, Dump(before), tenant, step)
    if imported.problems:
        return Moved(imported, imported.problems[0])
    await export(target, registry, tenant, after, step)
    return Moved(imported, _find_difference(Dump(before), Dump(after)))


async def _check_other(source: Table, target: Table, tenant: str) -> None:
    """Raise CommandError if both are the same table, whatever their addresses: a copied row is written at a time of
    its own, so its etag is another one."""
    async for page in source.pages(tenant, *keys.key_range(f"{keys.RESOURCES} "), size=1):
        for row in page:
            there = await target.read(tenant, row.key)
            if there is not None and there.etag == row.etag:
                raise CommandError(f"{tenant} is in that table already: it is the one that it would move from.")
        if page:
            return


def _find_difference(one: Dump, other: Dump) -> str | None:
    """Return the beginning of the first line that differs."""
    if one.counts != other.counts:
        return f"{one.counts.data()} became {other.counts.data()}"
    pairs = zip(one.lines(), other.lines(), strict=True)
    return next((ours.decode()[:80] for ours, theirs in pairs if ours != theirs), None)
