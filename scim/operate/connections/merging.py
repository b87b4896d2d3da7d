"""What two commands made of one connection at the same time, put together.

Key Vault knows no conditional write: of two commands that read, change and write a document, the later one undoes the
earlier. The vault keeps all versions, though, so whoever has written finds the others', and writes what all of them
meant: what one changed and the others did not stands; revoked is stronger than in force, paused than not.
"""

from __future__ import annotations

from typing import Any

from scim.security.connections import Connection, Credential

_IDENTITY = ("tenant", "kind", "trust", "created")
"""Members that only a replacement of the whole connection changes."""
_SINGLE = ("description", "access", "mode", "types", "expires", "client_id", "operator")


def merge(base: Connection, ours: Connection, theirs: Connection, *, ours_is_last: bool) -> Connection:
    """Return what `ours` and `theirs` made of `base` together. If both changed a member otherwise, ours stands. A
    connection that one side replaced by another takes nothing of the other side but what that revoked; if both did, the
    later one stands, which `ours_is_last` tells."""
    revoked = theirs.revoked_keys
    if _identify(ours) != _identify(theirs):
        we_replaced, they_replaced = (_identify(each) != _identify(base) for each in (ours, theirs))
        kept = ours if we_replaced and (ours_is_last or not they_replaced) else theirs
        return kept.add_revoked((*ours.revoked_keys, *revoked))
    members: dict[str, Any] = {name: _choose(base, ours, theirs, name) for name in _SINGLE}
    for name in ("paused", "revoked"):
        members[name] = _choose(base, ours, theirs, name) or (
            getattr(theirs, name) if getattr(ours, name) != getattr(base, name) != getattr(theirs, name) else None
        )
    members["revoked_keys"] = ours.add_revoked(revoked).revoked_keys
    members["keys"] = _merge_keys(base, ours, theirs)
    return ours.change(**members)


def _identify(connection: Connection) -> tuple[object, ...]:
    return tuple(getattr(connection, name) for name in _IDENTITY)


def _choose(base: Connection, ours: Connection, theirs: Connection, name: str) -> object:
    """Return the member as whoever changed it made it."""
    mine, other = getattr(ours, name), getattr(theirs, name)
    return other if mine == getattr(base, name) else mine


def _merge_keys(base: Connection, ours: Connection, theirs: Connection) -> tuple[Credential, ...]:
    """Return the credentials that neither side ended, and those that either made."""
    known = {key.id for key in base.keys}
    left = {key.id for key in ours.keys} & {key.id for key in theirs.keys}
    made = {key.id: key for side in (ours, theirs) for key in side.keys if key.id not in known}
    return (*(key for key in base.keys if key.id in left), *made.values())
