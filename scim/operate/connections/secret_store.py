"""Where the operator's tool keeps connections: Key Vault, or the Values of local.settings.json.

Both hold the same documents, and both write a connection as a whole. Commands that change one connection at the same
time lose nothing of each other: the settings file is locked, and in the vault, which has no locks and no conditional
writes, whoever has written looks at the versions that came meanwhile and puts them together.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from scim.clock import show_time
from scim.feed.sinks import document as sinks
from scim.feed.sinks.document import Sinks
from scim.operate.connections.merging import merge
from scim.operate.connections.tags import read_tags, write_tags
from scim.operate.errors import CommandError
from scim.security import seals, signing_keys
from scim.security.cached import SECONDS
from scim.security.connections import Connection, read_connection
from scim.security.seals import Seal
from scim.security.signing_keys import SigningKey
from scim.security.vault import CONNECTION, Vault, parse_connection

_ROUNDS = 8
"""How often a change is written anew because others wrote meanwhile."""
_REMOVED = "removed"
"""The tag of a secret that `remove` deleted: it was revoked before, so it may come back to give its name away."""
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Named(Generic[T]):
    """A secret of which the service has one."""

    secret: str
    """Its name in a vault."""
    setting: str
    """Its name among the settings."""
    parse: Callable[[str], T]
    """From its text. Raises ValueError."""
    dump: Callable[[T], str]
    """To its text."""
    nothing: str
    """Its text if there is none."""


SIGNING_KEYS: Named[tuple[SigningKey, ...]] = Named(
    signing_keys.SECRET, "SCIM_SIGNING_KEYS", signing_keys.read_signing_keys, signing_keys.write_signing_keys, "[]"
)
SEALS: Named[tuple[Seal, ...]] = Named(seals.SECRET, "SCIM_SEALS", seals.read_seals, seals.write_seals, "[]")
SINKS: Named[Sinks] = Named(sinks.SECRET, "SCIM_SINKS", sinks.read_sinks, sinks.write_sinks, "{}")
Change = Callable[[Connection | None], Connection]
"""From the connection that is kept, None if there is none, to the one to keep. It may be asked more than once."""


class SecretStoreError(CommandError):
    """What is kept cannot be read or written; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Changed:
    """The connection that is in force after a change. `others`: somebody else changed it at the same moment."""

    connection: Connection
    others: bool = False


class SecretStore(Protocol):
    """A place for connections and other secrets. Methods raise SecretStoreError, and SecretsUnavailable if a vault is
    away."""

    takes_effect: str
    """When a change does, as a sentence."""
    local: bool
    """Whether the app that reads them runs on this machine."""
    marks: bool
    """Whether the app looks for marks of revoked credentials beside what is kept here."""
    settles_after: timedelta
    """When no process goes by what it knew before a change."""
    quiet_after: timedelta
    """When no request of a connection that was paused can still be under way."""

    async def names(self) -> list[str]:
        """Return the names of all connections."""

    async def known(self) -> dict[str, Connection | None]:
        """Return all connections by name, without their revoked credentials; None for one that only `get` can tell."""

    async def get(self, name: str) -> Connection | None:
        """Return the connection of that name."""

    async def change(self, name: str, change: Change) -> Changed:
        """Keep what `change` makes of the connection, and read back what is in force then."""

    async def remove(self, name: str) -> str:
        """Remove a connection that was revoked as a whole; what is left of it and where, as a sentence, if anything."""

    async def read(self, named: Named[T]) -> T:
        """Return what the secret of that name says."""

    async def write(self, named: Named[T], value: T) -> None:
        """Keep it, in place of what was there."""


