"""Two connections of one tenant, one of them strict: the SCIM 2.0 Interoperability Profile -01 in all its requirements.

Each row is tried in both modes. A row that the Entra mode cannot meet (no server can, and pass Microsoft's own tests)
must fail there, so that docs/conformance.md, which is made from these rows, stays true.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_plus

import pytest

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.settings import Settings
from tests.conftest import TABLE
from tests.support import BASE, ENTERPRISE, PATCH, USER, Client, Response

ADSCIM = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
MODES = ("strict", "entra")
PAGE = 250
"""The largest page that the application of these tests gives: all that the profile ever asked for."""


@dataclass(frozen=True)
class Pair:
    """One tenant's two connections."""

    strict: Client
    entra: Client

    def of(self, mode: str) -> Client:
        return self.strict if mode == "strict" else self.entra


@pytest.fixture(scope="module")
def tenants() -> list[dict[str, str]]:
    """Each test's own tenant: the keys of its connections by mode."""
    return [{mode: new_key(f"{mode}-{number}") for mode in MODES} for number in range(400)]


@pytest.fixture(scope="module")
async def both(azurite: Azurite, host: Host, tenants: list[dict[str, str]]) -> AsyncIterator[Host]:
    """The host, before an application whose tenants have a connection of each mode."""
    connections = {
        f"{mode}-{number}": {"tenant": f"both-{number}", "mode": mode, "keys": [key]}
        for number, keys in enumerate(tenants)
        for mode, key in keys.items()
    }
    settings = {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_MAX_PAGE_SIZE": str(PAGE),
    }
    own = Application(Settings.from_environment(settings))
    original, function_app.application = function_app.application, own
    yield host
    function_app.application = original
    await own.close()


@pytest.fixture(scope="module")
def unused_pairs(both: Host, tenants: list[dict[str, str]]) -> Iterator[Pair]:
    return (
        Pair(*(Client(both, f"both-{number}", keys[mode]) for mode in MODES)) for number, keys in enumerate(tenants)
    )


@pytest.fixture
def pair(unused_pairs: Iterator[Pair]) -> Pair:
    return next(unused_pairs)


def outcome(answer: Response) -> tuple[int, str | None]:
    return answer.status, (answer.json or {}).get("scimType")


async def found(client: Client, filter: str, endpoint: str = "/Users") -> list[str]:
    """The ids that a filter finds."""
    answer = await client.get(f"{endpoint}?filter={quote_plus(filter)}")
    assert answer.status == 200, answer.body
    return [resource["id"] for resource in answer.json["Resources"]]


async def new_group(client: Client, name: str, **attributes: object) -> Any:
    answer = await client.post("/Groups", {"schemas": [GROUP], "displayName": name, **attributes})
    assert answer.status == 201, answer.body
    return answer.json


async def patched(client: Client, resource: Any, *operations: object) -> Any:
    """A user after a PATCH that must succeed."""
    answer = await client.patch(f"/Users/{resource['id']}", *operations)
    assert answer.status == 200, answer.body
    return answer.json


async def published(client: Client) -> dict[str, list[dict[str, Any]]]:
    """The attributes of each schema by its URN."""
    return {document["id"]: document["attributes"] for document in (await client.get("/Schemas")).json["Resources"]}


async def resource_types(client: Client) -> list[dict[str, Any]]:
    types: list[dict[str, Any]] = (await client.get("/ResourceTypes")).json["Resources"]
    return types


async def config(client: Client) -> dict[str, Any]:
    body: dict[str, Any] = (await client.get("/ServiceProviderConfig")).json
    return body


async def crowd(client: Client, number: int) -> None:
    """As many users, by one bulk request."""
    posts = [
        {"method": "POST", "path": "/Users", "bulkId": f"{i}", "data": {"schemas": [USER], "userName": f"u{i}"}}
        for i in range(number)
    ]
    answer = await client.post("/Bulk", {"Operations": posts})
    assert {operation["status"] for operation in answer.json["Operations"]} == {"201"}


def sample(attribute: dict[str, Any]) -> Any:
    """A value of the published type; complex ones with all their sub-attributes that a client may write."""
    subs = [sub for sub in attribute.get("subAttributes", []) if sub["mutability"] != "readOnly"]
    values = {"boolean": True, "reference": "https://contoso.example/x", "binary": "TUlJ", "integer": 5}
    value: Any = {sub["name"]: sample(sub) for sub in subs} or values.get(attribute["type"])
    if value is None:
        value = attribute.get("canonicalValues", [attribute["name"]])[0]
    return [value] if attribute["multiValued"] else value


# The checks, in the order of the profile ------------------------------------------------------------------------------


async def says_that_it_conforms(c: Client) -> None:
    assert (await config(c))["interopProfileConformant"] is True


async def says_so_only_where_it_is_true(c: Client) -> None:
    user = await c.new_user("claim")
    refuses = (await c.patch(f"/Users/{user['id']}", {"op": "add", "value": {"title": "t"}})).status == 400
    assert not (await config(c)).get("interopProfileConformant") or refuses


async def has_discovery(c: Client) -> None:
    for path in ("/ServiceProviderConfig", "/Schemas", "/ResourceTypes"):
        assert (await c.get(path)).status == 200


