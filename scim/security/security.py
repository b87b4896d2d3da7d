"""The parts that say who may call, put together from the settings. What only some connections need is made when one
does: a cold start imports no vault, identity or token library that nobody uses."""

from __future__ import annotations

from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Protocol

from scim.security import seals, signing_keys
from scim.security.cached import Cached
from scim.security.connections import Connection, Revocations
from scim.security.seals import Sealing
from scim.security.secrets import Fixed, Lookup, make_reader
from scim.security.signing_keys import SigningKey
from scim.security.trust import ENTRA_KEYS
from scim.security.usage import Usage, UsageLog

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

    from scim.security.access_tokens import AccessTokens
    from scim.security.assertions import Assertions
    from scim.security.vault import Vault, VaultConnections
    from scim.settings import Settings


class CredentialLog(UsageLog, Revocations, Protocol):
    """What is kept of credentials outside this process."""

    async def take_assertion(self, connection: str, assertion: str, expires: datetime) -> bool:
        """Return whether an assertion of that id comes to the connection for the first time."""


class Security:
    """The connections, the keys, and what is noted of their use. `identity` opens the vault, `ca_file` replaces the
    system's trusted certificates."""

    connections: Lookup[Connection]
    signing_keys: Lookup[tuple[SigningKey, ...]]
    sealing: Sealing
    entra_keys: str
    """Where the public keys are that Entra signs tokens of its own with."""
    vault: Vault | None
    """None if everything is in the settings."""

    def __init__(
        self,
        settings: Settings,
        log: CredentialLog,
        *,
        identity: AsyncTokenCredential | None = None,
        ca_file: str | None = None,
    ) -> None:
        self.vault = None
        self._in_vault: VaultConnections | None = None
        self._minutes = settings.token_minutes
        self._outage_minutes = settings.outage_minutes
        self.entra_keys = settings.entra_keys_url or ENTRA_KEYS
        self._ca_file = ca_file
        self.log = log
        self.usage = Usage(log, settings.usage_minutes)
        if settings.key_vault_url is None:
            self.connections = Fixed(settings.connections)
            self.signing_keys = Fixed({signing_keys.SECRET: settings.signing_keys})
            self.sealing = Sealing(Fixed({seals.SECRET: settings.seals}))
        else:
            from scim.security.vault import Vault, VaultConnections

            assert identity is not None
            self.vault = vault = Vault(settings.key_vault_url, identity, ca_file=ca_file)
            self._in_vault = VaultConnections(vault, log, self._outage_minutes)
            lasting = self._outage_minutes * 60.0
            self.connections = Cached(self._in_vault.read, lasting=lasting)
            self.signing_keys = Cached(make_reader(vault, signing_keys.read_signing_keys), lasting=lasting)
            self.sealing = Sealing(Cached(make_reader(vault, seals.read_seals), lasting=lasting))

    @cached_property
    def tokens(self) -> AccessTokens:
        from scim.security.access_tokens import AccessTokens

        return AccessTokens(self.signing_keys, self.sealing, self._minutes)

    @cached_property
    def assertions(self) -> Assertions:
        from scim.security.assertions import Assertions
        from scim.security.jwks import PublicKeys

        return Assertions(PublicKeys(ca_file=self._ca_file, lasting=self._outage_minutes * 60.0))

    async def check(self) -> None:
        """Look whether connections can be looked up at all. Raises SecretsUnavailable."""
        if self.vault is not None:
            await self.vault.read(seals.SECRET)

    async def close(self) -> None:
        """Finish what is being noted, and give back the connections."""
        await self.usage.close()
        if self._in_vault is not None:
            await self._in_vault.settle()
        if self.vault is not None:
            await self.vault.close()
