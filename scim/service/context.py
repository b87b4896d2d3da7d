"""What an operation works with: the caller's tenant, the request, and the parts that all requests share."""

from __future__ import annotations

from dataclasses import dataclass

from scim.http import Request, Response
from scim.schema.projection import Projection
from scim.schema.registry import Registry, ResourceType
from scim.schema.validation import Document
from scim.settings import Settings
from scim.store.resources import Resources, Stored


@dataclass(frozen=True, slots=True)
class Context:
    """One authenticated request. Whatever is read or written stays in `tenant`."""

    request: Request
    tenant: str
    settings: Settings
    registry: Registry
    resources: Resources

    @property
    def base_url(self) -> str:
        """The tenant URL for locations and references."""
        return self.settings.public_url or self.request.base_url

    def body(self) -> object:
        return self.request.json(self.settings.max_body_bytes, self.settings.max_json_depth)

    def location(self, resource_type: ResourceType, id: str) -> str:
        return f"{self.base_url}{resource_type.document.endpoint}/{id}"

    def resource(self, resource_type: ResourceType, stored: Stored) -> Document:
        """The whole resource (RFC 7643 §3): the document with schemas, id, meta and the $ref of what it refers to."""
        extensions = [name for name in stored.document if name[:4].lower() == "urn:"]
        meta = {
            "resourceType": resource_type.name,
            "created": stored.created,
            "lastModified": stored.modified,
            "location": self.location(resource_type, stored.id),
            "version": stored.version,
        }
        schemas = [resource_type.core.id, *extensions]
        return {"schemas": schemas, "id": stored.id, **stored.document, "meta": meta}

    def response(
        self, resource_type: ResourceType, stored: Stored, projection: Projection, status: int = 200
    ) -> Response:
        """The resource as a response, with Location and ETag."""
        resource = self.resource(resource_type, stored)
        headers = {"Location": resource["meta"]["location"], "ETag": stored.version}
        return Response(status, projection.apply(resource), headers)
