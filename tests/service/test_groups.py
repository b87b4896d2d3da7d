"""Groups and their members: on users and in filters, all or nothing, under concurrency, and what requests cost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil
from typing import Any
from urllib.parse import quote_plus

import pytest
from azure.core.exceptions import ServiceRequestError

import function_app
from dev.host import Host
from scim.app import Application
from scim.operate.check import list_problems
from scim.schema.loading import load
from scim.settings import Settings
from tests.conftest import NewClient
from tests.support import BASE, Client, Request, Response, Wire

REGISTRY = load()
NOBODY = "g-aaaaaaaaaaaaaaaaaaaaaaaa"
"""The id of a group that is not there."""


async def new_group(client: Client, name: str, *members: str | dict[str, str], **attributes: object) -> Any:
    """A group made by POST, as the server gives it back. A member need not be there: most here are mere names."""
    values = [{"value": member} if isinstance(member, str) else member for member in members]
    response = await client.post("/Groups", {"displayName": name, "members": values, **attributes})
    assert response.status == 201, response.body
    return response.json


NEW = [f"n-{number:02}" for number in range(60)]
"""Members that do not fit into one transaction."""


def adding(*ids: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": id} for id in ids]}


def removing(*ids: str) -> dict[str, Any]:
    return {"op": "Remove", "path": "members", "value": [{"value": id} for id in ids]}


def replacing(*ids: str) -> dict[str, Any]:
    return {**adding(*ids), "op": "replace"}


def removing_where(filter: str) -> dict[str, Any]:
    return {"op": "remove", "path": f"members[{filter}]"}


def renaming(name: str) -> dict[str, Any]:
    return {"op": "replace", "path": "displayName", "value": name}


def path_of(group: Any) -> str:
    return f"/Groups/{group['id']}"


def query(endpoint: str, filter: str, more: str = "") -> str:
    return f"{endpoint}?filter={quote_plus(filter)}{more}"


async def members_of(client: Client, group: Any) -> list[str]:
    """The ids of the group's members, sorted, as the group shows them."""
    response = await client.get(path_of(group))
    assert response.status == 200, response.body
    return sorted(member["value"] for member in response.json.get("members", []))


async def groups_of(client: Client, user: Any) -> list[str]:
    """The ids of the user's groups, sorted, as the user shows them."""
    response = await client.get(f"/Users/{user['id']}")
    assert response.status == 200, response.body
    return sorted(group["value"] for group in response.json.get("groups", []))


def expect_error(response: Response, status: int, scim_type: str | None, named: str = "") -> None:
    assert (response.status, (response.json or {}).get("scimType")) == (status, scim_type), response.body
    assert named in response.json["detail"]


# On users, on lists and in filters: read from one tenant that no test changes.


@dataclass(frozen=True)
class Crew:
    """Ann and Ben are in First, Ben and First and something unknown are in Second, nobody is in Third; Cleo is in none.

    `ids` are those of `ann`, `ben`, `cleo`, `first`, `second` and `third`."""

    client: Client
    ids: dict[str, str]


@pytest.fixture(scope="module")
async def crew(host: Host, unused: Iterator[tuple[str, str]]) -> Crew:
    client = Client(host, *next(unused))
    ids = {name: (await client.new_user(name, active=True))["id"] for name in ("ann", "ben", "cleo")}
    first = await new_group(client, "First", {"value": ids["ann"], "display": "Anna"}, ids["ben"], externalId="e-1")
    inner, robot = {"value": first["id"], "display": "Abteilung"}, {"value": "x-1", "type": "Robot"}
    second = await new_group(client, "Second", ids["ben"], inner, robot, externalId="e-2")
    third = await new_group(client, "Third", externalId="e-3")
    return Crew(client, {**ids, "first": first["id"], "second": second["id"], "third": third["id"]})


GROUPS_OF = {"ann": ["first"], "ben": ["first", "second"], "cleo": []}
MEMBERS_OF = {"First": ["ann", "ben"], "Second": ["ben", "first", "x-1"], "Third": []}


@pytest.mark.parametrize("name", GROUPS_OF)
async def test_a_user_shows_its_groups(crew: Crew, name: str) -> None:
    user = (await crew.client.get(f"/Users/{crew.ids[name]}")).json
    ids = sorted(crew.ids[group] for group in GROUPS_OF[name])
    expected = [{"value": id, "$ref": f"{BASE}/Groups/{id}", "type": "direct"} for id in ids]
    assert sorted(user.get("groups", []), key=lambda group: group["value"]) == expected


USER_LISTS = {
    "all": ("/Users", "ann ben cleo"),
    "a first page": ("/Users?startIndex=1&count=2", None),
    "a page in the middle": ("/Users?startIndex=2&count=1", None),
    "a last page": ("/Users?startIndex=3&count=5", None),
    "by a unique value": (query("/Users", 'userName eq "BEN"'), "ben"),
    "by prefix": (query("/Users", 'userName sw "c"'), "cleo"),
    "by several values": (query("/Users", 'userName eq "ann" or userName eq "cleo"'), "ann cleo"),
    "by reading all": (query("/Users", "active eq true"), "ann ben cleo"),
    "by group": (query("/Users", 'groups eq "{first}"'), "ann ben"),
}


@pytest.mark.parametrize(("path", "names"), USER_LISTS.values(), ids=USER_LISTS)
async def test_a_list_shows_every_user_with_its_own_groups(crew: Crew, path: str, names: str | None) -> None:
    resources = (await crew.client.get(path.replace(quote_plus("{first}"), crew.ids["first"]))).json["Resources"]
    assert resources
    if names is not None:
        assert sorted(user["userName"] for user in resources) == names.split()
    for user in resources:
        groups = sorted(group["value"] for group in user.get("groups", []))
        assert groups == sorted(crew.ids[group] for group in GROUPS_OF[user["userName"]]), user["userName"]


