"""A tenant that has used up a quota may not grow: 400 with the remedy. Whatever does not grow goes on, and so does
everything that takes away: a disabled user, a removed member and a deletion always pass.

What is booked is what the store has done, never less: additions as they were asked for, unless it is known who was
there before; removals as the store's transactions tell them. A change that failed may have added, and has removed
nothing beyond what is told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import orjson

from scim import trace
from scim.errors import INVALID_VALUE, ScimError
from scim.schema.validation import Document
from scim.service.context import Context
from scim.store.members import Changes
from scim.store.quotas import PERCENT, Size
from scim.store.resources import Stale, Taken
from scim.store.sequences import Busy
from scim.store.table import Refused

_RESOURCE, _MEMBER = 2500, 700
"""Bytes of the rows of a resource beside its document, and of a membership, about."""
_DISABLING, _BESIDE = 100, 8_000
"""Bytes that a user grows by `active: false` alone, at most; and those of what may come beside it in one request."""
_SETTINGS: Mapping[str, tuple[str, int]] = {
    "resources": ("SCIM_TENANT_RESOURCES", 1),
    "members": ("SCIM_TENANT_MEMBERS", 1),
    "bytes": ("SCIM_TENANT_MEGABYTES", 1_000_000),
}


def measure_creation(document: Document, members: int) -> Size:
    """Return what a new resource takes."""
    return Size(1, 0, 2 * _measure_text(document) + _RESOURCE) + _measure_memberships(members)


def measure_deletion(document: Document) -> Size:
    """Return what goes with a resource, beside its memberships."""
    return Size(-1, 0, -2 * _measure_text(document) - _RESOURCE)


def measure_update(old: Document, new: Document, changes: Changes) -> Size:
    """Return what a resource takes more, or less, after an update, beside the members that leave it."""
    return measure_members(changes) + Size(bytes=2 * (_measure_text(new) - _measure_text(old)))


def measure_members(changes: Changes) -> Size:
    """Return what a group takes more when it gets these members, at most."""
    return _measure_memberships(len(changes.add) if changes.fresh is None else changes.fresh)


def measure_leaving(changes: Changes) -> Size:
    """Return what a group takes less without those who leave, as far as it is known that they are in it."""
    return _measure_memberships(0 if changes.fresh is None else -len(changes.remove))


def has_ample_room(context: Context, growth: Size) -> bool:
    """Return whether the tenant stays so far from its quotas with that growth that nobody need look what is there
    already."""
    return _find_scarce(context, growth, PERCENT) is None


def require_room(context: Context, growth: Size) -> None:
    """Raise 400 if the tenant has no room for that growth. What disables is not refused for its bytes."""
    what = _find_scarce(context, growth, 100)
    quota, is_leaving = context.store.quota, trace.find_deed().disabled > 0
    if what is None or (what == "bytes" and is_leaving and _may_pass(context, growth.bytes)):
        return
    size, limit = quota.find_size() or Size(), getattr(quota.limits, what)
    setting, unit = _SETTINGS[what]
    name = "MB" if what == "bytes" else what
    alone = " Send active: false alone: it always passes." if is_leaving else ""
    raise ScimError(
        INVALID_VALUE,
        f"This tenant has about {getattr(size, what) // unit} {name}, and may have {limit // unit}: delete what is not"
        f" needed, or ask the operator to raise {setting}. Disabling, removing and deleting go on.{alone}",
        rule="quota",
    )


def _may_pass(context: Context, more: int) -> bool:
    """Return whether a request that disables may bring that many bytes. Entra sends some attributes beside `active`;
    what they come to in a process, between two measurements, is limited, or a user who goes and comes would be a way
    around."""
    return more <= _DISABLING or (more <= _BESIDE and context.store.quota.spare(more))


def _find_scarce(context: Context, growth: Size, percent: int) -> str | None:
    """Return the first quota of which more than `percent` would be used with that growth; None if there is none."""
    quota = context.store.quota
    size = quota.find_size()
    if size is None:
        return None
    for what, limit in quota.limits._asdict().items():
        more = getattr(growth, what)
        if limit and more > 0 and 100 * (getattr(size, what) + more) > percent * limit:
            return str(what)
    return None


@contextmanager
def book(context: Context, growth: Size) -> Iterator[None]:
    """Book what the store does inside: the growth if all goes well, without the memberships that it takes away."""
    deed = trace.find_deed()
    before = deed.left
    try:
        yield
    except BaseException as error:
        if not _did_nothing(error):
            context.store.quota.add_written(growth.increase() + _measure_memberships(before - deed.left))
        raise
    context.store.quota.add_written(growth + _measure_memberships(before - deed.left))


def _did_nothing(error: BaseException) -> bool:
    """Return whether an operation that ended so has surely added nothing, and has taken back what it wrote before."""
    refused = isinstance(error, ScimError) and error.kind.status < 500
    return refused or isinstance(error, Taken | Stale | Refused | Busy)


def _measure_memberships(number: int) -> Size:
    return Size(0, number, _MEMBER * number)


def _measure_text(document: Document) -> int:
    return len(orjson.dumps(document))
