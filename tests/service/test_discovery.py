"""Discovery says what is there, and what it announces is so: every feature is tried as announced."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from time import time
from types import SimpleNamespace
from typing import Any

import pytest
import scim2_models
from openapi_spec_validator import validate

import function_app
from scim.app import Application
from scim.schema.loading import load
from scim.service import openapi
from scim.service.discovery import CONFIG_URN, RESOURCE_TYPE_URN, SCHEMA_URN
from scim.settings import Settings
from tests.support import BASE, ENTERPRISE, USER, Client, Response

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
PATHS = ["/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", f"/Schemas/{USER}"]
SMALL = {"page_size": 2, "max_page_size": 3, "max_bulk_operations": 2, "max_bulk_bytes": 2048}


@pytest.fixture
async def small(client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    """A tenant with five users, served under settings that differ from the defaults in all that is announced."""
    application = Application(settings.model_copy(update=SMALL))
    monkeypatch.setattr(function_app, "application", application)
    for name in "bdaec":
        await client.new_user(f"{name}@contoso.example")
    yield client
    await application.close()


def walk(value: object) -> Iterator[tuple[str, object]]:
    """Every member of a JSON document, at any depth, with its value."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield name, item
            yield from walk(item)
    elif isinstance(value, list):
        for item in value:
            yield from walk(item)


def outcome(answer: Response) -> tuple[int, Any]:
    """The status, and what there is to say of a page or of an error."""
    body = answer.json or {}
    return answer.status, body.get("itemsPerPage", body.get("scimType"))


# ServiceProviderConfig ------------------------------------------------------------------------------------------------


async def test_the_config_says_what_the_settings_say(small: Client) -> None:
    config = (await small.get("/ServiceProviderConfig")).json
    assert config.pop("authenticationSchemes")[0]["type"] == "oauthbearertoken"
    assert config == {
        "schemas": [CONFIG_URN],
        "patch": {"supported": True},
        "bulk": {"supported": True, "maxOperations": 2, "maxPayloadSize": 2048},
        "filter": {"supported": True, "maxResults": 3},
        "changePassword": {"supported": False},
        "sort": {"supported": True},
        "etag": {"supported": True},
        "pagination": {
            "cursor": True,
            "index": True,
            "defaultPaginationMethod": "index",
            "defaultPageSize": 2,
            "maxPageSize": 3,
            "cursorTimeout": 3600,
        },
        "meta": {"resourceType": "ServiceProviderConfig", "location": f"{BASE}/ServiceProviderConfig"},
    }


def bulk(*paths: str, padding: int = 0) -> dict[str, Any]:
    return {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "DELETE", "path": path} for path in paths],
        "padding": " " * padding,
    }


async def names(client: Client, query: str) -> list[str]:
    return [user["userName"][0] for user in (await client.get(f"/Users?{query}")).json["Resources"]]


async def patch(client: Client) -> object:
    user = await client.new_user("patched@contoso.example")
    answer = await client.patch(f"/Users/{user['id']}", {"op": "add", "path": "title", "value": "new"})
    return answer.status, answer.json["title"]


async def etag(client: Client) -> object:
    user = await client.new_user("tagged@contoso.example")
    path, version = f"/Users/{user['id']}", user["meta"]["version"]
    fresh = await client.request("GET", f"{path}?attributes=title", headers={"If-None-Match": version})
    stale = await client.request("DELETE", path, headers={"If-Match": 'W/"other"'})
    return fresh.status, stale.status


async def bulk_limits(client: Client) -> object:
    """As many operations and bytes as announced, and one more of each."""
    room = 2048 - len(
        b'{"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": [], "padding": ""}'
    )
    sent = [bulk("/Users/u-x", "/Users/u-y"), bulk("/Users/u-x", "/Users/u-y", "/Users/u-z")]
    sent += [bulk(padding=room), bulk(padding=room + 1)]
    return [(await client.post("/Bulk", body)).status for body in sent]


async def password(client: Client) -> object:
    user = await client.new_user("changer@contoso.example", password="correct horse")
    changed = await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "password", "value": "battery"})
    return {"password"} & {*user, *changed.json}


async def bearer(client: Client) -> object:
    without = await client.request("GET", "/Users", headers={"Authorization": ""})
    return without.status, without.headers["www-authenticate"].split()[0]


