"""Requests as scripts, tools and people send them: nearly right, and answered with what helps."""

from __future__ import annotations

import gzip
import json
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from scim.app import Application
from scim.operate.check import list_problems
from scim.schema.loading import load
from tests.support import ENTERPRISE, Client, Response


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status, (answer.json or {}).get("scimType")


async def found(client: Client, filter: str) -> list[str]:
    answer = await client.get(f"/Users?filter={quote_plus(filter)}")
    assert answer.status == 200, answer.body
    return sorted(user["userName"] for user in answer.json["Resources"])


NEAR_MISSES = {
    "$filter": "filter",
    "filters": "filter",
    "fliter": "filter",
    "Filter[]": "filter",
    "search": "filter",
    "q": "filter",
    "$top": "count",
    "limit": "count",
    "pageSize": "count",
    "page_size": "count",
    "$skip": "startIndex",
    "start_index": "startIndex",
    "startIndx": "startIndex",
    "offset": "startIndex",
    "$orderby": "sortBy",
    "sort-order": "sortOrder",
    "$select": "attributes",
    "attribute": "attributes",
    "excluded_attributes": "excludedAttributes",
    "cursors": "cursor",
    "aadOptscim062020/Users?filter": "filter",
}


@pytest.mark.parametrize(("sent", "meant"), NEAR_MISSES.items())
async def test_a_parameter_that_is_nearly_ours_is_named(client: Client, sent: str, meant: str) -> None:
    answers = [
        await client.get(f"/Users?{quote(sent)}=1"),
        await client.get(f"/?{quote(sent)}=1"),
        await client.post("/Groups/.search", {sent: "1"}),
    ]
    for answer in answers:
        assert outcome(answer) == (400, "invalidValue")
        assert sent.lower() in answer.json["detail"] and f"called {meant} here" in answer.json["detail"]


@pytest.mark.parametrize("name", ["aadOptscim062020", "api-version", "_", "tenant", "account", "FILTER", "STARTINDEX"])
async def test_other_names_and_other_cases_are_no_near_misses(client: Client, name: str) -> None:
    value = quote_plus('userName eq "x"') if name == "FILTER" else "1"
    assert (await client.get(f"/Users?{name}={value}")).status == 200


async def test_a_parameter_with_two_values(client: Client) -> None:
    """Taking either would answer another question."""
    two = {"filter": 'userName eq "a"', "FILTER": 'userName eq "b"'}
    url = "&".join(f"{name}={quote_plus(value)}" for name, value in two.items())
    answers = [
        await client.get(f"/Users?{url}"),
        await client.get("/?count=1&count=2"),
        await client.post("/Users/.search", two),
        await client.post("/.search", {"startIndex": 1, "startindex": 2}),
    ]
    for answer in answers:
        assert outcome(answer) == (400, "invalidValue") and "comes twice" in answer.json["detail"]
    assert (await client.get("/Users?count=1&count=1&x=1&x=2")).status == 200


async def test_an_undeclared_attribute_right_behind_a_version_is_shown(client: Client) -> None:
    urn = "urn:contoso:schemas:extension:1.0"
    user = await client.new_user("old@x.example", title="T", **{f"{urn}:badge": "5"})
    assert user[urn] == {"badge": "5"}
    path = f"/Users/{user['id']}"
    assert (await client.get(f"{path}?attributes={urn}:badge")).json[urn] == {"badge": "5"}
    assert urn not in (await client.get(f"{path}?excludedAttributes={urn}:badge")).json
    answer = await client.patch(path, {"op": "remove", "path": f"{urn}:badge"})
    assert urn not in answer.json and answer.json["title"] == "T"


async def test_a_single_quote_that_other_languages_escape(client: Client) -> None:
    await client.new_user("ada.o'neil@x.example")
    for value in ('"ada.o\\\'neil@x.example"', "'ada.o\\'neil@x.example'"):
        assert await found(client, f"userName eq {value}") == ["ada.o'neil@x.example"]


QUOTED = [
    "'ada o'neil@x.example'",
    "\u2018ada o'neil@x.example\u2019",
    "`ada o'neil@x.example`",
    '"ada o\'neil@x.example"',
]


@pytest.mark.parametrize("value", QUOTED)
async def test_quotes_around_a_value(client: Client, value: str) -> None:
    user = await client.new_user("ada o'neil@x.example", emails=[{"type": "work", "value": "a@x.example"}])
    assert await found(client, f"userName eq {value}") == ["ada o'neil@x.example"]
    quoted = value[0] + "work" + value[-1]
    change = {"op": "replace", "path": f"emails[type eq {quoted}].value", "value": "b@x.example"}
    answer = await client.patch(f"/Users/{user['id']}", change)
    assert answer.json["emails"] == [{"type": "work", "value": "b@x.example"}]
    group = (await client.post("/Groups", {"displayName": "G", "members": [{"value": user["id"]}]})).json
    removal = {"op": "remove", "path": f"members[value eq {value[0]}{user['id']}{value[-1]}]"}
    assert (await client.patch(f"/Groups/{group['id']}", removal)).status == 204
    assert "members" not in (await client.get(f"/Groups/{group['id']}")).json


