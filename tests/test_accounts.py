"""Who did what: what the log says of each change and each refusal, and that no value of a person is ever in it."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from dev.host import Host
from scim.security.keys import fingerprint
from tests.core import cases
from tests.support import ENTERPRISE, Client
from tests.test_request_log import lines

MARK = "zyxwmark"
"""Stands in every value that a client sends; no line may have it."""
ADDED = "urn:marked:zyxwmark:2.0:User"
WHO = ("tenant", "connection", "credential")


@pytest.fixture(autouse=True)
def _everything(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)


async def new_group(client: Client, *members: str) -> str:
    """The path of a group that was made with these members."""
    body = {"displayName": f"{MARK}-{len(members)}", "members": [{"value": member} for member in members]}
    answer = await client.post("/Groups", body)
    assert answer.status == 201, answer.body
    return f"/Groups/{answer.json['id']}"


def change(op: str, path: str | None, value: object = None) -> dict[str, object]:
    return {"op": op, **({"path": path} if path else {}), **({} if value is None else {"value": value})}


CHANGES: dict[str, tuple[dict[str, object], dict[str, object]]] = {
    "an attribute": (change("replace", "title", "Boss"), {"changed": ["title"]}),
    "a sub-attribute": (change("replace", "name.givenName", "Adele"), {"changed": ["name"]}),
    "a value in brackets": (change("add", 'emails[type eq "work"].value', "a@b.c"), {"changed": ["emails"]}),
    "of the extension": (
        change("add", "department", "Sales"),
        {"changed": [f"{ENTERPRISE}:department"]},
    ),
    "of nobody's extension": (change("add", f"{ADDED}:badge", "7"), {"changed": ["(undeclared)"]}),
    "disabling": (change("Replace", "active", "False"), {"changed": ["active"], "disabled": 1}),
    "disabling without a word": (change("remove", "active"), {"changed": ["active"], "disabled": 1}),
    "a role": (change("add", "roles", [{"value": "admin"}]), {"changed": ["roles"]}),
    "nothing": (change("replace", "nobodyKnowsThis", "x"), {}),
    "what it has": (change("replace", "active", True), {}),
    "several": (change("replace", None, {"title": "B", "userType": "C"}), {"changed": ["title", "userType"]}),
}
TOLD = ("changed", "added", "removed", "addedIds", "removedIds", "disabled", "deleted", "attribute", "rule", "failed")


def told(line: dict[str, Any]) -> dict[str, Any]:
    """What a line says of a change."""
    return {name: line[name] for name in TOLD if name in line}


@pytest.mark.parametrize(("operation", "wanted"), cases(CHANGES))
async def test_what_a_patch_changed(
    client: Client, caplog: pytest.LogCaptureFixture, operation: dict[str, object], wanted: dict[str, object]
) -> None:
    user = await client.new_user("adele", active=True)
    caplog.clear()
    answer = await client.patch(f"/Users/{user['id']}", operation)
    (line,) = lines(caplog)
    assert (answer.status, line["status"], line["resource"]) == (200, 200, user["id"])
    assert [line[name] for name in WHO] == [client.tenant, client.tenant, fingerprint(client.token)]
    assert told(line) == wanted


async def test_who_became_a_member(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Ids of ours are named: "who made X an admin" has an answer. Any other value may be somebody's name."""
    one, two = [(await client.new_user(name))["id"] for name in ("one", "two")]
    group = await new_group(client, one)
    values = [{"value": two}, {"value": MARK}]
    await client.patch(group, change("add", "members", values))
    await client.patch(group, change("remove", f'members[value eq "{two}"]'))
    await client.patch(group, change("replace", "members", [{"value": two}]))
    created, added, removed, replaced = [told(line) for line in lines(caplog)[2:]]
    assert created == {"changed": ["displayName"], "added": 1, "addedIds": [one]}
    assert added == {"added": 2, "addedIds": [two]}
    assert removed == {"removed": 1, "removedIds": [two]}
    assert (replaced["addedIds"], replaced["removed"], replaced["removedIds"]) == ([two], 2, [one])


