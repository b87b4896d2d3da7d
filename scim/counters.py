"""What each connection does in a minute, counted in memory: a few additions for each request.

They are written now and then, behind the responses (scim/insight/recorder.py). What a process that is killed has not
written yet is missing from the display, and from nothing else.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Iterator
from typing import Any, NamedTuple

from scim.http import Request, Response
from scim.trace import Trace

LATENCIES = (100, 300, 1000, 3000, 10_000)
"""Milliseconds: a request counts in the first of these that it does not exceed, else in `over`."""
_BUCKETS = (*(f"ms{limit}" for limit in LATENCIES), "over")
_MOST = 5000
"""Minutes of connections that wait to be written; of more, the new ones are not counted."""

Counts = dict[str, int]
"""How many of what: `requests`, `matches`, `reads`, `creates`, `updates`, `disables`, `deletes`, `added`, `removed`
(members), `writes` (those that failed, too), `failedWrites`, `refused` (401, 403 and paused), `failed_<scimType or
status>`, and the latencies."""


class Minute(NamedTuple):
    """A minute of one connection, since the epoch."""

    tenant: str
    connection: str
    number: int


class Counters:
    """The counts of this process that are not written yet, and those of the minute that goes on."""

    def __init__(self) -> None:
        self._minutes: dict[Minute, Counts] = {}
        self._changed: set[Minute] = set()

    def count(self, request: Request, response: Response, trace: Trace, milliseconds: float) -> None:
        """Count a request of a known connection that has ended."""
        if trace.tenant is None or trace.connection is None:
            return
        minute = Minute(trace.tenant, trace.connection, int(time.time() // 60))
        counts = self._minutes.get(minute)
        if counts is None:
            if len(self._minutes) >= _MOST:
                return
            counts = self._minutes[minute] = {}
        self._changed.add(minute)
        bucket = _BUCKETS[bisect_left(LATENCIES, milliseconds)]
        _add(counts, "requests")
        _add(counts, bucket)
        if trace.reason is not None and trace.reason != "over-budget":
            _add(counts, "refused")
            return
        if trace.operations is None:
            _count_one(counts, request.method, request.segments, response.status, _scim_type(response.body), trace)
        else:
            for method, status, scim_type in _operations(response.body):
                _count_one(counts, method, ["", ""], status, scim_type, None)
        deed = trace.deed
        if response.status < 400:
            for name, number in (("added", deed.added), ("removed", deed.removed), ("disables", deed.disabled)):
                if number:
                    _add(counts, name, number)

    def take(self) -> dict[Minute, Counts]:
        """Return what has changed since the last time: whole minutes, also what was in them before. Those that are
        over are forgotten."""
        changed = {minute: dict(self._minutes[minute]) for minute in self._changed}
        self._changed.clear()
        now = int(time.time() // 60)
        self._minutes = {minute: counts for minute, counts in self._minutes.items() if minute.number >= now}
        return changed


def _count_one(
    counts: Counts, method: str, segments: list[str], status: int, scim_type: str | None, trace: Trace | None
) -> None:
    reads = method in ("GET", "HEAD") or segments[-1:] == [".search"]
    if not reads:
        _add(counts, "writes")
    if status >= 400:
        if status != 404 or not reads:
            _add(counts, f"failed_{scim_type or status}")
        if not reads:
            _add(counts, "failedWrites")
    elif reads:
        _add(counts, "reads" if len(segments) > 1 and segments[-1] != ".search" else "matches")
    elif method == "POST":
        _add(counts, "creates")
    elif method == "DELETE":
        _add(counts, "deletes")
    elif trace is None or trace.deed.changed or trace.deed.added or trace.deed.removed:
        _add(counts, "updates")


def _add(counts: Counts, name: str, number: int = 1) -> None:
    counts[name] = counts.get(name, 0) + number


def _scim_type(body: Any) -> str | None:
    found = body.get("scimType") if isinstance(body, dict) else None
    return found if isinstance(found, str) else None


def _operations(body: Any) -> Iterator[tuple[str, int, str | None]]:
    """Return method, status and scimType of each operation of a bulk answer."""
    for operation in body.get("Operations", ()) if isinstance(body, dict) else ():
        yield operation["method"], int(operation["status"]), _scim_type(operation.get("response"))
