"""Keys for apps that run here for a while: sealed with one root, which is made anew in each process.

An app takes them if its SCIM_SEALS is `SEALS`.
"""

from __future__ import annotations

from scim.security import keys
from scim.security.seals import create_seal, write_seals

SEAL = create_seal()
SEALS = write_seals((SEAL,))
"""The setting SCIM_SEALS, and the secret credential-seals."""


def new_key(connection: str) -> str:
    """Return a new key for the connection of that name."""
    return keys.new_key(connection, SEAL)
