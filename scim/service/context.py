"""What an operation works with: the caller's tenant, the request, and the parts that all requests share."""

from __future__ import annotations

from dataclasses import dataclass

from scim.http import Request, Response
from scim.schema.projection import Projection
from scim.schema.registry import Registry, ResourceType
from scim.schema.validation import Document
from scim.settings import Settings
from scim.store.members import Members
from scim.store.resources import Resources, Stored


@dataclass(frozen=True, slots=True)
class Context:
    """One authenticated request. Whatever is read or written stays in `tenant`."""

    request: Request
    tenant: str
    settings: Settings
    registry: Registry
    resources: Resources
    members: Members

    @property
    def base_url(self) -> str:
        """The tenant URL for locations and references."""
        return self.settings.public_url or self.request.base_url

    def body(self, resource_type: ResourceType) -> object:
        """The request's JSON. A resource with members may be larger than others."""
        settings = self.settings
        limit = settings.max_group_body_bytes if resource_type.members else settings.max_body_bytes
        return self.request.json(limit, settings.max_json_depth)

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
        resource = {"schemas": schemas, "id": stored.id, **stored.document, "meta": meta}
        for urn, name in resource_type.references:
            self._refer(resource, urn, name)
        return resource

    def _refer(self, resource: Document, urn: str | None, name: str) -> None:
        """Give a reference its $ref where its value is an id of ours and the client sent none."""
        container = resource if urn is None else resource.get(urn, {})
        value = container.get(name)
        if value and "value" in value and "$ref" not in value and (reference := self.reference(value["value"])):
            value = {**value, "$ref": reference}
            resource.update({name: value} if urn is None else {urn: {**container, name: value}})

    def reference(self, id: str) -> str | None:
        """The absolute URL of the resource of that id; None for an id that cannot be ours."""
        resource_type = self.registry.by_id(id)
        return self.location(resource_type, id) if resource_type else None

    def response(
        self,
        resource_type: ResourceType,
        stored: Stored,
        projection: Projection,
        status: int = 200,
        edges: Document | None = None,
    ) -> Response:
        """The resource as a response, with Location and ETag. `edges` are its members or groups, by attribute."""
        resource = {**self.resource(resource_type, stored), **(edges or {})}
        headers = {"Location": resource["meta"]["location"], "ETag": stored.version}
        return Response(status, projection.apply(resource), headers)
