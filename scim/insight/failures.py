"""Who was refused: one row for each user or group, however often, with the text that Entra shows to its admin.

A row says what the request said of its subject, so it holds personal values. It is forgotten 30 days after the last
failure. Two processes that count the same subject at the same moment may lose one of the two in `count`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from scim.store import keys, properties
from scim.store.table import Row, Table, Write

CONNECTION = "~"
"""The kind of what a connection as a whole was refused; its subject is the connection's name."""
REQUEST = "-"
"""The kind of what cannot be said to be about anybody: its subject is the operation."""
MOST_CHARACTERS = 250
"""Of a name that was sent; a longer one is cut."""


@dataclass(frozen=True, slots=True)
class Failure:
    """One subject that was refused, and how the last time. Times are as meta shows them."""

    kind: str
    """A resource type's name, CONNECTION or REQUEST."""
    subject: str
    """The id, the folded name, the connection or the operation: what the row is found by."""
    last: str
    operation: str
    """Such as POST Users."""
    status: int
    detail: str
    """The text that was answered."""
    request: str
    connection: str
    credential: str | None = None
    scim_type: str | None = None
    attribute: str | None = None
    rule: str | None = None
    reason: str | None = None
    """Why a connection was refused."""
    named: dict[str, str] = field(default_factory=dict)
    """What the request says of it: id, userName, externalId, displayName, email."""
    first: str = ""
    count: int = 1

    @property
    def key(self) -> str:
        return keys.failure_key(self.kind, self.subject)

    @property
    def name(self) -> str:
        """What people call it."""
        usual = ("userName", "displayName", "externalId", "email", "id")
        others = [each for each in self.named if each not in usual]  # such as agentUserName
        names = (self.named.get(each) for each in ("userName", *others, *usual))
        return next(filter(None, names), self.subject)

    def after(self, before: Failure | None) -> Failure:
        """Return this failure together with those that were written before it."""
        if before is None:
            return self
        named = {**before.named, **self.named}
        first = min(before.first or before.last, self.first or self.last)
        newest = self if self.last >= before.last else before
        return replace(newest, first=first, count=before.count + self.count, named=named)

    def write(self) -> Write:
        """Return the write that keeps it, in place of what was there."""
        content = {**asdict(self), "first": self.first or self.last}
        values = {"v": properties.FORMAT, "last": self.last, **properties.split_document(content, "The failure")}
        return Write("upsert", self.key, values)

    def data(self) -> dict[str, Any]:
        """The failure as JSON data."""
        names = {"scim_type": "scimType"}
        content = {**asdict(self), "first": self.first or self.last}
        return {names.get(name, name): value for name, value in content.items() if value not in (None, {}, "")}


_FIELDS = {each.name for each in fields(Failure)}


def parse_failure(row: Row) -> Failure:
    """Return the failure that a row holds. Raises NewerFormat; ValueError or TypeError if it holds none."""
    properties.check_format(row)
    content = properties.join_document(row.values)
    return Failure(**{name: value for name, value in content.items() if name in _FIELDS})


async def read_failure(table: Table, tenant: str, kind: str, subject: str) -> Failure | None:
    """Read what is known of a subject; None if it was not refused."""
    row = await table.read(tenant, keys.failure_key(kind, subject))
    return parse_failure(row) if row is not None else None


async def read_failures(
    table: Table, tenant: str, kind: str | None = None, prefix: str = "", *, size: int = 1000
) -> AsyncIterator[list[Failure]]:
    """The failures of a tenant, of a kind, or of subjects that begin so: a page for each trip."""
    async for page in table.pages(tenant, *keys.failure_range(kind, prefix), size=size):
        yield [parse_failure(row) for row in page]
