"""Operations applied to a canonical document (RFC 7644 §3.5.2.1 to §3.5.2.3), in order, on a copy: all or nothing.

Where the RFC leaves room, Entra's needs decide: add and replace are one for single values; an empty value clears;
a value path that no element satisfies makes the element that its `eq` terms describe, so that five additions behind
`addresses[type eq "work"]` land in one address; adding what is there changes nothing.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from scim.errors import INVALID_FILTER, INVALID_VALUE, MUTABILITY, NO_TARGET, ScimError
from scim.filter.evaluate import bind_elements
from scim.filter.tree import And, Compare, Filter
from scim.patch.entra import Operation
from scim.schema.model import Attribute
from scim.schema.registry import ResourceType, Target
from scim.schema.validation import (
    Document,
    assign,
    canonical_element,
    canonical_value,
    require,
    single_primary,
    undeclared,
)
from scim.schema.values import cast, fold

_HUSK = {"type", "primary", "display"}
"""What says nothing alone: an element that is left with these only is gone."""


def apply(document: Document, operations: Iterable[Operation], resource_type: ResourceType) -> Document:
    """The changed document; the given one is left as it is. Raises 400 (invalidValue, mutability, noTarget)."""
    result = copy.deepcopy(document)
    for operation in operations:
        _apply(result, operation)
    _hold_immutable(document, result, resource_type)
    require(result, resource_type)
    return result


def _apply(document: Document, operation: Operation) -> None:
    target = operation.target
    if target.attribute is None:
        _undeclared(document, operation)
    elif target.attribute.multi_valued:
        _multi_valued(document, operation)
    else:
        _single_valued(document, operation)


def _hold_immutable(before: Document, after: Document, resource_type: ResourceType) -> None:
    for attribute in resource_type.core.attributes:
        if attribute.mutability == "immutable" and attribute.name in before:
            if after.get(attribute.name) != before[attribute.name]:
                raise ScimError(
                    MUTABILITY, f"{attribute.name} is immutable; it keeps the value that it was created with."
                )


def _undeclared(document: Document, operation: Operation) -> None:
    """An attribute of an extension that nobody declared: set, cleared or, for lists, extended as sent."""
    asked = operation.target.urn or ""
    urn = next((name for name in document if name.lower() == asked.lower()), asked)
    target = Target(urn, operation.target.name)
    if not target.name:
        document.pop(urn, None)
        return
    value = None if operation.op == "remove" else undeclared(operation.value)
    present = document.get(urn, {}).get(target.name)
    if operation.op == "add" and isinstance(present, list) and isinstance(value, list):
        value = present + [item for item in value if item not in present]
    assign(document, target, value)


def _single_valued(document: Document, operation: Operation) -> None:
    target, attribute = operation.target, operation.target.attribute
    assert attribute is not None
    if operation.op == "remove" and attribute.required and target.sub is None:
        raise ScimError(MUTABILITY, f"{target.path} is required and cannot be removed; replace it by another value.")
    value = None if operation.op == "remove" else canonical_value(operation.value, target)
    if isinstance(value, dict) and target.sub is None and not attribute.is_reference:
        container = document if target.urn is None else document.get(target.urn, {})
        value = {**container.get(target.name, {}), **value}  # sub-attributes that are not named stay (§3.5.2.3)
        cleared = [n for n, v in _named(operation.value, attribute) if v in (None, "")]
        value = {name: item for name, item in value.items() if name not in cleared} or None
    elif target.sub is not None and attribute.is_reference and target.sub.name == "value":
        assign(document, Target(target.urn, target.name, attribute), None)  # the old $ref is not the new one's
    assign(document, target, value)


def _named(value: object, attribute: Attribute) -> list[tuple[str, object]]:
    """The members of a complex value by their declared names."""
    if not isinstance(value, dict):
        return []
    return [(sub.name, item) for name, item in value.items() if (sub := attribute.sub(name))]


def _multi_valued(document: Document, operation: Operation) -> None:
    target, attribute = operation.target, operation.target.attribute
    assert attribute is not None
    container = document if target.urn is None else document.get(target.urn, {})
    present: list[Any] = list(container.get(target.name) or [])
    whole = Target(target.urn, target.name, attribute)
    if operation.filter is not None:
        elements = _filtered(present, operation)
    elif target.sub is not None:
        elements = _every(present, operation, target.sub)
    elif operation.op == "replace":
        elements = canonical_value(operation.value, whole) or []
    elif operation.op == "add":
        elements = _added(present, canonical_value(operation.value, whole) or [], attribute)
    elif operation.value in (None, "", []):
        elements = []
    else:
        elements = _without(present, canonical_value(operation.value, whole) or [], attribute)
    assign(document, whole, elements or None)


def _added(present: list[Any], new: list[Any], attribute: Attribute) -> list[Any]:
    """The union. An element of the same `value` and type is that element, with what is new about it."""
    elements, primary = list(present), None
    places = {_identity(element, attribute): index for index, element in enumerate(elements)}
    for element in new:
        index = places.setdefault(_identity(element, attribute), len(elements))
        if index == len(elements):
            elements.append(element)
        elif isinstance(element, dict):
            elements[index] = {**elements[index], **element}
        if isinstance(element, dict) and element.get("primary"):
            primary = index
    return single_primary(elements, primary)


def _without(present: list[Any], unwanted: list[Any], attribute: Attribute) -> list[Any]:
    """Entra's `Remove` with a list: only the listed elements go; one listed without a type goes whatever its type."""
    gone = {_identity(element, attribute) for element in unwanted}
    return [
        element
        for element in present
        if _identity(element, attribute) not in gone and _identity(element, attribute, typed=False) not in gone
    ]


