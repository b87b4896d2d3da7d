"""Operations applied to a canonical document (RFC 7644 §3.5.2.1 to §3.5.2.3), in order, on a copy: all or nothing.

Where the RFC leaves room, Entra's needs decide: add and replace are one for single values; an empty value clears;
a value path that no element satisfies makes the element that its `eq` terms describe, so that five additions behind
`addresses[type eq "work"]` land in one address; adding what is there changes nothing.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Collection, Generator, Hashable, Iterable
from typing import Any

import orjson

from scim.budget import TooDear, Work, at_once, charge
from scim.errors import INVALID_VALUE, MUTABILITY, NO_TARGET, ScimError
from scim.filter.evaluate import bind_elements
from scim.filter.tree import And, Compare, Filter
from scim.patch import cost
from scim.patch.entra import Operation, names_sub
from scim.patch.undeclared import apply_undeclared
from scim.schema.elements import (
    as_list,
    drop_duplicates,
    drop_named,
    fold_value,
    has_unknown,
    identify,
    is_husk,
    list_emptied,
    make_unclear_removal,
    refuse_husks,
    refuse_unknown_list,
    unwrap,
)
from scim.schema.model import Attribute
from scim.schema.passwords import drop_passwords
from scim.schema.readers import is_empty, keep_one_primary
from scim.schema.registry import Declared, ResourceType, Undeclared
from scim.schema.validation import (
    Document,
    assign,
    find_container,
    hold_immutable,
    hold_numbers,
    make_immutable,
    require,
)


def apply(document: Document, operations: Iterable[Operation], resource_type: ResourceType) -> Document:
    """Return the changed document; the given one is left as it is. Raises 400 (invalidValue, mutability, noTarget)."""
    return at_once(apply_in_steps(document, operations, resource_type))


def apply_in_steps(
    document: Document, operations: Iterable[Operation], resource_type: ResourceType
) -> Generator[None, None, Document]:
    """Do the same, with a step for each operation."""
    text = orjson.dumps(document)
    result: Document = orjson.loads(text)  # a copy of JSON data, in a tenth of deepcopy's time
    touched: dict[tuple[str | None, str], list[Operation]] = {}
    for operation in operations:
        try:
            before = cost.expect(result, operation, len(text))
            _apply(result, operation)
            cost.hold(result, operation, resource_type, before)
        except TooDear as error:
            raise TooDear(Work.OPERATIONS, is_used_up=error.is_used_up) from None
        touched.setdefault((operation.target.urn, operation.target.name), []).append(operation)
        yield
    for listed_here in touched.values():
        _tidy(document, result, listed_here, resource_type.members)
    drop_passwords(result, resource_type)
    hold_immutable(document, result, resource_type)
    require(result, resource_type, document)
    hold_numbers(result, resource_type, document)
    return result


def _apply(document: Document, operation: Operation) -> None:
    target = operation.target
    if isinstance(target, Undeclared):
        apply_undeclared(document, operation, target)
    elif target.attribute.multi_valued:
        _change_multi_valued(document, operation, target)
    else:
        _change_single_valued(document, operation, target)


def _tidy(before: Document, after: Document, operations: list[Operation], members: str | None) -> None:
    """Take out of a list that was changed what it must not hold in the end: the same value of one type twice (RFC 7643
    §2.4), and new elements that say nothing. An element may say nothing between two operations, and one that was there
    stays; a member that names nobody is left to be refused."""
    target = operations[0].target
    if isinstance(target, Undeclared) or not (attribute := target.attribute).multi_valued:
        return
    old, elements = (find_container(document, target).get(target.name) or [] for document in (before, after))
    kept = drop_duplicates(elements, attribute)
    if target.name != members and not any(o.whole and o.filter is not None for o in operations):
        kept = [element for element in kept if not is_husk(element, attribute) or element in old]
        whole = (o for o in operations if o.op == "replace" and o.filter is None and not names_sub(o.target))
        if old and not kept and elements and (last := deque(whole, 1)):
            refuse_husks(last[0].value, attribute, target.path)
    if len(kept) != len(elements):
        assign(after, target.without_sub(), kept or None)


def _change_single_valued(document: Document, operation: Operation, target: Declared) -> None:
    attribute = target.attribute
    if operation.op == "remove":
        if attribute.required and target.sub is None:
            raise ScimError(
                MUTABILITY,
                f"{target.path} is required and cannot be removed; replace it by another value.",
                attribute=target.path,
                rule="required",
            )
        if attribute.type == "complex" and target.sub is None and not _names_present(document, operation, target):
            return
        assign(document, target, None)
        return
    value = target.read(operation.value)
    if attribute.is_reference:
        if value is None and not is_empty(operation.value) and not _says_anything(operation.value, attribute):
            return
        if target.sub is not None and target.sub.name == "value":
            assign(document, target.without_sub(), None)  # the old $ref is not the new one's
    elif attribute.type == "complex" and target.sub is None and not is_empty(operation.value):
        present = find_container(document, target).get(target.name, {})
        value = _merge(present, operation.value, value, attribute) or None
    assign(document, target, value)


def _names_present(document: Document, operation: Operation, target: Declared) -> bool:
    """Return whether a removal of a complex value is of the one that is there: it names none, or that one. What is gone
    already, like the manager before this one, is not there."""
    value = _unlist(unwrap(operation.value, target.name))
    if is_empty(value):
        return True
    container = find_container(document, target)
    present = [container[target.name]] if target.name in container else []
    return not drop_named(present, [_parse_named(value, target)], target.attribute)


def _says_anything(value: object, attribute: Attribute) -> bool:
    """Return whether a complex value names a sub-attribute that a client may set, be it to clear it."""
    value = _unlist(value)
    names = value if isinstance(value, dict) else ()
    return any((sub := attribute.sub(name)) and sub.mutability != "readOnly" for name in names)


def _merge(present: Document, sent: object, new: Document | None, attribute: Attribute) -> Document:
    """Return a complex value with the sub-attributes that were sent: those that are not named stay (RFC 7644 §3.5.2.3),
    those that were sent empty go."""
    sent = _unlist(sent)
    cleared = list_emptied(sent, attribute)
    merged = {name: item for name, item in {**present, **(new or {})}.items() if name not in cleared}
    for sub in attribute.sub_attributes:
        if sub.mutability == "immutable" and sub.name in present and merged.get(sub.name) != present[sub.name]:
            raise make_immutable(f"{attribute.name}.{sub.name}")
    return merged


def _unlist(value: object) -> object:
    """Return the one value of a list of one: old jobs of Entra's write a manager so."""
    return value[0] if isinstance(value, list) and len(value) == 1 else value


