"""The outbox: what a transaction changes, said by one more row of the same transaction.

A change and its row happen together or not at all, so nothing that was acknowledged is missing, whatever is killed
right after it. The sequencer (scim/feed) moves these rows into the tenant's log; nothing here is read by a request.

A row holds a list of changes, each about one resource, as JSON:

    {"op": "created" | "updated" | "activated" | "deactivated" | "deleted",
     "id": …, "n": revision, "resource": {…}, "changed": […], "previous": {…}, "data": {…}}
    {"op": "members", "id": group, "added": [ids], "removed": [ids]}
    {"op": "edges", "id": group}    a new group whose members were written before it: they are read when it is sequenced

`marks` says in short what the row is about, so that the sequencer knows without the list which rows depend on each
other: `c ids` (new resources), `u id revision`, `d id` or `m id`, with `+hash` or `-hash` for each member that comes or
goes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from scim import trace
from scim.clock import format_time
from scim.schema.validation import Document
from scim.store import keys, properties
from scim.store.table import Write
from scim.text import is_urn

if TYPE_CHECKING:
    from scim.store.sequences import Edge

MOST_DATA = 60_000
"""Bytes of a document that goes into the row; of a larger one there is no `data`."""
MOST_TOGETHER = 400_000
"""UTF-16 units that the changes of one transaction have together: they share a row of 1 MiB."""
_MOST_PREVIOUS = 16_000
"""Bytes of all previous values of one change; a value that does not fit is left out."""
_MOST_NAMES = 200
"""Attributes that one change names."""
_MOST_NAME = 250
_MOST_IDENTITY = 1024
"""Characters of an attribute that tells which resource it is; a longer one is left out."""
_IDENTITY = ("externalId", "userName", "displayName")

Change = dict[str, Any]
"""A change as the row keeps it."""


def tell_creation(id: str, document: Document) -> Change:
    """Return the change that makes a resource."""
    return {"op": "created", "id": id, "n": 1, **_about(document), **_data(document)}


def tell_update(id: str, old: Document, new: Document, revision: int) -> Change | None:
    """Return the change of a resource's document; None if it stays as it is."""
    changed, previous = _differences(old, new)
    if not changed:
        return None
    off, was_off = new.get("active") is False, old.get("active") is False
    op = "updated" if off == was_off else "deactivated" if off else "activated"
    values = {"changed": changed, "previous": previous}
    return {"op": op, "id": id, "n": revision, **_about(new), **values, **_data(new)}


def tell_deletion(id: str, document: Document, revision: int) -> Change:
    """Return the change that removes a resource; `data` is its last document."""
    return {"op": "deleted", "id": id, "n": revision, **_about(document), **_data(document)}


def tell_edges(group: str) -> Change:
    """Return the change that says that a new group's members are to be read."""
    return {"op": "edges", "id": group}


def count_units(changes: Sequence[Change]) -> int:
    """Return about how many UTF-16 units changes take in the row."""
    return sum(len(json.dumps(change)) for change in changes)


def _about(document: Document) -> dict[str, Any]:
    """Return what tells which resource it is."""
    values = {name: document.get(name) for name in _IDENTITY}
    kept = {name: text for name, text in values.items() if isinstance(text, str) and len(text) <= _MOST_IDENTITY}
    return {"resource": kept}


def _data(document: Document) -> dict[str, Any]:
    return {"data": document} if len(orjson.dumps(document)) <= MOST_DATA else {}


def _differences(old: Document, new: Document) -> tuple[list[str], dict[str, Any]]:
    """Return the names of the attributes that have another value, and their values before; an attribute of an extension
    is named with its URN, and one that had no value has none before."""
    names: dict[str, Any] = {}
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if _same(before, after):
            continue
        parts = [value for value in (before, after) if value is not None]
        if is_urn(name) and all(isinstance(part, dict) for part in parts):
            before, after = before or {}, after or {}
            inner = [one for one in {**after, **before} if not _same(before.get(one), after.get(one))]
            names |= {f"{name}:{one}": before.get(one) for one in inner}
        else:
            names[name] = before
    names = {name: value for name, value in names.items() if len(name) <= _MOST_NAME}
    room, previous = _MOST_PREVIOUS, {}
    for name, value in [*names.items()][:_MOST_NAMES]:
        if value is not None and (size := len(orjson.dumps(value)) + len(name)) <= room:
            previous[name] = value
            room -= size
    return [*names][:_MOST_NAMES], previous


