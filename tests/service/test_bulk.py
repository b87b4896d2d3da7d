"""Bulk: what each operation answers, references between operations, limits, and the transactions that POSTs share."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

import function_app
from scim.app import Application
from scim.operate.check import list_problems
from scim.schema.loading import load
from scim.settings import Settings
from tests.conftest import NewClient
from tests.support import BASE, ENTERPRISE, PATCH, USER, Client, Request, Response, Wire

REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
REGISTRY = load()
NOBODY = "u-aaaaaaaaaaaaaaaaaaaaaaaa"
"""The id of a user that is not there."""

Operation = dict[str, Any]


def new_user(name: str, **attributes: object) -> Operation:
    """A POST of a user whose bulkId is its userName."""
    data = {"schemas": [USER], "userName": name, **attributes}
    return {"method": "POST", "path": "/Users", "bulkId": name, "data": data}


def new_group(name: str, *members: str) -> Operation:
    """A POST of a group whose bulkId is its displayName."""
    data = {"displayName": name, "members": [{"value": member} for member in members]}
    return {"method": "POST", "path": "/Groups", "bulkId": name, "data": data}


def managed(name: str, manager: str) -> Operation:
    return new_user(name, **{ENTERPRISE: {"manager": {"value": manager}}})


def put(path: str, **attributes: object) -> Operation:
    return {"method": "PUT", "path": path, "data": attributes}


def patch(path: str, name: str, value: object, op: str = "replace") -> Operation:
    data = {"schemas": [PATCH], "Operations": [{"op": op, "path": name, "value": value}]}
    return {"method": "PATCH", "path": path, "data": data}


def delete(path: str) -> Operation:
    return {"method": "DELETE", "path": path}


async def send(client: Client, *operations: object, **members: object) -> Response:
    return await client.post("/Bulk", {"schemas": [REQUEST], "Operations": list(operations), **members})


async def results(client: Client, *operations: object, **members: object) -> list[Any]:
    """The results of a request that was run."""
    response = await send(client, *operations, **members)
    assert response.status == 200, response.body
    assert response.json["schemas"] == [RESPONSE]
    return response.json["Operations"]  # type: ignore[no-any-return]


def statuses(found: list[Any]) -> list[int]:
    """The statuses, which are strings on the wire; each failed operation says why."""
    for result in found:
        assert isinstance(result["status"], str)
        if int(result["status"]) >= 400:
            assert result["response"]["schemas"] == [ERROR]
            assert result["response"]["status"] == result["status"]
            assert result["response"]["detail"]
    return [int(result["status"]) for result in found]


def id_of(result: Any) -> str:
    return str(result["location"]).rpartition("/")[2]


async def names(client: Client, endpoint: str = "/Users") -> list[str]:
    """The names of all resources there are."""
    listed = (await client.get(f"{endpoint}?count=1000")).json["Resources"]
    return sorted(resource.get("userName") or resource["displayName"] for resource in listed)


async def members_of(client: Client, id: str) -> set[str]:
    return {member["value"] for member in (await client.get(f"/Groups/{id}")).json.get("members", [])}


async def manager_of(client: Client, id: str) -> str:
    return str((await client.get(f"/Users/{id}")).json[ENTERPRISE]["manager"]["value"])


def losing(error: Exception) -> Callable[[Request], Exception | None]:
    """Loses the first transaction."""
    left = [error]
    return lambda request: left.pop() if left and request.http_request.method == "POST" else None


# What comes back.


async def test_every_method(client: Client) -> None:
    changed, renamed, gone = [await client.new_user(name) for name in ("put", "patch", "delete")]
    group = (await client.post("/Groups", {"displayName": "Group"})).json
    operations = [
        new_user("new", title="new"),
        put(f"/Users/{changed['id']}", userName="put", title="changed"),
        {**patch(f"/Users/{renamed['id']}", "userName", "renamed"), "bulkId": "mine"},
        delete(f"/Users/{gone['id']}"),
        patch(f"/Groups/{group['id']}", "members", [{"value": changed["id"]}], "add"),
        new_group("Other"),
    ]
    found = await results(client, *operations)
    assert statuses(found) == [201, 200, 200, 204, 204, 201]
    assert [result["method"] for result in found] == ["POST", "PUT", "PATCH", "DELETE", "PATCH", "POST"]
    assert [result.get("bulkId") for result in found] == ["new", None, "mine", None, None, "Other"]
    paths = [f"/Users/{id_of(found[0])}", *(operation["path"] for operation in operations[1:5])]
    assert [result["location"] for result in found[:5]] == [BASE + path for path in paths]
    for result in found:
        if result["method"] == "DELETE":
            assert "version" not in result
            assert (await client.get(f"/Users/{gone['id']}")).status == 404
        else:
            path = result["location"].removeprefix(BASE) + "?excludedAttributes=groups"
            now = (await client.get(path)).json
            assert (now["meta"]["location"], now["meta"]["version"]) == (result["location"], result["version"])
    assert await names(client) == ["new", "put", "renamed"]
    assert (await client.get(f"/Users/{changed['id']}")).json["title"] == "changed"
    assert await members_of(client, group["id"]) == {changed["id"]}


FAILURES: dict[str, tuple[Operation, int, str | None, bool]] = {
    "a taken name": (new_user("TAKEN"), 409, "uniqueness", False),
    "no userName": ({**new_user("x"), "data": {"displayName": "x"}}, 400, "invalidValue", False),
    "no data to create": ({"method": "POST", "path": "/Users", "bulkId": "x"}, 400, "invalidSyntax", False),
    "data that is no object": ({**new_user("x"), "data": []}, 400, "invalidSyntax", False),
    "no such user to replace": (put(f"/Users/{NOBODY}", userName="x"), 404, None, True),
    "no such user to change": (patch(f"/Users/{NOBODY}", "title", "x"), 404, None, True),
    "no such user to delete": (delete(f"/Users/{NOBODY}"), 404, None, True),
    "no such path": (patch(f"/Users/{NOBODY}", "emails[", "x"), 400, "invalidPath", True),
    "no data to change": ({"method": "PATCH", "path": f"/Users/{NOBODY}"}, 400, "invalidSyntax", True),
}


@pytest.mark.parametrize(("operation", "status", "scim_type", "located"), FAILURES.values(), ids=FAILURES)
async def test_a_failure_says_why_and_stops_nobody_else(
    client: Client, operation: Operation, status: int, scim_type: str | None, located: bool
) -> None:
    """Every failure but a POST's has a location (RFC 7644 §3.7.3)."""
    await client.new_user("taken")
    found = await results(client, new_user("before"), operation, new_user("after"))
    assert statuses(found) == [201, status, 201]
    assert found[1]["response"].get("scimType") == scim_type
    assert found[1].get("location") == (BASE + operation["path"] if located else None)
    assert "version" not in found[1]
    assert await names(client) == ["after", "before", "taken"]


