"""Users under concurrency, and what each request costs the table."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import quote_plus

import pytest

from scim.app import Application
from scim.operate.check import list_problems
from scim.schema.loading import load
from tests.conftest import NewClient
from tests.store.memory import Door, MemoryTable
from tests.support import ENTERPRISE, Client, Wire

MANAGER = f"{ENTERPRISE}:manager"
REGISTRY = load()


def query(filter: str, more: str = "") -> str:
    return f"/Users?filter={quote_plus(filter)}{more}"


async def test_of_twenty_posts_of_one_user_name_exactly_one_wins(client: Client, application: Application) -> None:
    names = ["race@contoso.example", "RACE@contoso.example", "Race@Contoso.Example", "race@CONTOSO.example"]
    answers = await asyncio.gather(
        *(client.post("/Users", {"userName": names[i % 4], "displayName": f"racer {i}"}) for i in range(20))
    )
    assert sorted(answer.status for answer in answers) == [201] + [409] * 19
    assert {answer.json["scimType"] for answer in answers if answer.status == 409} == {"uniqueness"}
    listed = (await client.get("/Users")).json
    assert listed["totalResults"] == 1
    (winner,) = (answer.json for answer in answers if answer.status == 201)
    assert listed["Resources"][0]["id"] == winner["id"]
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


async def test_concurrent_patches_of_different_attributes_all_survive(client: Client) -> None:
    user = await client.new_user("many@contoso.example")
    names = ["displayName", "nickName", "title", "userType", "preferredLanguage", "locale", "timezone", "externalId"]
    answers = await asyncio.gather(
        *(client.patch(f"/Users/{user['id']}", {"op": "replace", "path": n, "value": f"the {n}"}) for n in names)
    )
    assert [answer.status for answer in answers] == [200] * len(names)
    kept = (await client.get(f"/Users/{user['id']}")).json
    assert {name: kept[name] for name in names} == {name: f"the {name}" for name in names}


async def test_a_rename_to_a_taken_name_changes_nothing_else_in_the_patch(client: Client) -> None:
    await client.new_user("taken@contoso.example")
    user = await client.new_user("mine@contoso.example", title="before")
    answer = await client.patch(
        f"/Users/{user['id']}",
        {"op": "replace", "path": "title", "value": "after"},
        {"op": "replace", "path": "userName", "value": "Taken@Contoso.example"},
    )
    assert (answer.status, answer.json["scimType"]) == (409, "uniqueness")
    assert "userName" in answer.json["detail"]
    assert (await client.get(f"/Users/{user['id']}")).json == user


async def test_a_patch_whose_last_operation_fails_changes_nothing(client: Client) -> None:
    user = await client.new_user("whole@contoso.example", title="before")
    answer = await client.patch(
        f"/Users/{user['id']}",
        {"op": "replace", "path": "title", "value": "after"},
        {"op": "replace", "path": "active", "value": "perhaps"},
    )
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")
    assert "active" in answer.json["detail"]
    assert (await client.get(f"/Users/{user['id']}")).json == user


async def test_a_freed_user_name_can_be_taken_at_once(client: Client) -> None:
    user = await client.new_user("old@contoso.example")
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "userName", "value": "new@contoso.example"})
    second = await client.new_user("OLD@contoso.example")
    assert (await client.delete(f"/Users/{user['id']}")).status == 204
    third = await client.new_user("new@contoso.example")
    assert len({user["id"], second["id"], third["id"]}) == 3


async def test_index_rows_follow_the_document(client: Client, application: Application) -> None:
    user = await client.new_user(
        "indexed@contoso.example",
        externalId="e-1",
        displayName="Ünïcode / Name?",
        emails=[{"type": "work", "value": "a@contoso.example"}, {"type": "home", "value": "b@contoso.example"}],
    )
    changed = await client.patch(
        f"/Users/{user['id']}",
        {"op": "replace", "path": 'emails[type eq "home"].value', "value": "c@contoso.example"},
        {"op": "replace", "path": "externalId", "value": ""},
        {"op": "add", "path": MANAGER, "value": user["id"]},
    )
    assert changed.status == 200
    for filter, hits in [
        ('emails.value eq "b@contoso.example"', 0),
        ('emails.value eq "C@contoso.example"', 1),
        ('externalId eq "e-1"', 0),
        ('displayName eq "ÜNÏCODE / name?"', 1),
        (f'manager eq "{user["id"]}"', 1),
    ]:
        assert (await client.get(query(filter))).json["totalResults"] == hits, filter
    assert await list_problems(application.table, client.tenant, REGISTRY) == []
    await client.delete(f"/Users/{user['id']}")
    await application.housekeep(everything=True)
    left = [row.key async for page in application.table.pages(client.tenant, "", "\uffff") for row in page]
    assert [
        key for key in left if key.partition(" ")[0] not in ("i", "a", "d", "e", "h", "v")
    ] == []  # what was told stays


TRIPS: list[tuple[str, Any, int]] = [
    ("read", lambda c, u: c.get(f"/Users/{u['id']}"), 2),
    ("read without groups", lambda c, u: c.get(f"/Users/{u['id']}?excludedAttributes=groups"), 1),
    ("read a group's id", lambda c, u: c.get("/Users/g-aaaaaaaaaaaaaaaaaaaaaaaa"), 0),
    ("match id", lambda c, u: c.get(query(f'id eq "{u["id"]}"', "&attributes=id")), 1),
    ("match userName: hit", lambda c, u: c.get(query('userName eq "TRIPS@contoso.example"', "&attributes=id")), 2),
    ("match userName: hit with groups", lambda c, u: c.get(query('userName eq "TRIPS@contoso.example"')), 3),
    ("match userName: miss", lambda c, u: c.get(query('userName eq "nobody"')), 1),
    ("match externalId: hit", lambda c, u: c.get(query('externalId eq "e-9"', "&attributes=id")), 2),
    ("match externalId: miss", lambda c, u: c.get(query('externalId eq "E-9"')), 1),
    ("match mail: hit", lambda c, u: c.get(query('emails[type eq "work"].value eq "t@x"', "&attributes=id")), 2),
    ("match mail: miss", lambda c, u: c.get(query('emails.value eq "nobody"')), 1),
    ("match displayName: hit", lambda c, u: c.get(query('displayName eq "trips"', "&attributes=id")), 2),
    (
        "manager check",
        lambda c, u: c.get(query(f'id eq "{u["id"]}" and manager eq "u-x"', "&attributes=id")),
        1,
    ),
    ("create", lambda c, u: c.post("/Users", {"userName": "another", "externalId": "x", "displayName": "y"}), 1),
    (
        "patch",
        lambda c, u: c.patch(
            f"/Users/{u['id']}?excludedAttributes=groups", {"op": "replace", "path": "title", "value": "t"}
        ),
        2,
    ),
    (
        "patch that changes nothing",
        lambda c, u: c.patch(
            f"/Users/{u['id']}?excludedAttributes=groups", {"op": "replace", "path": "active", "value": "True"}
        ),
        1,
    ),
    ("put", lambda c, u: c.put(f"/Users/{u['id']}?excludedAttributes=groups", {"userName": "put@x"}), 2),
    ("delete", lambda c, u: c.delete(f"/Users/{u['id']}"), 3),
    ("a page of users", lambda c, u: c.get("/Users?startIndex=1&count=10&excludedAttributes=groups"), 2),
    ("a page of users with groups", lambda c, u: c.get("/Users?startIndex=1&count=10"), 3),
]


@pytest.mark.parametrize(("call", "trips"), [row[1:] for row in TRIPS], ids=[row[0] for row in TRIPS])
async def test_trips(client: Client, wire: Wire, call: Any, trips: int) -> None:
    """Requests to the table for each request of ours: docs/architecture.md's table."""
    user = await client.new_user(
        "trips@contoso.example",
        externalId="e-9",
        displayName="Trips",
        active=True,
        emails=[{"type": "work", "value": "t@x"}],
    )
    other = await client.new_user("other@contoso.example")
    await client.delete(f"/Users/{other['id']}")  # the process announces a tenant before its first deletion
    wire.reset()
    assert (await call(client, user)).status < 500
    assert len(wire.trips) == trips, wire.trips