GROUP_LISTS = {
    "all": ("/Groups", "First Second Third"),
    "a page": ("/Groups?startIndex=2&count=1", None),
    "by a unique value": (query("/Groups", 'displayName eq "SECOND"'), "Second"),
    "by several values": (query("/Groups", 'externalId eq "e-1" or displayName eq "third"'), "First Third"),
    "by reading all": (query("/Groups", 'displayName co "ir"'), "First Third"),
}


@pytest.mark.parametrize(("path", "names"), GROUP_LISTS.values(), ids=GROUP_LISTS)
async def test_a_list_shows_every_group_with_its_own_members(crew: Crew, path: str, names: str | None) -> None:
    resources = (await crew.client.get(path)).json["Resources"]
    assert resources
    if names is not None:
        assert sorted(group["displayName"] for group in resources) == names.split()
    for group in resources:
        members = sorted(member["value"] for member in group.get("members", []))
        assert members == sorted(crew.ids.get(m, m) for m in MEMBERS_OF[group["displayName"]]), group["displayName"]


SHOWN = {
    "whole": ("", "members", {"value", "$ref", "type", "display"}),
    "only the ids": ("?attributes=members.value", "members", {"value"}),
    "without display": ("?excludedAttributes=members.display", "members", {"value", "$ref", "type"}),
    "excluded": ("?excludedAttributes=members", None, set()),
    "not asked for": ("?attributes=externalId", None, set()),
}


@pytest.mark.parametrize(("asked", "attribute", "subs"), SHOWN.values(), ids=SHOWN)
async def test_a_response_carries_what_is_asked_of_members(
    crew: Crew, asked: str, attribute: str | None, subs: set[str]
) -> None:
    group = (await crew.client.get(f"/Groups/{crew.ids['first']}{asked}")).json
    assert (group["id"], "members" in group) == (crew.ids["first"], attribute is not None)
    assert set().union(*group.get("members", [])) == subs


FILTERS = {
    "/Groups": {
        "members pr": "First Second",
        "not (members pr)": "Third",
        "members eq null": "Third",
        'members eq ""': "",
        'members eq "{ben}"': "First Second",
        'members.value eq "{ann}"': "First",
        'members eq "x-1"': "Second",
        'members eq "X-1"': "",
        'members eq "{cleo}"': "",
        'members eq "{first}"': "Second",
        'members[value eq "{first}"]': "Second",
        'not (members eq "{ann}")': "Second Third",
        'not (members[value eq "{ben}"])': "Third",
        'members eq "{ann}" and members eq "{ben}"': "First",
        'members eq "{ann}" or members eq "{first}"': "First Second",
        'members[value eq "{ann}" or value eq "x-1"]': "First Second",
        'members[value eq "{ann}" or value eq "{cleo}"]': "First",
        'members[value eq "{ann}" and value eq "{ben}"]': "",
        'members[value eq "{ann}" and display eq "ANNA"]': "First",
        'members[value eq "{ben}" and display eq "Anna"]': "",
        'members[type eq "group"]': "Second",
        'members.type eq "User"': "First Second",
        'members.type eq "Robot"': "Second",
        'members.display sw "a"': "First Second",
        'members.$ref eq "{base}/Users/{ann}"': "First",
        'members sw "x-"': "Second",
        'displayName eq "first" and members eq "{ben}"': "First",
        'displayName eq "Second" and members eq "{ann}"': "",
        'displayName eq "Third" or members eq "{ann}"': "First Third",
        'displayName co "i" and not (members eq "{ann}")': "Third",
        'externalId eq "e-2" and members[value eq "{ben}"]': "Second",
        'id eq "{first}" and not (members eq "{first}")': "First",
        'id eq "{third}" and members eq "{ann}"': "",
        'members eq "{ben}" and meta.resourceType eq "Group"': "First Second",
    },
    "/Users": {
        "groups pr": "ann ben",
        "not (groups pr)": "cleo",
        'groups eq "{first}"': "ann ben",
        'groups.value eq "{second}"': "ben",
        'groups[value eq "{second}"]': "ben",
        'groups.value eq "{third}"': "",
        'groups eq "nowhere"': "",
        'not (groups eq "{second}")': "ann cleo",
        'groups eq "{first}" and groups eq "{second}"': "ben",
        'groups[value eq "{second}" or value eq "{third}"]': "ben",
        'groups eq "{second}" or userName eq "cleo"': "ben cleo",
        'userName eq "ann" and groups eq "{first}"': "ann",
        'userName eq "ann" and groups eq "{second}"': "",
        'id eq "{ben}" and groups eq "{second}"': "ben",
        'groups.type eq "direct"': "ann ben",
        'groups.$ref eq "{base}/Groups/{second}"': "ben",
    },
}


@pytest.mark.parametrize(
    ("endpoint", "filter", "names"),
    [(endpoint, filter, names) for endpoint, table in FILTERS.items() for filter, names in table.items()],
)
async def test_members_and_groups_in_filters(crew: Crew, endpoint: str, filter: str, names: str) -> None:
    response = await crew.client.get(query(endpoint, filter.format(base=BASE, **crew.ids)))
    assert response.status == 200, response.body
    found = [resource.get("displayName") or resource["userName"] for resource in response.json["Resources"]]
    assert sorted(found) == names.split()
    assert response.json["totalResults"] == len(found)