async def publishes_what_is_implemented(c: Client) -> None:
    schemas = await published(c)
    sent: dict[str, Any] = {"schemas": [USER, ENTERPRISE]}
    for urn, container in ((USER, sent), (ENTERPRISE, sent.setdefault(ENTERPRISE, {}))):
        container |= {a["name"]: sample(a) for a in schemas[urn] if a["mutability"] != "readOnly"}
    answer = await c.post("/Users", sent)
    assert answer.status == 201, answer.body
    came = (await c.get(f"/Users/{answer.json['id']}")).json
    assert came.pop("meta")["resourceType"] == "User"
    assert came.pop("id")
    assert came == sent
    group = await new_group(c, "g", members=[{"value": answer.json["id"]}], externalId="e")
    assert group.keys() - {a["name"] for a in schemas[GROUP]} == {"schemas", "meta"}
    assert {a["name"] for a in schemas[GROUP]} <= group.keys()


async def publishes_the_schemas_of_its_types(c: Client) -> None:
    for type in await resource_types(c):
        for urn in (type["schema"], *(extension["schema"] for extension in type["schemaExtensions"])):
            assert (await c.get(f"/Schemas/{urn}")).json["id"] == urn


async def lists_only_types_with_resources(c: Client) -> None:
    """Ours leaves the configuration's own schemas out, as it may."""
    assert not any(urn.endswith((":Schema", ":ResourceType", ":ServiceProviderConfig")) for urn in await published(c))


async def names_types_by_id(c: Client) -> None:
    types = await resource_types(c)
    assert [type["id"] for type in types] == [type["name"] for type in types] == ["User", "Group"]


async def compares_alike_in_filters_and_uniqueness(c: Client) -> None:
    schemas, tried = await published(c), []
    for type in await resource_types(c):
        for attribute in schemas[type["schema"]]:
            if attribute["uniqueness"] == "none" or attribute["mutability"] == "readOnly":
                continue
            for value in ("MiXed", "mixed"):
                answer = await c.post(type["endpoint"], {"schemas": [type["schema"]], attribute["name"]: value})
                tried.append((attribute["name"], answer.status))
            hits = await found(c, f'{attribute["name"]} eq "mIXED"', type["endpoint"])
            assert len(hits) == (0 if attribute["caseExact"] else 1)
    assert tried == [("userName", 201), ("userName", 409), ("displayName", 201), ("displayName", 409)]


async def compares_id_by_case(c: Client) -> None:
    user = await c.new_user("case")
    assert await found(c, f'id eq "{user["id"]}"') == [user["id"]]
    assert await found(c, f'id eq "{user["id"].upper()}"') == []
    assert (await c.get(f"/Users/{user['id'].upper()}")).status == 404
    assert all(a["caseExact"] for s in (await published(c)).values() for a in s if a["name"] == "id")


async def compares_external_id_by_case(c: Client) -> None:
    for make, endpoint in ((c.new_user, "/Users"), (lambda name, **a: new_group(c, name, **a), "/Groups")):
        first, second = await make("one", externalId="ABC"), await make("two", externalId="abc")
        assert await found(c, 'externalId eq "ABC"', endpoint) == [first["id"]]
        assert await found(c, 'externalId eq "abc"', endpoint) == [second["id"]]
        assert await found(c, 'externalId eq "Abc"', endpoint) == []


async def compares_user_name_without_case(c: Client) -> None:
    user = await c.new_user("Adele@Contoso.example")
    assert await found(c, 'userName eq "ADELE@contoso.EXAMPLE"') == [user["id"]]
    assert (await c.post("/Users", {"schemas": [USER], "userName": "adele@CONTOSO.example"})).status == 409


async def unknown_in_bodies(c: Client) -> list[Response]:
    """The answers to bodies that hold something of no schema."""
    user, group = await c.new_user("known", emails=[{"type": "work", "value": "a"}]), await new_group(c, "known")
    extension = "urn:example:params:scim:schemas:extension:nobody:2.0:User"
    bodies: list[tuple[str, Any]] = [
        ("/Users", {"schemas": [USER], "shoeSize": 43}),
        ("/Users", {"schemas": [USER], "department": "an extension's name without its URN"}),
        ("/Users", {"schemas": [USER], "name": {"nickname": "x"}}),
        ("/Users", {"schemas": [USER], "emails": [{"value": "x"}, {"value": "y", "verified": True}]}),
        ("/Users", {"schemas": [USER, ENTERPRISE], ENTERPRISE: {"shoeSize": 43}}),
        ("/Users", {"schemas": [USER, ENTERPRISE], ENTERPRISE: {"manager": {"mail": "x"}}}),
        ("/Users", {"schemas": [USER, extension]}),
        ("/Users", {"schemas": [USER], extension: {"shoeSize": 43}}),
        ("/Users", {"schemas": [USER], USER: {"shoeSize": 43}}),
        ("/Groups", {"schemas": [GROUP, ADSCIM]}),
        ("/Groups", {"schemas": [GROUP], "owner": "x"}),
        ("/Groups", {"schemas": [GROUP], "members": [{"value": user["id"], "role": "x"}]}),
    ]
    names = {"/Users": "userName", "/Groups": "displayName"}
    answers = [
        await c.post(endpoint, {**body, names[endpoint]: f"new {number}"})
        for number, (endpoint, body) in enumerate(bodies)
    ]
    answers.append(await c.put(f"/Users/{user['id']}", {"schemas": [USER], "userName": "known", "shoeSize": 43}))
    patches: list[tuple[str, str, object]] = [
        ("Users", "shoeSize", 43),
        ("Users", "name.nickname", "x"),
        ("Users", 'emails[type eq "work"].verified', True),
        ("Users", 'emails[type eq "work"]', {"verified": True}),
        ("Users", "emails", [{"value": "b", "verified": True}]),
        ("Users", f"{ENTERPRISE}:shoeSize", 43),
        ("Users", f"{ENTERPRISE}:manager.mail", "x"),
        ("Users", f"{ENTERPRISE}:manager", {"mail": "x"}),
        ("Users", ENTERPRISE, {"shoeSize": 43}),
        ("Users", ENTERPRISE, {"manager": {"mail": "x"}}),
        ("Users", USER, {"shoeSize": 43}),
        ("Users", extension, {"shoeSize": 43}),
        ("Users", f"{extension}:shoeSize", 43),
        ("Groups", "owner", "x"),
        ("Groups", "members", [{"value": user["id"], "role": "x"}]),
    ]
    for endpoint, path, value in patches:
        id = user["id"] if endpoint == "Users" else group["id"]
        answers.append(await c.patch(f"/{endpoint}/{id}", {"op": "add", "path": path, "value": value}))
    return answers


