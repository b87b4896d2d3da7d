"""Schema files: what they add, and for every bad one a line that names the file or schema and the rule."""

from __future__ import annotations

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from scim.schema.loading import SchemaError, load

ADDED = Path(__file__).parent / "added"
ACME = "urn:example:params:scim:schemas:extension:acme:2.0:User"
DEVICE = "urn:example:params:scim:schemas:core:2.0:Device"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def write(folder: Path, *documents: object) -> Path:
    """The folder with each document in a file of its own: 1.json, 2.json, … Bytes are written as they are."""
    for number, document in enumerate(documents, 1):
        content = document if isinstance(document, bytes) else json.dumps(document).encode()
        (folder / f"{number}.json").write_bytes(content)
    return folder


def schema(*attributes: object, **members: object) -> dict[str, Any]:
    """An extension of User; a member that is None is left out."""
    document = {"id": ACME, "name": "AcmeUser", "attributes": list(attributes), **members}
    return {name: value for name, value in document.items() if value is not None}


def device(*lookup: str, **members: object) -> list[object]:
    """The Device schema and its resource type, with other members."""
    document = json.loads((ADDED / "device-type.json").read_bytes()) | members
    if lookup:
        document["storage"] = {"idPrefix": "d", "lookup": lookup}
    return [json.loads((ADDED / "device.json").read_bytes()), {n: v for n, v in document.items() if v is not None}]


def typed(name: str, *schemas: str, prefix: str = "x", **members: object) -> dict[str, Any]:
    """A resource type of the User schema under another name."""
    extensions = [{"schema": urn, "required": False} for urn in schemas]
    named = {"id": name, "name": name, "endpoint": f"/{name}s", "schema": USER, "schemaExtensions": extensions}
    return {**named, "storage": {"idPrefix": prefix}, **members}


def test_without_a_folder_there_are_users_and_groups(tmp_path: Path) -> None:
    for folder in (None, tmp_path, tmp_path / "missing"):
        assert [t.name for t in load(folder).resource_types] == ["User", "Group"]


def test_files_add_an_extension_and_a_resource_type(tmp_path: Path) -> None:
    shutil.copytree(ADDED, tmp_path, dirs_exist_ok=True)
    (tmp_path / "README.md").write_text("no schema")
    registry = load(tmp_path)
    user, device = registry.by_endpoint("users"), registry.by_endpoint("DEVICES")
    assert user and device and registry.by_id("d-x") is device
    assert [extension.id for extension in user.extensions][1:] == [ACME]
    assert (device.core.id, device.extensions) == (DEVICE, ())
    unique = [index.path for t in (user, device) for index in t.indexes.values() if index.unique]
    assert unique == ["userName", f"{ACME}:badge", "serial"]


def test_one_file_may_hold_several_documents_in_any_order(tmp_path: Path) -> None:
    registry = load(write(tmp_path, device()[1], [schema({"name": "badge"}), device()[0]]))
    assert [t.name for t in registry.resource_types] == ["User", "Group", "Device"]


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    load(write(tmp_path, b"\xef\xbb\xbf" + json.dumps(schema({"name": "badge"})).encode()))


def test_a_resource_type_of_ours_can_be_replaced(tmp_path: Path) -> None:
    ours = load().by_endpoint("users")
    assert ours
    document = ours.document.model_dump(by_alias=True)
    document["storage"] = {"idPrefix": "u", "memberOf": "groups", "lookup": ["title"]}
    theirs = load(write(tmp_path, document)).by_endpoint("users")
    assert theirs
    assert {index.path: index.unique for index in theirs.indexes.values()} == {"userName": True, "title": False}


def test_listing_a_unique_attribute_for_lookup_leaves_it_unique(tmp_path: Path) -> None:
    found = load(write(tmp_path, *device("serial", "tag"))).by_endpoint("devices")
    assert found
    assert {index.path: index.unique for index in found.indexes.values()} == {"serial": True, "tag": False}


