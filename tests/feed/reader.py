"""A reader of the change feed, written from docs/feed.md alone, and what a table holds, to compare the two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.operate.check import list_problems
from scim.schema.projection import Projection
from scim.schema.registry import Registry
from scim.store.properties import join_document
from tests.core import REGISTRY
from tests.store.memory import MemoryTable

Event = dict[str, Any]
State = dict[str, tuple[Event, frozenset[str]]]
"""By id, what a resource shows and who its members are."""


class Reader:
    """Applies events in their order, each once: one that comes again, or is older than what is there, is skipped."""

    def __init__(self) -> None:
        self.cursor: int = 0
        self._documents: dict[str, Event] = {}
        self._members: dict[str, set[str]] = {}

    def apply(self, event: Event) -> None:
        if event["seq"] <= self.cursor:
            return
        self.cursor = event["seq"]
        id, kind = event["resource"]["id"], event["type"].partition(".")[2]
        if kind == "deleted":
            self._documents.pop(id, None)
            self._members.pop(id, None)
            for members in self._members.values():
                members.discard(id)
        elif kind == "members":
            members = self._members.setdefault(id, set())
            members.update(event["added"])
            members.difference_update(event["removed"])
        elif "data" in event:  # others tell of the tenant, or of seats
            self._documents[id] = event["data"]

    def state(self) -> State:
        """What is there: a membership counts if its group is there, and its member is or is no resource of ours."""
        known = self._documents.keys()
        return {
            id: (document, frozenset(m for m in self._members.get(id, ()) if m in known or not _is_ours(m)))
            for id, document in self._documents.items()
        }


def _is_ours(id: str) -> bool:
    return REGISTRY.by_id(id) is not None and len(id) == 26


def held(table: MemoryTable, tenant: str, registry: Registry = REGISTRY) -> State:
    """What a tenant has, read off its rows."""
    members: dict[str, set[str]] = {}
    for row in table.rows(tenant):
        if row.key.startswith("m "):
            members.setdefault(row.values["group"], set()).add(row.values["member"])
    state: State = {}
    for row in table.rows(tenant):
        if row.key.startswith("r "):
            id = row.values["id"]
            resource_type = registry.by_id(id)
            assert resource_type
            document = join_document(row.values)
            schemas = [resource_type.core.id, *(name for name in document if name.startswith("urn:"))]
            shown = Projection(resource_type, {}).apply({"schemas": schemas, "id": id, **document})
            state[id] = shown, frozenset(members.get(id, ()))
    return state


async def read_all(table: MemoryTable, tenant: str) -> list[Event]:
    """All events of a tenant, in pages of a few."""
    log, events, after, more = Log(table), [], None, True
    while more:
        page = await log.read(tenant, after, 7)
        events += page.events
        after, more = page.next, page.more
    return events


async def check_log(table: MemoryTable, tenant: str) -> list[Event]:
    """Move what is left into the log, and hold it against what the tenant has; its events."""
    while await Sequencer(table, REGISTRY).run(tenant):
        pass
    assert [row.key for row in table.rows(tenant) if row.key.startswith("e ")] == []
    events = await read_all(table, tenant)
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    check_order(events)
    reader = Reader()
    for event in events:
        reader.apply(event)
        reader.apply(event)
    assert reader.state() == held(table, tenant)
    assert await list_problems(table, tenant, REGISTRY) == []
    return events


def check_order(events: Iterable[Event]) -> None:
    """A resource is created once and first, and deleted once and last."""
    ended: set[str] = set()
    seen: Counter[str] = Counter()
    for event in events:
        id, kind = event["resource"]["id"], event["type"].partition(".")[2]
        assert id not in ended, event
        assert (kind == "created") == (not seen[id]), event
        seen[id] += 1
        if kind == "deleted":
            ended.add(id)
