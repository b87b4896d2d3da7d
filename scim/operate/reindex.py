"""`tenants reindex`: gives every resource the index rows that the schemas of now ask for, beside live traffic.

It trusts a resource's `keys`, so it costs a trip for 1,000 resources and a transaction for each that lacks a row. Each
transaction happens only if the resource has not changed; what has changed is read again. Whatever is done already is
found done, so that it can be stopped and run again at any time. At the end it marks the indexes that cover the tenant
from now on, and searches use them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime

from scim.errors import ScimError
from scim.operate.checking import rules
from scim.operate.tenants.steps import Step, watch_nothing
from scim.schema.registry import Registry, ResourceType
from scim.store import census, keys, properties
from scim.store.table import Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely, now

PARALLEL = 8
"""Resources that are written at once: fast, and far from what a partition serves."""
_TRIES = 10
"""How often a resource that others are changing is read again."""


@dataclass(slots=True)
class Reindexed:
    """What was done, and what is left to do."""

    read: int = 0
    written: int = 0
    added: int = 0
    """Index rows that were added."""
    removed: int = 0
    """Index rows that were removed: of values that are gone, or of indexes that nobody declares any more."""
    duplicates: list[str] = field(default_factory=list)
    """Unique values that two resources have, a line each."""
    left: list[str] = field(default_factory=list)
    """Resources that could not be indexed, a line each."""
    covered: list[str] = field(default_factory=list)
    """The indexes that searches use from now on."""
    again: dict[str, datetime] = field(default_factory=dict)
    """Indexes that a process without them wrote beside this lately: from when on it helps to run this again."""
    undeclared: set[str] = field(default_factory=set)
    """Indexes that rows were seen of and that these schemas do not declare."""
    kept: list[str] = field(default_factory=list)
    """Why rows of such an index were not removed, a line each."""

    @property
    def done(self) -> bool:
        """Whether nothing is left to do."""
        return not (self.duplicates or self.left or self.again or self.kept)


async def reindex(
    table: Table, tenant: str, registry: Registry, *, drop: bool = False, step: Step = watch_nothing
) -> Reindexed:
    """Index a tenant's resources anew. `drop` removes the rows of indexes that nobody declares any more; `step` is
    called with the resources of each page. Raises TableUnavailable; then it is run again."""
    began = now()
    work = _Work(table, tenant, registry, drop=drop, counted=await census.Census(Partition(table, tenant)).read())
    for resource_type in registry.resource_types:
        async for page in table.pages(tenant, *keys.resource_range(resource_type)):
            for at in range(0, len(page), PARALLEL):
                await asyncio.gather(*(work.take(resource_type, row) for row in page[at : at + PARALLEL]))
            step(len(page))
    if work.result.read:  # nothing is marked in a tenant that may not exist
        await work.finish(began)
    return work.result


class _Work:
    def __init__(
        self, table: Table, tenant: str, registry: Registry, *, drop: bool, counted: census.TenantCensus
    ) -> None:
        self.result = Reindexed()
        self._table = table
        self._tenant = tenant
        self._registry = registry
        self._census = census.Census(Partition(table, tenant))
        self._drop = drop
        self._counted = counted
        self._declared = {
            keys.index_name(one, index): census.build_index_name(one, index)
            for one in registry.resource_types
            for index in one.indexes.values()
        }
        self._uncovered: set[str] = set()
        """Indexes that a resource has no row of, although its document asks for one."""
        self._dropping: dict[str, bool] = {}

    async def take(self, resource_type: ResourceType, row: Row | None) -> None:
        """Bring a resource's index rows in step with its document."""
        self.result.read += 1
        for number in range(_TRIES):
            if row is None or rules.is_newer(row):
                return  # gone, or written by a version that knows better
            try:
                wanted = self._build_wanted(resource_type, row)
            except (AttributeError, TypeError, ValueError, ScimError) as error:
                text = error.detail if isinstance(error, ScimError) else "its document cannot be read: run check"
                self._leave(resource_type, f"{row.key}: {text}")
                return
            if await self._bring(row, wanted, careful=number > 0):
                return
            row = await self._table.read(self._tenant, row.key)
        self._leave(resource_type, f"{row.key if row else ''}: others are changing it all the time")

    def _build_wanted(self, resource_type: ResourceType, row: Row) -> dict[str, properties.Values]:
        return keys.build_index_rows(resource_type, row.values["id"], properties.join_document(row.values))

    def _leave(self, resource_type: ResourceType, line: str) -> None:
        self.result.left.append(line)
        self._uncovered |= {keys.index_name(resource_type, index) for index in resource_type.indexes.values()}

    async def _bring(self, row: Row, wanted: dict[str, properties.Values], *, careful: bool) -> bool:
        """Return whether the resource is in step now; False if something has changed, or does not agree. At first
        nothing is read: whose the new rows are, the transaction finds out."""
        own_keys = rules.parse_keys(row)
        gone = [key for key in own_keys if key not in wanted and await self._is_over(key)]
        new = {key: values for key, values in wanted.items() if key not in own_keys}
        if not gone and not new:
            return True
        removals = await self._build_removals(row, gone)
        if careful:
            additions = [write for key in new if (write := await self._build_addition(row, key, new[key]))]
        else:
            additions = [Write("insert" if keys.is_unique(key) else "upsert", key, new[key]) for key in new]
        added = {write.key for write in additions}
        named = [key for key in own_keys if key not in gone] + [key for key in new if key in added]
        if named == own_keys:
            return True
        values = {"keys": "\n".join(named), "modified": rules.show_modified(row)}
        merge = Write("merge", row.key, values, row.etag)
        try:
            await commit_surely(Partition(self._table, self._tenant), [merge, *removals, *additions])
        except Refused:
            return False
        self.result.written += 1
        self.result.added += len(additions)
        self.result.removed += len(removals)
        return True

    async def _build_removals(self, row: Row, gone: list[str]) -> list[Write]:
        """Return the rows that are the resource's own and not asked for any more."""
        found = [(key, await self._table.read(self._tenant, key)) for key in gone]
        mine = [there for _, there in found if there and there.values.get("id") == row.values["id"]]
        return [Write("delete", there.key, etag=there.etag) for there in mine]

    async def _build_addition(self, row: Row, key: str, values: properties.Values) -> Write | None:
        """Return what adds an index row; None if another resource has the unique value. A lookup row cannot clash."""
        if not keys.is_unique(key):
            return Write("upsert", key, values)
        there = await self._table.read(self._tenant, key)
        if there is None:
            return Write("insert", key, values)
        owner = there.values.get("id")
        if owner == row.values["id"]:
            return Write("merge", key, values, there.etag)
        if isinstance(owner, str) and await self._has(owner, key):
            self._uncovered.add(keys.parse_index_name(key))
            line = f"{self._name_value(row, key)}: both {owner} and {row.values['id']} have it; change one of them"
            if line not in self.result.duplicates:
                self.result.duplicates.append(line)
            return None
        return Write("replace", key, values, there.etag)

    def _name_value(self, row: Row, key: str) -> str:
        """Return what a unique row of a resource stands for, in a reader's words: its type, attribute and value."""
        resource_type = self._registry.by_id(row.values["id"])
        if resource_type is not None:
            document = properties.join_document(row.values)
            for index in resource_type.indexes.values():
                for value in keys.find_indexed_values(document, index) if index.unique else ():
                    if keys.unique_key(resource_type, index, value) == key:
                        return f"{resource_type.name} {index.path} {value!r}"
        return key

    async def _has(self, id: str, key: str) -> bool:
        """Return whether a resource's document has the value of a unique row, or may have it."""
        row, resource_type = await self._table.read(self._tenant, keys.resource_key(id)), self._registry.by_id(id)
        if row is None:
            return False
        if resource_type is None or rules.is_newer(row):
            return True
        try:
            return key in self._build_wanted(resource_type, row)
        except (AttributeError, TypeError, ValueError, ScimError):
            return True

    async def _is_over(self, key: str) -> bool:
        """Return whether an index row that the document does not ask for is to be removed: its index is declared, and
        the value has gone; or nobody declares the index, and such rows are to be dropped."""
        name = keys.parse_index_name(key)
        if name in self._declared:
            return True
        self.result.undeclared.add(name)
        if self._drop and name not in self._dropping:
            self._dropping[name] = self._may_drop(name)
            if self._dropping[name]:
                await self._census.mark_dropped([name, f"{name} caseExact"])
        return self._dropping.get(name, False)

    def _may_drop(self, name: str) -> bool:
        """Return whether no process that keeps the index has written lately, and no version needs it."""
        if {name, f"{name} caseExact"} & census.ALWAYS:
            self.result.kept.append(f"{name}: the schemas that every version has declare it")
            return False
        times = [self._counted.find_last_with(one) for one in (name, f"{name} caseExact")]
        last = max((time for time in times if time), default=None)
        if last is None or last + census.SILENT < datetime.fromisoformat(now()):
            return True
        self.result.kept.append(f"{name}: a process that keeps it wrote at {last:%Y-%m-%d %H:%M} UTC")
        return False

    async def finish(self, began: str) -> None:
        """Mark what covers the tenant now, and tell what does not."""
        complete = [one for name, one in self._declared.items() if name not in self._uncovered]
        await self._census.mark_reindexed([one for one in complete if one not in census.ALWAYS], began)
        counted = await self._census.read()
        for name in sorted(complete):
            last = counted.find_last_without(name)
            if last is not None and last + census.SILENT >= datetime.fromisoformat(began):
                self.result.again[name] = last + census.SILENT
            elif name not in census.ALWAYS:
                self.result.covered.append(name)
