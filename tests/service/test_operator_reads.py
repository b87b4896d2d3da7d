"""The operator's own application reads its tenants by SCIM, at /tenants/{tenant}/scim, and nobody else does."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any
from urllib.parse import quote

import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.settings import Settings
from tests.conftest import TABLE
from tests.core import cases
from tests.support import USER, Client, Response

ORIGIN = "http://scim.test"
CUSTOMERS = ("op-contoso", "op-fabrikam", "op-litware")
EMPTY = "op-nothing-yet"
OPERATORS: dict[str, dict[str, Any]] = {
    "everywhere": {"tenants": "*", "rights": ["read"]},
    "contosos": {"tenants": ["op-contoso", EMPTY], "rights": ["read", "feed"]},
    "follower": {"tenants": "*", "rights": ["feed"]},
    "master": {"tenants": "*", "rights": ["feed", "read", "manage"]},
}
KEYS = {name: new_key(name) for name in (*CUSTOMERS, *OPERATORS)}
_numbers = count()


@dataclass(frozen=True)
class Door:
    """Sends requests for anybody; what a customer makes is its own tenant's."""

    host: Host

    async def ask(
        self, who: str, method: str, path: str, body: object = None, headers: dict[str, str] | None = None
    ) -> Response:
        """`path` follows the host's name."""
        data = b"" if body is None else json.dumps(body).encode()
        sent = {"Host": "scim.test", "Authorization": f"Bearer {KEYS.get(who, who)}", **(headers or {})}
        if data:
            sent |= {"Content-Type": "application/scim+json", "Content-Length": str(len(data))}
        answer = await self.host.request(method, ORIGIN + path, sent, data)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    async def get(self, who: str, path: str) -> Response:
        return await self.ask(who, "GET", path)

    def customer(self, name: str) -> Client:
        return Client(self.host, name, KEYS[name])


@pytest.fixture(scope="module")
async def application(azurite: Azurite) -> AsyncIterator[Application]:
    connections = {name: {"tenant": name, "keys": [KEYS[name]]} for name in CUSTOMERS}
    connections |= {name: {"operator": operator, "keys": [KEYS[name]]} for name, operator in OPERATORS.items()}
    configured = {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_TENANT_RATE": "0",
        "SCIM_ADDRESS_REFUSALS": "0",
        "SCIM_USAGE_MINUTES": "0",
        "SCIM_INSIGHT_SECONDS": "0",
        "SCIM_FEED_SECONDS": "0",
    }
    application = Application(Settings.from_environment(configured))
    yield application
    await application.close()


@pytest.fixture
def door(application: Application) -> Iterator[Door]:
    original, function_app.application = function_app.application, application
    yield Door(Host(function_app.app))
    function_app.application = original


@pytest.fixture(scope="module")
async def made(application: Application) -> dict[str, Any]:
    """A user and its group in each tenant, by tenant."""
    original, function_app.application = function_app.application, application
    door, made = Door(Host(function_app.app)), {}
    for tenant in CUSTOMERS:
        customer = door.customer(tenant)
        user = await customer.new_user(f"ada@{tenant}.example", externalId="ada")
        group = (await customer.post("/Groups", {"displayName": "all", "members": [{"value": user["id"]}]})).json
        made[tenant] = {"user": (await customer.get(f"/Users/{user['id']}")).json, "group": group}
    function_app.application = original
    return made


def at(tenant: str, path: str = "") -> str:
    return f"/tenants/{tenant}/scim{path}"


# Reading.


@pytest.mark.parametrize("tenant", CUSTOMERS)
async def test_it_reads_what_the_tenants_own_connection_reads(door: Door, made: Any, tenant: str) -> None:
    """But for the addresses, which are the operator's."""
    user, group = made[tenant]["user"], made[tenant]["group"]
    for path in (
        f"/Users/{user['id']}",
        f"/Groups/{group['id']}",
        "/Users",
        '/Users?filter=userName eq "ADA@' + tenant + '.example"',
        f'/Users?filter=groups eq "{group["id"]}"&sortBy=userName',
        "/?count=10",
        "/Groups?excludedAttributes=members",
        "/Schemas",
        "/ResourceTypes/User",
    ):
        path = quote(path, safe="/?=&")
        own, read = await door.get(tenant, f"/scim{path}"), await door.get("everywhere", at(tenant, path))
        assert (own.status, read.status) == (200, 200), (own.body, read.body)
        expected = own.body.decode().replace(f"{ORIGIN}/scim/", f"{ORIGIN}{at(tenant)}/")
        assert json.loads(read.body) == json.loads(expected)
        assert read.headers["cache-control"] == "no-store"
        assert own.headers.get("etag") == read.headers.get("etag")


