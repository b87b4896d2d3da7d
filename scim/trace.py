"""What one request's log line tells, gathered on the way down and back: who called, what was changed, why it was
refused, and the trips to the table.

A context variable carries it, so that no layer has to hand it on. Outside a request nothing is gathered.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

from scim.address import UNKNOWN
from scim.errors import Reason, Rule, ScimError


@dataclass(slots=True)
class Deed:
    """What one operation changes; a bulk request has one for each of its operations, and one with their sums.

    It is noted before it is written: if the answer is a 4xx nothing of it happened, if it is a 5xx it may have."""

    changed: Sequence[str] = ()
    """Paths of the attributes that get another value, as the schemas name them."""
    added: int = 0
    """Members that a group gets, as far as it is known without a read: some may have been there."""
    removed: int = 0
    added_ids: Sequence[str] = ()
    """The first of them, if they are resources of ours."""
    removed_ids: Sequence[str] = ()
    disabled: int = 0
    deleted: int = 0
    left: int = 0
    """Memberships that were surely taken away, whatever was asked for. Not told in the log."""
    attribute: str | None = None
    """The attribute that broke `rule`, as it was sent."""
    rule: Rule | None = None


@dataclass(slots=True)
class Trace:
    """One request."""

    request: str = ""
    """Its id."""
    address: str | None = None
    """Where it came from."""
    tenant: str | None = None
    """The tenant of the caller who has proven who it is; of an operator's, the one that it asks for."""
    connection: str | None = None
    credential: str | None = None
    """What logs and lists call the credential: eight hex digits."""
    claimed: str | None = None
    """The connection that a caller named who has proven nothing."""
    admitted: bool = False
    """Whether the caller showed a credential that is in force."""
    grant: str | None = None
    """The kind of grant at the token endpoint."""
    reason: Reason | None = None
    """Why the caller was refused, if it was."""
    trips: int = 0
    """Requests to the table, retries among them."""
    operations: int | None = None
    """Operations of a bulk request; None if it is none."""
    failed: int = 0
    """Those of them that failed."""
    deed: Deed = field(default_factory=Deed)
    told: bool = False
    """Whether the outbox was told of a change."""


_current: ContextVar[Trace | None] = ContextVar("scim_trace", default=None)
_deed: ContextVar[Deed | None] = ContextVar("scim_deed", default=None)


def begin_trace(request: str) -> Trace:
    """Gather anew, in this task and those that it starts."""
    trace = Trace(request)
    _current.set(trace)
    _deed.set(trace.deed)
    return trace


def find_current() -> Trace | None:
    """Return the request at hand; None outside of one."""
    return _current.get()


def find_deed() -> Deed:
    """Return what the operation at hand changes."""
    return _deed.get() or Deed()


@contextmanager
def begin_operation() -> Iterator[Deed]:
    """Gather what one operation of a bulk request changes on its own, and add it up for the request."""
    own = Deed()
    token = _deed.set(own)
    try:
        yield own
    finally:
        _deed.reset(token)


def add_up(own: Deed, status: int) -> None:
    """Count an operation of a bulk request that has ended with that status: what it changed, or may have, counts for
    the request. The first rule that was broken is the request's."""
    if (trace := _current.get()) is None:
        return
    whole = trace.deed
    if status >= 400:
        trace.failed += 1
        if whole.rule is None:
            whole.attribute, whole.rule = own.attribute, own.rule
    if 400 <= status < 500:
        return
    whole.added += own.added
    whole.removed += own.removed
    whole.disabled += own.disabled
    whole.deleted += own.deleted


def note_bulk(operations: int) -> None:
    """Note that the request is a bulk request of that many operations."""
    if (trace := _current.get()) is not None:
        trace.operations = operations


def note_address(address: str) -> None:
    """Note the address that the request comes from; `?` if it is not known."""
    if address != UNKNOWN and (trace := _current.get()) is not None:
        trace.address = address


def note_claimed_connection(connection: str) -> None:
    """Note which connection the caller names, which has yet to prove that it may."""
    if (trace := _current.get()) is not None:
        trace.claimed = connection


def note_credential(connection: str, tenant: str | None, credential: str) -> None:
    """Note that the caller has that credential of the connection, or had it before it ended. An operator's has no
    tenant."""
    if (trace := _current.get()) is not None:
        trace.connection, trace.tenant, trace.credential = connection, tenant, credential
        trace.claimed = None


def note_tenant(tenant: str) -> None:
    """Note that the caller, an operator's connection, may ask for that tenant, and does."""
    if (trace := _current.get()) is not None:
        trace.tenant = tenant


def note_admission() -> None:
    """Note that the caller showed a credential that is in force."""
    if (trace := _current.get()) is not None:
        trace.admitted = True


def note_grant(kind: str) -> None:
    """Note the kind of the token request."""
    if (trace := _current.get()) is not None:
        trace.grant = kind


def note_refusal(reason: Reason | None) -> None:
    """Note why the caller was refused."""
    if reason is not None and (trace := _current.get()) is not None:
        trace.reason = reason


def note_rule(error: ScimError) -> None:
    """Note the error that the operation at hand ends with."""
    note_refusal(error.reason)
    own = find_deed()
    own.attribute, own.rule = error.attribute, error.rule


def note_left_memberships(memberships: int) -> None:
    """Note how many memberships were taken away."""
    find_deed().left += memberships


def tell() -> None:
    """Note that the outbox is told of a change."""
    if (trace := _current.get()) is not None:
        trace.told = True


def count_trip() -> None:
    """Count a request to the table."""
    if (trace := _current.get()) is not None:
        trace.trips += 1
