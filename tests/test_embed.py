"""The service inside another app, at a path of its own: docs/embed.md as it stands there, and the package."""

from __future__ import annotations

import contextlib
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
from dev.host import Host
from scim.app import Application
from scim.asgi import Mounted
from scim.http import Request
from scim.settings import Settings

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
KEY = new_key("contoso")
ORIGIN = "https://app.example"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


EXAMPLES = re.findall(r"```python\n(.*?)```", (ROOT / "docs/embed.md").read_text(encoding="utf-8"), re.DOTALL)


def configured(azurite: Azurite) -> dict[str, str]:
    return {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_CONNECTIONS": json.dumps({"contoso": {"tenant": "contoso", "keys": [KEY]}}),
        "SCIM_SEALS": SEALS,
        "SCIM_USAGE_MINUTES": "0",
        "SCIM_INSIGHT_SECONDS": "0",
        "SCIM_FEED_SECONDS": "0",
    }


@pytest.fixture(scope="module")
async def client(azurite: Azurite, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the first example's app, with the rights of contoso. It reads its settings from a file, and none
    from the environment."""
    azurite.create_table("scim")  # the example names none, so it is the default one
    folder = tmp_path_factory.mktemp("embed")
    (folder / "local.settings.json").write_text(json.dumps({"Values": configured(azurite)}))
    assert not [name for name in os.environ if name.startswith("SCIM_")]
    example: dict[str, Any] = {}
    with contextlib.chdir(folder):
        exec(compile(EXAMPLES[0], "docs/embed.md", "exec"), example)
    app = example["app"]
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app)
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/scim+json"}
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers) as client:
            yield client


def test_the_example_is_short() -> None:
    assert len([line for line in EXAMPLES[0].splitlines() if line.strip()]) <= 30


async def test_it_is_served_below_the_prefix(client: httpx.AsyncClient) -> None:
    made = await client.post("/directory/scim/Users", json={"userName": "ada@contoso.example"})
    assert made.status_code == 201
    location = made.json()["meta"]["location"]
    assert location == made.headers["location"] == f"{ORIGIN}/directory/scim/Users/{made.json()['id']}"
    assert (await client.get(location)).json() == made.json()
    group = (
        await client.post(
            "/directory/scim/Groups", json={"displayName": "a/b", "members": [{"value": made.json()["id"]}]}
        )
    ).json()
    assert group["members"][0]["$ref"] == location
    managed = {"userName": "eve@contoso.example", ENTERPRISE: {"manager": {"$ref": location}}}
    manager = (await client.post("/directory/scim/Users", json=managed)).json()[ENTERPRISE]["manager"]
    assert (manager["value"], manager["$ref"]) == (made.json()["id"], location)
    assert (await client.get("/directory/scim/Users/a%2Fb")).status_code == 404
    assert (await client.get("/directory/scim/Users?filter=userName+eq+%22ada%40contoso.example%22")).json()[
        "totalResults"
    ] == 1
    servers = (await client.get("/directory/scim/openapi.json")).json()["servers"]
    assert [server["url"] for server in servers] == [f"{ORIGIN}/directory/scim"]


async def test_a_bulk_request_goes_where_it_came_in(client: httpx.AsyncClient) -> None:
    user = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "bob@contoso.example"}
    body = {
        "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"],
        "Operations": [{"method": "POST", "path": "/Users", "bulkId": "1", "data": user}],
    }
    done = (await client.post("/directory/scim/Bulk", json=body)).json()["Operations"][0]
    assert (done["status"], done["location"].rpartition("/")[0]) == ("201", f"{ORIGIN}/directory/scim/Users")


async def test_what_is_beside_the_prefix_is_not_served(client: httpx.AsyncClient) -> None:
    assert (await client.get("/scim/Users")).status_code == 404
    beside = await client.get("/directory/scmi/Users")
    assert beside.status_code == 404 and f"{ORIGIN}/directory/scim" in beside.json()["detail"]
    metadata = (await client.get("/directory/.well-known/oauth-authorization-server")).json()
    assert metadata["token_endpoint"] == f"{ORIGIN}/directory/oauth2/token"


async def test_the_path_is_decoded_once(client: httpx.AsyncClient) -> None:
    answer = await client.get("/directory/scim/Users/a%2541")
    assert "'a%41'" in answer.json()["detail"]


async def test_head_has_no_body(client: httpx.AsyncClient) -> None:
    head = await client.head("/directory/scim/Users")
    assert (head.status_code, head.content) == (200, b"")


async def test_a_body_that_is_too_long_is_not_read_to_its_end(client: httpx.AsyncClient) -> None:
    sent = 0

    async def pieces() -> AsyncIterator[bytes]:
        nonlocal sent
        while sent < 64 * 2**20:
            sent += 2**20
            yield b" " * 2**20

    answer = await client.post("/directory/scim/Users", content=pieces())
    assert answer.status_code == 413
    assert sent < 12 * 2**20


async def test_half_a_body_is_not_taken_for_a_whole_one(azurite: Azurite) -> None:
    application = Application(Settings.from_environment(configured(azurite)))
    messages = [
        {"type": "http.request", "body": b'{"userName": "half"}', "more_body": True},
        {"type": "http.disconnect"},
    ]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"host", b"app.example"), (b"authorization", f"Bearer {KEY}".encode())]
    scope = {"type": "http", "method": "POST", "scheme": "https", "path": "/scim/Users", "headers": headers}
    await Mounted(application)(scope, receive, send)
    asked = Request("GET", f"{ORIGIN}/scim/Users?filter=userName+eq+%22half%22", {"authorization": f"Bearer {KEY}"})
    found = (await application.handle(asked)).body
    await application.close()
    assert sent == []
    assert isinstance(found, dict) and found["totalResults"] == 0


async def test_the_console_is_not_below_a_prefix(azurite: Azurite) -> None:
    application = Application(Settings.from_environment(configured(azurite) | {"SCIM_CONSOLE": "true"}))
    for prefix, status in (("", 401), ("/directory", 404)):
        request = Request("GET", f"{ORIGIN}{prefix}/console", {}, prefix=prefix)
        assert (await application.handle(request)).status == status
    await application.close()


async def test_refused_callers_are_told_apart_by_their_connection(azurite: Azurite) -> None:
    """Whatever they say in X-Forwarded-For, which nobody checked."""
    application = Application(Settings.from_environment(configured(azurite) | {"SCIM_ADDRESS_REFUSALS": "2"}))
    statuses = []
    for number, address in enumerate(["192.0.2.1"] * 4 + ["192.0.2.2"]):
        transport = httpx.ASGITransport(Mounted(application), client=(address, 1))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            headers = {"X-Forwarded-For": f"198.51.100.{number}"}
            statuses.append((await client.get("/scim/Users", headers=headers)).status_code)
    await application.close()
    assert statuses == [401, 401, 429, 429, 401]


async def test_a_prefix_that_a_proxy_took_off(azurite: Azurite) -> None:
    """`at` is what is left of it; the public URL is what clients see."""
    public = {"SCIM_PUBLIC_URL": "https://app.example/api/v1/scim"}
    application = Application(Settings.from_environment(configured(azurite) | public))
    mounted = Mounted(application, at="/v1")

    async def stripped(scope: Any, receive: Any, send: Any) -> None:
        await mounted({**scope, "root_path": "/api/v1"}, receive, send)

    headers = {"Authorization": f"Bearer {KEY}"}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(stripped), base_url=ORIGIN, headers=headers) as client:
        answer = await client.post("/v1/scim/Users", json={"userName": "stripped@contoso.example"})
        assert (await client.get("/scim/Users")).status_code == 404
    await application.close()
    assert answer.json()["meta"]["location"].startswith("https://app.example/api/v1/scim/Users/u-")


async def test_the_example_of_another_functions_app(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in configured(azurite).items():
        monkeypatch.setenv(name, value)
    example: dict[str, Any] = {"__name__": "functions_example"}
    exec(compile(EXAMPLES[1], "docs/embed.md", "exec"), example)
    host = Host(example["app"], route_prefix="api")
    url, headers = f"{ORIGIN}/api/directory/scim/Users", {"Host": "app.example", "authorization": f"Bearer {KEY}"}
    answer = await host.request("POST", url, headers, json.dumps({"userName": "host@contoso.example"}).encode())
    await host.run_timer("housekeeping")
    await example["directory"].close()
    assert answer.status == 201, answer.body
    assert json.loads(answer.body)["meta"]["location"].startswith(f"{ORIGIN}/api/directory/scim/Users/")


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