COMPLEX = {"name": "desk", "type": "complex", "subAttributes": [{"name": "room"}]}
BAD: list[tuple[str, list[object], list[str]]] = [
    ("not JSON", [b'{"id": '], ["1.json", "JSON"]),
    ("not UTF-8", [b'{"id": "\xff"}'], ["1.json", "JSON"]),
    ("empty", [b""], ["1.json", "JSON"]),
    ("a string", ["User"], ["1.json", "object"]),
    ("a list of strings", [["User"]], ["1.json", "object"]),
    ("no id", [schema({"name": "a"}, id=None)], ["1.json", "id", "is missing"]),
    ("no name", [schema({"name": "a"}, name=None)], ["1.json", "name", "is missing"]),
    ("no attributes", [schema(attributes=None)], ["1.json", "attributes", "is missing"]),
    ("an id that is no URN", [schema({"name": "a"}, id="User")], ["User", "URN"]),
    ("an unknown member", [schema({"name": "a"}, atributes=[])], ["1.json", "atributes"]),
    ("an unknown characteristic", [schema({"name": "a", "multivalued": True})], ["1.json", "attributes.a.multivalued"]),
    ("an unknown type", [schema({"name": "a", "type": "text"})], ["1.json", "attributes.a.type", "'string'"]),
    ("an unknown mutability", [schema({"name": "a", "mutability": "once"})], ["1.json", "mutability", "'immutable'"]),
    ("an unknown returned", [schema({"name": "a", "returned": "maybe"})], ["1.json", "returned", "'always'"]),
    ("an unknown uniqueness", [schema({"name": "a", "uniqueness": "yes"})], ["1.json", "uniqueness", "'server'"]),
    (
        "a flag that is no boolean",
        [schema({"name": "a", "required": "often"})],
        ["1.json", "required", "must be true or false"],
    ),
    ("an attribute without a name", [schema({"type": "string"})], ["1.json", "attributes.0.name", "is missing"]),
    ("a name with a space", [schema({"name": "shoe size"})], [ACME, "'shoe size'"]),
    ("a name that begins with a digit", [schema({"name": "1st"})], [ACME, "'1st'"]),
    ("an empty name", [schema({"name": ""})], [ACME, "''"]),
    ("a dotted name", [schema({"name": "a.b"})], [ACME, "'a.b'"]),
    ("an attribute twice", [schema({"name": "badge"}, {"name": "BADGE"})], [ACME, "'BADGE'", "already"]),
    ("a common attribute", [schema({"name": "externalId"})], [ACME, "'externalId'", "common"]),
    ("complex without subAttributes", [schema({"name": "a", "type": "complex"})], [ACME, "'a'", "subAttributes"]),
    ("subAttributes of a string", [schema({**COMPLEX, "type": "string"})], [ACME, "'desk'", "subAttributes"]),
    (
        "a complex sub-attribute",
        [schema({"name": "a", "type": "complex", "subAttributes": [COMPLEX]})],
        [ACME, "'a'", "complex"],
    ),
    (
        "a sub-attribute twice",
        [schema({**COMPLEX, "subAttributes": [{"name": "room"}, {"name": "Room"}]})],
        [ACME, "'desk'", "'Room'", "already"],
    ),
    (
        "a unique boolean",
        [schema({"name": "a", "type": "boolean", "uniqueness": "server"})],
        [ACME, "'a'", "uniqueness"],
    ),
    (
        "a unique list",
        [schema({"name": "a", "multiValued": True, "uniqueness": "server"})],
        [ACME, "'a'", "uniqueness"],
    ),
    (
        "a unique sub-attribute",
        [schema({**COMPLEX, "subAttributes": [{"name": "room", "uniqueness": "server"}]})],
        [ACME, "'desk'", "uniqueness", "sub-attribute"],
    ),
    (
        "a schema that extends nothing",
        [schema({"name": "a"}, id="urn:x:2.0:Printer")],
        ["urn:x:2.0:Printer", "extends"],
    ),
    ("a schema twice", [schema({"name": "a"}), schema({"name": "b"})], ["2.json", ACME, "already"]),
    (
        "a schema twice, in two cases",
        [schema({"name": "a"}), schema({"name": "b"}, id=ACME.replace("acme", "ACME"))],
        [ACME, "already"],
    ),
    ("a schema of ours", [schema({"name": "a"}, id=USER)], [USER, "already"]),
    ("a type without an id", device(id=None), ["2.json", "id", "is missing"]),
    ("a type whose id is not its name", device(name="Gadget"), ["Device", "Gadget"]),
    ("a type without storage", device(storage=None), ["2.json", "storage", "is missing"]),
    ("a type without a prefix", device(storage={}), ["2.json", "storage.idPrefix", "is missing"]),
    ("a prefix with a hyphen", device(storage={"idPrefix": "d-1"}), ["Device", "idPrefix"]),
    ("an empty prefix", device(storage={"idPrefix": ""}), ["Device", "idPrefix"]),
    ("a prefix of ours", device(storage={"idPrefix": "u"}), ["Device", "User", "both use u"]),
    ("an unknown hint", device(storage={"idPrefix": "d", "index": []}), ["2.json", "storage.index"]),
    ("an endpoint without a slash", device(endpoint="Devices"), ["Device", "'Devices'", "slash"]),
    ("an endpoint of two parts", device(endpoint="/our/devices"), ["Device", "'/our/devices'", "slash"]),
    ("an endpoint of ours", device(endpoint="/USERS"), ["Device", "User", "/users"]),
    *[
        (f"the endpoint {e}", device(endpoint=e), ["Device", e, "free"])
        for e in ("/Bulk", "/me", "/Schemas", "/.search")
    ],
    ("a type twice", [*device(), device()[1]], ["3.json", "Device", "already"]),
    ("two types of one prefix", [typed("Robot"), typed("Drone")], ["Robot", "Drone", "both use x"]),
    ("a type without its schema", [device()[1]], ["Device", DEVICE]),
    ("a type without its extension", [typed("Robot", ACME)], ["Robot", ACME]),
    ("a lookup of nothing", device("label"), ["Device", "label"]),
    ("a lookup of a boolean", device("online"), ["Device", "online", "string"]),
    ("a lookup of a dateTime", device("bought"), ["Device", "bought", "string"]),
    ("a lookup of a whole complex value", device("ports"), ["Device", "ports"]),
    ("a lookup of what no document holds", device("meta.created"), ["Device", "meta.created"]),
    (
        "a lookup of members",
        [typed("Robot", storage={"idPrefix": "x", "memberOf": "groups", "lookup": ["groups.value"]})],
        ["Robot", "groups.value"],
    ),
    ("members that are strings", device(storage={"idPrefix": "d", "members": "tag"}), ["Device", "tag", "$ref"]),
    ("members that are nowhere", device(storage={"idPrefix": "d", "members": "crew"}), ["Device", "crew"]),
    ("members of one", device(storage={"idPrefix": "d", "memberOf": "owner"}), ["Device", "owner", "multi-valued"]),
]