async def refuses_the_unknown(c: Client) -> None:
    assert [(n, answer.status) for n, answer in enumerate(await unknown_in_bodies(c)) if answer.status != 400] == []


async def refuses_the_unknown_as_syntax(c: Client) -> None:
    answers = [outcome(answer) for answer in await unknown_in_bodies(c)]
    assert [(n, came) for n, came in enumerate(answers) if came != (400, "invalidSyntax")] == []


async def declares_types(c: Client) -> None:
    kinds = [
        (attribute["name"], sub.get("canonicalValues"))
        for attributes in (await published(c)).values()
        for attribute in attributes
        for sub in attribute.get("subAttributes", [])
        if attribute["multiValued"] and sub["name"] == "type"
    ]
    assert len(kinds) > 8
    assert [name for name, values in kinds if not values] == []


async def has_an_endpoint_for_each_type(c: Client) -> None:
    types = await resource_types(c)
    assert len({type["endpoint"].lower() for type in types}) == len(types)
    user, group = await c.new_user("apart"), await new_group(c, "apart")
    for path in (f"/Groups/{user['id']}", f"/Users/{group['id']}"):
        assert (await c.get(path)).status == 404
    for endpoint, name in (("/Users", "User"), ("/Groups", "Group")):
        listed = (await c.get(endpoint)).json["Resources"]
        assert [resource["meta"]["resourceType"] for resource in listed] == [name]


async def addresses_by_id_alone(c: Client) -> None:
    user = await c.new_user("address", externalId="address-1")
    assert user["meta"]["location"] == f"{BASE}/Users/{user['id']}"
    assert (await c.get(f"/Users/{user['id']}")).json == user
    for other in ("address", "address-1"):
        assert (await c.get(f"/Users/{other}")).status == 404
        assert (await c.delete(f"/Users/{other}")).status == 404


async def speaks_json_only(c: Client) -> None:
    for type in ("application/xml", "text/csv", "application/x-www-form-urlencoded"):
        body = json.dumps({"userName": "x"}).encode()
        assert (await c.request("POST", "/Users", content=body, headers={"Content-Type": type})).status == 415
    assert (await c.get("/Users", Accept="application/xml")).headers["content-type"] == "application/scim+json"


async def labels_every_answer(c: Client) -> None:
    user = await c.new_user("label")
    answers = [
        await c.get("/Users"),
        await c.get(f"/Users/{user['id']}"),
        await c.get("/Schemas"),
        await c.get("/Users/u-nobody"),
        await c.get("/Nothing"),
        await c.get("/Users?filter=x"),
        await c.post("/Users", {"schemas": [USER], "userName": "LABEL"}),
        await c.request("POST", "/Users", content=b"{"),
        await c.put("/Users", {}),
        await c.request("GET", "/Users", headers={"Authorization": "Bearer x"}),
    ]
    assert [answer.status for answer in answers] == [200, 200, 200, 404, 404, 400, 409, 400, 405, 401]
    assert {answer.headers["content-type"] for answer in answers} == {"application/scim+json"}
    assert all(answer.json["schemas"] == [ERROR] for answer in answers[3:])


async def filters(c: Client) -> None:
    user, _ = await c.new_user("filtered", title="x"), await c.new_user("other")
    assert await found(c, 'title eq "x"') == [user["id"]]


async def knows_eq_and_and(c: Client) -> None:
    user = await c.new_user("both", title="x", externalId="e")
    await c.new_user("one", title="x")
    assert await found(c, 'title eq "x" and externalId eq "e"') == [user["id"]]
    assert await found(c, f'userName eq "both" and id eq "{user["id"]}" and active eq true') == []
    group = await new_group(c, "team", members=[{"value": user["id"]}])
    assert await found(c, f'id eq "{group["id"]}" and members eq "{user["id"]}"', "/Groups") == [group["id"]]


