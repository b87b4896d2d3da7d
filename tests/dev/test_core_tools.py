"""`python -m dev.core_tools`, with a stand-in for func that serves the app by our own host."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from dev.azurite import free_port

ROOT = Path(__file__).parents[2]
FUNC = """#!/bin/sh
[ "$1 $2" = "start --port" ] || exit 64
exec env PORT="$3" TABLE_PORT="$STAND_IN_TABLE_PORT" MEMORY=1 {python} -m dev.run
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The project's folder, without anybody's settings."""
    for name in ("function_app.py", "host.json", "local.settings.sample.json", "scim", "dev"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    bare = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
    command = [sys.executable, "-m", "dev.core_tools", *arguments]
    environment = {**bare, "PORT": str(free_port()), "STAND_IN_TABLE_PORT": str(free_port()), **environment}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


@pytest.mark.long
def test_a_rehearsal_in_the_host(folder: Path, tmp_path: Path) -> None:
    func = tmp_path / "bin" / "func"
    func.parent.mkdir()
    func.write_text(FUNC.format(python=sys.executable))
    func.chmod(0o755)
    done = run(folder, "--rehearse", PATH=f"{func.parent}{os.pathsep}{os.environ['PATH']}")
    assert done.returncode == 0, done.stderr[-2000:]
    assert (folder / "local.settings.json").exists()


def test_without_core_tools(folder: Path, tmp_path: Path) -> None:
    done = run(folder, PATH=str(tmp_path / "empty"))
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "there is no func; run: npm install --global azure-functions-core-tools@4\n"