Try = Callable[[Client], Awaitable[object]]
ANNOUNCED: list[tuple[str, Try, object]] = [
    ("patch", patch, (200, "new")),
    ("etag", etag, (304, 412)),
    ("bulk", bulk_limits, [200, 413, 200, 413]),
    ("changePassword", password, set()),
    ("authenticationSchemes", bearer, (401, "Bearer")),
    ("sort", lambda c: names(c, "sortBy=userName&sortOrder=descending"), ["e", "d"]),
    ("filter", lambda c: names(c, "filter=userName+eq+%22A@contoso.example%22"), ["a"]),
    ("filter.maxResults", lambda c: names(c, "filter=userName+pr&sortBy=userName&count=100"), ["a", "b", "c"]),
    ("pagination.index", lambda c: names(c, "sortBy=userName&startIndex=5"), ["e"]),
]


@pytest.mark.parametrize(("attempt", "came"), [row[1:] for row in ANNOUNCED], ids=[row[0] for row in ANNOUNCED])
async def test_what_is_announced_is_so(small: Client, attempt: Try, came: object) -> None:
    assert await attempt(small) == came


@pytest.mark.parametrize("type", ["/Users", "/Groups"])
async def test_pages_are_as_large_as_announced(small: Client, type: str) -> None:
    for number in range(5):
        await small.post("/Groups", {"displayName": f"group {number}"})
    assert outcome(await small.get(type)) == (200, 2)
    assert outcome(await small.get(f"{type}?count=3")) == (200, 3)
    assert outcome(await small.get(f"{type}?count=4")) == (200, 3)
    assert outcome(await small.get(f"{type}?cursor")) == (200, 2)
    assert outcome(await small.get(f"{type}?cursor&count=3")) == (200, 3)
    assert outcome(await small.get(f"{type}?cursor&count=4")) == (400, "invalidCount")


