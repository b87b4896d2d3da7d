"""Filters bound to a resource type: which attribute each name is, of which type the values are, and the predicate.

A filter is bound once and then run over many resources (documents that also carry `id`, `meta` and `schemas`).
Comparisons follow RFC 7644 §3.4.2.2: strings by the attribute's caseExact, dates as instants, a multi-valued attribute
when any of its values matches, and "no value" as null. Strings are cast to the attribute's type, since Entra writes
`roles[primary eq "True"]`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any

from scim.budget import Work, charge
from scim.errors import INVALID_FILTER, ScimError
from scim.filter.tree import And, Compare, Filter, Literal, Not, Or, Present, ValuePath
from scim.schema.model import Attribute
from scim.schema.registry import Declared, ResourceType, Undeclared
from scim.schema.validation import Document
from scim.schema.values import cast, fold, fold_text, parse_instant, parse_number

Predicate = Callable[[Document], bool]
_Test = Callable[[Any], bool]
_Values = Callable[[Document], Iterator[Any]]

_LONG = 1000
"""Characters that are compared in the time of one evaluation, about."""
_SLOW = 20
"""The same of those whose form has to be found out first."""
_STRINGS = {"string", "reference", "binary"}
_ORDERED: dict[str, Callable[[Any, Any], bool]] = {
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}
_TEXT: dict[str, Callable[[str, str], bool]] = {
    "co": operator.contains,
    "sw": str.startswith,
    "ew": str.endswith,
}


def bind(tree: Filter, resource_type: ResourceType, *, foreign: bool = False) -> Predicate:
    """Return the predicate over resources. Raises 400 invalidFilter for an attribute that the resource type does not
    have or a comparison that its type does not allow. With `foreign`, an attribute of another type has no value
    instead, as RFC 7644 §3.4.2.1 says for searches over several types."""
    if foreign:
        return _bind(tree, lambda path: require_known(path, resource_type) if knows(path, resource_type) else None)
    return _bind(tree, lambda path: require_known(path, resource_type))


def knows(path: str, resource_type: ResourceType) -> bool:
    """Return whether a filter's attribute is one of the resource type's."""
    return isinstance(resource_type.resolve(path), Declared)


def bind_elements(tree: Filter, attribute: Attribute, path: str) -> Predicate:
    """Return the predicate of a value path over the elements of a complex attribute."""
    return _bind(tree, lambda name: _find_sub(name, attribute, path))


def require_known(path: str, resource_type: ResourceType) -> Declared:
    """Return the attribute that a filter names. Raises 400 invalidFilter with the remedy."""
    target = resource_type.resolve(path)
    if target is None:
        raise ScimError(
            INVALID_FILTER,
            f"{path} is no attribute of {resource_type.name}; filter on one that /Schemas lists.",
            rule="unknown",
        )
    if not target.name and target.urn in (None, *resource_type.extension_attributes):
        raise ScimError(INVALID_FILTER, f"{path} is a schema; filter on an attribute of it.", rule="not-an-attribute")
    if isinstance(target, Undeclared):
        remedy = "declare the extension's schema on this service to filter on it"
        detail = f"{path} belongs to an extension that is not declared here; {remedy}."
        raise ScimError(INVALID_FILTER, detail, rule="undeclared")
    if target.attribute.hidden or target.leaf.hidden:
        detail = f"{path} is never returned, so nothing can be searched by it."
        raise ScimError(INVALID_FILTER, detail, attribute=path, rule="never-returned")
    return target


def _find_sub(name: str, attribute: Attribute, path: str) -> Declared:
    sub = attribute.sub(name) if attribute.type == "complex" else None
    if sub is None and attribute.type != "complex" and name.lower() == "value":
        sub = attribute.change(multi_valued=False)  # tags[value eq "a"] on a plain list
    if sub is None:
        detail = f"{path} has no sub-attribute {name}; filter on one that /Schemas lists."
        raise ScimError(INVALID_FILTER, detail, attribute=path, rule="unknown")
    return Declared(None, sub)


def _bind(tree: Filter, lookup: Callable[[str], Declared | None]) -> Predicate:
    match tree:
        case And(terms):
            predicates = [_bind(term, lookup) for term in terms]
            return lambda resource: all(predicate(resource) for predicate in predicates)
        case Or(terms):
            predicates = [_bind(term, lookup) for term in terms]
            return lambda resource: any(predicate(resource) for predicate in predicates)
        case Not(term):
            inner = _bind(term, lookup)
            return lambda resource: not inner(resource)
    target = lookup(tree.path)
    if target is None:
        absent = isinstance(tree, Compare) and _holds_of_nothing(tree)
        return lambda resource: absent
    match tree:
        case Present():
            read = _make_reader(target)
            return lambda resource: any(value not in (None, "", [], {}) for value in read(resource))
        case ValuePath(path, filter):
            return _bind_value_path(target, path, filter)
        case Compare(path, op, literal):
            return _bind_comparison(target, path, op, literal)


def _holds_of_nothing(tree: Compare) -> bool:
    """Return whether a comparison holds for an attribute without a value: `eq null`, and `ne` anything else."""
    return tree.operator == ("eq" if tree.value.is_null else "ne")


def _bind_value_path(target: Declared, path: str, filter: Filter) -> Predicate:
    attribute = target.leaf
    inner = bind_elements(filter, attribute, path)
    read = _make_reader(target)
    simple = attribute.type != "complex"
    return lambda resource: any(inner({attribute.name: e} if simple else e) for e in read(resource))


def _bind_comparison(target: Declared, path: str, op: str, literal: Literal) -> Predicate:
    attribute = target.leaf
    if attribute.type == "complex":
        value = attribute.sub("value")
        if value is None:
            subs = ", ".join(sub.name for sub in attribute.sub_attributes)
            detail = f"{path} is complex; compare one of its sub-attributes: {subs}."
            raise ScimError(INVALID_FILTER, detail, attribute=path, rule="complex")
        read_elements, attribute = _make_reader(target), value
        read: _Values = lambda resource: (e[value.name] for e in read_elements(resource) if value.name in e)  # noqa: E731
    else:
        read = _make_reader(target)
    if literal.is_null:
        if op not in ("eq", "ne"):
            detail = f"{path} {op} null has no meaning; null goes with eq and ne."
            raise ScimError(INVALID_FILTER, detail, attribute=path, rule="operator")
        absent = op == "eq"
        return lambda resource: (next(read(resource), None) is None) == absent
    test = _make_test(attribute, path, op, literal)
    if op != "ne":
        return lambda resource: any(map(test, read(resource)))
    return lambda resource: (values := list(read(resource))) == [] or any(map(test, values))


def _make_reader(target: Declared) -> _Values:
    """Return all values that a name has in a resource: none, one, or those of a multi-valued attribute."""
    urn, name, sub = target.urn, target.name, target.sub.name if target.sub else None

    def read(resource: Document) -> Iterator[Any]:
        container = resource if urn is None else resource.get(urn)
        value = container.get(name) if isinstance(container, dict) else None
        elements = value if isinstance(value, list) else (value,)
        charge(2 + len(elements), Work.FILTER)
        for element in elements:
            found = element if sub is None else element.get(sub) if isinstance(element, dict) else None
            if isinstance(found, list):
                yield from found
            elif found is not None:
                yield found

    return read


def _make_test(attribute: Attribute, path: str, op: str, literal: Literal) -> _Test:
    """Return the comparison of one value with the literal, in the attribute's type."""
    if op in _TEXT and attribute.type not in _STRINGS:
        detail = f"{path} is {attribute.type}; {op} compares strings only."
        raise ScimError(INVALID_FILTER, detail, attribute=path, rule="operator")
    if op in _ORDERED and attribute.type in ("boolean", "binary"):
        detail = f"{path} is {attribute.type}, which has no order; use eq or ne."
        raise ScimError(INVALID_FILTER, detail, attribute=path, rule="operator")
    if attribute.type in _STRINGS:
        return _make_string_test(attribute, op, fold(literal.text, attribute))
    wanted: Any = parse_number(literal.text) if attribute.type in ("integer", "decimal") else None
    wanted = _cast_literal(attribute, path, literal) if wanted is None else wanted
    compare = _ORDERED.get(op) or (operator.ne if op == "ne" else operator.eq)
    if attribute.type == "dateTime":
        return lambda value: (moment := parse_instant(str(value))) is not None and compare(moment, wanted)
    # A value that was kept before its extension was declared may be of any type: it is then not this one.
    if attribute.type == "boolean":
        return lambda value: isinstance(value, bool) and compare(value, wanted)
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and compare(value, wanted)


