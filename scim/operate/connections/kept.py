"""Where the operator's tool keeps connections: Key Vault, or the Values of local.settings.json.

Both hold the same documents, and both write a connection as a whole.
"""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from datetime import timedelta
from pathlib import Path
from typing import Any, Protocol

from scim.operate.errors import CommandError
from scim.security.connections import Connection, read_connection
from scim.security.signing_keys import SECRET, SigningKey, read_signing_keys, write_signing_keys
from scim.security.vault import CONNECTION, Vault, connection_in


class KeptError(CommandError):
    """What is kept cannot be read or written; the text says what to do."""


class Kept(Protocol):
    """A place for connections and signing keys. Methods raise KeptError, and Unavailable where a vault is away."""

    takes_effect: str
    """When a change does, as a sentence."""
    quiet_after: timedelta
    """When no request of a connection that was paused can still be under way."""

    async def names(self) -> list[str]:
        """The names of all connections."""

    async def get(self, name: str) -> Connection | None:
        """The connection of that name."""

    async def put(self, connection: Connection) -> None:
        """Keep the connection, in place of the one of its name."""

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        """The signing keys."""

    async def put_signing_keys(self, keys: tuple[SigningKey, ...]) -> None:
        """Keep them, in place of those that were there."""


class KeptInVault:
    """Connections as secrets of a vault."""

    takes_effect = "This takes effect within a minute."
    quiet_after = timedelta(minutes=3)  # that minute, and the two that the host lets a request live

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    async def names(self) -> list[str]:
        return await self._vault.names(CONNECTION)

    async def get(self, name: str) -> Connection | None:
        secret = await self._vault.read(CONNECTION + name)
        try:
            return connection_in(secret, name) if secret else None
        except ValueError as error:
            raise KeptError(f"{error}; mend or disable the secret in the vault") from None

    async def put(self, connection: Connection) -> None:
        # The vault's own expiry, for its own near-expiry events; it must not end a credential early.
        expires = connection.last_end()
        tags = {"tenant": connection.tenant, "kind": connection.kind}
        value = json.dumps(connection.document())
        await self._vault.write(CONNECTION + connection.name, value, expires=expires, tags=tags)

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        secret = await self._vault.read(SECRET)
        try:
            return read_signing_keys(secret.value) if secret else ()
        except ValueError as error:
            raise KeptError(f"secret {SECRET} {error}") from None

    async def put_signing_keys(self, keys: tuple[SigningKey, ...]) -> None:
        await self._vault.write(SECRET, write_signing_keys(keys), expires=None, tags={})


class KeptInSettings:
    """Connections in local.settings.json."""

    takes_effect = "The app reads its settings when it starts: start it anew."
    quiet_after = timedelta()

    def __init__(self, path: Path) -> None:
        self._path = path

    async def names(self) -> list[str]:
        return sorted(self._connections(self._file()))

    async def get(self, name: str) -> Connection | None:
        document = self._connections(self._file()).get(name)
        try:
            return None if document is None else read_connection(name, document)
        except ValueError as error:
            raise KeptError(f"{self._path}: connection {name}: {error}") from None

    async def put(self, connection: Connection) -> None:
        file = self._file()
        connections = {**self._connections(file), connection.name: connection.document()}
        self._write(file, SCIM_CONNECTIONS=json.dumps(connections))

    async def signing_keys(self) -> tuple[SigningKey, ...]:
        try:
            return read_signing_keys(self._file()["Values"].get("SCIM_SIGNING_KEYS") or "[]")
        except ValueError as error:
            raise KeptError(f"{self._path}: SCIM_SIGNING_KEYS {error}") from None

    async def put_signing_keys(self, keys: tuple[SigningKey, ...]) -> None:
        self._write(self._file(), SCIM_SIGNING_KEYS=write_signing_keys(keys))

    def _file(self) -> dict[str, Any]:
        try:
            file: dict[str, Any] = json.loads(self._path.read_text(encoding="utf-8-sig"))
            if not isinstance(file["Values"], dict):
                raise TypeError
        except FileNotFoundError:
            raise KeptError(f"{self._path} is not there: run make run once, or name a vault with --vault") from None
        except (OSError, ValueError, KeyError, TypeError):
            raise KeptError(f"{self._path} cannot be read: it must be a JSON object with Values") from None
        return file

    def _connections(self, file: dict[str, Any]) -> dict[str, Any]:
        try:
            connections = json.loads(file["Values"].get("SCIM_CONNECTIONS") or "{}")
        except ValueError:
            connections = None
        if not isinstance(connections, dict):
            raise KeptError(f"{self._path}: SCIM_CONNECTIONS is no JSON object of connections by name")
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
            raise KeptError(f"{self._path} cannot be written: {error.strerror}") from None