async def test_the_groups_of_a_member_come_in_pages(client: Client) -> None:
    groups = [await new_group(client, f"group {number}", "m-1") for number in range(5)]
    await new_group(client, "another", "m-2")
    found = []
    for start in (1, 3, 5, 7):
        page = (await client.get(query("/Groups", 'members eq "m-1"', f"&startIndex={start}&count=2"))).json
        assert (page["totalResults"], page["startIndex"]) == (5, start)
        found += [group["id"] for group in page["Resources"]]
    assert sorted(found) == sorted(group["id"] for group in groups)


async def test_a_filter_with_many_candidates_looks_for_the_member_once(client: Client, wire: Wire) -> None:
    """Ten groups have the prefix; the member is in one of them and in one beyond."""
    for number in range(10):
        await new_group(client, f"a {number}", "m-1" if number == 4 else "m-2")
    await new_group(client, "b", "m-1")
    for filter, expected in (
        ('displayName sw "A" and not (members eq "m-1")', [f"a {number}" for number in range(10) if number != 4]),
        ('displayName sw "A" and (members eq "m-1" or externalId pr)', ["a 4"]),
    ):
        wire.reset()
        found = (await client.get(query("/Groups", filter, "&attributes=displayName"))).json["Resources"]
        assert sorted(group["displayName"] for group in found) == expected, filter
        assert len(wire.trips) == 1 + 10 + 1, wire.trips


# What requests cost.


@pytest.mark.parametrize("count", [1, 12])
@pytest.mark.parametrize(("endpoint", "attribute"), [("/Users", "groups"), ("/Groups", "members")])
async def test_a_page_costs_two_trips_more_for_edges_however_many_resources(
    client: Client, wire: Wire, endpoint: str, attribute: str, count: int
) -> None:
    users = await asyncio.gather(*(client.new_user(f"user {number}") for number in range(count)))
    ids = [user["id"] for user in users]
    groups = await asyncio.gather(*(new_group(client, f"group {number}", *ids) for number in range(count)))
    trips = []
    for more in (f"&excludedAttributes={attribute}", ""):
        wire.reset()
        resources = (await client.get(f"{endpoint}?count=1000{more}")).json["Resources"]
        trips.append(len(wire.trips))
    others = sorted(resource["id"] for resource in (groups if endpoint == "/Users" else users))
    assert len(resources) == count
    for resource in resources:
        assert sorted(edge["value"] for edge in resource[attribute]) == others
    assert 1 <= trips[1] - trips[0] <= 2, wire.trips


TRIPS: dict[str, tuple[Any, int]] = {
    "create without members": (lambda c, g: c.post("/Groups", {"displayName": "New", "externalId": "n"}), 1),
    "create with 45 members": (
        lambda c, g: c.post("/Groups", {"displayName": "New", "members": [{"value": f"n-{i}"} for i in range(45)]}),
        1,
    ),
    "add a member": (lambda c, g: c.patch(path_of(g), adding("m-3")), 1),
    "add one who is a member": (lambda c, g: c.patch(path_of(g), adding("m-1")), 1),
    "remove a member": (lambda c, g: c.patch(path_of(g), removing("m-1")), 1),
    "remove two by a filter": (
        lambda c, g: c.patch(path_of(g), removing_where('value eq "m-1" or value eq "m-2"')),
        1,
    ),
    "add and remove": (lambda c, g: c.patch(path_of(g), adding("m-3"), removing("m-1")), 1),
    "add a member under a condition": (
        lambda c, g: c.patch(path_of(g), adding("m-3"), headers={"If-Match": g["meta"]["version"]}),
        2,
    ),
    "add a member and ask for attributes": (
        lambda c, g: c.patch(path_of(g) + "?attributes=displayName", adding("m-3")),
        2,
    ),
    "add a member to no group": (lambda c, g: c.patch("/Groups/u-aaaaaaaaaaaaaaaaaaaaaaaa", adding("m-3")), 0),
    "rename": (lambda c, g: c.patch(path_of(g), renaming("Renamed")), 2),
    "rename to its name": (lambda c, g: c.patch(path_of(g), renaming("Trips")), 1),
    "rename, add and remove": (lambda c, g: c.patch(path_of(g), renaming("R"), adding("m-3"), removing("m-1")), 2),
    "no operations": (lambda c, g: c.patch(path_of(g)), 1),
    "read": (lambda c, g: c.get(path_of(g)), 2),
    "read without members": (lambda c, g: c.get(path_of(g) + "?excludedAttributes=members"), 1),
    "read one attribute": (lambda c, g: c.get(path_of(g) + "?attributes=displayName"), 1),
    "match by name: hit": (
        lambda c, g: c.get(query("/Groups", 'displayName eq "TRIPS"', "&excludedAttributes=members")),
        2,
    ),
    "match by name: miss": (lambda c, g: c.get(query("/Groups", 'displayName eq "none"')), 1),
    "is a member": (
        lambda c, g: c.get(query("/Groups", f'id eq "{g["id"]}" and members eq "m-1"', "&attributes=id")),
        2,
    ),
    "is no member": (
        lambda c, g: c.get(query("/Groups", f'members[value eq "m-9"] and id eq "{g["id"]}"', "&attributes=id")),
        2,
    ),
    "is a member of no group": (
        lambda c, g: c.get(query("/Groups", f'id eq "{NOBODY}" and members eq "m-1"', "&attributes=id")),
        2,
    ),
    "groups of one in two groups": (
        lambda c, g: c.get(query("/Groups", 'members.value eq "m-1"', "&attributes=id")),
        3,
    ),
    "groups of one in none": (lambda c, g: c.get(query("/Groups", 'members.value eq "m-9"', "&attributes=id")), 1),
    "a page": (lambda c, g: c.get("/Groups"), 3),
    "a page without members": (lambda c, g: c.get("/Groups?excludedAttributes=members"), 2),
    "delete": (lambda c, g: c.delete(path_of(g)), 5),
}


