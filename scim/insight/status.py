"""How the connections of a tenant do: last cycle, next one, failures beside Entra's rules, and what there is.

Four trips for a tenant, one more for each 1,000 subjects that were refused.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from scim.clock import show_time
from scim.feed.sequencer import Head
from scim.insight.connections import Heard, LookUp, read_connections
from scim.insight.counts import Minutes
from scim.insight.cycles import Cycle, advise, expect_next, is_overdue, measure_progress
from scim.insight.failures import CONNECTION, REQUEST, Failure, read_failures
from scim.policy.state import State
from scim.store import keys, properties, shared_keys
from scim.store.quotas import DISABLED
from scim.store.shared_keys import SHARED
from scim.store.table import PAGE_ROWS, Table

_KINDS = {"users": "u", "groups": "g", "disabled": DISABLED}
"""What was counted of a tenant, by what it is kept as: the beginning of the ids, or its own name."""
_EXPIRES_SOON = timedelta(days=30)
_MOST_CAUSES = 5
_MOST_PAGES = 60
"""Pages of refused subjects that are counted: as many as Entra's highest limit."""


class Cause(NamedTuple):
    """Why subjects were refused: how many of the first 1,000 for the same rule, one of them, and what that one was
    told."""

    number: int
    example: str
    detail: str


@dataclass(frozen=True, slots=True)
class Status:
    """How a tenant does at a moment. `size` is what housekeeping measured last, None if it has not; `subjects` the
    number of users and groups that were refused in the last cycle or later."""

    tenant: str
    now: datetime
    connections: list[Heard]
    subjects: int
    causes: list[Cause]
    size: dict[str, Any] | None
    policy: State
    expected: int | None = None

    def data(self) -> dict[str, Any]:
        """The status as JSON data."""
        return {
            "tenant": self.tenant,
            "time": self.now.isoformat(timespec="seconds"),
            "failingSubjects": self.subjects,
            "causes": [each._asdict() for each in self.causes],
            "size": self.size,
            "massChange": self._mass_change(),
            "hold": self._hold(),
            "connections": [self._connection(heard) for heard in self.connections],
            "advice": self.advice(),
        }

    def advice(self) -> list[str]:
        """What to do now; empty if all is well."""
        found = [trouble for heard in self.connections if (trouble := heard.find_trouble(self.now))]
        for heard in self.connections:
            found += [f"{heard.name}: {text}" for text in self._advise(heard)]
        if (alarmed := self._mass_change()) is not None:
            found.append(
                f"Many users were disabled or deleted within an hour on {alarmed.replace('T', ' ')} UTC. If nobody "
                "meant it, pause the connection, look at the scope and the assignments in Entra, and see query changes."
            )
        if (hold := self._hold()) is not None:
            since = hold["since"][:16].replace("T", " ")
            found.append(
                f"{hold['held']:,} changes are held back from the change feed since {since} UTC. Look what the "
                f"identity provider did; the operator then ends it (in the console, or policy release {self.tenant})."
            )
        if not any(heard.cycles for heard in self.connections):
            found.append(
                f"No identity provider has sent a request for tenant {self.tenant} in 30 days. In Entra, look whether "
                "provisioning is started, and whether Test connection reaches this tenant's URL."
            )
        return found

    def _mass_change(self) -> str | None:
        """When a mass change was told last, if that is no longer than a day ago."""
        since = f"{self.now - timedelta(days=1):%Y-%m-%dT%H:%M}"
        return self.policy.alarmed if self.policy.alarmed > since else None

    def _hold(self) -> dict[str, Any] | None:
        if (hold := self.policy.hold) is None:
            return None
        return {"hold": hold.kind, "since": hold.since, "until": hold.until, "held": hold.number}

    def lines(self) -> list[str]:
        """The status in words."""
        lines = [f"Tenant {self.tenant} at {show_time(self.now)}."]
        for heard in self.connections:
            lines += self._describe(heard)
        if self.subjects:
            lines.append(
                f"{self.subjects:,} users and groups were refused in the last cycle, or since. By their causes:"
            )
            lines += [f"  {each.number:,} such as {each.example}: {each.detail}" for each in self.causes]
        if self.size is not None:
            lines.append(
                f"There are {_describe_size(self.size)} with {self.size['members']:,} memberships, as "
                f"measured on {self.size['measured'][:16].replace('T', ' ')} UTC."
            )
        advice = self.advice()
        lines += [f"What to do: {text}" for text in advice] or ["Nothing to do."]
        return lines

    def _advise(self, heard: Heard) -> list[str]:
        texts = list(advise(heard.cycles[-1], self.subjects, self.now)) if heard.cycles else []
        ends = heard.connection.find_last_end() if heard.connection else None
        if ends is not None and self.now < ends <= self.now + _EXPIRES_SOON:
            days = (ends - self.now).days
            texts.append(
                f"The credential of connection {heard.name} expires in {days} days, on {show_time(ends)}: have another "
                f"key made (in the console, or with connections rotate {heard.name}), and enter it in Entra before."
            )
        return texts

    def _connection(self, heard: Heard) -> dict[str, Any]:
        content = heard.data(self.now)
        if heard.cycles:
            cycle = heard.cycles[-1]
            content["cycle"] = {
                "first": cycle.first.isoformat(),
                "last": cycle.last.isoformat(),
                "running": cycle.is_running(self.now),
                "counts": cycle.counts,
                "failedPercent": cycle.failed_percent,
            }
            content["nextExpected"] = expect_next(cycle).isoformat()
            content["overdue"] = is_overdue(cycle, self.now)
            if cycle.counts.get("creates") or self.expected is not None:
                progress = measure_progress(cycle, self.expected)._asdict()
                names = {"a_minute": "aMinute", "minutes_left": "minutesLeft", "entra_minutes": "entraMinutes"}
                content["progress"] = {names.get(name, name): value for name, value in progress.items()}
        return content

    def _describe(self, heard: Heard) -> list[str]:
        if not heard.cycles:
            return [f"{heard.name}: no request in 30 days."]
        cycle = heard.cycles[-1]
        state = "goes on" if cycle.is_running(self.now) else f"ended {show_time(cycle.last)}"
        lines = [f"{heard.name}: last cycle from {show_time(cycle.first)}, {state}: {_counted(cycle)}."]
        if not cycle.is_running(self.now):
            lines.append(f"{heard.name}: next cycle expected at {show_time(expect_next(cycle))}.")
        if cycle.counts.get("creates") and (cycle.is_running(self.now) or self.expected is not None):
            progress = measure_progress(cycle, self.expected)
            text = f"{heard.name}: {progress.created:,} created, {progress.a_minute:g} a minute"
            if progress.expected is not None and progress.entra_minutes is not None:
                low, high = progress.entra_minutes
                left = "" if progress.minutes_left is None else f", some {progress.minutes_left:,.0f} minutes to go"
                text += (
                    f", of {progress.expected:,} expected{left}; Entra itself says {low:,.0f} to {high:,.0f} minutes "
                    "for all of them"
                )
            lines.append(f"{text}.")
        return lines


