"""What an operation of a PATCH costs, before it is applied, and how many values it may leave.

The terms of a path are counted where they are compared (filter/evaluate.py); here is what every operation looks at
whatever it says: the values of its attribute, which it copies, and, of an extension that nobody declared, the names in
it and the text of the list that it extends.
"""

from __future__ import annotations

from typing import Any

from scim.budget import Work, charge
from scim.patch.entra import Operation
from scim.schema.registry import Declared, ResourceType, Undeclared
from scim.schema.validation import Document, find_container, find_own_name, hold_number

_OPERATION = 5
"""Units of an operation on one value."""
_VALUE = 3
"""Units of each value that an operation copies or compares with new ones."""
_TEXT = 200
"""Characters that are written as JSON in a unit."""


def expect(document: Document, operation: Operation, size: int) -> int:
    """Count what the operation will look at in the document, of `size` characters when the PATCH began; how many values
    its attribute has. Raises TooDear."""
    units, present = _OPERATION, _find_present(document, operation)
    if isinstance(operation.target, Undeclared):
        units += len(document) + len(document.get(operation.target.urn or "", ())) + size // _TEXT
    sent = len(operation.value) if isinstance(operation.value, list | dict) else 1
    number = len(present) if isinstance(present, list) else 0
    charge(units + _VALUE * (number + sent), Work.OPERATIONS)
    return number


def hold(document: Document, operation: Operation, resource_type: ResourceType, before: int) -> None:
    """Raise 400 invalidValue if the operation has left more values than an attribute may have."""
    present = _find_present(document, operation)
    if isinstance(present, list) and len(present) > before:
        hold_number(present, operation.target.name, resource_type)


def _find_present(document: Document, operation: Operation) -> Any:
    """Return what the operation's attribute has."""
    target = operation.target
    if target.urn is None or isinstance(target, Declared):
        return find_container(document, target).get(target.name)
    container = document.get(find_own_name(document, target.urn), {})
    return container.get(find_own_name(container, target.name))