@pytest.mark.parametrize(("call", "trips"), TRIPS.values(), ids=TRIPS)
async def test_trips(client: Client, wire: Wire, call: Any, trips: int) -> None:
    """Requests to the table for each request of ours: docs/architecture.md's table."""
    group = await new_group(client, "Trips", "m-1", "m-2", externalId="e-9")
    await new_group(client, "Other", "m-1")
    await client.delete(path_of(await new_group(client, "Gone")))  # announces the tenant, once in the process
    wire.reset()
    assert (await call(client, group)).status < 500
    assert len(wire.trips) == trips, wire.trips


@pytest.mark.parametrize(("k", "trips"), [(1, 1), (48, 1), (49, 2), (94, 2), (95, 3), (142, 3)])
async def test_a_patch_of_k_members_takes_a_trip_for_some_48(client: Client, wire: Wire, k: int, trips: int) -> None:
    group = await new_group(client, "Many")
    ids = [f"m-{number:03}" for number in range(k)]
    one_by_one = [{"op": "remove", "path": f'members[value eq "{id}"]'} for id in ids]
    patches = [("add", [adding(*ids)], ids), ("add again", [adding(*ids)], ids), ("remove", one_by_one, [])]
    for name, operations, expected in patches:
        wire.reset()
        assert (await client.patch(path_of(group), *operations)).status == 204
        announced = len(wire.trips) - trips
        assert announced in ({0, 1} if name == "add" and k > 48 else {0}), (name, wire.trips)
        assert await members_of(client, group) == expected


async def test_a_member_costs_the_same_whatever_the_size_of_the_group(client: Client, wire: Wire) -> None:
    crowd = [f"m-{number:04}" for number in range(1000)]
    trips = []
    for group in (await new_group(client, "Small", crowd[0]), await new_group(client, "Large", *crowd)):
        for operation in (adding("new"), removing("new")):
            wire.reset()
            assert (await client.patch(path_of(group), operation)).status == 204
            trips.append(len(wire.trips))
    assert trips == [1, 1, 1, 1]
    assert await members_of(client, group) == crowd


@pytest.mark.parametrize("m", [0, 1, 34])
async def test_deleting_a_user_takes_a_trip_for_each_33_groups(client: Client, wire: Wire, m: int) -> None:
    """Each group gets a new version, so a membership is three rows here."""
    user, stays = await client.new_user("leaves"), await client.new_user("stays")
    groups = await asyncio.gather(*(new_group(client, f"group {i}", user["id"], stays["id"]) for i in range(m)))
    await client.delete(path_of(await new_group(client, "Gone")))  # announces the tenant, once in the process
    wire.reset()
    assert (await client.delete(f"/Users/{user['id']}")).status == 204
    assert len(wire.trips) == 3 + ceil(m / 33), wire.trips
    listed = (await client.get("/Groups")).json["Resources"]
    assert [[member["value"] for member in group["members"]] for group in listed] == [[stays["id"]]] * m
    assert not {group["meta"]["version"] for group in listed} & {group["meta"]["version"] for group in groups}


# What members are.


async def test_a_member_is_shown_as_it_was_sent_with_what_the_server_knows(client: Client) -> None:
    """display is the client's; $ref, and the type of our own ids, are the server's, whatever a client sends."""
    user = await client.new_user("ann")
    inner = await new_group(client, "Inner")
    group = await new_group(
        client,
        "Outer",
        {"value": user["id"], "display": "Änne  B.", "$ref": "https://elsewhere.example/Users/1", "type": "Group"},
        {"value": "unknown", "type": "Robot", "$ref": "https://elsewhere.example/Robots/1", "display": "R2"},
    )
    added = {"value": inner["id"], "type": "User", "$ref": "../Users/2"}
    await client.patch(path_of(group), {"op": "add", "path": "members", "value": [added]})
    expected = [
        {"value": user["id"], "$ref": f"{BASE}/Users/{user['id']}", "type": "User", "display": "Änne  B."},
        {"value": "unknown", "type": "Robot", "display": "R2"},
        {"value": inner["id"], "$ref": f"{BASE}/Groups/{inner['id']}", "type": "Group"},
    ]
    key = lambda member: member["value"]  # noqa: E731
    assert sorted(group["members"], key=key) == sorted(expected[:2], key=key)
    assert sorted((await client.get(path_of(group))).json["members"], key=key) == sorted(expected, key=key)


@pytest.mark.parametrize("beside", [[], [removing_where('display eq "nobody"')]], ids=["alone", "beside a filter"])
async def test_adding_a_member_again_keeps_or_renews_its_display(client: Client, beside: list[dict[str, Any]]) -> None:
    """An Add of what is there changes nothing (RFC 7644 §3.5.2.1); another display is a change."""
    group = await new_group(client, "Group", {"value": "u-1", "display": "Anna"}, {"value": "u-2", "display": "Ben"})
    again = {"op": "add", "path": "members", "value": [{"value": "u-1"}, {"value": "u-2", "display": "Benno"}]}
    assert (await client.patch(path_of(group), *beside, again)).status == 204
    members = (await client.get(path_of(group))).json["members"]
    assert {member["value"]: member.get("display") for member in members} == {"u-1": "Anna", "u-2": "Benno"}


