"""Which operation a path and a method mean (RFC 7644 §3.2)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from importlib import import_module

from scim.errors import METHOD_NOT_ALLOWED, NOT_FOUND, NOT_IMPLEMENTED, ScimError
from scim.http import Response
from scim.schema.registry import ResourceType
from scim.service.context import Context
from scim.told import BEHIND_URL, NO_ADDRESS

_Operation = Callable[..., Awaitable[Response]]
_Methods = Mapping[str, str]
"""Operations by method, as module and function of this package. A cold start imports only what its request needs: all
of them take 7 of its 340 ms."""

_ROOT: dict[tuple[str, ...], _Methods] = {
    (): {"GET": "search.search_root"},
    (".search",): {"POST": "search.search_root_by_post"},
    ("serviceproviderconfig",): {"GET": "discovery.read_service_provider_config"},
    ("resourcetypes",): {"GET": "discovery.list_resource_types"},
    ("schemas",): {"GET": "discovery.list_schemas"},
    ("openapi.json",): {"GET": "openapi.read_openapi"},
    ("bulk",): {"POST": "routes.run_bulk"},
    ("me",): dict.fromkeys(["GET", "POST", "PUT", "PATCH", "DELETE"], "routes.refuse_me"),
}
_NAMED: dict[str, _Methods] = {
    "resourcetypes": {"GET": "discovery.read_resource_type"},
    "schemas": {"GET": "discovery.read_schema"},
}
_COLLECTION: _Methods = {"GET": "search.search", "POST": "resources.create"}
_SEARCH: _Methods = {"POST": "search.search_by_post"}
_SINGLE: _Methods = {
    "GET": "resources.read",
    "PUT": "resources.replace",
    "PATCH": "resources.modify",
    "DELETE": "resources.delete",
}
_CATALOG: _Methods = {"GET": "catalog.search"}
_CATALOG_SEARCH: _Methods = {"POST": "catalog.search_by_post"}
_CATALOG_VALUE: _Methods = {"GET": "catalog.read"}
"""Those of a type that is only read."""
_GROUPS = {
    "resources.create": "groups.create",
    "resources.replace": "groups.replace",
    "resources.modify": "groups.modify",
}
"""What a resource type with members does otherwise."""


async def run_bulk(context: Context) -> Response:
    """POST to /Bulk, whose operations come back here."""
    from scim.service.bulk import run_bulk

    return await run_bulk(context, route)


async def refuse_me(context: Context) -> Response:
    """Refuse any request to /Me (RFC 7644 §3.11)."""
    raise ScimError(NOT_IMPLEMENTED, "/Me needs a credential that names a user; this one names a connection.")


async def route(context: Context) -> Response:
    """Run the operation. Raises 404 for a path that is none, and 405 with Allow."""
    segments, method = context.request.segments, context.request.method
    names = tuple(segment.lower() for segment in segments)
    if names in _ROOT:
        return await _find_allowed(_ROOT[names], method)(context)
    if len(names) == 2 and names[0] in _NAMED:
        return await _find_allowed(_NAMED[names[0]], method)(context, segments[1])
    resource_type = context.registry.by_endpoint(segments[0])
    if resource_type is None and (catalog := context.registry.find_catalog(segments[0])) and len(segments) <= 2:
        context.require_permitted(catalog.resource_type)
        own, methods = context.of(catalog.resource_type), _CATALOG if len(segments) == 1 else _CATALOG_VALUE
        if names[1:] == (".search",):
            methods = _CATALOG_SEARCH
        return await _find_allowed(methods, method)(own, catalog, *segments[1:])
    if resource_type is None or len(segments) > 2 or (len(segments) == 2 and _is_endpoint(context, names[1])):
        raise _make_not_found(context)
    context.require_permitted(resource_type)
    own = context.of(resource_type)
    if len(segments) == 1:
        return await _find_operation(_COLLECTION, method, resource_type)(own)
    if names[1] == ".search":
        return await _find_allowed(_SEARCH, method)(own)
    return await _find_operation(_SINGLE, method, resource_type)(own, segments[1])


def _is_endpoint(context: Context, name: str) -> bool:
    """Return whether a path segment names what stands directly below the tenant URL, such as Users; no id does."""
    return ((name,) in _ROOT and name != ".search") or context.registry.by_endpoint(name) is not None


def _make_not_found(context: Context) -> ScimError:
    """Return the error for a path that is none: most often the tenant URL was entered with something behind it."""
    segments = context.request.segments
    path, url = "/".join([context.request.base_path, *segments])[:200], context.base_url
    if len(segments) > 1 and _is_endpoint(context, segments[1].lower()):
        return ScimError(NOT_FOUND, BEHIND_URL.format(path=path, extra=f"/{segments[0][:80]}", url=url))
    return ScimError(NOT_FOUND, NO_ADDRESS.format(path=path, url=url))


def _find_operation(methods: _Methods, method: str, resource_type: ResourceType) -> _Operation:
    name = _find_name(methods, method)
    return _import(_GROUPS.get(name, name) if resource_type.members else name)


def _find_allowed(methods: _Methods, method: str) -> _Operation:
    return _import(_find_name(methods, method))


def _find_name(methods: _Methods, method: str) -> str:
    if method not in methods:
        allow = ", ".join(methods).replace("GET", "GET, HEAD")
        raise ScimError(METHOD_NOT_ALLOWED, f"{method} is not allowed here; use {allow}.", {"Allow": allow})
    return methods[method]


def _import(name: str) -> _Operation:
    module, _, function = name.partition(".")
    operation: _Operation = getattr(import_module(f"scim.service.{module}"), function)
    return operation
