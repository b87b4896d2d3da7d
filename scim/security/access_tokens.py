"""Access tokens of our own (RFC 9068), which name the connection and the credential that they were got with.

Only this service reads them, so they are signed with a shared key (HS256). A token says nothing that is taken on trust:
the connection is looked up for every request, so revoking it, or the credential, ends its tokens within a minute.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt

from scim.security.connections import Connection
from scim.security.roots import find_current
from scim.security.seals import Sealing
from scim.security.secrets import Lookup
from scim.security.signing_keys import SECRET, NoSigningKeys, SigningKey, select_living

SCOPE = "scim"
TYPE = "at+jwt"
"""The header's `typ` (RFC 9068 §2.1): it tells our tokens from anybody else's."""
_ISSUER = "azure-functions-scim"
_ALGORITHM = "HS256"


@dataclass(frozen=True, slots=True)
class Claims:
    """What one of our tokens says: whose it is, got with which credential, and whether its time is over."""

    connection: str
    tenant: str | None
    """None if the connection was an operator's: what was issued to one side is never good on the other."""
    credential: str
    expires: datetime

    def has_expired(self, now: datetime) -> bool:
        return now >= self.expires

    def match(self, connection: Connection) -> bool:
        """Return whether the connection still has the credential, and is the one that it was."""
        ids = [key.id for key in connection.keys] if connection.kind == "oauth" else []
        if connection.kind == "federation" and connection.trust is not None:
            ids = [connection.trust.id]
        return connection.tenant == self.tenant and self.credential in ids


class AccessTokens:
    """Gives out and reads access tokens of `minutes`.

    The name of a token's key is sealed, so a name that this process does not know is that of a newer key, or of one
    that ended: it looks again, and a token works wherever it is shown as soon as it is given out."""

    def __init__(self, keys: Lookup[tuple[SigningKey, ...]], sealing: Sealing, minutes: int) -> None:
        self._keys = keys
        self._sealing = sealing
        self.lifetime = timedelta(minutes=minutes)

    async def require_key(self) -> None:
        """Raise NoSigningKeys now, before something that can be used once is used up for a token."""
        if not await self._keys.get(SECRET):
            raise NoSigningKeys("an access token was asked for, and there are no signing keys")

    async def issue(self, connection: Connection, credential: str) -> str:
        """Return a token for that connection. Raises SecretsUnavailable, and NoSigningKeys or NoSeals if there are
        none."""
        now = datetime.now(UTC)
        root = find_current(await self._keys.get(SECRET) or (), now)
        if root is None:
            raise NoSigningKeys("an access token was asked for, and there are no signing keys")
        day = _find_day(now)
        key = f"{root.id}.{day}"
        kid = f"{key}.{await self._sealing.seal(_name_key(key))}"
        claims = {
            "iss": _ISSUER,
            "aud": SCOPE,
            "sub": connection.name,
            "client_id": connection.name,
            "scope": SCOPE,
            **({} if connection.tenant is None else {"tenant": connection.tenant}),
            "credential": credential,
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
        }
        return jwt.encode(claims, root.derive_for_day(day), _ALGORITHM, headers={"typ": TYPE, "kid": kid})

    async def read(self, token: str) -> Claims | None:
        """Return what a token of ours says, expired or not; None for any other. Raises SecretsUnavailable."""
        try:
            key, _, seal = str(jwt.get_unverified_header(token).get("kid")).rpartition(".")
        except (jwt.InvalidTokenError, RecursionError):
            return None
        if not await self._sealing.holds(_name_key(key), seal):
            return None
        root_id, _, day = key.rpartition(".")
        now = datetime.now(UTC)
        roots = await self._keys.get(SECRET, lambda roots: any(root.id == root_id for root in roots)) or ()
        root = next((root for root in select_living(roots, now) if root.id == root_id), None)
        if root is None or day not in _list_days(now):
            return None
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                root.derive_for_day(int(day)),
                [_ALGORITHM],
                audience=SCOPE,
                issuer=_ISSUER,
                options={"require": ["exp"], "verify_exp": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError:
            return None
        return Claims(
            claims["sub"], claims.get("tenant"), claims["credential"], datetime.fromtimestamp(claims["exp"], tz=UTC)
        )


def read_type(token: str) -> str | None:
    """Return the `typ` that a token's header claims; None if it is no token."""
    try:
        typ: str | None = jwt.get_unverified_header(token).get("typ")
    except (jwt.InvalidTokenError, RecursionError):
        return None
    return typ


def _name_key(key: str) -> str:
    """Return what the seal on the name of a key is of."""
    return f"kid {key}"


def _find_day(now: datetime) -> int:
    return int(now.timestamp()) // 86_400


def _list_days(now: datetime) -> list[str]:
    """Return the days whose keys a living token may have; another process's clock may be a little ahead."""
    return [str(_find_day(now) + difference) for difference in (-1, 0, 1)]