async def test_replacing_members_takes_away_what_is_no_longer_said_of_them(client: Client) -> None:
    group = await new_group(client, "Group", {"value": "u-1", "display": "Anna"}, {"value": "x-1", "type": "Robot"})
    replaced = await client.put(
        path_of(group), {"displayName": "Group", "members": [{"value": "u-1"}, {"value": "x-1"}]}
    )
    expected = [{"value": "u-1", "$ref": f"{BASE}/Users/u-1", "type": "User"}, {"value": "x-1"}]
    assert replaced.json["members"] == (await client.get(path_of(group))).json["members"] == expected
    named = {"op": "replace", "path": "members", "value": [{"value": "u-1", "display": "Anne"}]}
    for operation, display in ((named, "Anne"), (replacing("u-1"), None)):
        assert (await client.patch(path_of(group), operation)).status == 204
        (member,) = (await client.get(path_of(group))).json["members"]
        assert member.get("display") == display


@pytest.mark.parametrize("k", [0, 3, 60])
async def test_a_group_is_created_with_its_members_or_not_at_all(
    client: Client, application: Application, k: int
) -> None:
    user = await client.new_user("ann")
    others = [f"m-{number:02}" for number in range(k)]
    group = await new_group(client, "Taken", user["id"], *others, *others)
    assert sorted(member["value"] for member in group["members"]) == sorted([user["id"], *others])
    assert await members_of(client, group) == sorted([user["id"], *others])
    values = [{"value": id} for id in [user["id"], *others]]
    expect_error(await client.post("/Groups", {"displayName": "TAKEN", "members": values}), 409, "uniqueness", "TAKEN")
    assert await groups_of(client, user) == [group["id"]]
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


PUTS = {
    "others": (["m-2", "m-3"], ["m-2", "m-3"]),
    "none named": (None, []),
    "an empty list": ([], []),
    "many": (NEW, NEW),
}


@pytest.mark.parametrize(("sent", "expected"), PUTS.values(), ids=PUTS)
async def test_put_replaces_members(client: Client, sent: list[str] | None, expected: list[str]) -> None:
    user = await client.new_user("ann")
    group = await new_group(client, "Group", user["id"], "m-1", "m-2", externalId="e-1")
    body = {"displayName": "Put"} | ({} if sent is None else {"members": [{"value": id} for id in sent]})
    answer = await client.put(path_of(group), body)
    assert answer.status == 200
    assert sorted(member["value"] for member in answer.json.get("members", [])) == expected
    kept = (await client.get(path_of(group))).json
    assert sorted(member["value"] for member in kept.get("members", [])) == expected
    assert (kept["displayName"], kept.get("externalId"), kept["meta"]) == ("Put", None, answer.json["meta"])
    assert await groups_of(client, user) == []
    assert (await client.put(path_of(group), body)).json["meta"] == kept["meta"]  # nothing to change


# Operations that need to know the present members.

ANNA, BEN, INNER, ROBOT = "u-anna", "u-ben", "g-inner", "x-1"
EVERYBODY = [INNER, ANNA, BEN, ROBOT]


PATCHES: dict[str, tuple[list[dict[str, Any]], list[str]]] = {
    "remove by type": ([removing_where('type eq "Group"')], [ANNA, BEN, ROBOT]),
    "remove by type in another case": ([removing_where('TYPE eq "user"')], [INNER, ROBOT]),
    "remove by display": ([removing_where('display sw "A"')], [BEN, ROBOT]),
    "remove by two": ([removing_where('display sw "a" and type eq "User"')], [INNER, BEN, ROBOT]),
    "remove by one of two": ([removing_where('display eq "ben" or type eq "Robot"')], [INNER, ANNA]),
    "remove by what is not": ([removing_where('not (type eq "User")')], [ANNA, BEN]),
    "remove all but one": ([removing_where(f'value ne "{ANNA}"')], [ANNA]),
    "remove by the start of ids": ([removing_where('value sw "u-"')], [INNER, ROBOT]),
    "remove by id and type": ([removing_where(f'value eq "{ANNA}" and type eq "User"')], [INNER, BEN, ROBOT]),
    "remove by id and wrong type": ([removing_where(f'value eq "{ANNA}" and type eq "Group"')], EVERYBODY),
    "remove by what nobody has": ([removing_where('display eq "Zoe"')], EVERYBODY),
    "remove whoever has a display": ([removing_where("display pr")], [ROBOT]),
    "remove, and a filter": ([removing(BEN), removing_where('type eq "Group"')], [ANNA, ROBOT]),
    "a filter sees what was added": (
        [
            {"op": "add", "path": "members", "value": [{"value": "x-2", "type": "Robot"}]},
            removing_where('type eq "Robot"'),
        ],
        [INNER, ANNA, BEN],
    ),
    "replace": ([replacing(BEN, "x-2")], [BEN, "x-2"]),
    "replace without path": ([{"op": "Replace", "value": {"members": [{"value": ANNA}]}}], [ANNA]),
    "replace by the same": ([replacing(*EVERYBODY)], EVERYBODY),
    "replace by nobody": ([replacing()], []),
    "replace by null": ([{"op": "replace", "path": "members", "value": None}], []),
    "replace, add, remove": ([replacing("x-2", "x-3"), adding(BEN), removing("x-3")], [BEN, "x-2"]),
    "clear and add": ([{"op": "remove", "path": "members"}, adding(BEN, "x-2")], [BEN, "x-2"]),
    "add and clear": ([adding("x-2"), {"op": "remove", "path": "members"}], []),
    "replace and rename": ([replacing("x-2"), renaming("Renamed")], ["x-2"]),
    "replace by many": ([replacing(*NEW)], NEW),
}


