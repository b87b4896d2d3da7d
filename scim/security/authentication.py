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
from scim.security.connections import ENTRA_PREFIX, Connection, Credential, Fault, Revoked
from scim.security.keys import parse_key
from scim.security.security import Security
from scim.security.trust import GUID

_REALM = 'Bearer realm="scim"'
_MAX_TOKEN = 8192
"""Characters; Entra's own tokens have some 2,000, ours under 500."""
_JWT = re.compile(r"[\w-]+\.[\w-]+\.[\w-]+", re.ASCII)
_PAUSE = {"Retry-After": "3600"}


async def authenticate(headers: Mapping[str, str], security: Security, *, reads: bool) -> Connection:
    """Return the caller's connection, which is a customer's, for a request that `reads` or writes.

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
    """Return the connection of the caller and its credential, which may have ended. Raises 401 and
    SecretsUnavailable."""
    token = _read_token(headers.get("authorization", ""))
    if len(token) > _MAX_TOKEN:
        raise _make_unknown("malformed")
    if _JWT.fullmatch(token):
        connection, credential = await _identify_by_jwt(token, security)
    else:
        connection, credential = await _identify_by_key(token, security)
    trace.note_credential(connection.name, connection.tenant, connection.name_credential(credential))
    return connection, credential


def admit(connection: Connection, credential: Credential | None, security: Security) -> None:
    """Refuse what has ended with 401, and what is paused with 503."""
    if (fault := find_fault(connection, credential, security)) is not None:
        raise _make_refusal(*fault)
    trace.note_admission()
    if connection.paused is not None:
        raise ScimError(
            UNAVAILABLE,
            told.PAUSED.format(name=connection.name, at=show_time(connection.paused)),
            _PAUSE,
            reason="paused",
        )


def note_use(connection: Connection, credential: Credential | None, security: Security) -> None:
    """Note that the credential was used. Returns at once."""
    security.usage.note(connection, connection.name_credential(credential), connection.find_end(credential))


class NotFound(Exception):
    """What was sent is no credential in force. `fault`: what its holder may be told, if it was one."""

    def __init__(self, reason: Reason, fault: Fault | None = None) -> None:
        super().__init__(reason)
        self.reason, self.fault = reason, fault


async def find_by_key(key: str, security: Security, client: str | None = None) -> tuple[Connection, Credential]:
    """Return whose API key or client secret this is: the connection, which may have ended, and the credential. It must
    be that of the connection `client`, if one is named. Raises NotFound and SecretsUnavailable."""
    issued = parse_key(key)
    named = issued is not None and client in (None, issued.connection)
    if issued is None or not named or not await security.sealing.holds(issued.text, issued.seal):
        raise NotFound("malformed")
    connection = await security.connections.get(issued.connection, lambda known: known.match(key) is not None)
    trace_caller(connection)
    credential = connection.match(key) if connection else None
    if connection is None or credential is None:
        raise NotFound("unknown")
    trace.note_credential(connection.name, connection.tenant, credential.id)
    if isinstance(credential, Revoked):  # whoever has it may have stolen it
        security.usage.tell_revoked(connection, credential.id)
        raise NotFound("revoked", connection.why_ended(credential))
    return connection, credential


async def _identify_by_key(token: str, security: Security) -> tuple[Connection, Credential]:
    try:
        connection, credential = await find_by_key(token, security)
    except NotFound as error:
        raise _make_refusal(*(error.fault or (told.UNKNOWN_TOKEN, error.reason))) from None
    if connection.kind != "api-key":
        raise _make_refusal(told.CLIENT_SECRET.format(name=connection.name), "wrong-kind")
    return connection, credential


async def _identify_by_jwt(token: str, security: Security) -> tuple[Connection, Credential | None]:
    from scim.security import access_tokens

    if access_tokens.read_type(token) != access_tokens.TYPE:
        return await _identify_by_entra_token(token, security), None
    claims = await security.tokens.read(token)
    if claims is None:
        raise _make_unknown("unknown")
    if claims.has_expired(datetime.now(UTC)):
        raise _make_refusal(told.ACCESS_TOKEN_EXPIRED.format(at=show_time(claims.expires)), "expired")
    connection = await security.connections.get(claims.connection, claims.match)
    trace_caller(connection)
    if connection is None or not claims.match(connection):
        if connection is not None:
            trace.note_credential(connection.name, connection.tenant, claims.credential)
            security.usage.tell_revoked(connection, claims.credential)
        raise _make_refusal(
            f"The credential of connection {claims.connection} that this access token was got with is gone: get a new "
            "token with one that is in force.",
            "revoked",
        )
    credential = next((key for key in connection.keys if key.id == claims.credential), None)
    return connection, credential


async def _identify_by_entra_token(token: str, security: Security) -> Connection:
    """Return the connection of a token that Entra signed: only then does it name a tenant to look for."""
    from scim.security.assertions import Rejected

    try:
        tenant_id = (await security.assertions.read_signed(token, security.entra_keys)).get("tid")
    except Rejected as reason:
        raise _make_unknown_entra(reason.reason) from None
    if not isinstance(tenant_id, str) or not GUID.fullmatch(tenant_id):
        raise _make_unknown_entra("malformed")
    connection = await security.connections.get(f"{ENTRA_PREFIX}{tenant_id}", lambda known: known.kind == "entra")
    if connection is None or connection.kind != "entra" or connection.trust is None:
        raise _make_unknown_entra("unknown")
    trace_caller(connection)
    try:
        await security.assertions.check(token, connection.trust)
    except Rejected as reason:
        if not reason.proven:
            raise _make_unknown_entra(reason.reason) from None
        trace.note_credential(connection.name, connection.tenant, connection.trust.id)
        raise _make_refusal(f"The token that Entra issued is refused: {reason}.", reason.reason) from None
    return connection


def trace_caller(connection: Connection | None) -> None:
    """Note for the request's log line whose caller is refused, if it is."""
    if connection is not None:
        trace.note_claimed_connection(connection.name)


def find_fault(connection: Connection, credential: Credential | None, security: Security) -> Fault | None:
    """Return why the connection or its credential is over; None if both are in force. Log an event if it was
    revoked."""
    fault = connection.why_ended(credential)
    if fault is not None and fault[1] == "revoked":
        security.usage.tell_revoked(connection, connection.name_credential(credential))
    return fault


def _read_token(header: str) -> str:
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


def _make_unknown(reason: Reason) -> ScimError:
    """Return the refusal of whoever shows nothing of ours: the same whatever there is, or it would tell."""
    return _make_refusal(told.UNKNOWN_TOKEN, reason)


def _make_unknown_entra(reason: Reason) -> ScimError:
    """Do the same for whoever shows a token of another issuer, as Entra does if the admin entered none."""
    return _make_refusal(told.ENTRA_TOKEN, reason)


def _make_refusal(detail: str, reason: Reason) -> ScimError:
    return ScimError(UNAUTHORIZED, detail, {"WWW-Authenticate": f'{_REALM}, error="invalid_token"'}, reason=reason)
