"""The part of a PATCH that concerns references to other resources: each is named by its id, whatever names it.

A `$ref` is no part of a stored reference to a resource of ours, so what a client says of one is read as said of the
`value`: in what it sets, and in the filters of its paths.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from scim.filter.tree import And, Compare, Filter, Literal, Not, Or
from scim.patch.entra import Operation
from scim.schema.registry import Declared, ResourceType

FindId = Callable[[object], str | None]
"""From a URL to the id of the resource of ours that it names; None for any other value."""


def read_references(
    operations: Iterable[Operation],
    resource_type: ResourceType,
    find_id: FindId,
    with_value: Callable[[object], object],
) -> list[Operation]:
    """Return operations with an id in the place of each `$ref` that names a resource of ours. `with_value` gives an
    element its value, if its `$ref` alone names one."""
    named = set(resource_type.references)
    return [
        _read(operation, operation.target, find_id, with_value)
        if (operation.target.urn, operation.target.name) in named and isinstance(operation.target, Declared)
        else operation
        for operation in operations
    ]


def _read(operation: Operation, target: Declared, find_id: FindId, with_value: Callable[[object], object]) -> Operation:
    value = operation.value
    if target.sub is not None and target.sub.name == "$ref" and (id := find_id(value)):
        operation = replace(operation, target=replace(target, sub=target.attribute.sub("value")), value=id)
    elif target.sub is None and operation.sub is None:
        value = [with_value(element) for element in value] if isinstance(value, list) else with_value(value)
        operation = replace(operation, value=value)
    return replace(operation, filter=_replace_urls(operation.filter, find_id)) if operation.filter else operation


def _replace_urls(tree: Filter, find_id: FindId) -> Filter:
    match tree:
        case And(terms):
            return And(tuple(_replace_urls(term, find_id) for term in terms))
        case Or(terms):
            return Or(tuple(_replace_urls(term, find_id) for term in terms))
        case Not(term):
            return Not(_replace_urls(term, find_id))
        case Compare(path, "eq" | "ne" as operator, value) if path.lower() == "$ref":
            id = find_id(value.text)
            return Compare("value", operator, Literal(id)) if id else tree
    return tree
