"""An operator with a settings file, beside the app on the same table."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from scim.app import Application
from scim.operate.tool.main import main
from scim.store import keys
from scim.store.table import Table
from tests.conftest import TABLE
from tests.support import Client

OTHER_TABLE = "other"
TOLD = (f"{keys.OUTBOX} ", keys.FEED, f"{keys.LOG} ", f"{keys.ABOUT} ")
"""What the keys begin with of rows that tell what was changed: a copy has its own."""


@dataclass
class Operator:
    """Runs `python -m scim` in a folder with a settings file."""

    folder: Path
    capsys: pytest.CaptureFixture[str]

    async def command(self, *arguments: str) -> tuple[int, str, str]:
        """Exit code, output and errors."""
        self.capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        return code, *self.capsys.readouterr()

    async def run(self, *arguments: str) -> str:
        """What a command prints that succeeds."""
        code, out, err = await self.command(*arguments)
        assert (code, err) == (0, ""), err
        return out

    async def tool(self, *arguments: str, code: int = 0) -> Any:
        """The JSON that a command prints."""
        ended, out, err = await self.command(*arguments, "--json")
        assert ended == code, (out, err)
        return json.loads(out)

    async def refused(self, *arguments: str, code: int = 1) -> str:
        """The one line in which a command refuses."""
        ended, out, err = await self.command(*arguments)
        assert (ended, len(err.splitlines())) == (code, 1), (out, err)
        return err.strip()

    def connect(self, name: str, tenant: str, **members: Any) -> None:
        """Keep a connection in the settings file."""
        file = json.loads((self.folder / "local.settings.json").read_text())
        connections = json.loads(file["Values"].get("SCIM_CONNECTIONS", "{}"))
        connections[name] = {"tenant": tenant, "keys": [new_key(name)], **members}
        file["Values"]["SCIM_SEALS"] = SEALS
        file["Values"]["SCIM_CONNECTIONS"] = json.dumps(connections)
        (self.folder / "local.settings.json").write_text(json.dumps(file))


NOW = datetime.now(UTC).isoformat()


@pytest.fixture
def operator(
    tmp_path: Path, azurite: Azurite, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Operator:
    values = {"SCIM_TABLE_CONNECTION_STRING": azurite.connection_string, "SCIM_TABLE_NAME": TABLE}
    (tmp_path / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    monkeypatch.chdir(tmp_path)
    return Operator(tmp_path, capsys)


@pytest.fixture(scope="session")
def other_table(azurite: Azurite) -> str:
    azurite.create_table(OTHER_TABLE)
    return OTHER_TABLE


_VERSION = re.compile(rb'"version":"W/[^}]*?"(?=[,}])')


def unversioned(body: bytes) -> bytes:
    """An answer without its versions, which the table makes anew."""
    return _VERSION.sub(b"", body)


async def answers(client: Client, ids: list[str]) -> dict[str, bytes]:
    """What the app says of these resources, and of all, but for versions."""
    paths = [f"/{'Groups' if id.startswith('g-') else 'Users'}/{id}" for id in ids]
    found = {}
    for path in [*paths, "/Users?count=1000", "/Groups?count=1000"]:
        response = await client.get(path)
        found[path] = unversioned(response.body)
    return found


async def fill(client: Client) -> list[str]:
    """A tenant with everything that a tenant may have; its ids."""
    custom = "urn:ietf:params:scim:schemas:extension:custom:2.0:User"
    enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    ids = []
    for number in range(12):
        user = await client.new_user(
            f"User-{number}/é😀@Contoso.example",
            externalId=f"e{number}",
            active=number % 2 == 0,
            emails=[{"type": "work", "value": f"u{number}@contoso.example", "primary": True}],
            **{
                custom: {"deep": {"list": [1, 2.5, None, "x" * 40_000], "big": 2**62}},
                enterprise: {"department": "Sales", **({"manager": {"value": ids[0]}} if ids else {})},
            },
        )
        ids.append(user["id"])
    many = [{"value": id, "display": f"Number {at}"} for at, id in enumerate(ids)]
    strangers = [{"value": f"outside {at}/{'y' * 150}", "type": "User"} for at in range(60)]
    groups = []
    for name, members in (
        ("Empty", []),
        ("Some", many[:3]),
        ("Many", [*many, *strangers]),
        ("Nested", [{"value": "will be set"}]),
    ):
        group = (await client.post("/Groups", {"displayName": name, "members": members})).json
        groups.append(group["id"])
    await client.patch(f"/Groups/{groups[3]}", {"op": "replace", "path": "members", "value": [{"value": groups[1]}]})
    await client.patch(f"/Users/{ids[1]}", {"op": "replace", "path": "displayName", "value": "Changed"})
    return ids + groups


@pytest.fixture
def table(application: Application) -> Table:
    return application.table


async def everything(table: Table, tenant: str) -> dict[str, dict[str, object]]:
    """All rows of a tenant, by key."""
    return {row.key: row.values async for page in table.pages(tenant, "", "\uffff") for row in page}
