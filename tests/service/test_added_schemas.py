"""An extension and a resource type that are two JSON files and no code: everything that users can do, they can."""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

import function_app
from dev.azurite import free_port
from dev.host import Host
from scim.app import Application
from scim.settings import Settings
from tests.support import BASE, USER, Client, Response, Wire

REPOSITORY = Path(__file__).parents[2]
ADDED = REPOSITORY / "tests" / "schema" / "added"
ACME = "urn:example:params:scim:schemas:extension:acme:2.0:User"
DEVICE = "urn:example:params:scim:schemas:core:2.0:Device"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of schema files, as a deployer fills it."""
    return Path(shutil.copytree(ADDED, tmp_path_factory.mktemp("app") / "schemas"))


@pytest.fixture(scope="module")
def line() -> Wire:
    """The watch on the table of the application below."""
    return Wire()


@pytest.fixture(scope="module", autouse=True)
async def acme(settings: Settings, host: Host, folder: Path, line: Wire) -> AsyncIterator[None]:
    """The application with the folder."""
    own = Application(settings.model_copy(update={"schemas_folder": str(folder)}), policies=[line])
    original, function_app.application = function_app.application, own
    yield
    function_app.application = original
    await own.close()


def user(name: str, **acme: object) -> dict[str, Any]:
    return {"schemas": [USER, ACME], "userName": name, ACME: {"badge": f"badge of {name}", **acme}}


def device(serial: str, **attributes: object) -> dict[str, Any]:
    return {"schemas": [DEVICE], "serial": serial, **attributes}


async def make(client: Client, body: dict[str, Any]) -> Any:
    """The resource that a POST makes."""
    endpoint = {USER: "/Users", DEVICE: "/Devices", GROUP: "/Groups"}[body["schemas"][0]]
    answer = await client.post(endpoint, body)
    assert answer.status == 201, answer.body
    return answer.json


def path(resource: Any) -> str:
    location: str = resource["meta"]["location"]
    return location.removeprefix(BASE)


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status, (answer.json or {}).get("scimType")


async def found(client: Client, endpoint: str, filter: str, more: str = "") -> list[str]:
    """The userNames or serials that a filter finds, in the order of the answer."""
    answer = await client.get(f"{endpoint}?filter={quote_plus(filter)}{more}")
    assert answer.status == 200, answer.body
    return [resource.get("userName") or resource["serial"] for resource in answer.json["Resources"]]


# Discovery ------------------------------------------------------------------------------------------------------------


async def test_discovery_shows_what_the_files_say(client: Client) -> None:
    types = {document["id"]: document for document in (await client.get("/ResourceTypes")).json["Resources"]}
    assert types.keys() == {"User", "Group", "Device"}
    assert {"schema": ACME, "required": False} in types["User"]["schemaExtensions"]
    declared = json.loads((ADDED / "device-type.json").read_bytes())
    del declared["storage"]
    meta = {"resourceType": "ResourceType", "location": f"{BASE}/ResourceTypes/Device"}
    assert types["Device"] == {**declared, "meta": meta}
    for urn, name in ((ACME, "acme-user"), (DEVICE, "device")):
        document = (await client.get(f"/Schemas/{urn}")).json
        published = {attribute["name"]: attribute for attribute in document["attributes"]}
        for attribute in json.loads((ADDED / f"{name}.json").read_bytes())["attributes"]:
            came = published.pop(attribute["name"])
            subs = {sub["name"]: sub for sub in came.get("subAttributes", [])}
            for sub in attribute.pop("subAttributes", []):
                assert subs[sub["name"]].items() >= sub.items()
            assert came.items() >= attribute.items()
        assert [*published] == (["id", "externalId"] if urn == DEVICE else [])


# What users can do ----------------------------------------------------------------------------------------------------

WHOLE = {
    "badge": "B-1",
    "site": "Oslo",
    "remote": True,
    "level": 7,
    "quota": 0.8,
    "hired": "2020-02-29T08:00:00.1234567Z",
    "tags": ["first aid", "fire warden"],
    "permits": [{"value": "F-1", "type": "forklift", "weight": 3, "primary": True}, {"value": "C-1", "type": "crane"}],
    "desk": {"floor": 3, "room": "3.14"},
    "clearance": "green",
    "origin": "HR",
}


async def test_an_extension_is_kept_and_given_back(client: Client) -> None:
    made = await make(client, user("adele", **WHOLE))
    assert made[ACME] == WHOLE
    assert made["schemas"] == [USER, ACME]
    assert (await client.get(path(made))).json == made
    (listed,) = (await client.get("/Users")).json["Resources"]
    assert listed == made


async def test_types_are_cast_and_enforced_in_an_extension(client: Client) -> None:
    made = await make(client, user("cast", remote="True", level="7", quota="0.5", tags="one"))
    cast = {"remote": True, "level": 7, "quota": 0.5, "tags": ["one"]}
    assert {name: made[ACME][name] for name in cast} == cast
    for wrong in ({"level": "seven"}, {"level": 7.5}, {"remote": 1}, {"hired": "today"}, {"desk": 5}, {"site": ["x"]}):
        answer = await client.post("/Users", user("wrong", **wrong))
        assert outcome(answer) == (400, "invalidValue"), wrong
        assert f"{ACME}:{next(iter(wrong))}" in answer.json["detail"]


@pytest.mark.parametrize("form", ["in its container", "by its full name", "without its URN", "in another case"])
async def test_an_extension_attribute_is_known_in_every_form(client: Client, form: str) -> None:
    body = user("form")
    body |= {
        "in its container": {ACME: {"badge": "b", "site": "Lima"}},
        "by its full name": {f"{ACME}:site": "Lima"},
        "without its URN": {"site": "Lima"},
        "in another case": {ACME: {"badge": "b"}, ACME.upper(): {"SITE": "Lima"}},
    }[form]
    if form == "in another case":
        del body[ACME]
        body[ACME.upper()]["BADGE"] = "b"
    assert (await make(client, body))[ACME]["site"] == "Lima"


async def test_a_device_lives_as_a_user_does(client: Client) -> None:
    boss = await client.new_user("boss")
    made = await make(
        client, device("S-1", externalId="e", tag="T", online="true", owner={"value": boss["id"]}, ports="usb0")
    )
    assert made["id"].startswith("d-")
    assert made["meta"]["location"] == f"{BASE}/Devices/{made['id']}"
    assert made["meta"]["resourceType"] == "Device"
    assert made["owner"] == {"value": boss["id"], "$ref": f"{BASE}/Users/{boss['id']}"}
    assert (made["online"], made["ports"], made["schemas"]) == (True, [{"value": "usb0"}], [DEVICE])
    got = await client.get(path(made))
    assert (got.json, got.headers["etag"]) == (made, made["meta"]["version"])
    put = await client.put(path(made), device("S-1", tag="U"))
    assert put.status == 200
    assert put.json.keys() == {"schemas", "id", "serial", "tag", "meta"}
    patched = await client.patch(path(made), {"op": "Replace", "value": {"online": "False", "Serial": "S-2"}})
    assert (patched.status, patched.json["online"], patched.json["serial"]) == (200, False, "S-2")
    for other in ("Users", "Groups"):
        assert (await client.get(f"/{other}/{made['id']}")).status == 404
    assert (await client.delete(path(made))).status == 204
    assert (await client.get(path(made))).status == 404
    assert (await client.get("/Devices")).json["totalResults"] == 0


async def test_a_device_is_a_member_with_its_own_type(client: Client) -> None:
    thing = await make(client, device("S-1"))
    group = await make(client, {"schemas": [GROUP], "displayName": "things", "members": [{"value": thing["id"]}]})
    member = {"value": thing["id"], "$ref": f"{BASE}/Devices/{thing['id']}", "type": "Device"}
    assert (await client.get(path(group))).json["members"] == [member]
    await client.delete(path(thing))
    assert "members" not in (await client.get(path(group))).json


async def test_devices_and_extensions_go_through_bulk(client: Client) -> None:
    operations = [
        {"method": "POST", "path": "/Devices", "bulkId": "d", "data": device("S-1", owner={"value": "bulkId:u"})},
        {"method": "POST", "path": "/Users", "bulkId": "u", "data": user("owner")},
        {"method": "POST", "path": "/Devices", "bulkId": "twin", "data": device("s-1")},
    ]
    results = (await client.post("/Bulk", {"Operations": operations})).json["Operations"]
    status = {result["bulkId"]: result["status"] for result in results}
    assert status == {"u": "201", "d": "201", "twin": "409"}
    (owner,) = (await client.get("/Users")).json["Resources"]
    assert await found(client, "/Devices", f'owner eq "{owner["id"]}"') == ["S-1"]


# Filters, sorting, searching ------------------------------------------------------------------------------------------

PEOPLE = [
    user("ann", badge="A", site="Oslo", level=3, quota=0.5, hired="2020-01-01T00:00:00Z", tags=["x", "y"]),
    user("bob", badge="a", site="OSLO", level=20, quota=1, hired="2020-01-01T01:00:00+01:00", remote=True),
    user("cat", badge="B", site="Lima", level=100, hired="2021-01-01T00:00:00Z", desk={"floor": 1, "room": "r"}),
    user("dan", badge="C", permits=[{"value": "F", "type": "forklift", "weight": 3}, {"value": "K", "type": "crane"}]),
    {"schemas": [USER], "userName": "eve"},
]
FILTERS: list[tuple[str, list[str]]] = [
    ('badge eq "A"', ["ann"]),
    (f'{ACME}:badge eq "a"', ["bob"]),
    (f'{ACME}:badge sw "A"', ["ann"]),
    (f"{ACME}:badge pr", ["ann", "bob", "cat", "dan"]),
    (f'{ACME.upper()}:SITE EQ "oslo"', ["ann", "bob"]),
    (f"{ACME}:level gt 3", ["bob", "cat"]),
    (f'{ACME}:level eq "20"', ["bob"]),
    (f"{ACME}:quota le 0.5", ["ann"]),
    (f'{ACME}:hired eq "2020-01-01T00:00:00Z"', ["ann", "bob"]),
    (f'{ACME}:hired gt "2020-06-01T00:00:00.0000000Z"', ["cat"]),
    (f"{ACME}:remote eq true", ["bob"]),
    (f'{ACME}:tags eq "Y"', ["ann"]),
    (f'{ACME}:desk.room eq "R"', ["cat"]),
    (f'{ACME}:permits[type eq "forklift" and weight ge 3]', ["dan"]),
    (f'{ACME}:permits[type eq "crane" and weight ge 3]', []),
    (f'{ACME}:permits.value eq "K"', ["dan"]),
    (f"not ({ACME}:badge pr)", ["eve"]),
    (f'userName eq "eve" or {ACME}:level eq 100', ["cat", "eve"]),
]


async def test_filters_on_an_extension(client: Client) -> None:
    for person in PEOPLE:
        await make(client, person)
    for filter, names in FILTERS:
        assert sorted(await found(client, "/Users", filter)) == names, filter
    for unknown in (f'{ACME}:shoeSize eq "43"', f'{ACME}:desk.shelf eq "1"', f'{ACME}:permits[holder eq "x"]'):
        answer = await client.get(f"/Users?filter={quote_plus(unknown)}")
        assert outcome(answer) == (400, "invalidFilter"), unknown


SORTS: list[tuple[str, list[str]]] = [
    (f"{ACME}:level", ["ann", "bob", "cat"]),
    (f"{ACME}:hired", ["ann", "cat"]),
    (f"{ACME}:desk.floor", ["cat"]),
    (f"{ACME}:badge", ["ann", "cat", "dan"]),
]


async def test_sorting_by_an_extension_misses_nobody(client: Client) -> None:
    """Those without a value come last, also where the attribute has an index that they are not in."""
    for person in reversed(PEOPLE):
        await make(client, person)
    for attribute, first in SORTS:
        for order in ("ascending", "descending"):
            body = (await client.get(f"/Users?sortBy={attribute}&sortOrder={order}")).json
            names = [resource["userName"] for resource in body["Resources"]]
            assert sorted(names) == ["ann", "bob", "cat", "dan", "eve"], attribute
            assert body["totalResults"] == 5
            ours = [name for name in names if name in first]
            assert ours == (first if order == "ascending" else first[::-1]), attribute


Ask = Callable[[Client, Any], Awaitable[Response]]


def devices(filter: str, more: str = "") -> Ask:
    return lambda c, d: c.get("/Devices?filter=" + quote_plus(filter.format(**d)) + more)


# A look at the census comes before an index that not every version has.
TRIPS: list[tuple[str, Ask, int, int]] = [
    ("by id", devices('id eq "{id}"'), 1, 1),
    ("by unique serial: hit", devices('serial eq "s-1"'), 3, 1),
    ("by unique serial: miss", devices('serial eq "S-3"'), 2, 0),
    ("by looked-up tag: hit", devices('tag eq "T"'), 3, 1),
    ("by looked-up tag: miss", devices('tag eq "t"'), 2, 0),
    ("by owner: hit", devices('owner.value eq "u-x"'), 3, 1),
    ("by owner as a whole", devices('owner eq "u-x"'), 3, 1),
    ("by externalId: miss", devices('externalId eq "x"'), 2, 0),
    ("by no index", devices('model eq "M"'), 1, 1),
    ("a page", lambda c, d: c.get("/Devices"), 2, 2),
    ("sorted by serial", lambda c, d: c.get("/Devices?sortBy=serial&count=1"), 3, 1),
    ("read", lambda c, d: c.get(path(d)), 1, 0),
    ("create", lambda c, d: c.post("/Devices", device("S-9", tag="T", owner={"value": "u-x"})), 1, 0),
]


@pytest.mark.parametrize(("ask", "trips", "hits"), [row[1:] for row in TRIPS], ids=[row[0] for row in TRIPS])
async def test_trips_of_devices(client: Client, line: Wire, ask: Ask, trips: int, hits: int) -> None:
    made = await make(client, device("S-1", tag="T", owner={"value": "u-x"}, model="M"))
    await make(client, device("S-2", tag="U"))
    line.reset()
    answer = await ask(client, made)
    assert answer.status < 300, answer.body
    assert len(answer.json.get("Resources", [])) == hits
    assert len(line.trips) == trips, line.trips


@pytest.mark.parametrize(("value", "trips"), [("Badge", 3), ("badge", 2)])
async def test_a_unique_extension_attribute_is_found_by_its_index(
    client: Client, line: Wire, value: str, trips: int
) -> None:
    await make(client, user("indexed", badge="Badge"))
    line.reset()
    names = await found(client, "/Users", f'{ACME}:badge eq "{value}"', "&attributes=userName")
    assert names == (["indexed"] if value == "Badge" else [])
    assert len(line.trips) == trips, line.trips


async def test_search_by_post_and_at_the_root(client: Client) -> None:
    await make(client, user("ann", level=3))
    for serial in ("S-2", "S-1"):
        await make(client, device(serial))
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"]}
    listed = await client.post("/Devices/.search", {**search, "sortBy": "serial", "attributes": ["serial"]})
    assert [resource["serial"] for resource in listed.json["Resources"]] == ["S-1", "S-2"]
    assert all(resource.keys() == {"schemas", "id", "serial"} for resource in listed.json["Resources"])
    every = (await client.post("/.search", search)).json
    assert sorted(resource["meta"]["resourceType"] for resource in every["Resources"]) == ["Device", "Device", "User"]
    shown = (await client.get(f"/Users?attributes={ACME}:level,{ACME}:desk.floor")).json["Resources"]
    assert shown[0][ACME] == {"level": 3}
    hidden = (await client.get(f"/Users?excludedAttributes={ACME}:badge")).json["Resources"]
    assert hidden[0][ACME] == {"level": 3}


async def test_a_root_filter_may_name_attributes_of_several_types(client: Client) -> None:
    """For a type that lacks it an attribute has no value (RFC 7644 §3.4.2.1); only what no type has is refused."""
    await make(client, user("ann", level=3))
    await make(client, device("S-1"))
    for filter, types in [
        ('serial eq "S-1"', ["Device"]),
        (f"{ACME}:level eq 3", ["User"]),
        ('serial eq "S-1" or userName eq "ann"', ["Device", "User"]),
        (f'serial eq "S-1" or {ACME}:level eq 3', ["Device", "User"]),
    ]:
        answer = await client.get("/?filter=" + quote_plus(filter))
        assert answer.status == 200, answer.body
        assert sorted(resource["meta"]["resourceType"] for resource in answer.json["Resources"]) == types
    answer = await client.get("/?filter=" + quote_plus('serial eq "S-1" or shoeSize eq 43'))
    assert outcome(answer) == (400, "invalidFilter")


# PATCH ----------------------------------------------------------------------------------------------------------------

FORKLIFT = {"value": "F", "type": "forklift"}
PATCHES: list[tuple[str, list[dict[str, Any]], dict[str, Any]]] = [
    ("a value", [{"op": "add", "path": f"{ACME}:level", "value": "8"}], {"level": 8}),
    ("by the plain name", [{"op": "replace", "path": "site", "value": "Lima"}], {"site": "Lima"}),
    ("without a path", [{"op": "replace", "value": {f"{ACME}:remote": "False"}}], {"remote": False}),
    (
        "the container",
        [{"op": "add", "path": ACME, "value": {"level": 9, "site": "Lima"}}],
        {"level": 9, "site": "Lima"},
    ),
    ("the container without a path", [{"op": "add", "value": {ACME: {"quota": 1}}}], {"quota": 1}),
    (
        "a sub-attribute",
        [{"op": "add", "path": f"{ACME}:desk.room", "value": "r"}],
        {"desk": {"floor": 1, "room": "r"}},
    ),
    ("more of a list", [{"op": "add", "path": f"{ACME}:tags", "value": ["b", "a"]}], {"tags": ["a", "b"]}),
    ("less of a list", [{"op": "remove", "path": f'{ACME}:tags[value eq "a"]'}], {"tags": None}),
    ("another list", [{"op": "replace", "path": f"{ACME}:tags", "value": ["c"]}], {"tags": ["c"]}),
    (
        "behind a value path",
        [{"op": "add", "path": f'{ACME}:permits[type eq "forklift"].weight', "value": 2}],
        {"permits": [{**FORKLIFT, "weight": 2}]},
    ),
    (
        "an element that a value path makes",
        [{"op": "add", "path": f'{ACME}:permits[type eq "crane"].value', "value": "K"}],
        {"permits": [FORKLIFT, {"type": "crane", "value": "K"}]},
    ),
    ("an element removed", [{"op": "remove", "path": f'{ACME}:permits[value eq "F"]'}], {"permits": None}),
    ("a value removed", [{"op": "remove", "path": f"{ACME}:desk"}], {"desk": None}),
]


@pytest.mark.parametrize(("operations", "changed"), [row[1:] for row in PATCHES], ids=[row[0] for row in PATCHES])
async def test_patches_of_an_extension(client: Client, operations: list[Any], changed: dict[str, Any]) -> None:
    start = {"badge": "B", "site": "Oslo", "desk": {"floor": 1}, "tags": ["a"], "permits": [FORKLIFT]}
    made = await make(client, user("patched", **start))
    answer = await client.patch(path(made), *operations)
    assert answer.status == 200, answer.body
    assert answer.json[ACME] == {name: value for name, value in {**start, **changed}.items() if value is not None}
    assert (await client.get(path(made))).json == answer.json


# Characteristics ------------------------------------------------------------------------------------------------------

PIN, HINT, NOTES = "correct horse", "battery staple", "kept apart"
SECRETS = {"pin": PIN, "hint": HINT, "notes": NOTES}


async def test_returned_in_reads(client: Client) -> None:
    """`never` and write-only are nowhere, `request` only where it is named, `always` everywhere."""
    permits = [{"value": "F", "checksum": "c"}]
    desk = {"floor": 1, "plan": "p"}
    made = await make(client, user("shown", clearance="red", level=1, permits=permits, desk=desk, **SECRETS))
    for query, shown in [
        ("", {"badge", "clearance", "level", "permits", "desk"}),
        ("?attributes=userName", {"clearance"}),
        (f"?attributes={ACME}:level", {"clearance", "level"}),
        (f"?attributes={ACME}:notes,{ACME}:pin,{ACME}:hint", {"clearance", "notes"}),
        (f"?excludedAttributes={ACME}:clearance,{ACME}:level", {"badge", "clearance", "permits", "desk"}),
    ]:
        for answer in (await client.get(path(made) + query), await client.get("/Users" + query)):
            body = answer.json.get("Resources", [answer.json])[0]
            assert body[ACME].keys() == shown, query
            for secret in (PIN, HINT):
                assert secret not in answer.body.decode()


async def test_returned_in_sub_attributes(client: Client) -> None:
    made = await make(client, user("subs", permits=[{"value": "F", "checksum": "c"}], desk={"floor": 1, "plan": "p"}))
    for query in ("", f"?attributes={ACME}:permits,{ACME}:desk", f"?excludedAttributes={ACME}:permits.type"):
        came = (await client.get(path(made) + query)).json[ACME]
        assert came["permits"] == [{"value": "F"}], query
        assert came["desk"] == {"floor": 1}, query
    asked = (await client.get(path(made) + f"?attributes={ACME}:desk.plan,{ACME}:permits.checksum")).json[ACME]
    assert asked["desk"] == {"plan": "p"}
    assert "c" not in json.dumps(asked.get("permits", []))


async def test_returned_on_request_is_given_back_to_who_writes_it(client: Client) -> None:
    """RFC 7643 §7: in the answer to a POST, PUT or PATCH that named it, and to no other."""
    made = await make(client, user("asks", notes=NOTES))
    assert made[ACME]["notes"] == NOTES
    put = await client.put(path(made), user("asks", notes="new"))
    assert put.json[ACME]["notes"] == "new"
    patched = await client.patch(path(made), {"op": "replace", "path": f"{ACME}:notes", "value": "newer"})
    assert patched.json[ACME]["notes"] == "newer"
    other = await client.patch(path(made), {"op": "replace", "path": f"{ACME}:level", "value": 5})
    assert "notes" not in other.json[ACME]


@pytest.mark.parametrize("name", ["pin", "hint"])
async def test_what_is_written_only_is_not_filtered_or_sorted_by(client: Client, name: str) -> None:
    """Else a client that may only read could find it out letter by letter."""
    await make(client, user("secret", **SECRETS))
    for query in (f"filter={ACME}:{name}+sw+%22{SECRETS[name][:1]}%22", f"sortBy={ACME}:{name}"):
        answer = await client.get(f"/Users?{query}")
        assert answer.status == 400, query


async def test_required_in_an_extension_that_is_used(client: Client) -> None:
    without = {"schemas": [USER, ACME], "userName": "without", ACME: {"level": 1}}
    answer = await client.post("/Users", without)
    assert outcome(answer) == (400, "invalidValue")
    assert f"{ACME}:badge" in answer.json["detail"]
    plain = await client.new_user("plain")
    made = await make(client, user("with", level=1))
    for refused in (
        await client.put(path(made), {**without, "userName": "with"}),
        await client.patch(path(made), {"op": "remove", "path": f"{ACME}:badge"}),
        await client.patch(path(made), {"op": "replace", "path": f"{ACME}:badge", "value": ""}),
        await client.patch(path(plain), {"op": "add", "path": f"{ACME}:level", "value": 1}),
    ):
        assert refused.status == 400
        assert "badge" in refused.json["detail"]
    assert (await client.get(path(made))).json == made
    assert (await client.patch(path(made), {"op": "remove", "path": ACME})).status == 200


async def test_required_sub_attribute(client: Client) -> None:
    answer = await client.post("/Users", user("desk", desk={"room": "r"}))
    assert outcome(answer) == (400, "invalidValue")
    assert "desk.floor" in answer.json["detail"]


async def test_required_extension(client: Client, settings: Settings, tmp_path: Path, monkeypatch: Any) -> None:
    folder = Path(shutil.copytree(ADDED, tmp_path / "schemas"))
    extension = "urn:example:params:scim:schemas:extension:acme:2.0:Device"
    attributes = [{"name": "asset", "required": True}, {"name": "room"}]
    (folder / "more.json").write_text(json.dumps({"id": extension, "name": "AcmeDevice", "attributes": attributes}))
    document = json.loads((ADDED / "device-type.json").read_bytes())
    document["schemaExtensions"] = [{"schema": extension, "required": True}]
    (folder / "device-type.json").write_text(json.dumps(document))
    own = Application(settings.model_copy(update={"schemas_folder": str(folder)}))
    monkeypatch.setattr(function_app, "application", own)
    try:
        whole = device("S-1", **{extension: {"asset": "A-1"}})
        made = await make(client, whole)
        assert made["schemas"] == [DEVICE, extension]
        for answer in (
            await client.post("/Devices", device("S-2")),
            await client.put(path(made), device("S-1")),
            await client.patch(path(made), {"op": "remove", "path": extension}),
        ):
            assert answer.status == 400
            assert extension in answer.json["detail"]
    finally:
        await own.close()


IMMUTABLE = [("User", f"{ACME}:origin"), ("Device", "model")]


@pytest.mark.parametrize(("type", "name"), IMMUTABLE, ids=["in an extension", "in a core schema"])
async def test_immutable(client: Client, type: str, name: str) -> None:
    """Set once, by a POST, a PATCH or a PUT; then only said again."""
    plain = name.rpartition(":")[2]

    def body(value: str | None) -> dict[str, Any]:
        given = {plain: value} if value else {}
        return user("u", **given) if type == "User" else device("S", **given)

    def value(resource: Any) -> object:
        return (resource[ACME] if type == "User" else resource).get(plain)

    made = await make(client, body(None))
    once = await client.put(path(made), body("first"))
    assert once.status == 200, once.body
    assert value(once.json) == "first"
    assert (await client.put(path(made), body("first"))).status == 200
    for refused in (
        await client.put(path(made), body("second")),
        await client.patch(path(made), {"op": "replace", "path": name, "value": "second"}),
        await client.patch(path(made), {"op": "add", "value": {name: "second"}}),
        await client.patch(path(made), {"op": "remove", "path": name}),
    ):
        assert outcome(refused) == (400, "mutability")
        assert plain in refused.json["detail"]
    assert value((await client.get(path(made))).json) == "first"
    assert (await client.patch(path(made), {"op": "replace", "path": name, "value": "first"})).status == 200
    left_out = await client.put(path(made), body(None))
    assert outcome(left_out) == (400, "mutability") or value(left_out.json) == "first"
    other = await make(
        client, body(None) | ({"userName": "o", ACME: {"badge": "o"}} if type == "User" else device("O"))
    )
    added = await client.patch(path(other), {"op": "add", "path": name, "value": "late"})
    assert (added.status, value(added.json)) == (200, "late")


async def test_read_only(client: Client) -> None:
    """Ignored in a whole resource, refused where it is the target (RFC 7644 §3.3, §3.5.1, §3.5.2)."""
    made = await make(client, user("readonly", synced="by me"))
    assert "synced" not in made[ACME]
    put = await client.put(path(made), user("readonly", synced="by me"))
    assert (put.status, "synced" in put.json[ACME]) == (200, False)
    for op in ("add", "replace", "remove"):
        answer = await client.patch(path(made), {"op": op, "path": f"{ACME}:synced", "value": "by me"})
        assert outcome(answer) == (400, "mutability")


UNIQUE: list[tuple[str, Callable[[str], dict[str, Any]], str, bool]] = [
    ("badge", lambda value: user(f"user of {value}", badge=value), f"{ACME}:badge", True),
    ("serial", device, "serial", False),
]


@pytest.mark.parametrize(("body", "name", "exact"), [row[1:] for row in UNIQUE], ids=[row[0] for row in UNIQUE])
async def test_unique(client: Client, body: Callable[[str], dict[str, Any]], name: str, exact: bool) -> None:
    first, second = await make(client, body("Taken")), await make(client, body("mine"))
    endpoint = path(first).rpartition("/")[0]
    taken = body("Taken") | ({"userName": "somebody else"} if exact else {})
    for answer in (
        await client.post(endpoint, taken),
        await client.put(path(second), taken),
        await client.patch(path(second), {"op": "replace", "path": name, "value": "Taken"}),
        await client.patch(path(second), {"op": "replace", "value": {name: "Taken"}}),
    ):
        assert outcome(answer) == (409, "uniqueness")
        assert name in answer.json["detail"]
    assert (await client.get(path(second))).json == second
    cased = await client.patch(path(second), {"op": "replace", "path": name, "value": "TAKEN"})
    assert cased.status == (200 if exact else 409)
    assert (await client.put(path(first), body("Taken"))).status == 200
    await client.delete(path(first))
    assert (await client.patch(path(second), {"op": "replace", "path": name, "value": "Taken"})).status == 200


async def test_one_primary_in_an_extension(client: Client) -> None:
    permits = [{"value": "1", "primary": True}, {"value": "2", "primary": True}]
    made = await make(client, user("primary", permits=permits))
    assert [permit["primary"] for permit in made[ACME]["permits"]] == [True, False]
    third = [{"value": "3", "primary": "True"}]
    answer = await client.patch(path(made), {"op": "add", "path": f"{ACME}:permits", "value": third})
    assert [permit["primary"] for permit in answer.json[ACME]["permits"]] == [False, False, True]


# Files that change, and bad files -------------------------------------------------------------------------------------


async def test_what_a_file_no_longer_declares_does_not_break_reading(
    client: Client, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = await make(client, user("before", level=7, site="Oslo"))
    folder = Path(shutil.copytree(ADDED, tmp_path / "schemas"))
    document = json.loads((ADDED / "acme-user.json").read_bytes())
    document["attributes"] = [a for a in document["attributes"] if a["name"] != "level"]
    (folder / "acme-user.json").write_text(json.dumps(document))
    own = Application(settings.model_copy(update={"schemas_folder": str(folder)}))
    monkeypatch.setattr(function_app, "application", own)
    try:
        for answer in (await client.get(path(made)), await client.get("/Users?attributes=userName")):
            assert answer.status == 200, answer.body
        renamed = await client.patch(path(made), {"op": "replace", "path": "userName", "value": "after"})
        assert (renamed.status, renamed.json[ACME]["site"]) == (200, "Oslo")
    finally:
        await own.close()


def bad_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "schemas"
    folder.mkdir()
    (folder / "acme.json").write_text('{"id": "urn:x:2.0:User", "name": "Acme", "attributes": [{"name": "shoe size"}]}')
    return folder


LINE = (
    "urn:x:2.0:User: attribute 'shoe size' is no attribute name: begin with a letter, go on with letters, digits,"
    " - _ and $"
)


async def test_a_bad_file_in_a_deployed_app_is_503_and_a_line_in_the_log(
    client: Client,
    settings: Settings,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    own = Application(settings.model_copy(update={"schemas_folder": str(bad_folder(tmp_path))}))
    monkeypatch.setattr(function_app, "application", own)
    with caplog.at_level(logging.ERROR, "scim"):
        for asked in ("/Users", "/ServiceProviderConfig", "/Nothing"):
            answer = await client.get(asked)
            assert (answer.status, answer.headers["retry-after"]) == (503, "30")
            assert answer.json["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
            assert answer.headers["x-request-id"] in answer.json["detail"]
            assert "shoe" not in answer.body.decode()
    assert len(caplog.records) == 3
    assert all(LINE in record.getMessage() and record.exc_info is None for record in caplog.records)


def test_a_bad_file_stops_the_local_run_with_the_line(tmp_path: Path) -> None:
    for name in ("host.json", "local.settings.sample.json"):
        shutil.copy(REPOSITORY / name, tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
    environment |= {"PORT": str(free_port()), "TABLE_PORT": str(free_port()), "MEMORY": "1"}
    environment |= {"PYTHONPATH": str(REPOSITORY), "SCIM_SCHEMAS_FOLDER": str(bad_folder(tmp_path))}
    run = subprocess.run(
        [sys.executable, "-m", "dev.run"], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=20
    )
    assert (run.returncode, run.stdout) == (1, "")
    assert run.stderr.splitlines()[-1] == LINE
    assert "Traceback" not in run.stderr and "Azurite" not in run.stderr


async def test_a_schema_that_comes_and_goes_leaves_no_index_row_behind(
    application: Application, settings: Settings, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Index rows are known from the resource's row, not from the schemas of the moment."""
    urn = "urn:example:params:scim:schemas:extension:shop:2.0:User"
    attributes = [{"name": "locker", "uniqueness": "server"}, {"name": "size", "type": "integer"}]
    (tmp_path / "shop.json").write_text(json.dumps({"id": urn, "name": "Shop", "attributes": attributes}))
    declared = Application(settings.model_copy(update={"schemas_folder": str(tmp_path)}), table=application.table)

    early = await client.new_user("early", **{urn: {"locker": "L1", "size": "big"}})
    twin = await client.new_user("twin", **{urn: {"locker": "L1"}})
    monkeypatch.setattr(function_app, "application", declared)
    assert (await client.get(f"/Users?filter={urn}:size+gt+1")).json["totalResults"] == 0
    assert (await client.get(f"/Users?sortBy={urn}:size")).status == 200
    for user in (early, twin):  # both have L1, and both can still be disabled
        patch = {"op": "replace", "path": "active", "value": False}
        assert (await client.patch(f"/Users/{user['id']}", patch)).status == 200
    late = await client.new_user("late", **{urn: {"locker": "L2"}})
    move = {"op": "replace", "path": f"{urn}:locker", "value": "L2"}
    assert (await client.patch(f"/Users/{early['id']}", move)).status == 409
    monkeypatch.setattr(function_app, "application", application)
    assert (await client.delete(f"/Users/{late['id']}")).status == 204
    monkeypatch.setattr(function_app, "application", declared)
    assert (await client.patch(f"/Users/{early['id']}", move)).status == 200
    assert (await client.post("/Users", {"userName": "third", urn: {"locker": "L2"}})).status == 409


async def test_types_that_disagree_on_what_a_name_holds_are_sorted_all_the_same(
    client: Client, settings: Settings, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    added = Path(shutil.copytree(folder, tmp_path / "schemas"))
    schema = json.loads((added / "device.json").read_text())
    schema["attributes"].append({"name": "title", "type": "integer"})
    (added / "device.json").write_text(json.dumps(schema))
    own = Application(settings.model_copy(update={"schemas_folder": str(added)}))
    monkeypatch.setattr(function_app, "application", own)
    await make(client, {**user("a"), "title": "Engineer"})
    await make(client, {**device("1"), "title": 5})
    answer = await client.get("/?sortBy=title")
    await own.close()
    assert answer.status == 200, answer.body
    assert [found["title"] for found in answer.json["Resources"]] == [5, "Engineer"]
