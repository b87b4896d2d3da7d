"""The service inside another app, at a path of its own: docs/embed.md as it stands there, and the package."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from packaging.requirements import Requirement

import scim
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KEY = new_key("contoso")
ORIGIN = "https://app.example"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@pytest.fixture(scope="module")
async def client(azurite: Azurite) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the example's app, with the rights of contoso."""
    azurite.create_table("scim")  # the example names none, so it is the default one
    code = re.search(r"```python\n(.*?)```", (ROOT / "docs/embed.md").read_text(), re.DOTALL)
    assert code is not None
    connections = json.dumps({"contoso": {"tenant": "contoso", "keys": [KEY]}})
    example: dict[str, Any] = {"TABLE": azurite.connection_string, "CONNECTIONS": connections, "SEALS": SEALS}
    exec(compile(code[1], "docs/embed.md", "exec"), example)
    app = example["app"]
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/scim+json"}
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
            yield client


async def test_it_is_served_below_the_prefix(client: httpx.AsyncClient) -> None:
    made = await client.post("/api/scim/Users", json={"userName": "ada@contoso.example"})
    assert made.status_code == 201
    location = made.json()["meta"]["location"]
    assert location == made.headers["location"] == f"{ORIGIN}/api/scim/Users/{made.json()['id']}"
    assert (await client.get(location)).json() == made.json()
    group = (
        await client.post("/api/scim/Groups", json={"displayName": "a/b", "members": [{"value": made.json()["id"]}]})
    ).json()
    assert group["members"][0]["$ref"] == location
    managed = {"userName": "eve@contoso.example", ENTERPRISE: {"manager": {"$ref": location}}}
    manager = (await client.post("/api/scim/Users", json=managed)).json()[ENTERPRISE]["manager"]
    assert (manager["value"], manager["$ref"]) == (made.json()["id"], location)
    assert (await client.get("/api/scim/Users/a%2Fb")).status_code == 404
    assert (await client.get("/api/scim/Users?filter=userName+eq+%22ada%40contoso.example%22")).json()[
        "totalResults"
    ] == 1
    servers = (await client.get("/api/scim/openapi.json")).json()["servers"]
    assert [server["url"] for server in servers] == [f"{ORIGIN}/api/scim"]


async def test_a_bulk_request_goes_where_it_came_in(client: httpx.AsyncClient) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bob@contoso.example"}
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": user}],
    }
    done = (await client.post("/api/scim/Bulk", json=body)).json()["Operations"][0]
    assert (done["status"], done["location"].rpartition("/")[0]) == ("201", f"{ORIGIN}/api/scim/Users")


async def test_what_is_beside_the_prefix_is_not_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/scim/Users")).status_code == 404
    beside = await client.get("/api/scmi/Users")
    assert beside.status_code == 404 and f"{ORIGIN}/api/scim" in beside.json()["detail"]
    metadata = (await client.get("/api/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint"] == f"{ORIGIN}/api/oauth2/token"


def test_the_package_asks_for_what_is_pinned() -> None:
    """Each package that runs in Azure is asked for, in a range that its version is in; the Functions library is not."""
    ranges = {each.name: each.specifier for each in map(Requirement, PROJECT["dependencies"])}
    pinned = {}
    for line in (ROOT / "requirements.in").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line.partition("#")[0].strip())
            pinned[requirement.name] = str(requirement.specifier).removeprefix("==")
    pinned.pop("azure-functions")
    assert ranges.keys() == pinned.keys()
    assert [name for name, version in pinned.items() if version not in ranges[name]] == []


SERVE = """
import asyncio, sys, scim
from scim.app import Application
from scim.http import Request
from scim.settings import Settings
answer = asyncio.run(Application(Settings(table_endpoint="https://x.example")).handle(Request("GET", "https://x.example/health")))
print(scim.__file__, scim.__version__, answer.status)
"""


@pytest.mark.long
def test_the_wheel_is_whole(tmp_path: Path) -> None:
    """What pip builds has every file that runs, and works away from the repository."""
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"azure_functions_scim-{scim.__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as packed:
        names = {name for name in packed.namelist() if name.startswith("scim/")}
        packed.extractall(tmp_path / "site")
    sources = {p.relative_to(ROOT).as_posix() for p in (ROOT / "scim").rglob("*") if p.is_file() and p.suffix != ".pyc"}
    assert names == sources
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    served = subprocess.run(
        [sys.executable, "-c", SERVE], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert served.returncode == 0, served.stderr
    file, version, status = served.stdout.split()
    assert Path(file).is_relative_to(tmp_path) and version == scim.__version__ and status in ("200", "503")
