"""Files that were changed: a bad line is named, and nothing of the file is made."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from scim.store.table import Table
from tests.conftest import NewClient
from tests.core import cases
from tests.operate.conftest import Operator, everything
from tests.support import Client

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
Line = dict[str, Any]


def document(**members: Any) -> Callable[[Line], None]:
    return lambda line: line["document"].update(members)


def line(**members: Any) -> Callable[[Line], None]:
    return lambda line: line.update(members)


def deep(levels: int) -> Any:
    return [deep(levels - 1)] if levels else 1


USER, MEMBERSHIP = 3, 4
"""The numbers of their lines; line 2 is the group's."""
BAD: dict[str, tuple[int, Callable[[Line], None], str]] = {
    "no userName": (USER, lambda line: line["document"].pop("userName"), "userName"),
    "a number for a text": (USER, document(userName=7), "userName"),
    "a text for a list": (USER, document(emails="a@b"), "emails"),
    "a list of texts": (USER, document(emails=["a@b"]), "emails"),
    "a text for an object": (USER, document(name="Ada"), "name"),
    "a text for a flag": (USER, document(active="True"), "active"),
    "null": (USER, document(title=None), "title"),
    "an id inside": (USER, document(id="u-1"), "id"),
    "what is derived": (USER, document(meta={"created": 1}), "meta"),
    "a name in another case": (USER, document(DISPLAYNAME="x"), "DISPLAYNAME"),
    "what nobody knows": (USER, document(unknown=1), "unknown"),
    "a password": (USER, document(password="x"), "password"),
    "two primary": (USER, document(emails=[{"value": v, "primary": True} for v in "ab"]), "emails"),
    "an extension as text": (USER, document(**{ENTERPRISE: "x"}), ENTERPRISE),
    "an extension of lists": (USER, document(**{ENTERPRISE: {"department": ["x"] * 2}}), "department"),
    "an extension in another case": (
        USER,
        document(**{ENTERPRISE.upper(): {"department": "x"}}),
        "department|write it",
    ),
    "a character of no text": (USER, document(**{"urn:a:b:c:User": {"x": "a\x00"}}), "U+0000"),
    "levels": (USER, document(**{"urn:a:b:c:User": {"x": deep(230)}}), "levels"),
    "a number of 70 bits": (USER, document(**{"urn:a:b:c:User": {"x": 2**64 - 1}}), "64 bits"),
    "no time": (USER, line(created="yesterday"), "created"),
    "changed before": (USER, line(modified="1999-01-01T00:00:00Z"), "modified"),
    "a display of numbers": (MEMBERSHIP, line(display=7), "display"),
    "a type of lists": (MEMBERSHIP, line(type=["x"]), "type"),
    "an empty member": (MEMBERSHIP, line(member=""), "member"),
}


async def exported(operator: Operator, client: Client) -> list[Line]:
    user = await client.new_user("ada")
    await client.post("/Groups", {"displayName": "all", "members": [{"value": user["id"]}]})
    await operator.run("tenants", "export", client.tenant, "a.jsonl")
    return [json.loads(line) for line in (operator.folder / "a.jsonl").read_text().splitlines()]


@pytest.mark.parametrize(("number", "change", "named"), cases(BAD))
async def test_bad_line_is_named_and_nothing_is_made(
    operator: Operator, new_client: NewClient, table: Table, number: int, change: Callable[[Line], None], named: str
) -> None:
    one, other = new_client(), new_client()
    lines = await exported(operator, one)
    change(lines[number - 1])
    (operator.folder / "b.jsonl").write_text("".join(json.dumps(each) + "\n" for each in lines))
    error = await operator.refused("tenants", "import", "b.jsonl", "--tenant", other.tenant)
    assert f"b.jsonl, line {number}: " in error and "Nothing was made" in error
    assert any(each in error for each in named.split("|")), error
    assert await everything(table, other.tenant) == {}
    assert (await other.get("/Users")).status == 200
