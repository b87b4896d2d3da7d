"""The provisioning log: who was refused and what to do about it, then what was changed; and each as CSV.

Failures are a row for each subject, so the last ones cannot be read alone: up to 1,000 are, by the beginning of a name
if one is asked for, and sorted here. Changes are the feed's log, read backwards in parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from scim.console.csvs import write_csv
from scim.console.pages.people import find_tab
from scim.console.rendering import link
from scim.console.visit import Answer, Download, NotThere, Page, Visit
from scim.console.words import WORDS
from scim.feed.sequencer import Head
from scim.insight.failures import CONNECTION, REQUEST, Failure, read_failure, read_failures
from scim.insight.history import find_name
from scim.insight.remedies import find_remedy
from scim.insight.subjects import fold_name
from scim.policy.draft import Event
from scim.store import keys, properties

_MOST = 20
"""Rows of a page: each failure is told with its text and its remedy."""
_WINDOW = 250
"""Changes that are looked through in one trip for those that are asked for."""
_LOOKED_AT = 1000
_CSV = 1000
"""Rows of one CSV."""
_CHANGE_HEAD = ("time", "type", "id", "name", "changed", "connection", "request")
_FAILURE_HEAD = (
    *("last", "first", "times", "who", "operation", "status", "scimType"),
    *("text", "remedy", "connection", "request"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the log is filtered by; "" is everything. Days are of UTC."""

    person: str
    operation: str
    since: str
    until: str

    def holds(self, time: str, names: Sequence[str]) -> bool:
        """Whether something at a time, about who has these names, is asked for."""
        if (self.since and time[:10] < self.since) or (self.until and time[:10] > self.until):
            return False
        return not self.person or any(fold_name(self.person) in fold_name(name) for name in names)


async def show_log(visit: Visit) -> Answer:
    """Failures, or changes."""
    tenant, asked = visit.tenant, _read_asked(visit)
    result = "done" if visit.ask("result") == "done" else "failed"
    given = {"person": asked.person, "operation": asked.operation, "since": asked.since, "until": asked.until}
    values: dict[str, Any] = {"tenant": tenant, "tab": "log", "tab_title": WORDS.tabs["log"], "result": result}
    values |= {"asked": asked, "csv": link("tenants", tenant, "log.csv", result=result, **given), "cut": 0}
    if result == "failed":
        failures, whole = await find_failures(visit, asked)
        at = int(text) if (text := visit.ask("from", 6)).isdecimal() and text.isascii() else 0
        shown = failures[at : at + _MOST]
        values |= {"rows": [_describe(tenant, each) for each in shown], "cut": 0 if whole else _LOOKED_AT}
        rest = str(at + _MOST) if len(failures) > at + _MOST else None
        values["older"] = rest and link("tenants", tenant, "log", result=result, **given, **{"from": rest})
    else:
        before = int(text) if (text := visit.ask("before", 16)).isdecimal() and text.isascii() else None
        events, reached = await find_changes(visit, asked, before, _MOST)
        values |= {"rows": [_describe_change(visit, each) for each in events]}
        values["older"] = reached and link("tenants", tenant, "log", result=result, **given, before=str(reached))
    return Page("log.html", values)


async def save_log(visit: Visit) -> Answer:
    """The same as CSV, up to 1,000 rows."""
    asked = _read_asked(visit)
    if visit.ask("result") == "done":
        events, _ = await find_changes(visit, asked, None, _CSV)
        name, content = "changes", write_csv(_CHANGE_HEAD, map(_list_change, events))
    else:
        failures, _ = await find_failures(visit, asked)
        name, content = "failures", write_csv(_FAILURE_HEAD, map(_list_failure, failures[:_CSV]))
    return Download(f"{visit.tenant}-{name}.csv", "text/csv; charset=utf-8", content)


async def show_entry(visit: Visit) -> Answer:
    """Everything that is known of one subject that was refused."""
    failure = await read_failure(visit.parts.table, visit.tenant, visit.path["kind"], visit.ask("subject", 1000))
    if failure is None:
        raise NotThere(visit.path["kind"])
    values = {"tenant": visit.tenant, "tab": "log", "tab_title": WORDS.tabs["log"]}
    return Page("entry.html", {**values, "it": failure, "remedy": find_remedy(failure)})


