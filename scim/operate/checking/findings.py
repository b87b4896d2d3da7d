"""What a check finds: a line for each, and what would mend it if that can be proven."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

from scim.store.table import Write


@dataclass(frozen=True, slots=True, eq=False)
class Repair:
    """A transaction that mends what was found, conditional on the versions that were read. Several findings about one
    resource share it."""

    does: str
    writes: list[Write]


class Finding(NamedTuple):
    """A broken rule: the row's key and the rule. Without a repair it is left to the operator."""

    key: str
    rule: str
    repair: Repair | None = None

    @property
    def line(self) -> str:
        return f"{self.key}: {self.rule}"


class Edge(NamedTuple):
    """A membership."""

    group: str
    member: str


@dataclass(slots=True)
class Suspects:
    """What did not agree while the rows went by. Each is looked at again, since others may be writing."""

    resources: set[str] = field(default_factory=set)
    """Ids of resources whose document, `keys` and index rows do not agree."""
    indexes: set[str] = field(default_factory=set)
    """Keys of index rows that no resource names or asks for."""
    lone: set[Edge] = field(default_factory=set)
    """Memberships of which one side was seen."""
    groups: set[str] = field(default_factory=set)
    """Groups that have memberships and were not seen."""
    members: set[str] = field(default_factory=set)
    """Members in the shape of our ids that were not seen."""
    gates: set[str] = field(default_factory=set)
    """Groups whose gate and change do not agree with each other, or with the group."""