async def test_links_lead_to_where_the_operator_may_read(door: Door, made: Any) -> None:
    group = (await door.get("everywhere", at("op-contoso", f"/Groups/{made['op-contoso']['group']['id']}"))).json
    for link in (group["meta"]["location"], group["members"][0]["$ref"]):
        assert link.startswith(ORIGIN + at("op-contoso"))
        assert (await door.get("everywhere", link.removeprefix(ORIGIN))).status == 200


async def test_it_reads_by_head_and_by_search(door: Door, made: Any) -> None:
    user = made["op-contoso"]["user"]
    head = await door.ask("everywhere", "HEAD", at("op-contoso", f"/Users/{user['id']}"))
    assert (head.status, head.body) == (200, b"") and head.headers["etag"] == user["meta"]["version"]
    for path in ("/Users/.search", "/.search"):
        found = await door.ask("everywhere", "POST", at("op-contoso", path), {"filter": 'externalId eq "ada"'})
        assert (found.status, found.json["totalResults"]) == (200, 1)
    unchanged = await door.ask(
        "everywhere", "GET", at("op-contoso", f"/Users/{user['id']}"), headers={"If-None-Match": head.headers["etag"]}
    )
    assert unchanged.status == 304


async def test_a_walk_by_cursor_is_one_connections_in_one_tenant(door: Door, made: Any) -> None:
    customer = door.customer("op-contoso")
    for _ in range(3):
        await customer.new_user(f"walker-{next(_numbers)}@contoso.example")
    ids, cursor = [], ""
    while True:
        page = (await door.get("everywhere", at("op-contoso", f"/Users?count=2&cursor={cursor}"))).json
        ids += [user["id"] for user in page["Resources"]]
        if "nextCursor" not in page:
            break
        cursor = page["nextCursor"]
    everybody = (await customer.get("/Users?count=1000")).json["Resources"]
    assert ids == [user["id"] for user in everybody] and len(set(ids)) == len(ids) >= 4
    for who, tenant, status in (
        ("everywhere", "op-contoso", 200),
        ("everywhere", "op-fabrikam", 400),
        ("contosos", "op-contoso", 400),
    ):
        answer = await door.get(who, at(tenant, f"/Users?count=2&cursor={cursor}"))
        assert answer.status == status, answer.body
    assert (await customer.get(f"/Users?count=2&cursor={cursor}")).json["scimType"] == "invalidCursor"


async def test_a_page_has_up_to_a_thousand(door: Door, made: Any) -> None:
    path = at("op-contoso", "/Users?cursor=&count=")
    assert (await door.get("everywhere", f"{path}1000")).status == 200
    assert (await door.get("everywhere", f"{path}1001")).json["scimType"] == "invalidCount"


async def test_reading_leaves_nothing_in_the_tenant(door: Door, made: Any, application: Application) -> None:
    async def rows() -> list[str]:
        pages = application.table.pages("op-contoso", "", "\uffff")
        return [f"{row.key} {row.etag}" async for page in pages for row in page]

    before = await rows()
    for path in (
        "/Users?startIndex=2&count=1",
        "/Users?count=1&filter=title+pr+or+userName+pr",
        "/Users?cursor=&count=1",
    ):
        assert (await door.get("everywhere", at("op-contoso", path))).status == 200
    assert await rows() == before


WRITES: dict[str, tuple[str, str, object]] = {
    "create": ("POST", "/Users", {"schemas": [USER], "userName": "x"}),
    "replace": ("PUT", "/Users/{id}", {"schemas": [USER], "userName": "x"}),
    "change": ("PATCH", "/Users/{id}", {"Operations": [{"op": "replace", "path": "active", "value": False}]}),
    "delete": ("DELETE", "/Users/{id}", None),
    "bulk": ("POST", "/Bulk", {"Operations": [{"method": "DELETE", "path": "/Users/{id}"}]}),
    "search that is none": ("PUT", "/Users/.search", {}),
    "create nowhere": ("POST", "", {}),
}


