"""The store: what is kept of all tenants, and for each the part that is its own."""

from __future__ import annotations

from scim.schema.registry import Registry
from scim.store import shared_keys
from scim.store.census import Census, list_kept_indexes
from scim.store.counting import CountMemory, Counts
from scim.store.credentials import Credentials
from scim.store.cursor_key import CursorKey
from scim.store.housekeeping import Housekeeping
from scim.store.members import Members
from scim.store.outbox import Outbox
from scim.store.pending import Pending
from scim.store.positions import Positions
from scim.store.quotas import Quota, Quotas, TenantQuota
from scim.store.resources import Resources
from scim.store.shared_keys import SHARED
from scim.store.table import Partition, Table, has_rows
from scim.store.tenant_store import TenantStore
from scim.store.tenants import Tenants


class Store:
    """All that is kept, on a table. Whoever writes documents says with which schemas; what is written is told to the
    change feed unless that is off."""

    def __init__(
        self, table: Table, registry: Registry | None = None, quota: Quota | None = None, *, feed: bool = True
    ) -> None:
        self.table = table
        self.tenants = Tenants(table)
        self.credentials = Credentials(table)
        self.cursor_key = CursorKey(table)
        self.quotas = Quotas(table, self.tenants, quota or Quota())
        self.housekeeping = Housekeeping(table, self.tenants, self.credentials, self.cursor_key, self.of)
        self.count_memory = CountMemory()
        self._outbox = Outbox(on=feed)
        self._kept = None if registry is None else list_kept_indexes(registry)
        self._said: dict[str, float] = {}
        self._row_bytes: dict[tuple[str, str], int] = {}

    def of(self, tenant: str) -> TenantStore:
        """Return the store of one tenant. What the process remembers of it is shared by all that are made."""
        partition = Partition(self.table, tenant)
        pending = Pending(partition, self.tenants)
        members = Members(partition, pending, self._outbox)
        census = Census(partition, self._kept, self._said)
        return TenantStore(
            partition,
            pending,
            members,
            Positions(partition, pending),
            census,
            Resources(partition, members, pending, census, self._outbox, self._row_bytes),
            Counts(partition, self.count_memory),
            TenantQuota(self.quotas, tenant),
            self.cursor_key,
        )

    async def check(self) -> None:
        """Look whether the table answers. Raises TableUnavailable."""
        await self.table.read(SHARED, shared_keys.CURSOR_KEY)

    async def knows(self, tenant: str) -> bool:
        """Return whether there is anything of the tenant. Raises TableUnavailable."""
        return await has_rows(self.table, tenant)
