"""The deployment package: only what runs is in it, and it runs with nothing but requirements.txt."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from dev.package import PackageError, files, main, patterns, write
from tests.infra.conftest import ROOT

EXPECTED = {"function_app.py", "host.json", "requirements.txt", "scim", "schemas"}
"""What may lie at the top of the package."""


def test_only_what_runs_is_deployed() -> None:
    names = set(files(ROOT))
    assert {name.partition("/")[0] for name in names} - {"schemas"} == EXPECTED - {"schemas"}
    sources = {
        path.relative_to(ROOT).as_posix() for path in (ROOT / "scim").rglob("*") if path.suffix in (".py", ".json")
    }
    assert {name for name in names if name.startswith("scim/")} == sources


def test_schemas_of_a_deployer_are_deployed(tmp_path: Path) -> None:
    (tmp_path / ".funcignore").write_text((ROOT / ".funcignore").read_text())
    for name in (
        "schemas/device.json",
        "local.settings.json",
        ".env",
        ".github/ci.yml",
        "scim/__pycache__/a.pyc",
        "x.md",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert set(files(tmp_path)) == {"schemas/device.json"}


def test_same_files_make_the_same_package(tmp_path: Path) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    assert write(ROOT, first) == write(ROOT, second)
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("pattern", ["!scim", "/dev", "dev/", "a/b", "**.md", "a\\b"])
def test_patterns_that_tools_read_differently_are_refused(pattern: str) -> None:
    assert patterns("# x\n\n dev \n*.md\n") == ["dev", "*.md"]
    with pytest.raises(PackageError, match=r"is no name or pattern of a name; write each name on a line"):
        patterns(f"docs\n{pattern}\n")


def test_a_package_that_cannot_run_is_not_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".funcignore").write_text("host.json\n")
    for name in ("function_app.py", "host.json", "requirements.txt"):
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    assert main(["out.zip"]) == 2
    assert "leaves out host.json, scim/__init__.py, without which nothing runs" in capsys.readouterr().err
    assert not Path("out.zip").exists()
    assert main([]) == 2


def test_the_command_prints_files_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([str(tmp_path / "out.zip")]) == 0
    *names, last = capsys.readouterr().out.splitlines()
    assert "function_app.py" in names
    assert last.startswith(f"{len(names)} files, ")


def deployed_python() -> str:
    """Python 3.13, which the templates deploy, where it runs; else this one."""
    for candidate in ("python3.13", *map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python"))):
        try:
            subprocess.run([candidate, "-c", "import ensurepip"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    return sys.executable


def test_the_package_runs_with_its_requirements_alone(tmp_path: Path) -> None:
    package, app, venv = tmp_path / "app.zip", tmp_path / "app", tmp_path / "venv"
    write(ROOT, package)
    zipfile.ZipFile(package).extractall(app)
    subprocess.run([deployed_python(), "-m", "venv", venv], check=True)
    python = venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    install = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", app / "requirements.txt"]
    done = subprocess.run(install, capture_output=True, text=True, check=False)
    if done.returncode and ("(from versions: none)" in done.stderr):
        pytest.skip("pip reaches no package index")
    assert done.returncode == 0, done.stderr
    code = "import function_app; print(sorted(f.get_function_name() for f in function_app.app.get_functions()))"
    # Without a setting, as in the moment between provisioning and the first settings: an import that fails is an app
    # without functions, whose every URL is a 404.
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("SCIM_", "PYTHON"))}
    done = subprocess.run(
        [python, "-W", "error", "-c", code], cwd=app, env=bare, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "'housekeeping'" in done.stdout and "'scim'" in done.stdout