@pytest.mark.parametrize("who", ["everywhere", "master", "follower"])
@pytest.mark.parametrize(("method", "path", "body"), cases(WRITES))
async def test_it_writes_nothing_whatever_its_rights(
    door: Door, made: Any, who: str, method: str, path: str, body: object
) -> None:
    id = made["op-fabrikam"]["user"]["id"]
    answer = await door.ask(who, method, at("op-fabrikam", path.format(id=id)), body)
    assert answer.status == 403
    assert "Use GET, HEAD, or POST to .search" in answer.json["detail"]
    assert (await door.customer("op-fabrikam").get(f"/Users/{id}")).json == made["op-fabrikam"]["user"]


# Which tenants.

NAMES = {
    "slash": "a%2Fb",
    "backslash": "a%5Cb",
    "percent": "a%25b",
    "percent that decodes twice": "op%252dcontoso",
    "dots": "%2e%2e",
    "other script": "contos%C3%B6",
    "no UTF-8": "%FF",
    "upper case": "Op-Contoso",
    "partition of the service": "~",
    "all": "*",
    "all, encoded": "%2A",
    "space": "op-contoso%20",
    "line break": "op-contoso%0A",
    "too long": "a" * 64,
    "key range": "op-contoso'%20or%20'",
}


@pytest.mark.parametrize("who", ["everywhere", "contosos"])
@pytest.mark.parametrize("name", cases(NAMES))
async def test_a_name_that_no_tenant_can_have(door: Door, made: Any, who: str, name: str) -> None:
    for path in ("/Users", "/Schemas"):
        answer = await door.get(who, at(name, path))
        assert (answer.status, answer.headers["content-type"]) == (404, "application/scim+json"), answer.body
        assert "No tenant is called" in answer.json["detail"]


async def test_encoding_that_is_not_needed_is_the_same_name(door: Door, made: Any) -> None:
    read = await door.get("everywhere", at("op%2Dcontoso", f"/Users/{made['op-contoso']['user']['id']}"))
    assert read.json["meta"]["location"].startswith(f"{ORIGIN}{at('op-contoso')}/Users/")


@pytest.mark.parametrize("path", ["/Users", "/Groups?cursor=", '/Users?filter=userName+eq+"x"', "/", "/Users?count=0"])
async def test_a_tenant_of_which_there_is_nothing(door: Door, made: Any, path: str) -> None:
    for who, tenant in (("everywhere", "op-mistyped"), ("contosos", EMPTY)):
        answer = await door.get(who, at(tenant, path))
        assert answer.status == 404 and "its name is mistyped, or none" in answer.json["detail"]


async def test_a_tenant_without_users_is_an_empty_list(door: Door, made: Any) -> None:
    customer = door.customer("op-litware")
    for path in (f"/Users/{made['op-litware']['user']['id']}", f"/Groups/{made['op-litware']['group']['id']}"):
        assert (await customer.delete(path)).status == 204
    answer = await door.get("everywhere", at("op-litware", "/Users?cursor="))
    assert (answer.status, answer.json["totalResults"]) == (200, 0)


@pytest.mark.parametrize("tenant", ["op-fabrikam", "op-mistyped", "op-litware"])
@pytest.mark.parametrize("path", ["/Users", "/Schemas", "/Users/u-x", "/openapi.json", "/nothing", "/Users?cursor=x"])
async def test_a_tenant_that_is_not_on_its_list(door: Door, made: Any, tenant: str, path: str) -> None:
    """The answer is the same whether there is such a tenant or not, so that nobody learns who is a customer."""
    answer = await door.get("contosos", at(tenant, path))
    assert answer.status == 403
    assert answer.told["detail"] == (
        f"Connection contosos does not reach tenant {tenant}: give it that tenant with python -m scim connections "
        f"grant contosos --add-tenants {tenant}."
    )


async def test_a_right_that_it_lacks(door: Door, made: Any) -> None:
    for tenant in ("op-contoso", "op-mistyped"):
        answer = await door.get("follower", at(tenant, "/Users"))
        assert answer.status == 403
        assert "connections grant follower --rights feed,read" in answer.json["detail"]