async def test_members_of_the_request_have_any_case(client: Client) -> None:
    operation = {"METHOD": "post", "Path": "/users/", "BulkID": "b", "DATA": {"userName": "b"}}
    response = await client.post("/Bulk", {"operations": [operation]})
    assert [(result["bulkId"], result["status"]) for result in response.json["Operations"]] == [("b", "201")]


async def test_results_come_in_the_order_of_the_request(client: Client) -> None:
    user = await client.new_user("taken")
    operations = [
        new_group("A", "bulkId:z"),
        delete(f"/Users/{NOBODY}"),
        new_user("taken"),
        managed("y", "bulkId:z"),
        put(f"/Users/{user['id']}", userName="taken", title="t"),
        new_user("z"),
        new_group("B", "bulkId:A", "bulkId:y"),
    ]
    found = await results(client, *operations)
    assert [(r["method"], r.get("bulkId")) for r in found] == [(o["method"], o.get("bulkId")) for o in operations]
    assert statuses(found) == [201, 404, 409, 201, 200, 201, 201]


async def test_an_empty_request_has_an_empty_answer(client: Client) -> None:
    assert await results(client) == []


# References.

BACKWARD_AND_FORWARD = pytest.mark.parametrize("turn", [1, -1], ids=["backward", "forward"])