@pytest.mark.parametrize("name", ["bob", "frank", "nina", "rob", "tom", "ada", "ulla"])
async def test_a_domain_and_a_backslash_that_nobody_escaped(client: Client, name: str) -> None:
    await client.new_user(f"CONTOSO\\{name}", externalId=f"CONTOSO\\{name}")
    for attribute in ("userName", "externalId"):
        for written in (f"CONTOSO\\{name}", f"CONTOSO\\\\{name}"):
            assert await found(client, f'{attribute} eq "{written}"') == [f"CONTOSO\\{name}"]
    assert await found(client, f'userName ne "CONTOSO\\{name}"') == []


DOTTED = f"{ENTERPRISE}.department"


async def test_a_dot_behind_a_urn(client: Client) -> None:
    user = await client.new_user("dot@x.example", **{DOTTED: "Sales", f"{ENTERPRISE}.manager": {"value": "7"}})
    assert user[ENTERPRISE] == {"department": "Sales", "manager": {"value": "7"}}
    for change in ({"op": "replace", "path": DOTTED, "value": "Ops"}, {"op": "replace", "value": {DOTTED: "Ops"}}):
        answer = await client.patch(
            f"/Users/{user['id']}", change, {"op": "add", "path": f"{ENTERPRISE}.manager", "value": "8"}
        )
        assert answer.json[ENTERPRISE]["department"] == "Ops"
        assert answer.json[ENTERPRISE]["manager"]["value"] == "8"
    assert await found(client, f'{DOTTED} eq "ops" and {ENTERPRISE}.manager.value eq "8"') == ["dot@x.example"]
    shown = (await client.get(f"/Users/{user['id']}?attributes={DOTTED}")).json
    assert shown[ENTERPRISE] == {"department": "Ops"}
    put = await client.put(f"/Users/{user['id']}", {"userName": "dot@x.example", DOTTED: "Law"})
    assert put.json[ENTERPRISE] == {"department": "Law"}
    assert await found(client, 'urn:ietf:params:scim:schemas:core:2.0:User.userName sw "dot"') == ["dot@x.example"]


NOBODYS = [
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:Users:department",
    "urn:ietf:params:scim:schemas:extension:enterprise:2.0:Usr",
    "urn:ietf:params:scim:schemas:core:2.0:Users:title",
    "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
    "urn:ietf:params:scim:schemas:core:2.0:Group",
    f"{ENTERPRISE}:shoeSize",
    f"{ENTERPRISE}.shoeSize",
]


@pytest.mark.parametrize("name", NOBODYS)
@pytest.mark.parametrize("value", ["x", {"title": "x"}], ids=["text", "object"])
async def test_what_misses_a_schema_is_not_kept(client: Client, name: str, value: Any) -> None:
    user = await client.new_user("near@x.example", active=True, **{name: value})
    put = await client.put(f"/Users/{user['id']}", {"userName": "near@x.example", "active": True, name: value})
    by_path = await client.patch(f"/Users/{user['id']}", {"op": "add", "path": name, "value": value})
    disable = {"op": "replace", "value": {name: value, "active": "False"}}
    by_key = await client.patch(f"/Users/{user['id']}", disable)
    for shown in (user, put.json, by_path.json, by_key.json):
        assert shown["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:User"]
        assert shown.keys() == {"schemas", "id", "userName", "active", "meta"}
    assert by_key.json["active"] is False


async def test_a_urn_of_users_is_nobodys_on_a_group(client: Client) -> None:
    for name in (f"{ENTERPRISE}:department", "urn:ietf:params:scim:schemas:core:2.0:User:displayName"):
        answer = await client.post("/Groups", {"displayName": name[-20:], name: "x"})
        assert answer.json["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:Group"]
        change = {"op": "add", "path": name, "value": "x"}
        assert (await client.patch(f"/Groups/{answer.json['id']}", change)).status == 204
        shown = (await client.get(f"/Groups/{answer.json['id']}")).json
        assert shown["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:Group"]


@pytest.mark.parametrize("blank", [" ", "\t", "\u00a0", " \n "], ids=ascii)
async def test_a_required_name_is_not_blank(client: Client, blank: str) -> None:
    user = await client.new_user("kept@x.example", displayName=blank)
    group = (await client.post("/Groups", {"displayName": "Kept"})).json
    rename = [{"op": "replace", "path": name, "value": blank} for name in ("userName", "displayName")]
    answers = [
        await client.post("/Users", {"userName": blank}),
        await client.put(f"/Users/{user['id']}", {"userName": blank}),
        await client.patch(f"/Users/{user['id']}", rename[0]),
        await client.post("/Groups", {"displayName": blank}),
        await client.put(f"/Groups/{group['id']}", {"displayName": blank}),
        await client.patch(f"/Groups/{group['id']}", rename[1]),
    ]
    for answer in answers:
        assert outcome(answer) == (400, "invalidValue")
        assert "required" in answer.json["detail"]


