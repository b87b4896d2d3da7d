"""Elements of multi-valued attributes (RFC 7643 §2.4): what they say, if anything, and which are the same.

"Not understood" is not "no value": a list that names nothing must never clear one that is there.
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from scim.budget import Work, charge
from scim.errors import INVALID_VALUE, ScimError
from scim.schema.values import fold

if TYPE_CHECKING:
    from scim.schema.model import Attribute

ABOUT = frozenset({"type", "primary", "display"})
"""What only says something about an element that has something else."""
_SHOWN = 80
"""Characters of an element that an error shows."""


def as_list(value: object) -> list[Any]:
    """Return a client's value as a list of elements."""
    return value if isinstance(value, list) else [value]


def unwrap(value: object, name: str) -> object:
    """Return a value without the object around it that only repeats the attribute's name: Salesforce's {"members":
    […]}."""
    if isinstance(value, dict) and [member.lower() for member in value] == [name.lower()]:
        return value[next(iter(value))]
    return value


def make_unclear_removal(element: object, path: str) -> ScimError:
    """Return the error for a removal in which an element says nothing that is understood."""
    return ScimError(
        INVALID_VALUE,
        f"What to remove of {path} cannot be told from {show(element)}; send the values that shall go.",
        attribute=path,
        rule="unknown",
    )


def is_understood(element: object, attribute: Attribute) -> bool:
    """Return whether an element, as sent, names anything that a client may set, be it to clear it. A value of a wrong
    type counts as understood: its validator says what is wrong with it."""
    if isinstance(element, dict):
        if attribute.type != "complex":
            return any(name.lower() == "value" for name in element)
        names = ("display" if name.lower() == "displayname" else name for name in element)
        return any((sub := attribute.sub(name)) and sub.mutability != "readOnly" for name in names)
    return element not in (None, "", [])


def has_unknown(element: object, attribute: Attribute) -> bool:
    """Return whether an element, as sent, has a name that its attribute does not know."""
    names = (name for name in element if name.lower() != "displayname") if isinstance(element, dict) else ()
    if attribute.type != "complex":
        return any(name.lower() != "value" for name in names)
    return any(attribute.sub(name) is None for name in names)


def list_emptied(element: object, attribute: Attribute) -> set[str]:
    """Return the sub-attributes that an element was sent with, but without a value."""
    items = element.items() if isinstance(element, dict) else ()
    return {sub.name for name, item in items if item in (None, "", []) and (sub := attribute.sub(name))}


def refuse_unknown_list(value: object, attribute: Attribute, path: str) -> None:
    """Raise 400 invalidValue for a list that shall take the place of another one and in which nothing is understood."""
    elements = as_list(value)
    if not any(is_understood(element, attribute) for element in elements):
        raise make_nothing_meant(elements[0], path, _list_settable(attribute))


def refuse_husks(value: object, attribute: Attribute, path: str) -> None:
    """Raise 400 invalidValue for such a list that has elements of only a type, primary or display, and none that was
    sent without a value, to clear it."""
    elements = as_list(value)
    if not any(list_emptied(element, attribute) for element in elements):
        raise make_nothing_meant(elements[0], path, _list_settable(attribute))


def make_nothing_meant(element: object, path: str, wanted: str = "its values") -> ScimError:
    """Return the error for a list of elements that say nothing and shall take the place of another one."""
    return ScimError(
        INVALID_VALUE,
        f"{path} cannot be replaced by {show(element)}, in which no value is understood; "
        f"send {wanted}, or [] to clear it.",
        attribute=path,
        rule="unknown",
    )


def refuse_nobody(value: object, attribute: Attribute, path: str) -> None:
    """Raise 400 invalidValue for a list of references in which an element names nobody. An empty value has none."""
    if value in (None, "", []):
        return
    for number, element in enumerate(as_list(value), 1):
        reference = element
        if isinstance(element, dict):
            reference = next((item for name, item in element.items() if name.lower() == "value"), None)
        if isinstance(reference, str):
            reference = reference.strip()
        if reference in (None, "", []) or isinstance(reference, dict):
            raise ScimError(
                INVALID_VALUE,
                f"Element {number} of {path}, {show(element)}, names nobody: {path}.value is missing; "
                "each one needs the id of a resource.",
                attribute=f"{path}.value",
                rule="required",
            )


def show(element: object) -> str:
    """Return an element as an error shows it."""
    text = json.dumps(element, ensure_ascii=False)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _list_settable(attribute: Attribute) -> str:
    settable = [sub.name for sub in attribute.sub_attributes if sub.mutability != "readOnly"]
    return f"elements with {', '.join(settable[:8])}" if settable else "its values"


def is_husk(element: object, attribute: Attribute) -> bool:
    """Return whether an element says nothing but its type, primary or display, although it could say more."""
    if not isinstance(element, dict) or not set(element) <= ABOUT:
        return False
    return any(sub.name not in ABOUT and sub.mutability != "readOnly" for sub in attribute.sub_attributes)


def identify(element: Any, attribute: Attribute, *, typed: bool = True) -> Hashable:
    """Return what makes an element this one among the others: its value with its type (RFC 7643 §2.4), a reference's
    value alone, else all of it."""
    if isinstance(element, dict) and "value" in element:
        kind = fold_value(element.get("type"), attribute.sub("type")) if typed and not attribute.is_reference else None
        return fold_value(element["value"], attribute.sub("value")), kind
    if isinstance(element, dict):
        return json.dumps({name: fold_value(item, attribute.sub(name)) for name, item in sorted(element.items())})
    return json.dumps(fold_value(element, attribute))


def drop_duplicates(elements: list[Any], attribute: Attribute) -> list[Any]:
    """Return the elements with each value and type once (RFC 7643 §2.4): the primary one, else the first."""
    places: dict[Hashable, int] = {}
    kept: list[Any] = []
    for element in elements:
        place = places.setdefault(identify(element, attribute), len(kept))
        if place == len(kept):
            kept.append(element)
        elif isinstance(element, dict) and element.get("primary") and not kept[place].get("primary"):
            kept[place] = element
    return kept


def drop_named(present: list[Any], named: Iterable[tuple[Any, set[str]]], attribute: Attribute) -> list[Any]:
    """Return the elements that are not named: Entra's `Remove` with a list. One named with its value goes with it, and
    without a type whatever its type; any other is described by what was said of it. Each comes with the
    sub-attributes that it was said not to have."""
    gone: set[Hashable] = set()
    described: list[tuple[dict[str, Any], set[str]]] = []
    for element, absent in named:
        if isinstance(element, dict) and "value" not in element:
            described.append((element, absent))
        else:
            gone.add(identify(element, attribute))
    charge(len(present) * len(described), Work.VALUES)
    return [
        element
        for element in present
        if identify(element, attribute) not in gone
        and identify(element, attribute, typed=False) not in gone
        and not any(_fits(element, parts, absent, attribute) for parts, absent in described)
    ]


def _fits(element: dict[str, Any], parts: dict[str, Any], absent: set[str], attribute: Attribute) -> bool:
    return absent.isdisjoint(element) and all(
        name in element and fold_value(element[name], attribute.sub(name)) == fold_value(item, attribute.sub(name))
        for name, item in parts.items()
    )


def fold_value(value: Any, attribute: Attribute | None) -> Any:
    """Return a value in the form in which two of the attribute are equal."""
    return fold(value, attribute) if isinstance(value, str) and attribute is not None else value
