"""The webhooks that get a tenant's changes: how far each is, its last error, try now, and replay for operators."""

from __future__ import annotations

import asyncio

from scim.console.rendering import link
from scim.console.visit import Answer, NotThere, Page, Redirect, Visit
from scim.console.words import WORDS
from scim.feed.sequencer import Head
from scim.feed.sinks.document import SinkDocument
from scim.feed.sinks.state import read_state
from scim.operate import sinks
from scim.operate.connections.secret_store import SINKS
from scim.operate.errors import CommandError
from scim.operate.sinks import Standing, count_behind

_TONES = {"ok": "good", "behind": "care", "failing": "bad", "stopped": "bad"}


async def show_feed(visit: Visit) -> Answer:
    """The sinks that reach the tenant."""
    return await _page(visit)


async def resume(visit: Visit) -> Answer:
    """Have a sink try again at once."""
    sink = await _find(visit, visit.path["name"])
    await sinks.resume(visit.parts.table, sink, visit.tenant)
    return _back(visit)


async def replay(visit: Visit) -> Answer:
    """Have a sink get events again, from one on."""
    sink = await _find(visit, visit.sent("sink", 100))
    try:
        await sinks.set_cursor(visit.parts.table, sink, visit.tenant, visit.sent("start", 20))
    except CommandError as error:
        return await _page(visit, str(error))
    return _back(visit)


async def _page(visit: Visit, wrong: str = "") -> Page:
    """One trip for where the log stands, and one for each sink."""
    tenant, table = visit.tenant, visit.parts.table
    reaching = [each for each in (await visit.parts.kept.read(SINKS)).values() if each.reaches(tenant)]
    head, states = await asyncio.gather(
        Head.read(table, tenant), asyncio.gather(*(read_state(table, tenant, each.name) for each in reaching))
    )
    rows = []
    for sink, state in zip(reaching, states, strict=True):
        standing = Standing(tenant, state, count_behind(state, head))
        about = {"name": sink.name, "state": standing.how, "tone": _TONES[standing.how], "behind": standing.behind}
        rows.append({**about, "last": state.taken or None, "error": state.error})
    values = {"tenant": tenant, "tab": "feed", "tab_title": WORDS.tabs["feed"], "rows": rows, "wrong": wrong}
    values |= {"may": visit.person.role == "operator", "names": {each.name: each.name for each in reaching}}
    return Page("feed.html", values, 400 if wrong else 200)


async def _find(visit: Visit, name: str) -> SinkDocument:
    found = (await visit.parts.kept.read(SINKS)).get(name)
    if found is None or not found.reaches(visit.tenant):
        raise NotThere(name)
    return found


def _back(visit: Visit) -> Redirect:
    return Redirect(link("tenants", visit.tenant, "feed"))
