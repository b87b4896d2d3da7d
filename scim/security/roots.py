"""Roots: secrets of the service's own, from which keys are derived, and which of them is in use.

A kind of root (what signs access tokens, what seals credentials) is one list of a few. The newest that every process
must have seen is the one to use; the others go on checking what was made with them until they are taken off the list.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, TypeAdapter, ValidationError, field_validator

from scim.faults import find_fault

UNSEEN = timedelta(minutes=5)
"""A root that is younger may not have reached every process."""


class Root(BaseModel):
    """A root."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    id: str
    key: str
    """base64url of 32 bytes."""
    created: AwareDatetime

    @field_validator("key")
    @classmethod
    def _check_key(cls, key: str) -> str:
        if len(_decode(key)) != 32:
            raise ValueError("must be 32 bytes as base64url")
        return key

    def derive(self, text: str) -> bytes:
        """Return the 32 bytes that this root makes of a text (HMAC-SHA256), also of one that is not Unicode."""
        return hmac.new(_decode(self.key), text.encode(errors="surrogatepass"), hashlib.sha256).digest()


R = TypeVar("R", bound=Root)


def create_root(kind: type[R]) -> R:
    """Return a new random root."""
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return kind(id=secrets.token_hex(4), key=key, created=datetime.now(UTC))


def read_roots(text: str, kind: type[R], name: str) -> tuple[R, ...]:
    """Return the roots of a JSON array. ValueError, without any value of it, if it is no list of what `name` says."""
    try:
        return TypeAdapter(tuple[kind, ...]).validate_json(text)  # type: ignore[valid-type]
    except ValidationError as error:
        path, text = find_fault(error)
        known = ".".join(part for part in path if part.isdigit() or part in kind.model_fields)
        raise ValueError(f"is no list of {name}: {known or 'it'} {text}") from None


def write_roots(roots: Sequence[Root]) -> str:
    """Return the roots as a JSON array."""
    return json.dumps([root.model_dump(mode="json") for root in roots])


def find_current(roots: Sequence[R], now: datetime) -> R | None:
    """Return the newest root that every process has seen; the oldest if all are new; None if there is none."""
    ordered = sorted(roots, key=lambda root: root.created)
    seen = [root for root in ordered if now - root.created >= UNSEEN]
    return seen[-1] if seen else next(iter(ordered), None)


def _decode(key: str) -> bytes:
    return base64.urlsafe_b64decode(key + "=" * (-len(key) % 4))
