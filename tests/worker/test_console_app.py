"""The console's own function app, from the same folder: its functions alone, in the worker that runs in Azure."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dev.azurite import Azurite
from dev.package import find_files
from scim.app import Application
from scim.operate.access.sessions import Sessions
from tests.conftest import TABLE

ROOT = Path(__file__).parents[2]
SCRIPT = """
import asyncio, os, sys
from pathlib import Path
from dev.bench.worker import Worker

async def enter(worker):
    own = {"Sec-Fetch-Site": "same-origin"}
    body = b"token=" + os.environ["LINK"].encode()
    entered = await worker.request("POST", "https://console.example/console/invitation", own, body)
    print(entered.status, entered.headers["Set-Cookie"])
    own["Cookie"] = entered.headers["Set-Cookie"].partition(";")[0]
    seen = await worker.request("GET", "https://console.example/console/audit", own)
    left = await worker.request("POST", "https://console.example/console/sign-out", own, b"x=1")
    print(seen.status, left.status, left.headers["Set-Cookie"])

async def main():
    worker = Worker()
    await worker.start(Path.cwd())
    import scim
    print(scim.__file__)
    print(*sorted(worker.names))
    for url in sys.argv[1:]:
        answer = await worker.request("GET", url)
        print(answer.status, answer.headers.get("Location", "-"), b"<title>" in answer.body)
    if "LINK" in os.environ:
        await enter(worker)
    worker.stop()

asyncio.run(main())
"""


pytestmark = pytest.mark.skipif(sys.version_info < (3, 13), reason="the worker's library is for Python 3.13 and newer")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is deployed, and nothing else, as both apps get it."""
    folder = tmp_path_factory.mktemp("package")
    for name in find_files(ROOT):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, folder / name)
    return folder


async def run(package: Path, azurite: Azurite, *paths: str, **more: str) -> list[str]:
    """What the script prints of an app of the package, with these settings: its functions, and answers."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
    environment |= {
        "PYTHONPATH": str(ROOT),  # for what drives the worker: the package's own modules come first
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_PUBLIC_URL": "https://console.example/scim",
        **more,
    }
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", SCRIPT, *(f"https://console.example/{path}" for path in paths)],
        cwd=package,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    origin, *said = done.stdout.splitlines()
    assert origin == str(package / "scim" / "__init__.py")
    return said


async def test_the_second_app_is_the_console_alone(azurite: Azurite, application: Application, package: Path) -> None:
    """One setting chooses the entry file; there is no SCIM endpoint, and no timer that would run twice. Cookies pass
    the worker, which takes them apart."""
    _, link = await Sessions(application.table).invite("operator", None, "tests")
    settings = {
        "PYTHON_SCRIPT_FILE_NAME": "console_app.py",
        "SCIM_CONSOLE": "true",
        "SCIM_PUBLIC_URL": "https://api.example/scim",
        "SCIM_CONSOLE_URL": "https://console.example/console",
    }
    said = await run(package, azurite, "console", "health", "", "scim/Users", LINK=link, **settings)
    names, console, health, root, scim, entered, left = said
    assert names == "console elsewhere health"
    assert console == "401 - True"
    assert health.startswith("200 - ")
    assert root == scim == "302 /console False"
    flags = "domain=; path=/; secure; samesite=lax; httponly"
    assert re.fullmatch(rf"303 __Host-scim=[\w-]{{43}}; max-age=28800; {flags}", entered)
    assert left == f"200 303 __Host-scim=; max-age=0; {flags}"


async def test_the_first_app_of_the_same_package_has_no_console(azurite: Azurite, package: Path) -> None:
    names, console, users = await run(package, azurite, "console", "scim/Users", SCIM_CONSOLE="false")
    assert {"users", "groups", "housekeeping"} <= {*names.split()}
    assert (console, users) == ("404 - False", "401 - False")
