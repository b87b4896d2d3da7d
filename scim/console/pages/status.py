"""How a tenant does: health, cycles, charts, how close Entra is to stopping, and what to do, with where to do it.

Five trips in most cases: what was counted in thirty days, which connections and then who was refused, what was
measured, and where the log stands.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from scim.console.charts import chart_days, chart_hours
from scim.console.pages.looking import Tone, looking_up
from scim.console.rendering import link
from scim.console.visit import Answer, Page, Visit
from scim.console.words import WORDS
from scim.insight import counts
from scim.insight.connections import Heard
from scim.insight.cycles import Cycle, expect_next, is_overdue, measure_progress
from scim.insight.status import Status, read_status

_SHOWN = timedelta(days=30)


async def show_status(visit: Visit) -> Answer:
    """The page of a tenant that comes first."""
    tenant = visit.tenant
    expected = int(text) if (text := visit.ask("expect", 9)).isascii() and text.isdecimal() else None
    table = visit.parts.table
    minutes = await counts.read_minutes(table, tenant, visit.now - _SHOWN)
    look_up = looking_up(visit.parts, tenant)
    status = await read_status(table, tenant, look_up, now=visit.now, expected=expected, counted=minutes)
    newest = max((heard.cycles[-1] for heard in status.connections if heard.cycles), key=_end, default=None)
    binding = visit.binds is not None and await visit.binds.find_directory(tenant) is None
    values: dict[str, Any] = {
        "tenant": tenant,
        "binding": binding,
        "tab": "status",
        "tab_title": WORDS.tabs["status"],
        "health": judge(status),
        "alerts": _list_alerts(status),
        "cycle": newest,
        "running": newest is not None and newest.is_running(visit.now),
        "next": expect_next(newest) if newest else None,
        "subjects": status.subjects,
        "size": status.size,
        "causes": status.causes,
        "day": chart_hours(minutes.values(), visit.now),
        "month": chart_days(minutes.values(), visit.now),
        "progress": measure_progress(newest, expected) if newest and newest.counts.get("creates") else None,
    }
    return Page("status.html", values)


def judge(status: Status) -> Tone:
    """Return how a tenant does: "bad" if nobody gets in by any connection."""
    alive = [each for each in status.connections if each.connection is None or each.connection.revoked is None]
    if not any(each.cycles for each in status.connections):
        return "none"
    if alive and all(each.find_trouble(status.now) for each in alive):
        return "bad"
    if not alive:
        return "bad"
    late = any(each.cycles and is_overdue(each.cycles[-1], status.now) for each in alive)
    return "care" if status.subjects or late or status.advice() else "good"


def _end(cycle: Cycle) -> datetime:
    return cycle.last


def _list_alerts(status: Status) -> list[dict[str, str]]:
    """What to do, each with the page where it is done. A tenant that waits for its first request has its own card."""
    if not any(each.cycles for each in status.connections):
        return []
    return [{"text": text, **_find_place(status, text)} for text in status.advice()]


def _find_place(status: Status, text: str) -> dict[str, str]:
    """Return the page on which an advice is followed: the connection that it names, or the log."""
    tenant = status.tenant
    if status.policy.hold is not None and " held back " in text:
        return {"address": link("tenants", tenant, "policy"), "act": WORDS.policy.title}
    for heard in sorted(status.connections, key=_length, reverse=True):
        named = text.startswith((f"Connection {heard.name} ", f"{heard.name}: The credential expires"))
        if named and heard.connection is not None:
            address = link("tenants", tenant, "connections", heard.name)
            return {"address": address, "act": WORDS.status.mend.connection.format(heard.name)}
    if status.subjects:
        return {"address": link("tenants", tenant, "log"), "act": WORDS.status.mend.log}
    return {"address": link("tenants", tenant, "connections"), "act": WORDS.status.mend.connections}


def _length(heard: Heard) -> int:
    return len(heard.name)
