"""Many users disabled or deleted within an hour: an event, since it is what a stolen credential does first, and what a
scope in Entra does that became too small by mistake.

Each process counts what it did itself, up to a number that is the same for all tenants; the alert adds up the log lines
of all of them. The same event comes from the change feed, which counts exactly, by the share of the users that a
tenant's policy names (scim/policy/holding.py).
"""

from __future__ import annotations

import logging
import time
from collections import deque

from scim.events import log_event
from scim.limits import Seldom, forget_oldest
from scim.trace import Trace

_HOUR = 3600.0
_SLICES = 60
"""An hour is counted in this many parts."""
_MOST = 1000
"""Tenants that are counted at once; the one that did nothing for longest goes first."""


class MassChanges:
    """Counts disabled users and deleted resources of each tenant. `limit` is how many in an hour are told."""

    def __init__(self, limit: int = 100) -> None:
        self.limit = limit
        self._done: dict[str, deque[tuple[int, int, int]]] = {}
        self._told = Seldom(_HOUR, _MOST)

    def count(self, trace: Trace, status: int) -> None:
        """Count a request that has ended with that status. Logs `mass_change`, once an hour for a tenant, and again if
        they are ten times as many: the first may have been no more than usual."""
        disabled, deleted = trace.deed.disabled, trace.deed.deleted
        if trace.tenant is None or not disabled + deleted or 400 <= status < 500:
            return
        now = time.monotonic()
        done = self._done.pop(trace.tenant, deque())
        self._done[trace.tenant] = done
        forget_oldest(self._done, _MOST)
        part = int(now * _SLICES / _HOUR)
        while done and done[0][0] <= part - _SLICES:
            done.popleft()
        if done and done[-1][0] == part:
            _, before_disabled, before_deleted = done.pop()
            disabled, deleted = disabled + before_disabled, deleted + before_deleted
        done.append((part, disabled, deleted))
        self._tell(trace, done, now)

    def _tell(self, trace: Trace, done: deque[tuple[int, int, int]], now: float) -> None:
        disabled, deleted = sum(one[1] for one in done), sum(one[2] for one in done)
        tenant = trace.tenant or ""
        if disabled + deleted < self.limit:
            return
        steps = len(str((disabled + deleted) // self.limit))  # 1 from the limit on, 2 from ten times as many, …
        if not [self._told.take((tenant, step), now) for step in range(1, steps + 1)][-1]:
            return
        fields = {
            "request": trace.request,
            "tenant": tenant,
            "connection": trace.connection,
            "credential": trace.credential,
            "disabled": disabled,
            "deleted": deleted,
            "limit": self.limit,
        }
        log_event("mass_change", fields, logging.WARNING)
