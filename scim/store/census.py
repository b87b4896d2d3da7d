"""The census of a tenant: which indexes the processes keep that write documents to it.

During a rolling update, or after a way back, processes of different schemas write to one table. A search may use an
index only if every document has its rows: if every process that writes to the tenant keeps the index, or `reindex` has
been through after the last one that does not. So each process says in its first creating or updating transaction for a
tenant which indexes it keeps, and again every five minutes. It is one more row of that transaction, never a trip.

The indexes that every version has kept (`ALWAYS`) need no look: what Entra matches by costs what it did.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from scim.schema.registry import Index, Registry, ResourceType
from scim.store import keys, properties
from scim.store.table import Partition, Row, Write
from scim.store.transactions import commit_surely, now

ALWAYS = frozenset(
    {
        "x u username",
        "l u externalid caseExact",
        "l u emails.value",
        "l u displayname",
        "l u urn:ietf:params:scim:schemas:extension:enterprise:2.0:user:manager.value caseExact",
        "x g displayname",
        "l g externalid caseExact",
    }
)
"""The indexes that every version keeps with our own schemas. One that a release adds to our documents is not added
here: older versions do not keep it, and the census tells."""

_SAY_EVERY = 300.0
"""Seconds for which a process stays silent after it has said what it keeps."""
SILENT = timedelta(minutes=6)
"""For how long after its word a process may have written without a new one: what it says every five minutes, a minute
for clocks that differ and for a transaction that lay in the network."""


def build_index_name(resource_type: ResourceType, index: Index) -> str:
    """Return an index in the census. One that compares values in another way is another index."""
    return keys.index_name(resource_type, index) + (" caseExact" if index.attribute.case_exact else "")


def list_kept_indexes(registry: Registry) -> frozenset[str]:
    """Return the indexes that a process with these schemas keeps."""
    return frozenset(build_index_name(one, index) for one in registry.resource_types for index in one.indexes.values())


class Entry(NamedTuple):
    """What a process has to say in its next transaction for a tenant; no write if it has said it lately."""

    writes: list[Write]
    at: float


@dataclass(frozen=True, slots=True)
class TenantCensus:
    """The census of a tenant as it was read."""

    writers: list[tuple[frozenset[str], datetime]] = field(default_factory=list)
    """What each kind of process keeps, and when one last said so."""
    done: dict[str, datetime] = field(default_factory=dict)
    """By index, when the last reindex that went through began."""
    dropped: dict[str, datetime] = field(default_factory=dict)
    """By index, when its rows were removed."""
    unreadable: list[str] = field(default_factory=list)
    """Keys of rows that this version does not understand."""

    def covers(self, name: str) -> bool:
        """Return whether every document of the tenant has its rows of the index."""
        done, last = self.done.get(name), self.find_last_without(name)
        if not self.writers and done is None:
            return False
        return last is None or (done is not None and done > last + SILENT)

    def find_last_without(self, name: str) -> datetime | None:
        """Return when a process that does not keep the index last said so, or when its rows were removed; None if
        never."""
        times = [at for indexes, at in self.writers if name not in indexes]
        return max([*times, *(at for dropped, at in self.dropped.items() if dropped == name)], default=None)

    def find_last_with(self, name: str) -> datetime | None:
        """Return when a process that keeps the index last said so."""
        return max((at for indexes, at in self.writers if name in indexes), default=None)


class Census:
    """The census of a tenant, for a process that keeps these indexes; None for one without schemas, which writes no
    documents. `said` is what the process remembers: when it last said so, by tenant."""

    def __init__(
        self,
        partition: Partition,
        kept: frozenset[str] | None = None,
        said: dict[str, float] | None = None,
    ) -> None:
        self._partition = partition
        self._kept = kept
        self._said = {} if said is None else said

    def make_entry(self) -> Entry:
        """Return what the next transaction that writes a document must carry. It counts once `confirm_entry` is
        called."""
        at, last = time.monotonic(), self._said.get(self._partition.name)
        if self._kept is None or (last is not None and at - last < _SAY_EVERY):
            return Entry([], at)
        names = sorted(self._kept)
        digest = hashlib.sha256("\n".join(names).encode()).hexdigest()[:32]
        values = {"at": now(), **properties.split_document({"indexes": names})}
        return Entry([Write("upsert", keys.census_key(digest), values)], at)

    def confirm_entry(self, entry: Entry) -> None:
        """Remember that the transaction with the entry has happened."""
        if entry.writes:
            self._said[self._partition.name] = entry.at

    async def find_unusable(self, resource_type: ResourceType, wanted: Collection[Index]) -> frozenset[str]:
        """Return the keys of the resource type's indexes that searches may not use in the tenant. Costs a trip if one
        of those that are wanted has not always been there; else the answer is none. Raises TableUnavailable."""
        if all(build_index_name(resource_type, index) in ALWAYS for index in wanted):
            return frozenset()
        counted = await self.read()
        every = {build_index_name(resource_type, index): index.key for index in resource_type.indexes.values()}
        return frozenset(key for name, key in every.items() if name not in ALWAYS and not counted.covers(name))

    async def read(self) -> TenantCensus:
        """Return the tenant's census. Raises TableUnavailable."""
        counted = TenantCensus()
        async for page in self._partition.pages(*keys.census_range()):
            for row in page:
                add_row(counted, row)
        return counted

    async def mark_reindexed(self, names: Collection[str], began: str) -> None:
        """Note that a reindex that began then has been through all documents. Raises TableUnavailable."""
        for name in sorted(names):
            values = {"index": name, "at": began}
            await commit_surely(self._partition, [Write("upsert", keys.census_key("done", name), values)])

    async def mark_dropped(self, names: Collection[str]) -> None:
        """Note that the rows of these indexes are about to be removed: whoever declares one again has to reindex
        first."""
        for name in sorted(names):
            values = {"index": name, "at": now()}
            await commit_surely(self._partition, [Write("upsert", keys.census_key("dropped", name), values)])


def add_row(counted: TenantCensus, row: Row) -> None:
    """Add a row of the census to what was read. One that this version cannot read is a process without any index."""
    try:
        at = datetime.fromisoformat(row.values["at"])
        if at.tzinfo is None:
            raise ValueError("a time without its zone")
        kind, _, name = row.key.partition(" ")[2].partition(" ")
        if name:
            {"done": counted.done, "dropped": counted.dropped}[kind][str(row.values["index"])] = at
        else:
            counted.writers.append((frozenset(map(str, properties.join_document(row.values)["indexes"])), at))
    except (ValueError, KeyError, TypeError):
        counted.unreadable.append(row.key)
        counted.writers.append((frozenset(), find_written_time(row)))


def find_written_time(row: Row) -> datetime:
    """Return when a row was written, by the service's clock; now if its ETag does not say."""
    time = properties.parse_written_time(row.etag)
    return datetime.fromisoformat(time) if time else datetime.now(UTC)