async def filters_no_writes(c: Client) -> None:
    user = await c.new_user("write")
    query = "/Users?filter=" + quote_plus(f'id eq "{user["id"]}"')
    for method in ("PUT", "PATCH", "DELETE"):
        assert (await c.request(method, query, {"schemas": [PATCH], "Operations": []})).status == 405
    assert (await c.get(f"/Users/{user['id']}")).json == user


async def refuses_unknown_filter_attributes(c: Client) -> None:
    for endpoint, filter in [
        ("/Users", 'shoeSize eq "43"'),
        ("/Users", 'userName eq "x" and shoeSize eq "43"'),
        ("/Users", "members pr"),
        ("/Users", 'name.nickname eq "x"'),
        ("/Users", "emails[verified eq true]"),
        ("/Users", f'{ENTERPRISE}:shoeSize eq "43"'),
        ("/Users", 'urn:example:nobody:2.0:User:shoeSize eq "43"'),
        ("/Groups", 'userName eq "x"'),
    ]:
        answer = await c.get(f"{endpoint}?filter={quote_plus(filter)}")
        assert outcome(answer) == (400, "invalidFilter"), filter


async def pages_all_lists(c: Client) -> None:
    for number in range(3):
        await c.new_user(f"page {number}")
        await new_group(c, f"page {number}")
    for endpoint in ("/Users", "/Groups"):
        by_index = [(await c.get(f"{endpoint}?startIndex={n}&count=1")).json for n in (1, 2, 3)]
        assert [page["startIndex"] for page in by_index] == [1, 2, 3]
        ids: list[str] = []
        cursor: str | None = ""
        while len(ids) < 4 and cursor is not None:
            page = (await c.get(f"{endpoint}?cursor={cursor}&count=1")).json
            ids, cursor = [*ids, page["Resources"][0]["id"]], page.get("nextCursor")
        assert len(set(ids)) == 3
        assert ids == [page["Resources"][0]["id"] for page in by_index]


async def gives_a_hundred_by_default(c: Client) -> None:
    await crowd(c, 101)
    assert (await c.get("/Users")).json["itemsPerPage"] == 100


async def gives_a_hundred_where_asked(c: Client) -> None:
    await crowd(c, PAGE)
    for count in (100, PAGE):
        assert (await c.get(f"/Users?count={count}")).json["itemsPerPage"] == count


async def gives_fewer_than_too_many(c: Client) -> None:
    await crowd(c, PAGE + 1)
    page = (await c.get("/Users?count=5000")).json
    assert (page["itemsPerPage"], page["totalResults"]) == (PAGE, PAGE + 1)
    assert (await config(c))["filter"]["maxResults"] == PAGE


async def patches(c: Client) -> None:
    user = await patched(c, await c.new_user("patch"), {"op": "replace", "path": "active", "value": False})
    assert (await c.get(f"/Users/{user['id']}")).json["active"] is False


async def refuses_operations_without_path(c: Client) -> None:
    user, group = await c.new_user("pathless"), await new_group(c, "pathless")
    with_path = {"op": "replace", "path": "title", "value": "x"}
    refused: list[tuple[str, list[object]]] = [
        (f"/Users/{user['id']}", [{"op": "replace", "value": {"active": False}}]),
        (f"/Users/{user['id']}", [{"op": "add", "path": "", "value": {"title": "x"}}]),
        (f"/Users/{user['id']}", [with_path, {"op": "replace", "value": {"displayName": "x"}}]),
        (f"/Users/{user['id']}", [with_path, {"op": "remove"}]),
        (f"/Groups/{group['id']}", [{"op": "add", "value": {"members": [{"value": user["id"]}]}}]),
        (f"/Groups/{group['id']}", [{"op": "replace", "value": {"displayName": "x"}}]),
    ]
    for path, operations in refused:
        assert outcome(await c.patch(path, *operations)) == (400, "invalidSyntax"), operations
        body = {"schemas": [PATCH], "Operations": operations}
        sent = {"Operations": [{"method": "PATCH", "path": path, "data": body}]}
        (result,) = (await c.post("/Bulk", sent)).json["Operations"]
        assert (result["status"], result["response"]["scimType"]) == ("400", "invalidSyntax"), operations
    assert (await c.get(f"/Users/{user['id']}")).json == user
    assert (await c.get(f"/Groups/{group['id']}")).json == group


async def adds_and_replaces_alike(c: Client) -> None:
    user = await c.new_user("alike", title="before")
    for path in ("title", "nickName", "name.givenName", f"{ENTERPRISE}:department"):
        for op in ("add", "replace"):
            user = await patched(c, user, {"op": op, "path": path, "value": f"{op}ed"})
            container = user[ENTERPRISE] if path.startswith(ENTERPRISE) else user.get("name", {}) | user
            assert container[path.rpartition(":")[2].rpartition(".")[2]] == f"{op}ed"


WHOLE_NAME = {"path": "name", "value": {"familyName": "Vance"}}


async def replaces_complex_values_whole(c: Client) -> None:
    user = await c.new_user("whole", name={"familyName": "V", "givenName": "Adele"})
    assert (await patched(c, user, {"op": "replace", **WHOLE_NAME}))["name"] == {"familyName": "Vance"}


