"""Seals: a keyed MAC in what we issue, so that what somebody made up is refused without a look-up.

Whoever has no seal root cannot make a credential that leads to a connection, whether it is there or not: a refusal of
what is not sealed reads nothing, keeps nothing and takes the same time whatever exists. A seal proves nothing else, and
lets nobody in. A root must stay on the list while something sealed with it is in use, so roots are replaced with a long
overlap: the operator's tool tells which are still needed.
"""

from __future__ import annotations

import hmac
import string
from collections.abc import Sequence
from datetime import UTC, datetime

from scim.security.roots import Root, create_root, find_current, read_roots, write_roots
from scim.security.secrets import Lookup, SecretsUnavailable

SECRET = "credential-seals"
"""The secret in Key Vault that holds the roots, as a JSON array."""
LENGTH = 10
"""Characters of a seal: one in 8 x 10^17 made-up ones is right, and then leads to one look-up."""
_ALPHABET = string.digits + string.ascii_letters


class Seal(Root):
    """A root that seals credentials."""

    def sign(self, text: str) -> str:
        """Return the seal of a text: letters and digits."""
        number = int.from_bytes(self.derive(f"seal {text}")[:16])
        digits = ""
        for _ in range(LENGTH):
            number, digit = divmod(number, len(_ALPHABET))
            digits += _ALPHABET[digit]
        return digits


class NoSeals(Exception):
    """There is no root to seal a token with: the operator made no connection with the tool."""


def find_sealer(text: str, seal: str, seals: Sequence[Seal]) -> Seal | None:
    """Return the root that sealed the text so; None if none did. In the same time, whichever it is."""
    shown = seal.encode(errors="surrogatepass")  # as text, compare_digest takes ASCII alone, and JSON may say anything
    found = [root for root in seals if hmac.compare_digest(root.sign(text).encode(), shown)]
    return found[0] if found else None


class Sealing:
    """Seals what is issued, and tells what was."""

    def __init__(self, roots: Lookup[tuple[Seal, ...]]) -> None:
        self.roots = roots

    async def seal(self, text: str) -> str:
        """Return the seal of a text, by the root that is in use. Raises SecretsUnavailable, and NoSeals."""
        root = find_current(await self.roots.get(SECRET) or (), datetime.now(UTC))
        if root is None:
            raise NoSeals("something was to be sealed, and there are no seals")
        return root.sign(text)

    async def holds(self, text: str, seal: str) -> bool:
        """Return whether the seal of a text is one of ours. Raises SecretsUnavailable if that cannot be told: while the
        vault is away, there may be a newer root that this process has not seen."""
        if find_sealer(text, seal, await self.roots.get(SECRET) or ()) is not None:
            return True
        if self.roots.failed(SECRET):
            raise SecretsUnavailable("the seals cannot be had")
        return False


def read_seals(text: str) -> tuple[Seal, ...]:
    """Return the roots of a JSON array. ValueError, without any value of it, if it is none."""
    return read_roots(text, Seal, "seals")


def write_seals(seals: Sequence[Seal]) -> str:
    """Return the roots as a JSON array."""
    return write_roots(seals)


def create_seal() -> Seal:
    """Return a new random root."""
    return create_root(Seal)
