"""The rows of a tenant's outbox that may go into the log now, in an order that is right for each resource.

Rows are read while others write, and their old, which begin with the time of some process's clock, tell no order. What
may be told is this:

* One page that is not continued is a snapshot: whatever was committed before one of its rows is in it. Several pages
  are none. So they are read twice, and a row goes only if nothing came between that it may depend on: whatever was
  committed before a row of the first reading is in the second.
* A resource is created first and deleted last, and in between its documents follow each other by their revision.
* What does not follow from that goes by the service's time of the commit, in which a value that one resource gave up
  comes before the next one takes it.
* If a member was both added and removed, the membership itself tells the end: `settles` names the rows after which it
  is looked at.
"""

from __future__ import annotations

import logging
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from scim.store import keys, properties
from scim.store.properties import parse_written_instant
from scim.store.table import Row, Table

log = logging.getLogger("scim")

PAGE = 200
"""Rows of a backlog that are read in one trip."""
KEPT_BYTES = 8 * 2**20
"""Text of a backlog that is kept while it is read; of what lies behind, the marks alone are, and it is read again."""


@dataclass(slots=True)
class Item:
    """A row of the outbox as its marks tell it. `row` is None until its content is read."""

    key: str
    time: str
    """The service's time of the commit; "" of a row of which a part is in the log already, so that it comes first."""
    kind: str
    ids: tuple[str, ...]
    revision: int
    effects: dict[str, bool]
    """By the mark of a member, whether it comes."""
    row: Row | None = None
    settles: set[str] = field(default_factory=set)
    """Marks of the members whose membership is to be looked at behind this row."""
    warns: dict[str, Item] = field(default_factory=dict)
    """By key, the rows that settle what this one begins: should they stay behind it, they must not forget."""

    @property
    def id(self) -> str:
        return self.ids[0]

    def touches(self) -> Iterator[tuple[str, str]]:
        """What a row that is not a creation depends on, and others depend on by it: (id, what of it)."""
        if self.kind != "m":
            yield self.id, ""
        for mark in self.effects:
            yield self.id, mark


def parse_item(row: Row, *, whole: bool) -> Item | None:
    """Return what a row's marks tell; None, and a line in the log, if it cannot be read. Raises NewerFormat."""
    properties.check_format(row)
    kind, *parts = str(row.values.get("marks", "")).split(" ")
    if kind not in ("c", "u", "d", "m") or not parts or (kind == "u" and not "".join(parts[1:2]).isdecimal()):
        log.error("row %r of the outbox says not what it is about and stays where it is", row.key)
        return None
    ids, marks, revision = tuple(parts), [], 0
    if kind != "c":
        ids, marks = (parts[0],), parts[1:]
    if kind == "u":
        revision, marks = int(marks[0]), marks[1:]
    time = "" if "done" in row.values else str(row.values.get("time") or parse_written_instant(row.etag))
    effects = {mark[1:]: mark[0] == "+" for mark in marks}
    return Item(
        row.key,
        time,
        kind,
        ids,
        revision,
        effects,
        row if whole else None,
        set(str(row.values.get("settles", "")).split()),
    )


async def read_backlog(table: Table, tenant: str) -> list[Item]:
    """Return what may go into the log, in order. Raises TableUnavailable, and NewerFormat if a newer version has
    written to the outbox: then it is that version's to move."""
    first, snapshot = await _read(table, tenant)
    if not snapshot:
        known = {item.key for item in first}
        second, _ = await _read(table, tenant, kept_bytes=0)
        first = _independent(first, [item for item in second if item.key not in known])
    return _ordered(first)


async def _read(table: Table, tenant: str, *, kept_bytes: int = KEPT_BYTES) -> tuple[list[Item], bool]:
    """Read the outbox once: its rows, of which the first have their content, and whether it is a snapshot."""
    items: list[Item] = []
    pages = 0
    async for page in table.pages(tenant, *keys.outbox_range(), size=PAGE):
        pages += 1
        for row in page:
            kept_bytes -= properties.measure_document(row.values)
            if (item := parse_item(row, whole=kept_bytes >= 0)) is not None:
                items.append(item)
    return items, pages <= 1


def _independent(items: Sequence[Item], later: Iterable[Item]) -> list[Item]:
    """Return those rows of a first reading that depend on none that only the second one found, nor on one that does."""
    made: set[str] = set()
    ids: set[str] = set()
    touched: set[tuple[str, str]] = set()
    for item in later:
        if item.kind == "c":
            made.update(item.ids)
        elif item.kind != "d":  # nothing follows a deletion
            ids.add(item.id)
            touched.update(item.touches())
    free = list(items)
    while True:
        kept = []
        for item in free:
            if item.kind == "c":  # nothing precedes a creation
                kept.append(item)
            elif item.id in made or (item.kind == "d" and item.id in ids) or not touched.isdisjoint(item.touches()):
                ids.add(item.id)
                touched.update(item.touches())
            else:
                kept.append(item)
        if len(kept) == len(free):
            return kept
        free = kept


def _ordered(items: Iterable[Item]) -> list[Item]:
    """Return rows in the order of the log, and mark those after which a membership is to be looked at."""
    by_time = sorted(items, key=lambda item: (item.time, item.key))
    made = {id: item for item in by_time if item.kind == "c" for id in item.ids}
    documents: dict[str, deque[Item]] = defaultdict(deque)
    for item in sorted(by_time, key=lambda item: item.revision):
        if item.kind == "u":
            documents[item.id].append(item)
    members: dict[str, deque[Item]] = defaultdict(deque)
    for item in by_time:
        if item.kind == "m":
            members[item.id].append(item)
    placed: dict[str, Item] = {}

    def place(item: Item) -> None:
        placed.setdefault(item.key, item)

    for item in by_time:
        if item.kind != "c" and item.id in made:
            place(made[item.id])
        if item.kind in ("u", "d"):
            before = documents[item.id]
            while before and item.key not in placed:
                place(before.popleft())
        if item.kind == "d":
            for one in members[item.id]:
                place(one)
        place(item)
    result = list(placed.values())
    _mark_settling(result)
    return result


def _mark_settling(items: Iterable[Item]) -> None:
    about: dict[tuple[str, str], list[Item]] = defaultdict(list)
    for item in items:
        for mark in item.effects:
            about[item.id, mark].append(item)
    for (_, mark), these in about.items():
        if len({item.effects[mark] for item in these}) > 1:
            last = these[-1]
            last.settles.add(mark)
            for item in these[:-1]:
                item.warns[last.key] = last
