"""Which operation a path and a method mean (RFC 7644 §3.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping

from scim.errors import METHOD_NOT_ALLOWED, NOT_FOUND, ScimError
from scim.http import Response
from scim.schema.registry import ResourceType
from scim.service import groups, resources, search
from scim.service.context import Context

_Operation = Callable[..., Awaitable[Response]]

_COLLECTION: dict[str, _Operation] = {"GET": search.search, "POST": resources.create}
_SINGLE: dict[str, _Operation] = {
    "GET": resources.read,
    "PUT": resources.replace,
    "PATCH": resources.modify,
    "DELETE": resources.delete,
}
_GROUPS: dict[_Operation, _Operation] = {
    resources.create: groups.create,
    resources.replace: groups.replace,
    resources.modify: groups.modify,
}
"""What a resource type with members does otherwise."""


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
        return await _operation(_COLLECTION, method, resource_type)(context, resource_type)
    return await _operation(_SINGLE, method, resource_type)(context, resource_type, segments[1])


def _operation(operations: Mapping[str, _Operation], method: str, resource_type: ResourceType) -> _Operation:
    if method not in operations:
        allow = ", ".join(operations)
        raise ScimError(METHOD_NOT_ALLOWED, f"{method} is not allowed here; use {allow}.", {"Allow": allow})
    operation = operations[method]
    return _GROUPS.get(operation, operation) if resource_type.members else operation
