"""The script of docs/first-deployment.md against the app, with stand-ins for azd and az."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
from pathlib import Path

import pytest

import function_app
from dev.azurite import free_port
from dev.host import Host, serve
from scim.app import Application
from tests.infra.conftest import ROOT
from tests.support import Client

AZD = """#!/bin/sh
case "$1 $2" in
    "version ") echo "azd version 1.25.4 (commit 0)";;
    "env list") echo "$ENVIRONMENTS";;
    "env get-value") case "$3" in SCIM_TENANT_URL) echo "$URL";; *) echo x;; esac;;
    *) echo "$@" >>"$ASKED";;
esac
"""
AZ = """#!/bin/sh
case "$1" in functionapp) echo 7;; esac
"""
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, ("bash", "curl"))), reason="bash and curl are needed for the script"
)


async def run(folder: Path, **environment: str) -> tuple[int, str]:
    """The script in a folder of its own, with the stand-ins first on PATH; exit code and report."""
    (folder / "bin").mkdir()
    for name, text in (("azd", AZD), ("az", AZ)):
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    (folder / "scripts").mkdir()
    script = shutil.copy(ROOT / "scripts/first-deployment.sh", folder / "scripts")
    path = f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "ASKED": str(folder / "asked"), **environment}
    process = await asyncio.create_subprocess_exec("bash", script, "scimtest", "westeurope", env=environment)
    code = await asyncio.wait_for(process.wait(), 60)
    return code, (folder / "first-deployment.txt").read_text()


async def test_it_does_what_a_machine_can(client: Client, application: Application, tmp_path: Path) -> None:
    port = free_port()
    runner = await serve(Host(function_app.app), port, {"Strict-Transport-Security": "max-age=1"})
    try:
        url = f"http://127.0.0.1:{port}/scim"
        token = client.token
        code, report = await run(tmp_path, ENVIRONMENTS="scimtest", URL=url, TOKEN=token)
    finally:
        await runner.cleanup()
    wrong = re.findall("step .*WRONG.*", report)
    # Our own host answers methods that HTTP does not know in another way than the one in Azure.
    assert wrong == ["step 7: an unknown method: 400: WRONG, must be 404"], report
    assert code == 1 and report.count(": ok\n") == 14
    assert token not in report


async def test_before_azd_up_it_asks_for_it(tmp_path: Path) -> None:
    code, report = await run(tmp_path, ENVIRONMENTS="another", URL="")
    assert code == 0
    assert "step 3: run now, in a terminal: azd up -e scimtest" in report
    assert (tmp_path / "asked").read_text().splitlines() == [
        "env new scimtest --location westeurope --no-prompt",
        "provision --preview -e scimtest --no-prompt",
    ]
