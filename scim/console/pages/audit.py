"""The audit: who did what, when and from where, of all tenants or of one; and as CSV."""

from __future__ import annotations

from scim.console.csvs import write_csv
from scim.console.pages.invitations import list_links
from scim.console.rendering import link
from scim.console.visit import Answer, Download, NotThere, Page, Visit
from scim.console.words import WORDS

_MOST = 50
_CSV = 5000


async def show_all(visit: Visit) -> Answer:
    """The audit of everything, for those who may see all tenants."""
    if visit.person.tenant is not None:
        raise NotThere("audit")
    return await _page(visit, None)


async def show_tenant(visit: Visit) -> Answer:
    """The audit of one tenant."""
    return await _page(visit, visit.tenant)


async def save_all(visit: Visit) -> Answer:
    """The audit of everything as CSV."""
    if visit.person.tenant is not None:
        raise NotThere("audit")
    return await _save(visit, None)


async def save_tenant(visit: Visit) -> Answer:
    """The audit of one tenant as CSV."""
    return await _save(visit, visit.tenant)


async def _page(visit: Visit, tenant: str | None) -> Page:
    rows = await visit.parts.deeds.read(tenant, visit.ask("before", 40), _MOST + 1)
    here = ("tenants", tenant, "audit") if tenant else ("audit",)
    csv = link(*here[:-1], "audit.csv")
    older = link(*here, before=rows[_MOST - 1].time) if len(rows) > _MOST else None
    links = await list_links(visit, tenant)
    values = {"rows": rows[:_MOST], "tenant": tenant, "csv": csv, "older": older, "links": links}
    if tenant is None:
        return Page("audit_all.html", values)
    return Page("audit.html", {**values, "tab": "audit", "tab_title": WORDS.tabs["audit"]})


async def _save(visit: Visit, tenant: str | None) -> Download:
    rows = await visit.parts.deeds.read(tenant, "", _CSV)
    head = ("time", "who", "name", "what", "tenant", "about", "address")
    lines = [(each.time, each.who, each.name, each.what, each.tenant, each.about, each.address) for each in rows]
    return Download(f"{tenant or 'all'}-audit.csv", "text/csv; charset=utf-8", write_csv(head, lines))
