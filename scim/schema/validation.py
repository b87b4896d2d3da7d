"""From what a client sent to the canonical document that is stored.

A canonical document has declared names in their declared case, values of their declared types, at most one primary
element, and neither nulls nor empty strings, arrays and objects: for SCIM all of these mean "no value" (RFC 7643
§2.5). What the client may not set (readOnly) and what no schema knows is dropped; an extension that nobody declared is
kept as sent, since Entra admins map such attributes without telling the server. `schemas`, `id` and `meta` are not in
it: they follow from the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import ResourceType, Target
from scim.schema.values import cast, check_text, wrong_type

Document = dict[str, Any]
"""A resource's attributes as JSON data; extensions stand under their URN."""

_ROLE_KEYS = {"id", "value", "displayname", "display", "type", "primary", "description", "$ref"}


def canonical(body: object, resource_type: ResourceType) -> Document:
    """The document that a POST or PUT body means. Raises 400 invalidSyntax or invalidValue."""
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object: one resource.")
    _check_schemas(body)
    document: Document = {}
    seen: dict[str, str] = {}
    flat: list[tuple[Target, object]] = []
    for name, value in body.items():
        if (target := _member(name, value, resource_type)) is None:
            continue
        if seen.setdefault(target.path.lower(), name) != name:
            raise ScimError(INVALID_SYNTAX, f"{name} and {seen[target.path.lower()]} are one attribute; send it once.")
        if target.sub is not None:
            flat.append((target, value))
        else:
            _place(document, target, value, resource_type)
    for target, value in flat:  # "name.givenName" beside "name": the flat one is the more exact
        _place(document, target, value, resource_type)
    require(document, resource_type)
    return document


def _member(name: str, value: object, resource_type: ResourceType) -> Target | None:
    """What one member of a body stands for; None for what is dropped."""
    target = resource_type.resolve(name)
    if target is None:
        return None
    if target.attribute is None and target.name and isinstance(value, dict):
        return Target(name, "")  # an undeclared URN with an object is the extension, not an attribute of it
    if target.sub is not None and target.attribute is not None and target.attribute.multi_valued:
        return None
    return target


def _check_schemas(body: Document) -> None:
    schemas = next((value for name, value in body.items() if name.lower() == "schemas"), None)
    listed = schemas is None or (isinstance(schemas, list) and all(isinstance(urn, str) for urn in schemas))
    if not listed:
        raise ScimError(INVALID_SYNTAX, "schemas must be an array of schema URNs.")


def _place(document: Document, target: Target, value: object, resource_type: ResourceType) -> None:
    """Put one member of a body where it belongs; a whole extension is placed attribute by attribute."""
    if target.attribute is not None:
        if target.attribute.mutability == "readOnly" or (target.sub and target.sub.mutability == "readOnly"):
            return
        placed = canonical_value(value, target)
        if placed is not None:
            assign(document, target, placed)
    elif not target.name:
        _place_container(document, target.urn, value, resource_type)
    elif (kept := undeclared(value)) is not None:
        urn = own_name(document, target.urn or "")
        assign(document, Target(urn, own_name(document.get(urn, {}), target.name)), kept)


def _place_container(document: Document, urn: str | None, value: object, resource_type: ResourceType) -> None:
    name = urn or resource_type.core.id
    if empty(value):
        return
    declared = urn is None or urn in resource_type.extension_attributes
    if not isinstance(value, dict):
        if declared:
            raise ScimError(INVALID_VALUE, f"{name} must be an object of the schema's attributes.")
        return
    seen: dict[str, str] = {}
    for inner, item in value.items():
        if seen.setdefault(inner.lower(), inner) != inner:
            raise ScimError(
                INVALID_SYNTAX, f"{inner} and {seen[inner.lower()]} of {name} are one attribute; send it once."
            )
        target = resource_type.resolve(f"{name}:{inner}") if declared else Target(urn, inner)
        if target is not None and target.name:
            _place(document, target, item, resource_type)


def require(document: Document, resource_type: ResourceType) -> None:
    """Raise 400 invalidValue where a required attribute of the core schema has no value."""
    for attribute in resource_type.core.attributes:
        if attribute.required and attribute.mutability != "readOnly" and attribute.name not in document:
            raise ScimError(
                INVALID_VALUE,
                f"{attribute.name} is required and has no value; map a source attribute that is never empty.",
            )


def assign(document: Document, target: Target, value: object) -> None:
    """Set or, where the value is None, clear what `target` stands for. Empty containers do not stay."""
    container = document if target.urn is None else document.setdefault(target.urn, {})
    name = target.name
    if target.sub is not None:
        inner = dict(container.get(name) or {})
        _put(inner, target.sub.name, value)
        value = inner or None
    _put(container, name, value)
    if target.urn is not None and not container:
        del document[target.urn]


