"""How somebody gets in and out: by a link, at an OpenID provider, and by signing out.

Every sign-in is in the audit before its session begins, and so is one that was refused; of what strangers send only so
much, since anybody may send it.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

from scim.address import find_address
from scim.console.answers import HTML, find_static, read_form, say
from scim.console.cookies import FLOW, SESSION, read_cookie, write_cookie
from scim.console.rendering import link, render
from scim.console.sign_in import NOBODY, SECONDS, Begun, Refused, SignIn, Who, choose_page
from scim.console.visit import Person
from scim.console.words import WORDS
from scim.errors import ScimError
from scim.http import CONSOLE as ROOT
from scim.http import Request, Response
from scim.limits import Bucket
from scim.operate.access.sessions import SESSION as SESSION_TIME
from scim.operate.access.sessions import Session, Sessions
from scim.refusals import AddressLimits
from scim.security.openid import ProviderUnavailable
from scim.security.secrets import SecretsUnavailable

log = logging.getLogger("scim")

Note = Callable[[Request, Person, str, str | None, str], Awaitable[None]]
"""Writes into the audit: of a request, who did what to which tenant, and a detail."""
_CALLBACKS = 60
"""Answers of providers a minute from one address: each has this process ask the provider."""
_STRANGERS = (30, 0.5)
"""Lines of the audit about people whom nobody vouches for: at once, and then a second, of one process."""


class Entrance:
    """Answers what needs no session. `sign_in` is None if nobody can sign in at a provider; `proxies` are the
    operator's own in front of the platform."""

    def __init__(self, sessions: Sessions, sign_in: SignIn | None, note: Note, proxies: int = 0) -> None:
        self._sessions = sessions
        self._sign_in = sign_in
        self._note = note
        self._strangers = Bucket(*_STRANGERS)
        self._callbacks = AddressLimits(_CALLBACKS)
        self._proxies = proxies

    async def answer(self, request: Request, origin: str, session: Session | None) -> Response | None:
        """Return the answer to a request that is about getting in; None if it is not."""
        segments, is_get = request.segments, request.method != "POST"
        if segments == ["invitation"]:
            return await self._invite(request, origin)
        if len(segments) == 2 and is_get and (who := self._find(segments[1])) is not None:
            if segments[0] == "sign-in":
                return await self._begin(request, origin, who)
            if segments[0] == "callback":
                return await self._come_back(request, origin, who, session)
        return None

    def refuse(self, request: Request, *, session: Session | None = None) -> Response:
        """The page for somebody who is not signed in, or not freshly: with what they can do about it."""
        if session is not None:
            who = self._find(session.provider)
            page = _read_referrer(request) if request.method == "POST" else request.path
            ways = [_way(who, page, fresh=True)] if who is not None else []
            return say(403, "not_fresh_at" if ways else "not_fresh", session.person, ways=ways)
        ways = self._list_ways(_read_target(request))
        return say(401, "or_a_link" if ways else "signed_out", ways=ways)

    def offers_binding(self, session: Session) -> bool:
        """Whether somebody who came by a link may have the people of their directory sign in from now on."""
        return session.person.tenant is not None and not session.provider and self._find("customers") is not None

    async def sign_out(self, request: Request, origin: str, session: Session) -> Response:
        """End a session, here and at the provider where it began."""
        await self._note(request, session.person, "signed out", session.person.tenant, "")
        await self._sessions.end(session)
        gone = {"Set-Cookie": write_cookie(origin, SESSION, "", 0)}
        who = self._find(session.provider)
        address = None
        if who is not None and self._sign_in is not None:
            try:
                address = await self._sign_in.providers[who].find_sign_out(f"{origin}/{ROOT}")
            except ProviderUnavailable as error:
                log.warning("nobody is signed out at the provider: %s", error)
        if address is None:
            return Response(303, None, {"Location": f"/{ROOT}", **gone})
        # A form may lead to our own pages alone, also by a redirect; so a page leads on.
        return say(200, "signed_out_at", ways=[(address, WORDS.door.sign_out_there)], onward=address, headers=gone)

    def _find(self, name: str) -> Who | None:
        """The provider of that name, if there is one."""
        for who in self._sign_in.providers if self._sign_in is not None else ():
            if who == name:
                return who
        return None

    def _list_ways(self, to: str) -> list[tuple[str, str]]:
        return [_way(who, to) for who in (self._sign_in.providers if self._sign_in is not None else ())]

    # A link -----------------------------------------------------------------------------------------------------------

    async def _invite(self, request: Request, origin: str) -> Response:
        """Where a link leads: the page sends the token of the fragment by a form."""
        if request.method != "POST":
            return Response(200, render("invitation.html", {"error": ""}, None, find_static), dict(HTML))
        token = read_form(request).get("token", "").strip().rpartition("#")[2]
        begun = await self._sessions.redeem(token)
        if begun is None:
            await self._note_refused(request, NOBODY, "a link that is not good")
            page = render("invitation.html", {"error": WORDS.door.link_used}, None, find_static)
            return Response(403, page, dict(HTML))
        secret, person = begun
        await self._note(request, person, "signed in by a link", person.tenant, "")
        return _enter(origin, secret, f"/{ROOT}")

    # A provider -------------------------------------------------------------------------------------------------------

    async def _begin(self, request: Request, origin: str, who: Who) -> Response:
        """Lead somebody to a provider. Nothing is written: the browser keeps what belongs to the sign-in."""
        assert self._sign_in is not None
        query = request.query
        binds = who == "customers" and query.get("bind") == "1"
        if binds and not _is_own_link(request, origin):
            return say(403, "foreign")
        fresh, other = (query.get(each) == "1" for each in ("fresh", "other"))
        begun = Begun.begin(who, choose_page(query.get("to", "")), fresh=fresh, binds=binds, other=other)
        try:
            address = await self._sign_in.providers[who].find_sign_in(
                begun.flow, _callback(origin, who), fresh=fresh, other=other
            )
        except ProviderUnavailable as error:
            return _away(error)
        return Response(303, None, {"Location": address, "Set-Cookie": _keep(origin, begun)})

    async def _come_back(self, request: Request, origin: str, who: Who, session: Session | None) -> Response:
        """Whoever comes back from a provider gets in, or is told why not."""
        assert self._sign_in is not None
        try:
            self._callbacks.check(find_address(request.headers, self._proxies))
        except ScimError as error:
            return say(429, "too_many", headers=dict(error.headers))
        begun = Begun.read(read_cookie(request, origin, FLOW))
        try:
            if begun is None or begun.who != who:
                raise Refused("stale")
            person, proven = await self._sign_in.find_person(begun, request.query, _callback(origin, who), session)
            if begun.binds:
                await self._bind(request, person)
        except Refused as refused:
            return await self._refuse(request, refused, who, begun)
        except SecretsUnavailable as error:
            return _away(error)
        await self._note(request, person, "signed in", person.tenant, "freshly" if begun.fresh else "")
        secret = await self._sessions.begin(person, who, proven)
        if session is not None:
            await self._sessions.end(session)
        return _enter(origin, secret, begun.to)

    async def _bind(self, request: Request, person: Person) -> None:
        """Have the people of the directory sign in from now on, after the audit says so. Raises Refused."""
        assert self._sign_in is not None and person.tenant is not None
        directory = person.id.partition("/")[0]
        await self._note(request, person, "named their directory", person.tenant, directory)
        if not await self._sign_in.directories.bind(directory, person.tenant):
            raise Refused("other_directory", directory, person.tenant, person=person)

    async def _refuse(self, request: Request, refused: Refused, who: Who, begun: Begun | None) -> Response:
        about = " ".join((refused.why, *refused.values[-1:]))
        await self._note_refused(request, refused.person, about)
        text = getattr(WORDS.door.refusals, refused.why).format(*refused.values)
        to, fresh, binds = (begun.to, begun.fresh, begun.binds) if begun is not None else ("", False, False)
        other = refused.person is not NOBODY  # the provider would bring the same person again
        way = _way(who, to, fresh=fresh, binds=binds, other=other)
        text_of = WORDS.door.another if other else WORDS.door.again
        return say(403, "refused", ways=[(way[0], text_of)], text=text)

    async def _note_refused(self, request: Request, person: Person, about: str) -> None:
        """Write down that somebody was refused; of strangers so many that the table can bear them."""
        if person is NOBODY and not self._strangers.take(time.monotonic()):
            log.warning("a stranger was refused at sign-in, and the audit has enough of them: %s", about)
            return
        await self._note(request, person, "was refused at sign-in", person.tenant, about)


