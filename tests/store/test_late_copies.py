"""Copies of a transaction that come late: what was acknowledged since stays."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import pytest

from scim.store import keys, transactions
from scim.store.store import Store
from scim.store.table import Refused, Uncertain, Write
from tests.core import cases
from tests.store.meeting import TENANT, Act, Dead, Meeting, ids, patch, put, values
from tests.store.memory import Door, Faulty

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
    await Store(meeting.table).housekeeping.run(everything=True)
    assert [row.key for row in meeting.table.rows(TENANT) if not row.key.startswith(("i ", "e "))] == []


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


BATCHES: dict[str, list[dict[str, object]]] = {
    "two rows each": [{"userName": f"{n}"} for n in range(3)],
    "a hundred rows": [
        {"userName": f"{n}", "externalId": f"{n}", "displayName": f"{n}", "emails": [{"value": f"{n}@x"}]}
        for n in range(20)
    ],
}


@pytest.mark.parametrize("users", cases(BATCHES))
@pytest.mark.parametrize("arrives", ["after the answer", "before it"])
@pytest.mark.parametrize("unanswered", ["once", "always"])
async def test_late_copy_of_a_shared_transaction(
    meeting: Meeting, users: list[dict[str, object]], arrives: str, unanswered: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody else has all the names when the transaction is sent again, and nobody when its first copy arrives."""
    # Two tries in place of a short time: what others do meanwhile would be on the clock of the one that waits.
    monkeypatch.setattr(transactions, "_TRIES", 2)
    others: list[str] = []
    copies: list[list[Write]] = []

    async def free() -> None:
        for other in others:
            assert (await meeting.second.delete(f"/Users/{other}")).status == 204
        others.clear()

    class Late(Faulty):
        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            shared = partition == TENANT and sum(write.key.startswith("r ") for write in writes) > 1
            if shared and (not copies or unanswered == "always"):
                if not copies:
                    copies.append(list(writes))
                    for user in users:
                        others.append((await meeting.second.post("/Users", user)).json["id"])
                raise Uncertain("held by the network")
            try:
                return await super().commit(partition, writes)
            except Refused:
                if arrives == "before it" and others and len(writes) > 1:
                    await free()
                    await self.super_commit(copies[0])
                raise

        async def super_commit(self, writes: Sequence[Write]) -> None:
            with contextlib.suppress(Refused):
                await super().commit(TENANT, writes)

    operations = [{"method": "POST", "path": "/Users", "data": user} for user in users]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
    answer = await Door(Late(meeting.table)).client.post("/Bulk", {"schemas": schemas, "Operations": operations})
    told = [operation["status"] for operation in answer.json["Operations"]]
    assert set(told) <= {"201", "409", "503"}
    await free()
    with contextlib.suppress(Refused):
        await meeting.table.commit(TENANT, copies[0])
    for user, status in zip(users, told, strict=True):
        found = await meeting.second.get(f'/Users?filter=userName eq "{user["userName"]}"')
        assert found.json["totalResults"] == (status == "201") or status == "503"


async def test_shared_transaction_whose_resources_are_gone_before_its_answer(meeting: Meeting) -> None:
    """All were made, the answer is lost, and somebody deletes one: it is not made again."""

    async def after(_: int, writes: Sequence[Write]) -> None:
        made = [keys.parse_id(write.key) for write in writes if write.key.startswith("r ")]
        if len(made) > 1 and not deleted:
            deleted.append(made[0])
            assert (await meeting.second.delete(f"/Users/{made[0]}")).status == 204
            raise Uncertain("lost")

    deleted: list[str] = []
    meeting.wire.disturb(after=after)
    operations = [{"method": "POST", "path": "/Users", "data": {"userName": f"{n}"}} for n in range(3)]
    schemas = ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"]
    answer = await meeting.first.post("/Bulk", {"schemas": schemas, "Operations": operations})
    assert [operation["status"] for operation in answer.json["Operations"]] == ["201"] * 3
    assert (await meeting.second.get(f"/Users/{deleted[0]}")).status == 404