async def merges_into_complex_values(c: Client) -> None:
    user = await c.new_user("merge", name={"familyName": "V", "givenName": "Adele"})
    merged = await patched(c, user, {"op": "add", **WHOLE_NAME})
    assert merged["name"] == {"familyName": "Vance", "givenName": "Adele"}


async def replaces_collections(c: Client) -> None:
    user = await c.new_user("collection", emails=[{"type": "work", "value": "a"}, {"type": "home", "value": "b"}])
    new = [{"type": "other", "value": "c"}]
    assert (await patched(c, user, {"op": "replace", "path": "emails", "value": new}))["emails"] == new


async def appends_to_collections(c: Client) -> None:
    first, second = {"type": "work", "value": "a"}, {"type": "other", "value": "b"}
    user = await c.new_user("append", emails=[first])
    for new in (second, second, first):
        user = await patched(c, user, {"op": "add", "path": "emails", "value": [new]})
        assert user["emails"] == [first, second]


async def takes_whole_elements_by_filter(c: Client) -> None:
    """Clients must not; a server may take it, and ours does, since it is how one member is removed."""
    users = [await c.new_user(name) for name in ("stays", "goes")]
    group = await new_group(c, "filtered", members=[{"value": user["id"]} for user in users])
    answer = await c.patch(f"/Groups/{group['id']}", {"op": "remove", "path": f'members[value eq "{users[1]["id"]}"]'})
    assert answer.status == 204
    left = (await c.get(f"/Groups/{group['id']}")).json["members"]
    assert [member["value"] for member in left] == [users[0]["id"]]


async def names_what_is_wrong_with_an_operation(c: Client) -> None:
    """Of the three hints, the two for what ours takes (several elements, a whole one) never come up."""
    user = await c.new_user("hints")
    for operation in ({"op": "move", "path": "title", "value": "x"}, {"op": "remove", "path": ""}, {"path": "title"}):
        assert (await c.patch(f"/Users/{user['id']}", operation)).status == 400
        if "op" in operation and operation["path"]:
            assert outcome(await c.patch(f"/Users/{user['id']}", operation)) == (400, "invalidSyntax")


async def deletes_nothing_by_patch(c: Client) -> None:
    user = await c.new_user("kept")
    await patched(c, user, {"op": "replace", "path": "active", "value": False})
    assert (await c.get(f"/Users/{user['id']}")).json["active"] is False
    assert await found(c, 'userName eq "kept"') == [user["id"]]


async def forgets_the_deleted(c: Client) -> None:
    user, group = (
        await c.new_user("gone", externalId="gone-1", emails=[{"value": "gone@x"}]),
        await new_group(c, "gone"),
    )
    await c.patch(f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": [{"value": user["id"]}]})
    for path in (f"/Users/{user['id']}", f"/Groups/{group['id']}"):
        assert (await c.delete(path)).status == 204
        body = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "externalId", "value": "x"}]}
        for method in ("GET", "PATCH", "DELETE"):
            assert (await c.request(method, path, body if method == "PATCH" else None)).status == 404
    assert (await c.put(f"/Users/{user['id']}", {"schemas": [USER], "userName": "gone"})).status == 404
    assert (await c.get("/Users")).json["totalResults"] == (await c.get("/Groups")).json["totalResults"] == 0
    for filter in (f'id eq "{user["id"]}"', 'userName eq "gone"', 'externalId eq "gone-1"', 'emails.value eq "gone@x"'):
        assert await found(c, filter) == []


async def frees_the_names_of_the_deleted(c: Client) -> None:
    for endpoint, name in (("/Users", "userName"), ("/Groups", "displayName")):
        body = {"schemas": [USER if endpoint == "/Users" else GROUP], name: "again", "externalId": "again"}
        first = (await c.post(endpoint, body)).json
        await c.delete(f"{endpoint}/{first['id']}")
        second = await c.post(endpoint, body)
        assert second.status == 201
        assert second.json["id"] != first["id"]


async def deletes_for_good(c: Client) -> None:
    user = await c.new_user("disabled?", active=True)
    assert (await c.delete(f"/Users/{user['id']}")).status == 204
    assert await found(c, "active eq false") == []
    assert (await c.get(f"/Users/{user['id']}")).status == 404


async def needs_no_condition(c: Client) -> None:
    user = await c.new_user("etag")
    user = await patched(c, user, {"op": "add", "path": "title", "value": "x"})
    stale = await c.request("DELETE", f"/Users/{user['id']}", headers={"If-Match": 'W/"stale"'})
    assert stale.status == 412
    assert (await c.delete(f"/Users/{user['id']}")).status == 204


async def has_bulk_as_announced(c: Client) -> None:
    assert (await config(c))["bulk"]["supported"] is True
    await crowd(c, 2)
    assert (await c.get("/Users")).json["totalResults"] == 2


async def refuses_taken_values(c: Client) -> None:
    for endpoint, urn, name in (("/Users", USER, "userName"), ("/Groups", GROUP, "displayName")):
        made = [(await c.post(endpoint, {"schemas": [urn], name: value})).json for value in ("taken", "mine")]
        path = f"{endpoint}/{made[1]['id']}"
        for answer in (
            await c.post(endpoint, {"schemas": [urn], name: "Taken"}),
            await c.patch(path, {"op": "replace", "path": name, "value": "TAKEN"}),
            await c.put(path, {"schemas": [urn], name: "taken"}),
        ):
            assert outcome(answer) == (409, "uniqueness")
        assert (await c.get(path)).json == made[1]


