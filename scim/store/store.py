"""The store's parts, put together on a table."""

from __future__ import annotations

from dataclasses import dataclass

from scim.schema.registry import Registry
from scim.store import keys
from scim.store.census import Census
from scim.store.counting import Counts
from scim.store.credentials import Credentials
from scim.store.housekeeping import Housekeeping
from scim.store.keys import SHARED
from scim.store.members import Members
from scim.store.outbox import Outbox
from scim.store.pending import Pending
from scim.store.positions import Positions
from scim.store.quotas import Quota, Quotas
from scim.store.resources import Resources
from scim.store.table import Table, has_rows


@dataclass(frozen=True, slots=True)
class Store:
    """All that is kept, of all tenants."""

    table: Table
    pending: Pending
    members: Members
    positions: Positions
    census: Census
    resources: Resources
    counts: Counts
    credentials: Credentials
    quotas: Quotas
    housekeeping: Housekeeping

    async def check(self) -> None:
        """Look whether the table answers. Raises TableUnavailable."""
        await self.table.read(SHARED, keys.CURSOR_KEY)

    async def knows(self, tenant: str) -> bool:
        """Whether there is anything of the tenant. Raises TableUnavailable."""
        return await has_rows(self.table, tenant)

    @staticmethod
    def on(table: Table, registry: Registry | None = None, quota: Quota | None = None, *, feed: bool = True) -> Store:
        """The store on a table. Whoever writes documents says with which schemas; what is written is told to the change
        feed unless that is off."""
        pending, outbox = Pending(table), Outbox(on=feed)
        members = Members(table, pending, outbox)
        positions = Positions(table, pending)
        census = Census(table, registry)
        resources = Resources(table, members, pending, census, outbox)
        credentials = Credentials(table)
        quotas = Quotas(table, pending, quota or Quota())
        housekeeping = Housekeeping(table, members, pending, positions, credentials, quotas)
        counts = Counts(table)
        return Store(table, pending, members, positions, census, resources, counts, credentials, quotas, housekeeping)
