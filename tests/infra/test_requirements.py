"""The locks: what is installed is what was tested, on the deployed Python and on the others."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.markers import Marker

from dev.package import write
from tests.infra.conftest import ROOT

LOCKS = ("requirements.txt", "requirements-operate.txt", "requirements-run.txt", "requirements-dev.txt")
_PIN = re.compile(r"^(?P<name>[a-z0-9-]+)(?:\[[a-z,]+\])?==(?P<version>[^ ;\\]+)(?: ; (?P<marker>[^\\]+))? \\$")


def read_lock(name: str, python: str = "3.13") -> dict[str, str]:
    """The version of each package on Linux and a Python."""
    environment = {"python_version": python, "python_full_version": f"{python}.5"}
    found = {}
    for line in (ROOT / name).read_text().splitlines():
        pin = _PIN.match(line)
        if pin is not None and (pin["marker"] is None or Marker(pin["marker"]).evaluate(environment)):
            assert pin["name"] not in found, f"{pin['name']} stands twice in {name} for Python {python}"
            found[pin["name"]] = pin["version"]
    return found


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_a_hash_for_every_package_and_no_address(name: str) -> None:
    text = (ROOT / name).read_text()
    requirements = re.split(r"\n(?=[^\s#])", text)[1:]
    assert len(requirements) > 20
    for requirement in requirements:
        assert re.match(r"[a-z0-9-]+(\[[a-z,]+\])?==\S+ (; [^\\]+)?\\\n    --hash=sha256:[0-9a-f]{64}", requirement), (
            requirement[:80]
        )
    assert not re.search(r"://|^--?[a-z]|@ ", text, re.MULTILINE)


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_what_is_tested_is_what_is_deployed(python: str) -> None:
    deployed, operate, run, dev = (read_lock(name, python) for name in LOCKS)
    if python != "3.13":  # there it is another release line, with the same interface
        assert (deployed.pop("azure-functions"), dev["azure-functions"]) == ("2.3.0", "1.26.0")
    assert deployed.items() <= operate.items() <= run.items() <= dev.items()


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_has_everything_that_was_asked_for(name: str) -> None:
    asked = (ROOT / name).with_suffix(".in").read_text()
    direct = re.findall(r"^([a-z0-9-]+)(?:\[\w+\])?==([^\s;]+)(?:; ([^#\n]+?))?(?:  #|$)", asked, re.MULTILINE)
    wanted = {
        package: version for package, version, marker in direct if not marker or Marker(marker).evaluate(DEPLOYED)
    }
    assert wanted and wanted.items() <= read_lock(name).items()


DEPLOYED = {
    "python_version": "3.13",
    "python_full_version": "3.13.5",
    "sys_platform": "linux",
    "platform_machine": "x86_64",
}
"""What the templates deploy."""


def deployed_python() -> str:
    """Python 3.13, where it runs; else the test is skipped, since the lock is for no other."""
    for candidate in (sys.executable, "python3.13", *map(str, Path.home().glob(".pyenv/versions/3.13*/bin/python"))):
        code = "import ensurepip, sys; sys.exit(sys.version_info[:2] != (3, 13))"
        try:
            subprocess.run([candidate, "-c", code], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return candidate
    pytest.skip("there is no Python 3.13, which requirements.txt is locked for")


def install(python: str, venv: Path, requirements: Path) -> subprocess.CompletedProcess[str]:
    """Install a lock as the platform does, but refuse what has no hash; skips where pip reaches no index."""
    subprocess.run([python, "-m", "venv", venv], check=True)
    command = [
        venv / "bin/python",
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--require-hashes",
    ]
    done = subprocess.run([*command, "-r", requirements], capture_output=True, text=True, check=False)
    if done.returncode and "(from versions: none)" in done.stderr:
        pytest.skip("pip reaches no package index")
    return done


@pytest.mark.skipif(os.name == "nt", reason="the platform is Linux")
def test_the_package_runs_with_its_lock_alone(tmp_path: Path) -> None:
    package, app, venv = tmp_path / "app.zip", tmp_path / "app", tmp_path / "venv"
    write(ROOT, package)
    zipfile.ZipFile(package).extractall(app)
    done = install(deployed_python(), venv, app / "requirements.txt")
    assert done.returncode == 0, done.stderr
    code = "import function_app; print(sorted(f.get_function_name() for f in function_app.app.get_functions()))"
    # Without a setting, as in the moment between provisioning and the first settings: an import that fails is an app
    # without functions, whose every URL is a 404.
    bare = {name: value for name, value in os.environ.items() if not name.startswith(("SCIM_", "PYTHON"))}
    command = [venv / "bin/python", "-W", "error", "-c", code]
    done = subprocess.run(command, cwd=app, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "'housekeeping'" in done.stdout and "'scim'" in done.stdout


@pytest.mark.skipif(sys.version_info >= (3, 13), reason="this Python is the one that the lock is for")
def test_a_build_on_another_python_fails_loudly(tmp_path: Path) -> None:
    """Else the app would be deployed with packages that its Python cannot load, and every URL would be a 404."""
    one = tmp_path / "requirements.txt"
    text = (ROOT / "requirements.txt").read_text()
    start = text.index("azure-functions==")
    one.write_text(text[start : text.index("\n", text.index("# via", start))] + "\n")
    pip = [sys.executable, "-m", "pip", "install", "--dry-run", "--no-deps", "--ignore-installed", "--require-hashes"]
    done = subprocess.run([*pip, "-r", one], capture_output=True, text=True, check=False)
    if "(from versions: none)" in done.stderr and "Requires-Python" not in done.stderr:
        pytest.skip("pip reaches no package index")
    assert done.returncode != 0
    assert "azure-functions==2.3.0" in done.stderr and "Requires-Python >=3.13" in done.stderr
