"""Operations on extensions that nobody declared. Their attributes are kept as sent, so what one is, a single value or a
list of strings or of objects with `value`, is read off what is there and what is sent.

Values compare exactly: nobody said which of them are caseless.
"""

from __future__ import annotations

import json
from typing import Any

from scim.budget import Work, charge
from scim.filter.evaluate import bind_elements
from scim.filter.tree import Filter, names
from scim.patch.entra import Operation
from scim.schema.elements import ABOUT, listed, unclear_removal, unwrap
from scim.schema.model import Attribute
from scim.schema.registry import Target
from scim.schema.validation import Document, assign, assign_container, own_name, undeclared
from scim.schema.validators import empty


def apply_undeclared(document: Document, operation: Operation) -> None:
    """Change an attribute of an extension that nobody declared, or the whole extension, in `document`. Raises 400
    invalidValue for a removal that does not say what to remove."""
    target = operation.target
    urn = own_name(document, target.urn or "")
    if not target.name:
        _change_extension(document, urn, operation)
        return
    if operation.op == "remove" and (whole := own_name(document, target.path)) in document:
        document.pop(whole)  # what was written under a URN that looked like an attribute's is an extension
        return
    name = own_name(document.get(urn, {}), target.name)
    present = document.get(urn, {}).get(name)
    assign(document, Target(urn, name), _changed(present, operation))


def _change_extension(document: Document, urn: str, operation: Operation) -> None:
    """Merge attributes into the extension, or remove it."""
    if operation.op == "remove":
        document.pop(urn, None)
        return
    container = dict(document.get(urn, {}))
    spellings = {name.lower(): name for name in container}
    for name, value in operation.value.items():
        known = spellings.setdefault(name.lower(), name)
        changed = _changed(container.get(known), Operation(operation.op, Target(urn, known), value))
        if changed is None:
            container.pop(known, None)
        else:
            container[known] = changed
    assign_container(document, urn, container)


def _changed(present: Any, operation: Operation) -> Any:
    """Return an attribute's value after an operation; None if it has none."""
    if operation.filter is not None:
        return _filtered(present, operation, operation.filter)
    if operation.op == "remove":
        return _without(present, operation)
    value = undeclared(operation.value)
    if operation.op != "add" or not isinstance(present, list):
        return value
    there = {json.dumps(item, sort_keys=True) for item in present}
    new = [] if value is None else listed(value)
    return present + [item for item in new if json.dumps(item, sort_keys=True) not in there]


def _without(present: Any, operation: Operation) -> Any:
    """Return what a removal leaves. Without a value all goes; a list, or an object, names elements; a plain value names
    an element of a list, and is not looked at if the attribute is a plain value too."""
    value: Any = unwrap(operation.value, operation.target.name)
    if value is None or value == "" or (not isinstance(present, list) and not isinstance(value, list | dict)):
        return None
    named = [_parts(element) for element in listed(value)]
    if not all(named):
        unclear = next(element for element in listed(value) if not _parts(element))
        raise unclear_removal(unclear, operation.target.path)
    elements = [(item, _parts(item)) for item in _elements(present)]
    charge(len(elements) * len(named), Work.OPERATIONS)
    return _kept(present, [item for item, parts in elements if not any(_names(one, parts) for one in named)])


def _names(named: dict[str, str], parts: dict[str, str]) -> bool:
    """Whether an element is the one that a removal names: by its value, with the type if one is named; without a value
    by all that is said of it."""
    if "value" in named:
        named = {name: item for name, item in named.items() if name in ("value", "type")}
    return named.items() <= parts.items()


def _parts(element: Any) -> dict[str, str]:
    """Return what an element says, as text by lower-case name; a plain value says `value`."""
    items = element.items() if isinstance(element, dict) else [("value", element)]
    return {name.lower(): _text(item) for name, item in items if not empty(item)}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _filtered(present: Any, operation: Operation, filter: Filter) -> Any:
    """Return the value after an operation behind a value path. One that matches nothing does nothing: what an element
    of this attribute looks like is not known."""
    subs = [{"name": name, "caseExact": True} for name in {name.lower() for name in names(filter)}]
    known = {"name": operation.target.name, "type": "complex", "multiValued": True, "subAttributes": subs}
    attribute = Attribute.model_validate(known)
    matches = bind_elements(filter, attribute, operation.target.path)
    sub = operation.sub.name if operation.sub else None
    removes = operation.op == "remove" or empty(operation.value)
    elements: list[Any] = []
    for element in _elements(present):
        if not matches(_parts(element)):
            elements.append(element)
            continue
        if removes:
            changed = _without_sub(element, sub) if sub else None
        elif sub is not None:
            changed = {**element, own_name(element, sub): operation.value} if isinstance(element, dict) else element
            if not isinstance(element, dict) and sub.lower() == "value":
                changed = operation.value
        elif isinstance(element, dict) and isinstance(operation.value, dict):
            changed = {**element, **operation.value}
        else:
            changed = operation.value
        if changed is not None:
            elements.append(changed)
    return _kept(present, elements)


def _without_sub(element: Any, sub: str) -> Any:
    """Return an element without one of its members; None if nothing is left of it."""
    if not isinstance(element, dict):
        return None if sub.lower() == "value" else element
    left = {name: item for name, item in element.items() if name.lower() != sub.lower()}
    return left if left and not set(map(str.lower, left)) <= ABOUT else None


def _elements(present: Any) -> list[Any]:
    return [] if present is None else listed(present)


def _kept(present: Any, elements: list[Any]) -> Any:
    """Return elements in the form that the attribute had: a list, or one plain value."""
    if not elements:
        return None
    return elements if isinstance(present, list) else elements[0]
