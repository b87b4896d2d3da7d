"""What happened to somebody, from the log of the change feed: read by `history`, and by `why` of who was deleted."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

import pytest

from scim.feed.sequencer import Sequencer
from scim.insight.why import Why
from scim.schema.loading import load
from scim.security.connections import Connection
from tests.insight.place import TENANT, Place

ADELE = "adele@contoso.example"


async def ask(place: Place, what: str, **asked: str) -> Any:
    await place.settle()
    await Sequencer(place.table, load()).run(TENANT)
    answer = await place.manage(f"/contoso/{what}?{urlencode(asked)}")
    assert answer.status == 200, answer.body
    return answer.json


@pytest.fixture
def place() -> Place:
    return Place()


async def test_history_says_when_by_whom_and_from_what_to_what(place: Place) -> None:
    client = place.client()
    user = await client.new_user(ADELE, displayName="Adele", title="Clerk")
    change = {"op": "replace", "value": {"title": "Manager", "active": False}}
    answer = await client.patch(f"/Users/{user['id']}", change)
    await client.delete(f"/Users/{user['id']}")
    for name in (ADELE, user["id"]):
        told = await ask(place, "history", user=name)
        assert (told["id"], [each["type"] for each in told["changes"]]) == (
            user["id"],
            ["user.created", "user.deactivated", "user.deleted"],
        )
    changed = told["changes"][1]
    assert (changed["connection"], changed["request"]) == ("contoso", answer.headers["x-request-id"])
    assert len(changed["credential"]) == 8
    by_name = {each["attribute"]: (each["before"], each["after"]) for each in changed["changed"]}
    assert by_name == {"title": ("Clerk", "Manager"), "active": (None, False)}


async def test_history_of_a_group_names_who_came_and_went(place: Place) -> None:
    client = place.client()
    user = await client.new_user(ADELE)
    group = (await client.post("/Groups", {"displayName": "Sales"})).json
    for op in ("add", "remove"):
        await client.patch(f"/Groups/{group['id']}", {"op": op, "path": "members", "value": [{"value": user["id"]}]})
    told = await ask(place, "history", group="sales")
    assert [(each.get("added"), each.get("removed")) for each in told["changes"][1:]] == [
        ([user["id"]], None),
        (None, [user["id"]]),
    ]
    why = await ask(place, "why", user=ADELE, group="Sales")
    assert why["verdict"] == "not-a-member"
    assert "The membership was removed on" in why["text"]
    assert "by connection contoso (request" in why["text"]


async def test_history_of_a_user_says_which_groups(place: Place) -> None:
    """When they came into a group and left it, by which connection and request."""
    client = place.client()
    user = await client.new_user(ADELE)
    other = await client.new_user("diego@contoso.example")
    sales = (await client.post("/Groups", {"displayName": "Sales", "members": [{"value": user["id"]}]})).json
    legal = (await client.post("/Groups", {"displayName": "Legal", "members": [{"value": other["id"]}]})).json
    removal = {"op": "remove", "path": f'members[value eq "{user["id"]}"]'}
    left = await client.patch(f"/Groups/{sales['id']}", removal)
    told = await ask(place, "history", user=ADELE)
    assert [(each["type"], each["name"]) for each in told["changes"]] == [
        ("user.created", ADELE),
        ("joined", "Sales"),
        ("left", "Sales"),
    ]
    assert (told["changes"][2]["id"], told["changes"][2]["request"]) == (sales["id"], left.headers["x-request-id"])
    assert legal["id"] not in str(told)
    await place.settle()

    async def look_up(_: Iterable[str]) -> list[Connection]:
        return []

    lines = (await Why(place.table, load(), TENANT, look_up).tell(ADELE)).lines()
    assert " UTC left Sales by connection contoso, credential " in lines[2] and lines[2].endswith(")")


async def test_why_of_one_who_was_deleted(place: Place) -> None:
    user = await place.client().new_user(ADELE)
    await place.client().delete(f"/Users/{user['id']}")
    for name in (ADELE, user["id"]):
        why = await ask(place, "why", user=name)
        assert why["verdict"] == "deleted"
        assert f"{name} was deleted on" in why["text"]
        assert "by connection contoso (request" in why["text"]
        assert "made anew" in why["remedy"]


async def test_why_of_one_who_was_renamed_and_switched_off(place: Place) -> None:
    user = await place.client().new_user(ADELE)
    await place.client().patch(f"/Users/{user['id']}", {"op": "replace", "path": "userName", "value": "a.vance"})
    answer = await place.client().patch(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": False})
    why = await ask(place, "why", user=ADELE)
    assert (why["verdict"], why["id"]) == ("disabled", user["id"])
    assert "User a.vance is here since" in why["text"]
    assert f"by connection contoso (request {answer.headers['x-request-id']})" in why["text"]


async def test_nobody_has_no_history(place: Place) -> None:
    await place.client().get("/Users")
    told = await ask(place, "history", user="nobody")
    assert (told["id"], told["changes"]) == (None, [])


async def test_the_usual_answer_takes_six_trips_with_the_feed(place: Place) -> None:
    await place.client().new_user(ADELE)
    await ask(place, "why", user=ADELE)
    place.table.reset()
    assert (await place.manage(f"/contoso/why?user={ADELE}")).json["verdict"] == "there"
    assert len(place.table.trips) == 6, place.table.trips
