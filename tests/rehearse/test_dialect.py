"""The bodies are those that Entra sends."""

from __future__ import annotations

import json

from dev.rehearse import dialect
from dev.rehearse.mapping import CORE, ENTERPRISE, Attributes, Roles

MANY: Attributes = {
    "displayName": "Pvlo",
    'emails[type eq "work"].value': "TestBcwqnm@test.microsoft.com",
    "name.givenName": "Gtfd",
    "name.familyName": "Pkqf",
    "externalId": "Eqpj",
    f"{ENTERPRISE}:employeeNumber": "Eqpj",
}


def operations(body: dialect.Body) -> object:
    assert body["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:PatchOp"]
    return body["Operations"]


def test_create_user() -> None:
    attributes: Attributes = {
        "userName": "AdeleV@contoso.com",
        "externalId": "adelev",
        "active": True,
        "name.givenName": "Adele",
        'emails[type eq "work"].value': "AdeleV@contoso.com",
        'addresses[type eq "work"].formatted': "18/2111",
        'addresses[type eq "work"].locality': "Bellevue",
        'phoneNumbers[type eq "mobile"].value': "+1",
        f"{ENTERPRISE}:department": "Retail",
    }
    assert dialect.create_user(attributes) == {
        "schemas": [CORE, ENTERPRISE],
        "userName": "AdeleV@contoso.com",
        "externalId": "adelev",
        "active": True,
        "name": {"givenName": "Adele"},
        "emails": [{"primary": True, "type": "work", "value": "AdeleV@contoso.com"}],
        "addresses": [{"primary": True, "type": "work", "formatted": "18/2111", "locality": "Bellevue"}],
        "phoneNumbers": [{"primary": False, "type": "mobile", "value": "+1"}],
        ENTERPRISE: {"department": "Retail"},
        "roles": [],
        "meta": {"resourceType": "User"},
    }


def test_create_group() -> None:
    assert dialect.create_group("displayName", "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159") == {
        "schemas": [
            "urn:ietf:params:scim:schemas:core:2.0:Group",
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group",
        ],
        "externalId": "8aa1a0c0-c4c3-4bc0-b4a5-2ef676900159",
        "displayName": "displayName",
        "meta": {"resourceType": "Group"},
    }


def test_disable() -> None:
    before: Attributes = {"active": True}
    legacy, flag = (dialect.update(d, before, {"active": False}) for d in ("legacy", "flag"))
    assert operations(legacy) == [{"op": "Replace", "path": "active", "value": "False"}]
    assert operations(flag) == [{"op": "replace", "path": "active", "value": False}]


def test_restore_beside_another_change() -> None:
    changes: Attributes = {"active": True, "title": "Back"}
    legacy, flag = (dialect.update(d, {"active": False, "title": "Away"}, changes) for d in ("legacy", "flag"))
    assert operations(legacy) == [
        {"op": "Replace", "path": "active", "value": "True"},
        {"op": "Replace", "path": "title", "value": "Back"},
    ]
    assert operations(flag) == [{"op": "replace", "value": {"active": True, "title": "Back"}}]


def test_several_attributes_legacy() -> None:
    assert operations(dialect.update("legacy", MANY, MANY)) == [
        {"op": "Replace", "path": "displayName", "value": "Pvlo"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": "TestBcwqnm@test.microsoft.com"},
        {"op": "Replace", "path": "name.givenName", "value": "Gtfd"},
        {"op": "Replace", "path": "name.familyName", "value": "Pkqf"},
        {"op": "Replace", "path": "externalId", "value": "Eqpj"},
        {"op": "Replace", "path": f"{ENTERPRISE}:employeeNumber", "value": "Eqpj"},
    ]


def test_several_attributes_flag() -> None:
    assert operations(dialect.update("flag", MANY, MANY)) == [
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "TestBcwqnm@test.microsoft.com"},
        {
            "op": "replace",
            "value": {
                "displayName": "Pvlo",
                "name.givenName": "Gtfd",
                "name.familyName": "Pkqf",
                "externalId": "Eqpj",
                f"{ENTERPRISE}:employeeNumber": "Eqpj",
            },
        },
    ]


def test_what_was_not_there_is_added() -> None:
    added: Attributes = {"nickName": "Babs"}
    assert operations(dialect.update("legacy", {}, added)) == [{"op": "Add", "path": "nickName", "value": "Babs"}]
    assert operations(dialect.update("flag", {}, added)) == [{"op": "add", "value": {"nickName": "Babs"}}]


def test_members() -> None:
    ids = ["u1091", "u1092"]
    values = [{"$ref": None, "value": "u1091"}, {"$ref": None, "value": "u1092"}]
    assert operations(dialect.add_members("legacy", ids)) == [{"op": "Add", "path": "members", "value": values}]
    assert operations(dialect.remove_members("legacy", ids)) == [{"op": "Remove", "path": "members", "value": values}]
    assert operations(dialect.add_members("flag", ids)) == [{"op": "add", "path": "members", "value": values}]
    assert operations(dialect.remove_members("flag", ids)) == [
        {"op": "remove", "path": 'members[value eq "u1091"]'},
        {"op": "remove", "path": 'members[value eq "u1092"]'},
    ]


def test_manager_is_a_bare_string() -> None:
    path = f"{ENTERPRISE}:manager"
    assert operations(dialect.manager("legacy", "271", had=False)) == [{"op": "Add", "path": path, "value": "271"}]
    assert operations(dialect.manager("flag", "271", had=True)) == [{"op": "replace", "path": path, "value": "271"}]
    assert operations(dialect.manager("legacy", None, had=True)) == [{"op": "Remove", "path": path}]


def test_roles_in_the_three_expressions() -> None:
    kind = "WindowsAzureActiveDirectoryRole"

    def created(roles: Roles) -> object:
        return dialect.create_user({"roles": roles})["roles"]

    def patched(which: dialect.Dialect, roles: Roles) -> list[dialect.Body]:
        found: list[dialect.Body] = dialect.update(which, {}, {"roles": roles})["Operations"]
        return found

    single, several, assertive = Roles(("A",), "single"), Roles(("A", "B"), "complex"), Roles(("A",), "assertive")
    assert created(single) == [{"primary": True, "type": kind, "value": "A"}]
    assert created(several) == [
        {"primary": False, "type": kind, "displayName": "A", "value": "A"},
        {"primary": False, "type": kind, "displayName": "B", "value": "B"},
    ]
    assert created(assertive) == [{"primary": False, "type": kind, "display": "A", "value": "A"}]
    [added] = patched("legacy", several)
    assert (added["op"], added["path"]) == ("Add", "roles")
    texts = [json.loads(each["value"]) for each in added["value"]]
    assert [(text["value"], text["displayName"]) for text in texts] == [("A", "A"), ("B", "B")]
    assert patched("legacy", assertive) == [{"op": "Replace", "path": "roles", "value": created(assertive)}]
    assert patched("flag", several) == [{"op": "add", "path": "roles", "value": created(several)}]
    assert patched("flag", single) == [{"op": "add", "path": 'roles[primary eq "True"].value', "value": "A"}]
