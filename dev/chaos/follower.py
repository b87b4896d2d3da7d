"""A reader of the change feed, as docs/feed.md has it: at each rest it must know exactly what the tenant shows.

It keeps its cursor and what it applied for the whole run, so whatever was killed, late or lost on the way, an event
that is missing, or in the wrong order, is seen at the next rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dev.chaos.model import Finding
from scim.feed.following import Following
from scim.feed.log import Gone
from scim.ids import is_id
from scim.schema.loading import load
from scim.store.table import Table

KIND = "wrong feed"
_SHOWN_ELSEWHERE = ("meta", "groups", "members")
"""What a resource shows that is not in the events' data."""
Document = dict[str, Any]


class Follower:
    """What the feed of one tenant has told so far."""

    def __init__(self, tenant: str) -> None:
        self._tenant = tenant
        self._after: str | None = None
        self._last = 0
        self._documents: dict[str, Document] = {}
        self._members: dict[str, set[str]] = {}

    async def follow(self, table: Table) -> list[Finding]:
        """Apply what is new."""
        following, findings, more = Following(table, load()), list[Finding](), True
        while more:
            try:
                page = await following.read(self._tenant, self._after)
            except Gone as gone:
                return [Finding(KIND, self._tenant, f"its cursor {self._after} leads nowhere: {gone}")]
            for event in page.events:
                if event["seq"] != self._last + 1:
                    findings.append(Finding(KIND, self._tenant, f"event {event['seq']} follows {self._last}"))
                self._last = event["seq"]
                findings += self._apply(event)
            self._after, more = page.next, page.more
        return findings

    def _apply(self, event: Document) -> Iterator[Finding]:
        id, kind = event["resource"]["id"], event["type"].partition(".")[2]
        if (kind == "created") == (id in self._documents):
            yield Finding(KIND, self._tenant, f"event {event['seq']} is {event['type']} of {id}, out of order")
        if kind == "deleted":
            self._documents.pop(id, None)
            self._members.pop(id, None)
        elif kind == "members":
            members = self._members.setdefault(id, set())
            members.update(event["added"])
            members.difference_update(event["removed"])
        elif "data" in event:  # others tell of the tenant, or of seats
            self._documents[id] = event["data"]

    def compare(self, resources: dict[str, list[Document]]) -> Iterator[Finding]:
        """Hold what was told against what a walk shows of all resources."""
        there = {resource["id"]: resource for found in resources.values() for resource in found}
        for id in there.keys() ^ self._documents.keys():
            text = "is there, and no event tells of it" if id in there else "is told to be there, and is not"
            yield Finding(KIND, f"{self._tenant} {id}", text)
        for id in there.keys() & self._documents.keys():
            shown = {name: value for name, value in there[id].items() if name not in _SHOWN_ELSEWHERE}
            if _without_refs(shown) != _without_refs(self._documents[id]):
                yield Finding(KIND, f"{self._tenant} {id}", f"the feed has {self._documents[id]}, a walk {shown}")
            members = {member["value"] for member in there[id].get("members", ())}
            told = {m for m in self._members.get(id, ()) if m in self._documents or not is_id(m)}
            if told != members:
                text = f"members that only the feed has {told - members}, only a walk {members - told}"
                yield Finding(KIND, f"{self._tenant} {id}", text)


def _without_refs(value: Any) -> Any:
    """Return a document without the `$ref`s that the service makes."""
    if isinstance(value, dict):
        return {name: _without_refs(inner) for name, inner in value.items() if name != "$ref"}
    return [_without_refs(inner) for inner in value] if isinstance(value, list) else value