class VaultSecretStore:
    """Connections as secrets of a vault."""

    takes_effect = "This takes effect within a minute."
    local = False
    marks = True
    settles_after = timedelta(seconds=SECONDS)
    quiet_after = timedelta(minutes=3)  # that minute, and the two that the host lets a request live

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def names(self) -> list[str]:
        return [*await self._vault.tags(CONNECTION)]

    async def known(self) -> dict[str, Connection | None]:
        return {name: read_tags(name, tags) for name, tags in (await self._vault.tags(CONNECTION)).items()}

    async def get(self, name: str) -> Connection | None:
        return (await self._read(name))[0]

    async def change(self, name: str, change: Change) -> Changed:
        base, known = await self._look(name)
        ours = change(base)
        if ours == base:
            return Changed(ours)
        written: set[str] = set()
        others: dict[str, Connection | None] = {}
        for _ in range(_ROUNDS):
            written.add(await self._write(ours))
            found = await self._vault.versions(CONNECTION + name) - known - written - others.keys()
            current, version = await self._read(name)
            if current is None:
                raise SecretStoreError(
                    f"The secret of connection {name} was disabled or deleted meanwhile, and stays so."
                )
            if version not in known | written | others.keys():
                found.add(version)
            together = ours
            for each in found:
                others[each] = theirs = (await self._read(name, each))[0]
                if theirs is not None:
                    together = self._put_together(base, together, theirs, ours_is_last=version in written)
            if together == current:
                return Changed(current, bool(others))
            ours = together
        raise SecretStoreError(f"Others keep changing connection {name}: look at it with show, then run this again.")

    async def _look(self, name: str) -> tuple[Connection | None, set[str]]:
        """Return the connection, and its version with all that are older."""
        for _ in range(_ROUNDS):
            known = await self._vault.versions(CONNECTION + name)
            connection, version = await self._read(name)
            if not known and await self._recover(name):
                return None, await self._vault.versions(CONNECTION + name)
            if connection is None and known:
                raise SecretStoreError(
                    f"Connection {name} is in the vault, but its secret is disabled or not valid yet: enable the secret"
                    f" {CONNECTION}{name} there first."
                )
            if connection is None or version in known:  # else others came between the two looks
                return connection, known
        raise SecretStoreError(f"Others keep changing connection {name}: run this again.")

    async def remove(self, name: str) -> str:
        connection, _ = await self._read(name)
        if connection is not None:
            await self._write(connection, {_REMOVED: "yes"})
        await self._vault.delete(CONNECTION + name)
        kept = await self._vault.read_deleted(CONNECTION + name)
        if kept is None:
            return ""
        until = f"until {show_time(kept.purged)}" if kept.purged else "for as long as its soft delete says"
        return (
            f"The vault keeps the deleted secret {CONNECTION}{name} with its older versions {until}: whoever recovers"
            " it there brings a revoked connection back, and nothing works with it."
        )

    async def _recover(self, name: str) -> bool:
        """Recover the secret of a connection that was removed, since the vault gives its name to nobody else: what
        comes back is revoked. Whether there was one. Raises SecretStoreError if somebody deleted it by other means."""
        deleted = await self._vault.read_deleted(CONNECTION + name)
        if deleted is None:
            return False
        if _REMOVED not in deleted.tags:
            raise SecretStoreError(
                f"The secret {CONNECTION}{name} was deleted in the vault itself, which keeps it and its name: recover"
                f" it there (az keyvault secret recover), then run connections remove {name}; or choose another name."
            )
        await self._vault.recover(CONNECTION + name)
        return True

    def _put_together(
        self, base: Connection | None, ours: Connection, theirs: Connection, *, ours_is_last: bool
    ) -> Connection:
        if base is not None:
            return merge(base, ours, theirs, ours_is_last=ours_is_last)
        # Both made it: whoever sees that gives way, since the other one may not know and have told its secret.
        return theirs.add_revoked(ours.revoked_keys)

    async def _read(self, name: str, version: str | None = None) -> tuple[Connection | None, str]:
        """Return the connection, and the version of its secret that it was read from."""
        secret = await self._vault.read(CONNECTION + name, version)
        if secret is None:
            return None, ""
        try:
            return parse_connection(secret, name), secret.version
        except ValueError as error:
            raise SecretStoreError(f"{error}; mend or disable the secret in the vault") from None

    async def _write(self, connection: Connection, also: Mapping[str, str] | None = None) -> str:
        # The vault's own expiry, for its own near-expiry events; it must not end a credential early.
        expires, tags = connection.find_last_end(), {**write_tags(connection), **(also or {})}
        value = json.dumps(connection.dump())
        return await self._vault.write(CONNECTION + connection.name, value, expires=expires, tags=tags)

    async def read(self, named: Named[T]) -> T:
        secret = await self._vault.read(named.secret)
        try:
            return named.parse(secret.value if secret else named.nothing)
        except ValueError as error:
            raise SecretStoreError(f"secret {named.secret} {error}") from None

    async def write(self, named: Named[T], value: T) -> None:
        await self._vault.write(named.secret, named.dump(value), expires=None, tags={})