async def knows_no_basic(c: Client) -> None:
    schemes = [scheme["type"] for scheme in (await config(c))["authenticationSchemes"]]
    assert schemes and "httpbasic" not in schemes
    answer = await c.request("GET", "/Users", headers={"Authorization": "Basic dXNlcjpwYXNzd29yZA=="})
    assert answer.status == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


Check = Callable[[Client], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """A requirement. `check` is a reason instead where nothing can be tried; `entra` says whether the default mode
    meets it too."""

    number: int
    force: str
    name: str
    check: Check | str
    entra: bool = True


ROWS = [
    Row(1, "MUST", "ServiceProviderConfig says that the profile is met", says_that_it_conforms, entra=False),
    Row(2, "MUST", "and nobody says so who does not meet it", says_so_only_where_it_is_true),
    Row(3, "definition", "what conforming means", "a definition: the other rows are what it counts"),
    Row(4, "MUST", "the three discovery endpoints", has_discovery),
    Row(5, "MUST", "/Schemas lists what is implemented", publishes_what_is_implemented),
    Row(6, "MUST", "the schemas of every resource type are there", publishes_the_schemas_of_its_types),
    Row(7, "MAY", "the configuration's own schemas are left out", lists_only_types_with_resources),
    Row(8, "MUST", "a resource type's id is its name", names_types_by_id),
    Row(9, "MUST", "one case rule for filters and uniqueness", compares_alike_in_filters_and_uniqueness),
    Row(10, "MUST", "id is case exact", compares_id_by_case),
    Row(11, "MUST", "externalId is case exact", compares_external_id_by_case),
    Row(12, "MUST", "userName is not case exact", compares_user_name_without_case),
    Row(13, "MUST", "unknown attributes and schemas are refused", refuses_the_unknown, entra=False),
    Row(14, "MUST", "the refusal of the unknown is 400 invalidSyntax", refuses_the_unknown_as_syntax, entra=False),
    Row(15, "MUST", "every type sub-attribute has canonical values", declares_types, entra=False),
    Row(16, "MUST", "an endpoint of its own for each resource type", has_an_endpoint_for_each_type),
    Row(17, "MUST", "resources are addressed by id and nothing else", addresses_by_id_alone),
    Row(18, "MUST", "JSON only", speaks_json_only),
    Row(19, "MUST", "application/scim+json on every answer", labels_every_answer),
    Row(20, "MUST", "the filter parameter", filters),
    Row(21, "MUST", "eq and and", knows_eq_and_and),
    Row(22, "MUST NOT", "no filter on a write", filters_no_writes),
    Row(23, "MUST", "an unknown attribute in a filter is invalidFilter", refuses_unknown_filter_attributes),
    Row(24, "MUST", "every list is paged", pages_all_lists),
    Row(25, "SHOULD", "100 on a page by default", gives_a_hundred_by_default),
    Row(26, "MUST", "a count of 100 is honoured", gives_a_hundred_where_asked),
    Row(27, "MUST", "a count that is too large gives fewer, and no error", gives_fewer_than_too_many),
    Row(28, "MUST", "PATCH", patches),
    Row(29, "MUST", "an operation without a path is refused", refuses_operations_without_path, entra=False),
    Row(30, "MUST", "add and replace are one for single values", adds_and_replaces_alike),
    # RFC 7644 §3.5.2.3 leaves what is not named as it was, and the Entra mode follows the RFC.
    Row(31, "MUST", "a replaced complex value is replaced whole", replaces_complex_values_whole, entra=False),
    Row(32, "MUST", "an added complex value is merged", merges_into_complex_values),
    Row(33, "MUST", "a replaced collection is replaced whole", replaces_collections),
    Row(34, "MUST", "an added element is appended once", appends_to_collections),
    Row(35, "for clients", "no whole element behind a filter; ours takes it", takes_whole_elements_by_filter),
    Row(36, "MAY", "such a PATCH may be refused; ours is not", takes_whole_elements_by_filter),
    Row(37, "should", "scimType says which rule", names_what_is_wrong_with_an_operation),
    Row(38, "MUST NOT", "no PATCH deletes", deletes_nothing_by_patch),
    Row(39, "MUST", "what is deleted is 404 and in no list", forgets_the_deleted),
    Row(40, "MUST", "the names of the deleted are free at once", frees_the_names_of_the_deleted),
    Row(41, "MUST", "DELETE deletes and does not disable", deletes_for_good),
    Row(42, "MAY", "conditional headers are not needed", needs_no_condition),
    Row(43, "OPTIONAL", "bulk", has_bulk_as_announced),
    Row(44, "MUST", "a taken value is 409 uniqueness", refuses_taken_values),
    Row(45, "MUST", "TLS 1.3, and 1.2 for Entra", "the platform ends TLS: nothing of it is in this code"),
    Row(46, "NOT RECOMMENDED", "no HTTP Basic", knows_no_basic),
]


def test_every_requirement_has_a_row() -> None:
    assert [row.number for row in ROWS] == list(range(1, 47))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.number}: {row.name}")
