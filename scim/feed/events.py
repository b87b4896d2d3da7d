"""What an event says, as JSON (event.schema.json beside this module describes it; docs/feed.md explains it).

An event is made once, when a change goes into the log, and never changed afterwards. Its number and id come with its
place in the log; the rest is a draft.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from scim.policy.draft import Draft, Event
from scim.schema.projection import Projection
from scim.schema.registry import Registry, ResourceType
from scim.schema.values import fold
from scim.store.outbox import Change
from scim.text import is_urn

MOST_IDS_BYTES = 40_000
"""Bytes of the ids of members in one event; more of them are told in several."""
_MOST_NAME = 1024
"""Characters of a name that an event tells a resource by; a longer one is left out."""


class Cause(NamedTuple):
    """When a change was made, and by whom."""

    time: str
    by: Mapping[str, str]


def draft(change: Change, cause: Cause, registry: Registry) -> Iterator[Draft]:
    """Make the events of one change: one, but of many members with long ids several."""
    resource_type = registry.by_id(change["id"])
    if change["op"] == "members":
        yield from draft_members(change["id"], change["added"], change["removed"], cause, registry)
        return
    about = {**change["resource"], **_named(change, resource_type)}
    event = _head(change["op"], change["id"], about, cause, resource_type)
    if "changed" in change:
        event["changed"] = change["changed"]
        event["previous"] = _previous(change["previous"], resource_type)
    if "data" in change:
        schemas = [resource_type.core.id, *filter(is_urn, change["data"])] if resource_type else []
        data = {"schemas": schemas, "id": change["id"], **change["data"]}
        event["data"] = _shown(data, resource_type)
    yield Draft(event, (change["id"], *_names(change, resource_type)))


def draft_members(
    group: str, added: Sequence[str], removed: Sequence[str], cause: Cause, registry: Registry
) -> Iterator[Draft]:
    """Make the events that tell who is a member of a group now, and who is not any more."""
    resource_type = registry.by_id(group)
    signed = [(id, True) for id in added] + [(id, False) for id in removed]
    for part in _parts(signed):
        event = _head("members", group, {}, cause, resource_type)
        event["added"] = [id for id, comes in part if comes]
        event["removed"] = [id for id, comes in part if not comes]
        yield Draft(event, (group,))


def placed(draft: Draft, tenant: str, epoch: str, seq: int) -> Event:
    """Return the event at its place in a tenant's log."""
    return {"id": f"{tenant}_{epoch}_{seq}", "seq": seq, "tenant": tenant, **draft.event}


def _head(op: str, id: str, about: Mapping[str, Any], cause: Cause, resource_type: ResourceType | None) -> Event:
    name = resource_type.name if resource_type else id.partition("-")[0]
    resource = {"type": name, "id": id, **about}
    return {"time": cause.time, "type": f"{name.lower()}.{op}", "resource": resource, **cause.by}


def _parts(signed: Sequence[tuple[str, bool]]) -> Iterator[list[tuple[str, bool]]]:
    part: list[tuple[str, bool]] = []
    room = MOST_IDS_BYTES
    for one in signed:
        size = len(json.dumps(one[0], ensure_ascii=False).encode("utf-8", "surrogatepass")) + 1
        if part and size > room:
            yield part
            part, room = [], MOST_IDS_BYTES
        part.append(one)
        room -= size
    if part:
        yield part


def _shown(values: Event, resource_type: ResourceType | None) -> Event:
    """Return what a GET would show of a document: an attribute that is never returned is not told here either."""
    return Projection(resource_type, {}).apply(values) if resource_type else {}


def _previous(values: Event, resource_type: ResourceType | None) -> Event:
    """The same for values by the names of their attributes, which of an extension begin with its URN."""
    shown: Event = {}
    for name, value in values.items():
        urn, _, inner = name.rpartition(":")
        if not urn:
            shown |= _shown({name: value}, resource_type)
        elif kept := _shown({urn: {inner: value}}, resource_type):
            shown[name] = kept[urn][inner]
    return shown


def _names(change: Change, resource_type: ResourceType | None) -> Iterator[str]:
    """The names that a resource got or lost by a change."""
    name = resource_type.known_by if resource_type else None
    if resource_type is None or name is None or ("changed" in change and name not in change["changed"]):
        return
    attribute = resource_type.core_attributes[name.lower()]
    for value in {_read_name(change, name), change.get("previous", {}).get(name)}:
        if isinstance(value, str):
            yield f"={fold(value, attribute)}"


def _named(change: Change, resource_type: ResourceType | None) -> dict[str, str]:
    """Return the name that people know the resource by, if it may be told."""
    name = resource_type.known_by if resource_type else None
    value = _read_name(change, name) if name else None
    if resource_type is None or name is None or resource_type.core_attributes[name.lower()].hidden:
        return {}
    return {name: value} if isinstance(value, str) and len(value) <= _MOST_NAME else {}


def _read_name(change: Change, name: str) -> Any:
    return change["resource"].get(name) or change.get("data", {}).get(name)