@pytest.mark.parametrize(("operations", "expected"), PATCHES.values(), ids=PATCHES)
async def test_operations_on_present_members(
    client: Client, application: Application, operations: list[dict[str, Any]], expected: list[str]
) -> None:
    group = await new_group(
        client,
        "Group",
        {"value": ANNA, "display": "Anna"},
        {"value": BEN, "display": "Ben"},
        {"value": INNER, "display": "Abteilung"},
        {"value": ROBOT, "type": "Robot"},
    )
    answer = await client.patch(path_of(group), *operations)
    assert (answer.status, answer.body) == (204, b""), answer.body
    assert await members_of(client, group) == sorted(expected)
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


# All or nothing.

NAMELESS = {"display": "Nobody"}
MANY = adding(*NEW)
TAKEN = (409, "uniqueness", "taken")
NO_VALUE = (400, "invalidValue", "members.value")
IMMUTABLE = (400, "mutability", "members.value")

REFUSED: dict[str, tuple[list[Any], tuple[int, str, str]]] = {
    "an unknown operation": ([adding("m-3"), {"op": "explode", "path": "members"}], (400, "invalidSyntax", "op")),
    "no operation": ([adding("m-3"), "add"], (400, "invalidSyntax", "peration")),
    "a remove without a path": ([adding("m-3"), {"op": "remove"}], (400, "noTarget", "path")),
    "a path that is none": ([removing("m-1"), {"op": "remove", "path": "members["}], (400, "invalidPath", "path")),
    "a filter on what no member has": (
        [removing("m-1"), removing_where('colour eq "red"')],
        (400, "invalidFilter", "colour"),
    ),
    "a name removed": ([adding("m-3"), {"op": "remove", "path": "displayName"}], (400, "mutability", "displayName")),
    "a name emptied": ([adding("m-3"), renaming("")], (400, "invalidValue", "displayName")),
    "a name that is no text": (
        [adding("m-3"), {"op": "replace", "path": "displayName", "value": {}}],
        (400, "invalidValue", "displayName"),
    ),
    "the id": ([adding("m-3"), {"op": "replace", "path": "id", "value": "mine"}], (400, "mutability", "id")),
    "a taken name after adding": ([adding("m-3"), renaming("TAKEN")], TAKEN),
    "a taken name before removing": ([renaming("Taken"), removing("m-1")], TAKEN),
    "a taken name beside clearing": ([{"op": "remove", "path": "members"}, renaming("taken")], TAKEN),
    "a taken name beside many members": ([MANY, renaming("Taken"), removing("m-1")], TAKEN),
    "members that are no objects": ([removing("m-1"), {**adding(), "value": [True]}], (400, "invalidValue", "members")),
    "a number for an id": ([removing("m-1"), {**adding(), "value": [{"value": 7}]}], NO_VALUE),
    "added without value": ([adding("m-3"), {**adding(), "value": [NAMELESS]}], NO_VALUE),
    "added with a reference alone": ([{**adding(), "value": [{"$ref": f"{BASE}/Users/u-1"}]}], NO_VALUE),
    "added without value or path": ([{"op": "add", "value": {"members": [{"value": "m-3"}, NAMELESS]}}], NO_VALUE),
    "removed without value": ([renaming("New"), {**removing(), "value": [NAMELESS]}], NO_VALUE),
    "replaced without value": ([{**replacing(), "value": [{"value": "m-3"}, NAMELESS]}], NO_VALUE),
    "described without value": (
        [{"op": "add", "path": 'members[type eq "Printer"].display', "value": "P1"}],
        NO_VALUE,
    ),
    "replaced without value or path": ([{"op": "replace", "value": {"members": [NAMELESS]}}], NO_VALUE),
    "cleared, then added without value": (
        [{"op": "remove", "path": "members"}, {**adding(), "value": [NAMELESS]}],
        NO_VALUE,
    ),
    "every id removed": ([{"op": "remove", "path": "members.value"}], IMMUTABLE),
    "every id replaced": ([{"op": "replace", "path": "members.value", "value": "m-3"}], IMMUTABLE),
    "an id added to every member": ([{"op": "add", "path": "members.value", "value": "m-3"}], IMMUTABLE),
    "one id replaced": ([{"op": "replace", "path": 'members[value eq "m-1"].value', "value": "m-3"}], IMMUTABLE),
}


@pytest.mark.parametrize(("operations", "error"), REFUSED.values(), ids=REFUSED)
async def test_a_patch_that_fails_changes_nothing_at_all(
    client: Client, application: Application, operations: list[Any], error: tuple[int, str, str]
) -> None:
    await new_group(client, "Taken")
    group = await new_group(client, "Group", {"value": "m-1", "display": "Anna"}, "m-2", externalId="e-1")
    before = (await client.get(path_of(group))).json
    expect_error(await client.patch(path_of(group), *operations), *error)
    assert (await client.get(path_of(group))).json == before
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


@pytest.mark.parametrize("method", ["POST", "PUT"])
async def test_a_member_without_value_is_refused(client: Client, method: str) -> None:
    group = await new_group(client, "Group", "m-1")
    path = "/Groups" if method == "POST" else path_of(group)
    answer = await client.request(method, path, {"displayName": "New", "members": [{"value": "m-2"}, NAMELESS]})
    expect_error(answer, *NO_VALUE)
    assert (await client.get("/Groups")).json["Resources"] == [group]


# Versions.

CONDITIONAL: dict[str, tuple[dict[str, Any], list[str]]] = {
    "add": (adding("m-3"), ["m-1", "m-2", "m-3"]),
    "remove": (removing("m-1"), ["m-2"]),
    "remove by path": (removing_where('value eq "m-2"'), ["m-1"]),
    "remove all": ({"op": "remove", "path": "members"}, []),
    "replace": (replacing("m-3"), ["m-3"]),
    "rename": (renaming("Renamed"), ["m-1", "m-2"]),
    "add many": (MANY, ["m-1", "m-2", *NEW]),
}


