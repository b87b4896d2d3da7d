"""When a credential was first and last used, warnings before it expires, and uses of one that was revoked.

Both happen behind the request, at most once in `minutes` for a credential and process, and a failure of either never
reaches a caller. A warning is an event of its own, 30, 14, 7 and 1 days before the end: an alert can catch it while
there is time, since the client of an expired credential is refused, and Entra then stops provisioning altogether.
"""

from __future__ import annotations

import logging
import math
import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

from scim import trace
from scim.behind import Background
from scim.events import log_event
from scim.limits import Seldom
from scim.security.connections import Connection

log = logging.getLogger("scim")

WARNINGS = (1, 7, 14, 30)
"""Days before the expiry."""
EVERY = timedelta(hours=1)
"""How far a last use may lie behind what is written, with the default setting."""

_TELL_EVERY = 60.0
"""Seconds in which the use of a revoked credential is told once."""
_MOST_TOLD = 1000
"""Revoked credentials whose telling is remembered."""


class Used(NamedTuple):
    """What is kept of one credential of a connection."""

    credential: str
    first: datetime
    last: datetime
    warned: str = ""
    """The last warning: `<expiry> <days>`."""


class UsageLog(Protocol):
    """Where it is kept."""

    async def read_uses(self, connection: str) -> list[Used]:
        """Return what is known of the credentials of a connection."""

    async def write_use(self, connection: str, used: Used) -> None:
        """Keep it, in place of what was known."""


class Usage:
    """Notes the uses of credentials. `minutes` is 0 if none are kept."""

    def __init__(self, log: UsageLog, minutes: int) -> None:
        self._log = log
        self._seconds = minutes * 60.0
        self._noted: dict[tuple[str, str], float] = {}
        self._background = Background()
        self._told = Seldom(_TELL_EVERY, _MOST_TOLD)

    def note(self, connection: Connection, credential: str, ends: datetime | None) -> None:
        """Note that a credential was used, which ends then. Returns at once."""
        key, now = (connection.name, credential), time.monotonic()
        if not self._seconds or now - self._noted.get(key, -math.inf) < self._seconds:
            return
        self._noted[key] = now
        self._background.start(self._write(connection, credential, ends, datetime.now(UTC)))

    def tell_revoked(self, connection: Connection, credential: str) -> None:
        """Log that somebody used a credential that was revoked, as a thief does who does not know: once a minute for
        each credential."""
        if not self._told.take((connection.name, credential), time.monotonic()):
            return
        request = trace.find_current()
        fields = {
            "request": request and request.request,
            "connection": connection.name,
            "tenant": connection.tenant,
            "credential": credential,
            "address": request and request.address,
        }
        log_event("revoked_credential", fields, logging.WARNING)

    async def close(self) -> None:
        """Wait for what is being written."""
        await self._background.settle()

    async def _write(self, connection: Connection, credential: str, ends: datetime | None, now: datetime) -> None:
        try:
            known = next(
                (used for used in await self._log.read_uses(connection.name) if used.credential == credential), None
            )
            warning = find_due_warning(ends, now)
            mark = "" if ends is None or warning is None else f"{ends.isoformat()} {warning}"
            if mark and (known is None or known.warned != mark):
                fields = {
                    "connection": connection.name,
                    "tenant": connection.tenant,
                    "credential": credential,
                    "days": count_days_left(ends, now) if ends else None,
                    "threshold": warning,
                    "expires": ends and ends.astimezone(UTC).isoformat(timespec="seconds"),
                }
                log_event("credential_expiring", fields, logging.WARNING)
            await self._log.write_use(connection.name, Used(credential, known.first if known else now, now, mark))
        except Exception as error:  # whatever it is, the next hour tries again
            log.warning("the use of a credential of %s was not noted: %s", connection.name, error)


def count_days_left(ends: datetime, now: datetime) -> int:
    """Return the days until then, begun ones counted."""
    return math.ceil((ends - now) / timedelta(days=1))


def find_due_warning(ends: datetime | None, now: datetime) -> int | None:
    """Return the warning that a credential which ends then has come to; None before the first."""
    if ends is None:
        return None
    return next((days for days in WARNINGS if ends - now <= timedelta(days=days)), None)
