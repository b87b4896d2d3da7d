"""From what a client sent to the canonical document that is stored.

A canonical document has declared names in their declared case, values of their declared types, at most one primary
element, and neither nulls nor empty strings, arrays and objects: for SCIM all of these mean "no value" (RFC 7643
§2.5). What the client may not set (readOnly) and what no schema knows is dropped; an extension that nobody declared is
kept as sent, since Entra admins map such attributes without telling the server. `schemas`, `id` and `meta` are not in
it: they follow from the rest.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from scim.errors import INVALID_SYNTAX, INVALID_VALUE, MUTABILITY, ScimError
from scim.schema.model import Attribute
from scim.schema.registry import ResourceType, Target
from scim.schema.values import cast, check_text, wrong_type

Document = dict[str, Any]
"""A resource's attributes as JSON data; extensions stand under their URN."""

Names = dict[str, str]
"""Names by their lower-case form."""

MAX_VALUES = 1000
"""Values of one multi-valued attribute."""
_ROLES = {"roles", "entitlements"}
"""The attributes whose values Entra may write as JSON text."""
_ROLE_KEYS = {"id", "value", "displayname", "display", "type", "primary", "description", "$ref"}


def canonical(body: object, resource_type: ResourceType) -> Document:
    """The document that a POST or PUT body means. Raises 400 invalidSyntax or invalidValue."""
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object: one resource.")
    _check_schemas(body)
    document: Document = {}
    seen: Names = {}
    names: Names = {}
    flat: list[tuple[Target, object]] = []
    for name, value in body.items():
        if (target := _member(name, value, resource_type)) is None:
            continue
        if seen.setdefault(target.path.lower(), name) != name:
            raise ScimError(INVALID_SYNTAX, f"{name} and {seen[target.path.lower()]} are one attribute; send it once.")
        if target.sub is not None:
            flat.append((target, value))
        else:
            _place(document, names, target, value, resource_type)
    for target, value in flat:  # "name.givenName" beside "name": the flat one is the more exact
        _place(document, names, target, value, resource_type)
    require(document, resource_type)
    bound(document, resource_type)
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


def _place(document: Document, names: Names, target: Target, value: object, resource_type: ResourceType) -> None:
    """Put one member of a body where it belongs; a whole extension is placed attribute by attribute."""
    if target.attribute is not None:
        if target.attribute.mutability == "readOnly" or (target.sub and target.sub.mutability == "readOnly"):
            return
        placed = canonical_value(value, target)
        if placed is not None:
            assign(document, target, placed)
    elif not target.name:
        _place_container(document, names, target.urn, value, resource_type)
    elif (kept := undeclared(value)) is not None:
        urn = names.setdefault((target.urn or "").lower(), target.urn or "")
        container = document.setdefault(urn, {})
        container[own_name(container, target.name)] = kept


def _place_container(
    document: Document, names: Names, urn: str | None, value: object, resource_type: ResourceType
) -> None:
    name = urn or resource_type.core.id
    declared = urn is None or urn in resource_type.extension_attributes
    if empty(value) or (not declared and not isinstance(value, dict)):
        return
    if not isinstance(value, dict):
        raise ScimError(INVALID_VALUE, f"{name} must be an object of the schema's attributes.")
    seen: Names = {}
    for inner in value:
        if seen.setdefault(inner.lower(), inner) != inner:
            raise ScimError(
                INVALID_SYNTAX, f"{inner} and {seen[inner.lower()]} of {name} are one attribute; send it once."
            )
    if not declared:
        known = names.setdefault(name.lower(), name)
        present: Document = document.get(known, {})
        spelled = {inner.lower(): inner for inner in present}
        new = {spelled.get(n.lower(), str(n)): v for n, v in value.items() if n and undeclared(v) is not None}
        assign_container(document, known, {**present, **new})
        return
    for inner, item in value.items():
        target = resource_type.resolve(f"{name}:{inner}")
        if target is not None and target.name:
            _place(document, names, target, item, resource_type)


def require(document: Document, resource_type: ResourceType, before: Document | None = None) -> None:
    """Raise 400 invalidValue where a required extension, attribute or sub-attribute has no value. An extension's
    attributes and an attribute's sub-attributes are required only where it is there.

    What was missing `before` may stay so: a schema that became stricter must not keep anybody from being disabled."""
    missing = set(_missing(document, resource_type))
    if missing and before is not None:
        missing -= set(_missing(before, resource_type))
    if missing:
        path = min(missing)
        raise ScimError(
            INVALID_VALUE, f"{path} is required and has no value; map a source attribute that is never empty."
        )


def _missing(document: Document, resource_type: ResourceType) -> Iterator[str]:
    yield from _absent(document, resource_type.core.attributes, "")
    for extension, schema in zip(resource_type.document.schema_extensions, resource_type.extensions, strict=True):
        if schema.id in document:
            yield from _absent(document[schema.id], schema.attributes, f"{schema.id}:")
        elif extension.required:
            yield schema.id


def _absent(container: Document, attributes: Iterable[Attribute], prefix: str) -> Iterator[str]:
    for attribute in attributes:
        value = container.get(attribute.name)
        if value is None:
            if attribute.required and attribute.mutability != "readOnly":
                yield prefix + attribute.name
        elif attribute.has_required:
            for element in value if isinstance(value, list) else [value]:
                yield from _absent(element, attribute.sub_attributes, f"{prefix}{attribute.name}.")


def bound(document: Document, resource_type: ResourceType) -> None:
    """Raise 400 invalidValue where an attribute has more values than a request can sensibly work on; members, which are
    not kept in the document, have no bound."""
    for name, value in document.items():
        if isinstance(value, list) and len(value) > MAX_VALUES and name != resource_type.members:
            raise ScimError(
                INVALID_VALUE, f"{name} has {len(value)} values; at most {MAX_VALUES} are kept. Send fewer."
            )
        if isinstance(value, dict) and name in resource_type.extension_attributes:
            bound(value, resource_type)


def hold_immutable(before: Document, after: Document, resource_type: ResourceType) -> None:
    """Raise 400 mutability where an immutable attribute that had a value has another one, or none (RFC 7644 §3.5)."""
    schemas = [(None, resource_type.core), *((extension.id, extension) for extension in resource_type.extensions)]
    for urn, schema in schemas:
        old, new = (document if urn is None else document.get(urn, {}) for document in (before, after))
        for attribute in schema.attributes:
            if attribute.mutability == "immutable" and attribute.name in old:
                if new.get(attribute.name) != old[attribute.name]:
                    raise immutable(attribute.name)


def immutable(name: str) -> ScimError:
    """The error for a change of what is set once."""
    return ScimError(MUTABILITY, f"{name} is immutable; it keeps the value that it was created with.")


def assign_container(document: Document, urn: str, container: Document) -> None:
    """Set an extension's attributes; without any, it is not there."""
    if container:
        document[urn] = container
    else:
        document.pop(urn, None)


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
            value = _role(value, path) if attribute.name in _ROLES else _displayed(value)
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
    """Entra's role expressions: a whole role may stand as JSON text inside `value`."""
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
    return _displayed(value)


def _displayed(value: Document) -> Document:
    """`displayName` for `display`, as in Entra's role expressions and in Microsoft's examples for members."""
    names = {name.lower() for name in value}
    if "displayname" in names and "display" not in names:
        return {("display" if name.lower() == "displayname" else name): item for name, item in value.items()}
    return value