def _enter(origin: str, secret: str, to: str) -> Response:
    cookie = write_cookie(origin, SESSION, secret, int(SESSION_TIME.total_seconds()))
    return Response(303, None, {"Location": to, "Set-Cookie": cookie})


def _keep(origin: str, begun: Begun) -> str:
    return write_cookie(origin, FLOW, begun.write(), SECONDS)


def _callback(origin: str, who: Who) -> str:
    """Where a provider leads back to; each has its own, so that none can answer in another's place."""
    return f"{origin}/{ROOT}/callback/{who}"


def _way(who: Who, to: str, *, fresh: bool = False, binds: bool = False, other: bool = False) -> tuple[str, str]:
    """The address and text of a button that signs somebody in."""
    more = {name: "1" for name, wanted in (("fresh", fresh), ("bind", binds), ("other", other)) if wanted}
    address = link("sign-in", who, to=None if to in ("", f"/{ROOT}") else to, **more)
    return address, WORDS.door.again if fresh else WORDS.door.ways[who]


def _read_target(request: Request) -> str:
    """The page that somebody asked for, if it is one."""
    parts = urlsplit(request.url) if request.method == "GET" else None
    return choose_page(parts.path + (f"?{parts.query}" if parts.query else "")) if parts is not None else ""


def _read_referrer(request: Request) -> str:
    """The page that a form was on."""
    parts = urlsplit(request.headers.get("referer", ""))
    return choose_page(parts.path + (f"?{parts.query}" if parts.query else ""))


def _is_own_link(request: Request, origin: str) -> bool:
    """Whether a link stood on a page of ours."""
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("referer", "").startswith((f"{origin}/", f"{request.origin}/"))


def _away(error: SecretsUnavailable) -> Response:
    log.warning("nobody can sign in at the provider: %s", error)
    return say(503, "provider_away")
