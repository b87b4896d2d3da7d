"""From an Authorization header to the connection that may act (RFC 6750).

What somebody made up is refused by its seal or its signature, before anything is looked up for it. What a caller learns
about a connection (that it expired, is paused, may only read) it learns only with a credential of it: everybody else
gets the same answer, whatever they send and whatever there is.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from scim import told, trace
from scim.clock import show_time
from scim.errors import FORBIDDEN, UNAUTHORIZED, UNAVAILABLE, Reason, ScimError
from scim.security.connections import ENTRA_PREFIX, Connection, Credential
from scim.security.keys import fingerprint, matches, parse_key
from scim.security.security import Security
from scim.security.trust import GUID

_REALM = 'Bearer realm="scim"'
_MAX_TOKEN = 8192
"""Characters; Entra's own tokens have some 2,000, ours under 500."""
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_PAUSE = {"Retry-After": "3600"}


async def authenticate(headers: Mapping[str, str], security: Security, *, reads: bool) -> Connection:
    """The caller's connection, which is a customer's, for a request that `reads` or writes.

    Raises 401 with WWW-Authenticate; 403 where a read-only connection writes, and for an operator's; 503 where it is
    paused (Entra tries again, and would stop provisioning on a 403); SecretsUnavailable where the connection or a
    key cannot be looked up."""
    connection, credential = await identify(headers, security)
    admit(connection, credential, security)
    if connection.operator is not None:
        raise ScimError(FORBIDDEN, told.OPERATORS_CONNECTION.format(name=connection.name), reason="wrong-kind")
    if connection.access == "read" and not reads:
        raise ScimError(FORBIDDEN, told.READ_ONLY.format(name=connection.name), reason="read-only")
    note_use(connection, credential, security)
    return connection


async def identify(headers: Mapping[str, str], security: Security) -> tuple[Connection, Credential | None]:
    """The connection of the caller and its credential, which may have ended. Raises 401 and SecretsUnavailable."""
    token = _token(headers.get("authorization", ""))
    if len(token) > _MAX_TOKEN:
        raise _unknown("malformed")
    if _JWT.fullmatch(token):
        connection, credential = await _by_jwt(token, security)
    else:
        connection, credential = await _by_key(token, security)
    trace.proven(connection.name, connection.tenant, used_id(connection, credential))
    return connection, credential


def admit(connection: Connection, credential: Credential | None, security: Security) -> None:
    """Refuse what has ended with 401, and what is paused with 503."""
    if (fault := tell_ended(connection, credential, security)) is not None:
        raise _refused(*fault)
    trace.admit()
    if connection.paused is not None:
        raise ScimError(
            UNAVAILABLE,
            told.PAUSED.format(name=connection.name, at=show_time(connection.paused)),
            _PAUSE,
            reason="paused",
        )


def note_use(connection: Connection, credential: Credential | None, security: Security) -> None:
    """Note that the credential was used. Returns at once."""
    security.usage.note(connection, used_id(connection, credential), connection.ends(credential))


async def _by_key(token: str, security: Security) -> tuple[Connection, Credential]:
    issued = parse_key(token)
    if issued is None or not await security.sealing.holds(issued.text, issued.seal):
        raise _unknown("malformed")
    connection = await security.connections.get(issued.connection, lambda known: knows(known, token))
    note(connection)
    credential = key_of(connection, token) if connection else None
    if connection is None or credential is None:
        fault = tell_revoked(connection, token, security) if connection else None
        raise _refused(*fault) if fault else _unknown("unknown")
    if connection.kind != "api-key":
        trace.proven(connection.name, connection.tenant, credential.id)
        raise _refused(
            told.CLIENT_SECRET.format(name=connection.name),
            "wrong-kind",
        )
    return connection, credential


async def _by_jwt(token: str, security: Security) -> tuple[Connection, Credential | None]:
    from scim.security import access_tokens

    if access_tokens.type_of(token) != access_tokens.TYPE:
        return await _by_entra_token(token, security), None
    claims = await security.tokens.read(token)
    if claims is None:
        raise _unknown("unknown")
    if claims.expired(datetime.now(UTC)):
        raise _refused(told.ACCESS_TOKEN_EXPIRED.format(at=show_time(claims.expires)), "expired")
    connection = await security.connections.get(claims.connection, claims.suit)
    note(connection)
    if connection is None or not claims.suit(connection):
        if connection is not None:
            trace.proven(connection.name, connection.tenant, claims.credential)
            security.usage.tell_revoked(connection, claims.credential)
        raise _refused(
            f"The credential of connection {claims.connection} that this access token was got with is gone: get a new "
            "token with one that is in force.",
            "revoked",
        )
    credential = next((key for key in connection.keys if key.id == claims.credential), None)
    return connection, credential