class Overlaps(MemoryTable):
    """Knows how many trips were under way at the same time, at most."""

    under_way = most = 0

    async def _trip(self, kind: str) -> None:
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        await asyncio.sleep(0.01)
        await super()._trip(kind)
        self.under_way -= 1


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda c, u: c.get(f"/Users/{u['id']}"), id="read"),
        pytest.param(lambda c, u: c.get(query('userName eq "somebody"')), id="match userName"),
        pytest.param(lambda c, u: c.get(query('externalId eq "e-9"')), id="match externalId"),
        pytest.param(
            lambda c, u: c.patch(f"/Users/{u['id']}", {"op": "replace", "path": "title", "value": "t"}), id="patch"
        ),
    ],
)
async def test_a_user_and_its_groups_are_read_at_the_same_time(call: Any) -> None:
    table = Overlaps()
    client = Door(table).client
    user = await client.new_user("somebody", externalId="e-9")
    group = (await client.post("/Groups", {"displayName": "g", "members": [{"value": user["id"]}]})).json
    table.most = 0
    response = await call(client, user)
    assert [one["value"] for one in response.json.get("Resources", [response.json])[0]["groups"]] == [group["id"]]
    assert table.most == 2


async def test_ids_are_random_and_never_come_again(client: Client) -> None:
    ids = set()
    for _ in range(5):
        user = await client.new_user("same@contoso.example")
        ids.add(user["id"])
        await client.delete(f"/Users/{user['id']}")
        assert (await client.get(f"/Users/{user['id']}")).status == 404
    assert len(ids) == 5


