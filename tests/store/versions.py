"""Two applications of different schemas on one table, as in a rolling update and on the way back, and a clock that a
test can move on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import quote_plus

import pytest

from scim.operate import reindex as reindexing
from scim.schema.loading import DOCUMENTS, load
from scim.schema.registry import Registry
from scim.store import census
from scim.store.table import Table
from tests.store.memory import Door
from tests.support import USER, Client

HR = "urn:example:hr:User"
CODE = {"id": HR, "name": "HR", "attributes": [{"name": "code", "uniqueness": "server", "caseExact": True}]}


def write_schemas(folder: Path) -> Path:
    """The schemas of the newer version: the extension's code is unique, and users are looked up by their title."""
    folder.mkdir(exist_ok=True)
    (folder / "hr.json").write_text(json.dumps(CODE))
    types = json.loads((DOCUMENTS / "resource-types.json").read_bytes())
    user = next(one for one in types if one["id"] == "User")
    user["storage"]["lookup"].append("title")
    (folder / "user.json").write_text(json.dumps(user))
    return folder


class Clock:
    """The time of all processes, for the census."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._since = timedelta()
        monkeypatch.setattr(census, "time", SimpleNamespace(monotonic=lambda: self._since.total_seconds()))
        monkeypatch.setattr(census, "now", self.now)
        monkeypatch.setattr(reindexing, "now", self.now)

    def now(self) -> str:
        time = datetime(2026, 6, 1, tzinfo=UTC) + self._since
        return time.isoformat(timespec="milliseconds").replace("+00:00", "Z")

    def move(self, minutes: float) -> None:
        self._since += timedelta(minutes=minutes)


@dataclass
class Versions:
    """An older version, which knows only our own schemas, and a newer one."""

    table: Table
    tenant: str
    old: Client
    new: Client
    registry: Registry
    """The newer version's schemas."""

    @staticmethod
    def on(table: Table, folder: Path, tenant: str = "tenant") -> Versions:
        schemas = write_schemas(folder)
        old, new = Door(table, tenant), Door(table, tenant, SCIM_SCHEMAS_FOLDER=str(schemas))
        return Versions(table, tenant, old.client, new.client, load(schemas))

    def again(self, folder: Path) -> Versions:
        """The same table, and new processes."""
        return Versions.on(self.table, folder, self.tenant)


def person(name: str, code: str | None = None, **attributes: Any) -> dict[str, Any]:
    extension = {HR: {"code": code}} if code is not None else {}
    return {"schemas": [USER, *extension], "userName": name, **extension, **attributes}


async def make(client: Client, name: str, code: str | None = None, **attributes: Any) -> str:
    """The id of the user that a POST makes."""
    answer = await client.post("/Users", person(name, code, **attributes))
    assert answer.status == 201, answer.body
    id: str = answer.json["id"]
    return id


async def found(client: Client, filter: str) -> list[str]:
    """The userNames that a filter finds, in order."""
    answer = await client.get(f"/Users?filter={quote_plus(filter)}")
    assert answer.status == 200, answer.body
    return sorted(user["userName"] for user in answer.json["Resources"])


def by_code(code: str) -> str:
    return f'{HR}:code eq "{code}"'
