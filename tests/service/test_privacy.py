"""What answers must not leave behind: in caches, in URLs, or in storage."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from tests.core import cases
from tests.support import USER, Client

SECRET = "correct horse battery staple"
ACME = "urn:acme:1.0:User"
BODIES: dict[str, dict[str, Any]] = {
    "attribute": {ACME: {"password": SECRET}},
    "path": {f"{ACME}:password": SECRET},
    "path with an object": {f"{ACME}:password": {"value": SECRET}},
    "capitals": {ACME: {"PassWord": SECRET}},
    "longer name": {ACME: {"userPassword": SECRET, "initialPASSWORD": [SECRET]}},
    "nested": {ACME: {"account": {"login": {"password": SECRET}}}},
    "in a list": {ACME: {"accounts": [{"name": "a", "password": SECRET}, [{"password": {"is": SECRET}}]]}},
    "beside others": {ACME: {"badge": "7", "password": SECRET}},
}


async def assert_forgotten(client: Client, id: str, *answers: object) -> None:
    read = [(await client.get(path)).json for path in (f"/Users/{id}", "/Users", f"/Users/{id}?attributes={ACME}")]
    assert SECRET not in json.dumps([*answers, *read])


@pytest.mark.parametrize("body", cases(BODIES))
async def test_password_under_a_urn_of_somebodys_own_is_forgotten(client: Client, body: dict[str, Any]) -> None:
    made = await client.new_user("adele", **body)
    await assert_forgotten(client, made["id"], made)
    replaced = await client.put(f"/Users/{made['id']}", {"schemas": [USER], "userName": "adele", **body})
    patched = await client.patch(f"/Users/{made['id']}", {"op": "add", "value": body})
    assert (replaced.status, patched.status) == (200, 200)
    await assert_forgotten(client, made["id"], replaced.json, patched.json)


PATHS = {
    "attribute": (f"{ACME}:password", SECRET),
    "extension": (ACME, {"password": SECRET}),
    "object": (f"{ACME}:account", {"password": SECRET}),
    "element": (f'{ACME}:accounts[name eq "a"]', {"password": SECRET}),
    "inside of an element": (f'{ACME}:accounts[name eq "a"].password', SECRET),
}


@pytest.mark.parametrize("op", ["add", "replace"])
@pytest.mark.parametrize(("path", "value"), cases(PATHS))
async def test_password_in_a_patch_is_forgotten(client: Client, op: str, path: str, value: object) -> None:
    made = await client.new_user("adele", **{ACME: {"accounts": [{"name": "a"}], "badge": "7"}})
    patched = await client.patch(f"/Users/{made['id']}", {"op": op, "path": path, "value": value})
    assert patched.status == 200, patched.body
    await assert_forgotten(client, made["id"], patched.json)


async def test_what_stands_beside_a_password_stays(client: Client) -> None:
    kept = {"badge": "7", "passwordPolicy": "none", "empty": [], "accounts": [{"name": "a"}]}
    made = await client.new_user("adele", **{ACME: {**kept, "accounts": [{"name": "a", "password": SECRET}]}})
    assert made[ACME] == {name: value for name, value in kept.items() if value}


async def test_nobody_caches_a_person(client: Client) -> None:
    user = await client.new_user("adele")
    answers = [
        await client.get("/Users"),
        await client.get(f"/Users/{user['id']}"),
        await client.post("/Users/.search", {}),
        await client.post("/Users", {"userName": "adele"}),
        await client.post("/Bulk", {"Operations": []}),
        await client.patch(f"/Users/{user['id']}", {"op": "add", "path": "title", "value": "x"}),
        await client.request("GET", f"/Users/{user['id']}", headers={"Authorization": "Bearer nothing"}),
    ]
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}


SORTS = ["userName", "title", "name.familyName"]


@pytest.mark.parametrize("order", ["ascending", "descending"])
@pytest.mark.parametrize("sort", SORTS)
async def test_cursor_shows_nobody(client: Client, sort: str, order: str) -> None:
    """A cursor stands in a URL, which proxies log: what the last one is ordered by cannot be read in it, as a text or
    decoded, and the walk goes on from it."""
    names = [f"person-{number}@contoso.example" for number in range(5)]
    for name in names:
        await client.new_user(name, title=name, name={"familyName": name})
    seen, cursor = [], ""
    while cursor is not None:
        query = f"/Users?sortBy={sort}&sortOrder={order}&count=2&cursor={cursor}"
        page = (await client.get(query)).json
        seen += [user["userName"] for user in page["Resources"]]
        cursor = page.get("nextCursor")
        raw = base64.urlsafe_b64decode((cursor or "") + "===")
        assert b"person" not in raw and b"contoso" not in raw and b"{" not in raw[:1]
    assert seen == sorted(names, reverse=order == "descending")


async def test_two_cursors_of_one_place_are_not_alike(client: Client) -> None:
    """Or whoever sees two URLs could tell that they stop at the same person."""
    for number in range(3):
        await client.new_user(f"person-{number}")
    pages = [(await client.get("/Users?sortBy=title&count=1&cursor=")).json for _ in range(2)]
    assert pages[0]["nextCursor"] != pages[1]["nextCursor"]
