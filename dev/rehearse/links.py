"""What the provisioning service remembers of the target: for each object its id there, and what was accepted last.

Where an answer was lost, the target may hold the old or the new; both are then right until the next success.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from dev.rehearse.dialect import Dialect
from dev.rehearse.mapping import Attributes, Roles


@dataclass
class UserLink:
    """A user. `manager` is the id of a manager in the target."""

    id: str
    name: str
    attributes: Attributes
    manager: str | None = None
    doubtful: Attributes = field(default_factory=dict)
    doubtful_managers: set[str | None] = field(default_factory=set)
    roles: set[str] = field(default_factory=set)
    """Roles that must be there."""
    old_roles: set[str] = field(default_factory=set)
    """Roles that may be there, since Entra never removes them."""
    maybe_deleted: bool = False
    any_roles: bool = False
    """Nobody knows which other roles there are."""

    def __post_init__(self) -> None:
        self._accept_roles(self.attributes.get("roles"), added=False)

    def accept(self, changes: Attributes, dialect: Dialect) -> None:
        """The target has said that it took these changes."""
        self.attributes = {**self.attributes, **changes}
        self.doubtful = {path: value for path, value in self.doubtful.items() if path not in changes}
        if isinstance(roles := changes.get("roles"), Roles):
            self._accept_roles(roles, added=roles.expression == "complex" or (dialect, roles.expression) == _ADDED)
        self.name = str(self.attributes["userName"])

    def doubt(self, changes: Attributes) -> None:
        """Whether the target took these changes is not known."""
        self.doubtful = {**self.doubtful, **changes}
        if isinstance(roles := changes.get("roles"), Roles):
            self.old_roles |= self.roles | set(roles.values)
            self.roles = set()

    def _accept_roles(self, roles: object, *, added: bool) -> None:
        """Roles that a PATCH adds stay beside those from before; a single role's former value may stay or go."""
        if not isinstance(roles, Roles):
            return
        if not added:
            self.roles, self.old_roles = set(roles.values), set()
        elif roles.expression == "complex":
            self.roles |= set(roles.values)
        else:
            self.roles, self.old_roles = set(roles.values), self.roles | self.old_roles


@dataclass
class GroupLink:
    """A group. `members` are the ids of its members in the target."""

    id: str
    name: str
    external_id: str
    members: set[str] = field(default_factory=set)
    doubtful_names: set[str] = field(default_factory=set)
    doubtful_members: set[str] = field(default_factory=set)
    maybe_deleted: bool = False


_ADDED = ("legacy", "single")