# Who is none.

DOORS = ["/tenants", "/tenants/", "/tenants/op-contoso", "/TENANTS/op-contoso/scim/Users", at("op-contoso", "/Users")]
DOORS += [at("op-fabrikam", "/Users"), at("op-mistyped", "/Schemas"), at("a%2Fb"), "/feed", "/feed/op-contoso"]
DOORS += ["/manage", "/manage/op-contoso/why?user=x"]


@pytest.mark.parametrize("path", DOORS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "HEAD"])
async def test_a_customer_finds_no_door_there(door: Door, made: Any, method: str, path: str) -> None:
    """The answer is, but for what it says of the path, that of a path which does not exist."""
    nowhere = "/nowhere" + path.partition("?")[0].rstrip("/")
    answer = await door.ask("op-contoso", method, path, {} if method == "POST" else None)
    other = await door.ask("op-contoso", method, nowhere, {} if method == "POST" else None)
    assert (answer.status, other.status) == (404, 404)
    said = answer.body.replace(path.partition("?")[0].rstrip("/").encode(), nowhere.encode())
    assert Response(404, {}, said).told == other.told
    differ = {"x-request-id", "content-length"}
    shown = [{n: v for n, v in each.headers.items() if n not in differ} for each in (answer, other)]
    assert shown[0] == shown[1]


async def test_a_stranger_is_told_what_every_stranger_is(door: Door, made: Any) -> None:
    for token in ("mistyped", new_key("everywhere"), new_key("nobody")):
        answer = await door.get(token, at("op-contoso", "/Users"))
        other = await door.get(token, "/scim/Users")
        assert (answer.status, answer.told) == (other.status, other.told) and answer.status == 401
        assert answer.headers["www-authenticate"] == other.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/scim/Users", "/scim", "/scim/Schemas", "/scim/Users/u-x", "/scim/openapi.json"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_an_operator_has_no_tenant_of_its_own(door: Door, made: Any, path: str, method: str) -> None:
    answer = await door.ask("master", method, path, {} if method == "POST" else None)
    assert answer.status == 403
    assert "has no tenant here: it reads a tenant at /tenants/<tenant>/scim" in answer.json["detail"]


@pytest.mark.parametrize(
    "path", ["/tenants", "/tenants/op-contoso", "/tenants/op-contoso/scimm/Users", "/tenants//scim"]
)
async def test_an_operator_is_told_where_tenants_are(door: Door, made: Any, path: str) -> None:
    answer = await door.get("everywhere", path)
    assert answer.status == 404 and f"{ORIGIN}/tenants/<tenant>/scim" in answer.json["detail"]


async def test_a_path_below_a_tenant_that_is_none(door: Door, made: Any) -> None:
    for path, text in (("/Nothing", "so it is"), ("/Users/Users", "without /Users behind it")):
        answer = await door.get("everywhere", at("op-contoso", path))
        assert answer.status == 404
        assert text in answer.json["detail"] and f"{ORIGIN}{at('op-contoso')}" in answer.json["detail"]
    assert (await door.get("everywhere", at("op-contoso", "/Bulk"))).status == 405


# What it leaves, and says of itself.


