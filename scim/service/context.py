"""What an operation works with: the caller's tenant, the request, and the parts that all requests share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from scim.body import read
from scim.budget import FEW, call
from scim.errors import FORBIDDEN, ScimError
from scim.http import Request, Response, version_with
from scim.schema.projection import Projection
from scim.schema.registry import Registry, ResourceType
from scim.schema.validation import Document
from scim.service import strict
from scim.service.references import References
from scim.settings import Settings
from scim.store.resource_rows import Stored
from scim.store.tenant_store import TenantStore

if TYPE_CHECKING:
    from scim.policy.document import Policy

_NOT_ITS_TYPE = (
    "Connection {name} is not for {type}: it is for {types}. Ask the operator of this service for another one, or take "
    "{type} out of the mappings."
)
VALUE_BYTES = 16
"""Bytes of a value in a body, at the least."""


@dataclass(frozen=True, slots=True)
class Context:
    """One authenticated request. `store` is that of the tenant: nothing else can be read or written."""

    request: Request
    connection: str
    settings: Settings
    registry: Registry
    store: TenantStore
    writes: bool = True
    """Whether the connection may write: a search of one that may not leaves no bookmark."""
    strict: bool = False
    """Whether the connection holds to the interoperability profile; see strict.py."""
    data: object | None = None
    """The body of an operation inside a bulk request."""
    types: tuple[str, ...] = ()
    """The resource types that the connection may use; all if there are none."""
    policy: Policy | None = None
    """What the vendor says of the tenant's users and groups; None if nothing, or if the request only reads."""
    new_id: str | None = None
    """The id that a bulk request has promised to a POST."""

    @property
    def tenant(self) -> str:
        """The name of the tenant."""
        return self.store.partition.name

    @property
    def origin(self) -> str:
        """Where our doors are: scheme, host, and the path before them if the public URL has one."""
        return self.settings.find_origin(self.request.origin)

    @property
    def base_url(self) -> str:
        """The tenant URL for locations and references; an operator's, if it asks."""
        return self.origin + self.request.base_path

    def permits(self, resource_type: ResourceType) -> bool:
        """Whether the connection may use a resource type."""
        return not self.types or resource_type.name in self.types

    def require_permitted(self, resource_type: ResourceType) -> None:
        """Raise 403 for a resource type that the connection may not use."""
        if not self.permits(resource_type):
            detail = _NOT_ITS_TYPE.format(name=self.connection, type=resource_type.name, types=", ".join(self.types))
            raise ScimError(FORBIDDEN, detail)

    async def read_body(self, resource_type: ResourceType | None = None) -> object:
        """The request's JSON. A resource with members may be larger than others."""
        body = self.data
        if body is None:
            settings = self.settings
            large = resource_type is not None and resource_type.members is not None
            limit = settings.max_group_body_bytes if large else settings.max_body_bytes
            body = await read(self.request.content(limit), settings.max_json_depth)
        if self.strict and resource_type is not None:
            size = len(self.request.body) // VALUE_BYTES if self.data is None else FEW + 1
            return await call(size, strict.check_body, self.request.method, body, resource_type)
        return body

    def build_location(self, resource_type: ResourceType, id: str) -> str:
        return f"{self.base_url}{resource_type.document.endpoint}/{id}"

    def build_resource(
        self, resource_type: ResourceType, stored: Stored, edges: Sequence[Document] | None = None
    ) -> Document:
        """The whole resource (RFC 7643 §3): the document with schemas, id, meta, the $ref of what it refers to and,
        where they were read, its members or groups."""
        extensions = [name for name in stored.document if ":" in name and name[:4].lower() == "urn:"]
        groups = [edge["value"] for edge in edges or ()] if resource_type.member_of else []
        meta = {
            "resourceType": resource_type.name,
            "created": stored.created,
            "lastModified": stored.modified,
            "location": self.build_location(resource_type, stored.id),
            "version": version_with(stored.version, groups),
        }
        schemas = [resource_type.core.id, *extensions]
        resource = {"schemas": schemas, "id": stored.id, **stored.document, "meta": meta}
        self.references.add(resource_type, resource)
        if edges and (attribute := resource_type.edges):
            resource[attribute] = list(edges)
        return resource

    @property
    def references(self) -> References:
        """The references between the tenant's resources."""
        return References(self.registry, self.base_url)

    def build_response(
        self,
        resource_type: ResourceType,
        stored: Stored,
        projection: Projection,
        status: int = 200,
        edges: Sequence[Document] | None = None,
    ) -> Response:
        """The resource as a response, with Location and ETag."""
        resource = self.build_resource(resource_type, stored, edges)
        headers = {"Location": resource["meta"]["location"], "ETag": resource["meta"]["version"]}
        return Response(status, projection.apply(resource), headers)
