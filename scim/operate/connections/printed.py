"""What the operator's tool prints: for people, or as JSON. A secret is printed by the command that made it, and by no
other unless it was made to be recoverable and is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from scim.operate.connections.commands import Unreadable, View
from scim.operate.connections.rotation import sort_by_age
from scim.operate.escaping import escape
from scim.security.connections import Connection, Revoked
from scim.security.usage import WARNINGS, Used, count_days_left, find_due_warning

_KEPT = {
    True: "kept as it is: show {name} --print-secret prints it",
    False: "kept as a digest, so nobody can print it: rotate {name} makes a new one",
}
WARNED = max(WARNINGS)
_SHOWN = 5
"""Revoked credentials that are listed for people, the newest ones."""


def print_table(views: Sequence[View | Unreadable], now: datetime) -> str:
    """Return all connections, one line each."""
    if not views:
        return "There are no connections: add makes one."
    head = ("NAME", "TENANT", "KIND", "ACCESS", "STATE", "EXPIRES", "LAST USED", "DESCRIPTION")
    rows = [head, *([escape(cell) for cell in _print_line(view, now)] for view in views)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(head))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    endings = [ending for view in views if isinstance(view, View) for ending in _list_endings(view.connection, now)]
    if endings:
        lines += ["", f"Ended, or ends within {WARNED} days:"]
        lines += [f"  {show_moment(ends)}  {text}" for ends, text in sorted(endings)]
    return "\n".join(lines)


def _list_endings(connection: Connection, now: datetime) -> list[tuple[datetime, str]]:
    """Return what ended or is about to end of a connection, with what to do about it."""
    if connection.revoked is not None:
        return []
    name = connection.name
    if not connection.keys:
        ends = connection.expires
        soon = ends is not None and find_due_warning(ends, now) is not None
        remedy = f"add {name} --replace, with a later --expires" if connection.trust else f"rotate {name}"
        return [(ends, f"connection {name}: {remedy}")] if ends is not None and soon else []
    others = {key.id for key in connection.keys if not find_due_warning(connection.find_end(key), now)}
    remedy = f"revoke {name} --old, once the newer one is in use" if others else f"rotate {name}"
    return [
        (ends, f"credential {key.id} of {name}: {remedy}")
        for key in connection.keys
        if (ends := connection.find_end(key)) is not None and find_due_warning(ends, now)
    ]


def _print_line(view: View | Unreadable, now: datetime) -> tuple[str, ...]:
    if isinstance(view, Unreadable):
        return view.name, "", "", "", "unreadable", "", "", view.reason
    connection = view.connection
    return (
        connection.name,
        reach(connection),
        connection.kind,
        name_rights(connection),
        describe_state(connection, now),
        show_moment(connection.find_last_end(), "never"),
        show_moment(_find_last_use(view), "never" if view.used is not None else "not known"),
        connection.description,
    )


def print_details(view: View, now: datetime) -> str:
    """Return one connection for people, with its credentials and how its rotation stands."""
    connection = view.connection
    lines = [
        f"{connection.name}: {connection.kind}, {connection.access}, {connection.mode}, tenant {connection.tenant}"
        if connection.operator is None
        else f"{connection.name}: your application, {connection.kind}, {name_rights(connection)}, {reach(connection)}",
        f"  state: {describe_state(connection, now)}",
    ]
    if connection.operator is not None and not connection.operator.reaches_all:
        lines.append(f"  tenants: {', '.join(connection.operator.tenants)}")
    if connection.description:
        lines.append(f"  description: {connection.description}")
    if connection.expires:
        lines.append(f"  the connection expires: {show_moment(connection.expires)}")
    for key in sort_by_age(connection):
        lines.append(f"  credential {key.id}")
        lines.append(
            f"    created {show_moment(key.created, 'not known')}, expires {show_moment(key.expires, 'never')}"
        )
        lines.append(f"    {_show_uses(view, key.id)}")
        lines.append(f"    {_KEPT[key.recoverable].format(name=connection.name)}")
    if connection.trust is not None:
        lines.append(f"  issuer {connection.trust.issuer}, audience {connection.trust.audience}")
        lines.append(f"    {_show_uses(view, connection.trust.id)}")
    lines += [f"  credential {each.id} was revoked on {show_moment(each.at)}" for each in _list_own_revoked(connection)]
    if view.rotation is not None:
        otherwise = "not known" if view.used is None else "never"
        lines.append(f"  new credential first used: {show_moment(view.rotation.new_first_used, otherwise)}")
        lines.append(f"  old credential last used:  {show_moment(view.rotation.old_last_used, otherwise)}")
        lines.append(f"  revoke the old one?        {view.rotation.advice}")
    return "\n".join(map(escape, lines))


def summarize(view: View | Unreadable, now: datetime) -> dict[str, Any]:
    """Return one of many connections as JSON data: without what was revoked of it."""
    found = build_data(view, now)
    found.pop("revokedCredentials", None)
    return found


def build_data(view: View | Unreadable, now: datetime) -> dict[str, Any]:
    """Return one connection as JSON data, without any secret."""
    if isinstance(view, Unreadable):
        return {"name": view.name, "state": "unreadable", "reason": view.reason}
    connection = view.connection
    document = connection.dump()
    document.pop("revoked_keys", None)
    document["keys"] = [
        {
            "id": key.id,
            "created": _show_time(key.created),
            "expires": _show_time(key.expires),
            "firstUsed": _show_time(used.first if used else None),
            "lastUsed": _show_time(used.last if used else None),
            "recoverable": key.recoverable,
        }
        for key in sort_by_age(connection)
        for used in [_find_use(view, key.id)]
    ]
    turn = view.rotation
    return {
        "name": connection.name,
        "tenant": connection.tenant,
        "kind": connection.kind,
        "access": connection.access if connection.operator is None else None,
        **document,
        "state": describe_state(connection, now),
        "lastUsed": _show_time(_find_last_use(view)),
        "revokedCredentials": [{"id": each.id, "at": _show_time(each.at)} for each in _list_revoked(connection)],
        "ending": [{"at": _show_time(ends), "what": text} for ends, text in _list_endings(connection, now)],
        "rotation": None if turn is None else {"safeToRevoke": turn.safe, "old": turn.old.id, "advice": turn.advice},
    }


def reach(connection: Connection) -> str:
    """In a few words: the tenants that it reaches."""
    if connection.operator is None:
        return connection.tenant or ""
    if connection.operator.reaches_all:
        return "all tenants"
    first, *more = connection.operator.tenants
    return f"{first} and {len(more)} more" if more else f"{first} alone"


def name_rights(connection: Connection) -> str:
    """Return what it may do, in words."""
    return connection.access if connection.operator is None else ", ".join(connection.operator.rights)


def describe_state(connection: Connection, now: datetime) -> str:
    """In a few words: whether it works, and what is coming."""
    ends = connection.find_last_end()
    if connection.revoked is not None:
        return f"revoked on {show_moment(connection.revoked)}"
    if not connection.keys and connection.trust is None:
        return f"no credential in force: rotate makes one{', paused' if connection.paused else ''}"
    if ends is not None and now >= ends:
        return "expired"
    if connection.paused is not None:
        return f"paused since {show_moment(connection.paused)}"
    words = ["rotating"] if len(connection.keys) > 1 else []
    soonest = min((end for key in _list_secrets(connection) for end in [connection.find_end(key)] if end), default=None)
    if soonest is not None and find_due_warning(soonest, now):
        words.append(f"{'a credential ' if words else ''}expires in {count_days_left(soonest, now)} days")
    return ", ".join(words) or "active"


def show_moment(at: datetime | None, otherwise: str = "") -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M}Z" if at else otherwise


def _list_revoked(connection: Connection) -> list[Revoked]:
    """Return its revoked credentials, oldest first, without what stands for the whole."""
    return sorted((each for each in connection.revoked_keys if each.value != connection.making), key=_find_time)


def _find_time(revoked: Revoked) -> datetime:
    return revoked.at


def _list_own_revoked(connection: Connection) -> list[Revoked]:
    """Return the newest of them, and none of an earlier connection of the same name."""
    own = [each for each in _list_revoked(connection) if connection.created is None or each.at >= connection.created]
    return own[-_SHOWN:]


def _list_secrets(connection: Connection) -> Sequence[Any]:
    return connection.keys or (None,)


def _find_use(view: View, credential: str) -> Used | None:
    return next((used for used in view.used or () if used.credential == credential), None)


def _show_uses(view: View, credential: str) -> str:
    if view.used is None:
        return "uses not known"
    used = _find_use(view, credential)
    return f"first used {show_moment(used.first)}, last used {show_moment(used.last)}" if used else "never used"


def _find_last_use(view: View) -> datetime | None:
    return max((used.last for used in view.used or ()), default=None)


def _show_time(at: datetime | None) -> str | None:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z") if at else None
