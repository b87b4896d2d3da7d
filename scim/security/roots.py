"""Roots: secrets of the service's own, from which keys are derived; where they are kept, and which is in use.

A kind of root (what signs access tokens, what seals credentials) is one list of a few. The newest that every process
must have seen is the one to use; the others go on checking what was made with them until they are taken off the list.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from scim.faults import find_fault
from scim.security.cached import Cached
from scim.security.unavailable import SecretsUnavailable

if TYPE_CHECKING:
    from scim.security.vault import Vault

log = logging.getLogger("scim.vault")

UNSEEN = timedelta(minutes=5)
"""A root that is younger may not have reached every process."""


class Root(BaseModel):
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

    def derive(self, text: str) -> bytes:
        """Return the 32 bytes that this root makes of a text (HMAC-SHA256), also of one that is not Unicode."""
        return hmac.new(_decoded(self.key), text.encode(errors="surrogatepass"), hashlib.sha256).digest()


R = TypeVar("R", bound=Root)
R_co = TypeVar("R_co", bound=Root, covariant=True)


def create_root(kind: type[R]) -> R:
    """Return a new random root."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return kind(id=secrets.token_hex(4), key=key, created=datetime.now(UTC))


def read_roots(text: str, kind: type[R], name: str) -> tuple[R, ...]:
    """Return the roots of a JSON array. ValueError, without any value of it, if it is no list of what `name` says."""
    try:
        return TypeAdapter(tuple[kind, ...]).validate_json(text)  # type: ignore[valid-type]
    except ValidationError as error:
        path, text = find_fault(error)
        known = ".".join(part for part in path if part.isdigit() or part in kind.model_fields)
        raise ValueError(f"is no list of {name}: {known or 'it'} {text}") from None


def write_roots(roots: Sequence[Root]) -> str:
    """Return the roots as a JSON array."""
    return json.dumps([root.model_dump(mode="json") for root in roots])


def find_current(roots: Sequence[R], now: datetime) -> R | None:
    """Return the newest root that every process has seen; the oldest if all are new, None if there is none."""
    ordered = sorted(roots, key=lambda root: root.created)
    seen = [root for root in ordered if now - root.created >= UNSEEN]
    return seen[-1] if seen else next(iter(ordered), None)


class Roots(Protocol[R_co]):
    """A source of roots of one kind."""

    async def get(self, accept: Callable[[Sequence[Root]], bool] = bool) -> tuple[R_co, ...]:
        """Return all roots that are on the list. A source that keeps answers looks again if the kept one is not
        accepted. Raises SecretsUnavailable."""

    @property
    def outdated(self) -> bool:
        """Whether newer roots may be known elsewhere, since the last look failed."""


class FixedRoots(Generic[R]):
    """Roots that are known from the start, as those in the settings are."""

    outdated = False

    def __init__(self, roots: tuple[R, ...]) -> None:
        self._roots = roots

    async def get(self, accept: Callable[[Sequence[Root]], bool] = bool) -> tuple[R, ...]:
        return self._roots


class VaultRoots(Generic[R]):
    """The roots in a secret of a vault, kept for a minute. `minutes`: how long they go on while the vault is away."""

    def __init__(self, vault: Vault, secret: str, read: Callable[[str], tuple[R, ...]], minutes: int) -> None:
        self._vault = vault
        self._secret = secret
        self._parse = read
        self._cached = Cached(self._read, lasting=minutes * 60.0)

    async def get(self, accept: Callable[[Sequence[Root]], bool] = bool) -> tuple[R, ...]:
        return await self._cached.get(self._secret, accept) or ()

    @property
    def outdated(self) -> bool:
        return self._cached.failed(self._secret)

    async def _read(self, name: str) -> tuple[R, ...] | None:
        secret = await self._vault.read(name)
        try:
            return self._parse(secret.value) if secret else None
        except ValueError as error:
            log.error("misconfigured: secret %s %s", name, error)
            raise SecretsUnavailable("the secret cannot be read") from None


def _decoded(key: str) -> bytes:
    return base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
