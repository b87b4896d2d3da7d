"""The console's door: who is it, may they, and what is the answer. One guard around all pages.

A form is taken only from a page of ours: a browser says so in Sec-Fetch-Site, or in Origin. A tenant that is not the
person's is a 404, as one that does not exist. Strangers write no row.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from scim.address import find_address
from scim.console.answers import build_answer, read_form, say, serve_static
from scim.console.cookies import SESSION, read_cookie
from scim.console.entrance import Entrance
from scim.console.pages.people import list_others
from scim.console.routes import find_route
from scim.console.sign_in import SignIn
from scim.console.visit import NotThere, Page, Parts, Person, Visit, Wrong
from scim.http import CONSOLE as ROOT
from scim.http import Request, Response
from scim.operate.access.audit import Audit
from scim.operate.access.directories import Directories
from scim.operate.access.sessions import Session, Sessions
from scim.operate.errors import CommandError
from scim.security.keys import CONNECTION_NAME
from scim.security.secrets import SecretsUnavailable
from scim.settings import Settings
from scim.store.table import TableUnavailable

log = logging.getLogger("scim")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Strict-Transport-Security": "max-age=31536000",
}
"""Of every answer. `no-referrer` would turn the Origin of a form's POST into null."""


@dataclass(frozen=True, slots=True)
class Place:
    """What the door works on, beside what pages do. `audit` is written before anything is done."""

    settings: Settings
    parts: Parts
    sessions: Sessions
    audit: Audit
    directories: Directories
    sign_in: SignIn | None = None
    """None if nobody can sign in at a provider."""


class Console:
    """Answers requests below /console."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._entrance = Entrance(place.sessions, place.sign_in, self._note, place.settings.proxies)

    async def handle(self, request: Request) -> Response:
        """Answer whatever happens."""
        try:
            response = await self._answer(request)
        except TableUnavailable as error:
            log.warning("the console waits for the table: %s", error)
            response = say(503, "table_away")
        except SecretsUnavailable as error:
            log.warning("the console waits for the vault: %s", error)
            response = say(503, "vault_away")
        except Exception:
            log.exception("a page of the console failed")
            response = say(500, "failed")
        return replace(response, headers={**HEADERS, **response.headers})

    async def _answer(self, request: Request) -> Response:
        segments = request.segments
        origin = self._place.settings.find_console_origin(request.origin)
        if segments[:1] == ["static"] and len(segments) == 3:
            return serve_static(segments[1], segments[2])
        if request.method not in ("GET", "HEAD", "POST"):
            return say(405, "not_possible", headers={"Allow": "GET, HEAD, POST"})
        if request.method == "POST" and not _is_own_form(request, origin):
            return say(403, "foreign")
        session = await self._find_session(request, origin)
        answer = await self._entrance.answer(request, origin, session)
        if answer is not None:
            return answer
        if session is None:
            return self._entrance.refuse(request)
        if segments == ["sign-out"] and request.method == "POST":
            return await self._entrance.sign_out(request, origin, session)
        return await self._show(request, session)

    async def _find_session(self, request: Request, origin: str) -> Session | None:
        secret = read_cookie(request, origin, SESSION)
        return await self._place.sessions.find(secret) if secret else None

    async def _show(self, request: Request, session: Session) -> Response:
        person = session.person
        method = "GET" if request.method == "HEAD" else request.method
        found = find_route(method, request.path.removeprefix(f"/{ROOT}"))
        if found is None:
            return say(404, "nothing", person)
        route, values = found
        tenant = values.get("tenant")
        if tenant is not None and (not CONNECTION_NAME.fullmatch(tenant) or person.tenant not in (None, tenant)):
            return say(404, "nothing", person)
        if route.right == "oversee" and person.tenant is not None:  # the vendor's own business
            return say(404, "nothing", person)
        if not route.admits(person):
            return say(403, "not_yours", person)
        if route.fresh and not person.fresh:
            return self._entrance.refuse(request, session=session)
        form = read_form(request) if request.method == "POST" else {}
        if route.audited:
            about = values.get("name") or values.get("id") or _find_named(form)
            await self._note(request, person, route.audited, tenant, about)
        settings = self._place.settings
        origin, console = settings.find_origin(request.origin), settings.find_console_origin(request.origin)
        parts = replace(self._place.parts, origin=origin, console_origin=console)
        binds = self._place.directories if self._entrance.offers_binding(session) else None
        visit = Visit(person, parts, values, request.query, form, binds)
        try:
            answer = await route.handler(visit)
        except NotThere:
            return say(404, "nothing", person)
        except (Wrong, CommandError) as error:
            return say(400, "wrong", person, text=str(error))
        if isinstance(answer, Page):  # what is loaded beside users and groups has tabs on every page of a tenant
            answer = replace(answer, values={"others": list_others(parts.registry), **answer.values})
        return build_answer(person, answer)

    async def _note(self, request: Request, person: Person, what: str, tenant: str | None, about: str = "") -> None:
        """Write down what is about to be done. Raises TableUnavailable: then it is not done."""
        address = find_address(request.headers, self._place.settings.proxies)
        await self._place.audit.write(person, what, tenant=tenant, about=about, address=address)


def _is_own_form(request: Request, origin: str) -> bool:
    """Whether a form comes from a page of ours: no other site can send one in the person's name."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") in (origin, request.origin)


def _find_named(form: Mapping[str, str]) -> str:
    """Return what a form makes, for the audit: the name of a connection or tenant, if it can be one."""
    named = (form.get(each, "").strip().lower() for each in ("name", "tenant"))
    return next((each for each in named if CONNECTION_NAME.fullmatch(each)), "")
