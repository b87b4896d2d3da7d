"""The console's door: who is it, may they, and what is the answer. One guard around all pages.

A form is taken only from a page of ours: a browser says so in Sec-Fetch-Site, or in Origin. A tenant that is not the
person's is a 404, as one that does not exist. Strangers write no row.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from urllib.parse import parse_qsl

from scim.address import find_address
from scim.console.rendering import render
from scim.console.routes import find_route
from scim.console.visit import Answer, Download, Fragment, NotThere, Page, Parts, Person, Redirect, Visit, Wrong
from scim.console.words import WORDS
from scim.http import CONSOLE as ROOT
from scim.http import Request, Response
from scim.operate.access.audit import Audit
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
_STATIC = Path(__file__).parent / "static"
_TYPES = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".svg": "image/svg+xml"}
_COOKIE = "scim"
_MOST_BODY = 100_000
_HTML = {"Content-Type": "text/html; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Place:
    """What the door works on, beside what pages do. `audit` is written before anything is done."""

    settings: Settings
    parts: Parts
    sessions: Sessions
    audit: Audit


class Console:
    """Answers requests below /console."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def handle(self, request: Request) -> Response:
        """Answer whatever happens."""
        try:
            response = await self._answer(request)
        except TableUnavailable as error:
            log.warning("the console waits for the table: %s", error)
            response = _say(503, "table_away")
        except SecretsUnavailable as error:
            log.warning("the console waits for the vault: %s", error)
            response = _say(503, "vault_away")
        except Exception:
            log.exception("a page of the console failed")
            response = _say(500, "failed")
        return replace(response, headers={**HEADERS, **response.headers})

    async def _answer(self, request: Request) -> Response:
        segments = request.segments
        origin = self._place.settings.find_console_origin(request.origin)
        if segments[:1] == ["static"] and len(segments) == 3:
            return _serve_static(segments[1], segments[2])
        if request.method not in ("GET", "HEAD", "POST"):
            return _say(405, "not_possible", headers={"Allow": "GET, HEAD, POST"})
        if request.method == "POST" and not _is_own_form(request, origin):
            return _say(403, "foreign")
        if segments == ["invitation"]:
            return await self._invite(request, origin)
        session = await self._find_session(request, origin)
        if session is None:
            return _say(401, "signed_out")
        if segments == ["sign-out"] and request.method == "POST":
            await self._note(request, session.person, "signed out", session.person.tenant)
            await self._place.sessions.end(session)
            return Response(303, None, {"Location": f"/{ROOT}", "Set-Cookie": _cookie(origin, "", 0)})
        return await self._show(request, session.person)

    async def _show(self, request: Request, person: Person) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        found = find_route(method, request.path.removeprefix(f"/{ROOT}"))
        if found is None:
            return _say(404, "nothing", person)
        route, values = found
        tenant = values.get("tenant")
        if tenant is not None and (not CONNECTION_NAME.fullmatch(tenant) or person.tenant not in (None, tenant)):
            return _say(404, "nothing", person)
        if route.right == "oversee" and person.tenant is not None:  # the vendor's own business
            return _say(404, "nothing", person)
        if not route.admits(person):
            return _say(403, "not_yours", person)
        if route.fresh and not person.fresh:
            return _say(403, "not_fresh", person)
        if route.audited:
            about = values.get("name") or values.get("id") or ""
            await self._note(request, person, route.audited, tenant, about)
        form = _read_form(request) if request.method == "POST" else {}
        settings = self._place.settings
        origin, console_origin = settings.find_origin(request.origin), settings.find_console_origin(request.origin)
        parts = replace(self._place.parts, origin=origin, console_origin=console_origin)
        visit = Visit(person, parts, values, request.query, form)
        try:
            answer = await route.handler(visit)
        except NotThere:
            return _say(404, "nothing", person)
        except (Wrong, CommandError) as error:
            return _say(400, "wrong", person, text=str(error))
        return _build(person, answer)

    async def _note(self, request: Request, person: Person, what: str, tenant: str | None, about: str = "") -> None:
        """Write down what is about to be done. Raises TableUnavailable: then it is not done."""
        address = find_address(request.headers, self._place.settings.proxies)
        await self._place.audit.write(person, what, tenant=tenant, about=about, address=address)

    async def _invite(self, request: Request, origin: str) -> Response:
        """Where a link leads: the page sends the token of the fragment by a form."""
        if request.method != "POST":
            return Response(200, render("invitation.html", {"error": ""}, None, find_static), dict(_HTML))
        token = _read_form(request).get("token", "").strip().rpartition("#")[2]
        begun = await self._place.sessions.redeem(token)
        if begun is None:
            page = render("invitation.html", {"error": WORDS.door.link_used}, None, find_static)
            return Response(403, page, dict(_HTML))
        secret, person = begun
        await self._note(request, person, "signed in by a link", person.tenant)
        return Response(303, None, {"Location": f"/{ROOT}", "Set-Cookie": _cookie(origin, secret, 8 * 3600)})

    async def _find_session(self, request: Request, origin: str) -> Session | None:
        wanted = _cookie_name(origin)
        for part in request.headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted and value:
                return await self._place.sessions.find(value)
        return None


