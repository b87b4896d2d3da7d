"""Whom an operator means by a name: resources that are there, and subjects that were refused.

A userName, or a group's displayName, is looked for first, since that takes two trips; then everything else that has an
index, and what refused requests said, 5,000 rows of them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from scim.ids import is_id
from scim.insight.failures import Failure, read_failure, read_failures
from scim.insight.subjects import fold_name
from scim.schema.registry import Index, Registry, ResourceType
from scim.store import keys
from scim.store.resource_rows import Stored, parse_stored
from scim.store.table import Table

MOST = 10
"""Resources of one beginning that are shown."""
_MOST_PAGES = 5
"""Pages of failures that are looked through for a name that is not in their keys."""


@dataclass(slots=True)
class Found:
    """What was found by a name. `exact` ids have exactly that value, `near` ones a value that begins so."""

    exact: list[str] = field(default_factory=list)
    near: list[str] = field(default_factory=list)
    failures: list[Failure] = field(default_factory=list)
    """Those whose subject is exactly that."""
    near_failures: list[Failure] = field(default_factory=list)
    whole: bool = True
    """Whether all failures were looked through."""

    def is_empty(self) -> bool:
        return not (self.exact or self.near or self.failures or self.near_failures)


async def find(table: Table, registry: Registry, tenant: str, text: str, types: Sequence[ResourceType]) -> Found:
    """Find whom `text` means among resources of these types: an id, a name, an e-mail address, an externalId, or the
    beginning of one."""
    found = Found()
    if is_id(text):
        resource_type = registry.by_id(text)
        failure = await read_failure(table, tenant, resource_type.name, text) if resource_type else None
        return Found([text], failures=[failure] if failure else [])
    for resource_type in types:
        indexes = [*resource_type.indexes.values()]
        first = [index for index in indexes if index.unique][:1]
        await asyncio.gather(
            _look_up(table, tenant, resource_type, first, text, found),
            _look_for_failures(table, tenant, resource_type, text, found),
        )
        if found.exact or found.failures:
            return found
    for resource_type in types:
        indexes = [*resource_type.indexes.values()]
        first = [index for index in indexes if index.unique][:1]
        await _look_up(table, tenant, resource_type, [each for each in indexes if each not in first], text, found)
    if not found.exact:
        await _look_through_failures(table, tenant, types, text, found)
    return found


async def read_resource(table: Table, tenant: str, id: str) -> Stored | None:
    """Read a resource; None if it is not there."""
    row = await table.read(tenant, keys.resource_key(id))
    return parse_stored(row) if row is not None else None


def find_name_of(stored: Stored, resource_type: ResourceType | None) -> str:
    """Return what people call a resource; its id if it has no name."""
    known_by = resource_type.known_by if resource_type else None
    names = (stored.document.get(each) for each in ("userName", "displayName", known_by, "externalId") if each)
    return str(next(filter(None, names), stored.id))


async def _look_up(
    table: Table, tenant: str, resource_type: ResourceType, indexes: Sequence[Index], text: str, found: Found
) -> None:
    """Look in indexes for values that begin so."""

    async def look(index: Index) -> None:
        exact = (
            keys.unique_key(resource_type, index, text)
            if index.unique
            else keys.lookup_range(resource_type, index, text)[0]
        )
        start, end = keys.prefix_range(resource_type, index, text)
        async for page in table.pages(tenant, start, end, size=MOST):
            for row in page:
                id = str(row.values.get("id") or keys.parse_linked_id(row.key))
                is_exact = row.key == exact if index.unique else row.key.startswith(exact)
                into = found.exact if is_exact else found.near
                if id not in into:
                    into.append(id)
            return

    await asyncio.gather(*(look(index) for index in indexes if not index.attribute.is_reference))


async def _look_for_failures(table: Table, tenant: str, resource_type: ResourceType, text: str, found: Found) -> None:
    name = fold_name(text)
    async for page in read_failures(table, tenant, resource_type.name, name, size=MOST):
        for failure in page:
            (found.failures if failure.subject == name else found.near_failures).append(failure)
        return


async def _look_through_failures(
    table: Table, tenant: str, types: Sequence[ResourceType], text: str, found: Found
) -> None:
    """Look for what refused requests said beside the name that their row is found by."""
    name = fold_name(text)
    for resource_type in types:
        pages = 0
        async for page in read_failures(table, tenant, resource_type.name):
            found.failures += [each for each in page if name in map(fold_name, each.named.values())]
            pages += 1
            if pages == _MOST_PAGES:
                found.whole = len(page) < 1000
                break
