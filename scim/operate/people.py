"""One person: made again after a deletion, or forgotten everywhere.

What is kept of somebody who was deleted is in the change feed, for as long as it reaches: the last document. Restoring
makes the same id again from it. Erasing removes the user, and takes out of the feed, the failures and what policies
keep all that says who it was: events stay at their numbers, without names and values, so that the log has no gap. At
the end every row is read once more, and whatever still has one of the person's names is told.

Names are learned from the events, so these are stripped last: a run that was cut short is repeated with all of them.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.operate.errors import CommandError
from scim.operate.tenants.measure import EVERYTHING
from scim.schema.registry import Registry, ResourceType
from scim.schema.values import fold
from scim.store import keys, properties
from scim.store.departures import find_groups, keep_groups
from scim.store.members import Changes, Member
from scim.store.resource_rows import Creation
from scim.store.resources import Taken
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely, now, remove_rows

_KEPT = (
    *("id", "seq", "tenant", "time", "type", "resource", "connection", "credential", "request"),
    *("license", "purgeAfter", "replaces"),
    *("agents", "number", "reason", "until"),
)
"""What an event about somebody who was erased still says; of the resource, its type and id. Which seat it was stays,
for who counts seats, and which agents lost their owner."""
_MOST_EVENTS = 100_000


@dataclass(slots=True)
class Forgotten:
    """What became of an erasure. `left` are the keys of rows that still have one of the names."""

    user: str
    existed: bool
    events: int = 0
    rows: int = 0
    left: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Restored:
    """Who came back, into which groups, and which of those that it was in are not there any more."""

    name: str
    groups: list[str]
    gone: list[str]


async def restore_user(table: Table, registry: Registry, tenant: str, id: str) -> Restored:
    """Make a deleted user again, with the same id and in the groups that it was in. Cut short, it is run again: it
    goes on with the groups. Raises CommandError if nothing is known of it, or a name is taken."""
    users = _find_users(registry, id)
    store = Store(table, registry).of(tenant)
    partition = Partition(table, tenant)
    there = await store.resources.read(id)
    begun = await partition.read(keys.departure_key(id))
    if there is not None and (begun is None or not begun.values.get("restoring")):
        raise CommandError(f"User {id} is there: nothing was done.")
    if there is not None:
        name = str(there.document.get("userName", id))
    else:
        name = await _make_again(table, registry, tenant, id, users)
    groups = await find_groups(partition, id)
    found: list[str] = []
    for group in groups:
        with suppress(Refused):  # it has gone
            await store.members.change(group, Changes({id: Member(id)}))
            found.append(group)
    await remove_rows(partition, [keys.departure_key(id)])
    await _catch_up(table, registry, tenant)
    return Restored(name, found, [group for group in groups if group not in found])


async def _make_again(table: Table, registry: Registry, tenant: str, id: str, users: ResourceType) -> str:
    """Make a deleted user again, in no group yet; the userName."""
    store = Store(table, registry).of(tenant)
    partition = Partition(table, tenant)
    await _catch_up(table, registry, tenant)
    document = await _find_last_document(table, tenant, id)
    if document is None:
        raise CommandError(
            f"Nothing is kept of user {id}: the change feed reaches {id} no more, or its last document was too large. "
            f"A file of tenants export can bring it back: tenants import FILE --only {id}."
        )
    time = now()
    await keep_groups(partition, id, await find_groups(partition, id), restoring=True)
    try:
        await store.resources.restore(Creation(id, users, document), created=time, modified=time)
    except Taken as taken:
        owner = f" by {taken.id}" if taken.id else ""
        raise CommandError(f"User {id} cannot be restored: its {taken.index.path} is taken{owner}.") from None
    return str(document.get("userName", id))


async def _find_last_document(table: Table, tenant: str, id: str) -> dict[str, Any] | None:
    for mention in reversed(await Log(table).mentions(tenant, id, _MOST_EVENTS)):
        if mention.type != "user.deleted":
            continue
        row = await table.read(tenant, keys.log_key(mention.number))
        event = properties.join_document(row.values) if row else {}
        if "data" in event:
            return {name: value for name, value in event["data"].items() if name not in ("schemas", "id")}
        return None
    return None


async def erase_user(table: Table, registry: Registry, tenant: str, id: str) -> Forgotten:
    """Forget one user everywhere. Cut short, it is run again. Raises TableUnavailable."""
    users = _find_users(registry, id)
    store = Store(table, registry).of(tenant)
    stored = await store.resources.read(id)
    names = _Names(users)
    forgotten = Forgotten(id, stored is not None)
    if stored is not None:
        names.add_document(stored.document)
        await store.resources.delete(users, stored)
    await _catch_up(table, registry, tenant)
    partition = Partition(table, tenant)
    numbers = [mention.number for mention in await Log(table).mentions(tenant, id, _MOST_EVENTS)]
    for number in numbers:
        row = await partition.read(keys.log_key(number))
        event = properties.join_document(row.values) if row is not None else {}
        if event.get("resource", {}).get("id") == id:  # others tell of somebody else, such as the owner of an agent
            names.add_event(event)
    withheld = await partition.read(keys.withheld_key(id))
    for key in _list_held(withheld):
        await _strip_held(partition, key, id, names)
    own = [key async for key in _find_rows(partition, users, id, names, is_held=withheld is not None)]
    await remove_rows(partition, own)
    forgotten.rows = len(own)
    for number in numbers:
        forgotten.events += await _strip_event(partition, number, id)
    forgotten.left = [key async for key in _find_left(table, tenant, names)]
    return forgotten


def _list_held(withheld: Row | None) -> list[str]:
    """The keys of the rows that a hold keeps of somebody."""
    return keys.parse_held(str(withheld.values["keys"])) if withheld else []


async def _strip_held(partition: Partition, key: str, id: str, names: _Names) -> None:
    """Take out of what a hold keeps what says who it is about. It is told without that, once the hold ends."""
    row = await partition.read(key)
    if row is None:
        return
    changes = properties.join_document(row.values)["changes"]
    for change in changes:
        if change["id"] == id and "resource" in change:
            names.add_event(change)
            for name in ("data", "previous", "changed"):
                change.pop(name, None)
            change["resource"] = {}
    values = {name: value for name, value in row.values.items() if not name.startswith("doc")}
    values |= properties.split_document({"changes": changes}, "The change")
    await commit_surely(partition, [Write("replace", row.key, values, row.etag)])


async def _strip_event(partition: Partition, number: int, id: str) -> int:
    """Take out of an event what says who it is about; how many were changed."""
    row = await partition.read(keys.log_key(number))
    if row is None:
        return 0
    event = properties.join_document(row.values)
    if event["resource"]["id"] != id or "erased" in event:
        return 0
    kept = {name: value for name, value in event.items() if name in _KEPT}
    kept["resource"] = {"type": event["resource"]["type"], "id": id}
    kept |= {name: [] for name in ("changed",) if name in event} | {name: {} for name in ("previous",) if name in event}
    kept["erased"] = True
    about = [key for key in str(row.values.get("about", "")).split("\n") if key and key[:3] != "a ="]
    values = {"v": row.values["v"], "about": "\n".join(about), **properties.split_document(kept, "The event")}
    gone = [key for key in str(row.values.get("about", "")).split("\n") if key and key not in about]
    writes = [Write("replace", row.key, values, row.etag), *(Write("delete", key) for key in gone)]
    try:
        await commit_surely(partition, writes)
    except Refused:
        if await partition.read(row.key) is None:  # it was too old to be kept any longer
            return 0
        raise
    return 1


async def _find_rows(
    partition: Partition, users: ResourceType, id: str, names: _Names, *, is_held: bool
) -> AsyncIterator[str]:
    """The keys of other rows about the person: failures, what policies keep. If a change is held, the seat is taken
    until that is let go."""
    candidates = [keys.departure_key(id), *([] if is_held else [keys.seat_key(id)])]
    candidates += [keys.failure_key(users.name, subject) for subject in (id, *names.folded)]
    candidates += [keys.gone_key(f"={name}") for name in names.folded] + [keys.gone_key(name) for name in names.texts]
    for key in dict.fromkeys(candidates):
        if await partition.read(key) is not None:
            yield key
    async for page in partition.pages(*keys.failure_range()):
        for row in page:
            if row.key not in candidates and names.are_in(row):
                yield row.key


async def _find_left(table: Table, tenant: str, names: _Names) -> AsyncIterator[str]:
    """Read every row once more: the keys of those that have one of the names."""
    for partition in (tenant, SHARED):
        async for page in table.pages(partition, *EVERYTHING):
            for row in page:
                if names.are_in(row):
                    yield row.key


async def _catch_up(table: Table, registry: Registry, tenant: str) -> None:
    while await Sequencer(table, registry).run(tenant, expected=True):
        pass


def _find_users(registry: Registry, id: str) -> ResourceType:
    users = registry.by_id(id)
    if users is None or users.name != "User":
        raise CommandError(f"{id} is no user's id: why and history tell it.")
    return users


class _Names:
    """What somebody is known by: userName, externalId and e-mail addresses."""

    def __init__(self, users: ResourceType) -> None:
        self._users = users
        self.texts: set[str] = set()
        self._compiled: tuple[int, re.Pattern[str] | None] = (0, None)

    @property
    def folded(self) -> list[str]:
        attribute = self._users.core_attributes["username"]
        return sorted({fold(text, attribute) for text in self.texts} | self.texts)

    def add_document(self, document: dict[str, Any]) -> None:
        self._add(document.get(name) for name in ("userName", "externalId"))
        self._add(email.get("value") for email in document.get("emails", ()) if isinstance(email, dict))

    def add_event(self, event: dict[str, Any]) -> None:
        for part in (event.get("resource", {}), event.get("data", {}), event.get("previous", {})):
            self.add_document(part)

    def _add(self, values: Iterable[object]) -> None:
        self.texts |= {value for value in values if isinstance(value, str) and len(value) > 2}

    def are_in(self, row: Row) -> bool:
        """Whether a row's key or one of its values has one of the names, whole: adele is not in adele.vance."""
        found = self._pattern
        return found is not None and any(map(found.search, (row.key, *(str(value) for value in row.values.values()))))

    @property
    def _pattern(self) -> re.Pattern[str] | None:
        if self._compiled[0] != len(self.texts):
            forms = {form for name in self.folded for form in (name, keys.encode(name), json.dumps(name)[1:-1])}
            either = "|".join(map(re.escape, sorted(forms, key=len, reverse=True)))
            before, after = r"(?<![\w.@+-])", r"(?![\w@+!~-]|\.\w)"
            self._compiled = len(self.texts), re.compile(f"{before}(?:{either}){after}", re.IGNORECASE)
        return self._compiled[1]
