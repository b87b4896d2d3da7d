"""Names in requests and what they stand for, resource types and their indexes."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scim.schema.model import Attribute, Schema, StorageHints
from scim.schema.registry import Declared, ResourceType, Undeclared
from tests.core import (
    CUSTOM,
    DEVICE_TYPE,
    ENTERPRISE,
    GROUP_TYPE,
    NAMES,
    REGISTRY,
    USER,
    USER_TYPE,
    cases,
)

DECLARED = {
    "attribute": ("userName", "userName"),
    "another case": ("USERNAME", "userName"),
    "common attribute": ("externalid", "externalId"),
    "sub-attribute": ("Name.GIVENNAME", "name.givenName"),
    "sub-attribute of several values": ("emails.value", "emails.value"),
    "sub-attribute of meta": ("meta.lastModified", "meta.lastModified"),
    "core urn": (f"{USER}:userName", "userName"),
    "core urn in another case": (f"{USER.upper()}:USERNAME", "userName"),
    "core urn and common attribute": (f"{USER}:id", "id"),
    "core urn and sub-attribute": (f"{USER}:name.familyName", "name.familyName"),
    "extension": (f"{ENTERPRISE}:department", f"{ENTERPRISE}:department"),
    "extension in another case": (f"{ENTERPRISE.lower()}:Department", f"{ENTERPRISE}:department"),
    "extension and sub-attribute": (f"{ENTERPRISE}:manager.VALUE", f"{ENTERPRISE}:manager.value"),
    "extension's attribute at its plain name": ("manager", f"{ENTERPRISE}:manager"),
    "extension's sub-attribute at its plain name": ("Manager.$ref", f"{ENTERPRISE}:manager.$ref"),
    "extension and a dot": (f"{ENTERPRISE}.department", f"{ENTERPRISE}:department"),
    "extension, a dot and a sub-attribute": (f"{ENTERPRISE}.manager.value", f"{ENTERPRISE}:manager.value"),
    "core urn and a dot": (f"{USER}.name.givenName", "name.givenName"),
}


@pytest.mark.parametrize(("name", "path"), cases(DECLARED))
def test_declared_name(name: str, path: str) -> None:
    target = USER_TYPE.resolve(name)
    assert isinstance(target, Declared)
    assert target.path == path
    assert (target.urn is not None) == path.startswith(ENTERPRISE)
    assert (target.sub is not None) == ("." in path.removeprefix(ENTERPRISE))  # no declared name holds a dot


CONTAINERS = {
    "core": (USER, None, ""),
    "core in another case": (USER.lower(), None, ""),
    "extension": (ENTERPRISE, ENTERPRISE, ""),
    "extension in another case": (ENTERPRISE.upper(), ENTERPRISE, ""),
    "undeclared": (CUSTOM, CUSTOM, ""),
    "undeclared in another case": (CUSTOM.upper(), CUSTOM.upper(), ""),
    "undeclared attribute": (f"{CUSTOM}:site", CUSTOM, "site"),
    "undeclared attribute with digits and signs": (f"{CUSTOM}:site_2-b", CUSTOM, "site_2-b"),
    "undeclared extension without a version": ("urn:acme:scim:User:site", "urn:acme:scim:User", "site"),
    "undeclared extension of one digit": ("urn:acme:2:User", "urn:acme:2:User", ""),
    "an extension that an admin names as Microsoft says": (
        "urn:ietf:params:scim:schemas:extension:EnterprisePlus:2.0:User:site",
        "urn:ietf:params:scim:schemas:extension:EnterprisePlus:2.0:User",
        "site",
    ),
}


@pytest.mark.parametrize(("name", "urn", "attribute"), cases(CONTAINERS))
def test_schema_and_undeclared_names(name: str, urn: str | None, attribute: str) -> None:
    target = USER_TYPE.resolve(name)
    assert isinstance(target, Undeclared)
    assert (target.urn, target.name) == (urn, attribute)


UNKNOWN = {
    "attribute": "shoeSize",
    "sub-attribute": "name.nick",
    "sub-attribute of a simple attribute": "userName.value",
    "two dots": "name.givenName.x",
    "attribute of the core": f"{USER}:shoeSize",
    "attribute of an extension": f"{ENTERPRISE}:team",
    "core attribute behind an extension's urn": f"{ENTERPRISE}:userName",
    "extension's attribute behind the core urn": f"{USER}:department",
    "nothing": "",
    "dot": ".",
    "sub-attribute of nothing": ".value",
    "nothing behind a dot": "name.",
    "nothing behind an urn": f"{ENTERPRISE}:",
    "urn without a name": "urn:",
    "short urn": "urn:a",
    "url": "http://schemas.example/User",
    "extension misspelt": f"{ENTERPRISE}s:department",
    "extension without its name": ENTERPRISE.removesuffix(":User"),
    "extension without a colon": "urn:ietf:params:scim:schemas:extension:enterprise:2.0User",
    "extension with an attribute for its name": "urn:ietf:params:scim:schemas:extension:enterprise:2.0:department",
    "extension of another version": "urn:ietf:params:scim:schemas:extension:enterprise:1.0:User:department",
    "core misspelt": "urn:ietf:params:scim:schemas:core:2.0:Users:title",
    "core of another version": "urn:ietf:params:scim:schemas:core:1.0",
    "core of another type": "urn:ietf:params:scim:schemas:core:2.0:Group:displayName",
    "a message": "urn:ietf:params:scim:api:messages:2.0:PatchOp",
    "extension and a number": f"{ENTERPRISE}.5",
}


@pytest.mark.parametrize("name", cases(UNKNOWN))
def test_unknown_name(name: str) -> None:
    assert USER_TYPE.resolve(name) is None


NEAR = [
    "urn:x:acme:2.0:User",
    "urn:x:acme:2.0:User.other",
    "urn:x:acme:2.0:Users:badge",
    "urn:x:acme:2.0:Usr:badge",
    "URN:X:ACME:2.0:USR:BADGE",
    "urn:x:acme:2.0.User:badge",
    "urn:x:acme:2.0",
    "urn:x:acme:2.0:badge",
    "urn:x:acme:2.0:Device:serial",
]


@pytest.mark.parametrize("name", NEAR)
@pytest.mark.parametrize("whose", ["of the type", "of another type"])
def test_urns_near_a_declared_one_are_nobodys(name: str, whose: str) -> None:
    acme = Schema.model_validate({"id": "urn:x:acme:2.0:User", "name": "Acme", "attributes": [{"name": "badge"}]})
    ours = whose == "of the type"
    kind = replace(USER_TYPE, extensions=(acme,)) if ours else replace(USER_TYPE, others=(acme.id,))
    target = kind.resolve(name)
    assert target is None or (ours and (target.urn, target.name) == (acme.id, ""))
    for free in ("urn:x:acme:2.1:User:badge", "urn:x:acme:2.0.1:User:badge", "urn:x:acme:sub:2.0:User:badge"):
        kept = kind.resolve(free)
        assert kept is not None and kept.name == "badge"


def test_names_belong_to_a_resource_type() -> None:
    assert GROUP_TYPE.resolve("userName") is None
    assert GROUP_TYPE.resolve("department") is None
    assert USER_TYPE.resolve("members") is None


@given(NAMES | st.text(max_size=20) | st.text("urn:.20aU", max_size=20))
def test_path_of_any_name_means_the_same(name: str) -> None:
    target = USER_TYPE.resolve(name)
    if target is not None and target.path:
        assert USER_TYPE.resolve(target.path) == target


@pytest.mark.parametrize("resource_type", [USER_TYPE, GROUP_TYPE, DEVICE_TYPE], ids=lambda one: one.name)
def test_every_attribute_is_found_at_its_path(resource_type: ResourceType) -> None:
    named: list[tuple[str | None, Attribute]] = [(None, a) for a in resource_type.core_attributes.values()]
    named += [(urn, a) for urn, held in resource_type.extension_attributes.items() for a in held.values()]
    for urn, attribute in named:
        path = f"{urn}:{attribute.name}" if urn else attribute.name
        target = resource_type.resolve(path)
        assert isinstance(target, Declared) and (target.urn, target.attribute, target.path) == (urn, attribute, path)


def test_indexes_of_users() -> None:
    assert {path: index.unique for path, index in USER_TYPE.indexes.items()} == {
        "username": True,
        "externalid": False,
        "displayname": False,
        "emails.value": False,
        f"{ENTERPRISE}:manager.value".lower(): False,
    }
    assert USER_TYPE.indexes["emails.value"].attribute == USER_TYPE.core_attributes["emails"].sub("value")


def test_indexes_of_groups() -> None:
    assert {path: index.unique for path, index in GROUP_TYPE.indexes.items()} == {
        "displayname": True,
        "externalid": False,
    }


def with_lookup(resource_type: ResourceType, *lookup: str) -> ResourceType:
    storage = StorageHints.model_validate({"idPrefix": "x", "lookup": lookup})
    return replace(resource_type, document=resource_type.document.model_copy(update={"storage": storage}))


@pytest.mark.parametrize("path", ["shoeSize", "name.nick", CUSTOM, f"{CUSTOM}:site", ENTERPRISE])
def test_index_of_what_no_schema_declares_is_named(path: str) -> None:
    with pytest.raises(ValueError, match="User") as caught:
        _ = with_lookup(USER_TYPE, path).indexes
    assert path in str(caught.value)


def test_unique_attribute_stays_unique_when_it_is_listed_for_lookup() -> None:
    assert with_lookup(USER_TYPE, "userName").indexes["username"].unique


@pytest.mark.parametrize("segment", ["Users", "users", "USERS"])
def test_resource_type_by_endpoint(segment: str) -> None:
    assert REGISTRY.by_endpoint(segment) is USER_TYPE


def test_no_resource_type_at_other_endpoints() -> None:
    assert [REGISTRY.by_endpoint(segment) for segment in ("", "User", "Users/", "Me")] == [None] * 4


IDS = {
    "user": ("u-abc", USER_TYPE),
    "group": ("g-abc", GROUP_TYPE),
    "user with more dashes": ("u-a-b", USER_TYPE),
    "prefix alone": ("u-", USER_TYPE),
    "no dash": ("u", None),
    "another prefix": ("x-abc", None),
    "another case": ("U-abc", None),
    "guid": ("2819c223-7f76-453a-919d-413861904646", None),
    "nothing": ("", None),
}


@pytest.mark.parametrize(("id", "resource_type"), cases(IDS))
def test_resource_type_by_id(id: str, resource_type: ResourceType | None) -> None:
    assert REGISTRY.by_id(id) is resource_type


def test_a_changed_attribute_reads_by_its_own_rules() -> None:
    """What an attribute has found out about itself is not the copy's."""
    many = Attribute.model_validate({"name": "tags", "multiValued": True})
    assert many.read("a", "tags") == ["a"]
    assert many.change(multi_valued=False).read("a", "tags") == "a"
