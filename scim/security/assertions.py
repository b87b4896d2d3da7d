"""Signed tokens of other issuers, held against what a connection trusts (RFC 7519, RFC 8725).

The signature comes first and says who speaks. Issuers such as Entra sign for everybody with the same keys, so it is the
issuer, tenant and subject that make a token one of the connection's own: only its holder hears what else is wrong.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import jwt

from scim.errors import Reason
from scim.security.jwks import PublicKeys
from scim.security.trust import Trust

_ALGORITHM = "RS256"
LEEWAY = 60.0
"""Seconds by which the issuer's clock may differ from ours."""
_LONGEST = 25 * 3600.0
"""Seconds from `iat` to `exp` of a token that is taken: what was stolen must end (RFC 7523 §3 item 4 and 6). Entra
has the same limit for those of others; its own for managed identities live 24 hours, and are dated 5 minutes back."""
_LAST = 253_402_300_799
"""The last second of the year 9999, the last that can be told."""


class Rejected(Exception):
    """The token is not one that is trusted; the text says which rule it breaks.

    `proven` if the token is known to be of the connection's own client: only then is the rule told, or anybody could
    find out what there is."""

    def __init__(self, text: str, *, proven: bool = True, reason: Reason = "mistrusted") -> None:
        super().__init__(text)
        self.proven = proven
        self.reason = reason


class Assertions:
    """Checks tokens with the public keys of their issuers."""

    def __init__(self, keys: PublicKeys) -> None:
        self._keys = keys

    async def check(self, token: str, trust: Trust) -> dict[str, Any]:
        """Return the claims of a token that is all that `trust` says. Raises Rejected, and SecretsUnavailable if the
        issuer's keys cannot be had."""
        claims = await self.read_signed(token, trust.jwks_uri)
        _check_caller(claims, trust)
        check_times(claims)
        _check_audience(claims, trust)
        return claims

    async def read_signed(self, token: str, jwks_uri: str) -> dict[str, Any]:
        """Return the claims of a token that a key of `jwks_uri` signed, and nothing else of it checked. Raises
        Rejected, not proven, and SecretsUnavailable."""
        header = _read_header(token)
        if header.get("alg") != _ALGORITHM:
            raise Rejected(f"it is not signed with {_ALGORITHM}", proven=False)
        kid = header.get("kid")
        if not isinstance(kid, str):
            raise Rejected("its header has no kid", proven=False)
        key = await self._keys.get(jwks_uri, kid)
        if key is None:
            raise Rejected("its issuer has no key of that kid", proven=False)
        try:
            claims: dict[str, Any] = jwt.decode(token, key, [_ALGORITHM], options=_SIGNATURE_ALONE)
        except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
            raise Rejected("its signature is not right", proven=False) from None
        return claims


_SIGNATURE_ALONE: Any = {
    "verify_signature": True,
    **{f"verify_{claim}": False for claim in ("exp", "nbf", "iat", "aud", "iss", "sub", "jti")},
}


def read_expiry(claims: dict[str, Any]) -> datetime:
    """Return when a token that was checked ends."""
    return datetime.fromtimestamp(claims["exp"], tz=UTC)


def _read_header(token: str) -> dict[str, Any]:
    try:
        return jwt.get_unverified_header(token)
    except (jwt.InvalidTokenError, RecursionError):
        raise Rejected("it is no signed JWT", proven=False, reason="malformed") from None


def _check_caller(claims: dict[str, Any], trust: Trust) -> None:
    """Refuse a token that is not of the issuer, tenant and subject that are pinned."""
    if claims.get("iss") != trust.issuer:
        raise Rejected("its issuer (iss) is not the one that the connection names", proven=False)
    if trust.tenant_id is not None and claims.get("tid") != trust.tenant_id:
        raise Rejected("its tenant (tid) is not the one that the connection names", proven=False)
    subject = claims.get("sub")
    if not isinstance(subject, str) or trust.subject not in (None, subject):
        raise Rejected("its subject (sub) is not the one that the connection names", proven=False)


def check_times(claims: dict[str, Any]) -> None:
    """Refuse a token that is over, not begun, or good for longer than any should be."""
    now = time.time()
    issued, expires = read_moment(claims, "iat"), read_moment(claims, "exp")
    begins = read_moment(claims, "nbf") if "nbf" in claims else issued
    if expires <= now - LEEWAY:
        raise Rejected("it has expired", reason="expired")
    if max(issued, begins) > now + LEEWAY:
        raise Rejected("it is not valid yet: compare the clocks")
    if expires - issued > _LONGEST:
        raise Rejected(f"it is good for more than {_LONGEST / 3600:.0f} hours (iat to exp): have shorter ones issued")


def read_moment(claims: dict[str, Any], name: str) -> float:
    """Return a claim that is a time, in seconds since 1970 (RFC 7519 §2, NumericDate)."""
    if name not in claims:
        raise Rejected(f"it has no claim {name}")
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _LAST:  # NaN is not, either
        raise Rejected(f"its {name} is no time in seconds since 1970")
    return float(value)


def _check_audience(claims: dict[str, Any], trust: Trust) -> None:
    """Refuse a token that was issued for somebody else, or to another application."""
    if "aud" not in claims:
        raise Rejected("it has no claim aud")
    audiences = claims["aud"] if isinstance(claims["aud"], list) else [claims["aud"]]
    if not any(audience in audiences for audience in trust.audiences):
        raise Rejected("its audience (aud) is not the one that the connection names")
    # azp is what version 2 of Entra's tokens calls appid: it says nothing beside one.
    if trust.app_id is not None and claims.get("appid", claims.get("azp")) != trust.app_id:
        raise Rejected("its application (appid) is not Entra's provisioning service")
