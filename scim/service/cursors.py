"""Cursors (RFC 9865): where a walk stands, sealed, and good for one tenant, one query and one page size.

A place may hold what the last resource is ordered by, such as a userName, and a cursor travels in URLs, which proxies
and logs keep: so it is encrypted (AES-GCM), not only signed. One that was not ours, is another tenant's, or belongs
to another query gets the same answer: it tells nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import time
from typing import Any

from scim.errors import EXPIRED_CURSOR, INVALID_COUNT, INVALID_CURSOR, ScimError
from scim.store.positions import FRESH

_NONCE_BYTES = 12
"""Random, as NIST SP 800-38D §8.2.2 has it: good for 2^32 cursors under one key."""
_PURPOSE = b"cursors, encrypted"
"""What the key of cursors is derived for, so that nothing else is ever encrypted with the same one."""


def seal(key: bytes, tenant: str, query: str, count: int, place: dict[str, Any]) -> str:
    """Return the cursor of a place, in URL-safe characters."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # 6 ms of every cold start

    content = {"p": place, "c": count, "e": int(time.time() + FRESH.total_seconds())}
    nonce, text = os.urandom(_NONCE_BYTES), json.dumps(content, separators=(",", ":")).encode()
    return _encode(nonce + AESGCM(_derive_key(key)).encrypt(nonce, text, _bind(tenant, query)))


def unseal(key: bytes, tenant: str, query: str, count: int, cursor: str) -> dict[str, Any]:
    """Return the place of a cursor. Raises 400 invalidCursor, expiredCursor or invalidCount."""
    content = json.loads(_decrypt(key, tenant, query, cursor))
    if content["e"] < time.time():
        raise ScimError(EXPIRED_CURSOR, "The cursor is too old: send an empty one for the first page.")
    if content["c"] != count:
        raise ScimError(INVALID_COUNT, f"count must stay what it was for the first page: {content['c']}, not {count}.")
    place: dict[str, Any] = content["p"]
    return place


def _decrypt(key: bytes, tenant: str, query: str, cursor: str) -> bytes:
    from cryptography.exceptions import InvalidTag
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        if _encode(sealed) != cursor or len(sealed) <= _NONCE_BYTES:
            raise ValueError("not as it was made")
        return AESGCM(_derive_key(key)).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], _bind(tenant, query))
    except (ValueError, InvalidTag):
        raise ScimError(
            INVALID_CURSOR, "The cursor does not belong to this query: send an empty one for the first page."
        ) from None


def _derive_key(key: bytes) -> bytes:
    return hmac.digest(key, _PURPOSE, hashlib.sha256)


def _bind(tenant: str, query: str) -> bytes:
    """Return what a cursor is good for: it is authenticated with it, and not in it."""
    return b"\0".join((tenant.encode(), query.encode()))


def _encode(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")
