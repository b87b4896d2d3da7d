"""Puts the console together, from the parts of the app that serves it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scim.console.console import Console, Place
from scim.console.sign_in import WHO, SignIn, Who
from scim.console.visit import Parts
from scim.operate.access.audit import Audit
from scim.operate.access.directories import Directories
from scim.operate.access.sessions import Sessions
from scim.operate.connections.secret_store import SecretStore, SettingsSecretStore, VaultSecretStore
from scim.schema.registry import Registry
from scim.security.assertions import Assertions
from scim.security.openid import EXCHANGE, Provider, Registration
from scim.security.secrets import SecretsUnavailable
from scim.security.vault import Vault
from scim.settings import Settings
from scim.store.credentials import Credentials
from scim.store.table import Table

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

_LOCAL = Path("local.settings.json")
_REGISTERED = ("issuer", "client_id", "client_secret")


@dataclass(frozen=True, slots=True)
class Access:
    """What a sign-in at a provider needs of the app: how tokens are checked, what the app shows of itself in place of a
    client secret, and which certificates it trusts."""

    assertions: Assertions
    identity: AsyncTokenCredential | None = None
    ca_file: str | None = None


def open_console(settings: Settings, registry: Registry, table: Table, vault: Vault | None, access: Access) -> Console:
    """Return the console. It keeps connections where the app reads them: in the vault, or on a laptop in its settings
    file."""
    kept: SecretStore = VaultSecretStore(vault) if vault is not None else SettingsSecretStore(_LOCAL)
    sessions, audit = Sessions(table), Audit(table)
    parts = Parts(table, registry, kept, Credentials(table), "", audit, sessions)
    directories = Directories(table, settings.console_directories or {})
    providers = _open_providers(settings, access)
    return Console(
        Place(settings, parts, sessions, audit, directories, SignIn(providers, directories) if providers else None)
    )


def _open_providers(settings: Settings, access: Access) -> dict[Who, Provider]:
    """The OpenID providers that the settings name."""

    async def assert_self() -> str:
        if access.identity is None:
            raise SecretsUnavailable("there is neither a client secret nor an identity of this app")
        try:
            return (await access.identity.get_token(EXCHANGE)).token
        except Exception as error:  # whatever the SDK raises
            raise SecretsUnavailable(f"the app's identity gets no token for {EXCHANGE}: {error}") from error

    found: dict[Who, Provider] = {}
    for who in WHO:
        issuer, client_id, secret = (getattr(settings, f"console_{who}_{each}") for each in _REGISTERED)
        if issuer and client_id:
            registration = Registration(issuer, client_id, secret, for_many=who == "customers")
            found[who] = Provider(registration, access.assertions, assert_self, access.ca_file)
    return found
