"""After a run: whether what is there is what was acknowledged, and whether every invariant of the rows holds."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dev.chaos.client import Client
from dev.chaos.contest import CONTESTED
from dev.chaos.model import Finding, Thing
from scim.operate.check import examine
from scim.schema.loading import load
from scim.store.table import Table

PENDING = "still pending"
Resources = dict[str, list[dict[str, Any]]]
"""By path, what a tenant holds."""


async def rows(table: Table, tenant: str) -> list[Finding]:
    """Return what the consistency checker finds in the tenant, after housekeeping."""
    report = await examine(table, tenant, load())
    findings = [Finding("broken rows", tenant, problem) for problem in report.problems]
    for key, id in report.strangers.items():
        findings.append(Finding("broken rows", tenant, f"{key}: a membership of the deleted resource {id}"))
    if report.pending:
        findings.append(Finding(PENDING, tenant, f"{report.pending} operations, after housekeeping"))
    return findings


async def listed(client: Client) -> tuple[Resources, list[Finding]]:
    """Return all resources of a client's tenant, as a walk by cursors shows them."""
    resources: Resources = {}
    findings = []
    for path in ("/Users", "/Groups"):
        found: list[dict[str, Any]] = []
        cursor: str | None = ""
        total = 0
        while cursor is not None:
            outcome = await client.answered(f"{path}?count=50&cursor={cursor}")
            if outcome is None or not outcome.done:
                findings.append(Finding("no answer", client.sender.tenant + path, f"the walk ended with {outcome}"))
                break
            found += outcome.body.get("Resources", [])
            total, cursor = outcome.body["totalResults"], outcome.body.get("nextCursor")
        ids = {resource["id"] for resource in found}
        if not len(ids) == len(found) == total:
            text = f"a walk shows {len(found)} resources of {len(ids)} ids; totalResults is {total}"
            findings.append(Finding("wrong list", client.sender.tenant + path, text))
        resources[path] = found
    return resources, findings


def contested(resources: Resources) -> Resources:
    """Return those that several clients write to."""
    return {path: [one for one in found if _is_contested(one)] for path, found in resources.items()}


def uncontested(resources: Resources) -> Resources:
    """Return those of one writer each, or of one for each part."""
    return {path: [one for one in found if not _is_contested(one)] for path, found in resources.items()}


def _is_contested(resource: dict[str, Any]) -> bool:
    return str(resource.get("externalId")).startswith(CONTESTED)


def compare(tenant: str, things: Iterable[Thing], resources: Resources) -> list[Finding]:
    """Hold what is there against what each writer knows."""
    findings: list[Finding | None] = []
    by_name: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for path, found in resources.items():
        for resource in found:
            by_name.setdefault((path, str(resource.get("externalId"))), []).append(resource)
    present = {resource["id"] for found in resources.values() for resource in found}
    things = list(things)
    deleted = {thing.id for thing in things if thing.id is not None and thing.path == "/Users"} - present
    known = set()
    for thing in things:
        known.add((thing.path, thing.name))
        found = by_name.get((thing.path, thing.name), [])
        if len(found) > 1:
            findings.append(thing.finding("applied twice", f"there are {len(found)} of it at the end"))
        if found and thing.id not in (None, found[0]["id"]):
            findings.append(thing.finding("applied twice", f"it has the id {found[0]['id']} at the end"))
        findings.append(thing.observe(thing.view(found[0]) if found else None, absent_ids=deleted))
    for (path, name), found in by_name.items():
        if (path, name) not in known:
            findings.append(
                Finding("nobody's resource", f"{tenant}{path}/{name}", f"{found[0]['id']}, which none made")
            )
    return [finding for finding in findings if finding is not None]
