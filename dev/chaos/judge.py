"""At a rest: whether each contested resource, and each unique value, is as some serial order of the requests allows.

Four questions are asked of a resource. Whether it may be there, or not: a DELETE that was acknowledged is final,
nothing else removes a resource, whatever succeeded came before the DELETE and whatever was answered 404 after it.
Whether what is there is the end of some order (order.py). Whether what single reads showed on the way was not replaced,
by acknowledged requests, before they began. And whether a condition on a version was held.

Of a unique value: whether a 409 can be true, and whether it was given to two at once. Both are answered for the client:
a finding is what cannot be right in any order, judged by requests that certainly came before or after one another.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dev.chaos.contest import CONTESTED, NAMES, Contest, Request, Subject, state_of
from dev.chaos.model import MEMBERS, Finding
from dev.chaos.order import State, Step, decide

Resources = Mapping[str, Sequence[Mapping[str, Any]]]


def settle(contest: Contest, resources: Resources) -> list[Finding]:
    """Return all that is wrong in a tenant, whose users and groups these are. What is there is taken as right from now
    on."""
    for found in resources.values():
        for resource in found:
            if str(resource.get("externalId")).startswith(CONTESTED):
                contest.meet(resource)
    findings = [*contest.findings, *_twice_there(contest.tenant, resources)]
    findings += _unique_values(contest.subjects.values())
    there = {resource["id"]: resource for found in resources.values() for resource in found}
    for subject in contest.subjects.values():
        present = there.get(subject.id)
        findings += _existence(subject, present is not None)
        if present is not None:
            findings += _explained(subject, state_of(subject.path, present))
            findings += _sights(subject)
        findings += _conditions(subject)
    contest.begin_anew(there)
    return findings


def _explained(subject: Subject, seen: State) -> list[Finding]:
    """Return a finding if no order of the requests about a resource leads to what is seen of it."""
    first, steps = subject.first, []
    for request in subject.requests:
        if request.method == "POST" and request.writes is not None:
            first = State(request.writes.values, request.writes.whole or frozenset())
        elif request.writes is not None and request.may_count:
            steps.append(Step(str(request), request.writes, request.start, request.end))
    contradiction = decide(first, steps, seen) if first is not None else None
    if contradiction is None:  # or nobody made it, which `_existence` says
        return []
    shown = f"it has {len(seen.items)} items and {dict(seen.values)}"
    return [subject.finding(contradiction.kind, f"{shown}; in no order: {contradiction.text}")]


def _existence(subject: Subject, present: bool) -> list[Finding]:
    """Return whether it may be there, or may not."""
    deletes = [request for request in subject.requests if request.method == "DELETE" and request.may_count]
    known = [request for request in deletes if request.status == "acknowledged"]
    successes = [request for request in subject.requests if request.status == "acknowledged"]
    missing = [request for request in subject.requests if request.status == "missing"]
    posts = [request for request in subject.requests if request.method == "POST"]
    made = subject.first is not None or any(post.status == "acknowledged" for post in posts)
    if present:
        return [
            *(subject.finding("deletion undone", "it is there", [one]) for one in known),
            *(subject.finding("false 404", "it is there", [one]) for one in missing),
            *(subject.finding("refused and done", "it is there", [one]) for one in posts if not one.may_count),
            *(subject.finding("deletion undone", "it came back") for _ in range(subject.first is None and not posts)),
        ]
    if subject.first is None and not posts:  # gone since an earlier rest
        return [subject.finding("success after the deletion", "it is gone", [one]) for one in successes]
    if not deletes:
        return [subject.finding("acknowledged resource lost", "it is gone, and nobody deleted it")] if made else []
    if len(known) > 1:
        return [subject.finding("deleted twice", "a second DELETE must be answered 404", known)]
    first = known[0] if known else min(deletes, key=lambda request: request.start)
    earliest = max([first.start, *(request.start for request in successes)])
    latest = min([first.end, *(request.end for request in missing)])
    if earliest <= latest:
        return []
    about = [first, *(one for one in successes if one.start > latest), *(one for one in missing if one.end < earliest)]
    return [subject.finding("success after the deletion", "or a 404 before it", about)]


def _sights(subject: Subject) -> list[Finding]:
    """Return what a read has shown although nobody had written it, or it was replaced before the read began."""
    findings = []
    writes = [request for request in subject.requests if request.writes is not None and request.may_count]
    for sight, values in subject.sights:
        for name, value in values.items():
            setting = [request for request in writes if request.writes and name in request.writes.values]
            shown = any(_shows(name, value, writer, setting, sight) for writer in setting)
            if not shown and not _first_shows(subject, name, value, setting, sight):
                text = f"a read showed {name} {value!r}, which was replaced before or never written"
                findings.append(subject.finding("old state shown", text, [*setting[-6:], sight]))
    return findings


def _shows(name: str, value: Any, writer: Request, setting: Sequence[Request], sight: Request) -> bool:
    """Return whether the read may have shown what this request wrote."""
    if writer.writes is None or writer.writes.values[name] != value or writer.start > sight.end:
        return False
    end = -math.inf if writer.method == "POST" else writer.end
    return not any(
        other is not writer and other.status == "acknowledged" and end < other.start and other.end < sight.start
        for other in setting
    )


def _first_shows(subject: Subject, name: str, value: Any, setting: Sequence[Request], sight: Request) -> bool:
    """Return whether it may have shown what was there at the last rest."""
    if subject.first is None or subject.first.values.get(name) != value:
        return False
    return not any(other.status == "acknowledged" and other.end < sight.start for other in setting)


def _conditions(subject: Subject) -> Iterable[Finding]:
    """Return the requests that were conditional on a version and succeeded after others had changed the resource.

    Only of users: each of their requests writes a value that was not there before, so it makes a new version."""
    known = [request for request in subject.requests if request.status == "acknowledged"]
    for request in known if subject.path == "/Users" else ():
        read = request.after
        between = [
            other
            for other in known
            if read is not None and other.writes is not None and read.end < other.start and other.end < request.start
        ]
        if read is not None and between:
            text = "it succeeded under a version that was no longer there"
            yield subject.finding("condition ignored", text, [read, *between, request])


def _twice_there(tenant: str, resources: Resources) -> Iterable[Finding]:
    """Return names that two resources have, and values that one has twice."""
    for path, found in resources.items():
        names = Counter(str(resource.get(NAMES[path])).casefold() for resource in found)
        for name, number in names.items():
            if number > 1:
                yield Finding("unique value given twice", tenant + path, f"{number} resources have {name!r}")
        for resource in found:
            values = [one["value"] for one in resource.get(MEMBERS if path == "/Groups" else "phoneNumbers", [])]
            if len(set(values)) < len(values):
                yield Finding("applied twice", f"{tenant}{path}/{resource['id']}", "a value is there twice")


@dataclass(frozen=True, slots=True)
class _Claim:
    """A resource that has, or may have, a unique value from some moment on."""

    value: str
    subject: Subject
    start: float
    end: float


def _unique_values(subjects: Iterable[Subject]) -> Iterable[Finding]:
    claims, requests = [], []
    for subject in subjects:
        requests += subject.requests
        if subject.first is not None:
            value = str(subject.first.values[NAMES[subject.path]]).casefold()
            claims.append(_Claim(value, subject, -math.inf, -math.inf))
        for request in subject.requests:
            if request.may_count and request.value is not None:
                claims.append(_Claim(request.value, subject, request.start, request.end))
    for request in requests:
        others = [
            claim
            for claim in claims
            if claim.value == request.value
            and claim.subject is not request.subject
            and claim.subject.path == request.subject.path
        ]
        if request.status == "conflict" and not any(_may_hold(claim, request) for claim in others):
            yield request.subject.finding("false conflict", f"nobody has {request.value!r}", [request])
        if request.status == "acknowledged":
            for claim in others:
                if _surely_holds(claim, request):
                    text = f"{request.value!r} belongs to {claim.subject.tag}, all the time"
                    yield request.subject.finding("unique value given twice", text, [request])


def _releases(claim: _Claim) -> list[Request]:
    """Return the requests by which the resource may have lost the value."""
    return [
        request
        for request in claim.subject.requests
        if request.may_count and (request.method == "DELETE" or request.value not in (None, claim.value))
    ]


def _may_hold(claim: _Claim, request: Request) -> bool:
    """Return whether the claim can be why the request was refused."""
    return claim.start < request.end and not any(
        release.status == "acknowledged"
        and release.end < request.start
        and (release.method == "DELETE" or claim.end < release.start)
        for release in _releases(claim)
    )


def _surely_holds(claim: _Claim, request: Request) -> bool:
    """Return whether the resource has the value from before the request's start until after its end."""
    return claim.end < request.start and not any(
        release.start < request.end and not release.end < claim.start for release in _releases(claim)
    )
