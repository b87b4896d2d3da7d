"""Which tenants there are, and how much of each: every row is read, 1,000 a trip."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from scim.operate.tenants.steps import Step, watch_nothing
from scim.schema.registry import Registry
from scim.store import keys
from scim.store.shared_keys import SHARED
from scim.store.table import Row, Table

EVERYTHING = ("", "\uffff")
"""The key range of all rows of a partition."""

_KINDS = {
    keys.RESOURCES: "resources",
    keys.UNIQUE: "index",
    keys.LOOKUP: "index",
    keys.MEMBER: "memberships",
    keys.MEMBER_OF: "memberships",
    keys.FAILURE: "insight",
    keys.COUNTERS: "insight",
    **dict.fromkeys((keys.OUTBOX, keys.LOG, keys.ABOUT, keys.SINK, keys.FEED.partition(" ")[0]), "feed"),
    **dict.fromkeys(("d", "eh", "n", "q", "z"), "policy"),
}
_ETAG_TIME = re.compile(r"datetime'(\d{4}-\d\d-\d\dT\d\d)(?:%3A|:)(\d\d)(?:%3A|:)(\d\d)")


@dataclass(slots=True)
class Size:
    """How much a tenant is. `changed` is when its last row was written, "" if it has none."""

    tenant: str
    resources: Counter[str] = field(default_factory=Counter)
    """By resource type."""
    memberships: int = 0
    rows: int = 0
    bytes: int = 0
    """As Table Storage counts them."""
    kinds: dict[str, tuple[int, int]] = field(default_factory=dict)
    """(rows, bytes) by what the rows are for."""
    changed: str = ""

    def data(self) -> dict[str, Any]:
        """Return the size as JSON data."""
        kinds = {kind: {"rows": rows, "bytes": length} for kind, (rows, length) in sorted(self.kinds.items())}
        return {
            "tenant": self.tenant,
            "resources": dict(sorted(self.resources.items())),
            "memberships": self.memberships,
            "rows": self.rows,
            "bytes": self.bytes,
            "kinds": kinds,
            "lastChange": self.changed or None,
        }


async def list_tenants(table: Table) -> AsyncIterator[str]:
    """Return the tenants that have rows, in order: a trip each. Raises TableUnavailable."""
    async for partition in table.partitions():
        if partition != SHARED:
            yield partition


async def measure(table: Table, registry: Registry, tenant: str, step: Step = watch_nothing) -> Size:
    """Read all rows of a tenant. Raises TableUnavailable."""
    size = Size(tenant)
    async for page in table.pages(tenant, *EVERYTHING):
        for row in page:
            _add(size, registry, row)
        step(len(page))
    return size


def name_type(registry: Registry, id: str) -> str:
    """Return the resource type of an id; its prefix if no schema of this deployment has it."""
    resource_type = registry.by_id(id)
    return resource_type.name if resource_type else id.partition("-")[0]


def _add(size: Size, registry: Registry, row: Row) -> None:
    kind, length = row.key.partition(" ")[0], _measure_row(size.tenant, row)
    size.rows += 1
    size.bytes += length
    name = _KINDS.get(kind, "other")
    before = size.kinds.get(name, (0, 0))
    size.kinds[name] = (before[0] + 1, before[1] + length)
    if kind == keys.RESOURCES:
        size.resources[name_type(registry, keys.parse_id(row.key))] += 1
    elif kind == keys.MEMBER:
        size.memberships += 1
    if found := _ETAG_TIME.search(row.etag):
        size.changed = max(size.changed, f"{found[1]}:{found[2]}:{found[3]}Z")


def _measure_row(partition: str, row: Row) -> int:
    """Return the size of a row by the formula that Table Storage publishes: text is UTF-16."""
    total = 4 + _count_units(partition + row.key) + sum(8 + _count_units(name) for name in row.values)
    for value in row.values.values():
        if isinstance(value, str):
            total += 4 + _count_units(value)
        elif isinstance(value, bool):
            total += 1
        else:
            total += 4 if isinstance(value, int) else 8
    return total


def _count_units(text: str) -> int:
    return 2 * len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass"))
