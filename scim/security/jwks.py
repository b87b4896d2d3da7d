"""Public keys of issuers, kept by kid (RFC 7517).

They are asked for anew every hour, and for an unknown kid at most once a minute. Keys that are kept go on for some
hours while the issuer does not answer, as connections do while the vault is away; there is no way around the check.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import jwt

from scim.security.cached import LASTING
from scim.security.fetching import FAULTS, fetch_json
from scim.security.secrets import SecretsUnavailable

log = logging.getLogger("scim.jwks")

_AGAIN = 60.0
"""Seconds between two questions to one issuer."""
_OLD = 3600.0
"""Seconds after which keys are asked for anew: one that the issuer has withdrawn must end some time."""
_BITS = range(2048, 8193)
"""Sizes of an RSA key: RFC 7518 §3.3 asks for no less, and beyond it a check costs too much."""


@dataclass(slots=True)
class _Keys:
    by_id: dict[str, jwt.PyJWK] = field(default_factory=dict)
    asked: float = float("-inf")
    answered: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def failed(self) -> bool:
        """Whether the last question was not answered."""
        return self.answered < self.asked


class PublicKeys:
    """The keys of all issuers that connections trust. `lasting`: seconds for which they go on without an answer."""

    def __init__(
        self,
        *,
        ca_file: str | None = None,
        lasting: float = LASTING,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ca_file = ca_file
        self._lasting = lasting
        self._old = min(_OLD, lasting)
        self._clock = clock
        self._issuers: dict[str, _Keys] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def get(self, jwks_uri: str, kid: str) -> jwt.PyJWK | None:
        """Return the key of that id; None if the issuer does not have it. Raises SecretsUnavailable if that is not
        known."""
        keys = self._issuers.setdefault(jwks_uri, _Keys())
        now = self._clock()
        age, down = now - keys.answered, keys.failed and now - keys.asked < 2 * _AGAIN
        if kid in keys.by_id and (age <= self._old or (down and age < self._lasting)):
            if age > self._old:  # the issuer is down: nobody waits for it
                self._start(keys, jwks_uri)
            return keys.by_id[kid]  # who is known waits for no question about others
        await self._ask(keys, jwks_uri, kid)
        if kid in keys.by_id and self._clock() - keys.answered < max(self._lasting, _AGAIN):
            return keys.by_id[kid]
        if keys.failed:
            raise SecretsUnavailable("the issuer's keys cannot be had")
        return None

    async def _ask(self, keys: _Keys, jwks_uri: str, kid: str | None = None) -> None:
        """Ask the issuer, unless that was done within the minute, or meanwhile for this kid."""
        async with keys.lock:
            now = self._clock()
            if (kid in keys.by_id and now - keys.answered <= self._old) or now - keys.asked < _AGAIN:
                return
            keys.asked = now
            try:
                keys.by_id, keys.answered = await self._fetch(jwks_uri), now
            except (*FAULTS, jwt.PyJWTError) as error:
                log.warning("the keys at %s cannot be had: %s: %s", jwks_uri, type(error).__name__, error)

    def _start(self, keys: _Keys, jwks_uri: str) -> None:
        """Ask the issuer behind the request."""
        if not keys.lock.locked() and self._clock() - keys.asked >= _AGAIN:
            task = asyncio.create_task(self._ask(keys, jwks_uri))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _fetch(self, jwks_uri: str) -> dict[str, jwt.PyJWK]:
        _, document = await fetch_json(jwks_uri, ca_file=self._ca_file)
        return {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys if key.key_id and _is_usable(key)}


def _is_usable(key: jwt.PyJWK) -> bool:
    """Return whether the issuer signs tokens with it, and whether it is fit for that (RFC 7517 §4.2 and §4.3, RFC 7518
    §3.3)."""
    said = key._jwk_data
    purposes = said.get("key_ops")
    return (
        said.get("use", "sig") == "sig"
        and said.get("alg", "RS256") == "RS256"
        and (purposes is None or (isinstance(purposes, list) and "verify" in purposes))
        and key.key_type == "RSA"
        and getattr(key.key, "key_size", 0) in _BITS
    )
