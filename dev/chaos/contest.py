"""What is known of the resources that all clients of a tenant write to at once.

Every request is kept with the moments of its start and end and with what came of it, until the next rest: then nothing
is under way any more, and what is there must be what some serial order of those requests leads to (judge.py). What is
there becomes the state from which the next requests begin.

A resource is recognised by its externalId, its tag: the POST that made it gives it one of its own, each PUT keeps it,
and no PATCH touches it. So it is known which POST made which resource, even if nobody was told.
"""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from dev.chaos.model import MEMBERS, Finding
from dev.chaos.order import NOTHING, State, Writes
from dev.chaos.requests import Outcome

CONTESTED = "contested"
"""How the tag of every such resource begins, and, whatever the case of its letters, every name that one is given."""
NAMES = {"/Users": "userName", "/Groups": "displayName"}
"""The unique attribute of each type."""
Status = Literal["under way", "acknowledged", "missing", "conflict", "refused", "unknown"]
_SHOWN = 8
"""Requests that a finding shows."""


@dataclass(slots=True, eq=False)
class Request:
    """A request about a contested resource. `writes` None: it reads, or deletes. "missing": it was answered 404.
    `after` is the read whose version it was made conditional on."""

    name: str
    method: str
    subject: Subject
    writes: Writes | None = None
    start: float = 0.0
    end: float = math.inf
    status: Status = "under way"
    after: Request | None = None

    @property
    def may_count(self) -> bool:
        """Whether it may have done what it says."""
        return self.status in ("acknowledged", "unknown", "under way")

    @property
    def value(self) -> str | None:
        """The unique value that it asks for."""
        value = self.writes.values.get(NAMES[self.subject.path]) if self.writes else None
        return value.casefold() if value is not None else None

    def __str__(self) -> str:
        end = f"{self.end % 1000:.3f}" if self.end < math.inf else "?"
        return f"[{self.start % 1000:.3f} to {end}] {self.name} {self.status}"


@dataclass(slots=True, eq=False)
class Subject:
    """A contested resource. `first` is its state at the last rest; None if it was not there yet; `guess` are the items
    that it may well have at the moment; `sights` are the attributes that reads have shown since the rest; `times` is
    what answers have shown as lastModified, each with the moment of its arrival."""

    tenant: str
    path: str
    tag: str
    id: str | None = None
    first: State | None = None
    guess: frozenset[str] = NOTHING
    gone: bool = False
    requests: list[Request] = field(default_factory=list)
    sights: list[tuple[Request, Mapping[str, Any]]] = field(default_factory=list)
    times: list[tuple[float, datetime]] = field(default_factory=list)

    @property
    def where(self) -> str:
        return f"{self.tenant}{self.path}/{self.tag} ({self.id})"

    def finding(self, kind: str, text: str, about: Sequence[Request] = ()) -> Finding:
        """With the requests that it is about, or the last ones."""
        shown = list(about) or sorted(self.requests, key=lambda request: request.start)[-_SHOWN:]
        return Finding(kind, self.where, f"{text}; requests: {'; '.join(map(str, shown))}")


@dataclass(slots=True)
class Slot:
    """A name that resources are made under, one after another. `posts` counts the POSTs of it that are under way."""

    path: str
    name: str
    subjects: list[Subject] = field(default_factory=list)
    posts: int = 0

    def known(self) -> list[Subject]:
        """Return the resources that clients have seen and that are not gone for all they know."""
        return [subject for subject in self.subjects if subject.id is not None and not subject.gone]


