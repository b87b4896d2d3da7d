"""What came out of a rehearsal: the one model that every report reads.

A report holds scenarios, a scenario checks, a check its problems. A problem that occurs many times is one `Problem`
with a count and some of those whom it hit. Times are seconds since the rehearsal began, durations are milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

Status = Literal["passed", "failed", "warning", "skipped"]

INTERRUPTED = "interrupted"
"""Why a scenario ended early that somebody stopped: no failure of the target."""

MAX_SUBJECTS = 8
"""How many of those whom a problem hit are named."""

MAX_TEXT = 4000
"""Characters of a body that are kept."""


@dataclass(frozen=True)
class Exchange:
    """One request and its answer, without the credentials. `status` 0: no answer came, and `answer` says why."""

    operation: str
    method: str
    path: str
    body: str
    status: int
    answer: str
    milliseconds: float


@dataclass
class Problem:
    """Something that Entra, or its customer, would stumble over.

    `log` is the text of Entra's provisioning log, empty where nothing would be logged. A warning does not
    fail the check. `remedy` is for the target's developer, `admin` for who looks after Entra.
    """

    code: str
    title: str
    log: str
    effect: str
    remedy: str
    exchange: Exchange | None = None
    admin: str = ""
    warning: bool = False
    count: int = 0
    subjects: list[str] = field(default_factory=list)

    cause: str = ""
    """What the target said of it, without what differs from object to object; "" if it said nothing."""

    @property
    def key(self) -> tuple[str, str]:
        """What makes two problems of a check the same one."""
        return self.code, self.title

    def add(self, subject: str) -> None:
        self.count += 1
        if subject not in self.subjects and len(self.subjects) < MAX_SUBJECTS:
            self.subjects.append(subject)


@dataclass
class Check:
    """One thing that was looked at, as often as it came up. `note` is a fact worth telling without being a problem."""

    name: str
    passes: int = 0
    problems: list[Problem] = field(default_factory=list)
    skipped: str = ""
    note: str = ""

    def passed(self) -> None:
        self.passes += 1

    def report(self, problem: Problem, subject: str) -> None:
        """Count a problem in, together with others that are the same."""
        for known in self.problems:
            if known.key == problem.key:
                known.add(subject)
                return
        problem.add(subject)
        self.problems.append(problem)

    @property
    def failures(self) -> int:
        return sum(problem.count for problem in self.problems if not problem.warning)

    @property
    def warnings(self) -> int:
        return sum(problem.count for problem in self.problems if problem.warning)

    @property
    def status(self) -> Status:
        if self.failures:
            return "failed"
        if self.warnings:
            return "warning"
        return "skipped" if self.skipped and not self.passes else "passed"


@dataclass
class Cycle:
    """One provisioning cycle: what Entra's progress bar would say of it."""

    title: str
    started: float
    ended: float = 0.0
    requests: int = 0
    counts: dict[str, int] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)

    def count(self, what: str, number: int = 1) -> None:
        self.counts[what] = self.counts.get(what, 0) + number


@dataclass
class Scenario:
    """One scenario that was played."""

    name: str
    title: str
    started: float = 0.0
    ended: float = 0.0
    checks: list[Check] = field(default_factory=list)
    cycles: list[Cycle] = field(default_factory=list)
    broken: str = ""
    """Why it could not be played to its end."""

    def check(self, name: str) -> Check:
        """The check of that name, made at its first mention."""
        for check in self.checks:
            if check.name == name:
                return check
        self.checks.append(Check(name))
        return self.checks[-1]

    @property
    def failures(self) -> int:
        return sum(check.failures for check in self.checks) + (self.broken not in ("", INTERRUPTED))

    @property
    def status(self) -> Status:
        if self.failures:
            return "failed"
        statuses = {check.status for check in self.checks}
        if "warning" in statuses or self.broken:
            return "warning"
        return "skipped" if statuses <= {"skipped"} else "passed"


@dataclass
class Finding:
    """One problem over all scenarios and checks that met it; `places` are their names and how often each did."""

    problem: Problem
    places: list[tuple[str, str, int]] = field(default_factory=list)
    others: list[str] = field(default_factory=list)
    """Titles of problems that have the same cause."""
    remedies: list[str] = field(default_factory=list)
    """What to do in the target, for all problems of the cause."""
    advice: list[str] = field(default_factory=list)
    """What to do in Entra, for all of them."""

    @property
    def count(self) -> int:
        return sum(count for _, _, count in self.places)


@dataclass(frozen=True)
class Operation:
    """Durations of one kind of request: the sorted milliseconds of all of them."""

    name: str
    durations: list[float]
    failed: int

    def quantile(self, share: float) -> float:
        return quantile(self.durations, share)


@dataclass(frozen=True)
class Escrowed:
    """An object whose last export failed: Entra would try it again by its schedule."""

    subject: str
    operation: str
    code: str
    tries: int


@dataclass(frozen=True)
class Verdict:
    """What Entra would do. `quarantine` is why it would stop, empty where it would not."""

    headline: str
    lines: list[str]
    quarantine: list[str]
    escrow: list[Escrowed]
    recovered: int


@dataclass
class Report:
    """All of it."""

    target: str
    began: str
    options: dict[str, str]
    scenarios: list[Scenario] = field(default_factory=list)
    operations: list[Operation] = field(default_factory=list)
    verdict: Verdict | None = None
    requests: int = 0
    throttled: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    left: list[str] = field(default_factory=list)
    """What the rehearsal made and could not, or was told not to, delete."""

    @property
    def failures(self) -> int:
        return sum(scenario.failures for scenario in self.scenarios)

    @property
    def warnings(self) -> int:
        return sum(check.warnings for scenario in self.scenarios for check in scenario.checks)

    def findings(self) -> list[Finding]:
        """Every cause once, failures first, in the order in which they were met: what the target said in the same words
        is one."""
        found: dict[tuple[str, str, bool], Finding] = {}
        for scenario in self.scenarios:
            for check in scenario.checks:
                for problem in check.problems:
                    what = problem.cause or problem.title
                    finding = found.setdefault((problem.code, what, problem.warning), Finding(problem))
                    finding.places.append((scenario.name, check.name, problem.count))
                    finding.remedies += [problem.remedy] if problem.remedy not in finding.remedies else []
                    finding.advice += [problem.admin] if problem.admin not in finding.advice else []
                    if problem.title != finding.problem.title and problem.title not in finding.others:
                        finding.others.append(problem.title)
        return sorted(found.values(), key=lambda finding: finding.problem.warning)

    @property
    def skipped(self) -> list[str]:
        """The checks that were not made, by name."""
        checks = [check for scenario in self.scenarios for check in scenario.checks]
        return [check.name for check in checks if check.status == "skipped"]

    def quantile(self, share: float) -> float:
        """Milliseconds over all requests."""
        return quantile(sorted(value for operation in self.operations for value in operation.durations), share)


def quantile(ordered: list[float], share: float) -> float:
    """The value below which that share of the values lies; 0.0 where there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


def number_of(number: int, what: str) -> str:
    """Return "1 check" or "2 checks"."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def shorten(text: str, length: int = MAX_TEXT) -> str:
    return text if len(text) <= length else f"{text[:length]} … ({len(text)} characters in all)"
