"""Key Vault: connections as secrets, read with this app's identity.

A connection is the secret `connection-<name>`, whose value is the same JSON document as in the settings: one read tells
everything, and one write changes it as a whole. Secret names are lower-case letters, digits and hyphens, as connection
names are. What the vault itself says of a secret counts too: disabled or deleted is not there, and its expiry is the
connection's. The SDKs are imported here only, when a vault is configured.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.keyvault.secrets.aio import SecretClient

from scim.behind import Background, start_apart
from scim.limits import forget_oldest
from scim.security.cached import KEPT
from scim.security.connections import Connection, Revocations, Revoked, read_connection
from scim.security.secrets import Secret, SecretsUnavailable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential

log = logging.getLogger("scim.vault")

CONNECTION = "connection-"
_JSON = "application/json"
_SECONDS = 8.0
"""A read with all its tries and, the first time, a token for the vault."""
_OPTIONS: dict[str, Any] = {
    "connection_timeout": 3,
    "read_timeout": 5,
    "retry_total": 2,
    "retry_backoff_factor": 0.2,
    "retry_backoff_max": 1,
}


@dataclass(frozen=True, slots=True)
class Deleted:
    """A secret that was deleted and can be recovered: its tags, and when the vault forgets it by itself."""

    tags: dict[str, str]
    purged: datetime | None


class Vault:
    """One vault. Its methods raise SecretsUnavailable if the vault does not answer or refuses us."""

    def __init__(self, url: str, credential: AsyncTokenCredential, *, ca_file: str | None = None) -> None:
        # The SDKs log each request at INFO, with the names of secrets.
        logging.getLogger("azure").setLevel(logging.WARNING)
        verify = {} if ca_file is None else {"connection_verify": ca_file}
        self._client = SecretClient(url, credential, **_OPTIONS, **verify)

    async def read(self, name: str, version: str | None = None) -> Secret | None:
        """Return the secret of that name, in that version or its current one; None if there is none, or it is disabled
        or not yet valid."""
        try:
            async with asyncio.timeout(_SECONDS):
                secret = await self._client.get_secret(name, version)
        except ResourceNotFoundError:
            return None
        except HttpResponseError as error:
            if _is_disabled(error):
                return None
            raise SecretsUnavailable(_describe_error(error)) from None
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None
        starts, now = secret.properties.not_before, datetime.now(UTC)
        if secret.value is None or (starts is not None and now < starts):
            return None
        return Secret(secret.value, secret.properties.expires_on, secret.properties.version or "")

    async def write(self, name: str, value: str, *, expires: datetime | None, tags: dict[str, str]) -> str:
        """Write a new version of the secret, in force at once, and return what the version is called. The vault knows
        no condition for it: whoever writes last wins."""
        try:
            async with asyncio.timeout(4 * _SECONDS):
                made = await self._client.set_secret(name, value, content_type=_JSON, expires_on=expires, tags=tags)
        except ResourceExistsError:
            raise SecretsUnavailable(
                f"Key Vault: the secret {name} was deleted meanwhile and can be recovered, so nobody can write it; look"
                " what there is, and run this again"
            ) from None
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None
        return made.properties.version or ""

    async def versions(self, name: str) -> set[str]:
        """Return what all versions of the secret are called, disabled ones too; nothing if there is no such secret."""
        try:
            async with asyncio.timeout(4 * _SECONDS):
                found = self._client.list_properties_of_secret_versions(name)
                return {secret.version async for secret in found if secret.version}
        except ResourceNotFoundError:
            return set()
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None

    async def delete(self, name: str) -> None:
        """Delete the secret with all its versions. The vault keeps what was deleted for as long as it is told to, and
        gives the name to nobody else meanwhile."""
        try:
            async with asyncio.timeout(8 * _SECONDS):
                await self._client.delete_secret(name)
        except ResourceNotFoundError:
            return
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None

    async def read_deleted(self, name: str) -> Deleted | None:
        """Return the secret of that name that was deleted and is still kept; None if there is none."""
        try:
            async with asyncio.timeout(_SECONDS):
                found = await self._client.get_deleted_secret(name)
        except ResourceNotFoundError:
            return None
        except (AzureError, TimeoutError, OSError) as error:
            if getattr(error, "status_code", None) == 403:  # whoever may write need not be let see this
                return None
            raise SecretsUnavailable(_describe_error(error)) from None
        return Deleted(found.properties.tags or {}, found.scheduled_purge_date)

    async def recover(self, name: str) -> None:
        """Bring back a secret that was deleted, with all its versions; nothing if somebody was faster."""
        try:
            async with asyncio.timeout(8 * _SECONDS):
                await self._client.recover_deleted_secret(name)
        except (ResourceNotFoundError, ResourceExistsError):
            return
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None

    async def tags(self, prefix: str) -> dict[str, dict[str, str]]:
        """Return the tags of the enabled secrets whose names begin so, by the rest of the name and in its order: 25
        secrets for a request, whatever they hold."""
        found: dict[str, dict[str, str]] = {}
        try:
            async with asyncio.timeout(8 * _SECONDS):
                async for secret in self._client.list_properties_of_secrets():
                    if secret.enabled is True and secret.name and secret.name.startswith(prefix):
                        found[secret.name.removeprefix(prefix)] = secret.tags or {}
        except (AzureError, TimeoutError, OSError) as error:
            raise SecretsUnavailable(_describe_error(error)) from None
        return dict(sorted(found.items()))

    async def close(self) -> None:
        await self._client.close()


def parse_connection(secret: Secret, name: str, revoked: Iterable[Revoked] = ()) -> Connection:
    """Return the connection of that name, as its secret's value has it, without what is known to be `revoked`.
    ValueError if it holds none."""
    try:
        return read_connection(name, json.loads(secret.value), revoked)
    except ValueError as error:  # JSON's own message shows a place, no value
        raise ValueError(f"secret {CONNECTION}{name}: {error}") from None


class VaultConnections:
    """The connections in a vault, without what is marked as revoked elsewhere. `minutes`: how long marks go on while
    the table does not tell them."""

    def __init__(self, vault: Vault, revocations: Revocations, minutes: int) -> None:
        self._vault = vault
        self._revocations = revocations
        self._marking = Background()
        self._lasting = minutes * 60.0
        self._marked: dict[str, tuple[float, list[Revoked]]] = {}
        """When the marks of a connection were read, and what they were."""

    async def settle(self) -> None:
        """Wait for what is being marked."""
        await self._marking.settle()

    async def read(self, name: str) -> Connection | None:
        """Return the connection of that name; None if there is none. Raises SecretsUnavailable."""
        # At the same time, so that nobody waits longer, and apart: it is no trip of the request.
        marks = start_apart(self._read_marks(name))
        secret, marked = await asyncio.gather(self._vault.read(CONNECTION + name), marks)
        if secret is None:
            return None
        try:
            connection = parse_connection(secret, name, marked)
        except ValueError as error:
            log.error("misconfigured: %s", error)
            raise SecretsUnavailable("the secret cannot be read") from None
        self._mark(connection, marked)
        # The tool sets the vault's expiry to the last of the credentials': only an earlier one says more.
        known = connection.find_last_end()
        if secret.expires is None or (known is not None and known.replace(microsecond=0) <= secret.expires):
            return connection
        return connection.model_copy(update={"expires": secret.expires})

    async def _read_marks(self, name: str) -> list[Revoked]:
        """Return what is marked as revoked of that connection. While the table does not tell, it is what was marked
        before, as long as connections go on without a vault: what the vault says by now must count all the same."""
        try:
            marked = await self._revocations.read_revoked(name)
        except SecretsUnavailable:
            at, known = self._marked.get(name, (-math.inf, []))
            if time.monotonic() - at > self._lasting:
                raise
            return known
        self._marked.pop(name, None)
        self._marked[name] = time.monotonic(), marked
        forget_oldest(self._marked, KEPT)
        return marked

    def _mark(self, connection: Connection, marked: Sequence[Revoked]) -> None:
        """Mark what the document calls revoked and nobody marked yet: whoever revoked it may not write to the table."""
        known = {each.value for each in marked}
        missing = [each for each in connection.revoked_keys if each.value not in known]
        if not missing:
            return

        async def mark() -> None:
            try:
                await self._revocations.mark_revoked(connection.name, missing)
            except Exception as error:  # whatever it is, the next look tries again
                log.warning("a revoked credential of %s was not marked: %s", connection.name, error)

        self._marking.start(mark())


def _is_disabled(error: HttpResponseError) -> bool:
    """Return whether a 403 is about the secret and not about us."""
    inner = getattr(error.error, "innererror", None) or {}
    return error.status_code == 403 and inner.get("code") == "SecretDisabled"


def _describe_error(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    return f"Key Vault: {type(error).__name__}{f' {status}' if status else ''}: {' '.join(str(error).split())[:200]}"
