"""The store's parts, put together on a gateway."""

from __future__ import annotations

from dataclasses import dataclass

from scim.schema.registry import Registry
from scim.store import rows
from scim.store.census import Census
from scim.store.counting import Counts
from scim.store.credentials import Credentials
from scim.store.gateway import Gateway
from scim.store.housekeeping import Housekeeping
from scim.store.members import Members
from scim.store.pending import TENANTS, Pending
from scim.store.positions import Positions
from scim.store.quotas import Quota, Quotas
from scim.store.resources import Resources


@dataclass(frozen=True, slots=True)
class Store:
    """All that is kept, of all tenants."""

    gateway: Gateway
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
        """Look whether the table answers. Raises Unavailable."""
        await self.gateway.read(TENANTS, rows.SIGNING_KEY)

    @staticmethod
    def on(gateway: Gateway, registry: Registry | None = None, quota: Quota | None = None) -> Store:
        """The store on a gateway. Whoever writes documents says with which schemas."""
        pending = Pending(gateway)
        members = Members(gateway, pending)
        positions = Positions(gateway, pending)
        census = Census(gateway, registry)
        resources = Resources(gateway, members, pending, census)
        credentials = Credentials(gateway)
        quotas = Quotas(gateway, pending, quota or Quota())
        housekeeping = Housekeeping(gateway, members, pending, positions, credentials, quotas)
        counts = Counts(gateway)
        return Store(gateway, pending, members, positions, census, resources, counts, credentials, quotas, housekeeping)
