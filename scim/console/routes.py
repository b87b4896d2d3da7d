"""Which page is at which address, who may ask for it, and what is noted of it before it is answered.

Addresses follow /console. GET changes nothing. A route without a name in braces for the tenant is for those who may see
all tenants, but for the first page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote

from scim.console.pages import audit, connection, connections, feed, invitations, log, people, policy, status, tenants
from scim.console.visit import Handler, Person

Right = Literal["look", "change", "oversee", "operate"]
"""What somebody needs: any role; operator or a customer's admin; operator or reader of all; operator alone."""


@dataclass(frozen=True, slots=True)
class Route:
    """One address. `fresh` asks for a sign-in within 15 minutes; `audited` is what the audit says of it, "" for a page
    that is only looked at."""

    method: Literal["GET", "POST"]
    pattern: str
    handler: Handler
    right: Right = "look"
    fresh: bool = False
    audited: str = ""

    def admits(self, person: Person) -> bool:
        """Whether somebody of that role may ask for it; which tenant they reach is looked at by the page."""
        allowed: dict[Right, bool] = {
            "look": True,
            "change": person.may_change,
            "oversee": person.tenant is None,
            "operate": person.role == "operator",
        }
        return allowed[self.right]

    def match(self, segments: list[str]) -> dict[str, str] | None:
        """Return the values of the names in braces; None if the address is another one."""
        wanted = [each for each in self.pattern.split("/") if each]
        if len(wanted) != len(segments):
            return None
        found: dict[str, str] = {}
        for pattern, segment in zip(wanted, segments, strict=True):
            name, _, values = pattern.strip("{}").partition(":")
            if not pattern.startswith("{"):
                if pattern != segment:
                    return None
            elif values and segment not in values.split("|"):
                return None
            else:
                found[name] = segment
        return found


def _list_routes() -> Iterator[Route]:
    yield Route("GET", "", tenants.show_first)
    yield Route("GET", "tenants", tenants.show_tenants)
    yield Route("GET", "tenants/add", tenants.show_add, "operate")
    yield Route("POST", "tenants/add", tenants.add, "operate", audited="added a customer")
    yield Route("GET", "audit", audit.show_all)
    yield Route("GET", "audit.csv", audit.save_all, audited="exported the audit")
    yield Route("POST", "invite", invitations.invite_colleague, "operate", audited="invited a colleague")
    yield Route("POST", "links/{id}/take-back", invitations.take_back, "operate", audited="took back a link")
    one = "tenants/{tenant}"
    yield Route("POST", f"{one}/invite", invitations.invite_admin, "operate", audited="invited an admin")
    yield Route("GET", f"{one}/status", status.show_status)
    yield Route("GET", f"{one}/connections", connections.show_connections)
    yield Route("GET", f"{one}/connections/add", connections.show_add, "change")
    yield Route("POST", f"{one}/connections/add", connections.add, "change", audited="added a connection")
    named = f"{one}/connections/{{name}}"
    yield Route("GET", named, connection.show_connection)
    yield Route("POST", f"{named}/reveal", connection.reveal, "change", True, "showed a secret")
    yield Route("POST", f"{named}/rotate", connection.rotate, "change", audited="rotated a key")
    yield Route("POST", f"{named}/revoke-old", connection.revoke_old, "change", True, "revoked an old key")
    yield Route("POST", f"{named}/revoke", connection.revoke, "change", True, "revoked a connection")
    yield Route("POST", f"{named}/pause", connection.pause, "change", audited="paused a connection")
    yield Route("POST", f"{named}/resume", connection.resume, "change", audited="resumed a connection")
    yield Route("GET", f"{one}/log", log.show_log)
    yield Route("GET", f"{one}/log.csv", log.save_log, audited="exported the provisioning log")
    yield Route("GET", f"{one}/log/{{kind}}", log.show_entry)
    yield Route("GET", f"{one}/policy", policy.show, "oversee")
    yield Route("POST", f"{one}/policy", policy.save, "operate", audited="set the policy")
    yield Route("POST", f"{one}/policy/try", policy.test, "oversee")
    yield Route("POST", f"{one}/policy/release", policy.end_hold, "operate", audited="released what was held")
    yield Route("GET", f"{one}/feed", feed.show_feed, "oversee")
    yield Route("POST", f"{one}/feed/replay", feed.replay, "operate", audited="replayed events")
    yield Route("POST", f"{one}/feed/{{name}}/resume", feed.resume, "operate", audited="resumed a sink")
    yield Route("GET", f"{one}/audit", audit.show_tenant)
    yield Route("GET", f"{one}/audit.csv", audit.save_tenant, audited="exported the audit")
    people_of = f"{one}/{{people}}"  # users, groups, and what else is loaded; what stands above goes first
    yield Route("GET", people_of, people.show_people)
    yield Route("GET", f"{people_of}/why", people.show_why)
    yield Route("GET", f"{people_of}/{{id}}", people.show_person)


ROUTES = tuple(_list_routes())
_LONGEST = 8
_EMPTY = re.compile(r"/{2,}")


def find_route(method: str, path: str) -> tuple[Route, dict[str, str]] | None:
    """Return the route of a path below /console with the values in it; None if there is none. Literals go first."""
    segments = [unquote(each) for each in path.strip("/").split("/")] if path.strip("/") else []
    if len(segments) > _LONGEST or _EMPTY.search(path):
        return None
    for route in ROUTES:
        if route.method == method and (found := route.match(segments)) is not None:
            return route, found
    return None
