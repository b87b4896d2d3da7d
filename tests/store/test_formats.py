"""What a row says of its time and its version, beside processes with other clocks and of other versions."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from scim.store import rows
from scim.store.row import Write
from scim.store.store import Store
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
    row = await meeting.table.read(TENANT, rows.resource_key(meeting.group))
    assert row is not None
    meeting.table.load(TENANT, {row.key: {**row.values, "v": rows.FORMAT + 1}})
    for answer in (
        await meeting.second.get(f"/Groups/{meeting.group}"),
        await put([])(meeting.second, meeting.group),
        await delete(meeting.second, meeting.group),
    ):
        assert (answer.status, answer.headers["retry-after"]) == (503, "30")
        assert "newer version" in answer.json["detail"]
    after = await meeting.table.read(TENANT, row.key)
    assert after is not None and after.values == {**row.values, "v": rows.FORMAT + 1}


async def test_properties_that_this_version_does_not_know_stay(meeting: Meeting) -> None:
    user = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    row = await meeting.table.read(TENANT, rows.resource_key(user))
    assert row is not None
    strange = {"invented": "later", "document": 7, "flag": True}
    keys = row.values["keys"] + "\nl u invented:later 7 " + user
    meeting.table.load(TENANT, {row.key: {**row.values, **strange, "keys": keys}, keys.split("\n")[-1]: {"id": user}})
    assert (await meeting.second.patch(f"/Users/{user}", {"op": "add", "path": "title", "value": "x"})).status == 200
    assert (await meeting.second.put(f"/Users/{user}", {"userName": "ada2"})).status == 200
    after = await meeting.table.read(TENANT, row.key)
    assert after is not None
    assert {name: after.values[name] for name in strange} == strange
    assert keys.split("\n")[-1] in after.values["keys"].split("\n")
    assert (await meeting.second.delete(f"/Users/{user}")).status == 204
    await Store.on(meeting.table).housekeeping.run(everything=True)
    assert [row.key for row in meeting.table.rows(TENANT) if not row.key.startswith("i ")] == []
