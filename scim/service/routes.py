"""Which operation a path and a method mean (RFC 7644 §3.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from scim.errors import METHOD_NOT_ALLOWED, NOT_FOUND, ScimError
from scim.http import Response
from scim.service import resources, search
from scim.service.context import Context

_Operation = Callable[..., Awaitable[Response]]

_COLLECTION = {"GET": search.search, "POST": resources.create}
_SINGLE = {
    "GET": resources.read,
    "PUT": resources.replace,
    "PATCH": resources.modify,
    "DELETE": resources.delete,
}


async def route(context: Context) -> Response:
    """Run the operation. Raises 404 for a path that is none, and 405 with Allow."""
    segments, method = context.request.segments, context.request.method
    resource_type = context.registry.by_endpoint(segments[0]) if segments else None
    if resource_type is None or len(segments) > 2:
        known = ", ".join(t.document.endpoint for t in context.registry.resource_types)
        path = "/".join(segments)[:200]
        raise ScimError(
            NOT_FOUND, f"There is nothing at /{path}. The tenant URL ends with /scim; below it are {known}."
        )
    if len(segments) == 1:
        return await _allowed(_COLLECTION, method)(context, resource_type)
    return await _allowed(_SINGLE, method)(context, resource_type, segments[1])


def _allowed(operations: Mapping[str, _Operation], method: str) -> _Operation:
    if method not in operations:
        allow = ", ".join(operations)
        raise ScimError(METHOD_NOT_ALLOWED, f"{method} is not allowed here; use {allow}.", {"Allow": allow})
    return operations[method]
