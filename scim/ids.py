"""Ids of resources: 120 random bits behind a prefix that tells the resource type."""

from __future__ import annotations

import base64
import re
import secrets

_ID = re.compile("[a-z]+-[a-z2-7]{24}")


def new_id(prefix: str) -> str:
    """Return a random id, never used before; `prefix` is that of its resource type."""
    random = base64.b32encode(secrets.token_bytes(15)).decode().lower()
    return f"{prefix}-{random}"


def is_id(text: str) -> bool:
    """Return whether a text has the form of our ids."""
    return _ID.fullmatch(text) is not None
