"""Which attributes a response carries: `attributes`, `excludedAttributes` and the `returned` characteristic.

RFC 7644 §3.9 and RFC 7643 §7: `always` cannot be excluded, `never` is never shown, `request` only when asked for.
Names that no schema knows are ignored, as Entra asks for its own mappings.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scim.errors import INVALID_VALUE, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import ResourceType
from scim.schema.validation import Document

Wanted = dict[tuple[str | None, str], set[str] | None]
"""(URN or None, attribute name) -> sub-attribute names, or None for the whole attribute. Name "" is a whole schema."""


class Projection:
    """Bound to one request's parameters, used for each of its resources."""

    def __init__(self, resource_type: ResourceType, query: Mapping[str, str]) -> None:
        """Raises 400 invalidValue where both parameters are given (RFC 7644 §3.9 has them exclude each other)."""
        self._type = resource_type
        self._only = self._names(query.get("attributes"))
        self._without = self._names(query.get("excludedattributes"))
        if self._only and self._without:
            raise ScimError(INVALID_VALUE, "attributes and excludedAttributes exclude each other; send one of them.")

    @property
    def given(self) -> bool:
        return bool(self._only or self._without)

    def includes(self, name: str) -> bool:
        """Whether a core attribute of that declared name can appear at all, so that it need not be read otherwise."""
        attribute = self._type.core_attributes[name.lower()]
        return self._shown(None, attribute)[0]

    def apply(self, resource: Document) -> Document:
        """The resource as the client gets it."""
        result: Document = {}
        for name, value in resource.items():
            if name in self._type.extension_attributes:
                container = self._container(name, value, self._type.extension_attributes[name])
                if container:
                    result[name] = container
            elif name.lower() in self._type.core_attributes:
                self._add(result, None, self._type.core_attributes[name.lower()], value)
            elif self._undeclared(name):
                result[name] = value
        return result

    def _names(self, text: str | None) -> Wanted:
        wanted: Wanted = {}
        for name in (text or "").split(","):
            target = self._type.resolve(name.strip()) if name.strip() else None
            if target is None:
                continue
            key = (target.urn, target.name)
            if target.sub is None:
                wanted[key] = None
            elif (subs := wanted.setdefault(key, set())) is not None:
                subs.add(target.sub.name)
        if (text or "").strip() and not wanted:
            wanted[(None, "\0")] = None  # only unknown names: nothing beyond what is always returned
        return wanted

    def _shown(self, urn: str | None, attribute: Attribute) -> tuple[bool, set[str] | None]:
        """Whether an attribute is shown, and which of its sub-attributes (None: all)."""
        if attribute.returned in ("always", "never"):
            return attribute.returned == "always", None
        key = (urn, attribute.name)
        if self._only:
            if (urn, "") in self._only:
                return True, None
            return key in self._only, self._only.get(key)
        if attribute.returned == "request" or (urn, "") in self._without:
            return False, None
        return self._without.get(key, set()) is not None, None

    def _add(self, result: Document, urn: str | None, attribute: Attribute, value: Any) -> None:
        shown, subs = self._shown(urn, attribute)
        if not shown:
            return
        hidden = self._without.get((urn, attribute.name)) or set()
        if attribute.type == "complex" and (subs is not None or hidden):
            value = self._subs(value, attribute, subs, hidden)
        if value not in ({}, []) or not subs:
            result[attribute.name] = value

    @staticmethod
    def _subs(value: Any, attribute: Attribute, subs: set[str] | None, hidden: set[str]) -> Any:
        keep = {
            sub.name
            for sub in attribute.sub_attributes
            if sub.returned == "always" or (sub.name not in hidden and (subs is None or sub.name in subs))
        }
        if isinstance(value, list):
            return [kept for e in value if (kept := {name: item for name, item in e.items() if name in keep})]
        return {name: item for name, item in value.items() if name in keep}

    def _container(self, urn: str, value: Document, attributes: Mapping[str, Attribute]) -> Document:
        container: Document = {}
        for name, item in value.items():
            self._add(container, urn, attributes[name.lower()], item)
        return container

    def _undeclared(self, urn: str) -> bool:
        """An undeclared extension is shown or hidden as a whole."""
        asked = {key.lower() for key, _ in (self._only or self._without) if key}
        return (urn.lower() in asked) if self._only else urn.lower() not in asked
