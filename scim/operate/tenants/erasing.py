"""A tenant out of the table, with a proof: afterwards it is read again, and nothing may be left."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from scim.clock import show_time
from scim.operate.connections.secret_store import SecretStore
from scim.operate.errors import CommandError
from scim.operate.tenants.measure import EVERYTHING
from scim.operate.tenants.steps import Step, watch_nothing
from scim.security.connections import Connection
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.table import MAX_WRITES, PARALLEL_READS, Partition, Table, Write, has_rows
from scim.store.transactions import commit_present

_AT_ONCE = 4
"""Transactions at the same time: a partition deletes some 2,000 rows a second."""
_ROUNDS = 3
"""How often all that is left is looked for: housekeeping may write a last row meanwhile."""


@dataclass(frozen=True, slots=True)
class Erased:
    """What became of an erasure: rows of the tenant, rows about it in the partition that is nobody's, and what a last
    look found of both."""

    rows: int
    shared: int
    left: int


async def list_connections(kept: SecretStore, tenant: str) -> list[Connection]:
    """Return the connections that lead to a tenant. Raises SecretStoreError if one cannot be read, since it might;
    TableUnavailable."""
    names, found = await kept.names(), []
    for at in range(0, len(names), PARALLEL_READS):
        found += await asyncio.gather(*map(kept.get, names[at : at + PARALLEL_READS]))
    return [connection for connection in found if connection is not None and connection.tenant == tenant]


def require_quiet(connections: Sequence[Connection], kept: SecretStore) -> None:
    """Raise CommandError unless every one of the connections is paused or revoked, and has been for long enough that
    no request of it is still under way."""
    now = datetime.now(UTC)
    for connection in connections:
        since = connection.revoked or connection.paused
        ended = connection.find_last_end()
        if ended is not None and ended <= now:
            since = min(filter(None, (since, ended)))
        if since is None:
            raise CommandError(
                f"Connection {connection.name} may still write: run connections pause {connection.name} first,"
                " or revoke it."
            )
        if since + kept.quiet_after > now:
            raise CommandError(
                f"Connection {connection.name} was paused a moment ago, and requests of it may be under way until"
                f" {show_time(since + kept.quiet_after)}: run this again then."
            )


async def count_rows(table: Table, tenant: str, step: Step = watch_nothing) -> int:
    """Return how many rows a tenant has: 1,000 a trip."""
    total = 0
    async for page in table.pages(tenant, *EVERYTHING, keys_only=True):
        total += len(page)
        step(len(page))
    return total


async def erase(table: Table, tenant: str, connections: Sequence[str], step: Step = watch_nothing) -> Erased:
    """Remove every row of a tenant, and what the partition that is nobody's has of it and of these connections.
    Whatever cuts it short, it is run again. Raises TableUnavailable."""
    removed = 0
    for _ in range(_ROUNDS):
        removed += await _remove_all(table, tenant, step)
        if not await has_rows(table, tenant):
            break
    shared = await _list_shared(table, tenant, connections)
    for at in range(0, len(shared), MAX_WRITES):
        await _remove(table, SHARED, shared[at : at + MAX_WRITES])
    left = await count_rows(table, tenant) + len(await _list_shared(table, tenant, connections))
    return Erased(removed, len(shared), left)


async def _remove_all(table: Table, tenant: str, step: Step) -> int:
    removed = 0
    async for page in table.pages(tenant, *EVERYTHING, keys_only=True):
        keys = [row.key for row in page]
        batches = [keys[at : at + MAX_WRITES] for at in range(0, len(keys), MAX_WRITES)]
        for at in range(0, len(batches), _AT_ONCE):
            await asyncio.gather(*(_remove(table, tenant, batch) for batch in batches[at : at + _AT_ONCE]))
        removed += len(keys)
        step(len(keys))
    return removed


async def _remove(table: Table, partition: str, keys: Sequence[str]) -> None:
    """Remove these rows; one that is gone already is no obstacle."""
    await commit_present(Partition(table, partition), [], [[Write("delete", key)] for key in keys])


async def _list_shared(table: Table, tenant: str, connections: Sequence[str]) -> list[str]:
    """Return the keys that the partition that is nobody's has of a tenant and its connections."""
    about = [
        await table.read(SHARED, key(tenant))
        for key in (shared_keys.tenant_key, shared_keys.quota_key, shared_keys.feed_key, shared_keys.policy_key)
    ]
    found = [row.key for row in about if row]
    if (bound := await table.read(SHARED, shared_keys.directory_of_key(tenant))) is not None:
        found += [bound.key, shared_keys.directory_key(str(bound.values["directory"]))]
    for connection in connections:
        pages = table.pages(SHARED, *shared_keys.usage_range(connection), keys_only=True)
        found += [row.key async for page in pages for row in page]
    return found
