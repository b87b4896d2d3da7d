"""The templates through the real compiler: nothing to say, formatted, and the snapshots show what they deploy."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.infra.compiler import Compiler
from tests.infra.conftest import ROOT

SUFFIXES = (".bicep", ".bicepparam")
TEMPLATES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "infra").rglob("*") if path.suffix in SUFFIXES)
SNAPSHOTS = ("default", "closed")


def test_compiler_and_linter_have_nothing_to_say(compiler: Compiler) -> None:
    assert compiler.lint(ROOT / "infra/main.bicep") == []


def test_every_exception_of_the_linter_has_its_reason() -> None:
    lines = [line for name in TEMPLATES for line in (ROOT / name).read_text().splitlines() if "#disable" in line]
    assert lines and all(line.strip().startswith("#disable-next-line ") and " // " in line for line in lines), lines


def test_the_templates_are_formatted(compiler: Compiler, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    for pattern in ("infra/*.bicep", "infra/modules/*.bicep"):
        subprocess.run(["bicep", "format", "--pattern", pattern], cwd=tmp_path, capture_output=True, check=True)
    other = [name for name in TEMPLATES if (tmp_path / name).read_text() != (ROOT / name).read_text()]
    assert other == [], "run bicep format on them"


@pytest.mark.parametrize("name", SNAPSHOTS)
def test_a_snapshot_shows_what_is_deployed(compiler: Compiler, name: str) -> None:
    kept = json.loads((ROOT / f"infra/snapshots/{name}.snapshot.json").read_text())
    assert compiler.take_snapshot(ROOT / f"infra/snapshots/{name}.bicepparam") == kept, "run: make snapshots"


@pytest.mark.skipif(shutil.which("make") is None, reason="there is no make")
def test_make_says_what_changed(compiler: Compiler, tmp_path: Path) -> None:
    shutil.copytree(ROOT / "infra", tmp_path / "infra")
    shutil.copy(ROOT / "Makefile", tmp_path)
    vault = tmp_path / "infra/modules/vault.bicep"
    vault.write_text(vault.read_text().replace("softDeleteRetentionInDays: 90", "softDeleteRetentionInDays: 7"))
    command = ["make", "snapshots", "MODE=validate"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert "softDeleteRetentionInDays" in done.stdout + done.stderr
