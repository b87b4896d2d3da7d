"""Operations on extensions that nobody declared. Their attributes are kept as sent, so what one is, a single value or a
list of strings or of objects with `value`, is read off what is there and what is sent.

Values compare exactly: nobody said which of them are caseless.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from scim.budget import Work, charge
from scim.errors import INVALID_VALUE, NO_TARGET, ScimError
from scim.filter.evaluate import bind_elements
from scim.filter.tree import And, Compare, Filter, list_names
from scim.patch.entra import Operation
from scim.schema.elements import ABOUT, as_list, make_nothing_meant, make_unclear_removal, unwrap
from scim.schema.model import Attribute
from scim.schema.readers import is_empty
from scim.schema.registry import Undeclared
from scim.schema.validation import Document, assign, assign_container, find_own_name, keep_undeclared

_TEXT, _NESTED = 200, 32
"""Characters of JSON that are written in a unit: of one text, and of lists and objects."""


def apply_undeclared(document: Document, operation: Operation, target: Undeclared) -> None:
    """Change an attribute of an extension that nobody declared, or the whole extension, in `document`. Raises 400
    invalidValue for a removal that does not say what to remove, and for a list of nothing in the place of another."""
    urn = find_own_name(document, target.urn or "")
    if not target.name and urn not in document and (attribute := _find_attribute(document, urn)):
        operation = replace(operation, target=attribute)
        target, urn = attribute, attribute.urn or ""
    if not target.name:
        _change_extension(document, urn, operation)
        return
    if operation.op == "remove" and (whole := find_own_name(document, target.path)) in document:
        document.pop(whole)  # what was written under a URN that looked like an attribute's is an extension
        return
    container = document.get(urn, {})
    name = find_own_name(container, target.name)
    head, dot, sub = name.partition(".")
    if dot and name not in container and (whole := find_own_name(document, f"{urn}:{head}")) in document:
        inner = Undeclared(whole, sub)
        apply_undeclared(document, replace(operation, target=inner), inner)
        return
    inside = find_own_name(container, head)
    if dot and name not in container and isinstance(container.get(inside), dict | list):
        assign(document, Undeclared(urn, inside), _change_every(container[inside], operation, sub))
        return
    assign(document, Undeclared(urn, name), _change_attribute(container.get(name), operation))


def _find_attribute(document: Document, urn: str) -> Undeclared | None:
    """Return the attribute that is there already under what looks like the URN of an extension; None if none is."""
    head, _, name = urn.rpartition(":")
    head = find_own_name(document, head)
    container = document.get(head)
    if not isinstance(container, dict) or (name := find_own_name(container, name)) not in container:
        return None
    return Undeclared(head, name)


def _change_extension(document: Document, urn: str, operation: Operation) -> None:
    """Merge attributes into the extension, or remove it."""
    if operation.op == "remove":
        document.pop(urn, None)
        return
    container = dict(document.get(urn, {}))
    spellings = {name.lower(): name for name in container}
    for name, value in operation.value.items():
        known = spellings.setdefault(name.lower(), name)
        changed = _change_attribute(container.get(known), Operation(operation.op, Undeclared(urn, known), value))
        if changed is None:
            container.pop(known, None)
        else:
            container[known] = changed
    assign_container(document, urn, container)


def _change_attribute(present: Any, operation: Operation) -> Any:
    """Return an attribute's value after an operation; None if it has none."""
    if operation.filter is not None:
        return _change_filtered(present, operation, operation.filter)
    if operation.op == "remove":
        return _remove(present, operation)
    if operation.value == {}:
        return present
    value = keep_undeclared(operation.value)
    if isinstance(value, dict) and (present is None or isinstance(present, dict)):
        return _merge(present or {}, value) or None
    if isinstance(value, dict) and not (value := _merge({}, value)):  # an object of nothing, beside a list
        return present if operation.op == "add" else None
    if isinstance(value, list) and not any(map(_list_parts, value)):
        if operation.op == "add":
            return present
        if not any(isinstance(element, dict) and element for element in value):  # else the null in it clears
            raise make_nothing_meant(value[0], operation.target.path)
        return None
    if operation.op == "add" and isinstance(value, list) and present is not None:
        present = _list_elements(present)
    if operation.op != "add" or not isinstance(present, list):
        return value
    there = {_write(item) for item in present}
    new = [] if value is None else as_list(value)
    return present + [item for item in new if _write(item) not in there]


def _merge(present: dict[str, Any], value: dict[str, Any]) -> dict[str, Any]:
    """Return a complex value with the parts that were sent; what is not named stays (RFC 7644 §3.5.2.3)."""
    merged = {**present, **{find_own_name(present, name): item for name, item in value.items()}}
    return {name: item for name, item in merged.items() if not is_empty(item)}


def _remove(present: Any, operation: Operation) -> Any:
    """Return what a removal leaves. Without a value all goes; a list, or an object, names elements; a plain value names
    an element of a list, and is not looked at if the attribute is a plain value too."""
    value: Any = unwrap(operation.value, operation.target.name)
    if value is None or value == "" or (not isinstance(present, list) and not isinstance(value, list | dict)):
        return None
    named = [_list_parts(element) for element in as_list(value)]
    if not all(named):
        unclear = next(element for element in as_list(value) if not _list_parts(element))
        raise make_unclear_removal(unclear, operation.target.path)
    elements = [(item, _list_parts(item)) for item in _list_elements(present)]
    charge(len(elements) * len(named), Work.OPERATIONS)
    return _restore_form(present, [item for item, parts in elements if not any(_names(one, parts) for one in named)])


