"""What is kept of credentials: when they were used, which were revoked, and which assertions were seen. No secret is.

The rows stand in the partition that is no tenant's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from scim.security.connections import Revoked
from scim.security.secrets import SecretsUnavailable
from scim.security.usage import Used
from scim.store import properties, shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import MAX_WRITES, Partition, Refused, Row, Table, TableUnavailable, Write
from scim.store.transactions import Proof, commit_present, commit_surely

_SKEW = timedelta(minutes=10)
"""An assertion may be taken a little after its end, since clocks differ."""


class Credentials:
    """The rows about credentials. Every method raises TableUnavailable if the table does not answer: those about
    revoked ones that of whoever looks connections up, for whom the two are one source."""

    def __init__(self, table: Table) -> None:
        self._shared = Partition(table, SHARED)

    async def read_uses(self, connection: str) -> list[Used]:
        """Return what is known of the uses of a connection's credentials."""
        return (await self._read_uses(connection)).get(connection, [])

    async def read_all_uses(self) -> dict[str, list[Used]]:
        """Return what is known of the uses of all credentials."""
        return await self._read_uses(None)

    async def _read_uses(self, connection: str | None) -> dict[str, list[Used]]:
        found: dict[str, list[Used]] = {}
        async for page in self._shared.pages(*shared_keys.usage_range(connection)):
            for row in page:
                first, last = (datetime.fromisoformat(row.values[name]) for name in ("first", "last"))
                used = Used(row.values["credential"], first, last, row.values.get("warned", ""))
                found.setdefault(shared_keys.parse_connection(row.key), []).append(used)
        return found

    async def write_use(self, connection: str, used: Used) -> None:
        values = {
            "credential": used.credential,
            "first": used.first.isoformat(),
            "last": used.last.isoformat(),
            "warned": used.warned,
        }
        key = shared_keys.usage_key(connection, used.credential)
        await commit_surely(self._shared, [Write("upsert", key, values)])

    async def forget_uses(self, connection: str) -> int:
        """Remove what is noted of the uses of a connection's credentials; how many rows that were."""
        number = 0
        async for page in self._shared.pages(*shared_keys.usage_range(connection), keys_only=True):
            for at in range(0, len(page), MAX_WRITES):
                gone = [[Write("delete", row.key)] for row in page[at : at + MAX_WRITES]]
                await commit_present(self._shared, [], gone)
                number += len(gone)
        return number

    async def read_revoked(self, connection: str) -> list[Revoked]:
        """Return what is marked as revoked of that connection."""
        return (await self._read_revoked(connection)).get(connection, [])

    async def read_all_revoked(self) -> dict[str, list[Revoked]]:
        """Return all that is marked as revoked."""
        return await self._read_revoked(None)

    async def _read_revoked(self, connection: str | None) -> dict[str, list[Revoked]]:
        found: dict[str, list[Revoked]] = {}
        try:
            async for page in self._shared.pages(*shared_keys.revoked_range(connection)):
                for row in page:
                    found.setdefault(shared_keys.parse_connection(row.key), []).append(_read_mark(row))
        except TableUnavailable as error:
            raise SecretsUnavailable(f"the table, which marks revoked credentials: {error}") from None
        return found

    async def mark_revoked(self, connection: str, revoked: Iterable[Revoked]) -> None:
        """Mark these for good. A mark that is there already stays as it is."""
        for each in revoked:
            key = shared_keys.revoked_key(connection, each.value.removeprefix("sha256:"))
            try:
                await commit_surely(
                    self._shared, [Write("insert", key, {"value": each.value, "at": each.at.isoformat()})]
                )
            except Refused:
                continue
            except TableUnavailable as error:
                raise SecretsUnavailable(f"the table, which marks revoked credentials: {error}") from None

    async def take_assertion(self, connection: str, assertion: str, expires: datetime) -> bool:
        """Return whether an assertion of that id (its jti) comes to the connection for the first time."""
        digest = hashlib.sha256(f"{connection} {assertion}".encode("utf-8", "surrogatepass")).hexdigest()
        key, write_id = shared_keys.assertion_key(_format_time(expires), digest), properties.new_write_id()
        try:
            await commit_surely(self._shared, [Write("insert", key, {"write": write_id})], Proof(key, write_id))
        except Refused:
            return False
        return True

    async def remove_expired(self) -> None:
        """Forget the assertions that have expired, which nobody accepts any more."""
        async for page in self._shared.pages(*shared_keys.assertion_range(_format_time(datetime.now(UTC) - _SKEW))):
            for row in page:
                try:
                    await self._shared.commit([Write("delete", row.key)])
                except Refused:
                    continue  # another run was faster


def _format_time(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y%m%dT%H%M%S")


def _read_mark(row: Row) -> Revoked:
    """Return the credential that a mark says was revoked. Its key alone tells which: one with a broken time holds
    too."""
    try:
        at = datetime.fromisoformat(row.values["at"]).astimezone(UTC)
    except (KeyError, TypeError, ValueError):
        at = datetime.fromtimestamp(0, UTC)
    return Revoked(value=f"sha256:{row.key.split(' ')[2]}", at=at)