def _make_string_test(attribute: Attribute, op: str, wanted: str) -> _Test:
    compare: Callable[[Any, Any], bool] = (
        _TEXT.get(op) or _ORDERED.get(op) or (operator.ne if op == "ne" else operator.eq)
    )
    return lambda value: isinstance(value, str) and compare(_fold_text(value, attribute), wanted)


def _fold_text(text: str, attribute: Attribute) -> str:
    """Return the text as it is compared. A long one is paid for by its length, and folded once for all terms about
    it."""
    if len(text) < _LONG:
        return fold(text, attribute)
    charge(len(text) // _LONG, Work.FILTER)
    return _fold_long(text, attribute.case_exact)


@lru_cache(maxsize=4)
def _fold_long(text: str, case_exact: bool) -> str:
    charge(len(text) // (_LONG if text.isascii() else _SLOW), Work.FILTER)
    return fold_text(text, case_exact=case_exact)


def _cast_literal(attribute: Attribute, path: str, literal: Literal) -> Any:
    try:
        value = cast(literal.text, attribute, path)
    except ScimError as error:
        rule = error.detail.partition(";")[0]
        detail = f"The filter compares {path} with {literal}, but {rule}."
        raise ScimError(INVALID_FILTER, detail, attribute=path, rule="type") from None
    return parse_instant(literal.text) if attribute.type == "dateTime" else value