@BACKWARD_AND_FORWARD
async def test_a_group_refers_to_its_members(client: Client, turn: int) -> None:
    operations = [new_user("a"), new_user("b"), new_group("G", "bulkId:a", "BULKID:b")][::turn]
    found = {result["bulkId"]: result for result in await results(client, *operations)}
    assert {result["status"] for result in found.values()} == {"201"}
    assert await members_of(client, id_of(found["G"])) == {id_of(found["a"]), id_of(found["b"])}
    shown = (await client.get(f"/Users/{id_of(found['a'])}")).json["groups"]
    assert [group["value"] for group in shown] == [id_of(found["G"])]


@BACKWARD_AND_FORWARD
@pytest.mark.parametrize("manager", [{"value": "bulkId:boss"}, "bulkId:boss"], ids=["as an object", "as a string"])
async def test_an_extension_refers_to_a_user(client: Client, turn: int, manager: object) -> None:
    operations = [new_user("boss"), new_user("other"), new_user("worker", **{ENTERPRISE: {"manager": manager}})][::turn]
    found = {result["bulkId"]: result for result in await results(client, *operations)}
    assert await manager_of(client, id_of(found["worker"])) == id_of(found["boss"])


@BACKWARD_AND_FORWARD
async def test_a_patch_and_a_put_refer_in_path_and_data(client: Client, turn: int) -> None:
    old = (await client.post("/Groups", {"displayName": "Old"})).json
    operations = [
        new_user("a"),
        new_group("G"),
        patch("/Users/bulkId:a", "title", "patched"),
        patch("/Groups/bulkId:G", "members", [{"value": "bulkId:a"}], "add"),
        put(f"/Groups/{old['id']}", displayName="Old", members=[{"value": "bulkId:G"}]),
    ][::turn]
    found = await results(client, *operations)
    assert sorted(statuses(found)) == [200, 200, 201, 201, 204]
    by_id = {result["bulkId"]: id_of(result) for result in found if "bulkId" in result}
    assert (await client.get(f"/Users/{by_id['a']}")).json["title"] == "patched"
    assert await members_of(client, by_id["G"]) == {by_id["a"]}
    assert await members_of(client, old["id"]) == {by_id["G"]}


async def test_what_a_request_made_it_can_delete(client: Client) -> None:
    found = await results(client, new_user("a"), new_user("b"), delete("/Users/bulkId:a"))
    assert statuses(found) == [201, 201, 204]
    assert found[2]["location"] == found[0]["location"]
    assert await names(client) == ["b"]


async def test_circles_of_groups(client: Client) -> None:
    """The example of RFC 7644 §3.7.1, and a group in itself."""
    found = await results(client, new_group("A", "bulkId:B"), new_group("B", "bulkId:A"), new_group("C", "bulkId:C"))
    assert statuses(found) == [201, 201, 201]
    a, b, c = map(id_of, found)
    assert [await members_of(client, id) for id in (a, b, c)] == [{b}, {a}, {c}]
    assert {result["location"] for result in found} == {f"{BASE}/Groups/{id}" for id in (a, b, c)}


async def test_a_circle_of_users(client: Client) -> None:
    found = await results(
        client, managed("a", "bulkId:b"), managed("b", "bulkId:c"), managed("c", "bulkId:a"), new_user("d")
    )
    assert statuses(found) == [201, 201, 201, 201]
    ids = list(map(id_of, found))
    assert [await manager_of(client, id) for id in ids[:3]] == [ids[1], ids[2], ids[0]]


DEPENDENT: dict[str, Operation] = {
    "a group": new_group("G", "bulkId:taken"),
    "a user": managed("dependent", "bulkId:taken"),
    "a patch in its path": patch("/Users/bulkId:taken", "title", "x"),
    "a patch in its data": patch("/Groups/{group}", "members", [{"value": "bulkId:taken"}], "add"),
    "a delete": delete("/Users/bulkId:taken"),
}


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
@BACKWARD_AND_FORWARD
@pytest.mark.parametrize("dependent", DEPENDENT.values(), ids=DEPENDENT)
async def test_what_refers_to_a_post_that_failed_is_refused(
    client: Client, dependent: Operation, turn: int, others: int
) -> None:
    """409, and nothing that would point to a resource that does not exist."""
    await client.new_user("taken")
    group = (await client.post("/Groups", {"displayName": "Old"})).json
    dependent = {**dependent, "path": dependent["path"].replace("{group}", group["id"])}
    found = await results(
        client, *[new_user("taken"), dependent][::turn], *(new_user(f"other {number}") for number in range(others))
    )
    assert statuses(found) == [409, 409] + [201] * others
    (refused,) = (result["response"] for result in found[:2] if result["response"].get("scimType") != "uniqueness")
    assert "bulkId:taken" in refused["detail"]
    assert await names(client) == [*(f"other {number}" for number in range(others)), "taken"]
    assert await names(client, "/Groups") == ["Old"]
    assert await members_of(client, group["id"]) == set()


