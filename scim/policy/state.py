"""What the sequencer keeps of a tenant's policy between two runs: it stands in the head of the log, so that whoever
decides owns it, and of two that decide at once one is refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

TOTAL = ""
"""The seat that every active user takes, if the policy limits their number."""


@dataclass(frozen=True, slots=True)
class Hold:
    """Events are held back: since when, which (`on`: disables and deletes, `all`), until when at the latest, how many
    there are."""

    kind: str
    since: str
    until: str
    number: int = 0
    releasing: bool = False
    """Whether what is held goes into the log now, before anything else."""


@dataclass(frozen=True, slots=True)
class State:
    """Nothing of it is ever changed: `changed` makes another."""

    version: str = ""
    """The version of the policy that was followed last."""
    bound: dict[str, str] = field(default_factory=dict)
    """By the name that a policy gives a group, the id of the group that was found."""
    granted: dict[str, str] = field(default_factory=dict)
    """By the id of a group, a digest of what its members were told to get."""
    telling: dict[str, str] = field(default_factory=dict)
    """By the id of a group, the member up to which its members were told anew what they get."""
    limits: dict[str, int] = field(default_factory=dict)
    """The limits that seats were last decided by, of each licence and of all (TOTAL)."""
    used: dict[str, int] = field(default_factory=dict)
    """How many seats of each are taken."""
    line: int = 0
    """The last place in a waiting line that was given."""
    counting: dict[str, str] = field(default_factory=dict)
    """Of a licence that was not limited before, the id up to which those who have it are counted."""
    recent: dict[str, int] = field(default_factory=dict)
    """Disables and deletes by the minute, of the last hour."""
    deleted: dict[str, int] = field(default_factory=dict)
    """How many of them are deletes."""
    users: int | None = None
    """How many users there are, once somebody has asked."""
    alarmed: str = ""
    """When a mass change was told last."""
    hold: Hold | None = None
    held: int = 0
    """The number of the newest event that was ever held."""
    seen_all: bool = False
    """Whether a hold of all was begun for this policy already, so that its end is not its beginning."""
    ownerless: dict[str, str] = field(default_factory=dict)
    """By the id of an agent that nobody active owns, when a hold of it begins; "held" if it has begun."""
    gone_until: str = ""
    """Until when somebody who was deleted may be found again."""

    def changed(self, **members: Any) -> State:
        """Return the state with other members."""
        return replace(self, **members)

    def dump(self) -> str:
        """Return the state as text; "" of one in which nothing is."""
        values = {name: value for name, value in asdict(self).items() if value not in ({}, None, 0, "", False)}
        return json.dumps(values) if values else ""

    @staticmethod
    def load(text: str) -> State:
        """Return the state of a text that `dump` made."""
        values = json.loads(text) if text else {}
        known = {name: value for name, value in values.items() if name in State.__dataclass_fields__}
        if hold := known.get("hold"):
            known["hold"] = Hold(**hold)
        return State(**known)


UNITS = 32_000
"""UTF-16 units of one string property; the service's limit is 32,768. A state is ASCII."""


def split_state(text: str, before: int = 0) -> dict[str, str | int]:
    """Return the properties that hold a state's text. `before` is how many there were beside the first: what is merged
    into a row leaves others, which count no more."""
    parts = [text[at : at + UNITS] for at in range(0, len(text), UNITS)] or [""]
    values: dict[str, str | int] = {"policy": parts[0]}
    if len(parts) > 1 or before:
        values |= {"policyMore": len(parts) - 1, **{f"policy{n}": part for n, part in enumerate(parts[1:], 1)}}
    return values


def join_state(values: Mapping[str, Any]) -> tuple[str, int]:
    """Return a state's text from the properties of the head of a log, and how many there are beside the first."""
    more = int(values.get("policyMore", 0))
    return "".join([str(values.get("policy", "")), *(str(values[f"policy{n}"]) for n in range(1, more + 1))]), more
