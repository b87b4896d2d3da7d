"""One person, made again or forgotten; and the policy's side of why."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pytest

from scim.insight.why import Why
from scim.operate.errors import CommandError
from scim.operate.people import erase_user, restore_user
from scim.store import keys
from scim.store.table import TableUnavailable, Write
from tests.core import REGISTRY
from tests.policy.tenant import Tenant
from tests.store.memory import MemoryTable

MAIL = [{"value": "ada.lovelace@contoso.example"}]


async def test_a_deleted_user_is_made_again_with_the_same_id() -> None:
    tenant = Tenant()
    ada = await tenant.create("ada", externalId="x-1", emails=MAIL, title="Countess")
    before = (await tenant.client.get(f"/Users/{ada}")).json
    await tenant.delete(f"/Users/{ada}")
    assert (await restore_user(tenant.table, REGISTRY, tenant.name, ada)).name == "ada"
    after = (await tenant.client.get(f"/Users/{ada}")).json
    assert {**after, "meta": None} == {**before, "meta": None}
    events = await tenant.events()
    assert [event["type"] for event in events] == ["user.created", "user.deleted", "user.created"]
    assert "replaces" not in events[-1]
    with pytest.raises(CommandError, match="is there"):
        await restore_user(tenant.table, REGISTRY, tenant.name, ada)
    await tenant.delete(f"/Users/{ada}")
    await tenant.create("ADA")
    with pytest.raises(CommandError, match="its userName is taken"):
        await restore_user(tenant.table, REGISTRY, tenant.name, ada)
    with pytest.raises(CommandError, match="Nothing is kept of user"):
        await restore_user(tenant.table, REGISTRY, tenant.name, "u-aaaaaaaaaaaaaaaaaaaaaaaa")
    assert await tenant.problems() == []


@pytest.mark.parametrize("housekept", [False, True])
async def test_who_is_restored_is_in_the_groups_again(*, housekept: bool) -> None:
    tenant = Tenant()
    ada, bob = await tenant.create("ada"), await tenant.create("bob")
    groups = [await tenant.create_group(f"g{number}", ada, bob) for number in range(40)]
    await tenant.delete(f"/Users/{ada}")
    await tenant.delete(f"/Groups/{groups[0]}")
    if housekept:
        await tenant.door.application.housekeep(everything=True)
    await tenant.events()

    class Cut(MemoryTable):
        """Dies when the first group would get its member again."""

        def __init__(self, table: MemoryTable) -> None:
            self.__dict__ = table.__dict__

        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            if any(write.key.startswith("m ") for write in writes):
                raise TableUnavailable("cut")
            return await super().commit(partition, writes)

    with pytest.raises(TableUnavailable), pytest.MonkeyPatch.context() as patched:
        patched.setattr("scim.store.transactions._TRIES", 1)
        await restore_user(Cut(tenant.table), REGISTRY, tenant.name, ada)
    assert (await tenant.client.get(f"/Users/{ada}")).json.get("groups", []) == []
    restored = await restore_user(tenant.table, REGISTRY, tenant.name, ada)
    assert (sorted(restored.groups), restored.gone) == (sorted(groups[1:]), groups[:1])
    shown = (await tenant.client.get(f"/Users/{ada}")).json["groups"]
    assert sorted(group["value"] for group in shown) == sorted(groups[1:])
    told = [event for event in await tenant.events() if event["type"] == "group.members"]
    assert sorted(event["resource"]["id"] for event in told) == sorted(groups[1:])
    with pytest.raises(CommandError, match="is there"):
        await restore_user(tenant.table, REGISTRY, tenant.name, ada)
    assert await tenant.problems() == []


@pytest.mark.parametrize("deleted_before", [False, True])
async def test_one_person_is_forgotten_everywhere(*, deleted_before: bool) -> None:
    tenant = Tenant()
    await tenant.set(seats={"total": 1})
    eve = await tenant.create("eve@contoso.example")
    ada = await tenant.create("Ada.Lovelace@contoso.example", externalId="emp-4711", emails=MAIL)
    await tenant.create_group("Mathematicians", ada, eve)
    await tenant.patch(f"/Users/{ada}", {"op": "replace", "path": "userName", "value": "ada.king@contoso.example"})
    await tenant.sequence()
    if deleted_before:
        await tenant.delete(f"/Users/{ada}")
    gone = await erase_user(tenant.table, REGISTRY, tenant.name, ada)
    assert (gone.existed, gone.events, gone.left) == (not deleted_before, 4, [])
    text = json.dumps([[row.key, dict(row.values)] for row in tenant.table.rows(tenant.name)], default=str).lower()
    for name in ("lovelace", "emp-4711", "ada.king"):
        assert name not in text
    assert "eve@contoso.example" in text and eve in text
    events = [event for event in await tenant.events() if event["resource"]["id"] == ada and "erased" in event]
    assert len(events) == 4
    assert all("data" not in event for event in events) and await tenant.problems() == []
    assert (await tenant.client.get(f"/Users/{ada}")).status == 404
    again = await erase_user(tenant.table, REGISTRY, tenant.name, ada)
    assert (again.existed, again.events, again.left) == (False, 0, [])


async def test_an_erasure_takes_nothing_of_others_and_is_whole_when_it_is_run_again() -> None:
    tenant = Tenant()
    ada = await tenant.create("ada", externalId="emp-4711")
    for name in ("ada", "ada.byron"):  # somebody else was refused, too, whose name begins like hers
        tenant.table.load(tenant.name, {keys.failure_key("User", name): {"name": name}})
    await tenant.sequence()

    class Cut(MemoryTable):
        """Dies at the first event that would be stripped."""

        def __init__(self, table: MemoryTable) -> None:
            self.__dict__ = table.__dict__

        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            if any(write.key.startswith("v ") and write.kind == "replace" for write in writes):
                raise TableUnavailable("cut")
            return await super().commit(partition, writes)

    with pytest.raises(TableUnavailable), pytest.MonkeyPatch.context() as patched:
        patched.setattr("scim.store.transactions._TRIES", 1)
        await erase_user(Cut(tenant.table), REGISTRY, tenant.name, ada)
    gone = await erase_user(tenant.table, REGISTRY, tenant.name, ada)
    assert (gone.events, gone.left) == (2, [])
    assert [row.key for row in tenant.table.rows(tenant.name) if row.key.startswith("f ")] == [
        keys.failure_key("User", "ada.byron")
    ]
    assert [row.key for row in tenant.table.rows(tenant.name) if "emp-4711" in f"{row}"] == []


async def test_who_is_held_is_forgotten_too() -> None:
    tenant = Tenant()
    await tenant.set(seats={"total": 9}, massChange={"hold": "on", "atLeast": 1, "percent": 1})
    ids = [await tenant.create(f"{name}@contoso.example", externalId=f"x-{name}") for name in ("bob", "eve", "ada")]
    await tenant.sequence()
    for id in ids[:2]:
        await tenant.enable(id, active=False)
    await tenant.enable(ids[2], active=False)
    gone = await erase_user(tenant.table, REGISTRY, tenant.name, ids[2])
    assert gone.left == [] and "ada@contoso" not in f"{tenant.table.rows(tenant.name)}"
    await tenant.release()
    events = [event for event in await tenant.events() if event["resource"]["id"] == ids[2]]
    assert [event["type"] for event in events][-3:] == ["user.deactivated", "seat.freed", "user.deleted"]
    assert await tenant.used() == {"": (0, 0)} and await tenant.problems() == []


async def test_why_says_what_the_policy_does() -> None:
    tenant = Tenant()
    await tenant.set(
        seats={"total": 1}, protected={"users": ["ada"]}, massChange={"hold": "on", "atLeast": 1, "percent": 1}
    )
    ids = [await tenant.create(name) for name in ("ada", "bob", "eve", "joe")]
    await tenant.sequence()

    async def look_up(names: object) -> list[object]:
        return []

    why = Why(tenant.table, REGISTRY, tenant.name, look_up)  # type: ignore[arg-type]
    answers = [await why.ask(name) for name in ("ada", "bob", "joe")]
    assert [answer.verdict for answer in answers] == ["there", "waiting", "waiting"]
    assert "is protected by the policy" in answers[0].text
    assert "Waiting for a seat, 3rd in line: 1 of 1 are taken." in answers[2].text
    for id in ids[1:]:
        await tenant.enable(id, active=False)
    await tenant.sequence()
    held = await why.ask("joe")
    assert (held.verdict, "policy release" in held.remedy) == ("held", True)
    await tenant.release()
    assert (await why.ask("joe")).verdict == "disabled"


async def test_what_is_restored_is_told_in_order() -> None:
    tenant = Tenant()
    ada = await tenant.create("ada")
    await tenant.delete(f"/Users/{ada}")
    await restore_user(tenant.table, REGISTRY, tenant.name, ada)
    await tenant.patch(f"/Users/{ada}", {"op": "replace", "path": "title", "value": "Dr"})
    types = [event["type"] for event in await tenant.events()]
    assert types == ["user.created", "user.deleted", "user.created", "user.updated"]
