"""The store's parts, put together on a gateway."""

from __future__ import annotations

from dataclasses import dataclass

from scim.store.gateway import Gateway
from scim.store.housekeeping import Housekeeping
from scim.store.members import Members
from scim.store.pending import Pending
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
    housekeeping: Housekeeping

    @staticmethod
    def on(gateway: Gateway) -> Store:
        pending = Pending(gateway)
        members = Members(gateway, pending)
        positions = Positions(gateway, pending)
        resources = Resources(gateway, members, pending)
        return Store(
            gateway, pending, members, positions, resources, Housekeeping(gateway, members, pending, positions)
        )
