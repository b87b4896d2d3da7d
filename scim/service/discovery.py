"""Discovery (RFC 7644 §4, RFC 7643 §5 to §7): what this service can do, told from what it runs on.

The documents are made from the schemas that validate and the settings that bound, so they cannot drift. A filter on
them is refused with 403, as RFC 7644 §4 says.
"""

from __future__ import annotations

from typing import Any

from scim.errors import FORBIDDEN, NOT_FOUND, ScimError
from scim.http import Response
from scim.schema.model import Attribute, Schema
from scim.schema.registry import ResourceType
from scim.service import strict
from scim.service.context import Context
from scim.service.search import LIST_URN
from scim.store.positions import FRESH

CONFIG_URN = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"
RESOURCE_TYPE_URN = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
_OFFERED = {
    "roles": "urn:ietf:params:scim:schemas:core:1.0:Role",
    "entitlements": "urn:ietf:params:scim:schemas:core:1.0:Entitlement",
}
"""The schemas of draft-ietf-scim-roles-entitlements-01."""
SCHEMA_URN = "urn:ietf:params:scim:schemas:core:2.0:Schema"

Document = dict[str, Any]


async def read_service_provider_config(context: Context) -> Response:
    _refuse_filter(context)
    settings, may_write = context.settings, context.request.tenant is None
    body: Document = {
        "schemas": [CONFIG_URN],
        "patch": {"supported": may_write},
        "bulk": {
            "supported": may_write,
            "maxOperations": settings.max_bulk_operations,
            "maxPayloadSize": settings.max_bulk_bytes,
        },
        "filter": {"supported": True, "maxResults": settings.max_page_size},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": settings.page_size,
            "maxPageSize": settings.max_page_size,
            "cursorTimeout": int(FRESH.total_seconds()),
        },
        "authenticationSchemes": [
            {
                "type": "oauthbearertoken",
                "name": "Bearer token",
                "description": "A secret token in the Authorization header; it decides the tenant.",
                "specUri": "https://www.rfc-editor.org/info/rfc6750",
                "primary": True,
            },
            {
                "type": "oauth2",
                "name": "OAuth 2.0 client credentials",
                "description": "An access token for a client secret or for a signed assertion.",
                "specUri": "https://www.rfc-editor.org/info/rfc6749",
                "primary": False,
            },
        ],
        "meta": _build_meta(context, "ServiceProviderConfig", "ServiceProviderConfig"),
    }
    if (offered := _describe_offered(context)) is not None:
        body["RolesAndEntitlements"] = offered
    if context.strict and settings.max_page_size >= strict.LEAST_PAGE:
        body["interopProfileConformant"] = True
    return Response(200, body)


def _describe_offered(context: Context) -> Document | None:
    """Return what the draft of roles and entitlements has a client know; None unless its types are there."""
    urns = {catalog.resource_type.core.id for catalog in context.registry.catalogs}
    if not urns & {*_OFFERED.values()}:
        return None
    return {
        name: {
            "supported": urn in urns,
            f"multiple{name.capitalize()}Supported": True,
            "primarySupported": True,
            "typeSupported": True,
        }
        for name, urn in _OFFERED.items()
    }


async def list_resource_types(context: Context) -> Response:
    _refuse_filter(context)
    return _build_list([_describe_resource_type(context, t) for t in _list_types(context)])


async def read_resource_type(context: Context, name: str) -> Response:
    _refuse_filter(context)
    found = next((t for t in _list_types(context) if t.name.lower() == name.lower()), None)
    if found is None:
        known = ", ".join(t.name for t in _list_types(context))
        raise ScimError(NOT_FOUND, f"There is no resource type {name[:80]!r}; there are {known}.")
    return Response(200, _describe_resource_type(context, found))


async def list_schemas(context: Context) -> Response:
    _refuse_filter(context)
    return _build_list(
        [_describe_schema(context, schema, common) for schema, common in _collect_schemas(context).values()]
    )


async def read_schema(context: Context, urn: str) -> Response:
    _refuse_filter(context)
    found = _collect_schemas(context).get(urn.lower())
    if found is None:
        raise ScimError(NOT_FOUND, f"There is no schema {urn[:200]!r}; GET /Schemas lists them.")
    return Response(200, _describe_schema(context, *found))


def _list_types(context: Context) -> list[ResourceType]:
    """Return all resource types, those that are only read last."""
    return [*context.registry.resource_types, *(catalog.resource_type for catalog in context.registry.catalogs)]


def _collect_schemas(context: Context) -> dict[str, tuple[Schema, tuple[Attribute, ...]]]:
    """Return every schema in use by lower-case URN, with the common attributes that a client may map into it."""
    named = tuple(a for a in context.registry.common if a.name in ("id", "externalId"))
    found: dict[str, tuple[Schema, tuple[Attribute, ...]]] = {}
    for t in _list_types(context):
        found.setdefault(t.core.id.lower(), (t.core, named))
        for extension in t.extensions:
            found.setdefault(extension.id.lower(), (extension, ()))
    return found


def _describe_resource_type(context: Context, resource_type: ResourceType) -> Document:
    document = resource_type.document
    body = document.model_dump(by_alias=True, exclude={"storage", "values"})
    meta = _build_meta(context, "ResourceType", f"ResourceTypes/{document.id}")
    return {"schemas": [RESOURCE_TYPE_URN], **body, "meta": meta}


def _describe_schema(context: Context, schema: Schema, common: tuple[Attribute, ...]) -> Document:
    attributes = (*common, *schema.attributes)
    return {
        "schemas": [SCHEMA_URN],
        "id": schema.id,
        "name": schema.name,
        "description": schema.description,
        "attributes": [
            _describe_attribute(a) for a in (strict.describe_attribute(a) if context.strict else a for a in attributes)
        ],
        "meta": _build_meta(context, "Schema", f"Schemas/{schema.id}"),
    }


def _describe_attribute(attribute: Attribute) -> Document:
    """Return all characteristics spelled out, but no empty list: Entra takes a list that is there for one with
    values."""
    body = attribute.model_dump(by_alias=True, exclude={"sub_attributes"})
    body = {name: list(value) if isinstance(value, tuple) else value for name, value in body.items() if value != ()}
    if attribute.sub_attributes:
        body["subAttributes"] = [_describe_attribute(sub) for sub in attribute.sub_attributes]
    return body


def _build_meta(context: Context, resource_type: str, path: str) -> Document:
    return {"resourceType": resource_type, "location": f"{context.base_url}/{path}"}


def _build_list(resources: list[Document]) -> Response:
    number = len(resources)
    page = {"totalResults": number, "startIndex": 1, "itemsPerPage": number}
    return Response(200, {"schemas": [LIST_URN], **page, "Resources": resources})


def _refuse_filter(context: Context) -> None:
    if "filter" in context.request.query:
        raise ScimError(FORBIDDEN, "Discovery is not filtered: leave out the filter and read what is listed.")
