"""Changes of a group's members that meet each other.

Each test runs one request into another at a transaction of the first, which happens as soon as a partition is busy.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from scim.ids import new_id
from scim.store import housekeeping, keys, pending, sequences
from scim.store.sequences import Sequences
from scim.store.store import Store
from scim.store.table import Row, Write
from tests.core import USER_TYPE, cases
from tests.store.meeting import TENANT, Act, Dead, Meeting, delete, dies_at, ids, patch, put, values
from tests.store.memory import Door, Faulty, MemoryTable

OLDER = {
    "a PUT": (put(ids(0, 200)), []),
    "an addition": (patch("add", ids(0, 200)), []),
    "a replacement": (patch("replace", ids(0, 200)), []),
    "a removal": (patch("remove", ids(0, 200)), ids(0, 200)),
    "a removal of all": (patch("remove", None), ids(0, 200)),
}
STATEMENTS: dict[str, tuple[Act, set[str]]] = {
    "a PUT of one": (put(["only me"]), {"only me"}),
    "a PUT of many": (put(ids(500, 700)), set(ids(500, 700))),
    "a PUT of none": (put([]), set()),
    "a replacement": (patch("replace", ["only me"]), {"only me"}),
    "a removal of all": (patch("remove", None), set()),
    "a DELETE": (delete, set()),
}


@pytest.mark.parametrize(("older", "present"), cases(OLDER))
@pytest.mark.parametrize(("statement", "stated"), cases(STATEMENTS))
async def test_older_change_does_nothing_after_a_statement_was_answered(
    meeting: Meeting, older: Act, present: list[str], statement: Act, stated: set[str]
) -> None:
    """At every transaction of the older one but its first; it answers 503, or what is true of its own outcome."""
    for at in range(2, 6):
        meeting = Meeting()
        await meeting.make(present)
        answers = meeting.run_into(at, statement)
        response = await older(meeting.first, meeting.group)
        if not answers:
            break
        assert answers[0].status in (200, 204), answers[0].body
        assert response.status in (404, 503)
        assert response.status == 404 or response.headers["retry-after"]
        assert await meeting.held() == stated
        gone = (await meeting.second.get(f"/Groups/{meeting.group}")).status == 404
        assert gone == (statement is delete)


NAMED = {
    "adds one that was to be removed": (patch("remove", ids(0, 200)), ids(0, 200), "add", "member 0180", True),
    "removes one that was to be added": (patch("add", ids(0, 200)), [], "remove", "member 0180", False),
    "removes one that was added": (patch("add", ids(0, 200)), [], "remove", "member 0001", False),
    "adds beside a PUT": (put(ids(0, 200)), ["x", "member 0001"], "add", "x", True),
    "removes beside a PUT": (put(ids(0, 200)), ["x"], "remove", "member 0180", False),
}


@pytest.mark.parametrize(("longer", "present", "op", "subject", "there"), cases(NAMED))
async def test_change_of_a_named_member_counts_beside_a_longer_one(
    longer: Act, present: list[str], op: str, subject: str, there: bool
) -> None:
    """Both are answered with success, nobody waits, and the later one is what stays of that member."""
    for at in range(2, 6):
        meeting = Meeting()
        await meeting.make(present)
        answers = meeting.run_into(at, patch(op, [subject]))
        assert (await longer(meeting.first, meeting.group)).status in (200, 204)
        if not answers:
            assert at > 2
            break
        assert answers[0].status == 204
        held = await meeting.held()
        assert (subject in held) == there
        others = set(ids(0, 200)) - {subject}
        assert len(held & others) in (0, len(others))  # all of the longer one happened


async def test_additions_and_removals_commute() -> None:
    """Sixty changes of a few members at once, with longer ones among them: every one is answered and counts."""
    table = MemoryTable()
    clients = [Door(table).client for _ in range(3)]
    group = (await clients[0].post("/Groups", {"displayName": "all", "members": values(ids(0, 60))})).json["id"]
    few = [patch("add", [f"new {n}"]) for n in range(30)] + [patch("remove", [f"member {n:04}"]) for n in range(30)]
    many = [patch("add", ids(1000, 1100)), patch("add", ids(1100, 1200)), patch("remove", ids(40, 60))]
    calls = [
        act(clients[n % 3], group) for n, act in enumerate([*few[:20], many[0], *few[20:40], *many[1:], *few[40:]])
    ]
    assert {response.status for response in await asyncio.gather(*calls)} == {204}
    held = {member.value async for _, member in Store(table).of(TENANT).members.read_members(group)}
    assert held == {f"new {n}" for n in range(30)} | set(ids(30, 40)) | set(ids(1000, 1200))


async def test_removal_that_has_to_look_is_whole(meeting: Meeting) -> None:
    """Of its three members one is missing, so it looks, and in that moment somebody adds all three: either all are
    there afterwards or none."""
    members = ["a", "b", "c"]
    await meeting.make(members[1:])
    done: list[int] = []

    class Looking(Faulty):
        async def read(self, partition: str, key: str) -> Row | None:
            row = await super().read(partition, key)
            if key.startswith("m ") and not done:
                done.append(0)
                done[0] = (await patch("add", members)(meeting.second, meeting.group)).status
            return row

    response = await patch("remove", members)(Door(Looking(meeting.table)).client, meeting.group)
    assert (response.status, done) == (204, [204])
    assert await meeting.held() in (set(members), set())


async def test_change_whose_group_is_gone_is_dropped(meeting: Meeting) -> None:
    """An older version, which knows no change rows, has deleted the group."""
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    await meeting.table.commit(TENANT, [Write("delete", keys.resource_key(meeting.group))])
    meeting.table.reset()
    await Store(meeting.table).housekeeping.run(everything=True)
    assert len(meeting.table.trips) < 40
    assert not any(row.key.startswith("c ") for row in meeting.table.rows(TENANT))


async def test_version_of_a_group_is_no_newer_than_the_members_shown_with_it(meeting: Meeting) -> None:
    """A PUT under the version that was read must not remove a member that was not shown."""
    await meeting.make(["a"])

    class Between(Faulty):
        async def read(self, partition: str, key: str) -> Row | None:
            if key.startswith("r g-"):
                for _ in range(20):
                    await asyncio.sleep(0)
                assert (await patch("add", ["theirs"])(meeting.second, meeting.group)).status == 204
            return await super().read(partition, key)

    read = await Door(Between(meeting.table)).client.get(f"/Groups/{meeting.group}")
    body = {"displayName": "all", "members": [*read.json["members"], {"value": "mine"}]}
    path, version = f"/Groups/{meeting.group}", {"If-Match": read.headers["etag"]}
    response = await meeting.second.request("PUT", path, body, version)
    assert response.status == 412 or "theirs" in await meeting.held()


async def test_put_supersedes_a_change_that_was_cut_short(meeting: Meeting) -> None:
    """Its process is dead, and nobody waits for it."""
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    assert (await put(["only me"])(meeting.second, meeting.group)).status == 200
    assert await meeting.held() == {"only me"}


async def test_change_that_is_too_busy_says_so(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "PATIENCE", 0.1)
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    response = await patch("add", ids(200, 400))(meeting.second, meeting.group)
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert "change of many members" in response.json["detail"]


async def test_group_without_a_gate_gets_one(meeting: Meeting) -> None:
    """It was written before there were gates, or the row was lost."""
    for change in (patch("add", ["m"]), patch("add", ids(0, 100)), put(["n"]), put(ids(0, 200))):
        meeting = Meeting()
        await meeting.make()
        await meeting.table.commit(TENANT, [Write("delete", keys.gate_key(meeting.group))])
        assert (await change(meeting.second, meeting.group)).status in (200, 204)
        gate: Row | None = await meeting.table.read(TENANT, keys.gate_key(meeting.group))
        assert gate is not None


# What is left when a row was lost, a clock is wrong, or a process died.


@pytest.mark.parametrize("gate", [True, False], ids=["with a gate", "without a gate"])
@pytest.mark.parametrize("changing", [True, False], ids=["said to be changing", "at rest"])
@pytest.mark.parametrize("condition", [True, False], ids=["under its version", "without a condition"])
@pytest.mark.parametrize("act", ["PUT", "PUT of the same", "PATCH", "PATCH of many", "PATCH of the name", "DELETE"])
async def test_group_whose_rows_do_not_agree_can_be_changed(
    meeting: Meeting, act: str, condition: bool, changing: bool, gate: bool
) -> None:
    """At once, and whoever has its version need not read it again."""
    await meeting.make(["there"])
    if changing:
        await meeting.table.commit(TENANT, [Write("merge", keys.resource_key(meeting.group), {"changing": True})])
    if not gate:
        await meeting.table.commit(TENANT, [Write("delete", keys.gate_key(meeting.group))])
    path = f"/Groups/{meeting.group}"
    headers = {"If-Match": (await meeting.second.get(path)).headers["etag"]} if condition else {}
    operation: dict[str, object] = {"op": "add", "path": "members", "value": values(["x"])}
    bodies: dict[str, dict[str, object] | None] = {
        "PUT": {"displayName": "all", "members": values(["x"])},
        "PUT of the same": {"displayName": "all", "members": values(["there"])},
        "PATCH": {"Operations": [operation]},
        "PATCH of many": {"Operations": [{**operation, "value": values(ids(0, 120))}]},
        "PATCH of the name": {"Operations": [{"op": "replace", "path": "displayName", "value": "new"}]},
        "DELETE": None,
    }
    meeting.table.reset()
    answer = await meeting.second.request(act.split(" ")[0], path, bodies[act], headers)
    assert answer.status in (200, 204), answer.body
    assert len(meeting.table.trips) < 30
    await meeting.held()
    kinds = {row.key.split(" ")[0] for row in meeting.table.rows(TENANT)}
    assert "c" not in kinds
    assert act != "DELETE" or kinds <= {"e", "i"}


@pytest.mark.parametrize("ahead", [timedelta(0), timedelta(hours=1)], ids=["right", "ahead"])
async def test_change_whose_dead_owner_had_a_wrong_clock(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch, ahead: timedelta
) -> None:
    """Others wait no longer than for one whose clock was right."""
    monkeypatch.setattr(sequences, "STALLED", 0.3)
    monkeypatch.setattr(sequences, "PATIENCE", 5.0)
    await meeting.make()
    wrong = (datetime.now(UTC) + ahead).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    meeting.wire.disturb(before=dies_at(4))
    with monkeypatch.context() as clock, pytest.raises(Dead):
        clock.setattr(sequences, "now", lambda: wrong)
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    assert (await patch("add", ids(200, 300))(meeting.second, meeting.group)).status == 204
    assert await meeting.held() == set(ids(0, 300))


async def test_dead_owner_is_found_by_a_process_whose_clock_is_behind(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "STALLED", 0.3)
    monkeypatch.setattr(sequences, "is_stalled", lambda row: False)
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    assert (await patch("add", ids(200, 300))(meeting.second, meeting.group)).status == 204


async def test_change_that_nobody_can_finish_is_not_waited_for_without_end(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "PATIENCE", 0.2)

    async def finish(self: Sequences, row: Row) -> None:
        """Somebody else is always faster."""

    monkeypatch.setattr(Sequences, "finish", finish)
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    monkeypatch.setattr(sequences, "STALLED", -1.0)
    assert (await patch("add", ids(200, 300))(meeting.second, meeting.group)).status == 503


async def test_change_that_is_taken_over_brings_in_all_but_the_deleted(meeting: Meeting) -> None:
    """Ids in the shape of ours that never existed are kept as sent, whoever finishes the change."""
    deleted = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    invented = [new_id(USER_TYPE.id_prefix) for _ in range(120)]
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", [*invented, deleted])(meeting.first, meeting.group)
    assert (await meeting.second.delete(f"/Users/{deleted}")).status == 204
    assert await meeting.held() == set(invented)


async def test_deletion_stays_pending_while_an_older_change_can_bring_its_member_in(
    meeting: Meeting, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Housekeeping comes when the deletion is due, and the change has an owner that lives, though it rests."""
    deleted = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    await meeting.make()
    meeting.wire.disturb(before=dies_at(4))
    with pytest.raises(Dead):
        await patch("add", [*ids(0, 120), deleted])(meeting.first, meeting.group)
    monkeypatch.setattr(pending, "GRACE", timedelta(minutes=-5))
    monkeypatch.setattr(housekeeping, "GRACE", timedelta(minutes=-5))
    assert (await meeting.second.delete(f"/Users/{deleted}")).status == 204
    await Store(meeting.table).housekeeping.run()
    assert sum(row.key.startswith("p ") for row in meeting.table.rows(TENANT)) == 1
    assert await meeting.held() == set(ids(0, 120))
    assert not any(row.key.startswith("p ") for row in meeting.table.rows(TENANT))