def _names(named: dict[str, str], parts: dict[str, str]) -> bool:
    """Return whether an element is the one that a removal names: by its value, with the type if one is named; without a
    value by all that is said of it."""
    if "value" in named:
        named = {name: item for name, item in named.items() if name in ("value", "type")}
    return named.items() <= parts.items()


def _list_parts(element: Any) -> dict[str, str]:
    """Return what an element says, as text by lower-case name; a plain value says `value`."""
    items = element.items() if isinstance(element, dict) else [("value", element)]
    return {name.lower(): _to_text(item) for name, item in items if not is_empty(item)}


def _to_text(value: Any) -> str:
    return value if isinstance(value, str) else _write(value)


def _write(value: Any) -> str:
    """Return a value as JSON text, which is counted: a list may hold lists, as long as they like."""
    text = json.dumps(value, sort_keys=True)
    charge(len(text) // (_NESTED if isinstance(value, list | dict) else _TEXT), Work.OPERATIONS)
    return text


def _change_every(present: Any, operation: Operation, sub: str) -> Any:
    """Return the value after an operation on one part of all its elements. A removal with values is of theirs alone."""
    wanted = None
    if operation.op == "remove" and operation.value not in (None, ""):
        wanted = {parts.get("value") for parts in map(_list_parts, as_list(operation.value))}
        if None in wanted:
            raise make_unclear_removal(operation.value, operation.target.path)
    elements = []
    for element in _list_elements(present):
        if wanted is not None and _list_parts(element).get(sub.lower()) not in wanted:
            elements.append(element)
        elif (changed := _change_element(element, operation, sub)) is not None:
            elements.append(changed)
    return _restore_form(present, elements)


def _change_filtered(present: Any, operation: Operation, filter: Filter) -> Any:
    """Return the value after an operation behind a value path. If it matches nothing, an addition or replacement makes
    the element that its `eq` terms describe."""
    subs = [{"name": name, "caseExact": True} for name in {name.lower() for name in list_names(filter)}]
    known = {"name": operation.target.name, "type": "complex", "multiValued": True, "subAttributes": subs}
    attribute = Attribute.model_validate(known)
    matches = bind_elements(filter, attribute, operation.target.path)
    sub = operation.sub.name if operation.sub else None
    elements: list[Any] = []
    hit = False
    for element in _list_elements(present):
        if not matches(_list_parts(element)):
            elements.append(element)
            continue
        hit = True
        if (changed := _change_element(element, operation, sub)) is not None:
            elements.append(changed)
    if hit or operation.op == "remove" or is_empty(operation.value) or operation.value == {}:
        return _restore_form(present, elements)
    made = _change_element(_describe(filter, operation.target.path), operation, sub)
    if elements and not any(isinstance(element, dict) for element in elements):
        made = made.get("value", made)
    return [*elements, made]


def _change_element(element: Any, operation: Operation, sub: str | None) -> Any:
    """Return an element after an operation on it or on a part of it; None if nothing is left. Raises 400 invalidValue
    for several values in the place of one."""
    value = operation.value
    if operation.op == "remove" or is_empty(value):
        return _drop_sub(element, sub) if sub else None
    if isinstance(value, list) and sub is None:
        if len(value) > 1:
            detail = f"{operation.target.path} behind a filter is one value, not an array; send one."
            raise ScimError(INVALID_VALUE, detail, attribute=operation.target.path, rule="type")
        value = value[0]
    if isinstance(element, dict):
        new = {sub: value} if sub else value if isinstance(value, dict) else {"value": value}
        return _merge(element, new) or None
    if isinstance(value, dict):
        value = next((item for name, item in value.items() if name.lower() == "value"), value)
        return element if value == {} else value
    return element if sub and sub.lower() != "value" else value


def _describe(filter: Filter, path: str) -> dict[str, Any]:
    """Return the element that a filter of `eq` terms describes. Raises 400 noTarget for any other filter."""
    element: dict[str, Any] = {}
    for term in filter.terms if isinstance(filter, And) else (filter,):
        if not isinstance(term, Compare) or term.operator != "eq" or term.value.is_null:
            detail = f"No value of {path} matches [{filter}], and only eq terms can say what a new one holds."
            raise ScimError(NO_TARGET, detail, attribute=path)
        element[term.path] = term.value.text
    return element


def _drop_sub(element: Any, sub: str) -> Any:
    """Return an element without one of its members; None if nothing is left of it."""
    if not isinstance(element, dict):
        return None if sub.lower() == "value" else element
    left = {name: item for name, item in element.items() if name.lower() != sub.lower()}
    return left if left and not set(map(str.lower, left)) <= ABOUT else None


def _list_elements(present: Any) -> list[Any]:
    return [] if present is None else as_list(present)


def _restore_form(present: Any, elements: list[Any]) -> Any:
    """Return elements in the form that the attribute had: a list, or one plain value."""
    if not elements:
        return None
    return elements if isinstance(present, list) else elements[0]
