"""/tenants/{tenant}/scim: an operator's connection reads any of its tenants by SCIM, as the tenant's own ones do.

It reads, whatever its rights: what a tenant holds is its identity provider's, and a second writer would be undone by
it. A list that is empty because the tenant's name was mistyped would let a consumer delete everybody, so a tenant that
has nothing at all is a 404; one whose users have all gone keeps rows, and is an empty list.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from scim.errors import FORBIDDEN, NOT_FOUND, ScimError
from scim.http import Request, Response
from scim.schema.registry import Registry
from scim.security.connections import Connection
from scim.security.operators import require_right
from scim.service.context import Context
from scim.service.routes import route
from scim.settings import Settings
from scim.store.store import Store

if TYPE_CHECKING:
    from scim.policy.document import Policy

_NO_DOOR = "There is nothing at {path}: a tenant is read at {origin}/tenants/<tenant>/scim."
_READS_ONLY = (
    "Connection {name} only reads by SCIM, whatever its rights: users and groups of a tenant are written by the "
    "tenant's own connections. Use GET, HEAD, or POST to .search."
)
_NOTHING_THERE = (
    "There is nothing of tenant {tenant}: its name is mistyped, or none of its connections has written anything yet, "
    "or it was erased. It is no empty list, so that nobody takes a slip for a tenant without users."
)


async def read_tenant(
    request: Request,
    connection: Connection,
    settings: Settings,
    registry: Registry,
    store: Store,
    find_policy: Callable[[str], Awaitable[Policy | None]],
) -> Response:
    """Return the answer to a request of an operator's connection. Raises 403 for a write, and for what it may not
    reach; 404 for a tenant of which there is nothing."""
    tenant = request.tenant
    if tenant is None:
        origin = settings.find_origin(request.origin)
        raise ScimError(NOT_FOUND, _NO_DOOR.format(path=request.path[:200], origin=origin))
    if not request.reads:
        raise ScimError(FORBIDDEN, _READS_ONLY.format(name=connection.name), reason="read-only")
    require_right(connection, "read", tenant)
    context = Context(
        request=request,
        connection=connection.name,
        settings=settings,
        registry=registry,
        store=store.of(tenant),
        writes=False,
        policy=await find_policy(tenant) if registry.is_offered(request.segments) else None,
    )
    response = await route(context)
    if _is_empty(response) and not await store.knows(tenant):
        raise ScimError(NOT_FOUND, _NOTHING_THERE.format(tenant=tenant))
    return response


def _is_empty(response: Response) -> bool:
    """Return whether the answer is a list of nothing."""
    return isinstance(response.body, dict) and response.body.get("totalResults") == 0
