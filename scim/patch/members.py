"""The part of a PATCH that concerns a group's members, as far as it can be told without reading the group.

Adding members and removing named ones, in all the forms of RFC 7644 and Entra, comes down to two sets, whatever the
group holds. Any other change (clear, replace, a filter on something else than `value`) needs the present members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from scim.budget import Work, charge
from scim.errors import INVALID_VALUE, ScimError
from scim.filter.tree import Compare, Filter, Or
from scim.patch.entra import Operation, names_sub
from scim.schema.elements import as_list, refuse_nobody, unwrap
from scim.schema.readers import is_empty
from scim.schema.registry import Declared, Registry, ResourceType
from scim.schema.validation import Document


@dataclass(frozen=True, slots=True)
class Delta:
    """Members to add, by id, and ids to remove; no id is in both."""

    add: dict[str, Document] = field(default_factory=dict)
    remove: set[str] = field(default_factory=set)


def split(operations: Iterable[Operation], resource_type: ResourceType) -> tuple[list[Operation], list[Operation]]:
    """Return the operations on the document, and those on the members: neither group sees what the other does."""
    document: list[Operation] = []
    members: list[Operation] = []
    for operation in operations:
        target = operation.target
        theirs = target.urn is None and target.name == resource_type.members
        (members if theirs else document).append(operation)
    return document, members


def find_delta(operations: Iterable[Operation]) -> Delta | None:
    """Return what operations on members come to; None if the present members must be known. Raises 400 invalidValue."""
    result = Delta()
    for operation in operations:
        target = operation.target
        if not isinstance(target, Declared) or target.sub is not None or operation.op == "replace":
            return None
        if operation.filter is not None:
            ids = _list_named(operation.filter) if operation.op == "remove" and operation.sub is None else None
            if ids is None:
                return None
        elif operation.op == "remove" and operation.value in (None, ""):
            return None
        else:
            members = {member["value"]: member for member in parse_members(operation.value, target)}
            if operation.op == "add":
                if result.remove & members.keys():
                    return None  # who goes and comes back has lost what was known of them before
                for id, member in members.items():
                    result.add[id] = {**result.add.get(id, {}), **member}
                continue
            ids = set(members)
        result.remove.update(ids)
        for id in ids:
            result.add.pop(id, None)
    return result


def sets_all(operations: Iterable[Operation]) -> bool:
    """Return whether the members after the operations are the same whatever they were before: the first of them
    replaces or removes all."""
    first = next(iter(operations), None)
    if first is None or first.filter is not None or names_sub(first.target) or first.sub is not None:
        return False
    return first.op == "replace" or (first.op == "remove" and first.value in (None, ""))


def read_members(operations: Iterable[Operation], registry: Registry) -> list[Operation]:
    """Return operations on members with every member named by its id: the URL of a resource of ours, or its id with
    blanks around it, is that id. What a removal lists may also stand in an object `{"members": […]}` (Salesforce), or
    be named by its `$ref` alone. Raises 400 invalidValue for an element that names nobody."""
    return [_read(operation, registry) for operation in operations]


def _read(operation: Operation, registry: Registry) -> Operation:
    if operation.op == "remove":
        operation = _name_whole_members(operation)
    target, value = operation.target, operation.value
    if operation.filter is not None:
        return replace(operation, filter=_replace_urls(operation.filter, registry))
    if not isinstance(target, Declared) or target.sub is not None or is_empty(value):
        return operation
    if operation.op == "remove":
        value = [_replace_named_url(element, registry) for element in as_list(unwrap(value, target.name))]
    else:
        value = [_replace_url(element, registry) for element in as_list(value)]
    refuse_nobody(value, target.attribute, target.path)
    return replace(operation, value=value)


def _name_whole_members(operation: Operation) -> Operation:
    """Return a removal of members' `value` as one of the members themselves: a member is its value, so whoever names
    it (`members.value` with values, `members[value eq "…"].value`) means the member. A bare removal of all values stays
    as it is, and is refused."""
    target = operation.target
    if operation.filter is not None and operation.sub is not None:
        return replace(operation, sub=None) if operation.sub.name == "value" else operation
    if (
        not isinstance(target, Declared)
        or target.sub is None
        or target.sub.name != "value"
        or is_empty(operation.value)
    ):
        return operation
    return replace(operation, target=target.without_sub())


def _replace_urls(filter: Filter, registry: Registry) -> Filter:
    """Return a filter with ids in the place of the URLs that its `value eq` terms name."""
    if isinstance(filter, Or):
        return Or(tuple(_replace_urls(term, registry) for term in filter.terms))
    if isinstance(filter, Compare) and (filter.path.lower(), filter.operator) == ("value", "eq"):
        if id := registry.find_id(filter.value.text):
            return replace(filter, value=replace(filter.value, text=id))
    return filter


def _replace_url(element: object, registry: Registry) -> object:
    """Return a member to add with its id for a value."""
    if isinstance(element, str):
        return registry.find_id(element) or element
    if not isinstance(element, dict):
        return element
    own = {
        n: i for n, v in element.items() if n.lower() == "value" and isinstance(v, str) and (i := registry.find_id(v))
    }
    return {**element, **own} if own else element


def _replace_named_url(element: object, registry: Registry) -> object:
    """Return a member to remove with its id for a value, if only a URL names it."""
    if isinstance(element, str):
        return registry.find_id(element) or element
    if not isinstance(element, dict):
        return element
    said = {name.lower(): item for name, item in element.items()}
    name = "$ref" if is_empty(said.get("value")) else "value"
    id = registry.find_id(said[name]) if isinstance(said.get(name), str) else None
    return {"value": id} if id else element


def parse_members(value: object, target: Declared) -> list[Document]:
    """Return members in canonical form, each with its id. Raises 400 invalidValue if one has no value."""
    members: list[Document] = target.without_sub().read(value) or []
    for member in members:
        if "value" not in member:
            detail = f"{target.name}.value is missing: each member needs the id of a resource."
            raise ScimError(INVALID_VALUE, detail, attribute=f"{target.name}.value", rule="required")
    return members


def _list_named(filter: Filter) -> set[str] | None:
    """Return the ids that a filter of `value eq` terms names."""
    ids: set[str] = set()
    for term in _list_alternatives(filter):
        if not isinstance(term, Compare) or (term.path.lower(), term.operator) != ("value", "eq") or term.value.is_null:
            return None
        charge(2, Work.OPERATIONS)
        ids.add(term.value.text)
    return ids


def _list_alternatives(filter: Filter) -> Iterator[Filter]:
    if isinstance(filter, Or):
        for term in filter.terms:
            yield from _list_alternatives(term)
    else:
        yield filter
