"""Where the table and the connections are: options first, then the environment, then local.settings.json."""

from __future__ import annotations

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import scim
from scim.operate.connections.secret_store import SecretStore, SettingsSecretStore, VaultSecretStore
from scim.operate.errors import PlaceError
from scim.operate.running import Run, find_run, find_trouble
from scim.schema.registry import Registry
from scim.store.table import Table
from scim.store.table.azure import AzureTable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_SETTINGS = "local.settings.json"
_APP = Path(scim.__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Opened:
    """What a command works on. `table` is None if nobody said where it is."""

    kept: SecretStore
    table: Table | None
    ours: bool
    """Whether `kept` is known to hold the connections of that table's app."""
    trouble: str | None = None
    """Why the table is not known although somebody said where it is."""

    def require_table(self) -> Table:
        """Return the table. Raises PlaceError if nobody said if it is."""
        if self.table is None:
            raise PlaceError(
                self.trouble
                or "Where is the table? Give --table URL, or set SCIM_TABLE_ENDPOINT or SCIM_TABLE_CONNECTION_STRING."
            )
        return self.table

    def require_connections(self) -> SecretStore:
        """Return the connections that lead to that table. Raises PlaceError if nobody said if they are."""
        if not self.ours:
            raise PlaceError("Where are the connections that lead to that table? Give --vault URL, or --local FILE.")
        return self.kept


@dataclass(frozen=True)
class Place:
    """What the options of a command say. `json`: print JSON."""

    vault: str | None = None
    local: str | None = None
    table_url: str | None = None
    json: bool = False
    ca_file: str | None = None

    @cached_property
    def run(self) -> Run | None:
        """What `make run` serves beside the local settings. Raises PlaceError."""
        return find_run(Path(self.local or _SETTINGS).parent, os.environ)

    @cached_property
    def environment(self) -> Mapping[str, str]:
        """The environment over the table of `make run`, over the Values of the local settings: what the app there has.
        Raises PlaceError."""
        try:
            values = json.loads(Path(self.local or _SETTINGS).read_text(encoding="utf-8-sig"))["Values"]
            local = {name: value for name, value in values.items() if isinstance(value, str)}
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            local = {}  # what is wrong with the file is told where it is needed
        if self.run is not None:
            local["SCIM_TABLE_CONNECTION_STRING"] = self.run.connection_string
        return {**local, **os.environ}

    @property
    def origin(self) -> str | None:
        """Where the app's doors are, such as https://scim.example.com, without `/scim`; None if nobody said it and the
        app is not on this machine. Raises PlaceError."""
        said = self.environment.get("SCIM_TENANT_URL") or self.environment.get("SCIM_PUBLIC_URL")
        if said:
            return said.removesuffix("/scim")
        if self.vault_url:
            return None
        if self.run is None:
            return "http://127.0.0.1:7071"
        return self.run.public_origin or self.run.origin

    @property
    def vault_url(self) -> str | None:
        return self.vault or (None if self.local else self.environment.get("SCIM_KEY_VAULT_URL"))

    def registry(self) -> Registry:
        """Return the app's schemas. Raises SchemaError."""
        from scim.schema.loading import load

        return load(_APP / (self.environment.get("SCIM_SCHEMAS_FOLDER") or "schemas"))

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[Opened]:
        """The connections and the table, open for as long as the block runs."""
        endpoint = self._find_endpoint()
        identity = _open_identity() if self.vault_url or endpoint else None
        vault = None
        if self.vault_url and identity:
            from scim.security.vault import Vault

            vault = Vault(self.vault_url, identity, ca_file=self.ca_file)
        kept: SecretStore = VaultSecretStore(vault) if vault else SettingsSecretStore(Path(self.local or _SETTINGS))
        table, trouble = None, None
        try:
            table = self._open_table(endpoint, identity)
        except ValueError:  # its text may quote the string, which holds a key
            trouble = "The table is not known: its address is none."
        if table is not None and endpoint is None and (trouble := find_trouble(table.endpoint)):
            await table.close()
            table = None
        ours = bool(vault or self.local or not endpoint)
        try:
            yield Opened(kept, table, ours, trouble)
        finally:
            for opened in (vault, table, identity):
                if opened is not None:
                    await opened.close()

    @asynccontextmanager
    async def other_table(self, endpoint: str | None, variable: str | None, name: str | None) -> AsyncIterator[Table]:
        """Another table, at an endpoint or by the connection string in an environment variable, open for as long as
        the block runs. Raises PlaceError."""
        name = name or self.environment.get("SCIM_TABLE_NAME") or "scim"
        identity = _open_identity() if endpoint else None
        key = os.environ.get(variable) if variable else None
        if not endpoint and not key:
            raise PlaceError(f"The environment has no {variable}: it must hold the connection string.")
        try:
            table = (
                AzureTable.with_identity(endpoint, name, identity)
                if endpoint and identity
                else AzureTable.with_key(key or "", name)
            )
        except ValueError:
            raise PlaceError("The other table's address is none.") from None
        try:
            yield table
        finally:
            await table.close()
            if identity is not None:
                await identity.close()

    def _find_endpoint(self) -> str | None:
        """Return the endpoint of a deployment's table. That of a laptop is a connection string."""
        if self.table_url:
            return self.table_url
        if self.local:
            return None
        return self.environment.get("SCIM_TABLE_ENDPOINT")

    def _open_table(self, endpoint: str | None, identity: AsyncTokenCredential | None) -> AzureTable | None:
        name = self.environment.get("SCIM_TABLE_NAME") or "scim"
        if endpoint and identity:
            return AzureTable.with_identity(endpoint, name, identity)
        # That of the settings file is of this machine, and says nothing of a deployment.
        if key := (os.environ if identity else self.environment).get("SCIM_TABLE_CONNECTION_STRING"):
            return AzureTable.with_key(key, name)
        return None


def _open_identity() -> AsyncTokenCredential:
    from scim.security.identity import open_identity

    return open_identity(None)
