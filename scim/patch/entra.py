"""A PATCH body, in RFC form or in one of Entra's dialects, as a flat list of operations with one target each.

What arrives and becomes the same list: operation names in any case (`Add`), member names in any case, operations
without a path whose value holds plain, dotted, URN-prefixed, bracketed and whole-schema keys, `remove` with a value
list, and an empty list of operations, which Microsoft's validator sends and which means nothing to do. An operation on
an attribute that no schema knows is dropped, or the `active: false` beside it would be lost.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Any, Literal

from scim.budget import Work, at_once, charge
from scim.errors import INVALID_PATH, INVALID_SYNTAX, INVALID_VALUE, MUTABILITY, NO_TARGET, TOO_LARGE, ScimError
from scim.filter.parse import parse_path
from scim.filter.tree import Filter, Path
from scim.schema.elements import make_unclear_removal, unwrap
from scim.schema.model import Attribute
from scim.schema.readers import is_empty
from scim.schema.registry import Declared, ResourceType, Target, Undeclared
from scim.told import READ_ONLY_ATTRIBUTE

Op = Literal["add", "replace", "remove"]
_NAME = 5
"""Units of a name that is read as a path, beside one for each of its characters."""
_MAX_PATHS = 500_000
"""Characters of all paths of a PATCH: what is made of more keeps the garbage collector busy for a tenth of a second."""
PATCH_URN = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass(frozen=True, slots=True)
class Operation:
    """One change."""

    op: Op
    """What it does."""
    target: Target
    """What it changes; without a filter, its sub-attribute if it names one."""
    value: Any = None
    """The value as sent; None means "no value"."""
    filter: Filter | None = None
    """Which elements of a multi-valued attribute it changes; all if there is none."""
    sub: Attribute | None = None
    """The sub-attribute of these elements that it changes, with a filter."""
    whole: bool = False
    """Whether the connection is strict: then a replaced element is what was sent, and keeps nothing of what it was."""


@dataclass(frozen=True, slots=True)
class _Reader:
    """How a PATCH is read: for which resource type, and whether the connection is strict."""

    resource_type: ResourceType
    strict: bool


def parse_operations(
    body: object, resource_type: ResourceType, max_operations: int, *, strict: bool = False
) -> list[Operation]:
    """Return the operations of a PATCH body in order. Raises 400 (invalidSyntax, invalidPath, invalidFilter,
    invalidValue, mutability, noTarget) or 413; nothing is applied then."""
    return at_once(parse_in_steps(body, resource_type, max_operations, strict=strict))


def parse_in_steps(
    body: object, resource_type: ResourceType, max_operations: int, *, strict: bool = False
) -> Generator[None, None, list[Operation]]:
    """Do the same, with a step for each operation."""
    listed = _find_operations(body)
    if len(listed) > max_operations:
        raise ScimError(
            TOO_LARGE, f"The PATCH has {len(listed)} operations; at most {max_operations} are read. Split it."
        )
    reader, result = _Reader(resource_type, strict), list[Operation]()
    characters = 0
    for number, item in enumerate(listed, 1):
        characters += _measure_path(item)
        if characters > _MAX_PATHS:
            raise ScimError(
                TOO_LARGE, f"The paths of the PATCH have more than {_MAX_PATHS} characters; so many are read. Split it."
            )
        result += _read(item, number, reader)
        yield
    return result


def _measure_path(item: object) -> int:
    """Return how long the path of an operation is, in whatever case its name came."""
    texts = item.items() if isinstance(item, dict) else ()
    return sum(len(value) for name, value in texts if name.lower() == "path" and isinstance(value, str))


def _find_operations(body: object) -> list[Any]:
    if not isinstance(body, dict):
        raise ScimError(INVALID_SYNTAX, "The body must be a JSON object with Operations.")
    listed = next((value for name, value in body.items() if name.lower() == "operations"), None)
    if not isinstance(listed, list):
        raise ScimError(INVALID_SYNTAX, f"Operations must be an array of operations ({PATCH_URN}).")
    return listed


def _read(item: object, number: int, reader: _Reader) -> Iterator[Operation]:
    if not isinstance(item, dict):
        raise ScimError(INVALID_SYNTAX, f"Operation {number} must be an object with op, path and value.")
    charge(len(item), Work.OPERATIONS)
    members = {name.lower(): value for name, value in item.items()}
    if len(members) != len(item):
        raise ScimError(INVALID_SYNTAX, f"Operation {number} has a member twice, in two cases; send it once.")
    op = _parse_op(members.get("op"), number)
    path, value = members.get("path"), members.get("value")
    if path is not None and not isinstance(path, str):
        raise ScimError(INVALID_PATH, f"Operation {number}: path must be a string that names an attribute.")
    if path and op != "remove" and "value" not in members:
        detail = f"Operation {number}: {op} needs a value; send null to clear {path[:200]}."
        raise ScimError(INVALID_VALUE, detail, attribute=path, rule="required")
    if path:
        yield from _read_targeted(op, path, value, reader)
    elif isinstance(value, dict):
        yield from _read_members(op, value, reader)
    elif op == "remove":
        raise ScimError(NO_TARGET, f"Operation {number}: remove needs a path that says what to remove.")
    else:
        raise ScimError(INVALID_VALUE, f"Operation {number}: without a path, value must be an object of attributes.")


def _parse_op(value: object, number: int) -> Op:
    match value.strip().lower() if isinstance(value, str) else None:
        case "add":
            return "add"
        case "replace":
            return "replace"
        case "remove":
            return "remove"
    found = "is missing" if value is None else f"must not be {str(value)[:40]!r}"
    raise ScimError(INVALID_SYNTAX, f"Operation {number}: op {found}; send add, replace or remove.")


def _read_members(op: Op, value: dict[str, Any], reader: _Reader) -> list[Operation]:
    """Return the members of a value without a path. They come in no order, so what is about a part of an attribute, and
    says more exactly what is meant, is done after what is about all of it. Raises 400 invalidSyntax for two values of
    one."""
    result = [operation for name, inner in value.items() for operation in _read_member(op, name, inner, reader)]
    seen: dict[str, Any] = {}
    for operation in result:
        path = operation.target.path
        if operation.filter is None and operation.target.name and op != "remove":
            if seen.setdefault(path.lower(), operation.value) != operation.value:
                raise ScimError(
                    INVALID_SYNTAX, f"{path[:200]} comes twice; send it once.", attribute=path, rule="twice"
                )
    return sorted(result, key=lambda one: one.filter is not None or names_sub(one.target))


def _read_member(op: Op, name: str, value: object, reader: _Reader) -> Iterator[Operation]:
    """Read one member of a value without a path. Unlike a path it may name what is read only (a client that sends back
    what it read does), or nothing that anybody knows: such members are dropped."""
    charge(_NAME + len(name), Work.OPERATIONS)
    try:
        path = parse_path(name)
    except ScimError:
        return
    target = _find_target(op, path, value, reader.resource_type)
    if target is None or (isinstance(target, Declared) and target.is_read_only):
        return
    if not target.name:
        yield from _read_container(op, path, target.urn, value, reader)
    elif op == "remove" and _has_parts(target) and isinstance(value, dict) and value:
        for inner, item in value.items():
            yield from _read_member(op, f"{name}.{inner}", item, reader)
    else:
        yield from _read_operation(op, path, target, value, reader)


def _has_parts(target: Target) -> bool:
    """Return whether an attribute is one complex value, whose parts may be removed each for itself."""
    return (
        isinstance(target, Declared)
        and target.leaf.type == "complex"
        and not (target.attribute.multi_valued or target.attribute.is_reference)
    )


def _read_targeted(op: Op, text: str, value: object, reader: _Reader) -> Iterator[Operation]:
    charge(_NAME + len(text), Work.OPERATIONS)
    path = parse_path(text.strip())
    target = _find_target(op, path, value, reader.resource_type)
    if target is None:
        return
    if isinstance(target, Declared) and target.is_read_only:
        if reader.strict or target.attribute.mutability == "readOnly":
            raise _make_refusal(target.path)
        return  # of an attribute that may be set, like manager.displayName, as one that nobody knows
    if not target.name:
        yield from _read_container(op, path, target.urn, value, reader)
    else:
        yield from _read_operation(op, path, target, value, reader)


def _find_target(op: Op, path: Path, value: object, resource_type: ResourceType) -> Target | None:
    """Return what a path stands for."""
    target = resource_type.resolve(path.attribute)
    if isinstance(target, Undeclared) and path.filter is None and op != "remove":
        return resource_type.resolve_by_value(target, value)
    return target


def _read_container(op: Op, path: Path, urn: str | None, value: object, reader: _Reader) -> Iterator[Operation]:
    """Read an operation whose path is a schema's URN alone; None is the core schema's."""
    resource_type = reader.resource_type
    name = urn or resource_type.core.id
    if path.filter is not None:
        raise ScimError(INVALID_PATH, f"{name} is a schema; name an attribute of it before the brackets.")
    declared = urn is None or urn in resource_type.extension_attributes
    if isinstance(value, list) and len(value) == 1 and not declared:
        value = value[0]
    if isinstance(value, dict):
        if declared:
            for inner, item in value.items():
                yield from _read_member(op, f"{name}:{inner}", item, reader)
        elif op != "remove":
            yield Operation(op, Undeclared(urn), {inner: item for inner, item in value.items() if inner})
        else:  # only what is named goes
            for inner, item in value.items():
                yield Operation(op, Undeclared(urn, inner), item)
    elif urn is None:
        raise ScimError(NO_TARGET, f"{name} is the resource itself; name an attribute of it.")
    elif op == "remove" and value not in (None, "", []):
        raise make_unclear_removal(value, name)
    elif op == "remove" and value == []:
        return  # names nothing
    elif op == "remove" or is_empty(value):
        yield Operation("remove", Undeclared(urn))
    elif declared:
        raise ScimError(INVALID_VALUE, f"{urn} must be an object of the schema's attributes.")


def _read_operation(op: Op, path: Path, target: Target, value: object, reader: _Reader) -> Iterator[Operation]:
    if path.filter is None:
        whole = isinstance(target, Declared) and target.leaf.type == "complex" and not target.leaf.sub(target.name)
        if whole and target.name != reader.resource_type.members:
            value = unwrap(value, target.name)
        yield Operation(op, target, value, whole=reader.strict)
        return
    if isinstance(target, Undeclared):
        sub = Attribute(name=path.sub) if path.sub else None
        yield Operation(op, target, value, path.filter, sub)
        return
    attribute = target.attribute
    if not attribute.multi_valued or target.sub is not None:
        detail = f"{target.path} is not multi-valued; take the brackets out of the path."
        raise ScimError(INVALID_PATH, detail, attribute=target.path, rule="not-multi-valued")
    sub = attribute.sub(path.sub) if path.sub else None
    if path.sub and sub is None and not attribute.is_value(path.sub):
        return  # a sub-attribute that nobody knows, as an unknown attribute
    if sub is not None and sub.mutability == "readOnly":
        if reader.strict:
            raise _make_refusal(f"{target.path}.{sub.name}")
        return
    yield Operation(op, target, value, path.filter, sub, reader.strict)


def names_sub(target: Target) -> bool:
    """Return whether a name is a sub-attribute's."""
    return isinstance(target, Declared) and target.sub is not None


def _make_refusal(path: str) -> ScimError:
    return ScimError(MUTABILITY, READ_ONLY_ATTRIBUTE.format(path=path), attribute=path, rule="read-only")
