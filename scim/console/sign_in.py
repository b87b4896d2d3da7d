"""Sign-in at an OpenID provider: who comes back from there, and may they in.

There are two providers: that of the operators, and that of the customers' admins. Neither says who belongs here: an
operator needs an app role, an admin needs one and a directory that is a tenant's. Nobody is known by an e-mail address.
What a sign-in under way needs stands in a cookie of ten minutes, so strangers leave no row; state, nonce and verifier
follow from it.
"""

from __future__ import annotations

import base64
import re
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, get_args

from scim.console.routes import find_route
from scim.operate.access.directories import Directories
from scim.operate.access.people import Person, Role
from scim.operate.access.sessions import Session
from scim.security.openid import Flow, NotSignedIn, Provider
from scim.security.trust import fold_directory

Who = Literal["operators", "customers"]
WHO: tuple[Who, ...] = get_args(Who)
SECONDS = 600
"""How long a sign-in may take."""
ROLES: Mapping[Who, Mapping[str, Role]] = {
    "operators": {"Operator": "operator", "Reader": "reader"},
    "customers": {"Admin": "admin"},
}
"""The app roles, by what somebody is here. The first of them counts."""
_ID = re.compile(r"[\w.:@=+-]{1,90}", re.ASCII)
"""What a directory's and a person's id may be: a slash stands between the two."""
NOBODY = Person("somebody", "", "reader")
"""Whom the audit names where nobody has shown who they are."""


class Refused(Exception):
    """Somebody is not let in. `why` names the text that says so, `values` fill it; `person` is who it is, if known."""

    def __init__(self, why: str, *values: str, person: Person = NOBODY) -> None:
        super().__init__(why)
        self.why = why
        self.values = values
        self.person = person


@dataclass(frozen=True, slots=True)
class Begun:
    """A sign-in under way. `to` is the page that it leads to; `fresh` asks who somebody is even if the provider knows;
    `binds` makes the directory that of the tenant whose link somebody came by; `other` lets them choose an account."""

    secret: str
    who: Who
    at: int
    to: str
    fresh: bool = False
    binds: bool = False
    other: bool = False

    @staticmethod
    def begin(who: Who, to: str, *, fresh: bool, binds: bool, other: bool) -> Begun:
        """Begin one."""
        return Begun(secrets.token_urlsafe(32), who, int(time.time()), to, fresh, binds, other)

    @property
    def flow(self) -> Flow:
        """What the provider and the browser are told of it. Whoever changes the cookie has begun no sign-in."""
        return Flow(self.secret, self._about)

    @property
    def _about(self) -> str:
        to = base64.urlsafe_b64encode(self.to.encode()).decode().rstrip("=")
        return f"{self.who}.{self.at}.{int(self.fresh)}{int(self.binds)}{int(self.other)}.{to}"

    def write(self) -> str:
        """Return it as a cookie's value."""
        return f"{self.secret}.{self._about}"

    @staticmethod
    def read(value: str) -> Begun | None:
        """Return the sign-in of a cookie's value; None if it is none, or took too long."""
        parts = value.split(".")
        if len(parts) != 5 or parts[1] not in WHO or not parts[2].isdecimal() or len(parts[3]) != 3:
            return None
        try:
            to = base64.urlsafe_b64decode(parts[4] + "=" * (-len(parts[4]) % 4)).decode()
        except ValueError:
            return None
        who: Who = "operators" if parts[1] == "operators" else "customers"
        begun = Begun(parts[0], who, int(parts[2]), to, *(each == "1" for each in parts[3]))
        return begun if begun.write() == value and 0 <= time.time() - begun.at <= SECONDS else None


