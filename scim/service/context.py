"""What an operation works with: the caller's tenant, the request, and the parts that all requests share."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from scim.body import read_body
from scim.budget import FEW, call
from scim.errors import FORBIDDEN, ScimError
from scim.http import Request
from scim.schema.registry import Registry, ResourceType
from scim.service import strict
from scim.service.references import References
from scim.settings import Settings
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
        """Return whether the connection may use a resource type."""
        return not self.types or resource_type.name in self.types

    def require_permitted(self, resource_type: ResourceType) -> None:
        """Raise 403 for a resource type that the connection may not use."""
        if not self.permits(resource_type):
            detail = _NOT_ITS_TYPE.format(name=self.connection, type=resource_type.name, types=", ".join(self.types))
            raise ScimError(FORBIDDEN, detail)

    async def read_body(self, resource_type: ResourceType | None = None) -> object:
        """Return the request's JSON. A resource with members may be larger than others."""
        body = self.data
        if body is None:
            settings = self.settings
            large = resource_type is not None and resource_type.members is not None
            limit = settings.max_group_body_bytes if large else settings.max_body_bytes
            body = await read_body(self.request.content(limit), settings.max_json_depth)
        if self.strict and resource_type is not None:
            size = len(self.request.body) // VALUE_BYTES if self.data is None else FEW + 1
            return await call(size, strict.check_body, self.request.method, body, resource_type)
        return body

    @property
    def references(self) -> References:
        """The references between the tenant's resources."""
        return References(self.registry, self.base_url)

    def of(self, resource_type: ResourceType) -> TypeContext:
        """Return the same request about resources of one type."""
        members = {each.name: getattr(self, each.name) for each in fields(Context)}
        return TypeContext(**members, resource_type=resource_type)


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeContext(Context):
    """An authenticated request about resources of one type."""

    resource_type: ResourceType
