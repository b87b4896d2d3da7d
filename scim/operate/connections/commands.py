"""What the operator's tool does with connections. Nothing is printed here."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from pydantic import ValidationError

from scim.clock import show_time
from scim.operate.connections.lifetimes import find_default_expiry, read_expiry
from scim.operate.connections.rotation import Rotation, find_rotation
from scim.operate.connections.sealing import Need, find_needs, find_seal, rotate_seals
from scim.operate.connections.secret_store import SIGNING_KEYS, Changed, SecretStore
from scim.operate.errors import CommandError
from scim.security.connections import (
    MOST_TENANTS,
    Connection,
    Credential,
    Operator,
    Revocations,
    Revoked,
    Right,
    read_connection,
)
from scim.security.keys import CONNECTION_NAME, create_client_id, digest, find_digest, new_key
from scim.security.seals import Seal
from scim.security.secrets import SecretsUnavailable
from scim.security.signing_keys import rotate
from scim.security.usage import UsageLog, Used
from scim.store.table import TableUnavailable

log = logging.getLogger("scim.operate.connections")


TOO_MANY_TENANTS = f"A connection names {MOST_TENANTS} tenants at most: give --all-tenants, or make several."
_UNMARKED = (
    "The table could not be told what was revoked, so somebody who writes an older version of the vault's secret back"
    " would bring it back; the app makes the mark at the next request of this connection. To make it at once, run this"
    " again with --table and the role Storage Table Data Contributor."
)


_UNKNOWN_USES = "when credentials were used is not known: %s"
_AT_ONCE = 16
"""Connections that are read from the vault at the same time."""


class Notes(UsageLog, Revocations, Protocol):
    """What the table has of credentials."""

    async def read_all_uses(self) -> dict[str, list[Used]]:
        """Return what is known of the uses of all credentials. Raises TableUnavailable."""

    async def forget_uses(self, connection: str) -> int:
        """Remove what is known of the uses of a connection's credentials; how many. Raises TableUnavailable."""

    async def read_all_revoked(self) -> dict[str, list[Revoked]]:
        """Return all that is marked as revoked. Raises TableUnavailable."""


