"""What goes wrong between the app and the table, drawn from a seed.

The n-th request on the wire gets the same fault in every run of a seed; which request is the n-th depends on how the
clients' requests overtake each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from random import Random
from typing import Literal

Kind = Literal[
    "none",
    "slow",
    "dropped before",
    "dropped after",
    "reset before",
    "reset after",
    "refused before",
    "refused after",
    "cut",
    "hung before",
    "hung after",
    "busy before",
    "held after",
    "late",
]
"""What happens to a request. "before": it never reaches the table; "after": the table has done it and its answer is
lost. dropped: the connection is closed; reset: by a RST; refused: the proxy answers an error itself; cut: the answer
ends in its middle; hung: nothing is heard any more; busy: refused, and so are all others for a while; held: the
connection is closed some seconds later; late: the connection is closed, and the request is delivered to the table
seconds later, when its sender has long sent it again."""

WEIGHTS: dict[Kind, float] = {
    "slow": 6.0,
    "dropped before": 2.0,
    "dropped after": 2.0,
    "reset before": 1.0,
    "reset after": 1.0,
    "refused before": 2.0,
    "refused after": 2.0,
    "cut": 1.0,
    "hung before": 0.05,
    "hung after": 0.05,
    "busy before": 0.03,
    "held after": 0.2,
}
"""How often each happens, relative to the others."""
CONTESTED: dict[Kind, float] = {"late": 2.0, "held after": 5.0, "busy before": 0.4}
"""The same for transactions about what several clients write to. Those get faults of these kinds beside the others: a
delivery that comes late is nobody's fault there, since the model lets an unacknowledged request happen at any time."""

STATUSES = (500, 503, 429)
_HUNG = 20.0
"""Longer than the app waits for a trip (scim/store/table/azure.py)."""
_SECONDS: dict[str, tuple[float, float]] = {
    "slow": (0.005, 0.3),
    "hung before": (_HUNG, _HUNG),
    "hung after": (_HUNG, _HUNG),
    "busy before": (0.3, 4.0),
    "held after": (0.2, 4.0),
    "late": (0.5, 15.0),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request; `seconds` it waits, `status` is the proxy's own answer."""

    kind: Kind = "none"
    seconds: float = 0.0
    status: int = 0


@dataclass(slots=True)
class Faults:
    """The faults of a run. `rate` is the share of requests that get one; `contested` that of the transactions about
    what several clients write to that get one of CONTESTED. `injected` counts them by kind."""

    seed: str
    rate: float
    contested: float = 0.0
    number: int = 0
    injected: Counter[str] = field(default_factory=Counter)

    def next(self, *, contested: bool = False) -> Fault:
        """Return the fault of the next request on the wire."""
        self.number += 1
        dice = Random(f"{self.seed} {self.number}")
        if dice.random() < self.rate:
            return self._drawn(dice, WEIGHTS)
        if contested and dice.random() < self.contested:
            return self._drawn(dice, CONTESTED)
        return Fault()

    def _drawn(self, dice: Random, weights: dict[Kind, float]) -> Fault:
        kind = dice.choices(list(weights), list(weights.values()))[0]
        seconds = dice.uniform(*_SECONDS[kind]) if kind in _SECONDS else 0.0
        status = dice.choice(STATUSES) if kind.startswith("refused") else 0
        self.injected[f"{kind} {status}" if status else kind] += 1
        return Fault(kind, seconds, status)