async def test_a_failure_goes_along_a_chain(client: Client) -> None:
    await client.new_user("a")
    operations = [managed("c", "bulkId:b"), new_user("a"), managed("b", "bulkId:a"), new_group("G", "bulkId:c")]
    assert statuses(await results(client, *operations)) == [409, 409, 409, 409]
    assert (await names(client), await names(client, "/Groups")) == (["a"], [])


TO_NOTHING: dict[str, Operation] = {
    "a group": new_group("G", "bulkId:nothing"),
    "a user": managed("dependent", "bulkId:nothing"),
    "a path": patch("/Users/bulkId:nothing", "title", "x"),
    "a delete": delete("/Users/bulkId:nothing"),
    "to what is no POST": managed("dependent", "bulkId:patch"),
}


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
@pytest.mark.parametrize("operation", TO_NOTHING.values(), ids=TO_NOTHING)
async def test_a_reference_to_nothing_is_refused(client: Client, operation: Operation, others: int) -> None:
    user = await client.new_user("old")
    found = await results(
        client,
        operation,
        *(new_user(f"other {number}") for number in range(others)),
        {**patch(f"/Users/{user['id']}", "title", "x"), "bulkId": "patch"},
    )
    assert statuses(found) == [400] + [201] * others + [200]
    assert found[0]["response"]["scimType"] == "invalidValue"
    assert await names(client) == ["old", *(f"other {number}" for number in range(others))]
    assert await names(client, "/Groups") == []


async def test_a_reference_reaches_no_further_than_its_request(client: Client) -> None:
    assert statuses(await results(client, new_user("a"))) == [201]
    assert statuses(await results(client, new_group("G", "bulkId:a"))) == [400]


async def test_a_bulk_id_is_given_once(client: Client) -> None:
    response = await send(client, new_user("a"), {**new_user("b"), "bulkId": "a"})
    assert (response.status, response.json["scimType"]) == (400, "invalidValue")
    assert "Operation 2" in response.json["detail"]
    assert await names(client) == []


# failOnErrors and versions.


@pytest.mark.parametrize(("most", "answered"), [(1, 2), (2, 4), (3, 5), (None, 5)])
async def test_a_request_ends_after_as_many_failures_as_it_says(
    client: Client, most: int | None, answered: int
) -> None:
    await client.new_user("taken")
    operations = [new_user("a"), new_user("taken"), new_user("b"), delete(f"/Users/{NOBODY}"), new_user("c")]
    members = {} if most is None else {"failOnErrors": most}
    found = await results(client, *operations, **members)
    assert statuses(found) == [201, 409, 201, 404, 201][:answered]
    assert await names(client) == sorted(["taken", "a", "b", "c"][: 1 + statuses(found).count(201)])


@pytest.mark.parametrize("most", [-1, "1", True, 1.5])
async def test_fail_on_errors_is_a_number(client: Client, most: object) -> None:
    response = await send(client, new_user("a"), failOnErrors=most)
    assert (response.status, response.json["scimType"]) == (400, "invalidValue")
    assert "failOnErrors" in response.json["detail"]
    assert await names(client) == []


WITH_VERSION: dict[str, Callable[[str, str], Operation]] = {
    "put": lambda user, group: put(f"/Users/{user}", userName="user", title="new"),
    "patch": lambda user, group: patch(f"/Users/{user}", "title", "new"),
    "delete": lambda user, group: delete(f"/Users/{user}"),
    "members": lambda user, group: patch(f"/Groups/{group}", "members", [{"value": user}], "add"),
}


