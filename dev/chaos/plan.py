"""What a run is asked to do, and what it did and found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from dev.chaos.model import Finding
from dev.chaos.requests import Log

KILLS = {"app killed": 4.0, "table stopped": 1.0, "table killed": 1.0, "table stalled": 0.5}
"""How often each comes, relative to the others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A run ends after `requests` of the clients, or `seconds`. `apps` processes serve, whose clocks are up to `skew`
    seconds wrong. `rate` is the share of requests to the table that get a fault, `contested` that of the transactions
    about what several clients write to that get one more. `contest` is the share of the clients' steps that are about
    such. Every `rest_every` seconds the clients rest and what is there is looked at (0: only at the end), and every
    `housekeeping` seconds each process keeps house (0: never). Something is killed after about every `kill_every`
    requests of the clients (0: never)."""

    seed: int
    clients: int = 6
    tenants: int = 2
    apps: int = 2
    requests: int = 1_000_000_000
    seconds: float = 60.0
    skew: float = 2.0
    rate: float = 0.1
    contested: float = 0.15
    contest: float = 0.6
    rest_every: float = 25.0
    housekeeping: float = 5.0
    kill_every: int = 150
    kills: Mapping[str, float] = field(default_factory=lambda: KILLS)

    @property
    def names(self) -> list[str]:
        return [f"tenant-{number}" for number in range(self.tenants)]

    def clock(self, app: int) -> float:
        """Return how many seconds a process's clock is ahead: spread from `-skew` to `skew`."""
        return self.skew * (2 * app / (self.apps - 1) - 1) if self.apps > 1 else 0.0


@dataclass(slots=True)
class Report:
    """What a run did and found."""

    seed: int
    seconds: float = 0.0
    log: Log = field(default_factory=Log)
    faults: Counter[str] = field(default_factory=Counter)
    trips: int = 0
    late: int = 0
    """Requests that were delivered to the table late."""
    events: Counter[str] = field(default_factory=Counter)
    contested: Counter[str] = field(default_factory=Counter)
    """Requests about contested resources, by method and what came of them."""
    rests: int = 0
    resources: int = 0
    left: int = 0
    """Resources that a client gave up with an unknown outcome."""
    housekeepings: int = 0
    told: int = 0
    """Findings that the progress has told."""

    @property
    def findings(self) -> list[Finding]:
        return self.log.findings

    def add(self, findings: list[Finding]) -> None:
        """Note findings; what is broken stays so, and is noted once."""
        said = set(map(str, self.findings))
        self.findings.extend(finding for finding in findings if str(finding) not in said)


Progress = Callable[[Report], None]
