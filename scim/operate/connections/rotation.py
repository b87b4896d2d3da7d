"""How a rotation stands: which of two credentials is in use, and whether the older may be revoked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from scim.clock import show_time
from scim.security.connections import Connection, Credential
from scim.security.usage import EVERY, Used

_QUIET = timedelta(hours=2) + EVERY
"""Three of Entra's cycles without a use; what is noted of a use may be an hour old."""
_EVER = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Rotation:
    """The oldest and the newest credential of a connection. `safe` if nobody uses the older one any more; `advice` says
    it in words."""

    old: Credential
    new: Credential
    new_first_used: datetime | None
    old_last_used: datetime | None
    safe: bool
    advice: str


def sort_by_age(connection: Connection) -> list[Credential]:
    """Return the credentials, the oldest first."""
    return sorted(connection.keys, key=lambda key: key.created or _EVER)


def find_rotation(connection: Connection, used: Sequence[Used] | None, now: datetime) -> Rotation | None:
    """Return the rotation under way; None if there is none. `used` is None if it is not known."""
    if len(connection.keys) < 2:
        return None
    old, *_, new = sort_by_age(connection)
    uses = {each.credential: each for each in used or ()}
    first = uses[new.id].first if new.id in uses else None
    last = uses[old.id].last if old.id in uses else None
    if used is None:
        safe, advice = False, "not known: the table that notes uses cannot be read"
    elif first is None:
        safe, advice = False, "not yet: the new one was never used; enter it in Entra and press Test Connection"
    elif last is None:
        safe, advice = True, "safe to revoke: the new one is in use, the old one never was"
    elif now - last < _QUIET:
        safe, advice = False, f"not yet: the old one was used not long ago; look again after {show_time(last + _QUIET)}"
    else:
        safe, advice = True, "safe to revoke: the new one is in use, the old one no more"
    return Rotation(old, new, first, last, safe, advice)
