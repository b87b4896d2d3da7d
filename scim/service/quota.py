"""A tenant that has used up a quota may not grow: 400 with the remedy. Whatever does not grow goes on, and so does
everything that takes away: a disabled user, a removed member and a deletion always pass."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from scim import trace
from scim.errors import INVALID_VALUE, ScimError
from scim.schema.validation import Document
from scim.service.context import Context
from scim.store.members import Changes
from scim.store.quotas import Size

_SLACK = 8
"""Bytes that a document may grow: `false` is longer than `true`."""
_RESOURCE, _MEMBER = 2500, 700
"""Bytes of the rows of a resource beside its document, and of a membership, about."""
_SETTINGS: Mapping[str, tuple[str, int]] = {
    "resources": ("SCIM_TENANT_RESOURCES", 1),
    "members": ("SCIM_TENANT_MEMBERS", 1),
    "bytes": ("SCIM_TENANT_MEGABYTES", 1_000_000),
}


def of_creation(document: Document, members: int) -> Size:
    """What a new resource takes."""
    return Size(1, members, 2 * _length(document) + _RESOURCE + _MEMBER * members)


def of_update(old: Document, new: Document, changes: Changes) -> Size:
    """What a resource takes more, or less, after an update."""
    longer = _length(new) - _length(old)
    return of_members(changes).plus(Size(bytes=2 * longer if longer > _SLACK or longer < 0 else 0))


def of_members(changes: Changes) -> Size:
    """What a group takes more, or less, when its members change."""
    more = len(changes.add) - len(changes.remove)
    return Size(0, more, _MEMBER * more)


def require_room(context: Context, growth: Size) -> None:
    """Raise 400 if the tenant has no room for that growth. An operation that disables is never refused."""
    quotas = context.store.quotas
    size = quotas.find(context.tenant)
    if size is None or trace.deed().disabled:
        return
    for what, limit in quotas.quota._asdict().items():
        if limit and getattr(growth, what) > 0 and getattr(size, what) + getattr(growth, what) > limit:
            setting, unit = _SETTINGS[what]
            name = "MB" if what == "bytes" else what
            raise ScimError(
                INVALID_VALUE,
                f"This tenant has about {getattr(size, what) // unit} {name}, and may have {limit // unit}: delete "
                f"what is not needed, or ask the operator to raise {setting}. Disabling, removing and deleting go on.",
                rule="quota",
            )


def _length(document: Document) -> int:
    return len(orjson.dumps(document))
