"""A copy of the templates and of the files beside them, to put mistakes into."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.infra.compiler import Compiler

ROOT = Path(__file__).parent.parent.parent
CHECKED = ("infra", ".github", ".devcontainer", "azure.yaml")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for name in CHECKED:
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(ROOT / name, tmp_path)
    return tmp_path


@pytest.fixture(scope="session")
def compiler() -> Iterator[Compiler]:
    """The Bicep compiler; the test is skipped where there is none."""
    if shutil.which("bicep") is None:
        pytest.skip("there is no Bicep compiler on PATH; az bicep install, or a release of Azure/bicep, brings it")
    compiler = Compiler()
    yield compiler
    compiler.close()
