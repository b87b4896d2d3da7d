"""How a stored resource is shown: the whole of it with `meta`, and the response that carries it (RFC 7643 §3)."""

from __future__ import annotations

from collections.abc import Sequence

from scim.http import Response, add_to_version
from scim.schema.projection import Projection
from scim.schema.validation import Document
from scim.service.context import TypeContext
from scim.store.resource_rows import Stored
from scim.text import is_urn


def build_location(context: TypeContext, id: str) -> str:
    """Return the absolute URL of the resource of that id."""
    return f"{context.base_url}{context.resource_type.document.endpoint}/{id}"


def build_resource(context: TypeContext, stored: Stored, edges: Sequence[Document] | None = None) -> Document:
    """Return the whole resource: its document with schemas, id, meta, the $ref of what it refers to and, if they were
    read, its members or groups."""
    resource_type = context.resource_type
    extensions = [name for name in stored.document if is_urn(name)]
    groups = [edge["value"] for edge in edges or ()] if resource_type.member_of else []
    meta = {
        "resourceType": resource_type.name,
        "created": stored.created,
        "lastModified": stored.modified,
        "location": build_location(context, stored.id),
        "version": add_to_version(stored.version, groups),
    }
    schemas = [resource_type.core.id, *extensions]
    resource = {"schemas": schemas, "id": stored.id, **stored.document, "meta": meta}
    context.references.add(resource_type, resource)
    if edges and (attribute := resource_type.edges):
        resource[attribute] = list(edges)
    return resource


def build_response(
    context: TypeContext,
    stored: Stored,
    projection: Projection,
    status: int = 200,
    edges: Sequence[Document] | None = None,
) -> Response:
    """Return the resource as a response, with Location and ETag."""
    resource = build_resource(context, stored, edges)
    headers = {"Location": resource["meta"]["location"], "ETag": resource["meta"]["version"]}
    return Response(status, projection.apply(resource), headers)
