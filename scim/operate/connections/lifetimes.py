"""When a new secret ends: what the operator says, else as the one before it, else after a year."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from scim.operate.connections.rotation import sort_by_age
from scim.operate.errors import CommandError
from scim.security.connections import Connection

LIFETIME = timedelta(days=365)
"""Of a secret for which nothing was said."""


def read_expiry(text: str | None, otherwise: datetime | None) -> datetime | None:
    """Return when a secret ends for which --expires says `text`: None for never, `otherwise` if it says nothing.
    Raises CommandError."""
    if text is None:
        return otherwise
    if text == "never":
        return None
    now = datetime.now(UTC).replace(microsecond=0)
    if days := re.fullmatch(r"(\d{1,5})d", text):
        given = now + timedelta(days=int(days[1]))
    else:
        try:
            given = datetime.fromisoformat(text)
        except ValueError:
            raise CommandError("--expires must be never, days such as 365d, or a date such as 2027-11-21.") from None
    given = given if given.tzinfo else given.replace(tzinfo=UTC)
    if given <= now:
        raise CommandError(f"--expires {text} is over already.")
    return given


def find_default_expiry(before: Connection | None = None) -> datetime | None:
    """Return when a new secret ends that takes the place of the newest one of `before`: it lives as long as that one
    was to live, or for ever if that one was. Without one before, or if nobody knows when that one was made, a year."""
    now = datetime.now(UTC).replace(microsecond=0)
    newest = sort_by_age(before)[-1] if before is not None and before.keys else None
    if newest is None:
        return now + LIFETIME
    if newest.expires is None:
        return None
    known = newest.expires - newest.created if newest.created is not None else LIFETIME
    return now + (known if known > timedelta() else LIFETIME)