def _same(one: object, other: object) -> bool:
    """Return whether two values are the same JSON: to Python 1 and true are equal."""
    return one == other and orjson.dumps(one, option=_SORTED) == orjson.dumps(other, option=_SORTED)


_SORTED = orjson.OPT_SORT_KEYS


def mark_of(member: str) -> str:
    """Return what stands for a member in `marks`. Two members may have the same: then they wait for each other."""
    return hashlib.blake2b(member.encode("utf-8", "surrogatepass"), digest_size=5).hexdigest()


def caller() -> dict[str, str]:
    """Return who changes: the connection, its credential and the request; nothing outside of a request."""
    request = trace.find_current()
    if request is None:
        return {}
    named = {"connection": request.connection, "credential": request.credential, "request": request.request}
    return {name: text for name, text in named.items() if text}


class OutboxRow:
    """The outbox row of one transaction. It has one key, however often the transaction is built and sent."""

    def __init__(
        self,
        changes: Sequence[Change] = (),
        group: str = "",
        edges: Sequence[Edge] = (),
        by: Mapping[str, str] | None = None,
    ) -> None:
        time = datetime.now(UTC)
        self._key = keys.outbox_key(time.strftime("%Y%m%dT%H%M%S%f"))
        self._at = format_time(time)
        self._by = caller() if by is None else dict(by)
        self._changes = list(changes)
        self._group = group
        self._effects: dict[str, tuple[str, bool]] = {}
        for edge in edges:
            effect = (edge.member, edge.shown is not None)
            self._effects[keys.member_key(edge.group, edge.member)] = effect
            self._effects[keys.member_of_key(edge.member, edge.group)] = effect

    def build(self, units: Sequence[Sequence[Write]] = ()) -> list[Write]:
        """Return the row, for a transaction that does these units of the edges; nothing if that changes nothing."""
        effects = dict(self._effects[unit[0].key] for unit in units if unit and unit[0].key in self._effects)
        added = [member for member, comes in effects.items() if comes]
        removed = [member for member, comes in effects.items() if not comes]
        changes = self._changes
        if effects:
            changes = [*changes, {"op": "members", "id": self._group, "added": added, "removed": removed}]
        if not changes:
            return []
        trace.tell()
        values = {
            "v": properties.FORMAT,
            "at": self._at,
            "by": json.dumps(self._by),
            "marks": self._marks(effects),
            **properties.split_document({"changes": changes}, "The change"),
        }
        return [Write("insert", self._key, values)]

    def _marks(self, effects: Mapping[str, bool]) -> str:
        made = [change["id"] for change in self._changes if change["op"] == "created"]
        if made:
            return " ".join(["c", *made])
        first = self._changes[0] if self._changes else {"op": "members", "id": self._group}
        if first["op"] == "deleted":
            return f"d {first['id']}"
        own = ["u", first["id"], str(first["n"])] if "n" in first else ["m", self._group]
        return " ".join([*own, *(("+" if comes else "-") + mark_of(member) for member, comes in effects.items())])


class _Silent(OutboxRow):
    """No row, if the feed is off."""

    def __init__(self) -> None:
        super().__init__()

    def build(self, units: Sequence[Sequence[Write]] = ()) -> list[Write]:
        return []


class Outbox:
    """Makes the rows of a store's transactions, unless the feed is off."""

    def __init__(self, *, on: bool = True) -> None:
        self._on = on

    @property
    def is_on(self) -> bool:
        """Whether changes are told."""
        return self._on

    def make_row(
        self,
        changes: Sequence[Change | None] = (),
        group: str = "",
        edges: Sequence[Edge] = (),
        by: Mapping[str, str] | None = None,
    ) -> OutboxRow:
        """Return the row of a transaction with these changes, and of those edges that it will do. `by` is who began it,
        if that is not the request at hand."""
        if not self._on:
            return _Silent()
        return OutboxRow([change for change in changes if change is not None], group, edges, by)