def _change_multi_valued(document: Document, operation: Operation, target: Declared) -> None:
    attribute, whole = target.attribute, target.without_sub()
    present: list[Any] = list(find_container(document, target).get(target.name) or [])
    if operation.filter is not None:
        elements = _change_filtered(present, operation, operation.filter, target)
    elif target.sub is not None:
        elements = _change_every(present, operation, target, target.sub)
    elif operation.op == "remove":
        elements = _remove(present, operation.value, whole)
    elif is_empty(operation.value):
        elements = present if operation.op == "add" else []
    else:
        if operation.op == "replace":
            refuse_unknown_list(operation.value, attribute, target.path)
        new = whole.read(operation.value) or []
        elements = _add(present, new, attribute) if operation.op == "add" else new
    assign(document, whole, elements or None)


def _remove(present: list[Any], value: object, whole: Declared) -> list[Any]:
    """Return the elements after `remove` of a whole attribute: without those that are listed (Entra's form); none of
    them if nothing is said, as in the RFC. An empty list names nothing, so all stay."""
    if value is None or value == "":
        return []
    named = [_parse_named(element, whole) for element in as_list(unwrap(value, whole.name))]
    return drop_named(present, named, whole.attribute)


def _parse_named(element: object, whole: Declared) -> tuple[Any, set[str]]:
    """Return an element that a removal names, in canonical form, and the sub-attributes that it was said not to have.
    Raises 400 invalidValue if it cannot be told which one is meant: what is not known might be what tells it."""
    attribute = whole.attribute
    known = attribute.read_element(element, whole.path)
    described = isinstance(known, dict) and "value" not in known
    if known is None or (described and has_unknown(element, attribute)):
        raise make_unclear_removal(element, whole.path)
    return known, list_emptied(element, attribute)


