"""The store's parts, put together on a gateway."""

from __future__ import annotations

from dataclasses import dataclass

from scim.store import rows
from scim.store.counting import Counts
from scim.store.credentials import Credentials
from scim.store.gateway import Gateway
from scim.store.housekeeping import Housekeeping
from scim.store.members import Members
from scim.store.pending import TENANTS, Pending
from scim.store.positions import Positions
from scim.store.resources import Resources


@dataclass(frozen=True, slots=True)
class Store:
    """All that is kept, of all tenants."""

    gateway: Gateway
    pending: Pending
    members: Members
    positions: Positions
    resources: Resources
    counts: Counts
    credentials: Credentials
    housekeeping: Housekeeping

    async def check(self) -> None:
        """Look whether the table answers. Raises Unavailable."""
        await self.gateway.read(TENANTS, rows.SIGNING_KEY)

    @staticmethod
    def on(gateway: Gateway) -> Store:
        pending = Pending(gateway)
        members = Members(gateway, pending)
        positions = Positions(gateway, pending)
        resources = Resources(gateway, members, pending)
        credentials = Credentials(gateway)
        housekeeping = Housekeeping(gateway, members, pending, positions, credentials)
        return Store(gateway, pending, members, positions, resources, Counts(gateway), credentials, housekeeping)