class SettingsSecretStore:
    """Connections in local.settings.json."""

    takes_effect = "make run reads it within a second; func start has to be started anew."
    local = True
    marks = False
    settles_after = timedelta()
    quiet_after = timedelta()

    def __init__(self, path: Path) -> None:
        self._path = path

    async def names(self) -> list[str]:
        return sorted(self._read_connections(self._read_file()))

    async def known(self) -> dict[str, Connection | None]:
        found: dict[str, Connection | None] = {}
        for name, document in sorted(self._read_connections(self._read_file()).items()):
            try:
                found[name] = read_connection(name, document)
            except ValueError:
                found[name] = None
        return found

    async def get(self, name: str) -> Connection | None:
        return self._find(self._read_connections(self._read_file()), name)

    def _find(self, documents: dict[str, Any], name: str) -> Connection | None:
        document = documents.get(name)
        try:
            return None if document is None else read_connection(name, document)
        except ValueError as error:
            raise SecretStoreError(f"{self._path}: connection {name}: {error}") from None

    async def change(self, name: str, change: Change) -> Changed:
        with self._lock():  # nobody else of this process runs meanwhile: there is no await in it
            file = self._read_file()
            documents = self._read_connections(file)
            before = self._find(documents, name)
            connection = change(before)
            if connection != before:
                connections = {**documents, name: connection.dump()}
                self._write(file, SCIM_CONNECTIONS=json.dumps(connections))
        return Changed(connection)

    async def remove(self, name: str) -> str:
        with self._lock():
            file = self._read_file()
            connections = {known: each for known, each in self._read_connections(file).items() if known != name}
            self._write(file, SCIM_CONNECTIONS=json.dumps(connections))
        return ""

    async def read(self, named: Named[T]) -> T:
        try:
            return named.parse(self._read_file()["Values"].get(named.setting) or named.nothing)
        except ValueError as error:
            raise SecretStoreError(f"{self._path}: {named.setting} {error}") from None

    async def write(self, named: Named[T], value: T) -> None:
        with self._lock():
            self._write(self._read_file(), **{named.setting: named.dump(value)})

    @contextlib.contextmanager
    def _lock(self) -> Iterator[None]:
        """Keep other commands from changing the file meanwhile, on systems that can lock a folder."""
        try:
            import fcntl
        except ImportError:  # Windows
            yield
            return
        try:
            folder = os.open(self._path.parent, os.O_RDONLY)
        except OSError:  # it is told when the file is read
            yield
            return
        try:
            fcntl.flock(folder, fcntl.LOCK_EX)
            yield
        finally:
            os.close(folder)

    def _read_file(self) -> dict[str, Any]:
        try:
            file: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8-sig"))
            if not isinstance(file["Values"], dict):
                raise TypeError
        except FileNotFoundError:
            raise SecretStoreError(
                f"{self._path} is not there: run make run once, or name a vault with --vault"
            ) from None
        except (OSError, ValueError, KeyError, TypeError):
            raise SecretStoreError(f"{self._path} cannot be read: it must be a JSON object with Values") from None
        return file

    def _read_connections(self, file: dict[str, Any]) -> dict[str, Any]:
        try:
            connections = json.loads(file["Values"].get("SCIM_CONNECTIONS") or "{}")
        except ValueError:
            connections = None
        if not isinstance(connections, dict):
            raise SecretStoreError(f"{self._path}: SCIM_CONNECTIONS is no JSON object of connections by name")
        return connections

    def _write(self, file: dict[str, Any], **values: str) -> None:
        """Replace the file as a whole, readable by its owner alone."""
        file["Values"].update(values)
        handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=".local.settings.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as made:
                json.dump(file, made, indent=2)
                made.write("\n")
            os.replace(name, self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise SecretStoreError(f"{self._path} cannot be written: {error.strerror}") from None