@pytest.mark.parametrize("path", ["/Users", "/Groups"])
async def test_creation_whose_resource_is_gone_before_its_answer(meeting: Meeting, path: str) -> None:
    async def after(_: int, writes: Sequence[Write]) -> None:
        made = [keys.parse_id(write.key) for write in writes if write.key.startswith("r ")]
        if made and not deleted:
            deleted.append(made[0])
            assert (await meeting.second.delete(f"{path}/{made[0]}")).status == 204
            raise Uncertain("lost")

    deleted: list[str] = []
    meeting.wire.disturb(after=after)
    answer = await meeting.first.post(path, {"userName": "ada", "displayName": "Ada"})
    assert (answer.status, answer.json["id"]) == (201, deleted[0])
    assert (await meeting.second.get(f"{path}/{deleted[0]}")).status == 404


@pytest.mark.parametrize("which", ["early", "last"])
@pytest.mark.parametrize("when", ["its edges were taken back", "housekeeping", "the end"])
async def test_late_copy_of_a_large_creation_that_was_given_up(meeting: Meeting, which: str, when: str) -> None:
    """Its name was taken, or its process died before the last transaction. A copy of one arrives while its edges are
    removed (just before each transaction that does so), or afterwards: the group is there as a whole, or not at all."""
    copies: list[list[Write]] = []

    async def before(_: int, writes: Sequence[Write]) -> None:
        if any(write.kind == "upsert" and write.key.startswith("m ") for write in writes):
            copies.append(list(writes))
            if not any(write.key.startswith("r ") for write in writes):
                return
            if when == "housekeeping":
                raise Dead
            await meeting.make()
        elif meeting.group and when == "its edges were taken back":
            await arrive()
        elif copies and when == "housekeeping" and any(write.key.startswith(("m ", "p ")) for write in writes):
            await arrive()

    async def arrive() -> None:
        for writes in copies[-1:] if which == "last" else copies[:-1]:
            with contextlib.suppress(Refused):
                await meeting.table.commit(TENANT, writes)

    meeting.wire.disturb(before=before)
    body = {"displayName": "all", "members": values(ids(0, 160))}
    if when == "housekeeping":
        with pytest.raises(Dead):
            await meeting.first.post("/Groups", body)
        meeting.group = keys.parse_id(next(write.key for write in copies[-1] if write.key.startswith("r ")))
        await Store(meeting.wire).housekeeping.run(everything=True)
    else:
        assert (await meeting.first.post("/Groups", body)).status == 409
    await arrive()
    held = await meeting.held()
    assert len(copies) == 4
    found = await meeting.second.get(f"/Groups/{meeting.group}")
    assert held == (set(ids(0, 160)) if when == "housekeeping" and found.status == 200 else set())
    edges = [row.key for row in meeting.table.rows(TENANT) if row.key.startswith(("m ", "g ", "p "))]
    assert len(edges) == 2 * len(held)


async def test_late_copy_of_the_removal_of_edges(meeting: Meeting) -> None:
    """The user is deleted, and comes back from an export with its memberships."""
    user = (await meeting.second.post("/Users", {"userName": "ada"})).json["id"]
    await meeting.make([user])
    copies: list[list[Write]] = []

    async def before(_: int, writes: Sequence[Write]) -> None:
        copies.append(list(writes))

    meeting.wire.disturb(before=before)
    assert (await meeting.first.delete(f"/Users/{user}")).status == 204
    await meeting.held()
    assert (await patch("add", [user])(meeting.second, meeting.group)).status == 204
    for writes in copies:
        if any(write.key.startswith("m ") for write in writes):
            with pytest.raises(Refused):
                await meeting.table.commit(TENANT, writes)
    assert await meeting.held() == {user}


async def test_large_group_beside_the_deletion_of_the_one_with_its_name(meeting: Meeting) -> None:
    """The name is taken when the last transaction comes, and free when it is looked whose it is."""

    class Late(Faulty):
        async def commit(self, partition: str, writes: Sequence[Write]) -> list[str]:
            last = any(write.key.startswith("r ") for write in writes)
            if last and not meeting.group:
                await meeting.make()
            try:
                return await super().commit(partition, writes)
            except Refused:
                if last:
                    await meeting.second.delete(f"/Groups/{meeting.group}")
                raise

    body = {"displayName": "all", "members": values(ids(0, 160))}
    answer = await Door(Late(meeting.table)).client.post("/Groups", body)
    assert answer.status == 201
    meeting.group = answer.json["id"]
    assert await meeting.held() == set(ids(0, 160))
