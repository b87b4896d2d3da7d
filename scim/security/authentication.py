"""From an Authorization header to the connection that may act (RFC 6750)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from scim.errors import FORBIDDEN, UNAUTHORIZED, ScimError
from scim.security.connections import Connection, Connections
from scim.security.keys import connection_of, matches

_REALM = 'Bearer realm="scim"'


async def authenticate(headers: Mapping[str, str], connections: Connections, *, reads: bool) -> Connection:
    """The caller's connection for a request that `reads` or writes.

    Raises 401 with WWW-Authenticate, or 403 where a read-only connection writes.

    What a caller learns about a connection (that it expired, that it is read only) it learns only with the right key.
    """
    token = _token(headers.get("authorization", ""))
    name = connection_of(token)
    connection = await connections.get(name) if name else None
    if connection is None or not any([matches(token, key) for key in connection.keys]):  # a list: both are compared
        raise _refused("The secret token is not known here: copy it again, whole, or make a new one.", "invalid_token")
    now = datetime.now(UTC)
    if connection.expires is not None and connection.expired(now):
        when = f"{connection.expires.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        raise _refused(f"Connection {connection.name} expired on {when}: give it a later expiry.", "invalid_token")
    if connection.access == "read" and not reads:
        raise ScimError(FORBIDDEN, f"Connection {connection.name} may only read: use one whose access is write.")
    return connection


def _token(header: str) -> str:
    scheme, _, token = header.partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise _refused("Send the secret token in the header Authorization: Bearer <token>.")
    token = token.strip()
    # Admins paste "Bearer <token>" into Entra's field, which then sends the word twice.
    return token[7:].strip() if token[:7].lower() == "bearer " else token


def _refused(detail: str, error: str | None = None) -> ScimError:
    challenge = f'{_REALM}, error="{error}"' if error else _REALM
    return ScimError(UNAUTHORIZED, detail, {"WWW-Authenticate": challenge})