async def _by_entra_token(token: str, security: Security) -> Connection:
    """The connection of a token that Entra signed: only then does it name a tenant to look for."""
    from scim.security.assertions import Rejected

    try:
        tenant_id = (await security.assertions.signed(token, security.entra_keys)).get("tid")
    except Rejected as reason:
        raise _unknown_entra(reason.reason) from None
    if not isinstance(tenant_id, str) or not GUID.fullmatch(tenant_id):
        raise _unknown_entra("malformed")
    connection = await security.connections.get(f"{ENTRA_PREFIX}{tenant_id}", lambda known: known.kind == "entra")
    if connection is None or connection.kind != "entra" or connection.trust is None:
        raise _unknown_entra("unknown")
    note(connection)
    try:
        await security.assertions.check(token, connection.trust)
    except Rejected as reason:
        if not reason.proven:
            raise _unknown_entra(reason.reason) from None
        trace.proven(connection.name, connection.tenant, connection.trust.id)
        raise _refused(f"The token that Entra issued is refused: {reason}.", reason.reason) from None
    return connection


def note(connection: Connection | None) -> None:
    """For the request's log line: whose caller is refused, if it is."""
    if connection is not None:
        trace.claims(connection.name)


def key_of(connection: Connection, key: str) -> Credential | None:
    """The credential of the connection that `key` is; in constant time, whichever of them it is."""
    found = [credential for credential in connection.keys if matches(key, credential.value)]
    return found[0] if found else None


Fault = tuple[str, Reason]
"""Why a caller is refused: what it is told, and what the log is."""


def revoked(connection: Connection, key: str) -> Fault | None:
    """What to tell whoever has a key that was revoked; None if `key` is none."""
    at = [old.at for old in connection.revoked_keys if matches(key, old.value)]
    if not at:
        return None
    text = told.CREDENTIAL_REPLACED if _is_usable(connection) else told.CREDENTIAL_REVOKED
    return text.format(name=connection.name, at=show_time(at[0])), "revoked"


def _is_usable(connection: Connection) -> bool:
    """Whether a credential of the connection is in force."""
    return any(ended(connection, key) is None for key in connection.keys)


def tell_revoked(connection: Connection, key: str, security: Security) -> Fault | None:
    """The same, and an event: whoever has a key that was revoked may have stolen it."""
    fault = revoked(connection, key)
    if fault is not None:
        credential = fingerprint(key)
        trace.proven(connection.name, connection.tenant, credential)
        security.usage.tell_revoked(connection, credential)
    return fault


def knows(connection: Connection, key: str) -> bool:
    """Whether `key` is a credential of the connection, or was one."""
    return key_of(connection, key) is not None or revoked(connection, key) is not None


def ended(connection: Connection, credential: Credential | None) -> Fault | None:
    """Why a connection, or a credential of it, is over; None if both are in force."""
    if connection.revoked is not None:
        return told.CONNECTION_REVOKED.format(name=connection.name, at=show_time(connection.revoked)), "revoked"
    ends = connection.ends(credential)
    if ends is not None and datetime.now(UTC) >= ends:
        text = told.CONNECTION_EXPIRED if ends == connection.expires else told.CREDENTIAL_EXPIRED
        return text.format(name=connection.name, at=show_time(ends)), "expired"
    return None


def used_id(connection: Connection, credential: Credential | None) -> str:
    """What a credential is called where its use is noted."""
    if credential is not None:
        return credential.id
    assert connection.trust is not None
    return connection.trust.id


def tell_ended(connection: Connection, credential: Credential | None, security: Security) -> Fault | None:
    """The same, and an event if it was revoked."""
    fault = ended(connection, credential)
    if fault is not None and fault[1] == "revoked":
        security.usage.tell_revoked(connection, used_id(connection, credential))
    return fault


def _token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ScimError(
            UNAUTHORIZED,
            told.SEND_TOKEN,
            {"WWW-Authenticate": _REALM},
            reason="malformed" if header.strip() else "missing",
        )
    token = token.strip()
    # Admins paste "Bearer <token>" into Entra's field, which then sends the word twice.
    return token[7:].strip() if token[:7].lower() == "bearer " else token


def _unknown(reason: Reason) -> ScimError:
    """The refusal of whoever shows nothing of ours: the same whatever there is, or it would tell."""
    return _refused(told.UNKNOWN_TOKEN, reason)


def _unknown_entra(reason: Reason) -> ScimError:
    """The same for whoever shows a token of another issuer, as Entra does if the admin entered none."""
    return _refused(told.ENTRA_TOKEN, reason)


def _refused(detail: str, reason: Reason) -> ScimError:
    return ScimError(UNAUTHORIZED, detail, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}, reason=reason)
