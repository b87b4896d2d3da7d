"""Answers that are lost: what happened is told, and nothing is done twice."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import pytest

from scim.store.table import Refused, Write
from tests.core import cases
from tests.store.meeting import Act, Meeting, ids, lost, patch, put, values
from tests.store.memory import Door, Faulty


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
    body, version = {"userName": "ada", "title": "from A"}, {"If-Match": response.headers["etag"]}
    assert response.json["title"] == "from A"
    assert (await meeting.second.request("PUT", f"/Users/{user}", body, version)).status == 412


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


# The version in an answer: whoever writes under it must not undo what is not in that answer.

REQUESTS: dict[str, Act] = {
    "POST of none": lambda client, _: client.post("/Groups", {"displayName": "new"}),
    "POST of few": lambda client, _: client.post("/Groups", {"displayName": "new", "members": values(ids(0, 20))}),
    "POST of many": lambda client, _: client.post("/Groups", {"displayName": "new", "members": values(ids(0, 160))}),
    "PUT of few": put(ids(0, 20)),
    "PUT of many": put(ids(0, 160)),
    "PUT of the name": put(["there"], "another"),
    "PATCH of few": patch("add", ids(0, 20)),
    "PATCH of many": patch("add", ids(0, 160)),
    "removal of one": patch("remove", ["there"]),
    "replacement": patch("replace", ids(0, 160)),
    "PATCH of the name": lambda client, group: client.patch(
        f"/Groups/{group}", {"op": "replace", "path": "displayName", "value": "another"}
    ),
    "PATCH under a condition": lambda client, group: client.patch(
        f"/Groups/{group}", {"op": "add", "path": "members", "value": values(ids(0, 20))}, headers={"If-Match": "*"}
    ),
}


@pytest.mark.parametrize(("op", "member"), [("add", "theirs"), ("remove", "there"), ("replace", "theirs")])
@pytest.mark.parametrize("act", cases(REQUESTS))
async def test_version_in_an_answer_does_not_cover_what_others_did_since(act: Act, op: str, member: str) -> None:
    """Another client changes a member between a transaction and its answer, which is lost (at each in turn),
    or before the next one of a longer change. A PUT under the version that the first client was told is refused."""
    for at, lose in itertools.product(range(1, 7), (True, False)):
        meeting = Meeting()
        await meeting.make(["there"])
        others = meeting.follow(at, patch(op, [member]), lose=lose)
        response = await act(meeting.first, meeting.group)
        if not others or others[0].status != 204 or response.status == 503:
            continue
        assert response.status in (200, 201, 204), response.body
        path, version = f"/Groups/{meeting.group}", {"If-Match": response.headers["etag"]}
        later = await meeting.second.request("PUT", path, {"displayName": "mine"}, version)
        assert later.status == 412, (at, lose)


@pytest.mark.parametrize("act", cases(REQUESTS))
async def test_version_in_an_answer_is_the_present_one_if_nobody_wrote_since(act: Act) -> None:
    for at in range(1, 7):
        meeting = Meeting()
        await meeting.make(["there"])
        meeting.follow(at, None, lose=True)
        response = await act(meeting.first, meeting.group)
        now = await meeting.second.get("/Groups/" + response.headers["location"].rpartition("/")[2])
        assert response.headers["etag"] == now.headers["etag"]
