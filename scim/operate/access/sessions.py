"""Links that let somebody in once, and the sessions that come of them: rows by digest, in the partition of no tenant.

A link's token has 256 random bits and stands in the fragment of its address, so that no log and no referrer has it. It
is good once, for three days, unless somebody revokes it. A session ends after eight hours, after an hour without a
request, and when its person signs out. What is kept of either is its digest: who reads the table gets in nowhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from scim.clock import format_time
from scim.operate.access.people import Person, Role
from scim.store import properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely, remove_rows

LINK_DAYS = 3
SESSION = timedelta(hours=8)
IDLE = timedelta(hours=1)
FRESH = timedelta(minutes=15)
"""How long a sign-in is good for what asks for a fresh one."""
_NOTED = timedelta(minutes=5)
"""How much of an hour may go by until a session's row says that it was used."""


@dataclass(frozen=True, slots=True)
class Link:
    """An invitation that nobody has used yet. `id` is what lists and the audit call it."""

    id: str
    role: Role
    tenant: str | None
    by: str
    until: str


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who is signed in. `key` is its row's; `provider` says where they signed in, "" for a link."""

    key: str
    person: Person
    began: str
    seen: str
    etag: str
    provider: str = ""


class Sessions:
    """Links and sessions of everybody. Every method raises TableUnavailable."""

    def __init__(self, table: Table) -> None:
        self._shared = Partition(table, SHARED)

    async def invite(self, role: Role, tenant: str | None, by: str) -> tuple[Link, str]:
        """Make a link; return it with its token, which is kept nowhere."""
        token = secrets.token_urlsafe(32)
        until = format_time(datetime.now(UTC) + timedelta(days=LINK_DAYS))
        digest = _make_digest(token)
        values: dict[str, Any] = {
            "v": properties.FORMAT,
            "role": role,
            "tenant": tenant or "",
            "by": by,
            "until": until,
        }
        await commit_surely(self._shared, [Write("insert", shared_keys.invitation_key(digest), values)])
        return Link(digest[:8], role, tenant, by, until), token

    async def links(self) -> AsyncIterator[Link]:
        """The links that nobody has used, and that are still good."""
        now = format_time(datetime.now(UTC))
        async for page in self._shared.pages(*shared_keys.invitations_range()):
            for row in page:
                if (link := _parse_link(row)).until > now:
                    yield link

    async def revoke_link(self, id: str) -> bool:
        """Take away the link of that id; whether there was one."""
        async for page in self._shared.pages(*shared_keys.invitations_range()):
            for row in page:
                if _parse_link(row).id == id:
                    await remove_rows(self._shared, [row.key])
                    return True
        return False

    async def redeem(self, token: str) -> tuple[str, Person] | None:
        """Begin a session by a link, which is used up with it; return the session's secret and who it is. None if the
        link is none, or is not good any more. Of two who come with the same link, one gets in."""
        key = shared_keys.invitation_key(_make_digest(token))
        row = await self._shared.read(key)
        if row is None or (link := _parse_link(row)).until <= format_time(datetime.now(UTC)):
            return None
        name = (
            "Operator" if link.role == "operator" else f"Admin of {link.tenant}" if link.role == "admin" else "Reader"
        )
        person = Person(f"link {link.id}", name, link.role, link.tenant)
        secret, write = self._make(person)
        try:
            await self._shared.commit([Write("delete", key, etag=row.etag), write])
        except Refused:
            return None
        return secret, person

    async def begin(self, person: Person, provider: str, proven: datetime | None) -> str:
        """Begin a session of somebody whom an identity provider vouches for; return its secret. `proven` is when they
        showed it who they are: None if it does not say, and then nothing is done that asks for a fresh sign-in."""
        said = format_time(min(proven, datetime.now(UTC))) if proven else ""
        secret, write = self._make(person, provider=provider, proven=said)
        await commit_surely(self._shared, [write])
        return secret

    @staticmethod
    def _make(person: Person, **more: str) -> tuple[str, Write]:
        secret, now = secrets.token_urlsafe(32), format_time(datetime.now(UTC))
        values: dict[str, Any] = {
            "v": properties.FORMAT,
            "person": person.id,
            "name": person.name,
            "role": person.role,
            "tenant": person.tenant or "",
            "began": now,
            "seen": now,
            **more,
        }
        return secret, Write("insert", shared_keys.session_key(_make_digest(secret)), values)

    async def find(self, secret: str) -> Session | None:
        """Return the session of a secret; None if there is none, or it has ended."""
        row = await self._shared.read(shared_keys.session_key(_make_digest(secret)))
        if row is None:
            return None
        values, now = row.values, datetime.now(UTC)
        began, seen = (datetime.fromisoformat(str(values[name])) for name in ("began", "seen"))
        if now > began + SESSION or now > seen + IDLE:
            await remove_rows(self._shared, [row.key])
            return None
        tenant = str(values["tenant"]) or None
        proven = str(values.get("proven", values["began"]))  # a link shows who somebody is when it is used
        fresh = bool(proven) and now <= datetime.fromisoformat(proven) + FRESH
        person = Person(str(values["person"]), str(values["name"]), values["role"], tenant, fresh)
        if now > seen + _NOTED:
            await commit_surely(self._shared, [Write("merge", row.key, {"seen": format_time(now)})])
        provider = str(values.get("provider", ""))
        return Session(row.key, person, str(values["began"]), str(values["seen"]), row.etag, provider)

    async def end(self, session: Session) -> None:
        """Sign somebody out."""
        await remove_rows(self._shared, [session.key])

    async def forget_ended(self) -> None:
        """Remove links and sessions that are not good any more."""
        now = datetime.now(UTC)
        until, began = format_time(now), format_time(now - SESSION)
        async for page in self._shared.pages(*shared_keys.invitations_range()):
            await remove_rows(self._shared, [row.key for row in page if str(row.values.get("until", "")) <= until])
        async for page in self._shared.pages(*shared_keys.sessions_range()):
            await remove_rows(self._shared, [row.key for row in page if str(row.values.get("began", "")) <= began])


def _make_digest(secret: str) -> str:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def _parse_link(row: Row) -> Link:
    values = row.values
    digest = row.key.rpartition(" ")[2]
    return Link(digest[:8], values["role"], str(values["tenant"]) or None, str(values["by"]), str(values["until"]))
