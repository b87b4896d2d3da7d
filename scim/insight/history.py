"""What happened to a user or a group, as the log of the change feed tells it: 30 days back, by id or by name.

What was written within the last second may not be in the log yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from scim.feed.log import Log, Mention
from scim.feed.sequencer import Head
from scim.policy.draft import Event
from scim.schema.registry import ResourceType
from scim.schema.values import fold
from scim.store import keys, properties
from scim.store.table import PARALLEL_READS, Table

MOST = 100
"""Changes of one resource that are shown: the newest."""
_MOST_LOOKED_AT = 320
"""Changes of a group that are looked through for one member."""
_MOST_SEARCHED = 2000
"""Newest events of a tenant that are looked through for the groups that somebody came into or left."""
JOINED, LEFT = "joined", "left"
"""Types of changes of a person's memberships, whose id and name are the group's."""
_MOST_SHOWN = 80
"""Characters of a value that is shown in words."""


@dataclass(frozen=True, slots=True)
class Change:
    """One change: when, what, and by whom. `changed` is by attribute the value before and the one after; `added` and
    `removed` are members of a group, by id."""

    time: str
    type: str
    id: str
    name: str
    connection: str
    credential: str
    request: str
    changed: tuple[tuple[str, Any, Any], ...] = ()
    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()

    def data(self) -> dict[str, Any]:
        """The change as JSON data."""
        changed = [{"attribute": name, "before": before, "after": after} for name, before, after in self.changed]
        content = {
            "time": self.time,
            "type": self.type,
            "id": self.id,
            "name": self.name,
            "connection": self.connection,
            "credential": self.credential,
            "request": self.request,
            "changed": changed,
            "added": list(self.added),
            "removed": list(self.removed),
        }
        return {name: value for name, value in content.items() if value not in ("", [])}

    def line(self) -> str:
        """The change in words."""
        by = f" by connection {self.connection}, credential {self.credential}" if self.connection else ""
        parts = [f"{name} from {_short(before)} to {_short(after)}" for name, before, after in self.changed]
        parts += [f"members added: {', '.join(self.added)}"] if self.added else []
        parts += [f"members removed: {', '.join(self.removed)}"] if self.removed else []
        request = f" (request {self.request})" if self.request else ""
        said = f"{self.time[:19].replace('T', ' ')} UTC {self.type} {self.name or self.id}{by}{request}"
        return said if self.type in (JOINED, LEFT) else f"{said}: {'; '.join(parts) or 'whole'}"


class History:
    """What is known of the changes of one tenant. Every method raises TableUnavailable."""

    def __init__(self, table: Table, tenant: str) -> None:
        self._table = table
        self._tenant = tenant
        self._log = Log(table)

    async def mentions(self, id: str) -> list[Mention]:
        """Return in short what happened to a resource, the oldest first: one trip."""
        return await self._log.mentions(self._tenant, id)

    async def find_name(self, name: str, types: Sequence[ResourceType]) -> Change | None:
        """Return the last that happened to whoever got or lost that name, or was deleted with it."""
        numbers: list[int] = []
        for resource_type in types:
            attribute = resource_type.known_by
            if attribute is not None:
                folded = fold(name, resource_type.core_attributes[attribute.lower()])
                numbers += [each.number for each in await self._log.mentions(self._tenant, f"={folded}")]
        return await self._read(max(numbers)) if numbers else None

    async def find_membership(self, group: str, member: str) -> Change | None:
        """Return the last change of a group by which somebody came into it or left it; None if it is not among the
        newest."""
        mentions = [each for each in await self.mentions(group) if each.type.endswith(".members")][-_MOST_LOOKED_AT:]
        for end in range(len(mentions), 0, -PARALLEL_READS):
            part = mentions[max(0, end - PARALLEL_READS) : end]
            for change in reversed(await self._read_all([each.number for each in part])):
                if member in change.added or member in change.removed:
                    return change
        return None

    async def find_memberships(self, member: str) -> list[Change]:
        """Return how somebody came into groups and left them, by the newest events of the tenant, the oldest first. A
        deletion takes memberships away without an event of its own."""
        head = await Head.read(self._table, self._tenant)
        if head is None:
            return []
        found: list[Change] = []
        start = max(head.seq - _MOST_SEARCHED, 0)
        async for page in self._table.pages(self._tenant, *keys.log_range(start)):
            for row in page:
                if not any(member in value for value in row.values.values() if isinstance(value, str)):
                    continue  # cheaper than to read what it says
                change = _parse(properties.join_document(row.values))
                if member in change.added or member in change.removed:
                    what = JOINED if member in change.added else LEFT
                    found.append(replace(change, type=what, added=(), removed=()))
        return found[-MOST:]

    async def read(self, id: str) -> list[Change]:
        """Return the newest changes of a resource, the oldest of them first."""
        return await self._read_all([each.number for each in (await self.mentions(id))[-MOST:]])

    async def _read_all(self, numbers: Sequence[int]) -> list[Change]:
        found: list[Change] = []
        for at in range(0, len(numbers), PARALLEL_READS):
            read = await asyncio.gather(*map(self._read, numbers[at : at + PARALLEL_READS]))
            found += [each for each in read if each is not None]
        return found

    async def _read(self, number: int) -> Change | None:
        """Read an event; None if it is forgotten meanwhile."""
        row = await self._table.read(self._tenant, keys.log_key(number))
        if row is None:
            return None
        properties.check_format(row)
        return _parse(properties.join_document(row.values))


def find_name(resource: Mapping[str, Any]) -> str:
    """Return the name that an event calls a resource by; "" if it calls it by its id alone."""
    others = [each for each in resource if each not in ("type", "id", "externalId")]
    return next((str(resource[each]) for each in ("userName", *others, "externalId") if resource.get(each)), "")


def _parse(event: Event) -> Change:
    resource = event["resource"]
    name = find_name(resource)
    previous, data = event.get("previous", {}), event.get("data", {})
    changed = [(each, previous.get(each), _value(data, each)) for each in event.get("changed", ())]
    return Change(
        event["time"],
        event["type"],
        resource["id"],
        name,
        event.get("connection", ""),
        event.get("credential", ""),
        event.get("request", ""),
        tuple(changed),
        tuple(event.get("added", ())),
        tuple(event.get("removed", ())),
    )


def _value(data: dict[str, Any], name: str) -> Any:
    """The value of an attribute, which of an extension is named with its URN."""
    urn, _, inner = name.rpartition(":")
    if name in data or not urn:
        return data.get(name)
    extension = data.get(urn)
    return extension.get(inner) if isinstance(extension, dict) else None


def _short(value: Any) -> str:
    text = "nothing" if value is None else str(value)
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"
