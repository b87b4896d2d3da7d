"""The service as an OpenAPI 3.1 document, made from the schemas that validate, so that the two cannot drift.

The service reads more than the document says (Entra's string booleans, one value for a list of one, unknown
attributes); what it answers is as the document says. openapi_schemas.py has the schemas.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from scim.http import CONTENT_TYPE, ROOT, TENANTS, Response
from scim.schema.registry import Registry, ResourceType
from scim.service.context import Context
from scim.service.openapi_feed import EVENT, build_feed_paths, read_event_schema
from scim.service.openapi_manage import build_manage_paths
from scim.service.openapi_schemas import (
    COUNT,
    ORDER,
    START,
    STRING,
    Json,
    build_array,
    build_messages,
    build_ref,
    build_schemas,
    name_schema,
)

_ERRORS = {
    400: "The request cannot be read or breaks a rule; scimType and detail say which.",
    401: "The credential is missing, wrong or no longer good.",
    403: "The credential does not allow it, or discovery was to be filtered.",
    404: "There is no such resource.",
    409: "A unique value is taken.",
    410: "The cursor is older than what is kept, or of a table that was restored; detail says how to begin anew.",
    412: "The resource is not at the version that the precondition names.",
    413: "The request is larger than this service reads or keeps.",
    415: "The body is of a type that is not read.",
    429: "The tenant sends too many requests; Retry-After says when to go on.",
    500: "The service failed; X-Request-Id finds the cause in its log.",
    503: "The service is away for a moment, paused or not configured; send again later.",
}
_ALWAYS = (401, 403, 429, 500, 503)
"""Any request may be answered so."""


async def read_openapi(context: Context) -> Response:
    """GET /openapi.json: 200 with the document."""
    of_operator = context.request.tenant is not None
    body = {**build_document(context.registry), "servers": [_describe_server(context)]}
    if (tenant := context.request.tenant) is not None:
        body["paths"] = _select_readable(body["paths"]) | build_manage_paths(context.origin, tenant)
        if context.settings.feed:
            body["paths"] |= build_feed_paths(context.origin)
            body["components"] = {
                **body["components"],
                "schemas": {**body["components"]["schemas"], EVENT: read_event_schema()},
            }
    body["components"] = {
        **body["components"],
        "securitySchemes": _build_security(context.origin, of_operator=of_operator),
    }
    return Response(200, body, {"Content-Type": "application/json"})


def _describe_server(context: Context) -> Json:
    """Return where the paths begin; an operator puts the tenant in."""
    tenant = context.request.tenant
    if tenant is None:
        return {"url": context.base_url}
    variable = {"default": tenant, "description": "The tenant that is read."}
    return {"url": f"{context.origin}/{TENANTS}/{{tenant}}/{ROOT}", "variables": {"tenant": variable}}


def _select_readable(paths: Json) -> Json:
    """Return the paths with the operations that an operator may use: those that read."""
    kept = {
        path: {name: each for name, each in item.items() if name in ("get", "parameters") or path.endswith("/.search")}
        for path, item in paths.items()
    }
    return {path: item for path, item in kept.items() if item.keys() - {"parameters"}}


@lru_cache(maxsize=8)
def build_document(registry: Registry) -> Json:
    """Return the document but for what depends on the address: `servers` and the security schemes. It is kept and
    shared, so nobody may change it."""
    types = registry.resource_types
    offered = [catalog.resource_type for catalog in registry.catalogs]
    schemas = {name: schema for each in (*types, *offered) for name, schema in build_schemas(each).items()}
    return {
        "openapi": "3.1.0",
        "info": {"title": "SCIM 2.0", "version": "2.0", "description": "RFC 7643, RFC 7644 and RFC 9865."},
        "security": [{"bearer": []}, {"clientCredentials": []}],
        "paths": {path: item for resource_type in types for path, item in _build_paths(resource_type).items()}
        | _select_readable({path: item for each in offered for path, item in _build_paths(each).items()})
        | _build_common_paths(types),
        "components": {
            "schemas": schemas | build_messages(types),
            "parameters": _build_parameters(),
            "responses": {str(status): _build_error(text) for status, text in _ERRORS.items()},
        },
    }


_SEARCH = ("filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "attributes", "excludedAttributes")
_SHOWN = ("attributes", "excludedAttributes")
_HEADERS: Json = {
    "Location": {"schema": STRING, "required": True, "description": "Where the resource is."},
    "ETag": {"schema": STRING, "required": True, "description": "Its version, meta.version."},
}


def _build_parameters() -> dict[str, Json]:
    """Return the parameters by name (RFC 7644 §3.4.2, §3.9 and §3.14, RFC 9865 §2)."""
    queries: dict[str, tuple[Json, str]] = {
        "filter": (STRING, 'Which resources, such as `userName eq "ada@example.com"`.'),
        "sortBy": (STRING, "The attribute to sort by; without it the order is that of the ids."),
        "sortOrder": (ORDER, "Ascending where nothing is said."),
        "startIndex": (START, "The first resource of the page, from 1."),
        "count": (COUNT, "How many resources a page has."),
        "cursor": (
            STRING,
            "Empty for the first page, then the nextCursor of the page before, in place of startIndex.",
        ),
        "attributes": (build_array(STRING), "The attributes to return; what is always returned comes too."),
        "excludedAttributes": (build_array(STRING), "The attributes not to return; not together with attributes."),
    }
    parameters: dict[str, Json] = {
        name: {"name": name, "in": "query", "schema": schema, "description": text}
        | ({"style": "form", "explode": False} if schema["type"] == "array" else {})
        | ({"allowEmptyValue": True} if name == "cursor" else {})
        for name, (schema, text) in queries.items()
    }
    for name, text in (("If-Match", "Only at this version."), ("If-None-Match", "Not at this version.")):
        parameters[name] = {"name": name, "in": "header", "schema": STRING, "description": text}
    parameters["id"] = {"name": "id", "in": "path", "required": True, "schema": {**STRING, "minLength": 1}}
    return parameters


def _build_paths(resource_type: ResourceType) -> dict[str, Json]:
    """Return the operations of one resource type."""
    name, endpoint = name_schema(resource_type), resource_type.document.endpoint
    sent, page = build_ref(f"{name}.input"), _build_answer(f"A page of {name}.", build_ref(f"{name}.page"))
    one = _build_answer(f"The {resource_type.name}.", build_ref(f"{name}.resource"), _HEADERS)
    unchanged: Json = {"304": {"description": "The client has this version.", "headers": {"ETag": _HEADERS["ETag"]}}}
    modified: Json = {"200": one}
    if resource_type.members:
        modified["204"] = {"description": "Done; ask for attributes to get them.", "headers": _HEADERS}
    links: Json = {
        method: {"operationId": f"{name}.{method}", "parameters": {"id": "$response.body#/id"}}
        for method in ("read", "replace", "modify", "delete")
    }
    conditions = (*_SHOWN, "If-Match", "If-None-Match")
    return {
        endpoint: {
            "get": _build_operation(f"{name}.list", _SEARCH, {"200": page}, (400,)),
            "post": _build_operation(
                f"{name}.create", _SHOWN, {"201": {**one, "links": links}}, (400, 409, 413, 415), sent
            ),
        },
        f"{endpoint}/.search": {
            "post": _build_operation(f"{name}.search", (), {"200": page}, (400, 413, 415), build_ref("SearchRequest"))
        },
        f"{endpoint}/{{id}}": {
            "parameters": [build_ref("id", "parameters")],
            "get": _build_operation(f"{name}.read", (*_SHOWN, "If-None-Match"), {"200": one, **unchanged}, (400, 404)),
            "put": _build_operation(f"{name}.replace", conditions, {"200": one}, _WRITING, sent),
            "patch": _build_operation(f"{name}.modify", conditions, modified, _WRITING, build_ref("PatchOp")),
            "delete": _build_operation(
                f"{name}.delete", conditions[2:], {"204": {"description": "It is gone."}}, (404, 412)
            ),
        },
    }


_WRITING = (400, 404, 409, 412, 413, 415)


def _build_common_paths(types: Iterable[ResourceType]) -> dict[str, Json]:
    """Return the paths of searches over all types, of bulk, and of what the service says of itself."""
    page = {"200": _build_answer("A page of resources of all types.", build_ref("AnyList"))}
    done = {"200": _build_answer("What came of each operation that was run.", build_ref("BulkResponse"))}
    paths: dict[str, Json] = {
        "/": {"get": _build_operation("list", _SEARCH, page, (400,))},
        "/.search": {"post": _build_operation("search", (), page, (400, 413, 415), build_ref("SearchRequest"))},
        "/Bulk": {"post": _build_operation("bulk", (), done, (400, 413, 415), build_ref("BulkRequest"))},
    }
    for path, schema, parameter in (
        ("/ServiceProviderConfig", "ServiceProviderConfig", None),
        ("/ResourceTypes", "ResourceTypeList", None),
        ("/ResourceTypes/{name}", "ResourceType", "name"),
        ("/Schemas", "SchemaList", None),
        ("/Schemas/{urn}", "Schema", "urn"),
    ):
        answer = {"200": _build_answer(f"The {schema}.", build_ref(schema))}
        paths[path] = {"get": _build_operation(f"read{schema}", (), answer, (404,) if parameter else ())}
        if parameter:
            known = [t.name for t in types] if parameter == "name" else [t.core.id for t in types]
            schema_of = {**STRING, "minLength": 1, "examples": known}
            paths[path]["parameters"] = [{"name": parameter, "in": "path", "required": True, "schema": schema_of}]
    described = {"200": _build_answer("This document.", {"type": "object"}, content_type="application/json")}
    paths["/openapi.json"] = {"get": _build_operation("readOpenApi", (), described, ())}
    return paths


def _build_operation(
    id: str, parameters: Iterable[str], answers: Json, errors: Iterable[int], body: Json | None = None
) -> Json:
    """Return one operation. JSON is read under both of its names."""
    operation: Json = {"operationId": id}
    if refs := [build_ref(name, "parameters") for name in parameters]:
        operation["parameters"] = refs
    if body is not None:
        content = {name: {"schema": body} for name in (CONTENT_TYPE, "application/json")}
        operation["requestBody"] = {"required": True, "content": content}
    refused = {str(status): build_ref(str(status), "responses") for status in sorted({*errors, *_ALWAYS})}
    return {**operation, "responses": {**answers, **refused}}


def _build_answer(text: str, schema: Json, headers: Json | None = None, *, content_type: str = CONTENT_TYPE) -> Json:
    answer: Json = {"description": text, "content": {content_type: {"schema": schema}}}
    return {**answer, "headers": headers} if headers else answer


def _build_error(text: str) -> Json:
    return _build_answer(text, build_ref("Error"))


def _build_security(origin: str, *, of_operator: bool) -> Json:
    described = "The token of an operator's connection." if of_operator else "A secret token; it decides the tenant."
    token = {"tokenUrl": f"{origin}/oauth2/token", "scopes": {}}
    return {
        "bearer": {"type": "http", "scheme": "bearer", "description": described},
        "clientCredentials": {"type": "oauth2", "flows": {"clientCredentials": token}},
    }
