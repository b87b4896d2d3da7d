"""A connection removed for good: from where it is kept, with what the table notes of its use.

It is revoked as a whole first, with marks in the table, so that whatever brings its document back (an older version, a
recovered secret, an operator who wrote at the same moment) brings nothing into force. The marks stay: a connection of
the same name that is made later must not take the old one's secrets. So do the sights of assertions, which end by
themselves within hours: they tell no connection, and without them an assertion could be used a second time.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from scim.operate.connections.commands import Commands, View
from scim.operate.connections.printed import describe_state
from scim.operate.errors import CommandError
from scim.security.connections import Connection, Revoked
from scim.security.keys import find_digest
from scim.security.secrets import SecretsUnavailable
from scim.store.table import TableUnavailable


@dataclass(frozen=True, slots=True)
class Removed:
    """What became of a removal."""

    state: str
    """How the connection stood before."""
    uses: int
    """Rows about its uses that were removed."""
    marks: int
    """Marks of its revoked credentials, which stay."""
    left: str
    """What is left of it in the vault, as a sentence."""


def is_in_force(view: View, now: datetime) -> bool:
    """Return whether somebody may get in by it."""
    connection = view.connection
    if connection.revoked is not None or connection.paused is not None:
        return False
    ends = connection.find_last_end()
    return bool(connection.keys or connection.trust) and (ends is None or now < ends)


async def find(commands: Commands, name: str) -> View | None:
    """Return the connection; None if a removal that was cut short left nothing of it but what the table notes of its
    use. Raises CommandError if there is nothing at all, or the marks could not be kept."""
    if commands.kept.marks and commands.notes is None:
        raise CommandError(
            f"Nothing was removed: the table must keep marks of what connection {name} had, or an older version of its"
            " secret could bring it back. Give --table, with the role Storage Table Data Contributor."
        )
    try:
        return await commands.show(name)
    except CommandError:
        try:
            if commands.notes is not None and await commands.notes.read_uses(name):
                return None
        except TableUnavailable:
            pass
        raise


async def remove(commands: Commands, name: str, view: View | None) -> Removed:
    """Remove it. Whatever cuts this short, it is run again. Raises CommandError if the marks cannot be written; nothing
    is removed then."""
    notes, left, stood, marks = commands.notes, "", "removed before", 0
    if view is not None:
        stood = describe_state(view.connection, datetime.now(UTC))
        await _mark(commands, view)
        if commands.kept.marks:
            ended = await commands.revoke(name, None, force=True)
            await _mark(commands, View(ended, None, None))
            marks = await _count_marks(commands, ended)
        left = await commands.kept.remove(name)
    try:
        uses = await notes.forget_uses(name) if notes is not None else 0
    except TableUnavailable as error:
        raise CommandError(
            f"Connection {name} is removed, but not what the table notes of its use ({error}): run this again."
        ) from None
    return Removed(stood, uses, marks, left)


async def _count_marks(commands: Commands, connection: Connection) -> int:
    """Return how many marks the table has of it, of which its document may name fewer."""
    if commands.notes is None:
        return len(connection.revoked_keys)
    try:
        return len(await commands.notes.read_revoked(connection.name))
    except SecretsUnavailable:
        return len(connection.revoked_keys)


async def _mark(commands: Commands, view: View) -> None:
    """Mark all that the connection had as revoked, surely."""
    if not commands.kept.marks:
        return
    connection, now = view.connection, datetime.now(UTC)
    whole = (connection.making, *(find_digest(key.value) for key in connection.keys))
    revoked = (*connection.revoked_keys, *(Revoked(value=value, at=now) for value in whole))
    try:
        if commands.notes is None:  # it was, before the table did not answer
            raise SecretsUnavailable("the table does not answer")
        await commands.notes.mark_revoked(connection.name, revoked)
    except SecretsUnavailable as error:
        raise CommandError(
            f"Connection {connection.name} was not removed: what it had could not be marked as revoked ({error}). Run"
            " this again, with the role Storage Table Data Contributor."
        ) from None
