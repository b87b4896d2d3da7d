"""What a process books for a tenant, against what is there: whatever is sent, the book says no less."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from scim.store import keys, quotas, shared_keys, transactions
from scim.store.quotas import Size
from scim.store.shared_keys import SHARED
from scim.store.table import TableUnavailable, Write
from tests.core import cases
from tests.service.test_quotas import Tenant, full
from tests.store.memory import MemoryTable
from tests.support import PATCH, Response
from tests.test_accounts import change

ROOMY = {"resources": 1_000, "members": 1_000, "megabytes": 100}
"""Quotas that nothing here comes near to."""
THERE, ABSENT = [f"u-{n:024}" for n in range(4)], [f"u-{n:024}" for n in range(100, 110)]
MANY = [f"u-{n:024}" for n in range(1_000, 1_120)]


def named(ids: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": id} for id in ids]


def patch(*operations: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    return "PATCH", {"schemas": [PATCH], "Operations": list(operations)}


def add(ids: Sequence[str]) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": named(ids)}


def remove(ids: Sequence[str]) -> dict[str, Any]:
    return {"op": "remove", "path": "members", "value": named(ids)}


def truth(table: MemoryTable) -> Size:
    kinds = [row.key.partition(" ")[0] for row in table.rows("tenant")]
    return Size(kinds.count(keys.RESOURCES), kinds.count(keys.MEMBER))


async def book(tenant: Tenant) -> Size:
    size = tenant.quotas.find_size("tenant")
    assert size is not None
    return size


async def begin(*, faulty: bool = False, **quotas: int) -> tuple[Tenant, str]:
    """A tenant that was measured, with a group of THERE; the group's path."""
    tenant = Tenant(faulty=faulty, **(quotas or ROOMY))
    made = await tenant.client.post("/Groups", {"displayName": "g", "members": named(THERE)})
    await tenant.measure()
    return tenant, f"/Groups/{made.json['id']}"


GROUP = {"displayName": "g"}
REQUESTS: dict[str, tuple[tuple[str, Any]]] = {
    "removing who is absent": (patch(remove(ABSENT)),),
    "removing some who are there": (patch(remove([*THERE[:2], *ABSENT])),),
    "removing by a filter": (patch({"op": "remove", "path": f'members[value eq "{ABSENT[0]}"]'}),),
    "removing many who are absent": (patch(remove(MANY)),),
    "adding": (patch(add(ABSENT)),),
    "adding many": (patch(add(MANY)),),
    "adding and removing": (patch(add(ABSENT[:5]), remove(ABSENT[5:])),),
    "members and name": (
        patch(add(ABSENT[:1]), remove(ABSENT[1:]), {"op": "add", "path": "displayName", "value": "h"}),
    ),
    "replacing all": (patch({"op": "replace", "path": "members", "value": named([*THERE[:1], *ABSENT])}),),
    "replacing all by many": (patch({"op": "replace", "path": "members", "value": named(MANY)}),),
    "clearing": (patch({"op": "remove", "path": "members"}),),
    "PUT of others": (("PUT", {**GROUP, "members": named(ABSENT)}),),
    "PUT with other names": (("PUT", {**GROUP, "members": [{"value": id, "display": "x"} for id in THERE]}),),
    "PUT of nobody": (("PUT", GROUP),),
    "DELETE": (("DELETE", None),),
}


@pytest.mark.parametrize(("request_",), cases(REQUESTS))
async def test_the_book_is_right(request_: tuple[str, Any]) -> None:
    tenant, group = await begin()
    method, body = request_
    content = b"" if body is None else json.dumps(body).encode()
    assert (await tenant.client.request(method, group, content=content)).status < 300
    assert (await book(tenant)).members == truth(tenant.table).members
    assert (await book(tenant)).resources == truth(tenant.table).resources
    inside = {"method": method, "path": group, "data": body} if body else {"method": method, "path": group}
    await tenant.client.post("/Bulk", {"Operations": [inside] * 3})
    assert (await book(tenant)).members >= truth(tenant.table).members
    assert (await book(tenant)).resources == truth(tenant.table).resources


async def test_the_book_says_no_less_when_two_take_away_the_same() -> None:
    tenant, group = await begin()
    user = f"/Users/{(await tenant.client.new_user('x'))['id']}"
    id = user.rpartition("/")[2]
    for _ in range(3):
        await tenant.client.patch(group, add([id]))
        await asyncio.gather(*(tenant.client.patch(group, remove([id])) for _ in range(4)))
        await tenant.client.patch(group, add([id]))
        await asyncio.gather(tenant.client.patch(group, remove([id])), tenant.client.delete(user))
    assert (await book(tenant)).members >= truth(tenant.table).members


