"""Named secrets: connections, signing keys, seals and webhooks, in a vault or in the settings.

Whoever needs one asks a Lookup by name. What the settings hold is known from the start (Fixed); what a vault holds is
kept for a minute (cached.py).
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, Protocol, TypeVar

log = logging.getLogger("scim.vault")

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class SecretsUnavailable(Exception):
    """The source of connections or keys does not answer: the client is to come again, and is not refused."""


@dataclass(frozen=True, slots=True)
class Secret:
    """A version of a secret that is enabled."""

    value: str
    expires: datetime | None
    """The secret's own expiry."""
    version: str


class Secrets(Protocol):
    """Where secrets are read."""

    async def read(self, name: str) -> Secret | None:
        """Return the secret of that name; None if there is none in force. Raises SecretsUnavailable."""


class Lookup(Protocol[T_co]):
    """What secrets say, by their names."""

    async def get(self, name: str, accept: Callable[[T_co], bool] = bool) -> T_co | None:
        """Return what the secret of that name says; None if there is none. A lookup that keeps answers asks again if
        the kept one is not accepted. Raises SecretsUnavailable."""

    def failed(self, name: str) -> bool:
        """Return whether there may be a newer answer than the one that is kept, since the last try to get it failed."""


class Fixed(Generic[T]):
    """What is known from the start."""

    def __init__(self, known: Mapping[str, T]) -> None:
        self._known = known

    async def get(self, name: str, accept: Callable[[T], bool] = bool) -> T | None:
        return self._known.get(name)

    def failed(self, name: str) -> bool:
        return False


def make_reader(secrets: Secrets, parse: Callable[[str], T]) -> Callable[[str], Awaitable[T | None]]:
    """Return what reads secrets and parses their values: None if there is no such secret. It raises SecretsUnavailable,
    also if `parse` raises ValueError, whose text is logged."""

    async def read(name: str) -> T | None:
        secret = await secrets.read(name)
        try:
            return parse(secret.value) if secret else None
        except ValueError as error:
            log.error("misconfigured: secret %s %s", name, error)
            raise SecretsUnavailable("the secret cannot be read") from None

    return read
