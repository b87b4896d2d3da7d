"""What an operation changes, for the log line of its request: names of attributes, ids and numbers, never a value.

The names are those of the schemas; an extension that nobody declared has names that a client made up, so it is told as
`(undeclared)`. What is noted is what is about to be written: whether it was is told by the status.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from scim import trace
from scim.ids import is_id
from scim.schema.registry import ResourceType
from scim.schema.validation import Document
from scim.store.members import Changes

MOST_IDS = 50
"""Members of one change that the log names: more than one transaction adds."""
UNDECLARED = "(undeclared)"


def note_creation(resource_type: ResourceType, document: Document) -> None:
    """Note that a resource is made with this document."""
    trace.find_deed().changed = find_differences({}, document, resource_type)


def note_update(resource_type: ResourceType, old: Document, new: Document) -> None:
    """Note that a resource gets another document. Whoever was active and no longer is was disabled, also if nothing is
    left that says so."""
    deed = trace.find_deed()
    deed.changed = find_differences(old, new, resource_type)
    before, after = old.get("active"), new.get("active")
    deed.disabled = int((after is False and before is not False) or (before is True and after is not True))


def note_deletion() -> None:
    """Note that a resource is deleted."""
    trace.find_deed().deleted = 1


def note_members(changes: Changes) -> None:
    """Note that a group gets members, or loses some."""
    deed = trace.find_deed()
    deed.added, deed.removed = len(changes.add), len(changes.remove)
    deed.added_ids, deed.removed_ids = _select_ids(changes.add), _select_ids(changes.remove)


def _select_ids(values: Iterable[str]) -> list[str]:
    """Return the first ids that are of ours: any other may be somebody's name."""
    return list(islice(filter(is_id, values), MOST_IDS))


def find_differences(old: Document, new: Document, resource_type: ResourceType) -> list[str]:
    """Return the paths of the attributes that have another value in `new`, as the schemas name them, in their order."""
    names: list[str] = []
    for name in dict.fromkeys([*new, *old]):
        before, after = old.get(name), new.get(name)
        if before == after:
            continue
        declared = resource_type.extension_attributes.get(name)
        if name.lower() in resource_type.core_attributes:
            names.append(name)
        elif declared is None:
            names += [] if UNDECLARED in names else [UNDECLARED]
        else:
            before, after = before or {}, after or {}
            inner = [one for one in dict.fromkeys([*after, *before]) if before.get(one) != after.get(one)]
            names += [f"{name}:{one}" if one.lower() in declared else UNDECLARED for one in inner]
    return names
