"""How far a webhook has come with a tenant, and who delivers: one row for each, in the tenant's partition.

Whoever delivers first writes itself into the row, and goes on only while nobody else has written to it (If-Match). So
two processes never move on beside each other, and no event is skipped whatever is killed: the row is written after the
receiver has said 2xx. A process that was killed while it delivered is followed by another after LEASE. If clocks are
so far apart that it follows too early, the receiver gets a batch twice, which it must expect anyway.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

from scim.store import keys, properties
from scim.store.table import Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely

LEASE = timedelta(seconds=60)
"""How long a process that delivers may be silent: a message takes 20 seconds at the most."""
MOST_EVENTS = 100
"""Events of one message."""


class Overtaken(Exception):
    """Somebody else has written to the row: another process, or the operator."""


@dataclass(frozen=True, slots=True)
class State:
    """One webhook and one tenant. Instants are ISO 8601 in UTC, "" for none."""

    after: str = ""
    """The cursor of the last event that was taken; "" for none, then what the log has kept comes first."""
    tries: int = 0
    """How often the next message has failed since the last one that was taken."""
    due: str = ""
    """Before then nothing is sent."""
    since: str = ""
    """Since when messages fail."""
    error: str = ""
    """What was wrong last."""
    stopped: bool = False
    """Nothing is sent until the operator resumes."""
    most: int = MOST_EVENTS
    """Events of the next message at the most: fewer while messages are refused."""
    taken: str = ""
    """When the receiver last took a message."""
    owner: str = ""
    claimed: str = ""
    """Who delivers now, and when it last wrote here."""
    etag: str = ""
    """Of the row; "" if there is none yet."""

    def is_free(self, owner: str, now: datetime) -> bool:
        """Whether that process may deliver now."""
        return self.owner in ("", owner) or parse_instant(self.claimed) + LEASE <= now

    def is_due(self, now: datetime) -> bool:
        """Whether something may be sent now."""
        return not self.stopped and parse_instant(self.due) <= now


def parse_instant(text: str) -> datetime:
    """Return the instant of such a text; long ago for none."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)


async def read_state(table: Table, tenant: str, sink: str) -> State:
    """Read how far a sink has come. Raises NewerFormat, TableUnavailable."""
    row = await table.read(tenant, keys.sink_key(sink))
    return State() if row is None else _state_of(row)


def _state_of(row: Row) -> State:
    properties.check_format(row)
    fresh = asdict(State())
    found = {name: row.values[name] for name, value in fresh.items() if type(row.values.get(name)) is type(value)}
    return State(**{**fresh, **found, "etag": row.etag})


async def write_state(table: Table, tenant: str, sink: str, state: State) -> State:
    """Write it in place of the one that was read, and return it with its new ETag. Raises Overtaken,
    TableUnavailable."""
    values = asdict(state)
    etag = values.pop("etag")
    values["v"] = properties.FORMAT
    key = keys.sink_key(sink)
    write = Write("replace", key, values, etag) if etag else Write("insert", key, values)
    try:
        etags = await commit_surely(Partition(table, tenant), [write])
    except Refused:
        raise Overtaken from None
    return replace(state, etag=etags[0])


async def list_states(table: Table, tenant: str) -> AsyncIterator[tuple[str, State]]:
    """The sinks that have begun with a tenant, by name, and how far each has come."""
    async for page in table.pages(tenant, *keys.sinks_range()):
        for row in page:
            yield row.key.partition(" ")[2], _state_of(row)
