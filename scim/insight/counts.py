"""What connections did, as the table keeps it: a row for each minute and process, then one for each hour.

A process writes a minute anew while it goes on, so writing it twice is no error. Housekeeping puts the minutes of an
hour that is over into one row, with every minute in it, in one transaction that also removes them: a kill repeats that,
and counts nothing twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from scim.counters import Counts, Minute
from scim.store import keys, properties
from scim.store.table import MAX_WRITES, Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely, remove_rows

GRACE = timedelta(minutes=10)
"""How long after its end a process may still write a minute."""
_MINUTE, _HOUR = "%Y%m%dT%H%M", "%Y%m%dT%H"

Minutes = dict[int, Counts]
"""What a connection did, by the minute since the epoch, in the order of time."""


def build_minute(minute: Minute, counts: Counts, process: str) -> Write:
    """Return the write of what one process counted in a minute."""
    key = keys.minute_key(_shown(minute.number, _MINUTE), minute.connection, process)
    values = {"v": properties.FORMAT, "connection": minute.connection, **properties.split_document(counts)}
    return Write("upsert", key, values)


async def read_minutes(table: Table, tenant: str, since: datetime) -> dict[str, Minutes]:
    """Read what each connection did since then, and in the beginning of that hour."""
    found: dict[str, Minutes] = {}
    start, end = keys.counters_range(since.astimezone(UTC).strftime(_HOUR))
    async for page in table.pages(tenant, start, end):
        for row in page:
            name, minutes = parse_counts(row)
            into = found.setdefault(name, {})
            for number, counts in minutes.items():
                into[number] = add(into.get(number, {}), counts)
    return {name: dict(sorted(minutes.items())) for name, minutes in sorted(found.items())}


def parse_counts(row: Row) -> tuple[str, Minutes]:
    """Return the connection of a row and its minutes. Raises NewerFormat; ValueError if the row holds none."""
    properties.check_format(row)
    _, kind, time, name, *_ = row.key.split(" ")
    content = properties.join_document(row.values)
    if kind == "m":
        return name, {_minute(time): content}
    return name, {_minute(time + f"{int(at):02}"): counts for at, counts in content.items()}


def add(one: Mapping[str, int], other: Mapping[str, int]) -> Counts:
    """Return the sum of both."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in {**one, **other}}


def total(minutes: Iterable[Mapping[str, int]]) -> Counts:
    """Return the sum of all."""
    result: Counts = {}
    for counts in minutes:
        for name, number in counts.items():
            result[name] = result.get(name, 0) + number
    return result


async def roll_up(table: Table, tenant: str, now: datetime | None = None) -> int:
    """Put the minutes of hours that are over into rows of hours, and return how many rows went."""
    until = ((now or datetime.now(UTC)) - GRACE).strftime(_HOUR)
    rolled = 0
    async for page in table.pages(tenant, *keys.minute_range(until)):
        by_hour: dict[tuple[str, str], list[Row]] = {}
        for row in page:
            _, _, minute, connection, *_ = row.key.split(" ")
            by_hour.setdefault((minute[:11], connection), []).append(row)
        for (hour, connection), rows in by_hour.items():
            for at in range(0, len(rows), MAX_WRITES - 1):
                rolled += await _roll(table, tenant, keys.hour_key(hour, connection), rows[at : at + MAX_WRITES - 1])
    return rolled


async def _roll(table: Table, tenant: str, key: str, rows: list[Row]) -> int:
    before = await table.read(tenant, key)
    content: dict[str, Any] = {}
    if before is not None:
        properties.check_format(before)
        content = properties.join_document(before.values)
    for row in rows:
        for number, counts in parse_counts(row)[1].items():
            at = str(number % 60)
            content[at] = add(content.get(at, {}), counts)
    values = {"v": properties.FORMAT, **properties.split_document(content)}
    write = Write("replace", key, values, before.etag) if before else Write("insert", key, values)
    try:
        await table.commit(tenant, [write, *(Write("delete", row.key, etag=row.etag) for row in rows)])
    except Refused:
        return 0  # another run was faster, or a minute was written anew: the next run sees which
    return len(rows)


async def forget(table: Table, tenant: str, before: datetime) -> int:
    """Remove the hours that ended before then, and return how many."""
    removed = 0
    async for page in table.pages(tenant, *keys.hour_range(until=before.strftime(_HOUR)), keys_only=True):
        await remove_rows(Partition(table, tenant), [row.key for row in page])
        removed += len(page)
    return removed


async def write_minutes(table: Table, tenant: str, writes: list[Write]) -> None:
    """Write what was counted of one tenant: one transaction for up to 100 minutes."""
    for at in range(0, len(writes), MAX_WRITES):
        await commit_surely(Partition(table, tenant), writes[at : at + MAX_WRITES])


def time_of_minute(number: int) -> datetime:
    """When a minute began."""
    return datetime.fromtimestamp(number * 60, UTC)


def _shown(number: int, form: str) -> str:
    return time_of_minute(number).strftime(form)


def _minute(text: str) -> int:
    return int(datetime.strptime(text, _MINUTE).replace(tzinfo=UTC).timestamp() // 60)
