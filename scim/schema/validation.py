"""From what a client sent to the canonical document that is stored.

A canonical document has declared names in their declared case, values of their declared types, at most one primary
element, and neither nulls nor empty strings, arrays and objects: for SCIM all of these mean "no value" (RFC 7643
§2.5). What the client may not set (readOnly) and what no schema knows is dropped; an extension that nobody declared is
kept as sent, since Entra admins map such attributes without telling the server. `schemas`, `id` and `meta` are not in
it: they follow from the rest.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scim.budget import Work, charge
from scim.errors import INVALID_SYNTAX, INVALID_VALUE, MUTABILITY, ScimError
from scim.schema.elements import is_husk, refuse_nobody
from scim.schema.model import Attribute
from scim.schema.passwords import drop_passwords
from scim.schema.readers import is_empty
from scim.schema.registry import Declared, ResourceType, Target, Undeclared
from scim.text import is_urn
from scim.told import REQUIRED

Document = dict[str, Any]
"""A resource's attributes as JSON data; extensions stand under their URN."""

Names = dict[str, str]
"""Names by their lower-case form."""

MAX_VALUES = 1000
"""Values of one multi-valued attribute."""
_NAME = 3
"""Units of an attribute that is looked up by its name."""


def make_canonical(body: object, resource_type: ResourceType) -> Document:
    """Return the document that a POST or PUT body means. Raises 400 invalidSyntax or invalidValue."""
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object: one resource.")
    _check_schemas(body)
    document: Document = {}
    seen: Names = {}
    names: Names = {}
    flat: list[tuple[Declared, object]] = []
    charge(_NAME * len(body), Work.VALUES)
    for name, value in body.items():
        target = resource_type.resolve(name)
        if isinstance(target, Undeclared):
            target = resource_type.resolve_by_value(target, value)
        if target is None or (isinstance(target, Declared) and target.sub and target.attribute.multi_valued):
            continue
        declared = isinstance(target, Declared)
        if name != target.path or not declared:
            other = target.path if declared and target.path in body else seen.setdefault(target.key, name)
            if other != name:
                detail = f"{name} and {other} are one attribute; send it once."
                raise ScimError(INVALID_SYNTAX, detail, attribute=target.path, rule="twice")
        if isinstance(target, Undeclared):
            _place(document, names, target, value, resource_type)
        elif target.sub is not None:
            flat.append((target, value))
        elif target.urn is None:
            if target.attribute.mutability == "readOnly":
                continue
            if target.name == resource_type.members:
                refuse_nobody(value, target.attribute, target.path)
            value = target.read(value)
            if value is not None:
                if target.name in document:
                    _hold_once(document, target.name, value, target)
                document[target.name] = value
        else:
            _place(document, names, target, value, resource_type)
    for target, value in flat:  # "name.givenName" beside "name": the flat one is the more exact
        _place(document, names, target, value, resource_type)
    _drop_husks(document, resource_type.core_attributes, resource_type.members)
    for urn, attributes in resource_type.extension_attributes.items():
        if urn in document:
            _drop_husks(document[urn], attributes)
            assign_container(document, urn, document[urn])
    drop_passwords(document, resource_type)
    require(document, resource_type)
    hold_numbers(document, resource_type)
    return document


def _drop_husks(container: Document, attributes: Mapping[str, Attribute], members: str | None = None) -> None:
    """Take out the elements that say nothing but their type, primary or display."""
    for name, value in list(container.items()):
        if not isinstance(value, list) or name == members or (attribute := attributes.get(name.lower())) is None:
            continue
        if any(is_husk(element, attribute) for element in value):
            _put(container, name, [element for element in value if not is_husk(element, attribute)] or None)


def _check_schemas(body: Document) -> None:
    schemas = body.get("schemas") or next((value for name, value in body.items() if name.lower() == "schemas"), None)
    listed = schemas is None or (isinstance(schemas, list) and all(isinstance(urn, str) for urn in schemas))
    if not listed:
        raise ScimError(INVALID_SYNTAX, "schemas must be an array of schema URNs.", attribute="schemas", rule="type")


