"""`tenants check`: reads all of a tenant's rows and names every broken invariant; `fix` mends what can be proven.

Others may be writing meanwhile: what did not agree is looked at a second time, and each repair is a transaction that
happens only if nothing of what it was made from has changed.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from scim.feed.sequencer import Sequencer
from scim.operate.checking import rules
from scim.operate.checking.feed import WAITING
from scim.operate.checking.findings import Finding, Repair
from scim.operate.checking.looks import Looks
from scim.operate.checking.survey import LATE, Survey
from scim.operate.tenants.steps import Step, watch_nothing
from scim.policy.document import parse_policy
from scim.schema.loading import load
from scim.schema.registry import Registry
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from scim.store.table import MAX_WRITES, Partition, Refused, Row, Table, Write
from scim.store.transactions import commit_surely

_EVERYTHING = ("", "\uffff")
_ROUNDS = 4
"""How often a tenant is checked and mended: one repair can make room for another."""
_UNKNOWN = "is pending in a tenant that housekeeping does not know of"


@dataclass(frozen=True, slots=True)
class Report:
    """What a tenant's rows say."""

    tenant: str
    rows: int = 0
    resources: int = 0
    memberships: int = 0
    pending: int = 0
    """Operations of several transactions that are under way, or were cut short: none after housekeeping."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no problem, and good to know."""
    strangers: dict[str, str] = field(default_factory=dict)
    """By key, the id of a member that looks like one of ours and is no resource. A client may send an id that never
    existed, and it is kept as sent; but the memberships of a deleted resource must be gone."""
    overdue: list[str] = field(default_factory=list)
    """Keys of what housekeeping should have finished."""
    old: list[Write] = field(default_factory=list)
    """What removes the rows that housekeeping should have removed."""

    @property
    def problems(self) -> list[str]:
        """A line for each broken invariant: the row's key and the rule."""
        return sorted(finding.line for finding in self.findings)


@dataclass(frozen=True, slots=True)
class Fixed:
    """What was mended, a line each, and what a last check says."""

    done: list[str]
    report: Report


async def list_problems(table: Table, tenant: str, registry: Registry, *, invented: Collection[str] = ()) -> list[str]:
    """Return the broken invariants of a tenant, a line each. `invented` are ids in the shape of ours that were never
    resources and may be members."""
    report = await examine(table, tenant, registry)
    return sorted(
        [*report.problems, *(describe_stranger(k, id) for k, id in report.strangers.items() if id not in invented)]
    )


def describe_stranger(key: str, id: str) -> str:
    """Return the line about a member that looks like a resource."""
    return f"{key}: its member {id} looks like a resource and is none"


async def examine(
    table: Table, tenant: str, registry: Registry, *, now: datetime | None = None, step: Step = watch_nothing
) -> Report:
    """Read every row of a tenant. `step` is called with the rows of each page. Raises TableUnavailable."""
    survey = Survey(registry, now or datetime.now(UTC))
    async for page in table.pages(tenant, *_EVERYTHING):
        for row in page:
            survey.take(row)
        step(len(page))
    survey.finish()
    looks = Looks(table, tenant, registry, survey)
    await survey.feed.look(table, tenant)
    await survey.policy.look(table, tenant)
    findings = [*survey.findings, *survey.feed.findings, *survey.policy.findings, *await looks.findings()]
    announcement = await table.read(SHARED, shared_keys.tenant_key(tenant))
    if announcement is None and survey.working:
        findings.append(Finding(survey.working[0], _UNKNOWN))
    elif announcement is not None and (fault := _find_tenant_fault(announcement)):
        findings.append(Finding(f"{SHARED} {announcement.key}", fault))
    return Report(
        tenant,
        survey.rows,
        len(survey.ids),
        survey.memberships,
        survey.pending,
        findings,
        [f"{count} rows {note}" for note, count in survey.noted.items()],
        looks.strangers,
        survey.overdue,
        survey.chaff,
    )


async def examine_shared(table: Table, *, now: datetime | None = None) -> list[Finding]:
    """Read the partition that is no tenant's. Raises TableUnavailable."""
    findings: list[Finding] = []
    now = now or datetime.now(UTC)
    async for page in table.pages(SHARED, *_EVERYTHING):
        for row in page:
            try:
                fault, repair = _find_shared_fault(row, now)
            except Exception as error:  # whatever it is: it must not hide what comes after
                fault, repair = f"cannot be looked at: {type(error).__name__}: {str(error)[:200]}", None
            if fault:
                findings.append(Finding(f"{SHARED} {row.key}", fault, repair))
    return findings