def _add(present: list[Any], new: list[Any], attribute: Attribute) -> list[Any]:
    """Return the union. An element of the same `value` and type is that element, with what is new about it; one that is
    sent without a type is the one with its value, whatever its type."""
    elements, primary = list(present), None
    places: dict[Hashable, int] = {}
    for index, element in enumerate(elements):
        places.setdefault(identify(element, attribute), index)
        places.setdefault(identify(element, attribute, typed=False), index)
    for element in new:
        index = places.setdefault(identify(element, attribute), len(elements))
        if index == len(elements):
            elements.append(element)
            places.setdefault(identify(element, attribute, typed=False), index)
        elif isinstance(element, dict):
            elements[index] = {**elements[index], **element}
        if isinstance(element, dict) and element.get("primary") and not is_husk(elements[index], attribute):
            primary = index
    return keep_one_primary(elements, primary)


def _change_filtered(present: list[Any], operation: Operation, filter: Filter, target: Declared) -> list[Any]:
    """Return the elements after an operation behind a value path."""
    attribute = target.attribute
    matches = bind_elements(filter, attribute, target.path)
    simple = attribute.type != "complex"
    found = (i for i, e in enumerate(present) if matches({attribute.name: e} if simple else e))
    hits: Collection[int] = dict.fromkeys(found)  # in order, and quick to look into
    if operation.op == "remove" or is_empty(operation.value):
        _hold_sub(present, hits, operation.sub, None, target.name)
        return _clear(present, hits, operation.sub, attribute)
    value = _read_element(operation, target)
    _hold_sub(present, hits, operation.sub, value, target.name)
    if not hits:
        if value is None:
            return present  # nothing that anybody knows, for an element that is not there
        made = _describe(filter, attribute, target.path, strict=True)
        present = [*present, None if simple else made]
        hits = [len(present) - 1]
    elements = list(present)
    if simple:
        for i in hits:
            elements[i] = elements[i] if value is None else value
        return elements
    for i in hits:
        elements[i] = _change_element(elements[i], operation, filter, value, attribute)
    elements = _keep_one_primary(elements, hits, attribute, husks=operation.whole)
    if operation.whole and value is not None:
        return elements
    return [e for i, e in enumerate(elements) if i not in hits or not _is_emptied(present[i], e, attribute)]


def _keep_one_primary(elements: list[Any], hits: Iterable[int], attribute: Attribute, *, husks: bool) -> list[Any]:
    """Return the elements with one primary at most, that of the elements that were hit. What says nothing yet, and may
    be dropped, takes it from nobody, unless `husks` stay."""
    counts = [husks or not is_husk(element, attribute) for element in elements]
    keep = next((i for i in hits if counts[i] and elements[i].get("primary")), None)
    single = keep_one_primary([e if counted else {} for e, counted in zip(elements, counts, strict=True)], keep)
    return [s if counted else e for e, s, counted in zip(elements, single, counts, strict=True)]


def _is_emptied(before: Document, after: Document, attribute: Attribute) -> bool:
    """Return whether an element has lost what it said: what was never there is no loss, its operation may come next."""
    return set(after) < set(before) and is_husk(after, attribute)


def _change_element(
    element: Document, operation: Operation, filter: Filter, value: Any, attribute: Attribute
) -> Document:
    """Return one element after an addition or replacement of itself or of one of its sub-attributes. What a replacement
    does not name stays, unless the connection is strict; another reference is another element."""
    if operation.sub is not None:
        return {**element, operation.sub.name: value}
    another = attribute.is_reference and value is not None and "value" in value
    if operation.op == "replace" and value is not None and (operation.whole or another):
        return {**_describe(filter, attribute, attribute.name, strict=False), **value}
    return _merge(element, operation.value, value, attribute)