async def read_status(
    table: Table,
    tenant: str,
    look_up: LookUp,
    *,
    now: datetime | None = None,
    expected: int | None = None,
    counted: dict[str, Minutes] | None = None,
) -> Status:
    """Read how a tenant does; `counted` is what was counted in thirty days, if that was read before. Raises
    TableUnavailable."""
    now = now or datetime.now(UTC)
    heard, size, head = await asyncio.gather(
        read_connections(table, tenant, look_up, now, counted), _read_size(table, tenant), Head.read(table, tenant)
    )
    begins = [each.cycles[-1].first for each in heard if each.cycles]
    subjects, causes = await _read_subjects(table, tenant, max(begins)) if begins else (0, [])
    return Status(tenant, now, heard, subjects, causes, size, State.load(head.policy if head else ""), expected)


async def _read_subjects(table: Table, tenant: str, since: datetime) -> tuple[int, list[Cause]]:
    """Count who was refused since then, and sort the first 1,000 of them by cause."""
    text, reached = since.isoformat()[:19], ""
    by_cause: dict[tuple[object, ...], list[Failure]] = {}
    async for failures in read_failures(table, tenant):
        for failure in failures:
            if failure.kind not in (CONNECTION, REQUEST) and failure.last[:19] >= text:
                by_cause.setdefault((failure.status, failure.scim_type, failure.attribute, failure.rule), []).append(
                    failure
                )
        reached = failures[-1].key if len(failures) == PAGE_ROWS else ""
        break
    number = sum(map(len, by_cause.values()))
    if reached:
        number += await _count_further(table, tenant, keys.id_after(reached), text)
    groups = sorted(by_cause.values(), key=len, reverse=True)[:_MOST_CAUSES]
    return number, [Cause(len(group), group[0].name, group[0].detail) for group in groups]


async def _count_further(table: Table, tenant: str, start: str, text: str) -> int:
    """Count the rows from there on. The time of a row is that of its last failure."""
    number = pages = 0
    others = tuple(f"{keys.FAILURE} {keys.encode(kind)} " for kind in (CONNECTION, REQUEST))
    async for page in table.pages(tenant, start, keys.failure_range()[1], keys_only=True):
        number += sum(
            not row.key.startswith(others) and properties.parse_written_time(row.etag)[:19] >= text for row in page
        )
        pages += 1
        if pages == _MOST_PAGES:
            break
    return number


async def _read_size(table: Table, tenant: str) -> dict[str, Any] | None:
    row = await table.read(SHARED, shared_keys.quota_key(tenant))
    if row is None or "measured" not in row.values:
        return None
    numbers = {name: int(row.values[name]) for name in ("resources", "members", "bytes")}
    if "counted" in row.values:  # an older version counted resources as a whole
        counted: dict[str, int] = json.loads(str(row.values["counted"]))
        numbers |= {name: counted.get(kind, 0) for name, kind in _KINDS.items()}
    return {**numbers, "measured": str(row.values["measured"])}


def _describe_size(size: dict[str, Any]) -> str:
    if "users" not in size:
        return f"{size['resources']:,} users and groups"
    others = size["resources"] - size["users"] - size["groups"]
    said = f"{size['users']:,} users ({size['disabled']:,} disabled) and {size['groups']:,} groups"
    return f"{said}, and {others:,} others," if others > 0 else said


def _counted(cycle: Cycle) -> str:
    counts = cycle.counts
    names = {
        "requests": "requests",
        "creates": "created",
        "updates": "updated",
        "disables": "disabled",
        "deletes": "deleted",
        "added": "members added",
        "removed": "members removed",
        "failedWrites": "failed",
        "refused": "refused",
    }
    parts = [f"{counts[name]:,} {word}" for name, word in names.items() if counts.get(name)]
    failed = f" ({cycle.failed_percent:g} % of the changes failed)" if counts.get("failedWrites") else ""
    return ", ".join(parts) + failed
