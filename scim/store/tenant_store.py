"""What is kept of one tenant. Its parts are given the tenant's partition alone, so they reach nobody else's rows."""

from __future__ import annotations

from dataclasses import dataclass

from scim.store.census import Census
from scim.store.counting import Counts
from scim.store.cursor_key import CursorKey
from scim.store.members import Members
from scim.store.pending import Pending
from scim.store.positions import Positions
from scim.store.quotas import TenantQuota
from scim.store.resources import Resources
from scim.store.table import Partition


@dataclass(frozen=True, slots=True)
class TenantStore:
    """The store of one tenant; Store.of makes it. `cursor_key` is the same for all."""

    partition: Partition
    pending: Pending
    members: Members
    positions: Positions
    census: Census
    resources: Resources
    counts: Counts
    quota: TenantQuota
    cursor_key: CursorKey