@dataclass(frozen=True, slots=True)
class View:
    """A connection with what is known of its use; `used` is None if that cannot be read."""

    connection: Connection
    used: list[Used] | None
    rotation: Rotation | None


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A connection that is kept and cannot be read, and why."""

    name: str
    reason: str


class Commands:
    """The commands, on what is kept and on what the table notes of credentials (None if that cannot be read).

    Those that change a connection return it as it is in force afterwards; `remarks` is what the operator must know
    beyond that, and `settles_after` how long the app may go by what it knew before."""

    def __init__(self, kept: SecretStore, notes: Notes | None) -> None:
        self.kept = kept
        self.notes = notes
        self.takes_effect = kept.takes_effect
        self.settles_after, self.quiet_after = kept.settles_after, kept.quiet_after
        self.remarks: list[str] = []

    async def add(
        self, name: str, given: Mapping[str, object], *, expires: str | None, recoverable: bool, replace: bool
    ) -> tuple[Connection, str | None]:
        """Make a connection of these members, and its secret if its kind has one. `expires` is what --expires says of
        the secret, or of a connection without; only with `recoverable` is the secret itself kept."""
        if await self._find(name) is not None and not replace:
            raise _make_taken(name)
        now = datetime.now(UTC)
        secret, seal = None, await find_seal(self.kept)
        document = {member: value for member, value in given.items() if value is not None} | {"created": now}
        try:
            if "trust" in given:
                document["expires"] = read_expiry(expires, None)
                if given["kind"] == "federation":
                    document["client_id"] = create_client_id(name, seal)
            else:
                secret = new_key(name, seal)
                document["keys"] = [
                    _make_credential(secret, read_expiry(expires, find_default_expiry()), recoverable, seal)
                ]
            made = read_connection(name, document)
        except (ValueError, ValidationError) as error:
            raise CommandError(f"Connection {name} cannot be made: {error}.") from None

        marked = await self._read_marks(name) if replace else frozenset()

        def change(before: Connection | None) -> Connection:
            if before is None:
                return made
            if not replace:
                raise _make_taken(name)
            _refuse_other_side(before, made)
            return made.add_revoked((*before.revoked_keys, *_make_revoked(before.keys, now))).drop_old_revoked(marked)

        if made.kind in ("oauth", "federation") and not await self.kept.read(SIGNING_KEYS):
            await self.kept.write(SIGNING_KEYS, rotate(()))
        connection = self._tell(await self.kept.change(name, change))
        await self._mark(name, connection.revoked_keys)
        if connection.created != now:
            raise CommandError(
                f"Somebody else made connection {name} at the same moment, and what was made here is not in force: show"
                f" {name} tells what is. Make it anew with --replace if that is not what you want."
            )
        return connection, secret

    async def list(self) -> list[View | Unreadable]:
        """Return all connections, with what is known of their use; one that cannot be read hides no other. What was
        revoked of a connection may be missing."""
        used: dict[str, list[Used]] | None = None
        revoked: dict[str, list[Revoked]] = {}
        if self.notes is not None:
            try:
                used, revoked = await self.notes.read_all_uses(), await self.notes.read_all_revoked()
            except (TableUnavailable, SecretsUnavailable) as error:
                log.warning(_UNKNOWN_USES, error)
        turns = asyncio.Semaphore(_AT_ONCE)

        async def look(name: str, connection: Connection | None) -> View | Unreadable | None:
            if connection is None:
                async with turns:
                    try:
                        connection = await self.kept.get(name)
                    except CommandError as error:
                        return Unreadable(name, str(error))
            if connection is None:
                return None
            return _view(connection.add_revoked(revoked.get(name, ())), None if used is None else used.get(name, []))

        known = await self.kept.known()
        views = await asyncio.gather(*(look(*each) for each in known.items()))
        return [view for view in views if view is not None]  # one may have been disabled meanwhile

    async def show(self, name: str) -> View:
        connection = await self._get(name)
        used = None
        if self.notes is not None:
            try:
                used = await self.notes.read_uses(name)
                connection = connection.add_revoked(await self.notes.read_revoked(name))
            except (TableUnavailable, SecretsUnavailable) as error:
                self.notes = None  # it would keep the next command waiting, too
                log.warning(_UNKNOWN_USES, error)
        return _view(connection, used)

    async def rotate(self, name: str, *, expires: str | None, recoverable: bool) -> tuple[Connection, str]:
        """Add a second secret beside the first and return it; both are valid until one is revoked. It lives as long as
        the one before was to live, unless `expires` says otherwise."""
        revoked = (await self.show(name)).connection.revoked_keys
        marked = await self._read_marks(name)
        seal = await find_seal(self.kept)
        secret = new_key(name, seal)

        def change(before: Connection | None) -> Connection:
            connection = _require_there(name, before).add_revoked(revoked)
            _refuse_rotation(connection)
            ends = read_expiry(expires, find_default_expiry(connection))
            keys = (*connection.keys, _make_credential(secret, ends, recoverable, seal))
            return connection.change(keys=keys).drop_old_revoked(marked)

        connection = self._tell(await self.kept.change(name, change))
        if not _is_in_force(connection, secret):
            raise CommandError(
                f"Somebody else changed connection {name} at the same moment, and the secret that was made here is not"
                f" in force: look with show {name}, and run this again if another one is needed."
            )
        return connection, secret

    async def rotate_signing_keys(self, *, at_once: bool) -> None:
        """A new key to sign access tokens with. Tokens that older keys signed go on, or end `at_once`."""
        known = await self.kept.read(SIGNING_KEYS)
        await self.kept.write(SIGNING_KEYS, rotate(known, at_once=at_once))

    async def seals(self) -> Sequence[Need]:
        """Return the roots that credentials are sealed with, and which connections need them."""
        return await find_needs(self.kept)

    async def rotate_seals(self) -> Sequence[Need]:
        """Make a new root to seal credentials with, and return those that were taken away because nobody needs them."""
        return await rotate_seals(self.kept)

    async def revoke(self, name: str, credential: str | None, *, force: bool) -> Connection:
        """End a credential: that of an id, or the `old` one of two; the whole connection if it is None. Without
        `force`, an old credential that is in use is not ended. One that was revoked before is revoked again, so that
        what was cut short can be finished."""
        view = await self.show(name)
        now = datetime.now(UTC)
        again = tuple(each for each in view.connection.revoked_keys if each.id == credential)
        ended = [key.id for key in _choose(view, credential, force)] if not again else [again[0].id]
        whole = credential is None
        revoked = (*again, *_make_revoked([key for key in view.connection.keys if key.id in ended], now))
        if whole:
            revoked += (Revoked(value=view.connection.making, at=now),)
        await self._mark(name, revoked)
        marked = await self._read_marks(name)

        def change(before: Connection | None) -> Connection:
            connection = _require_there(name, before)
            also = _make_revoked([key for key in connection.keys if whole or key.id in ended], now)
            changed = connection.add_revoked((*view.connection.revoked_keys, *revoked, *also))
            if whole and changed.revoked is None:  # it was made anew meanwhile
                changed = changed.add_revoked([Revoked(value=changed.making, at=now)])
            return changed.drop_old_revoked(marked)

        connection = self._tell(await self.kept.change(name, change))
        await self._mark(name, connection.revoked_keys)
        return connection

    async def grant(
        self,
        name: str,
        *,
        tenants: Sequence[str] | None = None,
        more: Sequence[str] | None = None,
        rights: Sequence[Right] | None = None,
    ) -> Connection:
        """Give an operator's connection these tenants, or `more` beside those that it has, and these rights; what is
        None stays. A customer's connection never becomes an operator's."""

        def change(before: Connection | None) -> Connection:
            connection = _require_living(name, before)
            operator = connection.operator
            if operator is None:
                raise CommandError(
                    f"Connection {name} is a customer's, of tenant {connection.tenant}, and stays so: make one of your"
                    " application's own with add NAME --operator."
                )
            if more is not None and operator.reaches_all:
                raise CommandError(f"Connection {name} reaches all tenants already: --tenants LIST names fewer.")
            reached = (*operator.tenants, *more) if more is not None else tenants or operator.tenants
            try:
                granted = Operator(tenants=tuple(reached), rights=tuple(rights or operator.rights))
            except ValidationError:
                raise CommandError(TOO_MANY_TENANTS) from None
            return connection.change(operator=granted)

        await self._get(name)
        return self._tell(await self.kept.change(name, change))

    async def pause(self, name: str) -> Connection:
        """Answer with 503 from now on, so that nothing is lost and Entra tries again."""
        now = (await self._get(name)).paused or datetime.now(UTC)
        return self._tell(await self.kept.change(name, lambda known: _require_living(name, known).change(paused=now)))

    async def resume(self, name: str) -> Connection:
        await self._get(name)
        return self._tell(await self.kept.change(name, lambda known: _require_living(name, known).change(paused=None)))

    async def _get(self, name: str) -> Connection:
        return _require_there(name, await self._find(name))

    async def _find(self, name: str) -> Connection | None:
        if not CONNECTION_NAME.fullmatch(name):
            raise CommandError(f"{name!r} is no connection name: use a-z, 0-9 and inner hyphens, 63 at most.")
        return await self.kept.get(name)

    async def _mark(self, name: str, revoked: Sequence[Revoked]) -> None:
        """Mark these where nobody takes it back. If the table does not let us, the app does it."""
        if not self.kept.marks or not revoked:
            return
        if self.notes is not None:
            try:
                return await self.notes.mark_revoked(name, revoked)
            except SecretsUnavailable as error:
                log.info("revoked credentials are not marked: %s", error)
        if _UNMARKED not in self.remarks:
            self.remarks.append(_UNMARKED)

    async def _read_marks(self, name: str) -> frozenset[str]:
        """Return the digests that are marked as revoked where the app looks for them; none if that is not known."""
        if not self.kept.marks or self.notes is None:
            return frozenset()
        try:
            return frozenset(each.value for each in await self.notes.read_revoked(name))
        except SecretsUnavailable:
            return frozenset()

    def _tell(self, changed: Changed) -> Connection:
        if changed.others:
            self.remarks.append(
                f"Somebody else changed connection {changed.connection.name} at the same moment. What is shown is what"
                " is in force now: compare it with what you meant."
            )
        return changed.connection


def _view(connection: Connection, used: list[Used] | None) -> View:
    return View(connection, used, find_rotation(connection, used, datetime.now(UTC)))


def _make_taken(name: str) -> CommandError:
    return CommandError(f"Connection {name} is there already: rotate it, or give --replace to begin anew.")


def _refuse_other_side(before: Connection, made: Connection) -> None:
    """Refuse to make an operator's connection of a customer's, or the other way round: who has the name entered
    somewhere must not come to reach something else. Raises CommandError."""
    if (before.operator is None) != (made.operator is None):
        whose = f"a customer's, of tenant {before.tenant}" if before.operator is None else "your own application's"
        raise CommandError(f"Connection {before.name} is {whose}, and stays so: choose another name.")


def _require_there(name: str, connection: Connection | None) -> Connection:
    if connection is None:
        raise CommandError(f"There is no connection {name} that is in force: list shows all.")
    return connection


def _require_living(name: str, connection: Connection | None) -> Connection:
    """Return the connection, if it was not revoked as a whole. Raises CommandError."""
    connection = _require_there(name, connection)
    if connection.revoked is not None:
        raise CommandError(
            f"Connection {name} was revoked as a whole on {show_time(connection.revoked)}, for good: nobody gets in,"
            f" and there is nothing to pause or resume. To begin anew, run: {_tell_anew(connection)}"
        )
    return connection


def _tell_anew(connection: Connection) -> str:
    anew = f"add {connection.name} --replace --kind {connection.kind}"
    if (operator := connection.operator) is None:
        return f"{anew} --tenant {connection.tenant}"
    reached = "--all-tenants" if operator.reaches_all else f"--tenants {','.join(operator.tenants)}"
    return f"{anew} --operator {reached} --rights {','.join(operator.rights)}"


def _is_in_force(connection: Connection, secret: str | None) -> bool:
    """Return whether a secret that was made is in force."""
    return secret is None or digest(secret) in [find_digest(key.value) for key in connection.keys]


def _refuse_rotation(connection: Connection) -> None:
    name = connection.name
    if connection.trust is not None:
        raise CommandError(f"Connection {name} has no secret of ours: its issuer rotates the keys by itself.")
    if connection.revoked is not None:
        raise CommandError(
            f"Connection {name} was revoked as a whole on {show_time(connection.revoked)}, for good. To begin anew,"
            f" run: {_tell_anew(connection)}"
        )
    if len(connection.keys) > 1:
        ids = " and ".join(key.id for key in connection.keys)
        raise CommandError(
            f"Connection {name} has two credentials already ({ids}): revoke one first, with revoke {name} --old or"
            f" revoke {name} --credential ID."
        )


def _choose(view: View, credential: str | None, force: bool) -> Sequence[Credential]:
    """Return the credentials in force that the operator means. Raises CommandError."""
    connection = view.connection
    name = connection.name
    if credential is None:
        return connection.keys
    if credential == "old":
        if view.rotation is None:
            raise CommandError(
                f"Connection {name} has no second credential, so there is no old one: show {name} has the id for"
                " --credential ID; --all ends the whole connection."
            )
        if not view.rotation.safe and not force:
            raise CommandError(f"Revoking the old credential of {name}: {view.rotation.advice}. Or give --force.")
        return [view.rotation.old]
    if connection.trust is not None:
        raise CommandError(
            f"Connection {name} has no secret of ours: pause {name} stops it, revoke {name} --all ends it for good."
        )
    chosen = [key for key in connection.keys if key.id == credential]
    if not chosen:
        raise CommandError(f"Connection {name} has no credential {credential}: show {name} lists those that it has.")
    return chosen


def _make_revoked(keys: Sequence[Credential], at: datetime) -> tuple[Revoked, ...]:
    return tuple(Revoked(value=find_digest(key.value), at=at) for key in keys)


def _make_credential(secret: str, expires: datetime | None, recoverable: bool, seal: Seal) -> dict[str, object]:
    value = secret if recoverable else digest(secret)
    return {"value": value, "created": datetime.now(UTC), "expires": expires, "seal": seal.id}