async def test_the_log_says_which_connection_read_which_tenant(
    door: Door, made: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await door.get("contosos", at("op-contoso", "/Users?filter=userName+eq+%22secret%22"))
    await door.get("contosos", at("op-fabrikam", "/Users"))
    await door.get("contosos", "/feed/op-contoso")
    await door.get("op-fabrikam", at("op-contoso", "/Users"))
    await door.get("op-contoso", "/scim/Users")
    lines = [json.loads(record.message) for record in caplog.records if "event" in record.message]
    told = [[line.get(n) for n in ("connection", "tenant", "operator", "status", "reason")] for line in lines]
    assert told == [
        ["contosos", "op-contoso", True, 200, None],
        ["contosos", None, True, 403, "no-right"],
        ["contosos", "op-contoso", True, 200, None],
        ["op-fabrikam", "op-fabrikam", None, 404, "wrong-kind"],
        ["op-contoso", "op-contoso", None, 200, None],
    ]
    assert [line["operation"] for line in lines][:3] == ["GET Users?filter", "GET Users", "GET feed/{tenant}"]
    assert {line["event"] for line in lines} == {"request"}
    assert "secret" not in caplog.text


async def test_its_openapi_document_has_what_it_may_do(door: Door, made: Any) -> None:
    answer = await door.get("everywhere", at("op-contoso", "/openapi.json"))
    own = await door.get("op-contoso", "/scim/openapi.json")
    assert answer.json["servers"] == [
        {
            "url": f"{ORIGIN}/tenants/{{tenant}}/scim",
            "variables": {"tenant": {"default": "op-contoso", "description": "The tenant that is read."}},
        }
    ]
    flows = answer.json["components"]["securitySchemes"]["clientCredentials"]["flows"]
    assert flows["clientCredentials"]["tokenUrl"] == f"{ORIGIN}/oauth2/token"
    done = {(path, name) for path, item in answer.json["paths"].items() for name in item if name != "parameters"}
    written = {(path, name) for path, name in done if name != "get" and not path.endswith("/.search")}
    assert written == {("/policy", "put"), ("/policy-test", "post"), ("/release", "post")}
    policy = answer.json["paths"]["/policy"]["put"]["requestBody"]["content"]["application/json"]["schema"]
    assert "massChange" in policy["properties"] and "$ref" not in json.dumps(policy)
    every = {(path, name) for path, item in own.json["paths"].items() for name in item if name != "parameters"}
    assert {path for path, _ in every - done} == {"/Users", "/Users/{id}", "/Groups", "/Groups/{id}", "/Bulk"}
    assert not any("tenants" in path for path in own.json["paths"])
    feed = answer.json["paths"]["/feed/{tenant}"]["get"]
    assert feed["servers"] == [{"url": ORIGIN}] and "410" in feed["responses"]
    validate(answer.json)
    page = (await door.get("follower", "/feed/op-contoso?max=5")).json
    schema = feed["responses"]["200"]["content"]["application/json"]["schema"]
    validator = Draft202012Validator({**schema, "components": answer.json["components"]})
    assert page["events"] and not list(validator.iter_errors(page))


async def test_its_configuration_says_that_it_only_reads(door: Door, made: Any) -> None:
    config = (await door.get("everywhere", at("op-contoso", "/ServiceProviderConfig"))).json
    assert [config[name]["supported"] for name in ("patch", "bulk", "filter", "etag")] == [False, False, True, True]


# Steering.


async def test_an_operator_sets_and_tries_a_policy(door: Door, made: Any) -> None:
    path = "/manage/op-contoso/policy"
    seats = {"seats": {"licenses": {"Voice": 5}}}
    assert (await door.get("everywhere", path)).status == 403
    assert (await door.get("op-contoso", path)).status == 404
    before = await door.get("master", path)
    assert (before.status, before.json["policy"], "etag" in before.headers) == (200, {}, False)
    wrong = await door.ask("master", "PUT", path, {"seat": 1})
    assert (wrong.status, wrong.json["scimType"]) == (400, "invalidValue")
    assert "seat: is not known here" in wrong.json["detail"]
    first = await door.ask("master", "PUT", path, seats, {"If-None-Match": "*"})
    assert (first.status, first.json["policy"], first.json["by"]) == (200, seats, "master")
    assert (await door.ask("master", "PUT", path, {}, {"If-None-Match": "*"})).status == 412
    second = await door.ask("master", "PUT", path, {}, {"If-Match": first.headers["etag"]})
    assert (second.status, second.json["policy"]) == (200, {})
    stale = await door.ask("master", "PUT", path, seats, {"If-Match": first.headers["etag"]})
    assert (stale.status, "was changed meanwhile" in stale.json["detail"]) == (412, True)
    body = {"user": {"userName": "new"}, "policy": {"defaults": {"userType": "Member"}}}
    tried = await door.ask("master", "POST", "/manage/op-contoso/policy-test", body)
    assert tried.json["document"]["userType"] == "Member"
    assert tried.json["events"][0]["effects"] == {"defaults": ["userType"]}
    assert (await door.ask("master", "POST", "/manage/op-contoso/release")).json["held"] is False
    refused = await door.ask("master", "DELETE", path)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD, PUT")
