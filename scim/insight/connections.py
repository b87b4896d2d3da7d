"""The connections of a tenant as an operator sees them: in force or not, and when they were heard of last."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scim.clock import show_time
from scim.insight import counts
from scim.insight.counts import Minutes
from scim.insight.cycles import Cycle, split_cycles
from scim.insight.failures import CONNECTION, Failure, read_failures
from scim.security.connections import Connection
from scim.store.table import Table

LookUp = Callable[[Iterable[str]], Awaitable[list[Connection]]]
"""From the names of connections that were heard of to the tenant's connections: those, and all others that whoever asks
can list."""
_LATELY, _LONG = timedelta(days=3), timedelta(days=30)


@dataclass(frozen=True, slots=True)
class Heard:
    """One connection. `connection` is None if it is kept nowhere any more."""

    name: str
    connection: Connection | None
    cycles: tuple[Cycle, ...]
    """Those of the last three days, or, if there is none, of the last thirty."""
    refused: Failure | None
    """How it was refused the last time, if it was within thirty days."""

    @property
    def last(self) -> datetime | None:
        """The last minute with a request."""
        return self.cycles[-1].last if self.cycles else None

    def find_trouble(self, now: datetime) -> str | None:
        """Return why nobody gets in by it now, in a sentence; None if somebody does."""
        if self.connection is not None:
            if self.connection.revoked is not None:
                return f"Connection {self.name} was revoked on {show_time(self.connection.revoked)}."
            if self.connection.paused is not None:
                return f"Connection {self.name} is paused since {show_time(self.connection.paused)}."
            ends = self.connection.find_last_end()
            if ends is not None and ends <= now:
                return f"Connection {self.name} expired on {show_time(ends)}."
        if self.refused is not None and (not self.cycles or self.cycles[-1].is_refused):
            return (
                f"Connection {self.name} is refused since {self.refused.first[:16].replace('T', ' ')} UTC: "
                f"{self.refused.detail}"
            )
        return None

    def get_reason(self) -> str | None:
        """Return the reason of that trouble as failures name it."""
        if self.connection is not None:
            if self.connection.revoked is not None:
                return "revoked"
            if self.connection.paused is not None:
                return "paused"
            ends = self.connection.find_last_end()
            if ends is not None and ends <= datetime.now(UTC):
                return "expired"
        return self.refused.reason if self.refused is not None else None

    def data(self, now: datetime) -> dict[str, Any]:
        """The connection as JSON data."""
        ends = self.connection.find_last_end() if self.connection else None
        return {
            "name": self.name,
            "lastRequest": self.last.isoformat() if self.last else None,
            "expires": ends.isoformat() if ends else None,
            "trouble": self.find_trouble(now),
        }


async def read_connections(
    table: Table, tenant: str, look_up: LookUp, now: datetime, counted: dict[str, Minutes] | None = None
) -> list[Heard]:
    """Read how the connections of a tenant do: two trips, or three if nothing was heard for days. Whoever has read what
    was counted in thirty days gives it (`counted`), and it is not read again."""
    if counted is not None:
        minutes = _since(counted, now - _LATELY) or counted
    else:
        minutes = await counts.read_minutes(table, tenant, now - _LATELY)
        minutes = minutes or await counts.read_minutes(table, tenant, now - _LONG)
    refused = {each.subject: each async for page in read_failures(table, tenant, CONNECTION) for each in page}
    names = {*minutes, *refused}
    known = {connection.name: connection for connection in await look_up(sorted(names))}
    return [
        Heard(name, known.get(name), tuple(split_cycles(_own(minutes, name))), refused.get(name))
        for name in sorted(names | known.keys())
    ]


def _since(counted: dict[str, Minutes], since: datetime) -> dict[str, Minutes]:
    """What was counted since then; no connection without any."""
    first = int(since.timestamp() // 60)
    parts = {name: {at: each for at, each in own.items() if at >= first} for name, own in counted.items()}
    return {name: own for name, own in parts.items() if own}


def _own(minutes: dict[str, Minutes], name: str) -> Minutes:
    return minutes.get(name, {})
