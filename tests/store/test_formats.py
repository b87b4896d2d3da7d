"""What a row says of its time and its version, beside processes with other clocks and of other versions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from scim.store import keys, properties
from scim.store.store import Store
from scim.store.table import Write
from tests.core import cases
from tests.store.meeting import TENANT, Meeting, delete, ids, patch, put


async def test_last_modified_never_goes_backwards(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes whose clocks are seconds apart change the same group in turn, one of them in several steps."""
    from scim.store import transactions

    await meeting.make()
    seen: list[str] = []
    real = transactions.now

    async def look() -> None:
        seen.append((await meeting.second.get(f"/Groups/{meeting.group}")).json["meta"]["lastModified"])

    async def before(_: int, writes: Sequence[Write]) -> None:
        await look()

    meeting.wire.disturb(before=before)
    for number, clock in enumerate(("2030-01-01T00:00:00.000Z", "2020-01-01T00:00:00.000Z", real())):
        monkeypatch.setattr(transactions, "now", lambda clock=clock: clock)
        await patch("add", ids(number * 200, number * 200 + 120))(meeting.first, meeting.group)
        await meeting.first.patch(f"/Groups/{meeting.group}", {"op": "replace", "path": "externalId", "value": clock})
        await look()
    assert seen == sorted(seen)
    assert len(set(seen)) > 4


async def test_row_of_a_newer_version_is_left_alone(meeting: Meeting) -> None:
    await meeting.make(ids(0, 2))
    row = await meeting.table.read(TENANT, keys.resource_key(meeting.group))
    assert row is not None
    meeting.table.load(TENANT, {row.key: {**row.values, "v": properties.FORMAT + 1}})
    for answer in (
        await meeting.second.get(f"/Groups/{meeting.group}"),
        await put([])(meeting.second, meeting.group),
        await delete(meeting.second, meeting.group),
    ):
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        assert "newer version" in answer.json["detail"]
    after = await meeting.table.read(TENANT, row.key)
    assert after is not None and after.values == {**row.values, "v": properties.FORMAT + 1}


async def test_properties_that_this_version_does_not_know_stay(meeting: Meeting) -> None:
    user = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    row = await meeting.table.read(TENANT, keys.resource_key(user))
    assert row is not None
    strange = {"invented": "later", "document": 7, "flag": True}
    own_keys = row.values["keys"] + "\nl u invented:later 7 " + user
    meeting.table.load(
        TENANT, {row.key: {**row.values, **strange, "keys": own_keys}, own_keys.split("\n")[-1]: {"id": user}}
    )
    assert (await meeting.second.patch(f"/Users/{user}", {"op": "add", "path": "title", "value": "x"})).status == 200
    assert (await meeting.second.put(f"/Users/{user}", {"userName": "ada2"})).status == 200
    after = await meeting.table.read(TENANT, row.key)
    assert after is not None
    assert {name: after.values[name] for name in strange} == strange
    assert own_keys.split("\n")[-1] in after.values["keys"].split("\n")
    assert (await meeting.second.delete(f"/Users/{user}")).status == 204
    await Store(meeting.table).housekeeping.run(everything=True)
    assert [row.key for row in meeting.table.rows(TENANT) if not row.key.startswith(("i ", "e "))] == []


# Keys that a row names and that are somebody else's.

DAMAGE: dict[str, Callable[[str, str], str]] = {
    "a unique value": lambda ada, bob: "x u username bob",
    "a value to look up by": lambda ada, bob: f"l u externalid e {bob}",
    "the resource itself": lambda ada, bob: keys.resource_key(bob),
    "a unique value of other schemas": lambda ada, bob: "x u urn:example:code 7",
}


@pytest.mark.parametrize("damage", cases(DAMAGE))
@pytest.mark.parametrize("change", ["DELETE", "PUT of another name", "PATCH of the title", "PUT of the other's name"])
async def test_row_that_is_named_by_somebody_else_stays(
    meeting: Meeting, damage: Callable[[str, str], str], change: str
) -> None:
    ada = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    bob = (await meeting.second.post("/Users", {"userName": "bob", "externalId": "e"})).json["id"]
    row, key = await meeting.table.read(TENANT, keys.resource_key(ada)), damage(ada, bob)
    assert row is not None
    if await meeting.table.read(TENANT, key) is None:
        meeting.table.load(TENANT, {key: {"id": bob}})
    meeting.table.load(TENANT, {row.key: {**row.values, "keys": row.values["keys"] + "\n" + key}})
    before = await meeting.table.read(TENANT, key)
    bodies: dict[str, dict[str, object]] = {
        "PUT of another name": {"userName": "eve"},
        "PATCH of the title": {"Operations": [{"op": "replace", "path": "title", "value": "x"}]},
        "PUT of the other's name": {"userName": "bob"},
    }
    answer = await meeting.second.request(change.split(" ")[0], f"/Users/{ada}", bodies.get(change))
    assert answer.status == (409 if change == "PUT of the other's name" else answer.status)
    assert answer.status in (200, 204, 409)
    assert await meeting.table.read(TENANT, key) == before
    assert (await meeting.second.get('/Users?filter=userName eq "bob"')).json["totalResults"] == 1
