"""What we issue to clients: API keys, client secrets and client ids.

A key or secret is `scim_<connection>_<random><seal>`, under 200 characters; a client id that is used without a secret
of ours is `<connection>_<seal>`. Both name their connection, so checking them is one look-up whatever the number of
customers, and the seal lets a mistyped or made-up one be refused without any. The random part has 190 bits.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import string
from typing import NamedTuple

from scim.security.seals import LENGTH, Seal

PREFIX = "scim"
CONNECTION_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
"""Lower-case letters, digits and inner hyphens: what a Key Vault secret may be called, and no path character."""

_ALPHABET = string.digits + string.ascii_letters
_RANDOM_LENGTH = 32
_SEAL = rf"[0-9A-Za-z]{{{LENGTH}}}"
_KEY = re.compile(rf"({PREFIX}_({CONNECTION_NAME.pattern})_[0-9A-Za-z]{{{_RANDOM_LENGTH}}})({_SEAL})")
_CLIENT_ID = re.compile(rf"({CONNECTION_NAME.pattern})_({_SEAL})")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.IGNORECASE)


class Issued(NamedTuple):
    """What looks like something that we issued: whose it would be, and what the seal on it must be of."""

    connection: str
    text: str
    seal: str


def new_key(connection: str, seal: Seal) -> str:
    """Return a new random key for the connection of that name. ValueError for a name that cannot be one."""
    if not CONNECTION_NAME.fullmatch(connection):
        raise ValueError(f"{connection!r} is no connection name: use a-z, 0-9 and inner hyphens, 63 characters at most")
    random = "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM_LENGTH))
    text = f"{PREFIX}_{connection}_{random}"
    return text + seal.sign(text)


def create_client_id(connection: str, seal: Seal) -> str:
    """Return the client id of a connection whose clients have no secret of ours."""
    return f"{connection}_{seal.sign(_name_client(connection))}"


def parse_key(key: str) -> Issued | None:
    """Read a key; None if it cannot be one of ours."""
    match = _KEY.fullmatch(key)
    return None if match is None else Issued(match[2], match[1], match[3])


def parse_client_id(client_id: str) -> Issued | None:
    """Read a client id that carries a seal; None if it cannot be one of ours."""
    match = _CLIENT_ID.fullmatch(client_id)
    return None if match is None else Issued(match[1], _name_client(match[1]), match[2])


def matches(key: str, stored: str) -> bool:
    """Return whether `key` is the stored one, which is the key itself or `sha256:` and its hex digest. Constant
    time."""
    shown = key
    if _DIGEST.fullmatch(stored):
        shown, stored = digest(key), stored.lower()
    return hmac.compare_digest(shown.encode(), stored.encode())


def digest(key: str) -> str:
    """Return what may be kept in place of the key. A key has 190 random bits: no salt and no slow hash are needed."""
    return "sha256:" + hashlib.sha256(key.encode()).hexdigest()


def find_digest(stored: str) -> str:
    """Return the digest of a stored key, whichever way it is stored."""
    return stored.lower() if _DIGEST.fullmatch(stored) else digest(stored)


def fingerprint(stored: str) -> str:
    """Return eight hex digits that name a stored key and give nothing of it away."""
    return find_digest(stored)[7:15]


def is_storable(stored: str, connection: str) -> bool:
    """Return whether a configured value can be a key of that connection, or is the digest of one. Whether a key is
    sealed is not known here."""
    issued = parse_key(stored)
    return bool(_DIGEST.fullmatch(stored)) or (issued is not None and issued.connection == connection)


def _name_client(connection: str) -> str:
    return f"client {connection}"