def _put(container: Document, name: str, value: object) -> None:
    if value is None:
        container.pop(name, None)
    else:
        container[name] = value


def canonical_value(value: object, target: Target) -> Any:
    """The canonical form of a value for `target` (a declared attribute or sub-attribute), None where it is no value."""
    attribute = target.sub or target.attribute
    assert attribute is not None
    return _compiled(attribute)(value, target.path)


def canonical_element(value: object, target: Target) -> Any:
    """The same for one element of a multi-valued attribute."""
    assert target.attribute is not None
    return _compiled(target.attribute, element=True)(value, target.path)


def empty(value: object) -> bool:
    """Whether a client's value means "no value" (RFC 7643 §2.5; Entra's tests clear with "" and null)."""
    return value is None or value == "" or value == []


def undeclared(value: object) -> object | None:
    """A value of an extension that nobody declared, as sent; None where it is no value."""
    return None if empty(value) or value == {} else value


def own_name(container: Document, name: str) -> str:
    """The name under which a container already has what nobody declared, in whatever case; else `name`."""
    return next((known for known in container if known.lower() == name.lower()), name)


Validator = Callable[[object, str], Any]
_validators: dict[tuple[int, bool], tuple[Attribute, Validator]] = {}


def _compiled(attribute: Attribute, element: bool = False) -> Validator:
    """The attribute's validator, made once: attributes live as long as the process, so their identity is the key."""
    key = (id(attribute), element)
    if key not in _validators:
        one = _complex(attribute) if attribute.type == "complex" else _simple(attribute)
        _validators[key] = (attribute, one if element or not attribute.multi_valued else _many(attribute, one))
    return _validators[key][1]


def _simple(attribute: Attribute) -> Validator:
    def validate(value: object, path: str) -> Any:
        return None if empty(value) else cast(value, attribute, path)

    return validate


def _complex(attribute: Attribute) -> Validator:
    subs = [(sub, _compiled(sub)) for sub in attribute.sub_attributes if sub.mutability != "readOnly"]
    known = {sub.name.lower(): (sub.name, validator) for sub, validator in subs}

    def validate(value: object, path: str) -> Any:
        if empty(value):
            return None
        if isinstance(value, list) and len(value) == 1 and not attribute.multi_valued:
            value = value[0]  # the manager of old Entra jobs: [{"$ref": …, "value": …}]
        if isinstance(value, str) and "value" in known:
            value = {"value": value}  # the manager of today's: the bare id
        if not isinstance(value, dict):
            raise wrong_type(path, attribute, value)
        if attribute.multi_valued and "display" in known:
            value = _role(value, path)
        result: Document = {}
        for name, item in value.items():
            if (found := known.get(name.lower())) is None:
                continue
            if found[0] in result:
                raise ScimError(INVALID_SYNTAX, f"{path}.{found[0]} appears twice in one value; send it once.")
            if (item := found[1](item, f"{path}.{found[0]}")) is not None:
                result[found[0]] = item
        return result or None

    return validate


def _many(attribute: Attribute, one: Validator) -> Validator:
    def validate(value: object, path: str) -> Any:
        if empty(value):
            return None
        elements = [one(item, path) for item in (value if isinstance(value, list) else [value])]
        return single_primary([element for element in elements if element is not None]) or None

    return validate


def single_primary(elements: list[Any], keep: int | None = None) -> list[Any]:
    """The elements with one primary at most (RFC 7643 §2.4): the one at index `keep`, else the first.

    Entra's default mappings may mark several; refusing the user for it would help nobody."""
    primaries = [
        i for i, element in enumerate(elements) if isinstance(element, dict) and element.get("primary") is True
    ]
    if len(primaries) < 2:
        return elements
    kept = keep if keep in primaries else primaries[0]
    return [{**e, "primary": False} if i in primaries and i != kept else e for i, e in enumerate(elements)]


def _role(value: Document, path: str) -> Document:
    """Entra's role expressions: `displayName` for `display`, and a whole role as JSON text inside `value`."""
    key = next((name for name in value if name.lower() == "value"), "")
    text = value.get(key)
    if isinstance(text, str) and text.startswith("{"):
        try:
            role = json.loads(text)
        except (ValueError, RecursionError):
            role = None
        if isinstance(role, dict) and isinstance(role.get("value"), str) and {k.lower() for k in role} <= _ROLE_KEYS:
            for item in role.values():
                check_text(item if isinstance(item, str) else "", f"{path}.value")
            value = {**{name: item for name, item in value.items() if name != key}, **role}
    names = {name.lower(): name for name in value}
    if "displayname" in names and "display" not in names:
        value = {("display" if name.lower() == "displayname" else name): item for name, item in value.items()}
    return value