def _read_element(operation: Operation, target: Declared) -> Any:
    """Return the canonical new value of an element or of its sub-attribute; None if nothing in it is known."""
    if operation.sub is not None:
        return Declared(target.urn, target.attribute, operation.sub).read(operation.value)
    return target.attribute.read_element(_unlist(operation.value), target.path)


def _hold_sub(present: list[Any], hits: Iterable[int], sub: Attribute | None, value: Any, name: str) -> None:
    """Raise 400 mutability if an immutable sub-attribute, like a member's value, would change: it is set once."""
    if sub is None or sub.mutability != "immutable":
        return
    if any(sub.name in present[i] and present[i][sub.name] != value for i in hits):
        raise make_immutable(f"{name}.{sub.name}")


def _clear(present: list[Any], hits: Collection[int], sub: Attribute | None, attribute: Attribute) -> list[Any]:
    """Return the elements without those that were hit, or these without a sub-attribute; what then says nothing
    goes."""
    if sub is None:
        return [element for i, element in enumerate(present) if i not in hits]
    elements = []
    for i, element in enumerate(present):
        if i in hits:
            element = {name: item for name, item in element.items() if name != sub.name}
            if not element or is_husk(element, attribute):
                continue
        elements.append(element)
    return elements


def _change_every(present: list[Any], operation: Operation, target: Declared, sub: Attribute) -> list[Any]:
    """Return the elements after an operation on `emails.value` without brackets: the sub-attribute of every element, or
    of a first one if there is none."""
    if operation.op == "remove":
        hits = _find_named(present, operation, target, sub)
        _hold_sub(present, hits, sub, None, target.name)
        return _clear(present, hits, sub, target.attribute)
    value = target.read(operation.value)
    _hold_sub(present, range(len(present)), sub, value, target.name)
    if value is None:
        return _clear(present, range(len(present)), sub, target.attribute)
    return keep_one_primary([{**element, sub.name: value} for element in present] or [{sub.name: value}])


def _find_named(present: list[Any], operation: Operation, target: Declared, sub: Attribute) -> Collection[int]:
    """Return the elements whose sub-attribute a removal is about: those of the values that it lists, else all."""
    if operation.value is None or operation.value == "":
        return range(len(present))
    charge(len(present), Work.VALUES)
    wanted: list[object] = []
    for item in as_list(operation.value):
        value = target.read([item] if isinstance(item, dict) else item)
        if value is None:
            raise make_unclear_removal(item, target.path)
        wanted.append(json.dumps(fold_value(value, sub)))
    named = set(wanted)
    return {i: None for i, e in enumerate(present) if json.dumps(fold_value(e.get(sub.name), sub)) in named}


def _describe(filter: Filter, attribute: Attribute, path: str, *, strict: bool) -> Document:
    """Return the element that a filter of `eq` terms describes. If `strict`, raises 400 noTarget for any other
    filter."""
    element: Document = {}
    for term in filter.terms if isinstance(filter, And) else (filter,):
        if isinstance(term, Compare) and term.operator == "eq" and not term.value.is_null:
            sub = attribute.sub(term.path)
            if sub is None:
                continue  # the filter was bound before, so this is `value` of plain values
            if sub.mutability == "readOnly":
                detail = f"{path}.{sub.name} is read only, so no value can be made with it."
                raise ScimError(INVALID_VALUE, detail, attribute=f"{path}.{sub.name}", rule="read-only")
            value = Declared(None, attribute, sub).read(term.value.text)
            if value is not None:
                element[sub.name] = value
        elif strict:
            raise ScimError(
                NO_TARGET,
                f"No value of {path} matches [{filter}], and only eq terms can say what a new one holds.",
                attribute=path,
            )
    return element
