"""/Roles and /Entitlements: read by whoever chooses from them, said by a file or by the policy, and never a reason to
refuse a user."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from openapi_spec_validator import validate

from scim.feed.log import Log
from scim.feed.sequencer import Sequencer
from scim.insight.policies import explain_policy
from scim.policy.document import PolicyError
from scim.schema.loading import SchemaError, load
from scim.schema.registry import Registry
from scim.service.steering import set_policy
from tests.store.memory import Door, MemoryTable
from tests.support import BASE, PATCH, Client

OPTIONAL = Path(__file__).parents[2] / "optional-schemas"
OKTA = "urn:okta:scim:schemas:core:1.0:Role"
IETF = "urn:ietf:params:scim:schemas:core:1.0:Role"


class Offering:
    """A tenant of an app that has the files of one folder of optional-schemas."""

    def __init__(self, name: str) -> None:
        self.table = MemoryTable()
        self.door = Door(self.table, SCIM_SCHEMAS_FOLDER=str(OPTIONAL / name))
        self.client: Client = self.door.client
        self.registry: Registry = load(OPTIONAL / name)

    async def set(self, **policy: Any) -> None:
        await set_policy(self.table, self.registry, self.client.tenant, policy, "tests")
        self.door.application._built().policies._read = None

    async def events(self) -> list[dict[str, Any]]:
        await Sequencer(self.table, self.registry).run(self.client.tenant, expected=True)
        return list((await Log(self.table).read(self.client.tenant)).events)


@pytest.fixture
def okta() -> Offering:
    return Offering("roles")


async def test_what_okta_asks_for(okta: Offering) -> None:
    """The resource types, then all values of those with its schemas."""
    types = (await okta.client.get("/ResourceTypes")).json["Resources"]
    role = next(each for each in types if each["schema"] == OKTA)
    assert (role["id"], role["endpoint"], "values" in role, "storage" in role) == ("Role", "/Roles", False, False)
    page = (await okta.client.get(role["endpoint"])).json
    assert (page["totalResults"], page["itemsPerPage"]) == (2, 2)
    assert page["Resources"][0] == {
        "schemas": [OKTA],
        "id": "admin",
        "displayName": "Administrator",
        "type": "role",
        "meta": {"resourceType": "Role", "location": f"{BASE}/Roles/admin"},
    }
    assert (await okta.client.get("/Roles/ADMIN")).json == page["Resources"][0]
    assert (await okta.client.get("/Roles/nobody")).status == 404
    assert OKTA in {schema["id"] for schema in (await okta.client.get("/Schemas")).json["Resources"]}
    assert (await okta.client.get(f"/Schemas/{OKTA}")).status == 200
    assert (await okta.client.get("/ResourceTypes/Entitlement")).status == 200


@pytest.mark.parametrize(
    ("query", "ids"),
    [
        ('filter=displayName eq "member"', ["member"]),
        ('filter=id sw "a" or type eq "x"', ["admin"]),
        ('filter=displayName co "nobody"', []),
        ("sortBy=displayName&sortOrder=descending", ["member", "admin"]),
        ("startIndex=2", ["member"]),
        ("count=1", ["admin"]),
        ("count=0", []),
    ],
)
async def test_searches(okta: Offering, query: str, ids: list[str]) -> None:
    found = await okta.client.get(f"/Roles?{quote(query, safe='=&')}")
    assert [each["id"] for each in found.json["Resources"]] == ids
    body = dict(part.split("=", 1) for part in query.split("&"))
    posted = await okta.client.post("/Roles/.search", body)
    assert posted.json["Resources"] == found.json["Resources"]


async def test_cursors_and_projection(okta: Offering) -> None:
    first = (await okta.client.get("/Roles?cursor=&count=1&attributes=displayName")).json
    assert first["Resources"][0].keys() == {"schemas", "id", "displayName"}
    second = (await okta.client.get(f"/Roles?count=1&cursor={first['nextCursor']}")).json
    assert second["Resources"][0]["id"] == "member" and "nextCursor" not in second
    assert (await okta.client.get("/Roles?cursor=abc")).json["scimType"] == "invalidCursor"
    wrong = await okta.client.get("/Roles?filter=colour%20pr")
    assert wrong.status == 400 and "colour is no attribute of Role" in wrong.json["detail"]


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_nothing_is_written(okta: Offering, method: str) -> None:
    for path in ("/Roles", "/Roles/admin"):
        answer = await okta.client.request(method, path, {"displayName": "x"})
        assert (answer.status, answer.headers["allow"]) == (405, "GET, HEAD")
    assert (await okta.client.get("/Roles/.search")).headers["allow"] == "POST"
    operation = {"method": "POST", "path": "/Roles", "bulkId": "1", "data": {"displayName": "x"}}
    urn = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
    bulk = (await okta.client.post("/Bulk", {"schemas": [urn], "Operations": [operation]})).json
    assert bulk["Operations"][0]["status"] in ("400", "405")


async def test_an_unknown_role_is_told_and_not_refused(okta: Offering) -> None:
    """The disable that travels in the same PATCH is done."""
    roles = [{"value": "Admin"}, {"value": "superuser"}]
    made = await okta.client.post("/Users", {"userName": "ada", "roles": roles, "entitlements": [{"value": "pro"}]})
    assert made.status == 201
    id = made.json["id"]
    operations = [
        {"op": "add", "path": "roles", "value": [{"value": "root"}]},
        {"op": "replace", "path": "active", "value": "False"},
    ]
    patched = await okta.client.request("PATCH", f"/Users/{id}", {"schemas": [PATCH], "Operations": operations})
    assert patched.json["active"] is False
    events = [each for each in await okta.events() if each["type"].startswith("user.")]
    assert events[0]["effects"] == {"unknown": {"roles": ["superuser"]}}
    assert events[-1]["effects"] == {"unknown": {"roles": ["superuser", "root"]}}
    store = okta.door.application._built().store.of(okta.client.tenant)
    stored = await store.resources.read(id)
    assert stored is not None
    told = await explain_policy(okta.table, okta.registry, okta.client.tenant, stored)
    assert told is not None and "superuser, root (roles)" in told.text and "app roles or mappings" in told.remedy


async def test_the_policy_offers_in_place_of_the_file(okta: Offering) -> None:
    await okta.set(offers={"Role": [{"id": "editor", "displayName": "Editor"}]})
    assert [each["id"] for each in (await okta.client.get("/Roles")).json["Resources"]] == ["editor"]
    assert (await okta.client.get("/Roles/admin")).status == 404
    assert (await okta.client.get("/Entitlements")).json["totalResults"] == 2
    made = await okta.client.post("/Users", {"userName": "ada", "roles": [{"value": "editor"}, {"value": "admin"}]})
    assert made.status == 201
    created = next(each for each in await okta.events() if each["type"] == "user.created")
    assert created["effects"] == {"unknown": {"roles": ["admin"]}}


@pytest.mark.parametrize(
    ("offers", "text"),
    [
        ({"User": []}, "offers.User: is no type that is only read; there are Entitlement, Role."),
        ({"Role": [{"displayName": "x"}]}, "id must be a text of 1 to 256 characters"),
        ({"Role": [{"id": "x", "colour": "red"}]}, "colour is no attribute of"),
        ({"Role": [{"id": "x"}, {"id": "X"}]}, "id 'X' is there already"),
    ],
)
async def test_a_wrong_offer_is_refused(okta: Offering, offers: dict[str, Any], text: str) -> None:
    with pytest.raises(PolicyError) as caught:
        await okta.set(offers=offers)
    assert text in str(caught.value)


async def test_the_drafts_form_counts_seats() -> None:
    ietf = Offering("roles-ietf")
    config = (await ietf.client.get("/ServiceProviderConfig")).json
    assert config["RolesAndEntitlements"]["roles"] == {
        "supported": True,
        "multipleRolesSupported": True,
        "primarySupported": True,
        "typeSupported": True,
    }
    await ietf.set(seats={"licenses": {"pro": 2}})
    for name in ("ada", "bob", "eve"):
        await ietf.client.post("/Users", {"userName": name, "entitlements": [{"type": "license", "value": "pro"}]})
    await ietf.events()
    pro = (await ietf.client.get("/Entitlements/pro")).json
    assert (pro["totalAssignmentsPermitted"], pro["totalAssignmentsUsed"]) == (2, 2)
    assert pro["limitedAssignmentsPermitted"] is True
    basic = (await ietf.client.get("/Entitlements/basic")).json
    assert "totalAssignmentsUsed" not in basic
    full = await ietf.client.get(f"/Entitlements?filter={quote('totalAssignmentsUsed ge 2')}")
    assert [each["id"] for each in full.json["Resources"]] == ["pro"]


async def test_the_openapi_document_has_them(okta: Offering) -> None:
    document = (await okta.client.get("/openapi.json")).json
    validate(document)
    assert document["paths"]["/Roles"].keys() == {"get"}
    assert document["paths"]["/Roles/{id}"].keys() == {"get", "parameters"}


async def test_without_the_files_there_is_nothing_of_it() -> None:
    client: Client = Door(MemoryTable()).client
    assert (await client.get("/Roles")).status == 404
    assert "RolesAndEntitlements" not in (await client.get("/ServiceProviderConfig")).json


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"values": [{"id": ""}]}, "id must be a text of 1 to 256 characters without a slash"),
        ({"values": [{"id": "a", "displayName": 5}]}, "displayName"),
        ({"values": [], "storage": {"idPrefix": "x"}}, "has storage and values: take one of the two out"),
        ({"values": [], "endpoint": "/Users"}, "both use /users"),
    ],
)
def test_a_wrong_file_says_why(change: dict[str, Any], text: str, tmp_path: Path) -> None:
    shutil.copytree(OPTIONAL / "roles", tmp_path / "roles")
    file = tmp_path / "roles" / "roles.json"
    schema, role = json.loads(file.read_text())
    file.write_text(json.dumps([schema, {**role, **change}]))
    with pytest.raises(SchemaError) as caught:
        load(tmp_path / "roles")
    assert text in str(caught.value)
