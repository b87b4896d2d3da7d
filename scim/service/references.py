"""References to other resources, like a user's manager or an agent's owners, and who makes their `$ref`.

A reference is kept as the `value` alone where that is an id of ours: its `$ref` is made when the resource is shown, so
it is always our own absolute URL, whatever a client sent. A client may name a resource by the `$ref` alone, if that is
a URL below the tenant URL or relative to it; the value is then taken from it. A value that is not ours keeps the `$ref`
that it came with. Members and groups are edges, not references in this sense (edges.py shows them).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scim.schema.readers import is_empty
from scim.schema.registry import ReferenceNames, Registry, ResourceType
from scim.schema.validation import Document


@dataclass(frozen=True, slots=True)
class References:
    """References as the resources of a registry have them below a tenant URL (`base_url`, without a slash at its
    end)."""

    registry: Registry
    base_url: str

    def build(self, id: str) -> str | None:
        """Return the absolute URL of the resource of that id; None for an id that cannot be ours."""
        resource_type = self.registry.by_id(id)
        return f"{self.base_url}{resource_type.document.endpoint}/{id}" if resource_type else None

    def find_id(self, url: object) -> str | None:
        """Return the id of the resource that a URL names; None for a URL that is neither relative nor below the tenant
        URL, or does not end in a resource of ours."""
        if not isinstance(url, str):
            return None
        ours = url.lower().startswith(f"{self.base_url.lower()}/") or ("://" not in url and not url.startswith("//"))
        return self.registry.find_id(url) if ours else None

    def read_body(self, resource_type: ResourceType, body: object) -> object:
        """Return a POST's or PUT's body with a value in each reference that names one of our resources by its `$ref`
        alone."""
        return self._read_members(body, resource_type.named_references) if isinstance(body, dict) else body

    def _read_members(self, container: dict[str, object], names: ReferenceNames) -> dict[str, object]:
        changed = {
            name: self._read_member(value, names[name.lower()])
            for name, value in container.items()
            if isinstance(value, dict | list) and name.lower() in names
        }
        return {**container, **changed} if changed else container

    def _read_member(self, value: object, inside: ReferenceNames | None) -> object:
        if inside is None:
            return _change_each(value, self.with_value)
        return self._read_members(value, inside) if isinstance(value, dict) else value

    def with_value(self, element: object) -> object:
        """Return an element with the id for a value, if its `$ref` alone names one of our resources."""
        if not isinstance(element, dict):
            return element
        said = {name.lower(): item for name, item in element.items()}
        if not is_empty(said.get("value")) or not (id := self.find_id(said.get("$ref"))):
            return element
        rest = {name: item for name, item in element.items() if name.lower() not in ("value", "$ref")}
        return {"value": id, **rest}

    def drop_own(self, resource_type: ResourceType, document: Document) -> Document:
        """Return the document without the `$ref` of ids of ours: a client that sends back what it read changes
        nothing."""
        for urn, name in resource_type.references:
            container = document if urn is None else document.get(urn, {})
            if value := container.get(name):
                container[name] = _change_each(value, self._without_own)
        return document

    def _without_own(self, value: Document) -> Document:
        ours = "$ref" in value and self.registry.by_id(value.get("value", ""))
        return {inner: item for inner, item in value.items() if inner != "$ref"} if ours else value

    def add(self, resource_type: ResourceType, resource: Document) -> None:
        """Give each reference of a shown resource its `$ref`, if its value is an id of ours. The stored document
        is left as it is."""
        for urn, name in resource_type.references:
            container = resource if urn is None else resource.get(urn, {})
            if value := container.get(name):
                value = _change_each(value, self._with_ref)
                resource.update({name: value} if urn is None else {urn: {**container, name: value}})

    def _with_ref(self, value: Document) -> Document:
        reference = self.build(value["value"]) if "value" in value and "$ref" not in value else None
        return {**value, "$ref": reference} if reference else value


def _change_each(value: Any, change: Callable[[Any], Any]) -> Any:
    """Return a reference, or each of several, changed."""
    return [change(item) for item in value] if isinstance(value, list) else change(value)