class Contest:
    """The contested resources of a tenant. `markers` are bytes by which a proxy knows a transaction about one."""

    def __init__(self, tenant: str, names: Mapping[str, Sequence[str]], markers: set[bytes]) -> None:
        self.tenant = tenant
        self.slots = [Slot(path, name) for path, listed in names.items() for name in listed]
        self.subjects: dict[str, Subject] = {}
        self.answers: Counter[str] = Counter()
        self.findings: list[Finding] = []
        self._markers = markers

    def conceive(self, path: str, slot: Slot | None = None) -> Subject:
        """Return a resource that a POST is about to make."""
        tag = f"{CONTESTED}-{path[1:-1].lower()}-{len(self.subjects)}"
        subject = self.subjects[tag] = Subject(self.tenant, path, tag)
        if slot is not None:
            slot.subjects.append(subject)
        return subject

    def meet(self, resource: Mapping[str, Any]) -> Subject | None:
        """Return the resource that a client has come upon; None (and a finding) if no POST made it."""
        subject = self.subjects.get(str(resource.get("externalId")))
        if subject is None:
            text = f"{resource['id']} has the externalId {resource.get('externalId')!r}, which no POST gave"
            self.findings.append(Finding("nobody's resource", self.tenant, text))
            return None
        self._named(subject, str(resource["id"]))
        return subject

    def begin(
        self, name: str, method: str, subject: Subject, writes: Writes | None = None, after: Request | None = None
    ) -> Request:
        """Note that a request is about to be sent."""
        request = Request(name, method, subject, writes, time.monotonic(), after=after)
        subject.requests.append(request)
        return request

    def end(self, request: Request, outcome: Outcome) -> None:
        """It was answered, or never will be."""
        subject, now = request.subject, time.monotonic()
        request.status = _status(outcome)
        self.answers[f"{request.method} {request.status}"] += 1
        if request.status == "unknown":
            return
        request.end = now
        if request.status == "missing" or (request.status == "acknowledged" and request.method == "DELETE"):
            subject.gone = True  # for all that clients know: they leave it alone from now on
        if request.status != "acknowledged":
            return
        if request.writes is not None:
            whole = subject.guess if request.writes.whole is None else request.writes.whole
            subject.guess = (whole | request.writes.add) - request.writes.remove
        if request.method == "POST":
            self._named(subject, str(outcome.body["id"]))
        if modified := outcome.body.get("meta", {}).get("lastModified"):
            self._dated(request, datetime.fromisoformat(modified))
        if request.method == "GET":
            subject.sights.append((request, state_of(subject.path, outcome.body).values))

    def _named(self, subject: Subject, id: str) -> None:
        if subject.id not in (None, id):
            self.findings.append(subject.finding("applied twice", f"it is there as {id}, too"))
            return
        subject.id = id
        self._markers.add(id.encode())

    def _dated(self, request: Request, modified: datetime) -> None:
        """What was shown before this request began must not be later than what this one shows."""
        subject = request.subject
        latest = max((shown for at, shown in subject.times if at < request.start), default=modified)
        if latest > modified:
            text = f"lastModified was {latest.isoformat()}, and then {modified.isoformat()}"
            self.findings.append(subject.finding("lastModified went back", text, [request]))
        subject.times.append((request.end, modified))

    def begin_anew(self, there: Mapping[str, Mapping[str, Any]]) -> None:
        """Nothing is under way, and this is what there is, by id: the next requests begin from it."""
        self.findings = []
        for subject in self.subjects.values():
            present = there.get(subject.id or "")
            subject.first = state_of(subject.path, present) if present is not None else None
            subject.guess = subject.first.items if subject.first is not None else NOTHING
            subject.gone = present is None
            subject.requests, subject.sights = [], []
            subject.times = [(at, max(shown for _, shown in subject.times)) for at, _ in subject.times[-1:]]


def state_of(path: str, resource: Mapping[str, Any]) -> State:
    """Return what clients write of a contested resource."""
    if path == "/Groups":
        return State({"displayName": resource.get("displayName")}, _values(resource, MEMBERS))
    plain = {name: resource.get(name) for name in ("userName", "displayName", "title", "nickName")}
    return State(plain, _values(resource, "phoneNumbers"))


def _values(resource: Mapping[str, Any], name: str) -> frozenset[str]:
    return frozenset(str(one["value"]) for one in resource.get(name, []))


def _status(outcome: Outcome) -> Status:
    if outcome.done:
        return "acknowledged"
    if outcome.unknown:
        return "unknown"
    return {404: "missing", 409: "conflict"}.get(outcome.status, "refused")  # type: ignore[return-value]
