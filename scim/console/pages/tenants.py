"""All tenants: found by the beginning of a name, 50 on a page, and "Add customer".

A tenant is here from its first connection on, and as long as anything of it is counted. Two trips: what is noted of all
credentials' uses and revocations, and what was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from scim.console.pages.connections import make
from scim.console.pages.looking import Tone, find_last, judge_all
from scim.console.rendering import link
from scim.console.visit import Answer, NotThere, Page, Redirect, Visit
from scim.operate.connections.commands import Unreadable, View
from scim.operate.errors import CommandError
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Row, Table

_MOST = 50


@dataclass(frozen=True, slots=True)
class _Row:
    name: str
    state: Tone
    connections: int
    last: datetime | None
    ends: datetime | None
    resources: int | None


async def show_first(visit: Visit) -> Answer:
    """The first page: all tenants, or the one that is the visitor's."""
    if visit.person.tenant is not None:
        return Redirect(link("tenants", visit.person.tenant, "status"))
    return Redirect(link("tenants"))


async def show_tenants(visit: Visit) -> Answer:
    """The tenants whose names begin so, in the order of their names."""
    if visit.person.tenant is not None:
        raise NotThere("tenants")
    find, after = visit.ask("find", 63).lower(), visit.ask("after", 63)
    by_tenant: dict[str, list[View]] = {}
    unreadable = 0
    for view in await visit.parts.commands().list():
        if isinstance(view, Unreadable):
            unreadable += 1
        elif view.connection.tenant is not None:
            by_tenant.setdefault(view.connection.tenant, []).append(view)
    names = sorted(name for name in by_tenant if name.startswith(find) and name > after)
    shown = names[:_MOST]
    sizes = await _read_sizes(visit.parts.table, shown)
    rows = [_row(name, by_tenant[name], sizes, visit.now) for name in shown]
    values = {"rows": rows, "find": find, "total": len(by_tenant), "unreadable": unreadable}
    return Page("tenants.html", {**values, "next": shown[-1] if len(names) > _MOST else None})


async def show_add(visit: Visit) -> Answer:
    """The form for another customer."""
    if visit.person.tenant is not None:
        raise NotThere("tenants")
    return _form({}, "")


async def add(visit: Visit) -> Answer:
    """Make a customer's first connection, which makes the customer, and show its secret."""
    if visit.person.tenant is not None:
        raise NotThere("tenants")
    tenant = visit.sent("tenant", 63).lower()
    try:
        return await make(visit, tenant, tenant)
    except CommandError as error:
        return _form(visit.form, str(error))


def _form(form: Mapping[str, str], wrong: str) -> Page:
    values: dict[str, Any] = {"form": form, "wrong": wrong, "tenant": None, "suggested": ""}
    status = 400 if wrong else 200
    return Page("add_customer.html", {**values, "action": link("tenants", "add"), "back": link("tenants")}, status)


def _row(name: str, views: list[View], sizes: Mapping[str, int], now: datetime) -> _Row:
    alive = [view for view in views if view.connection.revoked is None]
    last = max((each for view in views if (each := find_last(view))), default=None)
    ends = min((each for view in alive if (each := view.connection.find_last_end()) and each > now), default=None)
    return _Row(name, judge_all(views, now), len(alive), last, ends, sizes.get(name))


async def _read_sizes(table: Table, tenants: list[str]) -> dict[str, int]:
    """What was measured of the tenants of a page, which are neighbours: one trip, or a few with many tenants."""
    if not tenants:
        return {}
    wanted = {shared_keys.quota_key(tenant): tenant for tenant in tenants}
    found: dict[str, int] = {}
    async for page in table.pages(SHARED, min(wanted), max(wanted) + " "):
        found |= {wanted[row.key]: _number(row) for row in page if row.key in wanted and "measured" in row.values}
    return found


def _number(row: Row) -> int:
    return int(row.values["resources"])