@pytest.mark.parametrize("done", [True, False])
async def test_without_an_answer_additions_count_and_removals_do_not(
    done: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenant, group = await begin(faulty=True)
    before = await book(tenant)

    async def lose(_: int, writes: Sequence[Write]) -> None:
        if any(write.key.startswith(f"{keys.RESOURCES} ") for write in writes):
            raise TableUnavailable("lost")

    tenant.faulty.disturb(**{"after" if done else "before": lose})
    monkeypatch.setattr(transactions, "_TRIES", 1)
    statuses = [
        (await tenant.client.patch(group, remove(THERE[:2]), add(ABSENT[:2]))).status,
        (await tenant.client.post("/Users", {"userName": "new"})).status,
        (await tenant.client.delete(group)).status,
    ]
    assert statuses == [503, 503, 503]
    assert await book(tenant) == before + Size(1, 2, (await book(tenant)).bytes - before.bytes)


async def test_a_creation_that_is_refused_late_books_nothing() -> None:
    """Its members were written and taken back; nobody had counted them."""
    tenant, _ = await begin(faulty=True)

    async def meanwhile(number: int, writes: Sequence[Write]) -> None:
        if any(write.key.startswith(f"{keys.PENDING} ") for write in writes) and number < 3:
            await Tenant(tenant.table).client.post("/Groups", {"displayName": "taken"})

    tenant.faulty.disturb(before=meanwhile)
    before = await book(tenant)
    answer = await tenant.client.post("/Groups", {"displayName": "taken", "members": named(MANY)})
    assert answer.status == 409
    assert await book(tenant) == before


async def test_near_the_quota_the_book_knows_who_was_there() -> None:
    tenant, group = await begin(members=10)
    assert (await tenant.client.patch(group, add(ABSENT[:4]))).status == 204
    for _ in range(5):  # such as after a restart of provisioning
        assert (await tenant.client.patch(group, add([*THERE, *ABSENT[:4]]))).status == 204
    assert (await book(tenant)).members == 8
    swap = [remove([*ABSENT[4:], THERE[0]]), add(ABSENT[1:4])]
    assert (await tenant.client.patch(group, *swap)).status == 204
    assert (await book(tenant)).members == 7 == truth(tenant.table).members
    refused = await tenant.client.patch(group, add(ABSENT[4:8]), remove(MANY))
    assert (refused.status, refused.json["scimType"]) == (400, "invalidValue")
    assert (await tenant.client.patch(group, add(ABSENT[4:8]), remove(ABSENT[:1]))).status == 204
    assert (await book(tenant)).members == 10 == truth(tenant.table).members
    assert (await tenant.client.patch("/Groups/g-" + "0" * 24, add(THERE))).status == 404


async def test_what_is_written_while_a_tenant_is_measured_is_not_forgotten() -> None:
    tenant, group = await begin()
    began = (await tenant.table.read(SHARED, shared_keys.quota_key("tenant"))).values  # type: ignore[union-attr]
    await tenant.client.patch(group, add(ABSENT))
    known = tenant.quotas._known["tenant"]
    known.measure(Size(1, 4, 0), "again", str(began["began"]))  # read late, of a time before
    assert (await book(tenant)).members == 14
    known.measure(Size(1, 14, 0), "later", (datetime.now(UTC) + timedelta(minutes=5)).isoformat())
    assert (await book(tenant)).members == 14


async def test_what_comes_with_disabling_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who goes and comes is no way around the quota of bytes, and always goes."""
    tenant, user, _ = await full()
    client, long = tenant.client, "x" * 4_000

    async def leave(**more: str) -> Response:
        return await client.patch(user, change("replace", None, {"active": False, **more}))

    refused = await leave(title=2 * long)
    assert (refused.status, "active: false alone" in refused.json["detail"]) == (400, True)
    monkeypatch.setattr(quotas, "_MOST_SPARED", 20_000)
    for passes in [True, True, True, False]:  # 6,000 bytes each
        assert (await leave(title=long[:3_000])).status == (200 if passes else 400)
        assert (await client.patch(user, change("replace", None, {"active": True, "title": "x"}))).status == 200
    assert (await leave()).status == 200
