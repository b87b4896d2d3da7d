"""What happened to a user or a group, as the log of the change feed tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from scim.schema.registry import ResourceType


@dataclass(frozen=True, slots=True)
class Said:
    """One change: when, what, and by whom."""

    time: str
    type: str
    """Such as user.deactivated."""
    name: str = ""
    connection: str = ""
    credential: str = ""
    request: str = ""
    changes: tuple[tuple[str, Any, Any], ...] = ()
    """Attribute, value before, value after."""


class Changes(Protocol):
    """What is known of the changes of one tenant."""

    async def find_changes(self, id: str) -> list[Said]:
        """What happened to a resource, the oldest first."""

    async def find_name(self, name: str, types: Sequence[ResourceType]) -> Said | None:
        """The last that happened to whoever had that name."""

    async def find_membership(self, group: str, member: str) -> Said | None:
        """When somebody was removed from a group the last time; None if that is not known."""
