"""A tenant's quotas: what grows is refused where they are used up, what takes away never is, and no request pays."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from scim.operate.check import examine_shared
from scim.operate.tenants.erasing import erase
from scim.store import shared_keys
from scim.store.quotas import Quota, Quotas, Size
from scim.store.shared_keys import SHARED
from scim.store.store import Store
from tests.core import cases
from tests.store.memory import Door, Faulty, MemoryTable
from tests.support import Client
from tests.test_accounts import change

NONE = {f"SCIM_TENANT_{what}": "0" for what in ("RESOURCES", "MEMBERS", "MEGABYTES")}
LONG = "x" * 400_000


class Tenant:
    """A tenant with quotas on a table in memory; `measure` has its processes know how much it is."""

    def __init__(self, table: MemoryTable | None = None, faulty: bool = False, **quotas: int) -> None:
        self.table = table or MemoryTable()
        settings = {**NONE, **{f"SCIM_TENANT_{what.upper()}": str(number) for what, number in quotas.items()}}
        self.faulty = Faulty(self.table)
        self.door = Door(self.faulty if faulty else self.table, **settings)
        self.client: Client = self.door.client

    @property
    def quotas(self) -> Quotas:
        return self.door.application._built().store.quotas

    async def measure(self) -> Size | None:
        quotas = self.quotas
        self.table._partitions.get(SHARED, {}).pop(shared_keys.quota_key("tenant"), None)
        await quotas.measure("tenant", seconds=60)
        quotas._known.clear()
        quotas.find_size("tenant")
        await quotas.settle()
        return quotas.find_size("tenant")

    async def users(self, number: int) -> list[str]:
        return [(await self.client.new_user(f"user-{n}", active=True))["id"] for n in range(number)]


async def test_no_resource_beyond_the_quota() -> None:
    tenant = Tenant(resources=3)
    await tenant.users(3)
    assert (await tenant.measure()) is not None
    answer = await tenant.client.post("/Users", {"userName": "one more"})
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")
    assert "about 3 resources, and may have 3" in answer.json["detail"]
    assert "SCIM_TENANT_RESOURCES" in answer.json["detail"]
    assert (await tenant.client.post("/Groups", {"displayName": "one more"})).status == 400


async def test_what_a_process_adds_itself_counts_at_once() -> None:
    tenant = Tenant(resources=5)
    await tenant.users(3)
    await tenant.measure()
    answers = [(await tenant.client.post("/Users", {"userName": f"more-{n}"})) for n in range(4)]
    assert [answer.status for answer in answers] == [201, 201, 400, 400]
    await tenant.client.delete(f"/Users/{answers[0].json['id']}")
    assert (await tenant.client.post("/Users", {"userName": "in its place"})).status == 201


async def test_bulk_makes_as_many_as_there_is_room_for() -> None:
    tenant = Tenant(resources=5)
    await tenant.users(2)
    await tenant.measure()
    operations = [{"method": "POST", "path": "/Users", "data": {"userName": f"more-{n}"}} for n in range(5)]
    answer = await tenant.client.post("/Bulk", {"Operations": operations})
    assert [item["status"] for item in answer.json["Operations"]] == ["201", "201", "201", "400", "400"]


async def full(**attributes: Any) -> tuple[Tenant, str, str]:
    """A tenant far beyond each of its quotas, the path of a user of it and of a group with that user as a member."""
    tenant = Tenant(resources=1, members=1, megabytes=1)
    client = tenant.client
    ids = [(await client.new_user(f"u-{n}", active=True, nickName=LONG, **attributes))["id"] for n in range(3)]
    group = (await client.post("/Groups", {"displayName": "g", "members": [{"value": id} for id in ids[:2]]})).json
    await tenant.measure()
    assert (await client.post("/Users", {"userName": "no"})).status == 400
    return tenant, f"/Users/{ids[0]}", f"/Groups/{group['id']}"


USER_ENTERPRISE: dict[str, tuple[dict[str, object], bool]] = {
    "disabling": (change("replace", "active", False), True),
    "disabling by Entra": (change("Replace", "active", "False"), True),
    "clearing": (change("remove", "nickName"), True),
    "shorter": (change("replace", "nickName", "x"), True),
    "as long": (change("replace", "nickName", "y" * len(LONG)), True),
    "what it has": (change("replace", "active", True), True),
    "disabling and growing": (change("replace", None, {"active": False, "title": "has left"}), True),
    "growing": (change("add", "title", "Senior Vice President"), False),
}


@pytest.mark.parametrize(("operation", "passes"), cases(USER_ENTERPRISE))
async def test_an_update_passes_unless_it_grows(operation: dict[str, object], passes: bool) -> None:
    tenant, user, _ = await full()
    answer = await tenant.client.patch(user, operation)
    assert answer.status == (200 if passes else 400), answer.body
    assert passes or "SCIM_TENANT_MEGABYTES" in answer.json["detail"]


async def test_leaving_always_passes() -> None:
    tenant, user, group = await full()
    client, id = tenant.client, user.rpartition("/")[2]
    refused = await client.patch(group, change("add", "members", [{"value": "u-somebody"}]))
    assert (refused.status, "SCIM_TENANT_MEMBERS" in refused.json["detail"]) == (400, True)
    assert (await client.patch(group, change("remove", f'members[value eq "{id}"]'))).status == 204
    assert (await client.patch(group, change("replace", "displayName", "h"))).status == 204
    assert (await client.put(group, {"displayName": "h"})).status == 200
    assert (await client.delete(group)).status == 204
    assert (await client.delete(user)).status == 204
    assert (await client.put(f"/Users/{id}", {"userName": "x"})).status == 404


async def test_no_request_pays_for_it() -> None:
    """The figures are read behind the first request, and then for five minutes not at all."""
    tenant = Tenant(resources=1000)
    await tenant.client.new_user("adele")
    await tenant.door.application._built().store.quotas.settle()
    tenant.table.reset()
    for number in range(20):
        await tenant.client.new_user(f"user-{number}")
    assert len(tenant.table.trips) == 20


async def test_nobody_is_refused_before_anybody_measured() -> None:
    tenant = Tenant(resources=1)
    await tenant.users(3)


async def test_housekeeping_measures_and_tells_at_80_percent(caplog: pytest.LogCaptureFixture) -> None:
    tenant = Tenant(resources=10, members=2)
    ids = await tenant.users(8)
    await tenant.client.post("/Groups", {"displayName": "g", "members": [{"value": ids[0]}]})
    await tenant.door.application._built().store.quotas.settle()  # which announces the tenant
    caplog.set_level(logging.INFO)
    await tenant.door.application.housekeep()
    told = [json.loads(text) for text in caplog.messages if '"quota"' in text]
    assert told == [
        {"event": "quota", "tenant": "tenant", "what": "resources", "number": 9, "limit": 10, "percent": 90.0}
    ]
    caplog.clear()
    await tenant.door.application.housekeep()
    assert not [text for text in caplog.messages if '"quota"' in text], "measured again too soon"


async def test_a_large_tenant_is_measured_in_pieces() -> None:
    table = MemoryTable()
    table.load("t", {f"r u-{n:05}": {"id": f"u-{n:05}", "doc0": "x" * 2000} for n in range(5000)})
    quotas = Store(table, quota=Quota(resources=1)).quotas
    pieces = 0
    while "measured" not in (row.values if (row := await table.read(SHARED, shared_keys.quota_key("t"))) else {}):
        await quotas.measure("t", seconds=0.000001)
        pieces += 1
    assert pieces > 5
    quotas.find_size("t")
    await quotas.settle()
    size = quotas.find_size("t")
    assert size is not None
    assert (size.resources, size.members) == (5000, 0)
    assert 5000 * 4000 <= size.bytes <= 5000 * 4600


async def test_erasing_and_checking_know_the_figures() -> None:
    tenant = Tenant(resources=10)
    await tenant.users(2)
    await tenant.measure()
    assert await examine_shared(tenant.table) == []
    erased = await erase(tenant.table, "tenant", ["tenant"])
    assert erased.left == 0
    assert await tenant.table.read(SHARED, shared_keys.quota_key("tenant")) is None


async def test_housekeeping_counts_users_groups_and_who_is_disabled() -> None:
    """And a measurement that was cut short goes on where it was."""
    tenant = Tenant(resources=100)
    ids = await tenant.users(5)
    await tenant.client.post("/Groups", {"displayName": '"active":false'})
    for id in ids[:2]:
        await tenant.client.patch(f"/Users/{id}", {"op": "replace", "path": "active", "value": False})
    quotas, name = tenant.door.application._built().store.quotas, tenant.client.tenant
    await quotas.settle()
    for _ in range(20):
        await quotas.measure(name, seconds=0.000001)
    row = await tenant.door.application.table.read(SHARED, shared_keys.quota_key(name))
    assert row is not None
    assert json.loads(row.values["counted"]) == {"u": 5, "g": 1, "disabled": 2}
