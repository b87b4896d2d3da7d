"""Signed tokens of other issuers, held against what a connection trusts (RFC 7519, RFC 8725)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import jwt

from scim.errors import Reason
from scim.security.jwks import PublicKeys
from scim.security.trust import Trust

_ALGORITHM = "RS256"
_LEEWAY = 60.0
"""Seconds by which the issuer's clock may differ from ours."""


class Rejected(Exception):
    """The token is not one that is trusted; the text says which rule it breaks.

    `proven` where the signature is the issuer's: only then is the rule told, or anybody could find out what there
    is."""

    def __init__(self, text: str, *, proven: bool = True, reason: Reason = "mistrusted") -> None:
        super().__init__(text)
        self.proven = proven
        self.reason = reason


class Assertions:
    """Checks tokens with the public keys of their issuers."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys = keys

    async def check(self, token: str, trust: Trust) -> dict[str, Any]:
        """The claims of a token that is all that `trust` says. Raises Rejected, and Unavailable where the issuer's keys
        cannot be had."""
        header = _header(token)
        if header.get("alg") != _ALGORITHM:
            raise Rejected(f"it is not signed with {_ALGORITHM}", proven=False)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise Rejected("its header has no kid", proven=False)
        key = await self._keys.get(trust.jwks_uri, kid)
        if key is None:
            raise Rejected("its issuer has no key of that kid", proven=False)
        claims = _verified(token, key, trust)
        _pinned(claims, trust)
        return claims


def unverified(token: str) -> dict[str, Any]:
    """The claims of a token before any check, to find out what to hold it against; {} where it is no token."""
    try:
        claims: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    except jwt.InvalidTokenError:
        return {}
    return claims


def expiry(claims: dict[str, Any]) -> datetime:
    """When a token that was checked ends; as late as can be told where its issuer says later."""
    try:
        return datetime.fromtimestamp(int(claims["exp"]), tz=UTC)
    except (ValueError, OverflowError, OSError):
        return datetime.max.replace(tzinfo=UTC)


def _header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except jwt.InvalidTokenError:
        raise Rejected("it is no signed JWT", proven=False, reason="malformed") from None


def _verified(token: str, key: jwt.PyJWK, trust: Trust) -> dict[str, Any]:
    try:
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            [_ALGORITHM],
            audience=trust.audiences,
            issuer=trust.issuer,
            leeway=_LEEWAY,
            options={"require": ["exp", "iat", "iss", "aud", "sub"]},
        )
    except jwt.ExpiredSignatureError:
        raise Rejected("it has expired", reason="expired") from None
    except jwt.ImmatureSignatureError:
        raise Rejected("it is not valid yet: compare the clocks") from None
    except jwt.InvalidAudienceError:
        raise Rejected("its audience (aud) is not the one that the connection names") from None
    except jwt.InvalidIssuerError:
        raise Rejected("its issuer (iss) is not the one that the connection names") from None
    except jwt.MissingRequiredClaimError as error:
        raise Rejected(f"it has no claim {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError):
        raise Rejected("its signature is not right", proven=False) from None
    return claims


def _pinned(claims: dict[str, Any], trust: Trust) -> None:
    if trust.subject is not None and claims["sub"] != trust.subject:
        raise Rejected("its subject (sub) is not the one that the connection names")
    if trust.tenant_id is not None and claims.get("tid") != trust.tenant_id:
        raise Rejected("its tenant (tid) is not the one that the connection names")
    if trust.app_id is not None and trust.app_id not in (claims.get("appid"), claims.get("azp")):
        raise Rejected("its application (appid) is not Entra's provisioning service")
