"""The templates through the Bicep compiler and linter, where they are installed."""

from __future__ import annotations

import json
import shutil
import subprocess

import pytest

from tests.infra.conftest import ROOT

pytestmark = pytest.mark.skipif(shutil.which("bicep") is None, reason="the bicep command is not in PATH")


def test_the_compiler_accepts_the_templates() -> None:
    command = ["bicep", "build", "infra/main.bicep", "--stdout"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["parameters"]["environmentName"]


def test_the_linter_accepts_the_templates() -> None:
    done = subprocess.run(["bicep", "lint", "infra/main.bicep"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
