"""A short run with faults and kills finds nothing; and runs into whose data somebody meddles find that.

The long form is `python -m dev.chaos`.
"""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path

import pytest

from dev.chaos.contest import CONTESTED
from dev.chaos.machines import Table
from dev.chaos.plan import Plan, Report
from dev.chaos.report import text
from dev.chaos.run import TABLE, Run, run, started
from scim.store import properties
from scim.store.table import Row, Write
from scim.store.table.azure import AzureTable

pytestmark = pytest.mark.long

PLAN = Plan(
    seed=1,
    clients=8,
    tenants=2,
    requests=1000,
    seconds=18.0,
    rate=0.12,
    rest_every=6.0,
    housekeeping=2.0,
    kill_every=100,
    kills={"app killed": 3.0, "table stopped": 1.0, "table killed": 1.0},
)


async def test_nothing_is_lost_halved_or_done_twice(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    report = await run(PLAN, log=log)
    assert not report.findings, f"{text(report)}\n\n{log.read_text()[-5000:]}"
    assert report.log.writes > 20, text(report)
    assert report.faults, text(report)


def contested(row: Row) -> bool:
    return str(properties.join_document(row.values)["externalId"]).startswith(CONTESTED)


async def meddled(parts: Run) -> None:
    """Remove a user and one side of a membership, and repeat a value, as no request can."""
    tenant = parts.plan.names[0]
    app_table = AzureTable.with_key(parts.table.connection_string, TABLE)
    try:
        users, edges = [], []
        async for page in app_table.pages(tenant, "", "\uffff"):
            users += [row for row in page if row.key.startswith("r u-")]
            edges += [row for row in page if row.key.startswith("m ")]
        marked = next(row for row in users if "phoneNumbers" in properties.join_document(row.values))
        document = properties.join_document(marked.values)
        document["phoneNumbers"] *= 2
        await app_table.commit(tenant, [Write("merge", marked.key, properties.split_document(document))])
        lost = next(row for row in users if row.key != marked.key)
        await app_table.commit(tenant, [Write("delete", lost.key), Write("delete", edges[0].key)])
    finally:
        await app_table.close()


async def taken_out(parts: Run) -> None:
    """Remove a membership of a group that several clients write to."""
    tenant = parts.plan.names[0]
    contest = parts.contests[tenant]
    ids = {subject.id for subject in contest.subjects.values() if not subject.gone}
    app_table = AzureTable.with_key(parts.table.connection_string, TABLE)
    try:
        async for page in app_table.pages(tenant, "m ", "m!"):
            for row in page:
                if row.values["group"] in ids:
                    await app_table.commit(tenant, [Write("delete", row.key)])
                    return
        raise AssertionError("no such group has a member")
    finally:
        await app_table.close()


QUIET = replace(
    PLAN, clients=2, tenants=1, requests=80, seconds=60.0, rate=0.0, contested=0.0, kill_every=0, rest_every=0.0
)


async def test_a_member_that_is_gone_from_a_contested_group_is_found() -> None:
    plan = replace(QUIET, seed=4, contest=1.0)
    report = Report(plan.seed)
    async with started(plan, report) as parts:
        await parts.work(lambda _: None)
        await taken_out(parts)
        await parts.conclude()
    kinds = {finding.kind for finding in report.findings}
    assert kinds & {"mixture", "half an acknowledged change", "acknowledged change lost"}, text(report)


async def test_what_is_wrong_at_the_end_is_found() -> None:
    plan = replace(QUIET, seed=3, contest=0.0)
    report = Report(plan.seed)
    async with started(plan, report) as parts:
        await parts.work(lambda _: None)
        assert report.findings == []
        await meddled(parts)
        await parts.conclude()
    kinds = {finding.kind for finding in report.findings}
    assert kinds >= {"broken rows", "acknowledged write lost", "applied twice", "wrong feed"}, text(report)


async def test_a_killed_table_keeps_what_it_has_saved(tmp_path: Path) -> None:
    table = Table(tmp_path, TABLE)
    table.start()
    try:
        app_table = AzureTable.with_key(table.connection_string, TABLE)
        await app_table.commit("tenant", [Write("insert", "r kept", {"text": json.dumps("x")})])
        await asyncio.to_thread(table.save)
        table.kill()
        table.start()
        assert await app_table.read("tenant", "r kept") is not None
        await app_table.close()
    finally:
        table.stop()
