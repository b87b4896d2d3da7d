"""What one request's log line tells, gathered on the way down and back: who called, and the trips to the table.

A context variable carries it, so that no layer has to hand it on. Outside a request nothing is gathered.
"""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

from scim.errors import Reason


@dataclass(slots=True)
class Trace:
    """One request."""

    tenant: str | None = None
    connection: str | None = None
    """The connection that the caller named, also where it was refused."""
    grant: str | None = None
    """The kind of grant at the token endpoint."""
    reason: Reason | None = None
    """Why the caller was refused, if it was."""
    trips: int = 0
    """Requests to the table, retries among them."""


_current: ContextVar[Trace | None] = ContextVar("scim_trace", default=None)


def begin() -> Trace:
    """Gather anew, in this task and those that it starts."""
    trace = Trace()
    _current.set(trace)
    return trace


def caller(connection: str, tenant: str) -> None:
    """The request names that connection."""
    if (trace := _current.get()) is not None:
        trace.connection, trace.tenant = connection, tenant


def grant(kind: str) -> None:
    """The token request is of that kind."""
    if (trace := _current.get()) is not None:
        trace.grant = kind


def refused(reason: Reason | None) -> None:
    """The caller was refused for that reason."""
    if reason is not None and (trace := _current.get()) is not None:
        trace.reason = reason


def trip() -> None:
    """A request goes to the table."""
    if (trace := _current.get()) is not None:
        trace.trips += 1