async def test_a_cursor_lasts_as_long_as_announced(small: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    lasts = (await small.get("/ServiceProviderConfig")).json["pagination"]["cursorTimeout"]
    cursor = (await small.get("/Users?cursor")).json["nextCursor"]
    for later, came in [(lasts - 60, (200, 2)), (lasts + 60, (400, "expiredCursor"))]:
        clock = SimpleNamespace(time=lambda later=later: time() + later)
        monkeypatch.setattr("scim.service.cursors.time", clock)
        assert outcome(await small.get(f"/Users?cursor={cursor}")) == came


async def test_locations_are_those_of_the_public_url(
    client: Client, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    public = "https://scim.contoso.example/scim"
    application = Application(settings.model_copy(update={"public_url": public}))
    monkeypatch.setenv("WEBSITE_HOSTNAME", "scim.test")  # as behind a proxy, which sends the platform's own name
    monkeypatch.setattr(function_app, "application", application)
    try:
        for path in PATHS:
            body = (await client.get(path)).json
            for document in body.get("Resources", [body]):
                assert document["meta"]["location"].startswith(f"{public}/")
    finally:
        await application.close()


# Documents ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PATHS)
async def test_documents_have_no_null_no_foreign_name_and_a_location_that_answers(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/scim+json")
    for name, value in walk(answer.json):
        assert value not in (None, [], {}) or name == "schemaExtensions", name
        assert re.fullmatch("[a-z][A-Za-z]*", name) or name == "Resources"
    assert "storage" not in dict(walk(answer.json))
    for document in answer.json.get("Resources", [answer.json]):
        location = document["meta"]["location"]
        assert location.startswith(f"{BASE}/")
        assert (await client.get(location.removeprefix(BASE))).json == document


@pytest.mark.parametrize(
    ("path", "model", "urn", "ids"),
    [
        ("/ResourceTypes", scim2_models.ResourceType, RESOURCE_TYPE_URN, ["Group", "User"]),
        ("/Schemas", scim2_models.Schema, SCHEMA_URN, [GROUP, USER, ENTERPRISE]),
    ],
)
async def test_lists(client: Client, path: str, model: type[scim2_models.Resource[Any]], urn: str, ids: Any) -> None:
    body = (await client.get(path)).json
    assert body["schemas"] == [LIST]
    assert sorted(document["id"] for document in body["Resources"]) == ids
    assert (body["totalResults"], body["itemsPerPage"], body["startIndex"]) == (len(ids), len(ids), 1)
    for document in body["Resources"]:
        assert document["schemas"] == [urn]
        assert document["meta"]["resourceType"] == model.__name__
        model.model_validate(document)
    for ignored in ("count=1", "count=0", "startIndex=2", "sortBy=name&sortOrder=descending", "attributes=name", "x=y"):
        assert (await client.get(f"{path}?{ignored}")).json == body, ignored


async def test_the_config_is_one_to_scim2_models(client: Client) -> None:
    scim2_models.ServiceProviderConfig.model_validate((await client.get("/ServiceProviderConfig")).json)


async def test_resource_types_name_schemas_that_are_listed_and_an_endpoint_that_answers(client: Client) -> None:
    listed = {document["id"] for document in (await client.get("/Schemas")).json["Resources"]}
    named = set()
    for document in (await client.get("/ResourceTypes")).json["Resources"]:
        assert document["id"] == document["name"]
        named |= {document["schema"], *(extension["schema"] for extension in document["schemaExtensions"])}
        assert all(isinstance(extension["required"], bool) for extension in document["schemaExtensions"])
        assert (await client.get(f"{document['endpoint']}?count=0")).status == 200
    assert named == listed


@pytest.mark.parametrize(
    "path",
    [
        "/serviceproviderconfig",
        "/SERVICEPROVIDERCONFIG/",
        "/resourcetypes/user",
        "/ResourceTypes/GROUP",
        f"/schemas/{USER.upper()}",
        f"/Schemas/{ENTERPRISE.lower()}",
        f"/Schemas/{GROUP.replace(':', '%3A')}",
    ],
)
async def test_names_are_found_in_any_case(client: Client, path: str) -> None:
    answer = await client.get(path)
    assert answer.status == 200
    location = answer.json["meta"]["location"].removeprefix(BASE)
    assert location != path
    assert location.lower() == path.rstrip("/").replace("%3A", ":").lower()
    assert answer.json == (await client.get(location)).json


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/ResourceTypes/Printer", "User, Group"),
        ("/ResourceTypes/Users", "User, Group"),
        ("/Schemas/urn:ietf:params:scim:schemas:core:2.0:Printer", "/Schemas"),
        ("/Schemas/User", "/Schemas"),
        ("/ServiceProviderConfig/patch", "/ServiceProviderConfig/patch"),
        ("/ResourceTypes/User/schema", "/ResourceTypes/User/schema"),
    ],
)
async def test_what_is_not_there_is_404_with_the_remedy(client: Client, path: str, named: str) -> None:
    answer = await client.get(path)
    assert answer.status == 404
    assert named in answer.json["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize("path", PATHS)
async def test_writing_is_405(client: Client, method: str, path: str) -> None:
    before = (await client.get(path)).json
    answer = await client.request(method, path, {"id": "x", "name": "x"})
    assert (answer.status, answer.headers["allow"], answer.json["status"]) == (405, "GET, HEAD", "405")
    assert (await client.get(path)).json == before


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("query", ["filter=name+eq+%22User%22", "FILTER=name%20pr", "filter="])
async def test_a_filter_is_403(client: Client, path: str, query: str) -> None:
    answer = await client.get(f"{path}?{query}")
    assert answer.status == 403
    assert "filter" in answer.json["detail"]


# Schemas --------------------------------------------------------------------------------------------------------------

CHARACTERISTICS = {
    "name",
    "type",
    "multiValued",
    "description",
    "required",
    "caseExact",
    "mutability",
    "returned",
    "uniqueness",
}


async def published(client: Client) -> dict[str, list[dict[str, Any]]]:
    """The attributes of every schema by its URN."""
    return {document["id"]: document["attributes"] for document in (await client.get("/Schemas")).json["Resources"]}


async def test_schemas_publish_what_is_validated_against_and_nothing_else(client: Client) -> None:
    schemas = await published(client)
    for resource_type in load().resource_types:
        for schema in (resource_type.core, *resource_type.extensions):
            common = ["id", "externalId"] if schema is resource_type.core else []
            declared = [attribute.name for attribute in schema.attributes]
            assert [attribute["name"] for attribute in schemas.pop(schema.id)] == common + declared
    assert not schemas


async def test_every_attribute_has_all_its_characteristics(client: Client) -> None:
    found = 0
    for attributes in (await published(client)).values():
        for attribute in [sub for a in attributes for sub in (a, *a.get("subAttributes", []))]:
            optional = {"canonicalValues", "referenceTypes", "subAttributes"}
            assert attribute.keys() - optional == CHARACTERISTICS, attribute["name"]
            assert ("subAttributes" in attribute) == (attribute["type"] == "complex")
            assert ("referenceTypes" in attribute) == (attribute["type"] == "reference")
            found += 1
    assert found > 80


TYPES: list[tuple[str, list[str] | None]] = [
    ("emails", ["work", "home", "other"]),
    ("phoneNumbers", ["work", "home", "mobile", "fax", "pager", "other"]),
    ("addresses", ["work", "home", "other"]),
    ("ims", ["aim", "gtalk", "icq", "xmpp", "msn", "skype", "qq", "yahoo", "other"]),
    ("photos", ["photo", "thumbnail"]),
    ("roles", None),
    ("entitlements", None),
]


@pytest.mark.parametrize(("name", "values"), TYPES, ids=[row[0] for row in TYPES])
async def test_canonical_types_are_where_entra_wants_them_and_nowhere_else(
    client: Client, name: str, values: list[str] | None
) -> None:
    (attribute,) = [a for a in (await published(client))[USER] if a["name"] == name]
    (type,) = [sub for sub in attribute["subAttributes"] if sub["name"] == "type"]
    assert type.get("canonicalValues") == values
    assert values or "canonicalValues" not in type


def flattened(schemas: dict[str, list[dict[str, Any]]]) -> set[str]:
    """The attributes that Microsoft's gallery test finds in /Schemas, in lower case, as its mapping writes them."""
    found = set()
    for urn in (USER, ENTERPRISE, GROUP):
        prefix = f"{urn}:" if urn == ENTERPRISE else ""
        found |= {f"{prefix}{name}".lower() for attribute in schemas[urn] for name in mapped(attribute)}
    return found


def mapped(attribute: dict[str, Any]) -> Iterator[str]:
    """The names of one attribute in a mapping."""
    name, subs = attribute["name"], attribute.get("subAttributes", [])
    if name in ("manager", "members"):
        yield name
    elif attribute["type"] != "complex":
        if attribute["type"] != "reference":
            yield name
    elif attribute["multiValued"]:
        type: dict[str, Any] = next((sub for sub in subs if sub["name"] == "type"), {})
        selections = [f'type eq "{value}"' for value in type.get("canonicalValues") or []] or ['primary eq "True"']
        for selection in selections:
            yield from (f"{name}[{selection}].{sub['name']}" for sub in subs if sub["name"] not in ("type", "primary"))
    else:
        yield from (f"{name}.{sub['name']}" for sub in subs if sub["type"] not in ("complex", "reference"))


MAPPED = [
    "userName",
    "active",
    "displayName",
    "title",
    "preferredLanguage",
    "externalId",
    "name.givenName",
    "name.familyName",
    "name.formatted",
    'emails[type eq "work"].value',
    'emails[type eq "other"].Value',
    'addresses[type eq "other"].Formatted',
    'addresses[type eq "work"].formatted',
    'addresses[type eq "work"].streetAddress',
    'addresses[type eq "work"].locality',
    'addresses[type eq "work"].region',
    'addresses[type eq "work"].postalCode',
    'addresses[type eq "work"].country',
    'phoneNumbers[type eq "work"].value',
    'phoneNumbers[type eq "mobile"].value',
    'phoneNumbers[type eq "fax"].value',
    'roles[primary eq "True"].value',
    'roles[primary eq "True"].display',
    f"{ENTERPRISE}:employeeNumber",
    f"{ENTERPRISE}:department",
    f"{ENTERPRISE}:manager",
    "members",
]
"""What Entra's default mapping of users and groups writes to, and its role assignments."""


@pytest.mark.parametrize("target", MAPPED)
async def test_entra_finds_every_attribute_of_its_mapping(client: Client, target: str) -> None:
    assert target.lower() in flattened(await published(client))


async def test_entra_finds_a_groups_attributes_in_the_group_schema(client: Client) -> None:
    """displayName and externalId are a user's too, so the flattened set alone would not miss them."""
    found = {name for attribute in (await published(client))[GROUP] for name in mapped(attribute)}
    assert {"displayName", "externalId", "members"} <= found


# OpenAPI --------------------------------------------------------------------------------------------------------------

ADDED = Path(__file__).parents[1] / "schema" / "added"
DEVICE = "urn:example:params:scim:schemas:core:2.0:Device"
ACME = "urn:example:params:scim:schemas:extension:acme:2.0:User"


async def test_the_openapi_document_is_valid_and_of_this_address(client: Client) -> None:
    answer = await client.get("/openapi.json")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    validate(answer.json)
    assert answer.json["openapi"].startswith("3.1.")
    assert answer.json["servers"] == [{"url": BASE}]
    schemes = answer.json["components"]["securitySchemes"]
    assert {name for scheme in answer.json["security"] for name in scheme} == schemes.keys()
    token_url = schemes["clientCredentials"]["flows"]["clientCredentials"]["tokenUrl"]
    assert token_url == f"{BASE.removesuffix('/scim')}/oauth2/token"


async def test_the_openapi_document_is_for_callers_only_and_read_only(client: Client) -> None:
    assert (await client.request("GET", "/openapi.json", headers={"Authorization": ""})).status == 401
    assert (await client.post("/openapi.json", {})).status == 405


async def test_the_openapi_document_names_every_operation_and_no_other(client: Client) -> None:
    paths = (await client.get("/openapi.json")).json["paths"]
    found = {path: {name for name in item if name != "parameters"} for path, item in paths.items()}
    expected = {"/": {"get"}, "/.search": {"post"}, "/Bulk": {"post"}, "/openapi.json": {"get"}}
    expected |= {path: {"get"} for path in ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")}
    expected |= {"/ResourceTypes/{name}": {"get"}, "/Schemas/{urn}": {"get"}}
    for endpoint in ("/Users", "/Groups"):
        expected |= {endpoint: {"get", "post"}, f"{endpoint}/.search": {"post"}}
        expected |= {f"{endpoint}/{{id}}": {"get", "put", "patch", "delete"}}
    assert found == expected
    for path, methods in found.items():
        for method in {"get", "post", "put", "patch", "delete"} - methods:
            answer = await client.request(method.upper(), re.sub("{.*}", "x", path), {})
            assert answer.status == 405, (method, path)


def test_the_openapi_document_says_what_the_schemas_say() -> None:
    schemas = openapi.build_document(load(ADDED))["components"]["schemas"]
    given, sent = schemas["Users.resource"], schemas["Users.input"]
    assert given["required"] == ["schemas", "id"]
    assert sent["required"] == ["userName"]
    assert "id" in given["properties"] and given["properties"]["groups"]["readOnly"]
    assert not {"id", "meta", "groups"} & sent["properties"].keys()
    assert given["properties"]["active"]["type"] == "boolean"
    type = given["properties"]["emails"]["items"]["properties"]["type"]
    assert "work" in type["examples"]
    assert "enum" not in type
    assert schemas["Groups.input"]["properties"]["members"]["items"]["required"] == ["value"]


def test_the_openapi_document_has_what_is_added() -> None:
    described = openapi.build_document(load(ADDED))
    validate({**described, "components": {**described["components"], "securitySchemes": {}}, "security": []})
    schemas = described["components"]["schemas"]
    assert "/Devices/{id}" in described["paths"]
    device = schemas["Devices.input"]["properties"]
    assert device["bought"] == {"type": "string", "format": "date-time", "description": "When it was bought."}
    assert device["unlockCode"]["writeOnly"]
    assert "unlockCode" not in schemas["Devices.resource"]["properties"]
    assert "is set once" in device["model"]["description"]
    given, sent = (schemas[f"Users.{way}"]["properties"][ACME] for way in ("resource", "input"))
    assert sent["required"] == ["badge"]
    assert {"pin", "hint"} <= sent["properties"].keys() - given["properties"].keys()
    assert given["properties"]["synced"]["readOnly"] and "synced" not in sent["properties"]
    assert (sent["properties"]["level"]["type"], sent["properties"]["quota"]["type"]) == ("integer", "number")
    assert "checksum" not in given["properties"]["permits"]["items"]["properties"]
    assert DEVICE not in schemas["Users.resource"]["properties"]


def test_the_openapi_document_is_made_once_for_a_registry() -> None:
    registry = load()
    assert openapi.build_document(registry) is openapi.build_document(registry)
    assert "Devices.input" not in openapi.build_document(registry)["components"]["schemas"]
