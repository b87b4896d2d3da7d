"""How an attribute reads what a client sends for it: one function for each attribute, made when it is first needed.

Such a reader is given a client's value and the attribute's path. It returns the canonical form of the value; None if it
is no value. It raises 400 invalidValue for a value of another type.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from scim.budget import Work, charge
from scim.errors import INVALID_SYNTAX, ScimError
from scim.schema.elements import is_husk
from scim.schema.values import cast, make_wrong_type
from scim.text import check_text

if TYPE_CHECKING:
    from scim.schema.model import Attribute

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

Reader = Callable[[object, str], Any]
_Known = dict[str, tuple[str, Reader]]
"""Sub-attributes by name, as declared and in lower case: the name as declared, and the reader."""


def make_reader(attribute: Attribute) -> Reader:
    """Return the reader of all that an attribute has: of a list, if it is multi-valued."""
    one = make_element_reader(attribute)
    return _make_list_reader(one, attribute) if attribute.multi_valued else one


def make_element_reader(attribute: Attribute, suffix: str = "") -> Reader:
    """Return the reader of one value. Its errors add `suffix` to the path that it is given."""
    return _make_complex_reader(attribute) if attribute.type == "complex" else _make_simple_reader(attribute, suffix)


def is_empty(value: object) -> bool:
    """Return whether a client's value means "no value" (RFC 7643 §2.5; Entra's tests clear with "" and null)."""
    return value is None or value == "" or value == []


def keep_one_primary(elements: list[Any], keep: int | None = None) -> list[Any]:
    """Return the elements with one primary at most (RFC 7643 §2.4): the one at index `keep`, else the first.

    Entra's default mappings may mark several; refusing the user for it would help nobody."""
    primaries = [
        i for i, element in enumerate(elements) if isinstance(element, dict) and element.get("primary") is True
    ]
    if len(primaries) < 2:
        return elements
    kept = keep if keep in primaries else primaries[0]
    return [{**e, "primary": False} if i in primaries and i != kept else e for i, e in enumerate(elements)]


def _make_simple_reader(attribute: Attribute, suffix: str) -> Reader:
    """Return the reader of a plain value, which may be wrapped as `{"value": …}`: in a list, as Entra writes what has
    several values; and if there is one value, as the only element of a list, as Microsoft's library wrote it."""

    is_text = attribute.type in ("string", "binary", "reference")

    def read(value: object, path: str) -> Any:
        if is_text and value and type(value) is str:  # as most values are
            return value
        if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict) and not attribute.multi_valued:
            value = _unwrap(value[0], value)
        elif isinstance(value, dict) and attribute.multi_valued:
            value = _unwrap(value, None)
        return None if is_empty(value) else cast(value, attribute, path + suffix)

    return read


def _unwrap(value: dict[str, Any], without: object) -> object:
    """Return what stands in `value`; `without` if there is no such member."""
    return next((item for name, item in value.items() if name.lower() == "value"), without)


def _make_list_reader(one: Reader, attribute: Attribute) -> Reader:
    def read(value: object, path: str) -> Any:
        if is_empty(value):
            return None
        values = value if isinstance(value, list) else [value]
        if len(values) > 1:
            charge(_VALUE * len(values), Work.VALUES)
        elements = [element for item in values if (element := one(item, path)) is not None]
        if len(elements) > 1:  # the primary is not one that will be dropped
            stays = (i for i, e in enumerate(elements) if type(e) is dict and e.get("primary"))
            elements = keep_one_primary(elements, next((i for i in stays if not is_husk(elements[i], attribute)), None))
        return elements or None

    return read


def _make_complex_reader(attribute: Attribute) -> Reader:
    """Return the reader of a complex value. Its sub-attributes are never complex themselves (loading.py sees to it)."""
    known: _Known = {}
    for sub in attribute.sub_attributes:
        if sub.mutability != "readOnly":
            one = make_element_reader(sub, f".{sub.name}")
            reader = _make_list_reader(one, sub) if sub.multi_valued else one
            known[sub.name] = known[sub.name.lower()] = (sub.name, reader)
    if attribute.multi_valued and "display" in known and "displayname" not in known:
        known["displayname"] = (_DISPLAY_NAME, known["display"][1])
    is_role = attribute.name in _ROLES and attribute.multi_valued

    def read(value: object, path: str) -> Any:
        if not isinstance(value, dict):
            if is_empty(value):
                return None
            value = _to_object(value, path, attribute, known)
        if len(value) > _USUAL:
            charge(len(value) // 4, Work.VALUES)
        if is_role:
            value = _unfold_role(value, path)
        result: dict[str, Any] = {}
        for name, item in value.items():
            found = known.get(name) or known.get(name.lower())
            if found is None:
                continue
            inner, read = found
            if inner in result:
                detail = f"{path}.{inner} appears twice in one value; send it once."
                raise ScimError(INVALID_SYNTAX, detail, attribute=f"{path}.{inner}", rule="twice")
            item = read(item, path)
            if item is not None:
                result[inner] = item
        if _DISPLAY_NAME in result:
            result.setdefault("display", result.pop(_DISPLAY_NAME))
        return result or None

    return read


def _to_object(value: object, path: str, attribute: Attribute, known: _Known) -> dict[str, Any]:
    """Return a complex value that was not sent as an object."""
    if isinstance(value, list) and len(value) == 1 and not attribute.multi_valued:
        value = value[0]  # the manager of old Entra jobs: [{"$ref": …, "value": …}]
    if isinstance(value, str) and "value" in known:
        value = {"value": value}  # the manager of today's: the bare id
    if not isinstance(value, dict):
        raise make_wrong_type(path, attribute, value)
    return value


def _unfold_role(value: dict[str, Any], path: str) -> dict[str, Any]:
    """Return a role with what Entra's role expressions write inside its `value`: a whole role as JSON text."""
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