def _build(person: Person, answer: Answer) -> Response:
    match answer:
        case Page(template, values, status, _):
            return Response(status, render(template, values, person, find_static), dict(_HTML))
        case Fragment(template, values):
            return Response(200, render(template, values, person, find_static), dict(_HTML))
        case Redirect(to):
            return Response(303, None, {"Location": to})
        case Download(name, kind, content):
            headers = {"Content-Type": kind, "Content-Disposition": f'attachment; filename="{name}"'}
            return Response(200, content, headers)


def _say(
    status: int, what: str, person: Person | None = None, *, text: str = "", headers: dict[str, str] | None = None
) -> Response:
    """A page of one sentence."""
    title, said = getattr(WORDS.door, what)
    values = {"title": title, "text": text or said, "address": "/console" if person else "", "act": WORDS.door.back}
    return Response(status, render("message.html", values, person, find_static), {**_HTML, **(headers or {})})


def _read_form(request: Request) -> dict[str, str]:
    return dict(parse_qsl(request.body[:_MOST_BODY].decode("utf-8", "replace"), keep_blank_values=True))


@cache
def _read_static(name: str) -> tuple[bytes, str, str] | None:
    """Return a file beside the pages with its type and digest; None if there is none of that name."""
    file = _STATIC / name
    if "/" in name or "\\" in name or file.suffix not in _TYPES or not file.is_file():
        return None
    content = file.read_bytes()
    return content, _TYPES[file.suffix], hashlib.sha256(content).hexdigest()[:16]


def find_static(name: str) -> str:
    """Return the address of such a file: another one whenever its content is."""
    found = _read_static(name)
    assert found is not None
    return f"/{ROOT}/static/{found[2]}/{name}"


def _serve_static(digest: str, name: str) -> Response:
    found = _read_static(name)
    if found is None or found[2] != digest:
        return Response(404, b"", {"Content-Type": "text/plain"})
    headers = {"Content-Type": found[1], "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(200, found[0], {**headers, "ETag": f'"{digest}"'})


def _is_own_form(request: Request, origin: str) -> bool:
    """Whether a form comes from a page of ours: no other site can send one in the person's name."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("origin") in (origin, request.origin)


def _cookie_name(origin: str) -> str:
    """A browser takes the prefix over TLS alone; on a laptop there is none."""
    return f"__Host-{_COOKIE}" if origin.startswith("https:") else _COOKIE


def _cookie(origin: str, value: str, seconds: int) -> str:
    secure = "; Secure" if origin.startswith("https:") else ""
    return f"{_cookie_name(origin)}={value}; Path=/; HttpOnly; SameSite=Lax; Max-Age={seconds}{secure}"
