"""Single resources from a file: what was deleted is made again, what was overwritten is replaced.

A resource that is gone comes back with its id, its times, its members, and in the groups that it was in and that are
there. One that is there gets the file's document and, a group, the file's members; that is a change of today.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from scim.ids import is_id
from scim.operate.errors import CommandError
from scim.operate.tenants.dump import Dump, Resource
from scim.operate.tenants.importing import (
    find_resource_type,
    is_equal,
    list_present_ids,
    make,
    read_members,
    settle,
)
from scim.schema.registry import Registry, ResourceType
from scim.store import keys
from scim.store.members import Changes, Member, find_changes
from scim.store.pending import Pending
from scim.store.resource_rows import Stored
from scim.store.resources import Stale, Taken
from scim.store.store import Store
from scim.store.table import Partition, Refused, Table
from scim.store.transactions import commit_surely


@dataclass(slots=True)
class Restoration:
    """What one resource needs. `kept` is None if it is gone; `differs` names what is not as in the file."""

    resource: Resource
    resource_type: ResourceType
    kept: Stored | None
    members: list[Member]
    """Those that it gets: the file's, but for resources that have gone."""
    missing: set[str] = field(default_factory=set)
    """Members in the file that have gone, and are not named."""
    changes: Changes = field(default_factory=Changes)
    groups: list[tuple[str, Member]] = field(default_factory=list)
    """The groups that it comes back into, if it is gone."""
    differs: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        """Return what will be done, in words."""
        resource = f"{self.resource.id} ({self.resource.type})"
        lost = f"; {len(self.missing)} members in the file have gone and stay away" if self.missing else ""
        if self.kept is None:
            return (
                f"{resource}: is gone, comes back with {len(self.members)} members, in {len(self.groups)} groups{lost}"
            )
        if self.differs:
            return f"{resource}: is there, is replaced in {', '.join(self.differs)}{lost}"
        return f"{resource}: is there and equal, stays{lost}"


async def plan(table: Table, registry: Registry, dump: Dump, tenant: str, ids: Sequence[str]) -> list[Restoration]:
    """Return what the resources of these ids need. Raises CommandError if one is not in the file, or a unique value of
    one belongs to somebody else; nothing is changed then."""
    store = Store(table)
    if absent := [id for id in ids if id not in dump]:
        raise CommandError(f"{dump.path} does not hold {', '.join(absent)}.")
    there = await list_present_ids(table, tenant)
    after = there | set(ids)
    found: list[Restoration] = []
    for id in dict.fromkeys(ids):
        resource, resource_type = dump.resource(id), find_resource_type(registry, dump, id)
        await _check_free(store, tenant, resource_type, resource)
        wanted = dump.members(id)
        missing = {member.value for member in wanted if is_id(member.value) and member.value not in after}
        members = [member for member in wanted if member.value not in missing]
        kept = await store.of(tenant).resources.read(id)
        each = Restoration(resource, resource_type, kept, members, missing)
        if kept is not None:
            await _compare(store, tenant, each)
        found.append(each)
    gone = {each.resource.id: each for each in found if each.kept is None}
    for group, member in dump.memberships():
        if member.value in gone and group in there and group not in ids:  # a named one gets its members itself
            gone[member.value].groups.append((group, member))
    return found


async def restore(table: Table, registry: Registry, tenant: str, planned: Sequence[Restoration]) -> list[str]:
    """Do what was planned; a line for each that could not be done, since somebody was faster."""
    store = Store(table, registry)
    await settle(store, tenant, {each.resource.id for each in planned}.__contains__)
    problems: list[str] = []
    for each in planned:
        if each.kept is None:
            problems += await _restore_resource(store, tenant, each)
    for each in planned:
        if each.kept is not None and each.differs and (problem := await _replace(store, tenant, each, each.kept)):
            problems.append(problem)
    return problems


async def _restore_resource(store: Store, tenant: str, each: Restoration) -> list[str]:
    """Make a resource that is gone. Its memberships come first and it last, or a run that is killed in between would
    leave a resource of which the next run does not know that its memberships are missing. The pending row has
    housekeeping remove them if there is no next run."""
    id, problems = each.resource.id, []
    note = Pending.make_note({"kind": "detach", "id": id, "members": each.resource_type.members is not None})
    if each.groups:
        await store.of(tenant).pending.announce()
        await commit_surely(Partition(store.table, tenant), [note])
        for group, member in each.groups:
            try:
                await store.of(tenant).members.change(group, Changes({id: member}))
            except Refused:
                problems.append(f"{id}: group {group} has gone meanwhile")
    if problem := await make(store, tenant, each.resource_type, each.resource, each.members):
        if each.groups:
            await store.of(tenant).members.detach(id, note.key, has_members=each.resource_type.members is not None)
        problems = [problem]
    if each.groups:
        await store.of(tenant).pending.remove(note.key)
    return problems


async def _compare(store: Store, tenant: str, each: Restoration) -> None:
    assert each.kept is not None
    members = await read_members(store, tenant, each.resource_type, each.resource.id)
    if is_equal(each.kept, members, each.resource, each.members):
        return
    ours, theirs = each.kept.document, each.resource.document
    each.differs = sorted(name for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name))
    each.changes = find_changes(members, each.members)
    if each.changes:
        each.differs.append(f"{len(each.changes)} members")


async def _check_free(store: Store, tenant: str, resource_type: ResourceType, resource: Resource) -> None:
    """Raises CommandError if a unique value belongs to somebody else."""
    for index in resource_type.indexes.values():
        for value in keys.find_indexed_values(resource.document, index) if index.unique else ():
            owner = await store.of(tenant).resources.find_unique_id(resource_type, index, value)
            if owner not in (None, resource.id):
                raise CommandError(
                    f"{resource.id} cannot come back: its {index.path} {value!r} belongs to {owner} now."
                    " Rename or delete that one first; nothing was changed."
                )


async def _replace(store: Store, tenant: str, each: Restoration, kept: Stored) -> str | None:
    try:
        await store.of(tenant).resources.update(each.resource_type, kept, each.resource.document, each.changes)
    except Stale:
        return f"{each.resource.id}: somebody changed it meanwhile; run the command again"
    except Taken as taken:
        return f"{each.resource.id}: its {taken.index.path} belongs to {taken.id}; it was not replaced"
    return None
