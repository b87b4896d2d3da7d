"""Who may come in by the operator's doors: the vendor's own application, and nobody else.

A customer's credential shows nothing here: whoever has one is to get the answer of a path that does not exist, and this
module says so by returning None. Which tenants a connection reaches and what it may do there is told by the connection
alone, so an answer does not depend on whether a tenant exists.
"""

from __future__ import annotations

from collections.abc import Mapping

from scim import trace
from scim.errors import FORBIDDEN, NOT_FOUND, ScimError
from scim.security.authentication import admit, identify, note_use
from scim.security.connections import Connection, Operator, Right
from scim.security.keys import CONNECTION_NAME
from scim.security.security import Security

_NO_NAME = "No tenant is called {name!a}: names of tenants are a-z, 0-9 and inner hyphens, 63 characters at most."
_WITHOUT_RIGHT = (
    "Connection {name} has the rights {rights}, and this takes {right}: give it that with python -m scim connections "
    "grant {name} --rights {wanted}."
)
_OTHER_TENANT = (
    "Connection {name} does not reach tenant {tenant}: give it that tenant with python -m scim connections grant "
    "{name} --add-tenants {tenant}."
)


async def authenticate_operator(headers: Mapping[str, str], security: Security) -> Connection | None:
    """Return the caller's connection, which is an operator's; None if it is a customer's.

    Raises 401 with WWW-Authenticate for everybody who shows no credential in force; 503 where the connection is paused;
    SecretsUnavailable where it cannot be looked up."""
    connection, credential = await identify(headers, security)
    if connection.operator is None:
        trace.note_refusal("wrong-kind")
        return None
    admit(connection, credential, security)
    note_use(connection, credential, security)
    return connection


def require_right(connection: Connection, right: Right, tenant: str | None = None) -> None:
    """Refuse what an operator's connection may not: 403 if it lacks the right, or does not reach `tenant`, which is as
    the caller sent it; 404 if none can be called so. Without a tenant the right alone is asked for, and the caller
    shows what `Operator.reaches` leaves."""
    operator = require_operator(connection)
    if tenant is not None and not CONNECTION_NAME.fullmatch(tenant):
        raise ScimError(NOT_FOUND, _NO_NAME.format(name=tenant[:80]))
    if right not in operator.rights:
        rights, wanted = ", ".join(operator.rights), ",".join(sorted({*operator.rights, right}))
        detail = _WITHOUT_RIGHT.format(name=connection.name, rights=rights, right=right, wanted=wanted)
        raise ScimError(FORBIDDEN, detail, reason="no-right")
    if tenant is None:
        return
    if not operator.reaches(tenant):
        detail = _OTHER_TENANT.format(name=connection.name, tenant=tenant)
        raise ScimError(FORBIDDEN, detail, reason="no-right")
    trace.note_tenant(tenant)


def require_operator(connection: Connection) -> Operator:
    """Return what an operator's connection reaches and may do. ValueError for a customer's: its caller must not come
    here."""
    if connection.operator is None:
        raise ValueError("this connection is a customer's")
    return connection.operator
