"""What events say, of real requests: types, who did it, what changed, what never is told; and their JSON Schema."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest

import scim.feed
from scim.feed import events
from scim.feed.events import Cause, draft
from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.schema.registry import Registry
from scim.store import outbox
from tests.core import CUSTOM, DEVICE_TYPE, ENTERPRISE, GROUP_TYPE, REGISTRY, USER_TYPE, cases
from tests.feed.reader import read_all
from tests.store.memory import Door, MemoryTable
from tests.support import Client

SCHEMA = json.loads((Path(scim.feed.__path__[0]) / "event.schema.json").read_text())
CHECK = jsonschema.Draft202012Validator(SCHEMA)
Do = Callable[[Client, str, str], Awaitable[Any]]


async def told(do: Do) -> list[dict[str, Any]]:
    """The events of a request to a user and a group of one member."""
    table = MemoryTable()
    client = Door(table).client
    user = (await client.post("/Users", {"userName": "Ada", "externalId": "1", "title": "Dr"})).json["id"]
    group = (await client.post("/Groups", {"displayName": "all", "members": [{"value": "x"}]})).json["id"]
    await Sequencer(table, REGISTRY).run("tenant")
    before = len(await read_all(table, "tenant"))
    response = await do(client, user, group)
    assert response.status < 300, response.body
    await Sequencer(table, REGISTRY).run("tenant")
    every = await read_all(table, "tenant")
    for event in every:
        CHECK.validate(event)
        assert event["connection"] == "tenant"
        assert len(event["credential"]) == 8
        assert event["resource"]["id"] in (user, group, response.json and response.json.get("id"))
    assert all(event["request"] == response.headers["x-request-id"] for event in every[before:])
    return every[before:]


def patch(path: str, *operations: dict[str, Any]) -> Do:
    return lambda client, user, group: client.patch(path.format(user=user, group=group), *operations)


def replace(path: str, value: object) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


TOLD: dict[str, tuple[Do, list[tuple[str, Any, Any]]]] = {
    "POST of a user": (
        lambda client, user, group: client.post("/Users", {"userName": "bob"}),
        [("user.created", None, None)],
    ),
    "PATCH of a user": (
        patch("/Users/{user}", replace("title", "Prof"), replace("displayName", "A")),
        [("user.updated", ["title", "displayName"], {"title": "Dr"})],
    ),
    "of an extension": (
        patch("/Users/{user}", replace(f"{ENTERPRISE}:department", "R&D")),
        [("user.updated", [f"{ENTERPRISE}:department"], {})],
    ),
    "that disables": (
        patch("/Users/{user}", replace("active", False), replace("title", "Prof")),
        [("user.deactivated", ["title", "active"], {"title": "Dr"})],
    ),
    "that changes nothing": (patch("/Users/{user}", replace("title", "Dr")), []),
    "DELETE of a user": (
        lambda client, user, group: client.delete(f"/Users/{user}"),
        [("user.deleted", None, None)],
    ),
    "PUT of a group": (
        lambda client, user, group: client.put(
            f"/Groups/{group}", {"displayName": "some", "members": [{"value": user}]}
        ),
        [("group.updated", ["displayName"], {"displayName": "all"}), ("group.members", 1, 1)],
    ),
    "PUT of members alone": (
        lambda client, user, group: client.put(f"/Groups/{group}", {"displayName": "all"}),
        [("group.members", 0, 1)],
    ),
    "add a member": (
        patch("/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": "y"}]}),
        [("group.members", 1, 0)],
    ),
    "remove who is not there": (
        patch("/Groups/{group}", {"op": "remove", "path": "members", "value": [{"value": "y"}]}),
        [],
    ),
    "remove one of two": (
        patch("/Groups/{group}", {"op": "remove", "path": "members", "value": [{"value": "y"}, {"value": "x"}]}),
        [("group.members", 0, 1)],
    ),
    "DELETE of a group": (
        lambda client, user, group: client.delete(f"/Groups/{group}"),
        [("group.deleted", None, None)],
    ),
}


@pytest.mark.parametrize(("do", "wanted"), cases(TOLD))
async def test_events_of_a_request(do: Do, wanted: list[tuple[str, Any, Any]]) -> None:
    found = [
        (event["type"], len(event["added"]), len(event["removed"]))
        if "added" in event
        else (event["type"], event.get("changed"), event.get("previous"))
        for event in await told(do)
    ]
    assert found == wanted


async def test_disabled_and_enabled_again() -> None:
    async def do(client: Client, user: str, _: str) -> Any:
        await client.patch(f"/Users/{user}", replace("active", False))
        return await client.patch(f"/Users/{user}", replace("active", True))

    table = MemoryTable()
    client = Door(table).client
    user = (await client.post("/Users", {"userName": "ada", "active": True})).json["id"]
    await do(client, user, "")
    await Sequencer(table, REGISTRY).run("tenant")
    kinds = [event["type"] for event in await read_all(table, "tenant")]
    assert kinds == ["user.created", "user.deactivated", "user.activated"]


async def test_deleted_says_the_last_document() -> None:
    [event] = await told(lambda client, user, group: client.delete(f"/Users/{user}"))
    assert event["data"]["title"] == "Dr"
    assert event["resource"] == {"type": "User", "id": event["data"]["id"], "userName": "Ada", "externalId": "1"}


async def test_bulk_tells_each_of_a_hundred() -> None:
    """They share transactions, and rows of the outbox."""
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": f"{n}", "data": {"userName": f"user {n}"}} for n in range(100)
    ]
    table = MemoryTable()
    door = Door(table)
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    response = await door.client.post("/Bulk", body)
    assert response.status == 200
    rows = [row for row in table.rows("tenant") if row.key.startswith("e ")]
    assert len(rows) <= 6
    assert await Sequencer(table, REGISTRY).run("tenant") == 100
    every = await read_all(table, "tenant")
    assert sorted(event["data"]["userName"] for event in every) == sorted(f"user {n}" for n in range(100))


def test_what_is_never_returned_is_never_told() -> None:
    registry = Registry([USER_TYPE, GROUP_TYPE, DEVICE_TYPE])
    old = {"serial": "1", "pin": "1234", "ports": [{"value": "a", "secret": "s"}]}
    new = {"serial": "1", "pin": "5678", "label": "x", "ports": [{"value": "b", "secret": "t"}]}
    id = "d-aaaaaaaaaaaaaaaaaaaaaaaa"
    changes = [outbox.tell_creation(id, old), outbox.tell_update(id, old, new, 2), outbox.tell_deletion(id, new, 3)]
    for change in changes:
        assert change is not None
        [made] = draft(change, Cause("2026-01-01T00:00:00.000Z", {}), registry)
        text = json.dumps(made.event)
        assert [secret for secret in ("1234", "5678", '"s"', '"t"') if secret in text] == []
        assert "ports" in text


def test_what_is_too_large_is_left_out() -> None:
    large = {"userName": "ada", CUSTOM: {"text": "x" * 60_000}}
    change = outbox.tell_creation("u-a", large)
    assert "data" not in change
    assert change["resource"] == {"userName": "ada"}
    update = outbox.tell_update("u-a", large, {"userName": "x" * 2000, "title": "y"}, 2)
    assert update is not None
    assert (update["resource"], update["previous"]) == ({}, {"userName": "ada"})
    assert set(update["changed"]) == {"userName", "title", f"{CUSTOM}:text"}


def test_many_long_ids_are_told_in_several_events() -> None:
    ids = [f"{n:03}" + "é" * 1000 for n in range(48)]
    change = {"op": "members", "id": "g-a", "added": ids[:20], "removed": ids[20:]}
    made = [one.event for one in draft(change, Cause("2026-01-01T00:00:00.000Z", {}), REGISTRY)]
    assert len(made) == 3
    assert all(len(json.dumps(one, ensure_ascii=False).encode()) < events.MOST_IDS_BYTES + 1000 for one in made)
    assert [id for one in made for id in one["added"]] == ids[:20]
    assert [id for one in made for id in one["removed"]] == ids[20:]


async def test_history_by_id_and_by_name() -> None:
    table = MemoryTable()
    client = Door(table).client
    user = (await client.post("/Users", {"userName": "Straße"})).json["id"]
    await client.patch(f"/Users/{user}", replace("title", "Dr"))
    await client.patch(f"/Users/{user}", replace("userName", "ada"))
    await client.delete(f"/Users/{user}")
    await Sequencer(table, REGISTRY).run("tenant")
    log = Log(table)
    assert [one.type for one in await log.mentions("tenant", user)] == [
        "user.created",
        "user.updated",
        "user.updated",
        "user.deleted",
    ]
    assert [one.number for one in await log.mentions("tenant", "=straße")] == [1, 3]
    assert [one.number for one in await log.mentions("tenant", "=ada")] == [3, 4]