async def test_a_long_change_names_some_and_says_how_many(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    group = await new_group(client)
    ids = [
        f"u-{number:024}".replace("0", "a").replace("1", "b").replace("8", "c").replace("9", "d")
        for number in range(400)
    ]
    await client.patch(group, change("add", "members", [{"value": id} for id in dict.fromkeys(ids)]))
    line = lines(caplog)[-1]
    assert line["added"] > 60 and len(line["addedIds"]) == 50
    assert len(json.dumps(line)) < 4000


async def test_deletion_and_refusal(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    user = await client.new_user("adele")
    path = f"/Users/{user['id']}"
    await client.delete(path)
    await client.delete(path)
    await client.post("/Users", {"userName": "b", "name": "no object"})
    await client.post("/Users", {"title": "Boss"})
    await client.get("/Users?filter=active+gt+true")
    deleted, gone, wrong, missing, unordered = [told(line) for line in lines(caplog)[1:]]
    assert (deleted, gone) == ({"deleted": 1}, {})
    assert wrong == {"attribute": "name", "rule": "type"}
    assert missing == {"attribute": "userName", "rule": "required"}
    assert unordered == {"attribute": "active", "rule": "operator"}


async def test_a_line_for_each_resource_that_a_bulk_request_changed(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    users = [(await client.new_user(f"user-{number}", active=True))["id"] for number in range(3)]
    caplog.clear()
    off = {"Operations": [change("replace", "active", False)]}
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": "made-a"}},
        {"method": "POST", "path": "/Users", "bulkId": "b", "data": {"userName": "made-b", "title": "x"}},
        {"method": "PATCH", "path": f"/Users/{users[0]}", "data": off},
        {"method": "PATCH", "path": f"/Users/{users[0]}", "data": off},
        {"method": "PATCH", "path": f"/Users/{users[1]}", "data": {"Operations": [change("replace", "active", "x")]}},
        {"method": "DELETE", "path": f"/Users/{users[2]}"},
        {"method": "DELETE", "path": f"/Users/{users[2]}"},
        {"method": "POST", "path": "/Groups", "data": {"displayName": "g", "members": [{"value": "bulkId:a"}]}},
    ]
    answer = (await client.post("/Bulk", {"Operations": operations})).json["Operations"]
    made = [item["location"].rpartition("/")[2] for item in answer if item["method"] == "POST"]
    (line,) = lines(caplog)
    changes = lines(caplog, "change")
    assert [(one["operation"], one["resource"], told(one)) for one in changes] == [
        ("POST Users", made[0], {"changed": ["userName"]}),
        ("POST Users", made[1], {"changed": ["userName", "title"]}),
        ("PATCH Users/{id}", users[0], {"changed": ["active"], "disabled": 1}),
        ("DELETE Users/{id}", users[2], {"deleted": 1}),
        ("POST Groups", made[2], {"changed": ["displayName"], "added": 1, "addedIds": [made[0]]}),
    ]
    assert {one["request"] for one in changes} == {line["request"]}
    assert {tuple(one[name] for name in WHO) for one in changes} == {tuple(line[name] for name in WHO)}
    assert (line["operations"], line["failed"], line["disabled"], line["deleted"]) == (8, 2, 1, 1)
    assert (line["attribute"], line["rule"]) == ("active", "type")


async def test_a_bulk_request_counts_what_was_done(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """What an operation was about to do and was refused, so that nobody is told of accounts that are as they were."""
    one, two = [await client.new_user(name, active=True) for name in ("one", "two")]
    await client.delete(f"/Users/{two['id']}")
    caplog.clear()
    taken = await client.new_user("two", active=True)
    off = [change("replace", None, {"active": False, "userName": "two"})]
    operations = [
        {"method": "PATCH", "path": f"/Users/{one['id']}", "data": {"Operations": off}},
        {"method": "DELETE", "path": f"/Users/{one['id']}", "version": 'W/"another"'},
        {"method": "PUT", "path": f"/Users/{taken['id']}", "data": {"userName": "one", "active": False}},
    ]
    answer = (await client.post("/Bulk", {"Operations": operations})).json["Operations"]
    assert [item["status"] for item in answer] == ["409", "412", "409"]
    assert told(lines(caplog)[-1]) == {"attribute": "userName", "rule": "unique", "failed": 3}
    assert lines(caplog, "change") == []


@pytest.mark.parametrize("path", ["/%55sers", "/users/", "//Users", "/Users?attributes=id", "/Users#x", "/Us\ners"])
async def test_what_is_made_is_named_however_its_path_is_spelt(
    client: Client, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    user = {"method": "POST", "path": path, "bulkId": "a", "data": {"userName": "a"}}
    group = {"method": "POST", "path": "/Groups", "data": {"displayName": "g", "members": [{"value": "bulkId:a"}]}}
    answer = (await client.post("/Bulk", {"Operations": [user, group]})).json["Operations"]
    made = [item["location"].rpartition("/")[2] for item in answer]
    assert [line["resource"] for line in lines(caplog, "change")] == made
    assert [member["value"] for member in (await client.get(f"/Groups/{made[1]}")).json["members"]] == [made[0]]


ERRORS = {
    "not there": ("GET", f"/Users/{MARK}", None),
    "no path": ("GET", f"/{MARK}", None),
    "filter": ("GET", f"/Users?filter={MARK}+eq+1", None),
    "body": ("POST", "/Users", [MARK]),
    "method": ("DELETE", "/Users", None),
}


@pytest.mark.parametrize(("method", "path", "body"), cases(ERRORS))
async def test_every_error_ends_with_the_id_of_its_request(
    client: Client, caplog: pytest.LogCaptureFixture, method: str, path: str, body: object
) -> None:
    """Once, and the log has it: an admin sees the text in Entra, and no header."""
    answer = await client.request(method, path, body)
    (line,) = lines(caplog)
    assert answer.json["detail"].endswith(f" (request {line['request']}).")
    assert answer.json["detail"].count("request " + line["request"]) == 1
    assert answer.headers["x-request-id"] == line["request"]
    assert answer.told["detail"].endswith(".")


async def test_errors_inside_bulk_have_the_id_once(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    operations = [{"method": "DELETE", "path": "/Users/u-nobody"}, {"method": "POST", "path": "/Nothing", "data": {}}]
    answer = await client.post("/Bulk", {"Operations": operations})
    (line,) = lines(caplog)
    details = [item["response"]["detail"] for item in answer.json["Operations"]]
    assert [detail.count(line["request"]) for detail in details] == [1, 1]


async def test_refused_tokens_have_the_id(host: Host, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    headers = {"Host": "scim.test", "Content-Type": "application/x-www-form-urlencoded"}
    answer = await host.request("POST", "http://scim.test/oauth2/token", headers, b"grant_type=x")
    (line,) = lines(caplog, "token")
    assert json.loads(answer.body)["error_description"].endswith(f" (request {line['request']}).")


def marked(value: object) -> Any:
    """A body with the mark in each of its names and values."""
    if isinstance(value, dict):
        return {name: marked(item) for name, item in value.items()} | {f"{MARK}name": MARK}
    if isinstance(value, list):
        return [marked(item) for item in value] + [MARK]
    return f"{value}-{MARK}" if isinstance(value, str) else value


def valued(value: Any) -> Any:
    """A body that is good, with the mark in each of its texts."""
    if isinstance(value, dict):
        return {name: valued(item) for name, item in value.items()}
    if isinstance(value, list):
        return [valued(item) for item in value]
    return f"{value}-{MARK}"


USER_BODY: dict[str, Any] = {
    "userName": "u", "externalId": "e", "displayName": "d", "nickName": "n", "profileUrl": "p", "title": "t",
    "userType": "y", "preferredLanguage": "l", "locale": "o", "timezone": "z", "password": "s",
    "name": {"formatted": "f", "familyName": "f", "givenName": "g", "middleName": "m"},
    "emails": [{"value": "v", "type": "w", "display": "d"}], "phoneNumbers": [{"value": "v"}],
    "addresses": [{"formatted": "f", "locality": "l", "streetAddress": "s"}], "roles": [{"value": "r"}],
    "ims": [{"value": "i"}], "photos": [{"value": "p"}], "entitlements": [{"value": "e"}],
    "x509Certificates": [{"value": "c"}],
    ENTERPRISE: {"employeeNumber": "1", "department": "d", "manager": {"value": "m", "displayName": "d"}},
    ADDED: {"badge": "b"},
}  # fmt: skip


async def send_everything(client: Client) -> int:
    """Every operation with the mark in every place, the failing ones too; how many were sent."""
    made = (await client.post("/Users", {name: valued(value) for name, value in USER_BODY.items()})).json
    user = f"/Users/{made['id']}"
    strange = [
        *({name: marked(value)} for name, value in USER_BODY.items()),
        *({"userName": f"{MARK}-{name}", name: [[MARK]]} for name in USER_BODY),
        *({"userName": f"{MARK}-{name}", name: {MARK: {MARK: MARK}}} for name in USER_BODY),
        {"userName": MARK, f"userName{MARK}": MARK, "USERNAME": MARK},
        {"schemas": [MARK, 1], "userName": MARK},
        {"userName": MARK + "\u0000"},
        {"userName": MARK, MARK: 2**70},
        marked(USER_BODY),
        [MARK],
        MARK,
    ]
    values: list[Any] = [MARK, [MARK], {MARK: MARK}, [{"value": MARK, "display": MARK, MARK: MARK}], 2**70, None]
    paths = [
        *USER_BODY,
        MARK,
        f"{ADDED}:{MARK}",
        f'emails[value eq "{MARK}"].value',
        f'emails[{MARK} eq "1"]',
        f"name.{MARK}",
        f"{MARK}[",
    ]
    operations = [
        change(op, path, value) for op in ("add", "replace", "remove", MARK) for path in paths for value in values
    ]
    sent = 1
    group = await new_group(client, MARK)
    asked: list[tuple[str, str, object]] = [("POST", "/Users", body) for body in strange]
    asked += [("PUT", user, body) for body in strange]
    asked += [("PATCH", user, {"Operations": [one]}) for one in operations[::3]]
    asked += [
        ("PATCH", group, {"Operations": [change(op, "members", value)]})
        for op in ("add", "remove", "replace")
        for value in values
    ]
    asked += [("PATCH", group, {"Operations": [change("remove", f'members[value eq "{MARK}"]')]})]
    asked += [("PATCH", group, {MARK: MARK}), ("PATCH", group, {"Operations": [MARK]})]
    asked += [("GET", f"/{path}", None) for path in (MARK, f"Users/{MARK}", f"Users/{MARK}/{MARK}", f"Schemas/{MARK}")]
    asked += [
        ("GET", f"/Users?{query}", None)
        for query in (
            f"filter=userName+eq+%22{MARK}%22", f"filter={MARK}+eq+%22{MARK}%22", f"filter={MARK}", f"sortBy={MARK}",
            f"attributes={MARK}", f"attributes={MARK}&excludedAttributes={MARK}", f"count={MARK}", f"cursor={MARK}",
            f"startIndex={MARK}", f"filter=active+eq+%22{MARK}%22", f"sortBy=title&sortOrder={MARK}",
        )
    ]  # fmt: skip
    asked += [("POST", "/Users/.search", {"filter": f'title co "{MARK}"', MARK: MARK}), ("POST", "/.search", [MARK])]
    bulk = [
        {
            "method": "POST",
            "path": "/Users",
            "bulkId": MARK,
            "data": {"userName": f"{MARK}-first", ADDED: {MARK: MARK}},
        },
        {
            "method": "POST",
            "path": "/Users",
            "data": {"userName": f"{MARK}-bulk", "manager": f"bulkId:{MARK}", "title": MARK},
        },
        {"method": "PATCH", "path": user, "data": {"Operations": [change("replace", "title", f"{MARK}-new")]}},
        {"method": "DELETE", "path": f"/Users/{MARK}"},
        {"method": "DELETE", "path": f"/{MARK}/{MARK}"},
        {"method": "PUT", "path": user, "version": MARK, "data": marked(USER_BODY)},
    ]
    asked += [
        ("POST", "/Bulk", {"Operations": bulk}),
        ("POST", "/Bulk", {"Operations": [{"method": MARK, "path": MARK}]}),
    ]
    asked += [("DELETE", group, None), ("DELETE", user, None), ("DELETE", user, None)]
    for method, path, body in asked:
        await client.request(method, path, body, {"If-None-Match": MARK} if method == "GET" else {})
        sent += 1
    return sent


@pytest.mark.long
async def test_no_marked_value_is_in_any_line(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    sent = await send_everything(client)
    found = lines(caplog)
    assert len(found) == sent + 1 and {line["status"] for line in found} >= {200, 201, 204, 400, 404, 409}
    assert all(line["status"] < 500 for line in found)
    assert len(lines(caplog, "change")) >= 3
    assert {line["rule"] for line in found if line["status"] == 400} >= {
        "type",
        "required",
        "twice",
        "syntax",
        "unknown",
    }
    assert MARK not in caplog.text.lower()
