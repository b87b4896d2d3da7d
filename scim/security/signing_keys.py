"""The keys that access tokens are signed with: where they are kept, and how they rotate.

What is kept are roots. Each day's key is derived from one, so the key in use changes by itself, and one day's overlaps
with the next. Roots change by hand, with overlap too: a new one signs only when every process must have seen it, and
those before it go on verifying while a token of theirs may live.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from scim.security.cached import Cached
from scim.security.connections import Unavailable

if TYPE_CHECKING:
    from scim.security.vault import Vault

log = logging.getLogger("scim.vault")

SECRET = "token-signing-keys"
"""The secret in Key Vault that holds them, as a JSON array."""
_UNSEEN = timedelta(minutes=5)
"""A root that is younger may not have reached every process."""
_OUTLIVED = timedelta(hours=12)
"""A root that was replaced longer ago has no living token."""


class SigningKey(BaseModel):
    """A root."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str
    key: str
    """base64url of 32 bytes."""
    created: AwareDatetime

    @field_validator("key")
    @classmethod
    def _is_whole(cls, key: str) -> str:
        if len(_decoded(key)) != 32:
            raise ValueError("must be 32 bytes as base64url")
        return key

    def of_day(self, day: int) -> bytes:
        """The key of that day, counted from 1970-01-01 UTC."""
        return hmac.new(_decoded(self.key), f"access token {day}".encode(), hashlib.sha256).digest()


class SigningKeys(Protocol):
    """A source of signing keys."""

    async def get(self) -> tuple[SigningKey, ...]:
        """All roots that may verify. Raises Unavailable."""


class FixedSigningKeys:
    """Signing keys that are known from the start, as those in the settings are."""

    def __init__(self, keys: tuple[SigningKey, ...]) -> None:
        self._keys = keys

    async def get(self) -> tuple[SigningKey, ...]:
        return self._keys


class NoSigningKeys(Exception):
    """There is no key to sign a token with: the operator made no connection that needs one with the tool."""


class VaultSigningKeys:
    """The signing keys in a vault, kept for a minute."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._cached = Cached(self._read)

    async def get(self) -> tuple[SigningKey, ...]:
        return await self._cached.get(SECRET, bool) or ()

    async def _read(self, name: str) -> tuple[SigningKey, ...] | None:
        secret = await self._vault.read(name)
        try:
            return read_signing_keys(secret.value) if secret else None
        except ValueError as error:
            log.error("misconfigured: secret %s %s", name, error)
            raise Unavailable("the secret cannot be read") from None


def read_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """The keys of a JSON array. ValueError, without any value of it, where it is none."""
    try:
        return _KEYS.validate_json(text)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise ValueError(f"is no list of signing keys: {first['msg']}") from None


def write_signing_keys(keys: Sequence[SigningKey]) -> str:
    return json.dumps([key.model_dump(mode="json") for key in keys])


def rotated(keys: Sequence[SigningKey]) -> tuple[SigningKey, ...]:
    """The keys with a new one; without those that no living token was signed with."""
    now = datetime.now(UTC)
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    new = SigningKey(id=secrets.token_hex(4), key=key, created=now)
    ordered = sorted(keys, key=lambda key: key.created)
    living = [
        old for old, successor in zip(ordered, [*ordered, new][1:], strict=True) if now - successor.created < _OUTLIVED
    ]
    return (*living, new)


def current(keys: Sequence[SigningKey], now: datetime) -> SigningKey | None:
    """The newest key that every process has seen; where all are new, the oldest."""
    ordered = sorted(keys, key=lambda key: key.created)
    seen = [key for key in ordered if now - key.created >= _UNSEEN]
    return seen[-1] if seen else next(iter(ordered), None)


def _decoded(key: str) -> bytes:
    return base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))


_KEYS = TypeAdapter(tuple[SigningKey, ...])