def _identity(element: Any, attribute: Attribute, *, typed: bool = True) -> str:
    """What makes an element this one among the others: its value with its type (RFC 7643 §2.4), a reference's value
    alone, else all of it."""
    typed = typed and not attribute.is_reference
    if isinstance(element, dict) and "value" in element:
        element = {name: element[name] for name in ("value", "type") if name in element and (typed or name == "value")}
    if isinstance(element, dict):
        element = {name: _folded(item, attribute.sub(name)) for name, item in sorted(element.items())}
    else:
        element = _folded(element, attribute)
    return json.dumps(element)


def _folded(value: Any, attribute: Attribute | None) -> Any:
    return fold(value, attribute) if isinstance(value, str) and attribute is not None else value


def _filtered(present: list[Any], operation: Operation) -> list[Any]:
    """The elements after an operation behind a value path."""
    target, attribute = operation.target, operation.target.attribute
    assert attribute is not None and operation.filter is not None
    matches = bind_elements(operation.filter, attribute, target.path)
    simple = attribute.type != "complex"
    hits = [i for i, e in enumerate(present) if matches({attribute.name: e, "value": e} if simple else e)]
    value = _element_value(operation)
    _hold_sub(present, hits, operation.sub, value, target.name)
    if value is None:
        return _cleared(present, hits, operation.sub)
    if simple:
        raise ScimError(INVALID_VALUE, f"{target.path} has plain values; add or remove them without brackets.")
    if not hits:
        present = [*present, _described(operation.filter, attribute, target.path)]
        hits = [len(present) - 1]
    elements = list(present)
    for i in hits:
        if operation.sub is not None:
            elements[i] = {**elements[i], operation.sub.name: value}
        elif operation.op == "replace":
            elements[i] = {**_terms(operation.filter, attribute, target.path, strict=False), **value}
        else:
            elements[i] = {**elements[i], **value}
    primary = next((i for i in hits if elements[i].get("primary") and not present[i].get("primary")), None)
    return single_primary(elements, hits[-1] if primary is None else primary)


def _element_value(operation: Operation) -> Any:
    """The canonical new value of an element or of its sub-attribute; None to clear it."""
    target, attribute = operation.target, operation.target.attribute
    assert attribute is not None
    if operation.op == "remove":
        return None
    if operation.sub is not None:
        return canonical_value(operation.value, Target(target.urn, target.name, attribute, operation.sub))
    value = operation.value
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    return canonical_element(value, target)


def _hold_sub(present: list[Any], hits: Iterable[int], sub: Attribute | None, value: Any, name: str) -> None:
    """An immutable sub-attribute, like a member's value, is set once; another value is another element."""
    if sub is None or sub.mutability != "immutable":
        return
    if any(sub.name in present[i] and present[i][sub.name] != value for i in hits):
        raise ScimError(MUTABILITY, f"{name}.{sub.name} is immutable; remove the element and add another one.")


def _cleared(present: list[Any], hits: list[int], sub: Attribute | None) -> list[Any]:
    if sub is None:
        return [element for i, element in enumerate(present) if i not in hits]
    elements = []
    for i, element in enumerate(present):
        if i in hits:
            element = {name: item for name, item in element.items() if name != sub.name}
            if set(element) <= _HUSK:
                continue
        elements.append(element)
    return elements


def _every(present: list[Any], operation: Operation, sub: Attribute) -> list[Any]:
    """`emails.value` without brackets: the sub-attribute of every element, or of a first one."""
    value = None if operation.op == "remove" else canonical_value(operation.value, operation.target)
    _hold_sub(present, range(len(present)), sub, value, operation.target.name)
    if value is None:
        return _cleared(present, list(range(len(present))), sub)
    return single_primary([{**element, sub.name: value} for element in present] or [{sub.name: value}])


def _described(filter: Filter, attribute: Attribute, path: str) -> Document:
    """The element that a filter of `eq` terms describes. Raises 400 noTarget for any other filter."""
    return _terms(filter, attribute, path, strict=True)


def _terms(filter: Filter, attribute: Attribute, path: str, *, strict: bool) -> Document:
    terms = filter.terms if isinstance(filter, And) else (filter,)
    element: Document = {}
    for term in terms:
        if isinstance(term, Compare) and term.operator == "eq" and not term.value.is_null:
            sub = attribute.sub(term.path)
            if sub is None:
                raise ScimError(INVALID_FILTER, f"{path} has no sub-attribute {term.path}.")
            element[sub.name] = cast(term.value.text, sub, f"{path}.{sub.name}")
        elif strict:
            raise ScimError(
                NO_TARGET, f"No value of {path} matches [{filter}], and only eq terms can say what a new one holds."
            )
    return element