async def find_failures(visit: Visit, asked: Asked) -> tuple[list[Failure], bool]:
    """Return the failures that are asked for, the last first, and whether all were looked at: one trip, or three if
    there are so many that only a name's beginning finds one."""
    table, tenant, found, whole = visit.parts.table, visit.tenant, {}, True
    async for page in read_failures(table, tenant, size=_LOOKED_AT):
        found = {each.key: each for each in page}
        whole = len(page) < _LOOKED_AT
        break
    if not whole and asked.person:
        for resource_type in visit.parts.registry.resource_types:
            begins = fold_name(asked.person)
            async for page in read_failures(table, tenant, resource_type.name, begins, size=_MOST):
                found |= {each.key: each for each in page}
                break
    kept = [each for each in found.values() if _is_asked(each, asked)]
    return sorted(kept, key=_time, reverse=True), whole


async def find_changes(visit: Visit, asked: Asked, before: int | None, most: int) -> tuple[list[Event], int | None]:
    """Return changes before a number, the newest first, and the number to go on before; None if there are no more.
    Three trips at most: who asks for somebody rare goes on by hand."""
    if before is None:
        head = await Head.read(visit.parts.table, visit.tenant)
        before = head.seq + 1 if head else 1
    found: list[Event] = []
    size = most if asked == Asked("", "", "", "") else _WINDOW
    for _ in range(2):
        start = max(1, before - size)
        events = await _read_events(visit, start, before)
        for event in reversed(events):
            if _is_change_asked(event, asked):
                found.append(event)
                if len(found) == most:
                    return found, event["seq"] if event["seq"] > events[0]["seq"] or start > 1 else None
        if not events or start == 1:
            return found, None
        before = start
    return found, before


async def _read_events(visit: Visit, start: int, end: int) -> list[Event]:
    """Read the events from a number up to before another one."""
    found: list[Event] = []
    async for page in visit.parts.table.pages(visit.tenant, keys.log_key(start), keys.log_key(end)):
        for row in page:
            properties.check_format(row)
            found.append(properties.join_document(row.values))
    return found


def _read_asked(visit: Visit) -> Asked:
    days = []
    for name in ("since", "until"):
        text = visit.ask(name, 10)
        try:
            days.append(date.fromisoformat(text).isoformat() if text else "")
        except ValueError:
            days.append("")
    return Asked(visit.ask("person"), visit.ask("operation", 20), *days)


def _is_asked(failure: Failure, asked: Asked) -> bool:
    if asked.operation and not failure.operation.startswith(asked.operation):
        return False
    return asked.holds(failure.last, [failure.name, failure.subject, *failure.named.values()])


def _is_change_asked(event: Event, asked: Asked) -> bool:
    if asked.operation and not str(event["type"]).endswith(asked.operation):
        return False
    resource = event["resource"]
    return asked.holds(event["time"], [str(value) for value in resource.values()])


def _describe(tenant: str, failure: Failure) -> dict[str, Any]:
    verb, _, what = failure.operation.partition(" ")
    if failure.kind == CONNECTION:
        what = failure.connection
    else:
        what = f"{WORDS.log.verbs.get(verb, verb)} {what.removesuffix('s').lower()}".strip()
    return {
        "last": failure.last,
        "name": WORDS.log.kinds[REQUEST].capitalize() if failure.kind == REQUEST else failure.name,
        "what": what,
        "status": failure.status,
        "scim_type": failure.scim_type,
        "detail": failure.detail,
        "remedy": find_remedy(failure),
        "count": failure.count,
        "address": link("tenants", tenant, "log", failure.kind, subject=failure.subject),
    }


def _describe_change(visit: Visit, event: Event) -> dict[str, Any]:
    resource = event["resource"]
    resource_type = visit.parts.registry.by_id(resource["id"])
    where = find_tab(resource_type) if resource_type is not None else "users"
    return {
        "time": event["time"],
        "name": _name(event),
        "what": event["type"],
        "attributes": ", ".join(map(str, event.get("changed", ()))),
        "connection": event.get("connection", ""),
        "address": link("tenants", visit.tenant, where, resource["id"]),
    }


def _name(event: Event) -> str:
    return find_name(event["resource"]) or str(event["resource"]["id"])


def _time(failure: Failure) -> str:
    return failure.last


def _list_failure(failure: Failure) -> tuple[object, ...]:
    """The cells of a failure."""
    it = failure
    what = (it.last, it.first or it.last, it.count, it.name, it.operation, it.status, it.scim_type)
    return (*what, it.detail, find_remedy(it), it.connection, it.request)


def _list_change(event: Event) -> tuple[object, ...]:
    """The cells of a change."""
    what = (event["time"], event["type"], event["resource"]["id"], _name(event))
    by = (event.get("connection", ""), event.get("request", ""))
    return (*what, ", ".join(map(str, event.get("changed", ()))), *by)