@pytest.mark.parametrize(("documents", "named"), [row[1:] for row in BAD], ids=[row[0] for row in BAD])
def test_a_bad_file_is_refused_with_one_line_that_says_why(
    tmp_path: Path, documents: list[object], named: list[str]
) -> None:
    with pytest.raises(SchemaError) as caught:
        load(write(tmp_path, *copy.deepcopy(documents)))
    line = str(caught.value)
    assert "\n" not in line
    assert [part for part in named if part.lower() not in line.lower()] == [], line


REMEDY = re.compile(
    "must |is missing|leave it out|take (it|them) (out|away)|mend it|give|make it|write|choose|end its id|declare it"
    "|begin with|add its"
)


@pytest.mark.parametrize("documents", [row[1] for row in BAD], ids=[row[0] for row in BAD])
def test_the_line_says_what_to_write_instead(tmp_path: Path, documents: list[object]) -> None:
    with pytest.raises(SchemaError) as caught:
        load(write(tmp_path, *copy.deepcopy(documents)))
    assert REMEDY.search(str(caught.value)), caught.value


@pytest.mark.parametrize("name", ["badge.txt", "badge.JSON", "badge.jsonc", "badge"])
def test_a_schema_whose_file_has_another_ending_is_told_of(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(json.dumps(schema({"name": "badge"})))
    with pytest.raises(SchemaError, match=rf"{re.escape(name)} is not read: let its name end with \.json"):
        load(tmp_path)


def test_other_files_of_the_folder_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("{ }")
    (tmp_path / "notes.txt").write_text("badge: from the HR system")
    (tmp_path / "badge.json~").write_text("{")
    assert [t.name for t in load(tmp_path).resource_types] == ["User", "Group"]


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "folder.json").mkdir()
    with pytest.raises(SchemaError, match=r"folder\.json"):
        load(tmp_path)