class SignIn:
    """The providers that somebody can sign in at, by who that is."""

    def __init__(self, providers: Mapping[Who, Provider], directories: Directories) -> None:
        self.providers = providers
        self.directories = directories

    async def find_person(
        self, begun: Begun, query: Mapping[str, str], redirect_uri: str, session: Session | None
    ) -> tuple[Person, datetime | None]:
        """Return who came back from a provider, and when they showed it who they are. `query` is what it sent,
        `session` that of a link by which somebody came before. Raises Refused and SecretsUnavailable."""
        provider = self.providers[begun.who]
        if not secrets.compare_digest(query.get("state", "").encode(), begun.flow.state.encode()):
            raise Refused("stale")
        if "error" in query:
            said = query.get("error_description") or query["error"]
            raise Refused("cancelled", " ".join(said.split())[:300])
        code, named = query.get("code", ""), query.get("iss")
        try:
            claims = await provider.redeem(code, begun.flow, redirect_uri, named=named, fresh=begun.fresh)
        except NotSignedIn as error:
            raise Refused(error.why, str(error)) from None
        person = _read_person(begun.who, claims, provider.registration.issuer)
        return await self._admit(begun, person, claims, session), _read_proven(claims)

    async def _admit(self, begun: Begun, person: Person, claims: Mapping[str, Any], session: Session | None) -> Person:
        """The person as what they are here. Raises Refused."""
        wanted = ROLES[begun.who]
        roles = claims.get("roles")
        held = [each for each in wanted if isinstance(roles, list) and each in roles]
        if begun.who == "operators":
            if not held:
                raise Refused("no_role", person.name, " or ".join(wanted), person=person)
            return Person(person.id, person.name, wanted[held[0]])
        directory = fold_directory(claims["tid"])
        if begun.binds:
            return await self._bind(person, directory, held, session)
        tenant = await self.directories.find_tenant(directory)
        if tenant is None:
            raise Refused("unknown_directory", directory, person=person)
        person = Person(person.id, person.name, "admin", tenant)
        if not held:
            raise Refused("no_role", person.name, "Admin", person=person)
        return person

    async def _bind(self, person: Person, directory: str, held: list[str], session: Session | None) -> Person:
        """Somebody who came by a link, and signs in for the first time."""
        if session is None or session.provider or session.person.tenant is None:
            raise Refused("link_gone", person=person)
        tenant = session.person.tenant
        if not held:
            raise Refused("no_role", person.name, "Admin", person=person)
        known = await self.directories.find_directory(tenant)
        owner = await self.directories.find_tenant(directory)
        if known not in (None, directory) or owner not in (None, tenant):
            raise Refused("other_directory", directory, tenant, person=person)
        return Person(person.id, person.name, "admin", tenant)


def choose_page(wanted: str) -> str:
    """Return the page to show after a sign-in: the one that was wanted if it is a page of ours, else the first."""
    path, mark, query = wanted.partition("?")
    inside = path.removeprefix("/console")
    is_page = path.startswith("/console") and inside[:1] in ("", "/") and find_route("GET", inside) is not None
    if not is_page or any(each < "!" or each == "\\" for each in wanted) or len(wanted) > 500:
        return "/console"
    return path + mark + query


def _read_person(who: Who, claims: Mapping[str, Any], issuer: str) -> Person:
    """Who it is, before it is looked at what they may: by directory and object id; an operator of a provider that has
    neither by its subject. Raises Refused."""
    directory, object_id = (claims.get(each) for each in ("tid", "oid"))
    names = (claims.get(each) for each in ("name", "preferred_username"))
    name = _clean(next((each for each in names if isinstance(each, str) and each.strip()), "Somebody"))
    if all(isinstance(each, str) and _ID.fullmatch(each) for each in (directory, object_id)):
        return Person(f"{fold_directory(str(directory))}/{object_id}", name, "reader")
    person = Person(_clean(f"{issuer} {claims['sub']}"), name, "reader")
    if who == "customers":
        raise Refused("no_identity", person=person)
    return person


def _clean(text: str) -> str:
    return "".join(each for each in text if each.isprintable()).strip()[:200]


def _read_proven(claims: Mapping[str, Any]) -> datetime | None:
    """When the person showed who they are; None if the provider does not say."""
    at = claims.get("auth_time")
    is_time = isinstance(at, int | float) and not isinstance(at, bool) and 0 < at <= time.time() + 60
    return datetime.fromtimestamp(at, UTC) if is_time and at is not None else None
