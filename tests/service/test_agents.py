"""Agents, devices and marked users: optional schema files, and no code for what they can do."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pytest

import function_app
from dev.credentials import new_key
from dev.host import Host
from scim.app import Application
from scim.schema.loading import load
from scim.security.connections import read_connection
from scim.settings import Settings
from tests.support import BASE, USER, Client

OPTIONAL = Path(__file__).parents[2] / "optional-schemas"
AGENT = "urn:ietf:params:scim:schemas:core:2.0:Agent"
MARKED = "urn:ietf:params:scim:schemas:extension:agent:2.0:User"


@pytest.fixture(scope="module", autouse=True)
async def agents(settings: Settings, host: Host, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[None]:
    """The application with agents, devices and marked users, as a deployer copies the files."""
    folder = tmp_path_factory.mktemp("app") / "schemas"
    folder.mkdir()
    for name in ("agents", "devices", "agent-users"):
        for file in (OPTIONAL / name).glob("*.json"):
            shutil.copy(file, folder)
    own = Application(settings.model_copy(update={"schemas_folder": str(folder)}))
    original, function_app.application = function_app.application, own
    yield
    function_app.application = original
    await own.close()


@pytest.fixture
async def limited(settings: Settings, host: Host) -> AsyncIterator[Client]:
    """An agent platform, whose connection may use agents and groups alone."""
    key = new_key("agents-only")
    document = {"tenant": "agents-only", "keys": [key], "types": ["Agent", "Group"]}
    full = new_key("agents-too")
    connections = {"agents-only": document, "agents-too": {"tenant": "agents-only", "keys": [full]}}
    made = {name: read_connection(name, each) for name, each in connections.items()}
    before = function_app.application
    own = Application(before._built().settings.model_copy(update={"connections": made}))
    function_app.application = own
    client = Client(host, "agents-only", full)
    await make_user(client, "ada")
    yield Client(host, "agents-only", key)
    function_app.application = before
    await own.close()


async def make_user(client: Client, name: str, **more: Any) -> str:
    answer = await client.post("/Users", {"schemas": [USER], "userName": name, **more})
    assert answer.status == 201, answer.body
    return str(answer.json["id"])


async def make_agent(client: Client, name: str, owners: list[Any], **more: Any) -> Any:
    answer = await client.post("/Agents", {"schemas": [AGENT], "agentUserName": name, "owners": owners, **more})
    assert answer.status == 201, answer.body
    return answer.json


def url(id: str, endpoint: str = "Users") -> str:
    return f"{BASE}/{endpoint}/{id}"


async def find(client: Client, endpoint: str, filter: str) -> list[str]:
    """Return the ids of what a filter finds."""
    answer = await client.get(f"{endpoint}?filter={quote_plus(filter)}")
    return [one["id"] for one in answer.json["Resources"]]


async def test_every_reference_has_our_ref(client: Client) -> None:
    ada = await make_user(client, "ada")
    agent = await make_agent(client, "bot", [{"value": ada, "$ref": "https://evil.example/Users/1"}])
    shown = [{"value": ada, "$ref": url(ada)}]
    assert agent["owners"] == shown
    read = await client.get(f"/Agents/{agent['id']}")
    listed = await client.get("/Agents?filter=agentUserName+eq+%22bot%22")
    assert read.json["owners"] == listed.json["Resources"][0]["owners"] == shown
    changed = await client.put(f"/Agents/{agent['id']}", read.json)
    assert changed.json["meta"] == read.json["meta"]


FOREIGN = {"value": "emp-42", "$ref": "https://hr.example/people/emp-42"}


async def test_a_value_that_is_not_ours_keeps_its_ref(client: Client) -> None:
    assert (await make_agent(client, "foreign", [FOREIGN]))["owners"] == [FOREIGN]


async def test_a_reference_may_be_named_by_its_ref_alone(client: Client) -> None:
    ada, bob, eve = [await make_user(client, name) for name in ("ada1", "bob1", "eve1")]
    agent = await make_agent(client, "by-ref", [{"$ref": url(ada)}, {"$REF": f"../Users/{bob}"}])
    assert [owner["value"] for owner in agent["owners"]] == [ada, bob]
    for filter in (
        f'owners.value eq "{ada}"',
        f'owners[value eq "{bob}"]',
        f'owners.$ref eq "{url(bob)}"',
        f'owners[$ref eq "{url(ada)}"]',
    ):
        assert await find(client, "/Agents", filter) == [agent["id"]], filter
    path = f"/Agents/{agent['id']}"
    steps: list[tuple[dict[str, Any], list[str]]] = [
        ({"op": "add", "path": "owners", "value": [{"$ref": url(eve)}, {"$ref": url(ada)}]}, [ada, bob, eve]),
        ({"op": "remove", "path": f'owners[$ref eq "{url(bob)}"]'}, [ada, eve]),
        ({"op": "remove", "path": "owners", "value": [{"$ref": url(eve)}]}, [ada]),
        ({"op": "add", "value": {"owners": [{"$ref": url(bob)}]}}, [ada, bob]),
        ({"op": "replace", "path": "owners", "value": {"$ref": url(eve)}}, [eve]),
    ]
    for operation, left in steps:
        answer = await client.patch(path, operation)
        assert [(o["value"], o["$ref"]) for o in answer.json["owners"]] == [(id, url(id)) for id in left], operation
    put = await client.put(path, {"schemas": [AGENT], "agentUserName": "by-ref", "owners": [{"$ref": url(ada)}]})
    assert put.json["owners"] == [{"value": ada, "$ref": url(ada)}]


@pytest.mark.parametrize(
    "reference", ["https://evil.example/scim/Users/{}", "//evil.example/Users/{}", "{}", f"{BASE}/Groups/{{}}"]
)
async def test_a_ref_that_is_not_below_the_tenant_url_names_nobody_of_ours(client: Client, reference: str) -> None:
    id = await make_user(client, f"ada {reference[:14]}")
    sent = {"$ref": reference.format(id)}
    agent = await make_agent(client, f"bot {reference[:14]}", [sent])
    assert agent["owners"] == [sent]


async def test_references_of_an_extension_and_in_bulk(client: Client) -> None:
    ada = await make_user(client, "ada2")
    marked = {MARKED: {"kind": "agent", "sponsor": {"$ref": url(ada)}}}
    bot = await make_user(client, "bot2", schemas=[USER, MARKED], **marked)
    sponsor = (await client.get(f"/Users/{bot}")).json[MARKED]["sponsor"]
    assert sponsor == {"value": ada, "$ref": url(ada)}
    assert await find(client, "/Users", f'{MARKED}:sponsor.value eq "{ada}"') == [bot]
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [
            {"method": "POST", "path": "/Users", "bulkId": "u", "data": {"schemas": [USER], "userName": "new2"}},
            {
                "method": "POST",
                "path": "/Agents",
                "bulkId": "a",
                "data": {
                    "schemas": [AGENT],
                    "agentUserName": "new-bot",
                    "owners": [{"value": "bulkId:u"}, {"$ref": url(ada)}],
                },
            },
            {
                "method": "POST",
                "path": "/Groups",
                "bulkId": "g",
                "data": {"displayName": "mixed", "members": [{"value": "bulkId:u"}, {"value": "bulkId:a"}]},
            },
        ],
    }
    answer = await client.post("/Bulk", body)
    assert [one["status"] for one in answer.json["Operations"]] == ["201"] * 3, answer.body
    new, agent, group = (one["location"].rpartition("/")[2] for one in answer.json["Operations"])
    owners = (await client.get(f"/Agents/{agent}")).json["owners"]
    assert owners == [{"value": new, "$ref": url(new)}, {"value": ada, "$ref": url(ada)}]
    members = (await client.get(f"/Groups/{group}")).json["members"]
    assert {(one["type"], one["$ref"]) for one in members} == {("User", url(new)), ("Agent", url(agent, "Agents"))}
    assert [one["value"] for one in (await client.get(f"/Agents/{agent}")).json["groups"]] == [group]


async def test_a_manager_is_named_by_its_ref_too(client: Client) -> None:
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    ada, bob = await make_user(client, "ada3"), await make_user(client, "bob3")
    eve = await make_user(client, "eve3", **{enterprise: {"manager": {"$ref": url(ada)}}})
    assert (await client.get(f"/Users/{eve}")).json[enterprise]["manager"] == {"value": ada, "$ref": url(ada)}
    for path in ("manager.$ref", f"{enterprise}:manager"):
        value = url(bob) if path.endswith("$ref") else {"$ref": url(ada)}
        answer = await client.patch(f"/Users/{eve}", {"op": "replace", "path": path, "value": value})
        expected = bob if path.endswith("$ref") else ada
        assert answer.json[enterprise]["manager"] == {"value": expected, "$ref": url(expected)}


def find_member_types(folder: Path | None) -> set[tuple[str, ...]]:
    (group,) = [t for t in load(folder).resource_types if t.name == "Group"]
    subs = {sub.name: sub for sub in group.core_attributes["members"].sub_attributes}
    return {subs["$ref"].reference_types, subs["type"].canonical_values}


def test_the_schema_of_groups_names_the_types_that_are_loaded() -> None:
    assert find_member_types(None) == {("User", "Group")}
    assert find_member_types(OPTIONAL / "agents") == {("User", "Group", "Agent")}
    assert find_member_types(OPTIONAL / "devices") == {("User", "Group")}


@pytest.mark.parametrize("name", sorted(folder.name for folder in OPTIONAL.iterdir() if folder.is_dir()))
def test_optional_files_load_by_themselves(name: str) -> None:
    assert len(load(OPTIONAL / name).resource_types) >= 2


async def test_a_connection_for_some_types_is_refused_the_others(limited: Client) -> None:
    agent = await make_agent(limited, "bot", [])
    for method, path in (
        *(("GET", "/Users"), ("POST", "/Users"), ("GET", "/Users/u-x"), ("PUT", "/Users/u-x"), ("PATCH", "/Users/u-x")),
        *(("DELETE", "/Users/u-x"), ("POST", "/Users/.search"), ("GET", "/Devices")),
    ):
        answer = await limited.request(method, path, {"userName": "x"} if method in ("POST", "PUT", "PATCH") else None)
        assert answer.status == 403 and "is for Agent, Group" in answer.json["detail"], (method, path)
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": str(n), "data": {"schemas": [USER], "userName": f"u{n}"}}
        for n in range(3)
    ]
    operations.append({"method": "PATCH", "path": f"/Agents/{agent['id']}", "data": {"Operations": []}})
    answer = await limited.post("/Bulk", {"Operations": operations})
    assert [one["status"] for one in answer.json["Operations"]][:3] == ["403"] * 3
    found = await limited.get("/")
    assert [one["meta"]["resourceType"] for one in found.json["Resources"]] == ["Agent"]
    assert (await limited.post("/Groups", {"displayName": "g", "members": [{"value": agent["id"]}]})).status == 201
