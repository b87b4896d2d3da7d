"""What the operator's tool does with connections. Nothing is printed here."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from pydantic import ValidationError

from scim.operate.connections.kept import Kept
from scim.operate.connections.rotation import Rotation, rotation
from scim.operate.errors import CommandError
from scim.security.connections import Connection, Revoked, read_connection
from scim.security.keys import CONNECTION_NAME, digest, digested, new_key
from scim.security.signing_keys import rotated
from scim.security.usage import UsageLog, Used
from scim.store.gateway import Unavailable

log = logging.getLogger("scim.operate.connections")

_REMEMBERED = 10
"""Revoked credentials of a connection whose holders are told so."""


@dataclass(frozen=True, slots=True)
class View:
    """A connection with what is known of its use; `used` is None where that cannot be read."""

    connection: Connection
    used: list[Used] | None
    rotation: Rotation | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A connection that is kept and cannot be read, and why."""

    name: str
    reason: str


class Commands:
    """The commands, on what is kept and on what was noted of uses (None where that cannot be read)."""

    def __init__(self, kept: Kept, log: UsageLog | None) -> None:
        self._kept = kept
        self._log = log
        self.takes_effect = kept.takes_effect

    async def add(
        self, name: str, given: Mapping[str, object], *, expires: datetime | None, hashed: bool, replace: bool
    ) -> tuple[Connection, str | None]:
        """Make a connection of these members, and its secret where it has one. `expires` is when the secret ends, or
        the connection where there is none; `hashed` keeps the secret's digest alone."""
        if not replace and await self._found(name) is not None:
            raise CommandError(f"Connection {name} is there already: rotate it, or give --replace to begin anew.")
        secret = None
        document = {member: value for member, value in given.items() if value is not None}
        try:
            if "trust" in given:
                document["expires"] = expires
            else:
                secret = new_key(name)
                document["keys"] = [_credential(secret, expires, hashed)]
            connection = read_connection(name, document)
        except (ValueError, ValidationError) as error:
            raise CommandError(f"Connection {name} cannot be made: {error}") from None
        if connection.kind in ("oauth", "federation") and not await self._kept.signing_keys():
            await self._kept.put_signing_keys(rotated(()))
        await self._kept.put(connection)
        return connection, secret

    async def list(self) -> list[View | Unreadable]:
        """All connections, with what is known of their use; one that cannot be read hides no other."""
        found: list[View | Unreadable] = []
        for name in await self._kept.names():
            try:
                found.append(await self.show(name))
            except CommandError as error:
                found.append(Unreadable(name, str(error)))
        return found

    async def show(self, name: str) -> View:
        connection = await self._connection(name)
        used = None
        if self._log is not None:
            try:
                used = await self._log.used(name)
            except Unavailable as error:
                self._log = None  # it would keep every connection waiting
                log.warning("when credentials were used is not known: %s", error)
        return View(connection, used, rotation(connection, used, datetime.now(UTC)))

    async def rotate(self, name: str, *, expires: datetime | None, hashed: bool) -> tuple[Connection, str]:
        """A second secret beside the first; both are valid until one is revoked."""
        connection = await self._connection(name)
        if connection.trust is not None:
            raise CommandError(f"Connection {name} has no secret of ours: its issuer rotates the keys by itself.")
        if connection.revoked is not None:
            raise CommandError(f"Connection {name} was revoked: make it anew with add --replace.")
        if len(connection.keys) > 1:
            raise CommandError(f"Connection {name} has two credentials already: revoke the old one first.")
        secret = new_key(name)
        keys = (*connection.keys, _credential(secret, expires, hashed))
        return await self._changed(connection, keys=keys), secret

    async def rotate_signing_keys(self) -> None:
        """A new key to sign access tokens with; those that older keys signed go on."""
        await self._kept.put_signing_keys(rotated(await self._kept.signing_keys()))

    async def revoke(self, name: str, credential: str | None, *, force: bool) -> Connection:
        """End a credential: that of an id, or the `old` one of two; the whole connection where it is None, or where it
        was the last one. Without `force`, an old credential that is in use is not ended."""
        view = await self.show(name)
        connection, now = view.connection, datetime.now(UTC)
        if credential == "old":
            if view.rotation is None:
                raise CommandError(f"Connection {name} has no second credential: revoke it whole, or rotate it first.")
            if not view.rotation.safe and not force:
                raise CommandError(f"Revoking the old credential of {name}: {view.rotation.advice}. Or give --force.")
            ended = [view.rotation.old]
        elif credential is None:
            ended = list(connection.keys)
        else:
            ended = [key for key in connection.keys if key.id == credential]
            if not ended:
                raise CommandError(f"Connection {name} has no credential {credential}: show lists them.")
        revoked = [Revoked(value=digested(key.value), at=now) for key in ended]
        left = tuple(key for key in connection.keys if key not in ended)
        return await self._changed(
            connection,
            keys=left,
            revoked_keys=(*connection.revoked_keys, *revoked)[-_REMEMBERED:],
            revoked=now if credential is None or not left else None,
        )

    async def pause(self, name: str) -> Connection:
        """Answer with 503 from now on, so that nothing is lost and Entra tries again."""
        connection = await self._connection(name)
        return await self._changed(connection, paused=connection.paused or datetime.now(UTC))

    async def resume(self, name: str) -> Connection:
        return await self._changed(await self._connection(name), paused=None)

    async def _connection(self, name: str) -> Connection:
        connection = await self._found(name)
        if connection is None:
            raise CommandError(f"There is no connection {name} that is in force: list shows all.")
        return connection

    async def _found(self, name: str) -> Connection | None:
        if not CONNECTION_NAME.fullmatch(name):
            raise CommandError(f"{name!r} is no connection name: use a-z, 0-9 and inner hyphens, 63 at most.")
        return await self._kept.get(name)

    async def _changed(self, connection: Connection, **members: object) -> Connection:
        """Keep the connection with other members. The model is made anew, so that its rules hold."""
        known = {member: getattr(connection, member) for member in Connection.model_fields}
        changed = Connection.model_validate({**known, **members})
        await self._kept.put(changed)
        return changed


def _credential(secret: str, expires: datetime | None, hashed: bool) -> dict[str, object]:
    return {"value": digest(secret) if hashed else secret, "created": datetime.now(UTC), "expires": expires}
