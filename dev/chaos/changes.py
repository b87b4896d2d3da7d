"""Requests about contested resources: the body of each, and what it sets."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dev.chaos.contest import Subject
from dev.chaos.model import MEMBERS
from dev.chaos.order import Writes
from dev.kit import payloads
from dev.kit.payloads import GROUP, USER, patch


@dataclass(frozen=True, slots=True)
class Change:
    """`name` is for reports. `writes` None: it deletes."""

    name: str
    method: str
    body: Any
    writes: Writes | None


def whole_group(method: str, subject: Subject, name: str, members: Iterable[str]) -> Change:
    """Return a POST or a PUT of a group."""
    wanted = frozenset(members)
    values = {"displayName": name}
    body = {"schemas": [GROUP], "externalId": subject.tag, **values, MEMBERS: payloads.values(sorted(wanted))}
    return Change(f"{method} {name!r} ={len(wanted)}", method, body, Writes(values, whole=wanted))


def whole_user(method: str, subject: Subject, values: dict[str, Any], marks: Iterable[str]) -> Change:
    """Return a POST or a PUT of a user. `values` has userName, displayName, title and nickName; None clears one."""
    wanted = frozenset(marks)
    sent = {name: value for name, value in values.items() if value is not None}
    body = {
        "schemas": [USER],
        "externalId": subject.tag,
        "active": True,
        **sent,
        "phoneNumbers": payloads.phones(sorted(wanted)),
    }
    return Change(f"{method} {sent} ={len(wanted)}", method, body, Writes(values, whole=wanted))


def add_members(members: Iterable[str], values: dict[str, Any] | None = None) -> Change:
    """Named members come, with new values of the group's own attributes in the same request."""
    wanted = frozenset(members)
    operation = payloads.add_members(*sorted(wanted))
    return _patch(f"+{len(wanted)}", [*_assigned(values), operation], Writes(values or {}, add=wanted))


def remove_members(members: Iterable[str], values: dict[str, Any] | None = None) -> Change:
    """Named members go."""
    gone = frozenset(members)
    operation = payloads.remove_members(*sorted(gone))
    return _patch(f"-{len(gone)}", [*_assigned(values), operation], Writes(values or {}, remove=gone))


def exchange_members(add: Iterable[str], remove: Iterable[str]) -> Change:
    """Have some members come and others go, in one request. None may be in both."""
    wanted, gone = frozenset(add), frozenset(remove)
    operations = [
        payloads.add_members(*sorted(wanted)),
        payloads.remove_members(*sorted(gone)),
    ]
    return _patch(f"+{len(wanted)} -{len(gone)}", operations, Writes(add=wanted, remove=gone))


def replace_members(members: Iterable[str]) -> Change:
    """Have these members and no others."""
    wanted = frozenset(members)
    return _patch(f"={len(wanted)}", [payloads.replace(MEMBERS, payloads.values(sorted(wanted)))], Writes(whole=wanted))


def clear_members() -> Change:
    """No members."""
    return _patch("clear", [{"op": "Remove", "path": MEMBERS}], Writes(whole=frozenset()))


def assign(values: dict[str, Any]) -> Change:
    """New values of attributes."""
    return _patch(f"{values}", _assigned(values), Writes(values))


def add_mark(mark: str) -> Change:
    """Add one more phone number."""
    operation = {"op": "Add", "path": "phoneNumbers", "value": payloads.phones([mark])}
    return _patch(f"+{mark}", [operation], Writes(add=frozenset([mark])))


def delete() -> Change:
    return Change("DELETE", "DELETE", None, None)


def _patch(name: str, operations: list[dict[str, Any]], writes: Writes) -> Change:
    return Change(f"PATCH {name}", "PATCH", patch(*operations), writes)


def _assigned(values: dict[str, Any] | None) -> list[dict[str, Any]]:
    return [payloads.replace(name, value) for name, value in (values or {}).items()]
