"""Links that let somebody in once: for a tenant's admin, or for a colleague."""

from __future__ import annotations

from scim.console.rendering import link
from scim.console.visit import Answer, NotThere, Page, Redirect, Visit
from scim.operate.access.people import Role
from scim.operate.access.sessions import Link, Sessions


async def list_links(visit: Visit, tenant: str | None) -> list[Link]:
    """Return the links that nobody has used, of a tenant or of all; none for those who may not make any."""
    if visit.person.role != "operator" or visit.parts.sessions is None:
        return []
    return [each async for each in visit.parts.sessions.links() if tenant in (None, each.tenant)]


async def invite_admin(visit: Visit) -> Answer:
    """A link for the tenant's admin."""
    return await _make(visit, "admin", visit.tenant)


async def invite_colleague(visit: Visit) -> Answer:
    """A link for a colleague, who may change everything, or look."""
    return await _make(visit, "reader" if visit.sent("role") == "reader" else "operator", None)


async def take_back(visit: Visit) -> Answer:
    """Have a link let nobody in any more."""
    if not await _sessions(visit).revoke_link(visit.path["id"]):
        raise NotThere(visit.path["id"])
    return Redirect(link("audit"))


async def _make(visit: Visit, role: Role, tenant: str | None) -> Page:
    made, token = await _sessions(visit).invite(role, tenant, visit.person.id)
    values = {
        "tenant": tenant or "",
        "until": made.until,
        "url": f"{visit.parts.console_origin}/console/invitation#{token}",
    }
    return Page("link.html", values, secret=True)


def _sessions(visit: Visit) -> Sessions:
    if visit.parts.sessions is None:
        raise NotThere("invite")
    return visit.parts.sessions
