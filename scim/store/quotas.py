"""How much a tenant has, for its quotas: resources, members and bytes.

Nothing is counted on the way of a request. Housekeeping measures the tenants that it knows of and leaves the figures in
a row of the partition that is no tenant's; a process reads that row behind a request, at most once in five minutes for
a tenant that writes, and adds what it wrote itself since the measurement began: what was written beside it may count
twice until the next one, and nothing is forgotten. So a quota holds up to what all processes write between two
measurements: a small tenant is measured every quarter of an hour, a large one in pieces, over some hours. A tenant that
nobody has measured yet has no quota. Bytes are those of documents and keys, about as Table Storage counts them.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Any, NamedTuple

from scim.behind import Background
from scim.events import log_event
from scim.limits import forget_oldest
from scim.store import keys, properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import PAGE_ROWS, Partition, Table, Write
from scim.store.tenants import Tenants
from scim.store.transactions import commit_surely, now

log = logging.getLogger("scim")

PERCENT = 80
"""From here on the operator is told."""
_READ_EVERY = 300.0
"""Seconds after which a process reads a tenant's figures anew."""
_MOST_KNOWN = 1000
"""Tenants whose figures a process keeps."""
_PIECE_SECONDS = 5.0
"""What one run of housekeeping spends on measuring a tenant."""
_EVERY = timedelta(minutes=15)
"""How old figures may be before the tenant is measured again."""
_DUTY = 50
"""A measurement is repeated after this many times the time that it took, at the earliest."""
_SKEW_MINUTES = 2
"""How far the clocks of two processes may be apart."""
_MOST_SPARED = 1_000_000
"""Bytes beyond the quota that requests which disable may bring to a tenant, in a process, between two measurements."""
_PAGE_BYTES = 8 * 2**20
_FIRST_ROWS = 64
_ROW_BYTES, _KEY_BYTES = 250, 2
"""What a row takes beside its key and document, and a character of either (UTF-16)."""
_PHASES = ("keys", "documents")
DISABLED = "disabled"


class Quota(NamedTuple):
    """What a tenant may have; 0 for as much as it likes."""

    resources: int = 0
    members: int = 0
    bytes: int = 0


@dataclass(slots=True)
class Size:
    """How much a tenant has, or gets."""

    resources: int = 0
    members: int = 0
    bytes: int = 0

    def __add__(self, other: Size) -> Size:
        return Size(self.resources + other.resources, self.members + other.members, self.bytes + other.bytes)

    def increase(self) -> Size:
        """Return what of it is more, without what is less."""
        return Size(max(0, self.resources), max(0, self.members), max(0, self.bytes))


