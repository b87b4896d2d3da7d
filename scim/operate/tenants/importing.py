"""A file into a tenant: the whole of it into an empty one, or resources by their ids.

Resources keep their ids and times. Each is one creation as by a POST, so a unique value is never given away twice, and
a group appears with all its members. Whatever cuts it short, it is run again: what is there and equal is passed over.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from scim.errors import ScimError
from scim.operate.errors import CommandError
from scim.operate.tenants.dump import Counts, Dump, Resource
from scim.operate.tenants.exporting import list_schemas
from scim.operate.tenants.measure import name_type
from scim.operate.tenants.steps import Step, watch_nothing
from scim.schema.registry import Registry, ResourceType
from scim.store import keys, properties
from scim.store.members import Member
from scim.store.resource_rows import Creation, Stored
from scim.store.resources import Taken
from scim.store.store import Store
from scim.store.table import PARALLEL_READS, Table, TooLarge

_AT_ONCE = PARALLEL_READS
"""Resources that are written at the same time: a partition takes some 400 a second."""


@dataclass(slots=True)
class Imported:
    """What became of an import."""

    made: int = 0
    there: int = 0
    """Resources that were there already, and equal."""
    problems: list[str] = field(default_factory=list)
    """A line for each resource that could not be made, or is there and differs."""
    counts: Counts = field(default_factory=Counts)
    """What the tenant holds afterwards, counted."""


def find_resource_type(registry: Registry, dump: Dump, id: str) -> ResourceType:
    """Return the resource type of an id in a file. Raises CommandError if this deployment has none."""
    resource_type = registry.by_id(id)
    if resource_type is None:
        raise CommandError(f"{dump.path} holds {id}, a type that no schema here has: add its schema first.")
    return resource_type


def list_unknown_schemas(registry: Registry, dump: Dump) -> list[str]:
    """Return the schemas that the file was written with and this deployment does not have."""
    return sorted(set(dump.schemas) - set(list_schemas(registry)))


def is_equal(kept: Stored, members: Iterable[Member], resource: Resource, wanted: Iterable[Member]) -> bool:
    """Return whether a kept resource is the one in the file."""
    same = (kept.document, kept.created, kept.modified) == (resource.document, resource.created, resource.modified)
    return same and sorted(members, key=_read_value) == sorted(wanted, key=_read_value)


def _read_value(member: Member) -> str:
    return member.value


async def settle(store: Store, tenant: str, ids: Callable[[str], bool]) -> None:
    """Finish the deletions of these ids that wait for housekeeping: it would take the memberships of what is made
    again for what was left over."""
    async for page in store.of(tenant).pending.read_due(everything=True):
        for row in page:
            content = properties.join_document(row.values)
            if content["kind"] != "detach" or not ids(id := content["id"]):
                continue
            if await store.of(tenant).resources.read(id) is None:
                await store.of(tenant).members.clear(row.key, content)
            await store.of(tenant).pending.remove(row.key)


async def read_members(store: Store, tenant: str, resource_type: ResourceType, id: str) -> list[Member]:
    """Return the members of a kept resource."""
    if resource_type.members is None:
        return []
    return [member async for _, member in store.of(tenant).members.read_members(id)]


async def import_all(table: Table, registry: Registry, dump: Dump, tenant: str, step: Step = watch_nothing) -> Imported:
    """Make everything that a file holds. `step` counts resources. Raises CommandError
    if the tenant holds a resource that the file does not; TableUnavailable."""
    return await _Import(Store(table, registry), registry, dump, tenant, step).run()


class _Import:
    def __init__(self, store: Store, registry: Registry, dump: Dump, tenant: str, step: Step) -> None:
        self._store, self._registry, self._dump = store, registry, dump
        self._tenant, self._step = tenant, step
        self._result = Imported()
        self._present: set[str] = set()

    async def run(self) -> Imported:
        self._present = await list_present_ids(self._store.table, self._tenant)
        strangers = self._present - self._dump.ids
        if strangers:
            raise CommandError(
                f"{self._tenant} holds {len(strangers)} resources that {self._dump.path} does not, such as"
                f" {min(strangers)}: a whole file goes into an empty tenant. Name single resources with --only ID."
            )
        for id in self._dump.ids:
            find_resource_type(self._registry, self._dump, id)
        await settle(self._store, self._tenant, self._dump.__contains__)
        await _run_together(self._put(resource) for resource in self._dump.resources())
        self._result.counts = await count(self._store.table, self._registry, self._tenant)
        self._result.problems.sort()
        return self._result

    async def _put(self, resource: Resource) -> None:
        """Make one resource with its members, unless it is there."""
        resource_type = find_resource_type(self._registry, self._dump, resource.id)
        members = self._dump.members(resource.id) if resource_type.members else []
        if resource.id in self._present:
            await self._compare(resource_type, resource, members)
        elif problem := await make(self._store, self._tenant, resource_type, resource, members):
            self._result.problems.append(problem)
        else:
            self._result.made += 1
        self._step(1)

    async def _compare(self, resource_type: ResourceType, resource: Resource, wanted: list[Member]) -> None:
        kept = await self._store.of(self._tenant).resources.read(resource.id)
        members = await read_members(self._store, self._tenant, resource_type, resource.id)
        if kept is not None and is_equal(kept, members, resource, wanted):
            self._result.there += 1
        else:
            self._result.problems.append(
                f"{resource.id}: it is there and differs from the file; it stays (--only {resource.id} replaces it)"
            )


async def make(
    store: Store, tenant: str, resource_type: ResourceType, resource: Resource, members: list[Member]
) -> str | None:
    """Make a resource that is not there; else a line that says why not."""
    creation = Creation(resource.id, resource_type, resource.document)
    try:
        await store.of(tenant).resources.restore(
            creation, members, created=resource.created, modified=resource.modified
        )
    except Taken as taken:
        return f"{resource.id}: its {taken.index.path} belongs to {taken.id}; it was not made"
    except ScimError as error:
        return f"{resource.id}: {error.detail}"
    except TooLarge as error:
        return f"{resource.id}: {error}"
    return None


async def list_present_ids(table: Table, tenant: str) -> set[str]:
    """Return the ids of all resources of a tenant: 1,000 a trip."""
    pages = table.pages(tenant, *keys.key_range(f"{keys.RESOURCES} "), keys_only=True)
    return {keys.parse_id(row.key) async for page in pages for row in page}


async def count(table: Table, registry: Registry, tenant: str) -> Counts:
    """Return how much a tenant holds, from the keys alone."""
    counts = Counts()
    for id in await list_present_ids(table, tenant):
        counts.resources[name_type(registry, id)] += 1
    async for page in table.pages(tenant, *keys.key_range(f"{keys.MEMBER} "), keys_only=True):
        counts.memberships += len(page)
    return counts


async def _run_together(work: Iterable[Awaitable[None]]) -> None:
    """Do all, a few at the same time. What one raises ends all."""
    running: set[asyncio.Future[None]] = set()
    try:
        for each in work:
            if len(running) >= _AT_ONCE:
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                _raise_first(done)
            running.add(asyncio.ensure_future(each))
        while running:
            done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
            _raise_first(done)
    finally:
        for left in running:
            left.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _raise_first(done: Iterable[asyncio.Future[None]]) -> None:
    """Raise what one of them raised; that of the others is looked at, so that nobody complains of it."""
    failures = [failure for each in done if (failure := each.exception())]
    if failures:
        raise failures[0]
