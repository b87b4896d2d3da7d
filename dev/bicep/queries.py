"""KQL: every query skips lines that are not ours and reads only what the app logs; the workbook has the queries' own
text, and the alerts read columns that the queries have. Whether a query is Kusto at all, kql.js says, Microsoft's own
analysis."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.bicep.snapshots import Finding, Snapshot
from dev.bicep.workbook import build

FIELDS = {
    "request": {
        "event", "request", "tenant", "connection", "credential", "claimed", "reason", "address", "agent", "operation",
        "resource", "status", "scimType", "attribute", "rule", "changed", "added", "removed", "addedIds", "removedIds",
        "disabled", "deleted", "operations", "failed", "operator", "trips", "ms",
    },
    "change": {
        "event", "request", "tenant", "connection", "credential", "operation", "resource", "status", "attribute",
        "rule", "changed", "added", "removed", "addedIds", "removedIds", "disabled", "deleted",
    },
    "token": {
        "event", "request", "tenant", "connection", "credential", "claimed", "reason", "address", "agent", "grant",
        "status", "error", "trips", "ms",
    },
    "revoked_credential": {"event", "request", "tenant", "connection", "credential", "address"},
    "mass_change": {"event", "request", "tenant", "connection", "credential", "disabled", "deleted", "limit"},
    "quota": {"event", "tenant", "what", "number", "limit", "percent"},
    "sink": {"event", "sink", "tenant", "state", "lag", "tries", "status", "error"},
    "sink_recovered": {"event", "sink", "tenant", "since"},
    "housekeeping": {"event", "finished", "failed", "whole", "ms"},
    "cycle_overdue": {"event", "tenant", "connection", "last_request", "expected", "minutes"},
    "credential_expiring": {"event", "connection", "tenant", "credential", "days", "threshold", "expires"},
}  # fmt: skip
"""The fields of each event that the app logs."""

TABLES = ("traces", "requests", "Usage")
_GUARD = '| where message startswith "{"'


def check(infra: Path) -> Iterator[Finding]:
    """Each query file, and the workbook."""
    for path in sorted((infra / "queries").glob("*.kql")):
        name = path.relative_to(infra.parent).as_posix()
        yield from (Finding(name, line, text) for line, text in problems(path.read_text(encoding="utf-8")))
    yield from _workbook(infra)


def problems(text: str) -> Iterator[tuple[int, str]]:
    """(line, what is wrong) in a query."""
    lines = text.splitlines()
    body = [(number, line) for number, line in enumerate(lines, 1) if line.strip() and not line.startswith("//")]
    if not lines or not lines[0].startswith("// "):
        yield 1, "does not begin with a comment; say what it shows in one line after //"
    for number, line in enumerate(lines, 1):
        if not line.strip():
            yield number, "is blank, which ends a query in the portal; remove the line"
    if not text.endswith("\n"):
        yield len(lines), "does not end with a line break, and a clause may follow; add one"
    if body and body[0][1] not in TABLES:
        yield body[0][0], f"reads {body[0][1]}; begin with {' or '.join(TABLES)}"
    parsed = next((number for number, line in body if "parse_json(" in line), None)
    if parsed is not None and _GUARD not in text:
        yield parsed, f"parses lines that are no JSON too; write {_GUARD} before"
    events = list(dict.fromkeys(re.findall(r'event\)? == "(\w+)"', text)))
    for number, line in body:
        for event in re.findall(r'event\)? == "(\w+)"', line):
            if event not in FIELDS:
                yield number, f"the app logs no event {event}; it is one of {', '.join(FIELDS)}"
        known = set().union(*(FIELDS.get(event, set()) for event in events or FIELDS))
        for field in re.findall(r"\bline\.(\w+)", line):
            if field not in known:
                yield number, f"{field} is no field of {' or '.join(events or FIELDS)}; correct the name"


def _workbook(infra: Path) -> Iterator[Finding]:
    path = infra / "workbook.json"
    name = path.relative_to(infra.parent).as_posix()
    text = path.read_text(encoding="utf-8")
    try:
        found = json.loads(text)
    except ValueError as error:
        yield Finding(name, getattr(error, "lineno", 1), "is no JSON; run python -m dev.bicep.workbook")
        return
    wanted = build(infra / "queries")
    if found != wanted:
        lines = text.splitlines()
        same = json.dumps(wanted, indent=2).splitlines()
        line = next((n for n, pair in enumerate(zip(lines, same, strict=False), 1) if pair[0] != pair[1]), len(lines))
        yield Finding(name, line, "is not made from infra/queries; run python -m dev.bicep.workbook")


@dataclass(frozen=True)
class Rule:
    """An alert as it is deployed: its query, and the column that is compared, for each value of a dimension if any."""

    file: str
    name: str
    query: str
    column: str
    dimension: str


def read_rules(snapshots: list[Snapshot]) -> Iterator[Rule]:
    """The alerts on queries, of all snapshots."""
    for snapshot in snapshots:
        for resource in snapshot.of("Microsoft.Insights/scheduledQueryRules"):
            (criterion,) = resource.value("properties.criteria.allOf")
            name = re.sub("^alert-|-[a-z0-9]{13}$", "", resource.name)
            dimension = next((each["name"] for each in criterion.get("dimensions", ())), "")
            yield Rule(snapshot.file, name, criterion["query"], criterion["metricMeasureColumn"], dimension)


def check_alerts(snapshots: list[Snapshot]) -> Iterator[Finding]:
    """Where a rule names a column and a dimension, its query has them."""
    for rule in read_rules(snapshots):
        for name in filter(None, (rule.column, rule.dimension)):
            if not re.search(rf"\b{name}\b(?! ?\()", rule.query):
                yield Finding(rule.file, 0, f"the query of alert {rule.name} has no column {name}; correct the name")