async def test_interoperability_profile(pair: Pair, row: Row, mode: str) -> None:
    if isinstance(row.check, str):
        pytest.skip(row.check)
    if mode == "entra" and not row.entra:
        with pytest.raises((AssertionError, KeyError)):
            await row.check(pair.entra)
    else:
        await row.check(pair.of(mode))


# Both modes of one tenant ---------------------------------------------------------------------------------------------


async def test_conformance_is_claimed_on_the_strict_connection_only(pair: Pair) -> None:
    strict, entra = await config(pair.strict), await config(pair.entra)
    assert strict.pop("interopProfileConformant") is True
    assert strict == entra


async def test_conformance_is_not_claimed_where_a_setting_prevents_it(
    pair: Pair, tenants: list[dict[str, str]], azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page of less than 100 does not meet the profile (requirement 26)."""
    name = pair.strict.token.split("_")[1]
    settings = Settings.from_environment(
        {
            "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
            "SCIM_CONNECTIONS": json.dumps({name: {"tenant": "x", "mode": "strict", "keys": [pair.strict.token]}}),
            "SCIM_SEALS": SEALS,
            "SCIM_MAX_PAGE_SIZE": "99",
        }
    )
    application = Application(settings)
    monkeypatch.setattr(function_app, "application", application)
    try:
        assert not (await config(pair.strict)).get("interopProfileConformant")
    finally:
        await application.close()


async def test_schemas_differ_only_in_the_types_that_entra_must_not_see(pair: Pair) -> None:
    strict, entra = await published(pair.strict), await published(pair.entra)
    assert strict.keys() == entra.keys()
    added = set()
    for urn, attributes in strict.items():
        for attribute, other in zip(attributes, entra[urn], strict=True):
            for sub, other_sub in zip(attribute.get("subAttributes", []), other.get("subAttributes", []), strict=True):
                if sub != other_sub:
                    assert sub.pop("canonicalValues")
                    added.add(f"{attribute['name']}.{sub['name']}")
            assert attribute == other
    assert added == {"roles.type", "entitlements.type", "x509Certificates.type"}


async def test_both_connections_see_one_tenant(pair: Pair) -> None:
    user = await pair.strict.new_user("shared")
    assert (await pair.entra.get(f"/Users/{user['id']}")).json == user
    changed = await pair.entra.patch(f"/Users/{user['id']}", {"op": "Replace", "value": {"active": "False"}})
    assert (changed.status, changed.json["active"]) == (200, False)
    assert (await pair.strict.get(f"/Users/{user['id']}")).json == changed.json
    assert (await pair.strict.delete(f"/Users/{user['id']}")).status == 204
    assert (await pair.entra.get(f"/Users/{user['id']}")).status == 404


ENTRA_POSTS: list[tuple[str, str, dict[str, Any], dict[str, Any], list[str]]] = [
    (
        "a group as Entra creates it",
        "/Groups",
        {"schemas": [GROUP, ADSCIM], "displayName": "g", "externalId": "e", "meta": {"resourceType": "Group"}},
        {"schemas": [GROUP], "displayName": "g", "externalId": "e"},
        [ADSCIM],
    ),
    (
        "an attribute of no schema",
        "/Users",
        {"schemas": [USER], "userName": "u", "shoeSize": 43, "title": "t"},
        {"userName": "u", "title": "t"},
        ["shoeSize"],
    ),
    (
        "an extension's attributes without its URN",
        "/Users",
        {"schemas": [USER], "userName": "u", "department": "Sales"},
        {"userName": "u", ENTERPRISE: {"department": "Sales"}},
        ["department"],
    ),
    (
        "an extension that nobody declared",
        "/Users",
        {"schemas": [USER], "userName": "u", "urn:x:y:extension:nobody:2.0:User": {"shoeSize": 43}},
        {"userName": "u", "urn:x:y:extension:nobody:2.0:User": {"shoeSize": 43}},
        [],
    ),
    (
        "an unknown member of a complex value",
        "/Users",
        {"schemas": [USER], "userName": "u", "name": {"givenName": "A", "nickname": "x"}},
        {"userName": "u", "name": {"givenName": "A"}},
        [],
    ),
]


@pytest.mark.parametrize(
    ("endpoint", "sent", "kept", "absent"), [row[1:] for row in ENTRA_POSTS], ids=[row[0] for row in ENTRA_POSTS]
)
async def test_entra_may_post_what_strict_refuses(
    pair: Pair, endpoint: str, sent: dict[str, Any], kept: dict[str, Any], absent: list[str]
) -> None:
    assert outcome(await pair.strict.post(endpoint, sent)) == (400, "invalidSyntax")
    answer = await pair.entra.post(endpoint, sent)
    assert answer.status == 201, answer.body
    assert {name: answer.json[name] for name in kept} == kept
    assert not {*absent} & {*answer.json, *answer.json["schemas"]}


ENTRA_PATCHES: list[tuple[dict[str, Any], str, Any]] = [
    ({"op": "replace", "value": {"active": False}}, "active", False),
    ({"op": "Add", "value": {"displayName": "d", "shoeSize": 43}}, "displayName", "d"),
    ({"op": "replace", "value": {"name.givenName": "A"}}, "name", {"givenName": "A"}),
    ({"op": "add", "value": {'emails[type eq "work"].value': "a@x"}}, "emails", [{"type": "work", "value": "a@x"}]),
    ({"op": "add", "value": {f"{ENTERPRISE}:department": "S"}}, ENTERPRISE, {"department": "S"}),
    ({"op": "add", "path": "department", "value": "S"}, ENTERPRISE, {"department": "S"}),
]


@pytest.mark.parametrize(("operation", "name", "value"), ENTRA_PATCHES)
async def test_entra_may_patch_what_strict_refuses(pair: Pair, operation: Any, name: str, value: Any) -> None:
    user = await pair.entra.new_user("patched")
    assert outcome(await pair.strict.patch(f"/Users/{user['id']}", operation)) == (400, "invalidSyntax")
    assert (await patched(pair.entra, user, operation))[name] == value


ENTRA_QUOTES = ["'work'", "\u201cwork\u201d", "\u2018work\u2019", "`work`"]


@pytest.mark.parametrize("quoted", ENTRA_QUOTES)
async def test_entra_may_quote_as_strict_may_not(pair: Pair, quoted: str) -> None:
    user = await pair.entra.new_user("quoted", emails=[{"type": "work", "value": "a@x"}])
    filter = f"emails[type eq {quoted}]"
    assert await found(pair.entra, filter) == [user["id"]]
    assert outcome(await pair.strict.get(f"/Users?filter={quote_plus(filter)}")) == (400, "invalidFilter")
    removal = {"op": "remove", "path": filter}
    assert outcome(await pair.strict.patch(f"/Users/{user['id']}", removal)) == (400, "invalidPath")
    assert "emails" not in await patched(pair.entra, user, removal)


async def test_entra_may_name_what_is_read_only(pair: Pair) -> None:
    user = await pair.entra.new_user("named", active=True)
    listed = [
        {"op": "add", "path": f"{ENTERPRISE}:manager.displayName", "value": "E"},
        {"op": "replace", "path": "active", "value": False},
    ]
    assert outcome(await pair.strict.patch(f"/Users/{user['id']}", *listed)) == (400, "mutability")
    assert (await patched(pair.entra, user, *listed))["active"] is False


async def test_strict_replaces_an_element_whole_and_entra_merges(pair: Pair) -> None:
    user = await pair.entra.new_user("whole", emails=[{"type": "work", "value": "a@x", "display": "A"}])
    change = {"op": "replace", "path": 'emails[type eq "work"]', "value": {"display": "B"}}
    assert (await patched(pair.entra, user, change))["emails"] == [{"type": "work", "value": "a@x", "display": "B"}]
    assert (await patched(pair.strict, user, change))["emails"] == [{"type": "work", "display": "B"}]


STRICT_PATCHES: list[tuple[dict[str, Any], str, Any]] = [
    ({"op": "replace", "path": "userName", "value": "renamed"}, "userName", "renamed"),
    ({"op": "replace", "path": f"{USER}:title", "value": "t"}, "title", "t"),
    ({"op": "add", "path": "NAME.GivenName", "value": "A"}, "name", {"givenName": "A"}),
    ({"op": "replace", "path": "name", "value": {"familyName": "V"}}, "name", {"familyName": "V"}),
    (
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "b"},
        "emails",
        [{"type": "work", "value": "b"}],
    ),
    ({"op": "add", "path": "emails", "value": [{"type": "work", "value": "a", "primary": True}]}, "emails", None),
    ({"op": "add", "path": f"{ENTERPRISE}:department", "value": "S"}, ENTERPRISE, {"department": "S"}),
    ({"op": "add", "path": ENTERPRISE, "value": {"department": "S"}}, ENTERPRISE, {"department": "S"}),
    ({"op": "add", "path": f"{ENTERPRISE}:manager", "value": {"value": "m"}}, ENTERPRISE, {"manager": {"value": "m"}}),
    ({"op": "add", "path": f"{ENTERPRISE}:manager.value", "value": "m"}, ENTERPRISE, {"manager": {"value": "m"}}),
]


@pytest.mark.parametrize(("operation", "name", "value"), STRICT_PATCHES)
async def test_strict_takes_what_its_schemas_know(pair: Pair, operation: Any, name: str, value: Any) -> None:
    user = await pair.strict.new_user("plain", emails=[{"type": "work", "value": "a"}])
    came = (await patched(pair.strict, user, operation))[name]
    assert came == value if value is not None else came
    assert (await patched(pair.entra, user, operation))[name] == came


async def test_strict_puts_back_what_it_gave(pair: Pair) -> None:
    """A client that reads, edits and puts sends back id, meta, groups and $ref."""
    boss = await pair.strict.new_user("boss")
    user = await pair.strict.new_user(
        "whole",
        schemas=[USER, ENTERPRISE],
        roles=[{"value": "r", "type": "other", "display": "R", "primary": True}],
        **{ENTERPRISE: {"manager": {"value": boss["id"]}, "department": "S"}},
    )
    await new_group(pair.strict, "team", members=[{"value": user["id"]}])
    before = (await pair.strict.get(f"/Users/{user['id']}")).json
    assert before["groups"]
    answer = await pair.strict.put(f"/Users/{user['id']}", before)
    assert (answer.status, answer.json) == (200, before)
