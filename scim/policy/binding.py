"""Which group a policy means: by its name, external id or id, and by what was found before."""

from __future__ import annotations

from scim.policy.document import GroupName
from scim.policy.state import State
from scim.schema.registry import Registry
from scim.store import keys
from scim.store.table import Partition


def find_bound(name: GroupName, state: State) -> str | None:
    """Return the id of the group that a policy names; None if none was found yet."""
    return name.id or state.bound.get(name_group(name))


def name_group(name: GroupName) -> str:
    """Return what a group that a policy names is kept under in the state."""
    if name.display_name is not None:
        return f"displayName={name.display_name.casefold()}"
    return f"externalId={name.external_id}" if name.external_id is not None else f"id={name.id}"


async def find_group(partition: Partition, registry: Registry, name: GroupName) -> str | None:
    """Return the id of a group that is there already; None if there is none of that name."""
    groups = registry.by_endpoint("groups")
    if name.id is not None or groups is None:
        return name.id
    attribute, value = ("displayname", name.display_name) if name.display_name else ("externalid", name.external_id)
    index = groups.indexes.get(attribute)
    if index is None or value is None:
        return None
    if index.unique:
        row = await partition.read(keys.unique_key(groups, index, value))
        return None if row is None else str(row.values["id"])
    async for page in partition.pages(*keys.lookup_range(groups, index, value), size=1):
        for row in page:
            return str(row.values["id"])
    return None