@dataclass(slots=True)
class _Known:
    """The figures of a tenant in this process: as they were measured, and what it has added since it read them."""

    read: float
    measured: str = ""
    size: Size | None = None
    added: dict[int, Size] = field(default_factory=dict)
    """By the minute, in the order of time."""
    spared: int = 0
    """Bytes that were let through beyond the quota since it was measured."""

    def total(self) -> Size | None:
        """Return what the tenant has now; None if it was not measured."""
        return None if self.size is None else reduce(Size.__add__, self.added.values(), self.size)

    def measure(self, size: Size, measured: str, began: str) -> None:
        """Take new figures. What was added before they were begun is in them."""
        since = int(datetime.fromisoformat(began).timestamp() // 60) - _SKEW_MINUTES
        self.added = {minute: added for minute, added in self.added.items() if minute >= since}
        self.size, self.measured, self.spared = size, measured, 0


class Quotas:
    """The quotas of all tenants."""

    def __init__(self, table: Table, tenants: Tenants, quota: Quota) -> None:
        self._table = table
        self._tenants = tenants
        self._shared = Partition(table, SHARED)
        self.quota = quota
        self._known: dict[str, _Known] = {}
        self._background = Background()

    def find_size(self, tenant: str) -> Size | None:
        """Return about how much the tenant has; None if it is not known, or nobody asks. Returns at once: the figures
        are read behind the request."""
        if not any(self.quota):
            return None
        known = self._known.get(tenant)
        if known is None or time.monotonic() - known.read > _READ_EVERY:
            known = self._known[tenant] = known or _Known(0.0)
            known.read = time.monotonic()
            forget_oldest(self._known, _MOST_KNOWN)
            self._background.start(self._refresh(tenant))
        return known.total()

    def add_written(self, tenant: str, added: Size) -> None:
        """Count what this process wrote."""
        if (known := self._known.get(tenant)) is not None:
            minute = int(time.time() // 60)
            known.added[minute] = known.added.get(minute, Size()) + added

    def spare(self, tenant: str, more: int) -> bool:
        """Return whether that many bytes may go beyond the quota, so that a user can be disabled; they are counted."""
        known = self._known.get(tenant)
        if known is None or known.spared + more > _MOST_SPARED:
            return False
        known.spared += more
        return True

    async def settle(self) -> None:
        """Wait for what is being read."""
        await self._background.settle()

    async def _refresh(self, tenant: str) -> None:
        try:
            await self._tenants.announce(tenant)  # or housekeeping would not measure it
            row = await self._shared.read(shared_keys.quota_key(tenant))
            known = self._known.get(tenant)
            if row is None or known is None or "measured" not in row.values:
                return
            values = row.values
            if values["measured"] != known.measured:
                size, measured = Size(*(int(values[name]) for name in asdict(Size()))), str(values["measured"])
                known.measure(size, measured, str(values.get("began", measured)))
        except Exception as error:  # whatever it is, the next look tries again
            log.warning("the figures of tenant %s were not read: %s", tenant, error)

    async def measure(self, tenant: str, *, seconds: float = _PIECE_SECONDS) -> None:
        """Measure a tenant, or go on with it, for that many seconds; nothing if it was measured lately. Raises
        TableUnavailable."""
        if not any(self.quota):
            return
        row = await self._shared.read(shared_keys.quota_key(tenant))
        values: dict[str, Any] = dict(row.values) if row else {}
        if not _is_due(values):
            return
        began, walk = time.monotonic(), _Walk.resume(values)
        await self._step(tenant, walk)
        while not walk.ends and time.monotonic() - began < seconds:
            await self._step(tenant, walk)
        walk.took += time.monotonic() - began
        figures = (*asdict(Size()), "counted", "measured", "began", "cost")
        kept = {name: values[name] for name in figures if name in values}
        if walk.ends:
            kept = {**asdict(walk.size), "measured": now(), "began": walk.began, "cost": walk.took}
            kept["counted"] = json.dumps(walk.counted)
            self._warn(tenant, walk.size)
        else:
            kept |= walk.to_values()
        await commit_surely(self._shared, [Write("upsert", shared_keys.quota_key(tenant), {"tenant": tenant, **kept})])

    async def _step(self, tenant: str, walk: _Walk) -> None:
        """Read one page of the walk."""
        start, end = ("", "\uffff") if walk.phase == 0 else keys.key_range(f"{keys.RESOURCES} ")
        pages = self._table.pages(
            tenant, walk.next or start, end, size=PAGE_ROWS if walk.phase == 0 else walk.rows, keys_only=walk.phase == 0
        )
        async for page in pages:
            for row in page:
                walk.add_row(row.key, row.values)
            if page:
                walk.next = page[-1].key + " "  # no key has a character that sorts before a space
                walk.adapt(
                    page_bytes=sum(map(properties.measure_document, (row.values for row in page))), number=len(page)
                )
                return
        walk.phase, walk.next = walk.phase + 1, ""

    def _warn(self, tenant: str, size: Size) -> None:
        for what, limit in self.quota._asdict().items():
            number = getattr(size, what)
            if limit and 100 * number >= PERCENT * limit:
                percent = round(100 * number / limit, 1)
                fields = {"tenant": tenant, "what": what, "number": number, "limit": limit, "percent": percent}
                log_event("quota", fields, logging.WARNING)


class TenantQuota:
    """The quotas of a tenant, of what a process knows of all."""

    def __init__(self, quotas: Quotas, tenant: str) -> None:
        self._quotas = quotas
        self._tenant = tenant

    @property
    def limits(self) -> Quota:
        return self._quotas.quota

    def find_size(self) -> Size | None:
        """Return about how much the tenant has: see Quotas.find_size."""
        return self._quotas.find_size(self._tenant)

    def add_written(self, added: Size) -> None:
        """Count what this process wrote."""
        self._quotas.add_written(self._tenant, added)

    def spare(self, more: int) -> bool:
        """Return whether that many bytes may go beyond the quota: see Quotas.spare."""
        return self._quotas.spare(self._tenant, more)

    async def measure(self) -> None:
        """Measure the tenant, or go on with it: see Quotas.measure. Raises TableUnavailable."""
        await self._quotas.measure(self._tenant)


@dataclass(slots=True)
class _Walk:
    """A measurement under way: first all keys, then the documents, in pages that are not too large."""

    began: str
    phase: int = 0
    next: str = ""
    took: float = 0.0
    rows: int = _FIRST_ROWS
    size: Size = field(default_factory=Size)
    counted: dict[str, int] = field(default_factory=dict)
    """Resources by what their ids begin with, and those that are disabled (DISABLED)."""

    @property
    def ends(self) -> bool:
        return self.phase >= len(_PHASES)

    @staticmethod
    def resume(values: dict[str, Any]) -> _Walk:
        """Return the measurement that a row says is under way; a new one if it says none."""
        if "phase" not in values:
            return _Walk(now())
        size = Size(*(int(values[f"so_far_{name}"]) for name in asdict(Size())))
        began = str(values.get("walk_began", values.get("measured", now())))
        counted = json.loads(str(values.get("so_far_counted", "{}")))
        place = (int(values["phase"]), str(values["next"]), float(values["took"]))
        return _Walk(began, *place, size=size, counted=counted)

    def to_values(self) -> dict[str, Any]:
        so_far = {f"so_far_{name}": number for name, number in asdict(self.size).items()}
        so_far["so_far_counted"] = json.dumps(self.counted)
        return {"walk_began": self.began, "phase": self.phase, "next": self.next, "took": self.took, **so_far}

    def add_row(self, key: str, values: dict[str, Any]) -> None:
        if self.phase == 0:
            kind = key.partition(" ")[0]
            self.size.resources += kind == keys.RESOURCES
            self.size.members += kind == keys.MEMBER
            self.size.bytes += _ROW_BYTES + _KEY_BYTES * len(key)
        else:
            self.size.bytes += _KEY_BYTES * properties.measure_document(values)
            self._count(keys.parse_id(key).partition("-")[0])
            if _is_disabled(values):
                self._count(DISABLED)

    def _count(self, kind: str) -> None:
        self.counted[kind] = self.counted.get(kind, 0) + 1

    def adapt(self, *, page_bytes: int, number: int) -> None:
        """Ask for as many rows in the next page as will have 8 MiB, if they are like these."""
        self.rows = max(1, min(PAGE_ROWS, _PAGE_BYTES * number // max(page_bytes, 1)))


def _is_disabled(values: dict[str, Any]) -> bool:
    """Whether a row's document is of somebody who is switched off."""
    if not any('"active":false' in str(value) for name, value in values.items() if name.startswith("doc")):
        return False  # most are not, and this is cheaper than to read the document
    return properties.join_document(values).get("active") is False


def _is_due(values: dict[str, Any]) -> bool:
    """Return whether a tenant is to be measured, or further measured."""
    if "phase" in values or "measured" not in values:
        return True
    wait = max(_EVERY, timedelta(seconds=_DUTY * float(values.get("cost", 0.0))))
    return datetime.now(UTC) - datetime.fromisoformat(str(values["measured"])) >= wait
