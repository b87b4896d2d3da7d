"""Members that name nobody: refused wherever they come from, with nothing changed; removals in every shape."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support import BASE, PATCH, Client, Response

A, B, C = (f"u-{letter * 24}" for letter in "abc")
"""Ids of our form. A member need not be there."""

NOBODY: list[Any] = [
    [{}],
    [None],
    [""],
    {},
    [{"value": None}],
    [{"value": ""}],
    [{"value": " "}],
    " ",
    [{"id": A}],
    [{"userName": "ada@contoso.example"}],
    [{"display": "Ada"}],
    [{"type": "User"}],
    [{"$ref": None}],
    [{"value": B}, {"id": A}],
    [{"value": B}, None],
    {"members": [{"id": A}]},
    {"id": A},
]


@pytest.fixture
async def group(client: Client) -> AsyncIterator[Any]:
    """A group of two, which has them still when the test is over."""
    created = await client.post("/Groups", {"displayName": "Crew", "members": [{"value": A}, {"value": B}]})
    yield created.json
    assert await members(client, created.json) == [A, B]


async def members(client: Client, group: Any) -> list[str]:
    shown = (await client.get(f"/Groups/{group['id']}")).json
    return sorted(member["value"] for member in shown.get("members", []))


def expect_named(answer: Response, value: Any) -> None:
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue"), answer.body
    assert "names nobody" in answer.json["detail"]
    assert "members.value is missing" in answer.json["detail"]


@pytest.mark.parametrize("value", [*NOBODY, {"members": [{"value": A}]}], ids=str)
async def test_writing_members_that_name_nobody(client: Client, group: Any, value: Any) -> None:
    path = f"/Groups/{group['id']}"
    body = {"displayName": "Crew", "members": value}
    expect_named(await client.post("/Groups", {**body, "displayName": "Other"}), value)
    expect_named(await client.request("PUT", path, body), value)
    for op in ("Add", "replace"):
        expect_named(await client.patch(path, {"op": op, "path": "members", "value": value}), value)
        expect_named(await client.patch(path, {"op": op, "value": {"members": value}}), value)
        rename = {"op": "replace", "path": "displayName", "value": "Renamed"}
        expect_named(await client.patch(path, rename, {"op": op, "path": "members", "value": value}), value)
    put = {"method": "PUT", "path": path, "data": body}
    patch = {
        "method": "PATCH",
        "path": path,
        "data": {"Operations": [{"op": "add", "path": "members", "value": value}]},
    }
    answer = await client.post("/Bulk", {"Operations": [put, patch]})
    assert [operation["status"] for operation in answer.json["Operations"]] == ["400", "400"]
    assert (await client.get(path)).json["displayName"] == "Crew"


@pytest.mark.parametrize("value", NOBODY, ids=str)
async def test_removing_members_that_name_nobody(client: Client, group: Any, value: Any) -> None:
    path = f"/Groups/{group['id']}"
    expect_named(await client.patch(path, {"op": "Remove", "path": "members", "value": value}), value)
    expect_named(await client.patch(path, {"op": "remove", "value": {"members": value}}), value)


@pytest.mark.parametrize("op", ["add", "replace"])
async def test_an_operation_on_members_without_a_value(client: Client, group: Any, op: str) -> None:
    answer = await client.patch(f"/Groups/{group['id']}", {"op": op, "path": "members"})
    assert (answer.status, answer.json["scimType"]) == (400, "invalidValue")


async def test_an_empty_list_removes_nobody(client: Client, group: Any) -> None:
    listed: dict[str, Any] = {"op": "Remove", "path": "members", "value": []}
    assert (await client.patch(f"/Groups/{group['id']}", listed)).status == 204
    assert (await client.patch(f"/Groups/{group['id']}", {"op": "remove", "value": {"members": []}})).status == 204


async def test_who_is_no_member_is_removed_with_success(client: Client, group: Any) -> None:
    for value in ([{"value": C}], C, f"{BASE}/Users/{C}", [{"value": A.upper()}]):
        assert (
            await client.patch(f"/Groups/{group['id']}", {"op": "remove", "path": "members", "value": value})
        ).status == 204


REMOVED: list[Any] = [
    [{"value": A}],
    {"value": A},
    A,
    [A],
    {"members": [{"value": A}]},
    {"Members": [A]},
    f"{BASE}/Users/{A}",
    [{"value": f"{BASE}/Users/{A}"}],
    [{"$ref": f"{BASE}/Users/{A}"}],
    [{"$ref": f"../Users/{A}", "display": "Ada"}],
    [{"$ref": f"{BASE}/Users/{A}/", "value": None}],
    [f" {A} "],
]


@pytest.mark.parametrize("value", REMOVED, ids=str)
@pytest.mark.parametrize(
    "beside", [[], [{"op": "replace", "path": "displayName", "value": "Renamed"}]], ids=["alone", ""]
)
async def test_shapes_of_a_removal(client: Client, value: Any, beside: list[Any]) -> None:
    created = await client.post("/Groups", {"displayName": "Crew", "members": [{"value": A}, {"value": B}]})
    removal = {"op": "remove", "path": "members", "value": value}
    answer = await client.request(
        "PATCH", f"/Groups/{created.json['id']}", {"schemas": [PATCH], "Operations": [removal, *beside]}
    )
    assert answer.status == 204, answer.body
    assert await members(client, created.json) == [B]


@pytest.mark.parametrize("value", [{}, {"value": None}, {"value": ""}], ids=str)
async def test_a_removal_that_says_nothing_is_of_all(client: Client, value: dict[str, Any]) -> None:
    created = await client.post("/Groups", {"displayName": "Crew", "members": [{"value": A}, {"value": B}]})
    everybody = {"op": "remove", "path": "members", **value}
    assert (await client.patch(f"/Groups/{created.json['id']}", everybody)).status == 204
    assert await members(client, created.json) == []


@pytest.mark.parametrize("written", [f"{BASE}/Users/{C}", f"../Users/{C}", f" {C}\n"], ids=["URL", "path", "blanks"])
async def test_a_member_by_the_url_of_its_resource_is_that_resource(client: Client, written: str) -> None:
    user = await client.new_user("ada@x.example")
    written = written.replace(C, user["id"])
    sent = [{"value": written}]
    made = (await client.post("/Groups", {"displayName": "Crew", "members": sent})).json
    path = f"/Groups/{made['id']}"
    add: dict[str, Any] = {"op": "add", "path": "members", "value": sent}
    removals: list[dict[str, Any]] = [
        {"op": "remove", "path": "members", "value": [written]},
        {"op": "remove", "path": f"members[value eq {json.dumps(written)}]"},
    ]
    for removal in removals:
        assert await members(client, made) == [user["id"]]
        assert (await client.get(f"/Users/{user['id']}")).json["groups"][0]["value"] == made["id"]
        assert (await client.patch(path, removal)).status == 204
        assert await members(client, made) == []
        assert (await client.patch(path, add, removal)).status == 204
        assert await members(client, made) == []
        assert (await client.put(path, {"displayName": "Crew", "members": sent})).status == 200
        assert await members(client, made) == [user["id"]]
        assert (await client.patch(path, {**add, "op": "replace", "value": sent})).status == 204


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "remove", "path": "members.value", "value": A},
        {"op": "Remove", "path": "members.value", "value": [A]},
        {"op": "remove", "path": "members.value", "value": [{"value": A}]},
        {"op": "remove", "path": f'members[value eq "{A}"].value'},
    ],
    ids=str,
)
async def test_a_member_is_its_value(client: Client, group: Any, operation: dict[str, Any]) -> None:
    path = f"/Groups/{group['id']}"
    assert (await client.patch(path, operation)).status == 204
    assert await members(client, group) == [B]
    assert (await client.patch(path, {"op": "add", "path": "members", "value": [A]})).status == 204
    refused = await client.patch(path, {"op": "remove", "path": "members.value"})
    assert (refused.status, refused.json["scimType"]) == (400, "mutability")
