"""Who uses the console: an operator sees and changes all tenants, a reader sees them, an admin has one tenant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Role = Literal["operator", "reader", "admin"]


@dataclass(frozen=True, slots=True)
class Person:
    """Who is visiting. `id` is what the audit calls them; `tenant` is the one tenant of a customer's admin, None for an
    operator or reader of all."""

    id: str
    name: str
    role: Role
    tenant: str | None = None
    fresh: bool = False
    """Whether they signed in within the last 15 minutes."""

    @property
    def may_change(self) -> bool:
        """Whether the person may change anything."""
        return self.role != "reader"
