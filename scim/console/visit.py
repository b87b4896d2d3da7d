"""What a page is given of a request, and what it answers with.

A page is an async function from a Visit to one of four answers; it knows nothing of cookies, headers or HTTP. Who is
visiting was decided before: a customer's admin has one tenant, and every other is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from scim.operate.access.audit import Deed
from scim.operate.access.directories import Directories
from scim.operate.access.people import Person
from scim.operate.access.sessions import Sessions
from scim.operate.connections.commands import Commands, Notes
from scim.operate.connections.secret_store import SecretStore
from scim.schema.registry import Registry
from scim.security.keys import CONNECTION_NAME
from scim.store.table import Table


class NotThere(Exception):
    """There is nothing at this address for whoever asks: 404."""


class Wrong(Exception):
    """What was asked for cannot be done; the text says why and what to do."""


class Deeds(Protocol):
    """Where the audit is read."""

    async def read(self, tenant: str | None, before: str, most: int) -> Sequence[Deed]:
        """Return the newest deeds before a time ("" for now), of a tenant or of all. Raises TableUnavailable."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What pages work on. `origin` is the public address of the SCIM service, without a path; `console_origin` that of
    the console."""

    table: Table
    registry: Registry
    kept: SecretStore
    notes: Notes
    origin: str
    deeds: Deeds
    sessions: Sessions | None = None
    """Who may be let in; None if nobody can be."""
    console_origin: str = ""

    def commands(self) -> Commands:
        """What an operator does with connections, for one request."""
        return Commands(self.kept, self.notes)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request for a page: the values of its path, query and form, each of them once."""

    person: Person
    parts: Parts
    path: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)
    binds: Directories | None = None
    """Where the visitor may say from which directory their people sign in; None if they may not."""
    now: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def tenant(self) -> str:
        """The tenant that the page is about. Raises NotThere if it is none of the visitor's, or no tenant's name: the
        table has partitions that are no tenant's."""
        tenant = self.path["tenant"]
        if self.person.tenant not in (None, tenant) or not CONNECTION_NAME.fullmatch(tenant):
            raise NotThere(tenant)
        return tenant

    def ask(self, name: str, most: int = 250) -> str:
        """Return a value of the query, trimmed; "" if it is not there."""
        return self.query.get(name, "").strip()[:most]

    def sent(self, name: str, most: int = 100_000) -> str:
        """Return a value of the form, trimmed; "" if it is not there."""
        return self.form.get(name, "").strip()[:most]


@dataclass(frozen=True, slots=True)
class Page:
    """A whole page: a template with its values. `secret` says that it shows one, and must be kept nowhere."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)
    status: int = 200
    secret: bool = False


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a page, for a script that puts it in place."""

    template: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Go on there (303): what a form is answered with. `to` is a path below /console."""

    to: str


@dataclass(frozen=True, slots=True)
class Download:
    """A file to keep."""

    name: str
    type: str
    content: bytes


Answer = Page | Fragment | Redirect | Download
Handler = Callable[[Visit], Awaitable[Answer]]

__all__ = [
    "Answer",
    "Deed",
    "Deeds",
    "Download",
    "Fragment",
    "Handler",
    "NotThere",
    "Page",
    "Parts",
    "Person",
    "Redirect",
    "Visit",
    "Wrong",
]