def _find_shared_fault(row: Row, now: datetime) -> tuple[str, Repair | None]:
    if rules.is_newer(row):
        return "", None
    match row.key.split(" "):
        case ["t", _]:
            return _find_tenant_fault(row), None
        case ["f", _]:
            known = row.key == shared_keys.feed_key(str(row.values.get("tenant", "")))
            return "" if known else "is the note of another tenant's change feed", None
        case ["s" | "i", _] | ["c", _, _]:  # the console's; what is wrong with one lets nobody in
            return "", None
        case ["y", _]:
            return _find_policy_fault(row), None
        case ["q", _]:
            known = row.key == shared_keys.quota_key(str(row.values.get("tenant", "")))
            return "" if known else "is the size of another tenant", None
        case ["u", _, _]:
            return rules.find_usage_fault(row.values), None
        case ["v", _, digest]:
            return rules.find_revocation_fault(row.values, digest), None
        case ["k", "cursors"]:
            key = row.values.get("key")
            sound = isinstance(key, str) and len(key) == 64 and not key.strip("0123456789abcdef")
            return "" if sound else "is a key for cursors that is none", None
        case ["k", _]:
            return "", None
        case ["j", *_]:
            ends = rules.parse_assertion_end(row.key)
            if ends is None:
                return "is the sight of an assertion without its end", None
            removal = Repair("removed", [Write("delete", row.key, etag=row.etag)])
            late = ends < now - LATE
            return (
                ("is an assertion that ended long ago, which housekeeping should have removed", removal)
                if late
                else ("", None)
            )
        case _:
            return "is a row of no known kind", None


def _find_policy_fault(row: Row) -> str:
    if row.key != shared_keys.policy_key(str(row.values.get("tenant", ""))):
        return "is the policy of another tenant"
    try:
        parse_policy(json.loads(row.values["policy"]), load())
    except (KeyError, TypeError, ValueError) as error:
        return f"is a policy that cannot be followed: {str(error)[:200]}"
    return ""


def _find_tenant_fault(row: Row) -> str:
    tenant = row.values.get("tenant")
    if not isinstance(tenant, str) or row.key != shared_keys.tenant_key(tenant):
        return f"is the row of another tenant: {tenant!r:.60}"
    return "" if rules.parse_time(row.values.get("touched")) else "does not say when the tenant was last written to"


async def fix(store: Store, tenant: str, registry: Registry, step: Step = watch_nothing) -> Fixed:
    """Mend what can be proven, round by round until nothing more can be. Raises TableUnavailable."""
    done: list[str] = []
    for _ in range(_ROUNDS):
        report = await examine(store.table, tenant, registry, step=step)
        mended = await _mend(store, report, registry)
        done += mended
        if not mended:
            return Fixed(done, report)
    return Fixed(done, await examine(store.table, tenant, registry, step=step))


async def fix_shared(table: Table) -> list[str]:
    """Remove what housekeeping should have removed from the partition that is no tenant's. Raises TableUnavailable."""
    done = []
    for finding in await examine_shared(table):
        if finding.repair and await _done(table, SHARED, finding.repair.writes):
            done.append(f"{finding.line}: {finding.repair.does}")
    return done


async def _mend(store: Store, report: Report, registry: Registry) -> list[str]:
    """Make one round of repairs, and return a line for each that was made."""
    done: list[str] = []
    if any(finding.rule == _UNKNOWN for finding in report.findings):
        await store.of(report.tenant).pending.announce()
        done.append(f"{report.tenant}: announced to housekeeping")
    lines: dict[Repair, list[str]] = {}
    for finding in report.findings:
        if finding.repair is not None:
            lines.setdefault(finding.repair, []).append(finding.line)
    for repair, named in lines.items():
        if await _done(store.table, report.tenant, repair.writes):
            done.append(f"{'; '.join(named)}: {repair.does}")
    removed = [len(part) for part in _cut(report.old, MAX_WRITES) if await _done(store.table, report.tenant, part)]
    if removed:
        done.append(f"{sum(removed)} old bookmarks and receipts: removed")
    return done + await _move_overdue(store, report, registry) + await _finish_overdue(store, report)


async def _move_overdue(store: Store, report: Report, registry: Registry) -> list[str]:
    """Move what waits for too long into the change feed."""
    if not any(WAITING in finding.rule for finding in report.findings):
        return []
    moved = await Sequencer(store.table, registry).run(report.tenant)
    return [f"{moved} events: moved into the change feed"] if moved else []


async def _finish_overdue(store: Store, report: Report) -> list[str]:
    """Have housekeeping finish what it should have finished."""
    if not report.overdue:
        return []
    await store.of(report.tenant).pending.announce()
    await store.housekeeping.run()
    there = [await store.table.read(report.tenant, key) for key in report.overdue]
    return [f"{key}: finished" for key, row in zip(report.overdue, there, strict=True) if row is None]


async def _done(table: Table, tenant: str, writes: Sequence[Write]) -> bool:
    """Run a repair; False if something has changed since it was made. What is left is found by the next round."""
    try:
        await commit_surely(Partition(table, tenant), writes)
    except Refused:
        return False
    return True


def _cut(writes: Sequence[Write], size: int) -> list[Sequence[Write]]:
    return [writes[at : at + size] for at in range(0, len(writes), size)]