def _place(document: Document, names: Names, target: Target, value: object, resource_type: ResourceType) -> None:
    """Put one member of a body where it belongs; a whole extension is placed attribute by attribute."""
    if isinstance(target, Declared):
        if not target.is_read_only and (placed := target.read(value)) is not None:
            if target.sub is None:
                _hold_once(find_container(document, target), target.name, placed, target)
            assign(document, target, placed)
    elif not target.name:
        _place_container(document, names, target.urn, value, resource_type)
    elif (kept := keep_undeclared(value)) is not None:
        urn = names.setdefault((target.urn or "").lower(), target.urn or "")
        container = document.setdefault(urn, {})
        charge(len(container) // 8, Work.VALUES)
        name = find_own_name(container, target.name)
        _hold_once(container, name, kept, target)
        container[name] = kept


def _hold_once(container: Document, name: str, value: object, target: Target) -> None:
    """Raise 400 invalidSyntax for an attribute that stands in two places with two values: plain, and in the object of
    its schema."""
    if name in container and container[name] != value:
        detail = f"{target.path[:200]} comes twice, with two values; send it once."
        raise ScimError(INVALID_SYNTAX, detail, attribute=target.path, rule="twice")


def _place_container(
    document: Document, names: Names, urn: str | None, value: object, resource_type: ResourceType
) -> None:
    name = urn or resource_type.core.id
    declared = urn is None or urn in resource_type.extension_attributes
    if not declared and isinstance(value, list) and len(value) == 1:
        value = value[0]
    if is_empty(value) or (not declared and not isinstance(value, dict)):
        return
    if not isinstance(value, dict):
        raise ScimError(INVALID_VALUE, f"{name} must be an object of the schema's attributes.", rule="type")
    seen: Names = {}
    charge(_NAME * len(value), Work.VALUES)
    for inner in value:
        if (other := seen.setdefault(inner.lower(), inner)) != inner:
            detail = f"{inner} and {other} of {name} are one attribute; send it once."
            raise ScimError(INVALID_SYNTAX, detail, attribute=f"{name}:{inner}", rule="twice")
    if not declared:
        known = names.setdefault(name.lower(), name)
        present: Document = document.get(known, {})
        spelled = {inner.lower(): inner for inner in present}
        new = {spelled.get(n.lower(), str(n)): v for n, v in value.items() if n and keep_undeclared(v) is not None}
        for inner in new.keys() & present.keys():
            _hold_once(present, inner, new[inner], Undeclared(known, inner))
        assign_container(document, known, {**present, **new})
        return
    for inner, item in value.items():
        target = resource_type.resolve(f"{name}:{inner}")
        if target is not None and target.name:
            _place(document, names, target, item, resource_type)


def require(document: Document, resource_type: ResourceType, before: Document | None = None) -> None:
    """Raise 400 invalidValue if a required extension, attribute or sub-attribute has no value. An extension's
    attributes and an attribute's sub-attributes are required only where it is there.

    What was missing `before` may stay so: a schema that became stricter must not keep anybody from being disabled."""
    missing = set(_list_missing(document, resource_type))
    if missing and before is not None:
        missing -= set(_list_missing(before, resource_type))
    if missing:
        path = min(missing)
        raise ScimError(
            INVALID_VALUE,
            REQUIRED.format(path=path),
            attribute=path,
            rule="required",
        )


def _list_missing(document: Document, resource_type: ResourceType) -> Iterator[str]:
    demanding = resource_type.demanding
    yield from _list_absent(document, demanding[None], "")
    for extension in resource_type.document.schema_extensions:
        urn = extension.schema_
        if urn in document:
            yield from _list_absent(document[urn], demanding[urn], f"{urn}:")
        elif extension.required:
            yield urn


def _list_absent(container: Document, attributes: Iterable[Attribute], prefix: str) -> Iterator[str]:
    for attribute in attributes:
        value = container.get(attribute.name)
        if value is None or (isinstance(value, str) and not value.strip()):  # white space names nobody
            if attribute.must_have_value:
                yield prefix + attribute.name
        elif attribute.has_required:
            for element in value if isinstance(value, list) else [value]:
                yield from _list_absent(element, attribute.sub_attributes, f"{prefix}{attribute.name}.")


def hold_numbers(document: Document, resource_type: ResourceType, before: Document | None = None) -> None:
    """Raise 400 invalidValue if an attribute has more values than a request can sensibly work on, and more than
    `before`; members, which are not kept in the document, have no bound."""
    for name, value in document.items():
        old = before.get(name) if before else None
        if isinstance(value, list):
            if not isinstance(old, list) or len(old) < len(value):
                hold_number(value, name, resource_type)
        elif isinstance(value, dict) and is_urn(name):
            hold_numbers(value, resource_type, old if isinstance(old, dict) else None)


def hold_number(values: list[Any], name: str, resource_type: ResourceType) -> None:
    """Raise 400 invalidValue for more values than an attribute of that name may have."""
    if len(values) > MAX_VALUES and name != resource_type.members:
        raise ScimError(
            INVALID_VALUE,
            f"{name[:200]} has {len(values)} values; at most {MAX_VALUES} are kept. Send fewer.",
            attribute=name,
            rule="limit",
        )


def hold_immutable(before: Document, after: Document, resource_type: ResourceType) -> None:
    """Raise 400 mutability if an immutable attribute that had a value has another one, or none (RFC 7644 §3.5)."""
    schemas = [(None, resource_type.core), *((extension.id, extension) for extension in resource_type.extensions)]
    for urn, schema in schemas:
        old, new = (document if urn is None else document.get(urn, {}) for document in (before, after))
        for attribute in schema.attributes:
            if attribute.mutability == "immutable" and attribute.name in old:
                if new.get(attribute.name) != old[attribute.name]:
                    raise make_immutable(attribute.name)


def make_immutable(name: str) -> ScimError:
    """Return the error for a change of what is set once."""
    detail = f"{name} is immutable; it keeps the value that it was created with."
    return ScimError(MUTABILITY, detail, attribute=name, rule="immutable")


def assign_container(document: Document, urn: str, container: Document) -> None:
    """Set an extension's attributes; without any, it is not there."""
    if container:
        document[urn] = container
    else:
        document.pop(urn, None)


def find_container(document: Document, target: Target) -> Document:
    """Return what holds the attribute that `target` stands for: the document, or its extension; {} if there is none."""
    return document if target.urn is None else document.get(target.urn, {})


def assign(document: Document, target: Target, value: object) -> None:
    """Set what `target` stands for, or clear it if the value is None. Empty containers do not stay."""
    container = document if target.urn is None else document.setdefault(target.urn, {})
    name = target.name
    if isinstance(target, Declared) and target.sub is not None:
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


def keep_undeclared(value: object) -> object | None:
    """Return a value of an extension that nobody declared, as sent; None if it is no value."""
    return None if is_empty(value) or value == {} else value


def find_own_name(container: Document, name: str) -> str:
    """Return the name under which a container already has what nobody declared, in whatever case; else `name`."""
    return next((known for known in container if known.lower() == name.lower()), name)