@pytest.mark.parametrize("operation", WITH_VERSION.values(), ids=WITH_VERSION)
async def test_a_version_is_a_condition(client: Client, operation: Callable[[str, str], Operation]) -> None:
    user = await client.new_user("user")
    group = (await client.post("/Groups", {"displayName": "G"})).json
    made = operation(user["id"], group["id"])
    path = made["path"]
    before = (await client.get(path)).json
    (stale,) = await results(client, {**made, "version": 'W/"stale"'})
    assert (statuses([stale]), stale["location"]) == ([412], BASE + path)
    assert before["meta"]["version"] in stale["response"]["detail"]
    assert (await client.get(path)).json == before
    (done,) = await results(client, {**made, "version": before["meta"]["version"]})
    assert statuses([done])[0] < 300
    after = await client.get(path)
    assert after.status == 404 if made["method"] == "DELETE" else after.json["meta"]["version"] == done["version"]


# What is refused as a whole, and what one by one.

MALFORMED: dict[str, object] = {
    "an array": [],
    "no operations": {"schemas": [REQUEST]},
    "operations that are an object": {"Operations": {}},
    "an operation that is text": {"Operations": [new_user("a"), "DELETE"]},
    "method GET": {"Operations": [new_user("a"), {"method": "GET", "path": "/Users"}]},
    "no method": {"Operations": [new_user("a"), {"path": "/Users"}]},
    "a method that is a number": {"Operations": [new_user("a"), {**new_user("b"), "method": 1}]},
    "no path": {"Operations": [new_user("a"), {"method": "DELETE"}]},
    "a path without a slash": {"Operations": [new_user("a"), {**new_user("b"), "path": "Users"}]},
    "a path to another host": {"Operations": [new_user("a"), delete("https://elsewhere.example/scim/Users/u-1")]},
    "a bulkId that is a number": {"Operations": [new_user("a"), {**new_user("b"), "bulkId": 2}]},
    "a version that is a number": {"Operations": [new_user("a"), {**delete("/Users/u-1"), "version": 2}]},
}


@pytest.mark.parametrize("body", MALFORMED.values(), ids=MALFORMED)
async def test_a_malformed_request_does_nothing(client: Client, body: object) -> None:
    response = await client.post("/Bulk", body)
    assert (response.status, response.json["scimType"]) == (400, "invalidSyntax")
    assert response.json["schemas"] == [ERROR]
    assert await names(client) == []


ODD = [
    ("POST", "/Bulk"),
    ("POST", "/bulk/"),
    ("POST", "/.search"),
    ("POST", "/Users/.search"),
    ("POST", "/"),
    ("POST", "/Me"),
    ("POST", "/Schemas"),
    ("POST", "/ServiceProviderConfig"),
    ("POST", "/Nothing"),
    ("POST", f"/Users/{NOBODY}"),
    ("PUT", "/Users"),
    ("PUT", "/Bulk"),
    ("PATCH", "/Me"),
    ("DELETE", "/Users"),
    ("DELETE", "/Groups/"),
    ("DELETE", "/"),
    ("DELETE", "/Nothing/1"),
    ("DELETE", f"/Users/{NOBODY}/emails"),
    ("DELETE", f"/Groups/{NOBODY}"),
]


@pytest.mark.parametrize(("method", "path"), ODD)
async def test_a_path_that_is_no_place_for_the_method_is_refused(client: Client, method: str, path: str) -> None:
    """A POST needs a resource type's endpoint, all else a resource (RFC 7644 §3.7); a request never holds another."""
    inner: dict[str, Any] = {"userName": "inner", "displayName": "inner", "Operations": [new_user("inner")]}
    if path.endswith(".search"):
        inner = {"count": 1}
    operation = {"method": method, "path": path, "bulkId": "odd", "data": inner}
    found = await results(client, operation, new_user("after"), new_group("G", "bulkId:after"))
    refused, *others = statuses(found)
    assert 400 <= refused < 500 or (refused == 501 and path == "/Me")
    assert others == [201, 201]
    assert (await names(client), await names(client, "/Groups")) == (["after"], ["G"])


