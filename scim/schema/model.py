"""Schemas and resource types as pydantic models of the documents of RFC 7643 §6, §7 and §8.7."""

from __future__ import annotations

from functools import cached_property
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic.alias_generators import to_camel

from scim.schema.readers import Reader, make_element_reader, make_reader

Type = Literal["string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"]


class _Document(BaseModel):
    model_config = ConfigDict(alias_generator=to_camel, frozen=True, extra="forbid")

    def change(self, **fields: Any) -> Self:
        """Return a copy with other values of these fields. What this one has cached is not in it."""
        copy = self.model_copy(update=fields)
        for name in copy.__dict__.keys() - type(self).model_fields.keys():
            del copy.__dict__[name]
        return copy


class Attribute(_Document):
    """One attribute with its characteristics (RFC 7643 §2.2, §7); the defaults are the RFC's."""

    name: str
    type: Type = "string"
    multi_valued: bool = False
    description: str = ""
    required: bool = False
    case_exact: bool = False
    mutability: Literal["readOnly", "readWrite", "immutable", "writeOnly"] = "readWrite"
    returned: Literal["always", "never", "default", "request"] = "default"
    uniqueness: Literal["none", "server", "global"] = "none"
    canonical_values: tuple[str, ...] = ()
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple[Attribute, ...] = ()

    @cached_property
    def read(self) -> Reader:
        """Return the canonical form of a client's value; None if it is no value. Raises 400 invalidValue."""
        return make_reader(self)

    @cached_property
    def read_element(self) -> Reader:
        """Do the same for one element of a multi-valued attribute."""
        return make_element_reader(self)

    @cached_property
    def _subs(self) -> dict[str, Attribute]:
        return {sub.name.lower(): sub for sub in self.sub_attributes}

    def sub(self, name: str) -> Attribute | None:
        """Return the sub-attribute of that name, in any case (RFC 7643 §2.1)."""
        return self._subs.get(name.lower())

    def is_value(self, name: str) -> bool:
        """Return whether a sub-attribute's name stands for the values themselves: `tags.value` of plain `tags` (RFC
        7643 §2.4)."""
        return self.multi_valued and self.type != "complex" and name.lower() == "value"

    @property
    def hidden(self) -> bool:
        """Whether no client ever gets to see a value: what may only be written is not shown either (RFC 7643 §7)."""
        return self.returned == "never" or self.mutability == "writeOnly"

    @property
    def must_have_value(self) -> bool:
        """Whether a client must give it a value."""
        return self.required and self.mutability != "readOnly"

    @cached_property
    def has_required(self) -> bool:
        """Whether a value of the attribute must have certain sub-attributes."""
        return any(sub.must_have_value for sub in self.sub_attributes)

    @cached_property
    def is_reference(self) -> bool:
        """Whether a value points at another resource: one `value` with its `$ref`, like manager or a member."""
        return self.type == "complex" and "$ref" in self._subs and "value" in self._subs


class Schema(_Document):
    """A schema document (RFC 7643 §7)."""

    id: str
    name: str
    description: str = ""
    attributes: tuple[Attribute, ...]


class SchemaExtension(_Document):
    schema_: str
    required: bool = False

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name.rstrip("_")))


class StorageHints(_Document):
    """What storage needs to know of a resource type."""

    id_prefix: str
    """What its ids start with."""
    lookup: tuple[str, ...] = ()
    """The attributes that get lookup rows."""
    members: str | None = None
    """The attribute that is kept as edges to its members."""
    member_of: str | None = None
    """The attribute that shows the edges of which a resource is the member."""


class ResourceTypeDocument(_Document):
    """A resource type (RFC 7643 §6), with our own `storage` or `values` member, which is never shown to a client."""

    id: str
    name: str
    endpoint: str
    description: str = ""
    schema_: str
    schema_extensions: tuple[SchemaExtension, ...] = ()
    storage: StorageHints
    """How its resources are stored."""
    values: tuple[dict[str, Any], ...] | None = Field(default=None, max_length=1000)
    """In place of storage: all resources there are, which clients can only read."""

    model_config = ConfigDict(alias_generator=lambda name: to_camel(name.rstrip("_")))

    @model_validator(mode="before")
    @classmethod
    def _stores_or_has_values(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("values") is None:
            return given
        if "storage" in given:
            raise ValueError("has storage and values: take one of the two out")
        return {**given, "storage": {"idPrefix": ""}}