async def test_street_names_are_two(client: Client, application: Application) -> None:
    names = ["Straße", "Strasse"]
    for name in names:
        assert (await client.post("/Users", {"userName": name})).status == 201
        assert (await client.post("/Groups", {"displayName": name})).status == 201
    for name in ("STRAßE", "straße", "STRA\u1e9eE"):
        assert (await client.post("/Users", {"userName": name})).status == 409
        assert await found(client, f'userName eq "{name}"') == ["Straße"]
        assert await found(client, f'userName sw "{name[:5]}"') == ["Straße"]
    assert await found(client, 'userName sw "stra"') == sorted(names)
    assert await list_problems(application.table, client.tenant, load()) == []


ADA = {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "ada@x.example"}}


async def test_bulk_may_fail_on_no_errors(client: Client) -> None:
    failing = {"method": "POST", "path": "/Users", "bulkId": "b", "data": {}}
    body = {"failOnErrors": 0, "Operations": [failing, failing | {"bulkId": "c"}, ADA]}
    answer = await client.post("/Bulk", body)
    assert [operation["status"] for operation in answer.json["Operations"]] == ["400", "400", "201"]
    for wrong in (-1, "0", True, 0.5):
        assert outcome(await client.post("/Bulk", {**body, "failOnErrors": wrong})) == (400, "invalidValue")


async def test_bulk_takes_the_operations_of_a_patch_alone(client: Client) -> None:
    user = await client.new_user("eve@x.example")
    changes = [{"op": "add", "path": "title", "value": "x"}, {"op": "replace", "path": "active", "value": "False"}]
    patch = {"method": "PATCH", "path": f"/Users/{user['id']}", "data": changes}
    answer = await client.post("/Bulk", {"Operations": [patch]})
    assert answer.json["Operations"][0]["status"] == "200", answer.body
    shown = (await client.get(f"/Users/{user['id']}")).json
    assert (shown["title"], shown["active"]) == ("x", False)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "GZIP", "identity, gzip"])
async def test_an_encoded_body_is_named(client: Client, encoding: str) -> None:
    body = gzip.compress(json.dumps({"userName": "zip@x.example"}).encode())
    for method, path in (("POST", "/Users"), ("PUT", "/Users/u-1"), ("PATCH", "/Users/u-1"), ("POST", "/Bulk")):
        answer = await client.request(method, path, headers={"content-encoding": encoding}, content=body)
        assert (answer.status, answer.headers["accept-encoding"]) == (415, "identity")
        assert encoding.lower() in answer.json["detail"]


async def test_a_body_that_says_it_is_not_encoded(client: Client) -> None:
    answer = await client.request("POST", "/Users", {"userName": "a@x.example"}, {"Content-Encoding": "identity"})
    assert answer.status == 201


async def test_head_is_get_without_a_body(client: Client) -> None:
    user = await client.new_user("head@x.example")
    for path in (f"/Users/{user['id']}", "/Users", "/Users/u-none", "/ServiceProviderConfig", "/Users?filter=x"):
        get, head = await client.get(path), await client.request("HEAD", path)
        assert (head.status, head.body) == (get.status, b"")
        assert {**head.headers, "x-request-id": ""} == {**get.headers, "x-request-id": ""}
    assert (await client.get(f"/Users/{user['id']}")).headers["etag"]
    answer = await client.request("HEAD", "/Bulk")
    assert (answer.status, answer.body, answer.headers["allow"]) == (405, b"", "POST")
    assert (await client.request("POST", "/ServiceProviderConfig", {})).headers["allow"] == "GET, HEAD"


async def test_a_long_filter_goes_into_a_body(client: Client) -> None:
    await client.new_user("wanted@x.example")
    terms = [f'userName eq "nobody-{number:04}@x.example"' for number in range(400)]
    filter = " or ".join([*terms, 'userName eq "wanted@x.example"'])
    assert 8192 < len(filter) < 65536
    answer = await client.post("/Users/.search", {"filter": filter})
    assert [user["userName"] for user in answer.json["Resources"]] == ["wanted@x.example"]
    answer = await client.get(f"/Users?filter={quote_plus(filter)}")
    assert outcome(answer) == (400, "invalidFilter") and "at most 8192" in answer.json["detail"]
    answer = await client.post("/Users/.search", {"filter": f"{filter} or " + filter * 5})
    assert outcome(answer) == (400, "invalidFilter") and "at most 65536" in answer.json["detail"]
