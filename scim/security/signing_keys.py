"""The roots that access tokens are signed with, and how they end.

Each day's key is derived from a root, so the key in use changes by itself, and one day's overlaps with the next. Roots
change by hand, with overlap too: a new one signs only when every process must have seen it, and the one before it goes
on verifying while a token of its may live. Then it ends by itself: whoever holds a root that was replaced can sign
nothing with it, whether it was taken off the list or not.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from scim.security.roots import UNSEEN, Root, create_root, read_roots, write_roots

SECRET = "token-signing-keys"
"""The secret in Key Vault that holds them, as a JSON array."""
LONGEST = timedelta(hours=6)
"""The longest life of an access token that the settings allow."""
OUTLIVED = UNSEEN + LONGEST + timedelta(minutes=10)
"""A root that was replaced longer ago has no living token, whatever the clocks of other processes say."""


class SigningKey(Root):
    """A root that signs access tokens."""

    def derive_for_day(self, day: int) -> bytes:
        """Return the key of that day, counted from 1970-01-01 UTC."""
        return self.derive(f"access token {day}")


class NoSigningKeys(Exception):
    """There is no key to sign a token with: the operator made no connection that needs one with the tool."""


def read_signing_keys(text: str) -> tuple[SigningKey, ...]:
    """Return the keys of a JSON array. ValueError, without any value of it, if it is none."""
    return read_roots(text, SigningKey, "signing keys")


def write_signing_keys(keys: Sequence[SigningKey]) -> str:
    """Return the keys as a JSON array."""
    return write_roots(keys)


def select_living(keys: Sequence[SigningKey], now: datetime) -> tuple[SigningKey, ...]:
    """Return the keys that a living token may be signed with, the oldest first: the newest, and each whose successor
    is younger than any token can be."""
    ordered = sorted(keys, key=lambda key: key.created)
    replaced = [old for old, successor in itertools.pairwise(ordered) if now - successor.created < OUTLIVED]
    return (*replaced, *ordered[-1:])


def rotate(keys: Sequence[SigningKey], *, at_once: bool = False) -> tuple[SigningKey, ...]:
    """Return the keys with a new one, and those before that may have a living token; `at_once`: the new one alone."""
    new = create_root(SigningKey)
    return (new,) if at_once else select_living((*keys, new), datetime.now(UTC))
