"""Public keys of issuers, kept by kid (RFC 7517).

An unknown kid asks the issuer anew, at most once a minute. Keys that are kept go on while the issuer does not answer;
there is no way around the check.
"""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import aiohttp
import jwt

from scim.security.connections import Unavailable

log = logging.getLogger("scim.jwks")

_AGAIN = 60.0
"""Seconds between two questions to one issuer."""
_OLD = 12 * 3600.0
"""Seconds after which keys are asked for anew: one that the issuer has withdrawn must end some time."""
_SECONDS = 5.0
_MAX_BYTES = 2**20


@dataclass(slots=True)
class _Keys:
    by_id: dict[str, jwt.PyJWK] = field(default_factory=dict)
    asked: float = float("-inf")
    answered: float = float("-inf")
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


class PublicKeys:
    """The keys of all issuers that connections trust."""

    def __init__(self, *, ca_file: str | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._ca_file = ca_file
        self._clock = clock
        self._issuers: dict[str, _Keys] = {}

    async def get(self, jwks_uri: str, kid: str) -> jwt.PyJWK | None:
        """The key of that id; None where the issuer does not have it. Raises Unavailable where that is not known."""
        keys = self._issuers.setdefault(jwks_uri, _Keys())
        if kid in keys.by_id and self._clock() - keys.answered <= _OLD:
            return keys.by_id[kid]  # who is known waits for no question about others
        async with keys.lock:
            now = self._clock()
            if (kid not in keys.by_id or now - keys.answered > _OLD) and now - keys.asked >= _AGAIN:
                keys.asked = now
                try:
                    keys.by_id, keys.answered = await self._fetch(jwks_uri), now
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, jwt.PyJWTError) as error:
                    log.warning("the keys at %s cannot be had: %s: %s", jwks_uri, type(error).__name__, error)
        if kid in keys.by_id:
            return keys.by_id[kid]
        if keys.answered < keys.asked:
            raise Unavailable("the issuer's keys cannot be had")
        return None

    async def _fetch(self, jwks_uri: str) -> dict[str, jwt.PyJWK]:
        context = ssl.create_default_context(cafile=self._ca_file)
        timeout = aiohttp.ClientTimeout(total=_SECONDS)
        async with (
            aiohttp.ClientSession(timeout=timeout, connector=aiohttp.TCPConnector(ssl=context)) as session,
            session.get(jwks_uri, allow_redirects=False) as response,
        ):
            if response.status != 200:
                raise ValueError(f"status {response.status}")
            body = b""
            async for part in response.content.iter_any():
                body += part
                if len(body) > _MAX_BYTES:
                    raise ValueError(f"more than {_MAX_BYTES} bytes")
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("no JSON object")
        return {key.key_id: key for key in jwt.PyJWKSet.from_dict(document).keys if key.key_id}
