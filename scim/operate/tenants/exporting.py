"""A tenant into a file: every resource and membership, read beside live traffic.

Each resource is as it was at one moment, and resources are read one after the other: the file is no snapshot of the
whole. A membership is in it only with its group, and with its member unless that id never was a resource here.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scim.ids import is_id
from scim.operate.errors import CommandError
from scim.operate.tenants import dump
from scim.operate.tenants.dump import Counts, Membership, Part, Resource
from scim.operate.tenants.measure import name_type
from scim.operate.tenants.steps import Step, watch_nothing
from scim.schema.registry import Registry
from scim.store import keys
from scim.store.members import Member
from scim.store.resource_rows import parse_stored
from scim.store.table import Row, Table, has_rows
from scim.store.transactions import now


@dataclass(frozen=True, slots=True)
class Exported:
    """What became of an export. `before`: how many lines an earlier run had written."""

    path: Path
    counts: Counts
    before: int


async def export(table: Table, registry: Registry, tenant: str, path: Path, step: Step = watch_nothing) -> Exported:
    """Write a tenant to a file, which appears under its name when it is whole; until then it is FILE.part, and the
    next run goes on with that. Raises CommandError, TableUnavailable."""
    unfinished = dump.name_of_part(path)
    part = dump.read_part(unfinished, tenant)
    before = part.counts.resources.total() + part.counts.memberships
    if part.end == 0 and not await has_rows(table, tenant):
        raise CommandError(f"There is no row of a tenant {tenant}: tenants list shows all.")
    with dump.open_part(unfinished, part.end) as file:
        if not part.finished:
            await _Export(table, registry, tenant, file, part, step).run()
        file.flush()
        os.fsync(file.fileno())
    os.replace(unfinished, path)
    return Exported(path, part.counts, before)


class _Export:
    """One run, which goes on behind what the part has."""

    def __init__(self, table: Table, registry: Registry, tenant: str, file: BinaryIO, part: Part, step: Step) -> None:
        self._table, self._registry, self._tenant = table, registry, tenant
        self._file, self._part, self._step = file, part, step
        self._absent: set[str] = set()
        """Ids that were looked for and are no resource."""

    async def run(self) -> None:
        if self._part.end == 0:
            self._file.write(dump.build_header(self._tenant, now(), list_schemas(self._registry)))
        if not self._part.listed:
            await self._export_resources()
        await self._export_memberships()
        self._file.write(dump.build_footer(self._part.counts, now()))

    async def _export_resources(self) -> None:
        start, end = keys.key_range(f"{keys.RESOURCES} ")
        if self._part.last_resource is not None:
            start = keys.id_after(keys.resource_key(self._part.last_resource))
        async for page in self._table.pages(self._tenant, start, end):
            for row in page:
                self._write(self._build_resource(row))
            self._file.flush()
            self._step(len(page))

    async def _export_memberships(self) -> None:
        start, end = keys.key_range(f"{keys.MEMBER} ")
        if self._part.last_membership is not None:
            start = keys.id_after(keys.member_key(*self._part.last_membership))
        async for page in self._table.pages(self._tenant, start, end):
            for row in page:
                async for item in self._build_membership(row):
                    self._write(item)
            self._file.flush()
            self._step(len(page))

    async def _build_membership(self, row: Row) -> AsyncIterator[Resource | Membership]:
        """Return the membership of a row, and before it the resources that were made since they were read; nothing if
        the group has gone."""
        values = row.values
        group, member = values["group"], Member(values["member"], values.get("display"), values.get("type"))
        for id in filter(is_id, (group, member.value)):
            if id not in self._part.ids and id not in self._absent:
                made = await self._table.read(self._tenant, keys.resource_key(id))
                if made is None:
                    self._absent.add(id)
                else:
                    yield self._build_resource(made)._replace(late=True)
        if group in self._part.ids:
            yield Membership(group, member)

    def _build_resource(self, row: Row) -> Resource:
        kept = parse_stored(row)
        return Resource(name_type(self._registry, kept.id), kept.id, kept.created, kept.modified, kept.document)

    def _write(self, item: Resource | Membership) -> None:
        self._file.write(dump.build_line(item))
        self._part.take(item)


def list_schemas(registry: Registry) -> list[str]:
    """Return the URNs of the schemas that this deployment has."""
    return sorted({schema.id for each in registry.resource_types for schema in (each.core, *each.extensions)})
