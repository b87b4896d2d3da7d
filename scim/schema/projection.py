"""Which attributes a response carries: `attributes`, `excludedAttributes` and the `returned` characteristic.

RFC 7644 §3.9 and RFC 7643 §7: `always` cannot be excluded, `never` is never shown, `request` only when asked for.
Names that no schema knows are ignored, as Entra asks for its own mappings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from scim.errors import INVALID_VALUE, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import Declared, ResourceType
from scim.schema.validation import Document
from scim.text import is_urn

Selection = dict[tuple[str | None, str], set[str] | None]
"""(URN or None, attribute name) -> sub-attribute names, or None for the whole attribute. Name "" is a whole schema."""
_Rule = tuple[str, bool, frozenset[str] | None]
"""An attribute's name, whether it is shown, and which of its sub-attributes; None for one that has none."""
_MOST = 8192
"""Characters of parameters that are read."""


class Projection:
    """Bound to one request's parameters, used for each of its resources."""

    def __init__(self, resource_type: ResourceType, query: Mapping[str, str]) -> None:
        """Raise 400 invalidValue if both parameters are given (RFC 7644 §3.9 has them exclude each other), or if they
        name more than anybody reads."""
        self._type = resource_type
        asked = query.get("attributes") or "", query.get("excludedattributes") or ""
        if (size := sum(map(len, asked))) > _MOST:
            detail = f"attributes and excludedAttributes have {size} characters; at most {_MOST} are read. Name fewer."
            raise ScimError(INVALID_VALUE, detail)
        self._only, self._without = (_select_names(resource_type, text) for text in asked)
        self._rules: dict[str | tuple[str, str], _Rule] = {}
        self._written: set[tuple[str | None, str]] = set()
        if self._only and self._without:
            raise ScimError(INVALID_VALUE, "attributes and excludedAttributes exclude each other; send one of them.")

    @cached_property
    def _undeclared_names(self) -> dict[str, set[str]]:
        """What was asked for, or without, by URN; all in lower case."""
        names: dict[str, set[str]] = {}
        for urn, name in self._only or self._without:
            names.setdefault((urn or "").lower(), set()).add(name.lower())
            if urn and not name:  # right behind a version it may be an attribute's name
                head, _, last = urn.lower().rpartition(":")
                names.setdefault(head, set()).add(last)
        return names

    @property
    def given(self) -> bool:
        return bool(self._only or self._without)

    def note_written(self, names: Iterable[tuple[str | None, str]]) -> None:
        """Say what the request has written, as (URN or None, attribute): who writes an attribute that is returned on
        request gets it back."""
        self._written.update(names)
        self._rules.clear()

    def includes(self, name: str) -> bool:
        """Return whether a core attribute of that declared name can appear at all, so that it need not be read
        otherwise."""
        attribute = self._type.core_attributes[name.lower()]
        return self._find_shown(None, attribute)[0]

    def apply(self, resource: Document) -> Document:
        """Return the resource as the client gets it. What its schema does not know any more is not shown."""
        result: Document = {}
        for name, value in resource.items():
            rule = self._rules.get(name)
            if rule is None:
                if is_urn(name):
                    if container := self._show_container(name, value):
                        result[name] = container
                    continue
                attribute = self._type.core_attributes.get(name.lower())
                if attribute is None:
                    continue
                rule = self._rules[name] = self._build_rule(None, attribute)
            declared, shown, keep = rule
            if shown and (keep is None or (value := _keep_subs(value, keep))):
                result[declared] = value
        return result

    def _find_shown(self, urn: str | None, attribute: Attribute) -> tuple[bool, set[str] | None]:
        """Return whether an attribute is shown, and which of its sub-attributes (None: all)."""
        if attribute.hidden or attribute.returned == "always":
            return not attribute.hidden, None
        key = (urn, attribute.name)
        if attribute.returned == "request" and key in self._written and not self._only:
            return self._without.get(key, set()) is not None, None
        if self._only:
            if (urn, "") in self._only:
                return True, None
            return key in self._only, self._only.get(key)
        if attribute.returned == "request" or (urn, "") in self._without:
            return False, None
        return self._without.get(key, set()) is not None, None

    def _build_rule(self, urn: str | None, attribute: Attribute) -> _Rule:
        shown, subs = self._find_shown(urn, attribute)
        if attribute.type != "complex":
            return attribute.name, shown, None
        hidden = self._without.get((urn, attribute.name)) or set()
        return attribute.name, shown, frozenset(s.name for s in attribute.sub_attributes if _is_kept(s, subs, hidden))

    def _show_container(self, urn: str, value: Any) -> Any:
        attributes = self._type.extension_attributes.get(urn)
        if attributes is None:
            return self._show_undeclared(urn, value)
        container: Document = {}
        for name, item in value.items():
            rule = self._rules.get((urn, name))
            if rule is None:
                attribute = attributes.get(name.lower())
                if attribute is None:
                    continue
                rule = self._rules[urn, name] = self._build_rule(urn, attribute)
            declared, shown, keep = rule
            if shown and (keep is None or (item := _keep_subs(item, keep))):
                container[declared] = item
        return container

    def _show_undeclared(self, urn: str, value: Any) -> Any:
        """Return what is shown of an extension that nobody declared: its attributes go by their names alone."""
        asked = self._undeclared_names.get(urn.lower(), set())
        if self._only:
            return value if "" in asked else {n: v for n, v in value.items() if n.lower() in asked}
        return {} if "" in asked else {n: v for n, v in value.items() if n.lower() not in asked}


def _select_names(resource_type: ResourceType, text: str) -> Selection:
    """Return what a parameter names."""
    selection: Selection = {}
    for name in text.split(","):
        target = resource_type.resolve(name.strip()) if name.strip() else None
        if target is None:
            continue
        key = (target.urn, target.name)
        if not isinstance(target, Declared) or target.sub is None:
            selection[key] = None
        elif (subs := selection.setdefault(key, set())) is not None:
            subs.add(target.sub.name)
    if text.strip() and not selection:
        selection[(None, "\0")] = None  # only unknown names: nothing beyond what is always returned
    return selection


def _keep_subs(value: Any, keep: frozenset[str]) -> Any:
    """Return a complex value, or a list of them, with these sub-attributes alone."""
    if isinstance(value, list):
        return [kept for element in value if (kept := _select_subs(element, keep))]
    return _select_subs(value, keep)


def _is_kept(sub: Attribute, asked: set[str] | None, hidden: set[str]) -> bool:
    """Return whether a sub-attribute is shown; `asked` is None if the attribute is shown as a whole."""
    if sub.hidden or sub.returned == "always":
        return not sub.hidden
    if sub.returned == "request" and asked is None:
        return False
    return sub.name not in hidden and (asked is None or sub.name in asked)


def _select_subs(value: Document, keep: frozenset[str]) -> Document:
    return value if value.keys() <= keep else {name: item for name, item in value.items() if name in keep}