@pytest.fixture
async def small(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Settings]:
    """The application with little room for bulk."""
    small = settings.model_copy(update={"max_bulk_operations": 3, "max_bulk_bytes": 2048})
    application = Application(small)
    monkeypatch.setattr(function_app, "application", application)
    yield small
    await application.close()


@pytest.mark.parametrize(("number", "status"), [(3, 200), (4, 413)])
async def test_operations_are_limited(client: Client, small: Settings, number: int, status: int) -> None:
    response = await send(client, *(new_user(f"user {i}") for i in range(number)))
    assert response.status == status
    assert len(await names(client)) == (number if status == 200 else 0)
    if status == 413:
        assert "at most 3" in response.json["detail"]


@pytest.mark.parametrize(("length", "status"), [(2048, 200), (2049, 413)])
async def test_bytes_are_limited(client: Client, small: Settings, length: int, status: int) -> None:
    body = json.dumps({"Operations": [new_user("a")]}).encode().ljust(length)
    response = await client.request("POST", "/Bulk", content=body)
    assert response.status == status
    assert len(await names(client)) == (1 if status == 200 else 0)
    if status == 413:
        assert "at most 2048" in response.json["detail"]


async def test_no_operation_reaches_another_tenant(new_client: NewClient) -> None:
    ours, theirs = new_client(), new_client()
    user = await theirs.new_user("hidden")
    group = (await theirs.post("/Groups", {"displayName": "Hidden", "members": [{"value": user["id"]}]})).json
    found = await results(
        ours,
        put(f"/Users/{user['id']}", userName="mine"),
        patch(f"/Users/{user['id']}", "title", "mine"),
        delete(f"/Users/{user['id']}"),
        patch(f"/Groups/{group['id']}", "members", [{"value": "x"}], "add"),
        put(f"/Groups/{group['id']}", displayName="mine"),
        delete(f"/Groups/{group['id']}"),
        {**new_user("hidden"), "data": {"userName": "hidden", "id": user["id"]}},
        new_group("Hidden", user["id"]),
    )
    assert statuses(found) == [404] * 6 + [201, 201]
    assert id_of(found[6]) != user["id"]
    now = (await theirs.get(f"/Users/{user['id']}")).json
    now["meta"]["version"] = user["meta"]["version"]  # which the group has changed
    assert (now["meta"], [g["value"] for g in now["groups"]]) == (user["meta"], [group["id"]])
    assert (await theirs.get(f"/Groups/{group['id']}")).json == group


# Shared transactions.

HUNDRED = [f"user {number:03}" for number in range(100)]
FULL = {"externalId": "e", "displayName": "d", "emails": [{"value": "a@x"}]}
"""With these a user has five rows: its own, one for its userName and three to look it up by."""


@pytest.mark.parametrize(("attributes", "trips"), [({}, 3), (FULL, 6)], ids=["two rows each", "five rows each"])
async def test_a_hundred_posts_take_a_few_trips(
    client: Client, wire: Wire, application: Application, attributes: dict[str, Any], trips: int
) -> None:
    """A transaction has a hundred rows, one of them the outbox's; the first of a process for a tenant has one of the
    census among them."""
    await client.delete(f"/Users/{(await client.new_user('first'))['id']}")
    wire.reset()
    found = await results(client, *(new_user(name, **attributes) for name in HUNDRED))
    assert len(wire.trips) == trips, wire.trips
    assert statuses(found) == [201] * 100
    assert len({result["location"] for result in found}) == 100
    assert await names(client) == HUNDRED
    last = (await client.get(f"/Users/{id_of(found[99])}")).json
    assert (last["userName"], last["meta"]["version"]) == (HUNDRED[99], found[99]["version"])
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


@pytest.mark.parametrize("at", [0, 30, 99])
async def test_a_duplicate_among_them_costs_only_itself(client: Client, wire: Wire, at: int) -> None:
    await client.new_user(HUNDRED[at].upper())
    wire.reset()
    found = await results(client, *(new_user(name) for name in HUNDRED))
    assert statuses(found) == [409 if number == at else 201 for number in range(100)]
    assert found[at]["response"]["scimType"] == "uniqueness"
    assert len(wire.trips) <= 8, wire.trips
    assert len(await names(client)) == 100