@pytest.mark.parametrize(("operation", "expected"), CONDITIONAL.values(), ids=CONDITIONAL)
async def test_if_match(client: Client, operation: dict[str, Any], expected: list[str]) -> None:
    group = await new_group(client, "Group", "m-1", "m-2")
    old = group["meta"]["version"]
    version = (await client.patch(path_of(group), adding("m-2"), {**renaming("Changed")})).headers["etag"]
    before = (await client.get(path_of(group))).json
    assert before["meta"]["version"] == version != old
    expect_error(await client.patch(path_of(group), operation, headers={"If-Match": old}), 412, None, version)
    assert (await client.get(path_of(group))).json == before
    answer = await client.patch(path_of(group), operation, headers={"If-Match": f'W/"other", {version}'})
    assert answer.status == 204, answer.body
    assert await members_of(client, group) == expected
    assert (await client.get(path_of(group))).headers["etag"] == answer.headers["etag"] != version


async def test_a_change_of_members_is_a_new_version(client: Client) -> None:
    group = await new_group(client, "Group", "m-1")
    versions, modified = [group["meta"]["version"]], [group["meta"]["lastModified"]]
    for operation in (adding("m-2"), removing("m-1"), {"op": "remove", "path": "members"}, MANY):
        assert (await client.get(path_of(group), **{"If-None-Match": versions[-1]})).status == 304
        answer = await client.patch(path_of(group), operation)
        assert answer.headers["location"] == f"{BASE}{path_of(group)}" == group["meta"]["location"]
        read = await client.get(path_of(group), **{"If-None-Match": versions[-1]})
        assert (read.status, read.json["meta"]["version"]) == (200, answer.headers["etag"])
        versions.append(answer.headers["etag"])
        modified.append(read.json["meta"]["lastModified"])
    assert len(set(versions)) == len(versions)
    assert modified == sorted(set(modified))
    assert read.json["meta"]["created"] == group["meta"]["created"]


async def test_a_user_whose_groups_changed_is_not_what_a_client_has(client: Client) -> None:
    """A 304 would leave a client with groups that the user is no longer in (RFC 7232 §4.1)."""
    user = await client.new_user("ann")
    path = f"/Users/{user['id']}"
    group = await new_group(client, "Group", user["id"])
    for operation, groups in ((removing(user["id"]), []), (adding(user["id"]), [group["id"]])):
        version = (await client.get(path)).headers["etag"]
        assert (await client.patch(path_of(group), operation)).status == 204
        read = await client.get(path, **{"If-None-Match": version})
        assert (read.status, [edge["value"] for edge in (read.json or {}).get("groups", [])]) == (200, groups)


# One after the other, however many come at once.


async def test_fifty_concurrent_adds_are_all_there(client: Client) -> None:
    users = await asyncio.gather(*(client.new_user(f"user {number}") for number in range(50)))
    group = await new_group(client, "Group", "m-1")
    answers = await asyncio.gather(*(client.patch(path_of(group), adding(user["id"])) for user in users))
    assert [answer.status for answer in answers] == [204] * 50
    assert await members_of(client, group) == sorted(["m-1", *(user["id"] for user in users)])
    listed = (await client.get("/Users")).json["Resources"]
    assert [[edge["value"] for edge in user["groups"]] for user in listed] == [[group["id"]]] * 50


async def test_both_edges_agree_after_concurrent_adds_and_removes(client: Client, application: Application) -> None:
    users = [await client.new_user(f"user {number}") for number in range(3)]
    group = await new_group(client, "Group", users[0]["id"])
    operations = [change(user["id"]) for _ in range(10) for change in (adding, removing) for user in users]
    answers = await asyncio.gather(*(client.patch(path_of(group), operation) for operation in operations))
    assert [answer.status for answer in answers] == [204] * len(operations)
    members = await members_of(client, group)
    assert set(members) <= {user["id"] for user in users}
    for user in users:
        assert await groups_of(client, user) == ([group["id"]] if user["id"] in members else []), members
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


@pytest.mark.parametrize("seen", [0, 1], ids=["before it looks", "between two looks"])
async def test_an_addition_while_a_removal_looks_for_the_edges(client: Client, wire: Wire, seen: int) -> None:
    """A removal of no member is refused and looks which edges there are; somebody adds the member in that moment."""
    user = await client.new_user("ann")
    group = await new_group(client, "Group")
    looks: list[Request] = []
    additions: list[asyncio.Task[Response]] = []

    def is_look(request: Request) -> bool:
        url = request.http_request.url
        return request.http_request.method == "GET" and user["id"] in url and group["id"] in url

    def add(request: Request) -> None:
        if is_look(request) and not additions:
            additions.append(asyncio.create_task(client.patch(path_of(group), adding(user["id"]))))

    def look(request: Request) -> Exception | None:
        if is_look(request):
            looks.append(request)
            if len(looks) > seen:
                if not seen:
                    add(request)
                if not (additions and additions[0].done()):
                    return ServiceRequestError("not yet: the SDK tries again a little later")
        return None

    wire.before, wire.after = look, add
    removed = await client.patch(path_of(group), removing(user["id"]))
    assert (removed.status, (await additions[0]).status) == (204, 204)
    wire.reset()
    members = await members_of(client, group)
    assert await groups_of(client, user) == ([group["id"]] if members == [user["id"]] else []), members


