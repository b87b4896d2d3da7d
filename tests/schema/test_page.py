"""The files of docs/schemas.md, as they stand there, do what the page says of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from scim.schema.loading import load
from tests.store.memory import Door, MemoryTable
from tests.support import Client

PAGE = (Path(__file__).parents[2] / "docs/schemas.md").read_text()
FILES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
CONTOSO = "urn:ietf:params:scim:schemas:extension:contoso:2.0:User"
STAFF = "urn:ietf:params:scim:schemas:extension:staff:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A client of an app that has all files of the page."""
    for number, text in enumerate(FILES):
        (tmp_path / f"{number}.json").write_text(text)
    door = Door(MemoryTable(), SCIM_SCHEMAS_FOLDER=str(tmp_path))
    return door.client


def test_the_files_are_short_and_load(tmp_path: Path) -> None:
    assert len(FILES) == 4
    for number, text in enumerate(FILES):
        assert len(text.splitlines()) <= 20, f"file {number} has more than 20 lines"
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "added.json").write_text(text)
        load(folder)


async def test_an_extension_is_typed(client: Client) -> None:
    answer = await client.post(
        "/Users", {"userName": "ada", CONTOSO: {"badge": "42", "remote": "True", "site": "Oslo"}}
    )
    assert (answer.status, answer.json[CONTOSO]) == (201, {"badge": "42", "remote": True, "site": "Oslo"})
    found = await client.get(f'/Users?filter={CONTOSO}:badge eq "42"'.replace(" ", "%20").replace('"', "%22"))
    assert found.json["totalResults"] == 1
    wrong = await client.post("/Users", {"userName": "bob", CONTOSO: {"remote": "maybe"}})
    assert wrong.status == 400 and "remote" in wrong.json["detail"]
    schemas = await client.get("/Schemas")
    assert CONTOSO in {schema["id"] for schema in schemas.json["Resources"]}


async def test_a_unique_attribute_is_unique(client: Client) -> None:
    assert (await client.post("/Users", {"userName": "ada", STAFF: {"payroll": "P1"}})).status == 201
    again = await client.post("/Users", {"userName": "bob", STAFF: {"payroll": "P1"}})
    assert again.status == 409 and "payroll" in again.json["detail"]


async def test_an_index_is_an_index(client: Client, tmp_path: Path) -> None:
    indexes = next(t for t in load(tmp_path).resource_types if t.name == "User").indexes
    assert any(index.path == f"{ENTERPRISE}:employeeNumber" for index in indexes.values())
    ours = next(t for t in load().resource_types if t.name == "User").indexes
    assert {index.path for index in ours.values()} < {index.path for index in indexes.values()}


async def test_a_resource_type_has_an_endpoint(client: Client) -> None:
    room = await client.post("/Rooms", {"number": "4.12", "seats": 6})
    assert room.status == 201 and room.json["id"].startswith("room-")
    assert room.json["schemas"] == ["urn:example:params:scim:schemas:core:2.0:Room"]
    assert (await client.post("/Rooms", {"number": "4.12"})).status == 409
    assert (await client.get("/Rooms")).json["totalResults"] == 1
    assert (await client.post("/Rooms", {"seats": 6})).status == 400


def test_wrong_files_say_what_to_write(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text(
        json.dumps({**json.loads(FILES[0]), "attributes": [{"name": "a", "type": "complex"}]})
    )
    with pytest.raises(ValueError, match="'a' is complex: give it subAttributes, or another type"):
        load(tmp_path)
    (tmp_path / "x.json").write_text("[]")
    with pytest.raises(ValueError, match=r"x\.json holds nothing"):
        load(tmp_path)
