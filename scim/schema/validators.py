"""Values as their attributes have them: one validator for each attribute, made from its schema when first used.

A validator takes a client's value and the attribute's path, and gives the canonical form of the value or None where it
is no value. It raises 400 invalidValue for a value of another type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from scim.budget import Work, charge
from scim.errors import INVALID_SYNTAX, ScimError
from scim.schema.elements import is_husk
from scim.schema.model import Attribute
from scim.schema.registry import Target
from scim.schema.values import cast, wrong_type
from scim.text import check_text

_ROLES = {"roles", "entitlements"}
"""The attributes whose values Entra may write as JSON text."""
_ROLE_KEYS = {"id", "value", "displayname", "display", "type", "primary", "description", "$ref"}
_DISPLAY_NAME = "displayName"
"""What stands for `display` in Entra's role expressions and in Microsoft's examples for members."""

_VALUE = 3
"""Units of a value that is made canonical."""
_USUAL = 50
"""Sub-attributes that a value may have without being counted."""
_TEXT = 50
"""Characters of JSON text that are read in a unit, with what is made of them."""

Validator = Callable[[object, str], Any]
_Known = dict[str, tuple[str, bool, Validator]]
"""Sub-attributes by name, as declared and in lower case: the name, whether it is one text, the validator."""
_of_values: dict[int, Validator] = {}
_of_elements: dict[int, Validator] = {}
"""By the identity of the attribute, which its validator keeps alive."""


def canonical_value(value: object, target: Target) -> Any:
    """The canonical form of a value for `target` (a declared attribute or sub-attribute), None where it is no value."""
    attribute = target.sub or target.attribute
    assert attribute is not None
    validator = _of_values.get(id(attribute))
    if validator is None:
        one = _one(attribute, "")
        validator = _of_values[id(attribute)] = _many(one, attribute) if attribute.multi_valued else one
    return validator(value, target.path)


def canonical_element(value: object, target: Target) -> Any:
    """The same for one element of a multi-valued attribute."""
    attribute = target.attribute
    assert attribute is not None
    validator = _of_elements.get(id(attribute))
    if validator is None:
        validator = _of_elements[id(attribute)] = _one(attribute, "")
    return validator(value, target.path)


def empty(value: object) -> bool:
    """Whether a client's value means "no value" (RFC 7643 §2.5; Entra's tests clear with "" and null)."""
    return value is None or value == "" or value == []


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


def _one(attribute: Attribute, suffix: str) -> Validator:
    """The validator of one value; `suffix` is what its errors add to the path that it is given."""
    return _complex(attribute) if attribute.type == "complex" else _simple(attribute, suffix)


def _simple(attribute: Attribute, suffix: str) -> Validator:
    """A plain value may be wrapped as `{"value": …}`: in a list, as Entra writes what has several values, and where
    there is one value as the only element of a list, as Microsoft's library wrote it."""

    def validate(value: object, path: str) -> Any:
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not attribute.multi_valued:
            value = _unwrap(value[0], value)
        elif isinstance(value, dict) and attribute.multi_valued:
            value = _unwrap(value, None)
        return None if empty(value) else cast(value, attribute, path + suffix)

    return validate


def _unwrap(value: dict[str, Any], without: object) -> object:
    """What stands in `value`; `without` where there is no such member."""
    return next((item for name, item in value.items() if name.lower() == "value"), without)


def _many(one: Validator, attribute: Attribute) -> Validator:
    def validate(value: object, path: str) -> Any:
        if empty(value):
            return None
        values = value if isinstance(value, list) else [value]
        if len(values) > 1:
            charge(_VALUE * len(values), Work.VALUES)
        elements = [element for item in values if (element := one(item, path)) is not None]
        if len(elements) > 1:  # the primary is not one that will be dropped
            stays = (i for i, e in enumerate(elements) if type(e) is dict and e.get("primary"))
            elements = single_primary(elements, next((i for i in stays if not is_husk(elements[i], attribute)), None))
        return elements or None

    return validate


def _complex(attribute: Attribute) -> Validator:
    """Sub-attributes are never complex themselves (loading.py sees to it)."""
    known: _Known = {}
    for sub in attribute.sub_attributes:
        if sub.mutability != "readOnly":
            one = _one(sub, f".{sub.name}")
            validator = _many(one, sub) if sub.multi_valued else one
            known[sub.name] = known[sub.name.lower()] = (sub.name, sub.is_text, validator)
    if attribute.multi_valued and "display" in known and "displayname" not in known:
        known["displayname"] = (_DISPLAY_NAME, *known["display"][1:])
    is_role = attribute.name in _ROLES and attribute.multi_valued

    def validate(value: object, path: str) -> Any:
        if not isinstance(value, dict):
            if empty(value):
                return None
            value = _as_object(value, path, attribute, known)
        if len(value) > _USUAL:
            charge(len(value) // 4, Work.VALUES)
        if is_role:
            value = _role(value, path)
        result: dict[str, Any] = {}
        for name, item in value.items():
            found = known.get(name) or known.get(name.lower())
            if found is None:
                continue
            inner, is_text, validator = found
            if inner in result:
                detail = f"{path}.{inner} appears twice in one value; send it once."
                raise ScimError(INVALID_SYNTAX, detail, attribute=f"{path}.{inner}", rule="twice")
            if not (is_text and item and type(item) is str):  # most are such text, and a call would take longer
                item = validator(item, path)
            if item is not None:
                result[inner] = item
        if _DISPLAY_NAME in result:
            result.setdefault("display", result.pop(_DISPLAY_NAME))
        return result or None

    return validate


def _as_object(value: object, path: str, attribute: Attribute, known: _Known) -> dict[str, Any]:
    """A complex value that was not sent as an object."""
    if isinstance(value, list) and len(value) == 1 and not attribute.multi_valued:
        value = value[0]  # the manager of old Entra jobs: [{"$ref": …, "value": …}]
    if isinstance(value, str) and "value" in known:
        value = {"value": value}  # the manager of today's: the bare id
    if not isinstance(value, dict):
        raise wrong_type(path, attribute, value)
    return value


def _role(value: dict[str, Any], path: str) -> dict[str, Any]:
    """Entra's role expressions: a whole role may stand as JSON text inside `value`."""
    key = next((name for name in value if name.lower() == "value"), "")
    text = value.get(key)
    if isinstance(text, str) and text.startswith("{"):
        charge(len(text) // _TEXT, Work.VALUES)
        try:
            role = json.loads(text)
        except (ValueError, RecursionError):
            role = None
        if isinstance(role, dict) and isinstance(role.get("value"), str) and {k.lower() for k in role} <= _ROLE_KEYS:
            for item in role.values():
                check_text(item if isinstance(item, str) else "", f"{path}.value")
            return {**{name: item for name, item in value.items() if name != key}, **role}
    return value
