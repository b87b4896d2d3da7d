"""What is promised of /manage: its part of the OpenAPI document, and the procedures of docs/operate.md as printed."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from jsonschema import validate
from openapi_spec_validator import validate as validate_document

from scim.operate.tool.main import scim
from tests.insight.place import KEYS, ORIGIN, Place

ROOT = Path(__file__).parents[2]
SECTION = (ROOT / "docs/operate.md").read_text().partition("## Somebody is missing")[2].partition("\n## ")[0]


async def test_answers_are_as_the_document_says() -> None:
    place = Place()
    await place.client().new_user("adele")
    await place.client().post("/Users", {"userName": "diego", "active": "perhaps"})
    await place.settle()
    url = f"{ORIGIN}/tenants/contoso/scim/openapi.json"
    answer = await place.request("GET", url, {"Authorization": f"Bearer {KEYS['reader']}"}, b"")
    document = json.loads(answer.body)
    validate_document(document)
    for path in ("/why?user=diego", "/why?user=nobody", "/history?user=adele", "/status?expect=3"):
        operation = document["paths"][path.partition("?")[0]]["get"]
        assert operation["servers"][0]["url"] == f"{ORIGIN}/manage/{{tenant}}"
        found = await place.manage(f"/contoso{path}")
        validate(found.json, operation["responses"]["200"]["content"]["application/json"]["schema"])
    own = await place.client().get("/openapi.json")
    assert not {"/why", "/status", "/history"} & own.json["paths"].keys()


COMMANDS = re.findall(r"`(?:\.venv/bin/python -m scim )?((?:why|history|status) [^`]*TENANT[^`]*)`", SECTION)


def test_the_procedures_name_commands() -> None:
    assert {command.split()[0] for command in COMMANDS} == {"why", "history", "status"}


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_of_the_procedures_is_one(command: str) -> None:
    verb, *arguments = command.replace("TENANT", "contoso").split()
    scim.commands[verb].make_context(verb, arguments)


def test_the_line_for_a_laptop_finds_what_a_credential_did(tmp_path: Path) -> None:
    found = re.search(r"```sh\n(.*?)\n```", SECTION, re.DOTALL)
    assert found is not None
    line = {
        "event": "request",
        "operation": "PATCH Users/{id}",
        "resource": "u-a",
        "status": 200,
        "changed": ["active"],
    }
    lines = [
        "[2026-12-01T04:00:00Z] " + json.dumps({**line, "credential": "0a1b2c3d"}),
        json.dumps({**line, "credential": "ffffffff"}),
        "Azurite is ready",
    ]
    (tmp_path / "run.log").write_text("\n".join(lines))
    command = found[1].replace("ID", "0a1b2c3d")
    done = subprocess.run(["sh", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == ["PATCH Users/{id}", "u-a", 200, ["active"]]