async def test_a_password_is_neither_kept_nor_shown(client: Client, application: Application) -> None:
    user = await client.new_user("secret@contoso.example", password="correct horse battery staple")
    await client.patch(f"/Users/{user['id']}", {"op": "add", "path": "password", "value": "correct horse again"})
    await client.patch(f"/Users/{user['id']}", {"op": "add", "value": {"Password": "correct horse once more"}})
    assert "password" not in (await client.get(f"/Users/{user['id']}")).json
    rows = [row async for page in application.table.pages(client.tenant, "", "\uffff") for row in page]
    assert rows
    assert not any("correct horse" in str(row.values) for row in rows)


async def test_no_id_filter_or_body_reaches_another_tenant(new_client: NewClient) -> None:
    ours, theirs = new_client(), new_client()
    user = await theirs.new_user("hidden@fabrikam.example", externalId="shared")
    mine = await ours.new_user("hidden@fabrikam.example", externalId="mine")
    path = f"/Users/{user['id']}"
    patch = {"op": "replace", "path": "active", "value": False}
    for answer in (await ours.get(path), await ours.patch(path, patch), await ours.delete(path)):
        assert answer.status == 404
    for filter in (
        f'id eq "{user["id"]}"',
        'externalId eq "shared"',
        f'userName pr and (id eq "{user["id"]}" or externalId eq "shared")',
        'active eq true or userName sw "hidden" or id pr',
        "not (id eq null)",
    ):
        found = [resource["id"] for resource in (await ours.get(query(filter))).json["Resources"]]
        assert user["id"] not in found
        assert set(found) <= {mine["id"]}
    assert (await theirs.get(path)).json == user


@pytest.mark.parametrize("header", ["If-Match", "If-None-Match"])
async def test_etags(client: Client, header: str) -> None:
    user = await client.new_user("etag@contoso.example")
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    assert (await client.get(path)).headers["etag"] == version
    stale = 'W/"something else"'
    change = {"op": "replace", "path": "title", "value": header}
    if header == "If-None-Match":
        assert (await client.get(path, **{header: version})).status == 304
        assert (await client.get(path, **{header: f"{stale}, {version}"})).status == 304
        assert (await client.get(path, **{header: stale})).status == 200
        return
    for refused in (
        await client.patch(path, change, headers={header: stale}),
        await client.request("PUT", path, {"userName": "x"}, {header: stale}),
        await client.request("DELETE", path, None, {header: stale}),
    ):
        assert refused.status == 412
        assert version in refused.json["detail"]
    changed = await client.patch(path, change, headers={header: version.removeprefix("W/")})
    assert changed.status == 200
    assert changed.headers["etag"] != version
    assert (await client.request("DELETE", path, None, {header: version})).status == 412
    assert (await client.request("DELETE", path, None, {header: "*"})).status == 204


async def test_of_concurrent_patches_with_one_if_match_only_one_succeeds(client: Client) -> None:
    user = await client.new_user("onlyone@contoso.example")
    version = {"If-Match": user["meta"]["version"]}
    answers = await asyncio.gather(
        *(
            client.patch(
                f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": f"{i}"}, headers=dict(version)
            )
            for i in range(8)
        )
    )
    assert sorted(answer.status for answer in answers) == [200] + [412] * 7
