"""Cursors (RFC 9865): where a walk stands, signed, and good for one tenant, one query and one page size.

A cursor that was not ours, is another tenant's, or belongs to another query gets the same answer: it tells nothing.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from typing import Any

from scim.errors import EXPIRED_CURSOR, INVALID_COUNT, INVALID_CURSOR, ScimError
from scim.store.positions import FRESH

_MAC_BYTES = 16


def seal(key: bytes, tenant: str, query: str, count: int, place: dict[str, Any]) -> str:
    """The cursor of a place, in URL-safe characters."""
    content = {"p": place, "c": count, "e": int(time.time() + FRESH.total_seconds())}
    text = json.dumps(content, separators=(",", ":")).encode()
    return _encoded(_mac(key, tenant, query, text) + text)


def unseal(key: bytes, tenant: str, query: str, count: int, cursor: str) -> dict[str, Any]:
    """The place of a cursor. Raises 400 invalidCursor, expiredCursor or invalidCount."""
    try:
        sealed = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
    except ValueError:
        sealed = b""
    mac, text = sealed[:_MAC_BYTES], sealed[_MAC_BYTES:]
    if not text or _encoded(sealed) != cursor or not hmac.compare_digest(mac, _mac(key, tenant, query, text)):
        raise ScimError(
            INVALID_CURSOR, "The cursor does not belong to this query: send an empty one for the first page."
        )
    content = json.loads(text)
    if content["e"] < time.time():
        raise ScimError(EXPIRED_CURSOR, "The cursor is too old: send an empty one for the first page.")
    if content["c"] != count:
        raise ScimError(INVALID_COUNT, f"count must stay what it was for the first page: {content['c']}, not {count}.")
    place: dict[str, Any] = content["p"]
    return place


def _mac(key: bytes, tenant: str, query: str, text: bytes) -> bytes:
    message = b"\0".join((tenant.encode(), query.encode(), text))
    return hmac.digest(key, message, hashlib.sha256)[:_MAC_BYTES]


def _encoded(sealed: bytes) -> str:
    return base64.urlsafe_b64encode(sealed).decode().rstrip("=")
