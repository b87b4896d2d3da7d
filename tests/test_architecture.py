"""The house holds: imports run downwards, SDKs stay behind their one door, a cold start imports what it needs alone."""

from __future__ import annotations

import ast
import functools
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SCIM = ROOT / "scim"

FLOORS = [
    {"__main__", "asgi"},
    {"app", "parts", "failing", "observer"},
    {"console"},
    {"operate"},
    {"service"},
    {"insight"},
    {"feed"},
    {"policy"},
    {"store", "patch"},
    {"filter"},
    {"settings"},
    {"security", "schema"},
    {"http", "body", "health", "request_log", "mass_changes", "counters", "limits", "refusals"},
    {"events", "trace", "deadline", "budget"},
    {"errors", "told", "text", "faults", "address", "ids", "clock", "behind"},
]
"""From the top; a module may import from its own floor (its own folder, or a neighbour) and from those below."""

DOORS = {
    "azure.data": {"store/table/azure.py"},
    "azure.core": {"store/table/azure.py", "store/table/pipeline.py", "security/vault.py"},
    "azure.keyvault": {"security/vault.py"},
    "azure.identity": {"security/identity.py"},
    "jwt": {"security/access_tokens.py", "security/assertions.py", "security/jwks.py"},
    "cryptography": {"service/cursors.py"},
    "azure.functions": set(),
}


@functools.cache
def imported(path: Path, *, at_run_time: bool = True) -> list[str]:
    """Return the modules that a file imports, those for type checkers apart."""
    return list(_imports(path, at_run_time=at_run_time))


def _imports(path: Path, *, at_run_time: bool) -> Iterator[str]:
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING" and at_run_time:
            node.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def modules() -> list[Path]:
    return sorted(SCIM.rglob("*.py"))


def room(name: str) -> str:
    return name.split(".")[1] if name.count(".") else ""


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(SCIM)))
def test_imports_run_downwards(path: Path) -> None:
    own = path.relative_to(SCIM).with_suffix("").parts[0]
    heights = {name: height for height, floor in enumerate(FLOORS) for name in floor}
    if own == "__init__":
        return
    above = {
        other
        for name in imported(path)
        if name.startswith("scim.") and (other := room(name)) != own
        if heights[other] < heights[own]
    }
    assert above == set()


@pytest.mark.parametrize("package", DOORS)
def test_packages_stay_behind_their_door(package: str) -> None:
    users = {
        path.relative_to(SCIM).as_posix()
        for path in modules()
        if any(name == package or name.startswith(f"{package}.") for name in imported(path))
    }
    assert users == DOORS[package]


def test_the_command_line_stays_in_its_folder() -> None:
    """Pages will call what an operator does: they need no command line."""
    users = {
        path.relative_to(SCIM).as_posix()
        for path in modules()
        if any(n.split(".")[0] == "click" for n in imported(path))
    }
    assert users
    assert {user for user in users if not user.startswith("operate/tool/")} == set()
    importers = {
        path.relative_to(SCIM).as_posix()
        for path in modules()
        if any(name.startswith("scim.operate.tool") for name in imported(path))
    }
    assert {name for name in importers if not name.startswith("operate/tool/")} == {"__main__.py"}


FIRST_REQUEST = """
import asyncio, json, sys
import function_app
at_import = set(sys.modules)
from scim.http import Request
request = Request("GET", "https://x.test/scim/Users", {"authorization": f"Bearer {sys.argv[1]}"})
asyncio.run(function_app.application.handle(request))
print(json.dumps([sorted(at_import), sorted(sys.modules)]))
"""


def test_the_command_line_prints_through_one_door() -> None:
    """Through shown.py, which escapes what a terminal would obey; deployment.py escapes what it shows on the way."""
    doors = {"scim/operate/tool/shown.py", "scim/operate/deployment.py"}
    prints = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "scim" / "operate").rglob("*.py")
        if re.search(r"(?<![\w.])(print|click\.(echo|secho))\(", path.read_text())
    }
    assert prints <= doors


def test_cold_start_imports_only_what_it_needs() -> None:
    from dev.credentials import SEALS, new_key

    key = new_key("contoso")
    away = "DefaultEndpointsProtocol=http;AccountName=x;AccountKey=eA==;TableEndpoint=http://127.0.0.1:9/x;"
    environment = {
        "PATH": "",
        "SCIM_TABLE_CONNECTION_STRING": away,
        "SCIM_CONNECTIONS": json.dumps({"contoso": {"tenant": "contoso", "keys": [key]}}),
        "SCIM_SEALS": SEALS,
    }
    command = [sys.executable, "-c", FIRST_REQUEST, key]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
    at_import, at_request = map(set, json.loads(done.stdout))
    assert not {"azure.data.tables", "azure.core", "aiohttp", "jwt", "pydantic"} & at_import
    assert not {"scim.console", "jinja2"} & (at_import | at_request)  # markupsafe is azure-functions' too
    assert "azure.data.tables" in at_request
    assert not {"jwt", "msal", "azure.identity", "azure.keyvault", "cryptography"} & at_request
    assert not {"scim.operate", "click"} & at_request
    assert not {"scim.security.operators", "scim.service.tenants"} & at_request
    assert not {"scim.patch", "scim.service.bulk", "scim.service.sorting", "scim.service.discovery"} & at_request


FIRST_CHANGE = """
import asyncio, json, sys
from tests.store.memory import Door, MemoryTable
async def change():
    door = Door(MemoryTable(), SCIM_FEED_SECONDS="1")
    response = await door.client.post("/Users", {"userName": "ada"})
    print(json.dumps([response.status, sorted(sys.modules)]))
    await door.application.close()
asyncio.run(change())
"""


def test_a_change_waits_for_nothing_of_the_feed() -> None:
    """The outbox is the store's; the feed is imported behind the response."""
    command = [sys.executable, "-c", FIRST_CHANGE]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    status, loaded = json.loads(done.stdout)
    assert status == 201
    assert "scim.store.outbox" in loaded
    assert [name for name in loaded if name.startswith("scim.feed")] == []
    # Whether the tenant has a policy must be known; what policies say is imported for those that have one.
    assert [name for name in loaded if name.startswith("scim.policy")] == ["scim.policy", "scim.policy.kept"]
