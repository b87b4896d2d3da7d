"""API keys and client secrets: `scim_<connection>_<random><checksum>`, under 200 characters.

The key names its connection, so checking it is one lookup whatever the number of customers, and the checksum lets a
mistyped or invented key be refused without any. The random part has 190 bits; the checksum is no secret.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
import zlib

PREFIX = "scim"
CONNECTION_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Lower-case letters, digits and inner hyphens: what a Key Vault secret may be called, and no path character."""

_ALPHABET = string.digits + string.ascii_letters
_RANDOM_LENGTH = 32
_CHECKSUM_LENGTH = 6
_KEY = re.compile(
    rf"{PREFIX}_({CONNECTION_NAME.pattern})_([0-9A-Za-z]{{{_RANDOM_LENGTH}}})([0-9A-Za-z]{{{_CHECKSUM_LENGTH}}})"
)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


def new_key(connection: str) -> str:
    """A new random key for the connection of that name. Raises ValueError for a name that cannot be one."""
    if not CONNECTION_NAME.fullmatch(connection):
        raise ValueError(f"{connection!r} is no connection name: use a-z, 0-9 and inner hyphens, 63 characters at most")
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    return f"{PREFIX}_{connection}_{random}{_checksum(connection, random)}"


def connection_of(key: str) -> str | None:
    """The connection that a well-formed key names; None for anything that cannot be a key of ours."""
    match = _KEY.fullmatch(key)
    if match is None or match[3] != _checksum(match[1], match[2]):
        return None
    return match[1]


def matches(key: str, stored: str) -> bool:
    """Whether `key` is the stored one, which is the key itself or `sha256:` and its hex digest. Constant time."""
    shown = key
    if _DIGEST.fullmatch(stored):
        shown, stored = digest(key), stored.lower()
    return hmac.compare_digest(shown.encode(), stored.encode())


def digest(key: str) -> str:
    """What may be kept in place of the key. A key has 190 random bits: no salt and no slow hash are needed."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def digested(stored: str) -> str:
    """The digest of a stored key, whichever way it is stored."""
    return stored.lower() if _DIGEST.fullmatch(stored) else digest(stored)


def fingerprint(stored: str) -> str:
    """Eight hex digits that name a stored key and give nothing of it away."""
    return digested(stored)[7:15]


def is_storable(stored: str, connection: str) -> bool:
    """Whether a configured value is a key of that connection or the digest of one."""
    return bool(_DIGEST.fullmatch(stored)) or connection_of(stored) == connection


def _checksum(connection: str, random: str) -> str:
    number = zlib.crc32(f"{PREFIX}_{connection}_{random}".encode())
    digits = ""
    for _ in range(_CHECKSUM_LENGTH):
        number, digit = divmod(number, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
