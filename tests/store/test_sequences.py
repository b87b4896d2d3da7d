"""What was acknowledged stays: changes that meet each other, answers that are lost, and copies that come late.

Each test runs one request into another at a transaction of the first, which happens as soon as a partition is busy.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import pytest

from scim.store import rows, sequences
from scim.store.gateway import Refused, Uncertain
from scim.store.row import Row, Write
from scim.store.store import Store
from tests.core import cases
from tests.store.memory import Door, Faulty, MemoryGateway
from tests.support import Client, Response

TENANT = "tenant"
Act = Callable[[Client, str], Awaitable[Response]]


def ids(first: int, end: int) -> list[str]:
    return [f"member {n:04}" for n in range(first, end)]


def values(members: Sequence[str]) -> list[dict[str, str]]:
    return [{"value": id} for id in members]


def put(members: Sequence[str], name: str = "all") -> Act:
    body = {"displayName": name, "members": values(members)}
    return lambda client, group: client.put(f"/Groups/{group}", body)


def patch(op: str, members: Sequence[str] | None) -> Act:
    operation: dict[str, Any] = {"op": op, "path": "members"}
    if members is not None:
        operation["value"] = values(members)
    return lambda client, group: client.patch(f"/Groups/{group}", operation)


async def delete(client: Client, group: str) -> Response:
    return await client.delete(f"/Groups/{group}")


class Meeting:
    """A group that two instances of the app change at once."""

    def __init__(self) -> None:
        self.table = MemoryGateway()
        self.wire = Faulty(self.table)
        self.first, self.second = Door(self.wire).client, Door(self.table).client
        self.group = ""

    async def make(self, members: Sequence[str] = ()) -> str:
        response = await self.second.post("/Groups", {"displayName": "all", "members": values(members)})
        self.group = response.json["id"]
        return self.group

    async def held(self) -> set[str]:
        await Store.on(self.table).housekeeping.run(everything=True)
        return {member.value async for _, member in Store.on(self.table).members.of(TENANT, self.group)}

    def run_into(self, at: int, act: Act) -> list[Response]:
        """Have the second instance act just before that transaction of the first that changes members, from 1."""
        answers: list[Response] = []
        seen = [0]

        async def before(_: int, writes: Sequence[Write]) -> None:
            seen[0] += any(write.key.startswith("m ") for write in writes)
            if seen[0] == at and not answers:
                seen[0] = -1000
                answers.append(await act(self.second, self.group))

        self.wire.disturb(before=before)
        return answers


@pytest.fixture
async def meeting() -> Meeting:
    return Meeting()


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
    table = MemoryGateway()
    clients = [Door(table).client for _ in range(3)]
    group = (await clients[0].post("/Groups", {"displayName": "all", "members": values(ids(0, 60))})).json["id"]
    few = [patch("add", [f"new {n}"]) for n in range(30)] + [patch("remove", [f"member {n:04}"]) for n in range(30)]
    many = [patch("add", ids(1000, 1100)), patch("add", ids(1100, 1200)), patch("remove", ids(40, 60))]
    calls = [
        act(clients[n % 3], group) for n, act in enumerate([*few[:20], many[0], *few[20:40], *many[1:], *few[40:]])
    ]
    assert {response.status for response in await asyncio.gather(*calls)} == {204}
    held = {member.value async for _, member in Store.on(table).members.of(TENANT, group)}
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
    meeting.wire.disturb(before=_dies_at(4))
    with pytest.raises(_Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    await meeting.table.commit(TENANT, [Write("delete", rows.resource_key(meeting.group))])
    meeting.table.reset()
    await Store.on(meeting.table).housekeeping.run(everything=True)
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
    meeting.wire.disturb(before=_dies_at(4))
    with pytest.raises(_Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    assert (await put(["only me"])(meeting.second, meeting.group)).status == 200
    assert await meeting.held() == {"only me"}


async def test_change_that_is_too_busy_says_so(meeting: Meeting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequences, "PATIENCE", 0.1)
    await meeting.make()
    meeting.wire.disturb(before=_dies_at(4))
    with pytest.raises(_Dead):
        await patch("add", ids(0, 200))(meeting.first, meeting.group)
    response = await patch("add", ids(200, 400))(meeting.second, meeting.group)
    assert (response.status, response.headers["retry-after"]) == (503, "5")
    assert "change of many members" in response.json["detail"]


# Answers that are lost.


async def lost(meeting: Meeting, of: str, act: Callable[[], Awaitable[Response]], others: Sequence[Act]) -> Response:
    """Lose the answer of the first transaction with a row of that kind; `others` follow before it is sent again."""
    done: list[bool] = []

    async def after(_: int, writes: Sequence[Write]) -> None:
        if not done and any(write.key.startswith(of) for write in writes):
            done.append(True)
            found = await meeting.second.get('/Groups?filter=displayName eq "all"&excludedAttributes=members')
            for other in others:
                group = found.json["Resources"][0]["id"] if found.json["Resources"] else meeting.group
                assert (await other(meeting.second, group)).status in (200, 204)
            raise Uncertain("lost")

    meeting.wire.disturb(after=after)
    return await act()


@pytest.mark.parametrize("number", [0, 40, 160])
@pytest.mark.parametrize("others", [1, 3])
async def test_new_group_that_others_change_before_its_answer(meeting: Meeting, number: int, others: int) -> None:
    body = {"displayName": "all", "members": values(ids(0, number))}
    later = [patch("add", [f"late joiner {n}"]) for n in range(others)]
    response = await lost(meeting, "r g-", lambda: meeting.first.post("/Groups", body), later)
    assert response.status == 201
    meeting.group = response.json["id"]
    assert await meeting.held() == {*ids(0, number), *(f"late joiner {n}" for n in range(others))}


@pytest.mark.parametrize("others", [1, 3])
async def test_update_that_others_follow_before_its_answer_is_not_done_again(meeting: Meeting, others: int) -> None:
    user = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]

    def titled(text: str) -> Act:
        operation = {"op": "replace", "path": "title", "value": text}
        return lambda client, _: client.patch(f"/Users/{user}", operation)

    response = await lost(
        meeting,
        "r u-",
        lambda: meeting.first.put(f"/Users/{user}", {"userName": "ada", "title": "from A"}),
        [titled(f"from B {n}") for n in range(others)],
    )
    assert response.status == 200
    assert (await meeting.second.get(f"/Users/{user}")).json["title"] == f"from B {others - 1}"
    assert response.headers["etag"] == (await meeting.second.get(f"/Users/{user}")).headers["etag"]


async def test_new_user_beside_a_deletion_of_the_same_name(meeting: Meeting) -> None:
    """The name was taken when it was tried, and is free when we look whose it is."""
    old = (await meeting.second.post("/Users", {"userName": "bob"})).json["id"]

    class Late(Faulty):
        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            try:
                return await super().commit(partition, writes)
            except Refused:
                await meeting.second.delete(f"/Users/{old}")
                raise

    response = await Door(Late(meeting.table)).client.post("/Users", {"userName": "bob"})
    assert response.status == 201


# Copies that come late.

CHANGES: dict[str, tuple[Act, Act, set[str]]] = {
    "an addition": (patch("add", ["m"]), patch("remove", ["m"]), {"member 0000"}),
    "a removal": (patch("remove", ["member 0000"]), patch("add", ["member 0000"]), {"member 0000"}),
    "many additions": (patch("add", ids(1, 120)), put([]), set()),
    "a PUT": (put(ids(1, 120)), put([]), set()),
}


@pytest.mark.parametrize("at", range(4))
@pytest.mark.parametrize(("change", "later", "expected"), cases(CHANGES))
async def test_late_copy_is_refused(meeting: Meeting, change: Act, later: Act, expected: set[str], at: int) -> None:
    """The service held a copy of a transaction whose sender got no answer, and sent it again: what a later request
    was told stays when the copy arrives."""
    await meeting.make(["member 0000"])
    await later(meeting.second, meeting.group)
    if change is CHANGES["a removal"][0]:
        assert await meeting.held() == {"member 0000"}
    held: list[tuple[str, list[Write]]] = []
    number = [0]

    class Holding(Faulty):
        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            if partition == TENANT and not held and any(write.key.startswith("m ") for write in writes):
                number[0] += 1
                if number[0] > at:
                    held.append((partition, list(writes)))
                    raise Uncertain("held by the network")
            return await super().commit(partition, writes)

    await change(Door(Holding(meeting.table)).client, meeting.group)
    assert (await later(meeting.second, meeting.group)).status in (200, 204)
    for partition, writes in held:
        with pytest.raises(Refused):
            await meeting.table.commit(partition, writes)
    assert await meeting.held() == expected


@pytest.mark.parametrize("number", [0, 10, 120])
@pytest.mark.parametrize("kind", ["Users", "Groups", "Bulk"])
async def test_late_copy_of_a_creation_does_not_bring_back_what_was_deleted(
    meeting: Meeting, kind: str, number: int
) -> None:
    copies: list[list[Write]] = []

    async def before(_: int, writes: Sequence[Write]) -> None:
        if any(write.key.startswith(("r ", "m ")) for write in writes):
            copies.append(list(writes))

    meeting.wire.disturb(before=before)
    if kind == "Users":
        paths = [f"/Users/{(await meeting.first.post('/Users', {'userName': 'ada'})).json['id']}"]
    elif kind == "Groups":
        body = {"displayName": "all", "members": values(ids(0, number))}
        paths = [f"/Groups/{(await meeting.first.post('/Groups', body)).json['id']}"]
    else:
        operations = [
            {"method": "POST", "path": "/Users", "data": {"userName": f"{n}"}} for n in range(min(number, 40) or 2)
        ]
        schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
        made = await meeting.first.post("/Bulk", {"schemas": schemas, "Operations": operations})
        paths = ["/Users/" + one["location"].rpartition("/")[2] for one in made.json["Operations"]]
    for path in paths:
        assert (await meeting.second.delete(path)).status == 204
    for writes in copies:
        with pytest.raises(Refused):
            await meeting.table.commit(TENANT, writes)
    assert {(await meeting.second.get(path)).status for path in paths} == {404}
    await Store.on(meeting.table).housekeeping.run(everything=True)
    assert [row.key for row in meeting.table.rows(TENANT) if not row.key.startswith("i ")] == []


@pytest.mark.parametrize("kind", ["POST", "PATCH"])
@pytest.mark.parametrize("arrives", ["after the answer", "before it"])
async def test_late_copy_of_what_was_answered_with_a_conflict(meeting: Meeting, kind: str, arrives: str) -> None:
    """The name is taken when the second copy comes, and free again when the first one does."""
    other = (await meeting.second.post("/Users", {"userName": "other"})).json["id"]
    copies: list[list[Write]] = []

    class Late(Faulty):
        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            ours = partition == TENANT and any(write.key == "x u username bob" for write in writes)
            if ours and not copies:
                copies.append(list(writes))
                await meeting.second.post("/Users", {"userName": "bob"})
                raise Uncertain("held by the network")
            try:
                return await super().commit(partition, writes)
            except Refused:
                if ours and arrives == "before it":
                    await self.free()
                    await super().commit(partition, copies[0])
                raise

        @staticmethod
        async def free() -> None:
            found = (await meeting.second.get('/Users?filter=userName eq "bob"')).json["Resources"][0]["id"]
            assert (await meeting.second.delete(f"/Users/{found}")).status == 204

    client = Door(Late(meeting.table)).client
    if kind == "POST":
        answer = await client.post("/Users", {"userName": "bob"})
    else:
        answer = await client.patch(f"/Users/{other}", {"op": "replace", "path": "userName", "value": "bob"})
    if arrives == "before it":
        assert answer.status in (200, 201)
        return
    assert answer.status == 409
    await Late.free()
    with pytest.raises(Refused):
        await meeting.table.commit(TENANT, copies[0])
    assert (await meeting.second.get('/Users?filter=userName eq "bob"')).json["totalResults"] == 0


# lastModified, whatever the clocks say.


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


# A row of a newer version.


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


# A group without a gate.


async def test_group_without_a_gate_gets_one(meeting: Meeting) -> None:
    """It was written before there were gates, or the row was lost."""
    for change in (patch("add", ["m"]), patch("add", ids(0, 100)), put(["n"]), put(ids(0, 200))):
        meeting = Meeting()
        await meeting.make()
        await meeting.table.commit(TENANT, [Write("delete", rows.gate_key(meeting.group))])
        assert (await change(meeting.second, meeting.group)).status in (200, 204)
        gate: Row | None = await meeting.table.read(TENANT, rows.gate_key(meeting.group))
        assert gate is not None


class _Dead(BaseException):
    """The process ends here."""


def _dies_at(number: int) -> Callable[[int, Sequence[Write]], Awaitable[None]]:
    async def before(at: int, writes: Sequence[Write]) -> None:
        if at >= number:
            raise _Dead

    return before
