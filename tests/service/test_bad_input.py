"""Whatever comes in, a SCIM answer goes out: 4xx with an error that names the place, and nothing is stored."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import quote

import pytest

from scim.app import Application
from scim.settings import Settings
from tests.conftest import NewClient
from tests.store.memory import Door, MemoryTable
from tests.support import ENTERPRISE, PATCH, Client, Response

ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def expect_error(answer: Response, status: int, scim_type: str | None = None, *named: str) -> None:
    assert answer.status == status, answer.body
    assert answer.headers["content-type"] == "application/scim+json"
    assert answer.json["schemas"] == [ERROR]
    assert answer.json["status"] == str(status)
    assert answer.json.get("scimType") == scim_type
    for name in named:
        assert name in answer.json["detail"]


def user(**attributes: Any) -> bytes:
    text = json.dumps({"userName": "bad@contoso.example", **attributes}, ensure_ascii=False)
    return text.encode()


def nested(levels: int) -> bytes:
    return b'{"userName":"x","deep":' + b'{"a":' * levels + b"1" + b"}" * levels + b"}"


BODIES: list[tuple[str, bytes, int, str | None, str]] = [
    ("no body", b"", 400, "invalidSyntax", "no body"),
    ("not JSON", b'{"userName": ', 400, "invalidSyntax", "column"),
    ("not UTF-8", b'{"userName": "\xff\xfe"}', 400, "invalidSyntax", "UTF-8"),
    ("not an object", b'["userName"]', 400, "invalidSyntax", "object"),
    ("a string", b'"userName"', 400, "invalidSyntax", "object"),
    ("NaN", b'{"userName": "x", "title": NaN}', 400, "invalidSyntax", "NaN"),
    ("nested 40 deep", nested(40), 400, "invalidSyntax", "32 levels"),
    ("nested 10,000 deep", nested(10_000), 400, "invalidSyntax", "nested"),
    ("arrays nested 100,000 deep", b"[" * 100_000 + b"]" * 100_000, 400, "invalidSyntax", "nested"),
    ("a name twice", b'{"userName": "x", "title": "a", "title": "b"}', 400, "invalidSyntax", "title"),
    ("a name twice in two cases", b'{"userName": "x", "TITLE": "a", "title": "b"}', 400, "invalidSyntax", "title"),
    ("too large", user(title="x" * 2**20), 413, None, "1048576"),
    ("NUL in a value", user(title="a\0b"), 400, "invalidValue", "title"),
    ("NUL in a name", user(**{"ti\0tle": "a"}), 400, "invalidValue", "U+0000"),
    ("a lone surrogate", b'{"userName":"x","name":{"givenName":"\\ud83d"}}', 400, "invalidValue", "name.givenName"),
    ("a lone surrogate in userName", b'{"userName":"\\udc00"}', 400, "invalidValue", "userName"),
    ("an integer beyond 64 bits", user(title=2**63), 400, "invalidValue", "title"),
    ("an integer of 5,000 digits", b'{"userName":"x","title":' + b"9" * 5000 + b"}", 400, "invalidValue", "digits"),
    ("a float beyond 64 bits", b'{"userName":"x","title":1e999}', 400, "invalidValue", "title"),
    ("userName missing", b'{"displayName": "x"}', 400, "invalidValue", "userName"),
    ("userName null", user(userName=None), 400, "invalidValue", "userName"),
    ("userName empty", user(userName=""), 400, "invalidValue", "userName"),
    ("userName a number", user(userName=5), 400, "invalidValue", "userName"),
    ("userName an object", user(userName={"value": "x"}), 400, "invalidValue", "userName"),
    ("userName an array", user(userName=["x"]), 400, "invalidValue", "userName"),
    ("active a word", user(active="perhaps"), 400, "invalidValue", "active"),
    ("active a number", user(active=1), 400, "invalidValue", "active"),
    ("name a string", user(name="Adele Vance"), 400, "invalidValue", "name"),
    ("emails a number", user(emails=5), 400, "invalidValue", "emails"),
    ("an e-mail's value a number", user(emails=[{"value": 5}]), 400, "invalidValue", "emails.value"),
    ("an extension that is a string", user(**{ENTERPRISE: "x"}), 400, "invalidValue", "enterprise"),
    ("an extension attribute a number", user(**{ENTERPRISE: {"department": 5}}), 400, "invalidValue", "department"),
    ("schemas a string", user(schemas="x"), 400, "invalidSyntax", "schemas"),
    ("too many e-mails", user(emails=[{"value": f"{i}@x"} for i in range(60)]), 400, "invalidValue", "emails"),
    ("a resource larger than a row", user(nickName="ü" * 490_000), 413, None, "480000"),
]


@pytest.mark.parametrize(("body", "status", "scim_type", "named"), [b[1:] for b in BODIES], ids=[b[0] for b in BODIES])
async def test_a_bad_body_is_refused_and_nothing_is_stored(
    client: Client, body: bytes, status: int, scim_type: str | None, named: str
) -> None:
    expect_error(await client.request("POST", "/Users", content=body), status, scim_type, named)
    assert (await client.get("/Users")).json["totalResults"] == 0


@pytest.mark.parametrize("body", [b[1] for b in BODIES], ids=[b[0] for b in BODIES])
async def test_a_bad_body_changes_nothing(client: Client, body: bytes) -> None:
    before = await client.new_user("kept@contoso.example")
    answer = await client.request("PUT", f"/Users/{before['id']}", content=body)
    assert 400 <= answer.status < 500, answer.body
    assert (await client.get(f"/Users/{before['id']}")).json == before


PATCHES: list[tuple[str, Any, int, str | None, str]] = [
    ("no operations", {}, 400, "invalidSyntax", "Operations"),
    ("operations an object", {"Operations": {}}, 400, "invalidSyntax", "Operations"),
    ("an operation a string", {"Operations": ["x"]}, 400, "invalidSyntax", "Operation 1"),
    ("no op", {"Operations": [{"path": "title"}]}, 400, "invalidSyntax", "op"),
    ("an unknown op", {"Operations": [{"op": "move", "path": "title"}]}, 400, "invalidSyntax", "op"),
    ("an op that is a number", {"Operations": [{"op": 5}]}, 400, "invalidSyntax", "op"),
    ("a path that is a number", {"Operations": [{"op": "add", "path": 5}]}, 400, "invalidPath", "path"),
    ("a path that is no path", {"Operations": [{"op": "add", "path": "a b", "value": 1}]}, 400, "invalidPath", "path"),
    (
        "a path left open",
        {"Operations": [{"op": "add", "path": "emails[type", "value": 1}]},
        400,
        "invalidPath",
        "path",
    ),
    (
        "brackets on one value",
        {"Operations": [{"op": "add", "path": 'title[a eq "b"]', "value": 1}]},
        400,
        "invalidPath",
        "title",
    ),
    ("remove of everything", {"Operations": [{"op": "remove"}]}, 400, "noTarget", "path"),
    ("a value without a path", {"Operations": [{"op": "add", "value": "x"}]}, 400, "invalidValue", "value"),
    ("an id", {"Operations": [{"op": "replace", "path": "id", "value": "x"}]}, 400, "mutability", "id"),
    ("groups", {"Operations": [{"op": "add", "path": "groups", "value": []}]}, 400, "mutability", "groups"),
    ("userName removed", {"Operations": [{"op": "remove", "path": "userName"}]}, 400, "mutability", "userName"),
    (
        "userName emptied",
        {"Operations": [{"op": "replace", "value": {"userName": ""}}]},
        400,
        "invalidValue",
        "userName",
    ),
    (
        "an element that cannot be made",
        {"Operations": [{"op": "add", "path": 'emails[value co "x"].type', "value": "work"}]},
        400,
        "noTarget",
        "emails",
    ),
    (
        "a filter on nothing",
        {"Operations": [{"op": "add", "path": 'emails[colour eq "x"].type', "value": "work"}]},
        400,
        "invalidFilter",
        "colour",
    ),
    ("too many operations", {"Operations": [{"op": "add"}] * 1001}, 413, None, "1000"),
    (
        "a huge path",
        {"Operations": [{"op": "add", "path": "a" * 10_000, "value": "x"}]},
        400,
        "invalidPath",
        "4096",
    ),
]


@pytest.mark.parametrize(
    ("body", "status", "scim_type", "named"), [p[1:] for p in PATCHES], ids=[p[0] for p in PATCHES]
)
async def test_a_bad_patch_is_refused_and_changes_nothing(
    client: Client, body: Any, status: int, scim_type: str | None, named: str
) -> None:
    before = await client.new_user("kept@contoso.example", title="before")
    operations = [{"op": "replace", "path": "title", "value": "after"}]
    if isinstance(body.get("Operations"), list):
        body = {"schemas": [PATCH], "Operations": operations + body["Operations"]}
        named = named.replace("Operation 1", "Operation 2")
    expect_error(await client.request("PATCH", f"/Users/{before['id']}", body), status, scim_type, named)
    assert (await client.get(f"/Users/{before['id']}")).json == before


FILTERS: list[tuple[str, str, str]] = [
    ("60 kB", "userName eq " + '"' + "x" * 60_000 + '"', "8192"),
    ("nested 1,000 deep", "(" * 1000 + "active pr" + ")" * 1000, "32 levels"),
    ("left open", '(userName eq "x"', "')'"),
    ("no closing quote", 'userName eq "x', "quote"),
    ("no value", "userName eq", "value"),
    ("no operator", "userName", "operator"),
    ("an unknown operator", 'userName is "x"', "is"),
    ("an unknown attribute", 'colour eq "x"', "colour"),
    ("an unknown sub-attribute", 'emails.colour eq "x"', "emails.colour"),
    ("an undeclared extension", 'urn:ietf:params:scim:schemas:extension:x:2.0:User:a eq "x"', "x:2.0:User:a"),
    ("two filters", 'userName eq "x" userName eq "y"', "end"),
    ("empty", "", "attribute name"),
    ("NUL", 'userName eq "a\\u0000b"', "U+0000"),
    ("a lone surrogate", 'userName eq "\\ud800"', "surrogate"),
    ("a word for a boolean", 'active eq "perhaps"', "active"),
    ("order of booleans", "active gt true", "active"),
    ("text of a date", 'meta.created co "2026"', "meta.created"),
    ("a date that is none", 'meta.created gt "yesterday"', "meta.created"),
    ("a complex attribute", 'name eq "x"', "name"),
]


@pytest.mark.parametrize(("filter", "named"), [f[1:] for f in FILTERS], ids=[f[0] for f in FILTERS])
async def test_a_bad_filter_is_refused_and_never_answered_unfiltered(client: Client, filter: str, named: str) -> None:
    await client.new_user("seen@contoso.example")
    expect_error(await client.get(f"/Users?filter={quote(filter)}"), 400, "invalidFilter", named)


@pytest.mark.parametrize("parameter", ["startIndex", "count"])
@pytest.mark.parametrize("value", ["x", "1.5", "1e9", "9" * 40, "--1", "²"])
async def test_a_page_that_is_no_number(client: Client, parameter: str, value: str) -> None:
    expect_error(await client.get(f"/Users?{parameter}={quote(value)}"), 400, "invalidValue", parameter)


@pytest.mark.parametrize(("start", "count"), [("0", "-5"), ("-3", "0"), ("99999999999", "99999999999"), ("", "")])
async def test_a_page_out_of_range_is_brought_into_it(client: Client, start: str, count: str) -> None:
    answer = await client.get(f"/Users?startIndex={start}&count={count}")
    assert answer.status == 200
    assert answer.json["Resources"] == []


IDS = ["a/b", "a\\b", "a#b", "a?b", "100%", "%2F", "'", '"', "''or''", "..", ".", " ", "\0", "é" * 300, "u-", "g-", "-"]


@pytest.mark.parametrize("id", [*IDS, "u-\ud800", "x" * 3000, "u-" + "x" * 3000, "u-aaaa/../../x", "~", "|", "\r\n"])
async def test_an_odd_id_is_not_found(client: Client, id: str) -> None:
    path = "/Users/" + quote(id.encode("utf-8", "surrogatepass"), safe="")
    for method in ("GET", "DELETE"):
        expect_error(await client.request(method, path), 404)
    for method in ("PUT", "PATCH"):
        body = {"userName": "x", "Operations": [{"op": "add", "path": "title", "value": "x"}]}
        expect_error(await client.request(method, path, body), 404)


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/xml", "application/x-www-form-urlencoded", "image/png"]
)
async def test_another_content_type_is_refused(client: Client, media_type: str) -> None:
    answer = await client.request("POST", "/Users", {"userName": "x"}, {"Content-Type": media_type})
    expect_error(answer, 415, None, media_type)


@pytest.mark.parametrize(
    "media_type",
    ["application/scim+json", "application/scim+json; charset=utf-8", "application/json", "Application/JSON;x=y"],
)
async def test_json_content_types_are_read(client: Client, media_type: str) -> None:
    answer = await client.request("POST", "/Users", {"userName": "x"}, {"Content-Type": media_type})
    assert answer.status == 201


async def test_a_chunked_body_that_the_host_dropped_is_told_so(client: Client) -> None:
    answer = await client.request("POST", "/Users", None, {"Transfer-Encoding": "chunked"})
    expect_error(answer, 400, "invalidSyntax", "Content-Length")


@pytest.mark.parametrize("path", ["/Nothing", "/Users/x/y", "/v2/Users", "/Users/x/", "/%2e%2e/x", "/Us%00ers"])
async def test_an_unknown_path_is_a_scim_404(client: Client, path: str) -> None:
    expect_error(await client.get(path), 404)


ALLOW = [("/Users", "GET, HEAD, POST"), ("/Groups", "GET, HEAD, POST"), ("/Users/x", "GET, HEAD, PUT, PATCH, DELETE")]


@pytest.mark.parametrize(("path", "allow"), ALLOW)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_a_method_that_is_not_there_is_a_405_with_allow(
    client: Client, path: str, allow: str, method: str
) -> None:
    answer = await client.request(method, path, {"userName": "x", "displayName": "x", "Operations": []})
    if method in allow.split(", "):
        assert answer.status != 405
    else:
        expect_error(answer, 405, None, method)
        assert answer.headers["allow"] == allow


CREDENTIALS = [
    ("none", None),
    ("no scheme", "{token}"),
    ("basic", "Basic {token}"),
    ("empty", "Bearer "),
    ("cut short", "Bearer {short}"),
    ("one character changed", "Bearer {changed}"),
    ("another connection's name", "Bearer {renamed}"),
    ("1 MB", "Bearer " + "x" * 2**20),
    ("a line break", "Bearer x\r\nX-Other: y"),
    ("not ASCII", "Bearer schlüssel"),
    ("a Key Vault reference", "Bearer @Microsoft.KeyVault(SecretUri=https://x)"),
]


@pytest.mark.parametrize("header", [c[1] for c in CREDENTIALS], ids=[c[0] for c in CREDENTIALS])
async def test_a_credential_that_is_none_is_a_401(client: Client, header: str | None) -> None:
    token = client.token
    other = "A" if token[-1] != "A" else "B"
    text = (header or "").format(
        token=token, short=token[:-1], changed=token[:-1] + other, renamed=token.replace(client.tenant, "tenant-x")
    )
    answer = await client.request("GET", "/Users", None, {"Authorization": text})
    expect_error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert token not in answer.body.decode()


@pytest.mark.parametrize("text", ["Bearer {}", "bearer {}", "BEARER  {} ", "Bearer Bearer {}"])
async def test_the_token_is_read_as_admins_paste_it(client: Client, text: str) -> None:
    answer = await client.request("GET", "/Users", None, {"Authorization": text.format(client.token)})
    assert answer.status == 200


async def test_a_broken_configuration_is_a_503_that_keeps_its_secrets(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import function_app

    monkeypatch.setattr(function_app, "application", Application())
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", "UseDevelopmentStorage=true")
    monkeypatch.setenv("SCIM_CONNECTIONS", '{"contoso": {"tenant": "contoso", "keys": ["hunter2"]}}')
    answer = await new_client().get("/Users")
    expect_error(answer, 503)
    assert "retry-after" in answer.headers
    assert "SCIM_CONNECTIONS" in caplog.text
    assert "hunter2" not in caplog.text + answer.body.decode()


async def test_a_connection_string_that_is_none_is_told_in_the_log(
    new_client: NewClient, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    import function_app

    monkeypatch.setattr(function_app, "application", Application())
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", "AccountKey=hunter2")
    monkeypatch.setenv("SCIM_PAGESIZE", "5")
    expect_error(await new_client().get("/Users"), 503)
    assert "SCIM_TABLE_CONNECTION_STRING" in caplog.text
    assert "SCIM_PAGESIZE is no setting" in caplog.text
    assert "hunter2" not in caplog.text


async def test_whatever_depth_the_settings_allow_can_be_shown() -> None:
    """orjson writes 254 levels: a list and a bulk request put some around those of a body."""
    most = next(rule.le for rule in Settings.model_fields["max_json_depth"].metadata if hasattr(rule, "le"))
    client = Door(MemoryTable(), SCIM_MAX_JSON_DEPTH=str(most)).client
    deepest = json.loads('{"a":' * (most - 2) + "1" + "}" * (most - 2))
    users = [{"userName": name, "urn:acme:1:deep": {"a": deepest}} for name in ("one", "two")]
    assert (await client.post("/Users", users[0])).status == 201
    bulk = await client.post("/Bulk", {"Operations": [{"method": "POST", "path": "/Users", "data": users[1]}]})
    assert bulk.json["Operations"][0]["status"] == "201"
    found = (await client.get("/Users")).json["Resources"]
    assert [user["urn:acme:1:deep"]["a"] for user in found] == [deepest, deepest]
    assert (await client.post("/Users", {"userName": "three", "urn:acme:1:deep": {"a": [deepest]}})).status == 400