async def test_a_concurrent_rename_and_concurrent_adds_all_survive(client: Client, application: Application) -> None:
    group = await new_group(client, "Old", "m-1")
    ids = [f"n-{number:02}" for number in range(20)]
    external = {"op": "replace", "path": "externalId", "value": "e-2"}
    answers = await asyncio.gather(
        *(client.patch(path_of(group), adding(id)) for id in ids[:10]),
        client.patch(path_of(group), renaming("New")),
        *(client.patch(path_of(group), adding(id)) for id in ids[10:]),
        client.patch(path_of(group), external, removing("m-1")),
    )
    assert [answer.status for answer in answers] == [204] * 22
    kept = (await client.get(path_of(group))).json
    assert (kept["displayName"], kept["externalId"]) == ("New", "e-2")
    assert sorted(member["value"] for member in kept["members"]) == ids
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


async def test_of_concurrent_patches_with_one_if_match_only_one_succeeds(client: Client) -> None:
    group = await new_group(client, "Group")
    condition = {"If-Match": group["meta"]["version"]}
    ids = [f"m-{number}" for number in range(8)]
    answers = await asyncio.gather(*(client.patch(path_of(group), adding(id), headers=dict(condition)) for id in ids))
    assert sorted(answer.status for answer in answers) == [204] + [412] * 7
    assert await members_of(client, group) == [id for id, a in zip(ids, answers, strict=True) if a.status == 204]


async def test_concurrent_patches_that_match_any_version_all_succeed(client: Client) -> None:
    """`If-Match: *` asks that the group exists, and it does all the while (RFC 7232 §3.1)."""
    group = await new_group(client, "Group")
    ids = [f"m-{number}" for number in range(8)]
    answers = await asyncio.gather(*(client.patch(path_of(group), adding(id), headers={"If-Match": "*"}) for id in ids))
    assert [answer.status for answer in answers] == [204] * 8
    assert await members_of(client, group) == ids
    expect_error(await client.patch(f"/Groups/{NOBODY}", adding("m-1"), headers={"If-Match": "*"}), 404, None)


@pytest.mark.parametrize(("count", "more"), [(20, []), (3, NEW)], ids=["twenty", "three with many members"])
async def test_of_many_groups_of_one_name_one_is_made_with_its_own_members(
    client: Client, application: Application, count: int, more: list[str]
) -> None:
    users = await asyncio.gather(*(client.new_user(f"user {number}") for number in range(count)))
    bodies = [
        {"displayName": ("Race", "RACE")[i % 2], "members": [{"value": id} for id in [user["id"], *more]]}
        for i, user in enumerate(users)
    ]
    answers = await asyncio.gather(*(client.post("/Groups", body) for body in bodies))
    assert sorted(answer.status for answer in answers) == [201] + [409] * (count - 1)
    assert (await client.get("/Groups?excludedAttributes=members")).json["totalResults"] == 1
    for user, answer in zip(users, answers, strict=True):
        assert await groups_of(client, user) == ([answer.json["id"]] if answer.status == 201 else [])
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


# Tenants, settings.


async def test_no_group_or_member_is_seen_or_reached_from_another_tenant(new_client: NewClient) -> None:
    ours, theirs = new_client(), new_client()
    user = await theirs.new_user("ann")
    group = await new_group(theirs, "Hidden", user["id"], externalId="e-1")
    before = (await theirs.get(path_of(group))).json
    for answer in (
        await ours.get(path_of(group)),
        await ours.patch(path_of(group), adding("m-1")),
        await ours.patch(path_of(group), removing(user["id"])),
        await ours.patch(path_of(group), renaming("Ours"), adding("m-1")),
        await ours.patch(path_of(group), {"op": "remove", "path": "members"}),
        await ours.put(path_of(group), {"displayName": "Ours"}),
        await ours.delete(path_of(group)),
    ):
        expect_error(answer, 404, None)
    mine = await new_group(ours, "Hidden", user["id"], group["id"], externalId="e-1")  # no name is taken, no id foreign
    for filter, found in (
        (f'id eq "{group["id"]}"', []),
        (f'id eq "{group["id"]}" and members eq "{user["id"]}"', []),
        (f'members eq "{user["id"]}"', [mine["id"]]),
        ('displayName eq "hidden" or externalId eq "e-1"', [mine["id"]]),
        ("members pr or id pr or not (members pr)", [mine["id"]]),
    ):
        resources = (await ours.get(query("/Groups", filter))).json["Resources"]
        assert [resource["id"] for resource in resources] == found, filter
    assert (await ours.get(query("/Users", f'groups eq "{group["id"]}" or groups pr'))).json["totalResults"] == 0
    assert await groups_of(theirs, user) == [group["id"]]
    assert (await theirs.get(query("/Groups", f'members eq "{user["id"]}"'))).json["Resources"] == [before]
    assert (await theirs.delete(f"/Users/{user['id']}")).status == 204
    assert await members_of(ours, mine) == sorted([user["id"], group["id"]])
    assert (await ours.delete(path_of(mine))).status == 204
    assert await members_of(theirs, group) == []


async def test_a_setting_has_every_patch_of_a_group_return_it(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    group = await new_group(client, "Group", "m-1")
    application = Application(settings.model_copy(update={"group_patch_returns_resource": True}))
    monkeypatch.setattr(function_app, "application", application)
    try:
        for operations in ([adding("m-2")], [renaming("Renamed"), removing("m-1")], []):
            answer = await client.patch(path_of(group), *operations)
            assert (answer.status, answer.headers["etag"]) == (200, answer.json["meta"]["version"])
            assert answer.json == (await client.get(path_of(group))).json
        assert (answer.json["displayName"], answer.json["members"]) == ("Renamed", [{"value": "m-2"}])
        answer = await client.patch(path_of(group) + "?excludedAttributes=members", adding("m-3"))
        assert (answer.status, answer.json["displayName"], "members" in answer.json) == (200, "Renamed", False)
    finally:
        await application.close()
