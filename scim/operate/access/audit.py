"""The audit: who did what in the console, when and from where. Nothing is done that could not be written down first.

Rows stand in the partition of no tenant, the newest first, for 400 days. None has a secret or a person's value.
"""

from __future__ import annotations

import secrets
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta

from scim.clock import format_time
from scim.operate.access.people import Person
from scim.store import properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Row, Table, Write
from scim.store.transactions import commit_surely, remove_rows

DAYS = 400
_LATEST = 10**14
"""More than any time in milliseconds, so that keys sort the newest first."""
_COLUMNS = ("time", "who", "name", "what", "tenant", "about", "address")


@dataclass(frozen=True, slots=True)
class Deed:
    """One line of the audit: who did what to what of which tenant, when, and from where."""

    time: str
    who: str
    name: str
    what: str
    tenant: str = ""
    about: str = ""
    address: str = ""


class Audit:
    """The audit of everybody. Every method raises TableUnavailable."""

    def __init__(self, table: Table) -> None:
        self._shared = Partition(table, SHARED)

    async def write(
        self, person: Person, what: str, *, tenant: str | None = None, about: str = "", address: str = ""
    ) -> None:
        """Write down what is about to be done."""
        now = datetime.now(UTC)
        deed = Deed(format_time(now), person.id, person.name, what, tenant or "", about[:200], address[:60])
        key = shared_keys.audit_key(_invert(now), secrets.token_hex(4))
        await commit_surely(self._shared, [Write("insert", key, {"v": properties.FORMAT, **asdict(deed)})])

    async def read(self, tenant: str | None = None, before: str = "", most: int = 200) -> list[Deed]:
        """Return the newest deeds before a time ("" for now), of a tenant or of all."""
        start, end = shared_keys.audit_range()
        if before:
            start = shared_keys.audit_key(_invert(datetime.fromisoformat(before)), "~")
        found: list[Deed] = []
        async for page in self._shared.pages(start, end):
            found += [deed for deed in map(_parse, page) if tenant in (None, deed.tenant)]
            if len(found) >= most:
                break
        return found[:most]

    async def forget(self) -> None:
        """Remove what is older than 400 days."""
        old = shared_keys.audit_key(_invert(datetime.now(UTC) - timedelta(days=DAYS)), "")
        async for page in self._shared.pages(old, shared_keys.audit_range()[1], keys_only=True):
            await remove_rows(self._shared, [row.key for row in page])


def _invert(time: datetime) -> str:
    return f"{_LATEST - int(time.timestamp() * 1000):015}"


def _parse(row: Row) -> Deed:
    return Deed(**{name: str(row.values.get(name, "")) for name in _COLUMNS})