async def test_many_duplicates_and_faulty_ones_among_them(client: Client, application: Application) -> None:
    for name in HUNDRED[:40:4]:
        await client.new_user(name)
    operations = [new_user(name) for name in HUNDRED]
    operations[50]["data"] = {"userName": 5}
    operations[60]["data"] = {"userName": HUNDRED[59].title()}
    found = await results(client, *operations)
    expected = [409 if number in range(0, 40, 4) or number == 60 else 201 for number in range(100)]
    expected[50] = 400
    assert statuses(found) == expected
    assert await names(client) == [name for number, name in enumerate(HUNDRED) if number not in (50, 60)]
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


LOST: list[Exception] = [ServiceResponseError("the connection was reset"), ServiceRequestError("no connection")]


@pytest.mark.parametrize("error", LOST, ids=["after it was sent", "before it was sent"])
async def test_a_shared_transaction_whose_answer_is_lost_is_done_once(
    client: Client, wire: Wire, application: Application, error: Exception
) -> None:
    if isinstance(error, ServiceResponseError):
        wire.after = losing(error)
    else:
        wire.before = losing(error)
    found = await results(client, *(new_user(name) for name in HUNDRED))
    assert statuses(found) == [201] * 100
    assert await names(client) == HUNDRED
    for result in found[::33]:
        assert (await client.get(f"/Users/{id_of(result)}")).json["meta"]["version"] == result["version"]
    assert await list_problems(application.table, client.tenant, REGISTRY) == []


async def test_the_sdk_retrying_a_shared_transaction_is_no_conflict(client: Client, wire: Wire) -> None:
    wire.status_once = ("POST", 503)
    assert statuses(await results(client, *(new_user(name) for name in HUNDRED))) == [201] * 100
    assert wire.status_once is None
    assert await names(client) == HUNDRED


async def test_storage_that_fails_one_operation_fails_only_that(
    client: Client, wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was done before must be told: sent again as a whole, the request would find its own users in the way."""
    ids = [(await client.new_user(f"user {number}"))["id"] for number in range(3)]
    monkeypatch.setattr("scim.store.table.azure.TRIP_SECONDS", 0.3)
    wire.before = lambda request: ServiceRequestError("no connection") if ids[1] in request.http_request.url else None
    found = await results(client, new_user("new"), *(patch(f"/Users/{id}", "title", "t") for id in ids))
    assert statuses(found) == [201, 200, 503, 200]


@pytest.fixture
async def strict(settings: Settings, new_client: NewClient, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A client whose connection holds to the interoperability profile."""
    client = new_client()
    connection = settings.connections[client.tenant].model_copy(update={"mode": "strict"})
    application = Application(settings.model_copy(update={"connections": {client.tenant: connection}}))
    monkeypatch.setattr(function_app, "application", application)
    yield client
    await application.close()


@pytest.mark.parametrize("others", [0, 2], ids=["alone", "among others"])
async def test_a_strict_connection_is_strict_in_bulk(strict: Client, others: int) -> None:
    unknown = new_user("unknown", shoeSize=44)
    found = await results(strict, unknown, *(new_user(f"other {number}") for number in range(others)))
    assert statuses(found) == [400] + [201] * others
    assert found[0]["response"]["scimType"] == "invalidSyntax"
    assert len(await names(strict)) == others


async def test_users_made_together_are_kept_as_one_made_alone(client: Client) -> None:
    """The $ref of an id of ours is the server's to make, and is not kept."""
    boss = await client.new_user("boss")
    manager = {"value": boss["id"], "$ref": "http://elsewhere.example/Users/x"}
    body = {f"{ENTERPRISE}": {"manager": manager}}
    alone = (await client.post("/Users", {"userName": "alone", **body})).json
    operations = [{"method": "POST", "path": "/Users", "data": {"userName": name, **body}} for name in ("one", "two")]
    for result in await results(client, *operations):
        made = (await client.get(result["location"].removeprefix(BASE))).json
        assert made[ENTERPRISE] == alone[ENTERPRISE] != body[ENTERPRISE]
