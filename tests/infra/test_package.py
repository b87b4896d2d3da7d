"""The deployment package is an allow list to every tool, and runs with nothing but the locked requirements."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from dev.package import PackageError, find_files, main, read_patterns, write
from tests.core import cases
from tests.infra.conftest import ROOT

STRAY = (
    "customers.csv",
    "id_rsa",
    "secret.pem",
    "SCIM.pfx",
    "prod.env",
    ".env",
    "token.txt",
    "secrets.py",
    "notes/tokens.txt",
    "tests/conftest.py",
    "profile.publishsettings",
    "terraform.tfstate",
    "local.settings.json",
    "local.settings.json.bak",
    "local.settings.json~",
    ".local.settings.1.json",
    "run.log",
    ".azure/x/.env",
    "requirements-dev.txt",
    "scim/customers.csv",
    "scim/store/id_rsa",
    "scim/store/customers.json",
    "scim/__pycache__/app.cpython-313.pyc",
    "scim/.env",
    "schemas/README.md",
    "schemas/old/device.json",
    "other/scim/x.py",
    "other/host.json",
)
"""Files that lie about in a deployer's folder."""

ONLY_FOR_CORE_TOOLS = (
    "host.json.bak",
    "function_app.py~",
    "scim/app.py.orig",
    "schemas/device.json.old",
    "host.json.d/x",
)
"""Core Tools take the beginning of a path for the whole, so the check refuses these."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What is deployed, and a schema of the deployer's."""
    shutil.copytree(ROOT / "scim", tmp_path / "scim", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("function_app.py", "host.json", "requirements.txt", ".funcignore"):
        shutil.copy(ROOT / name, tmp_path)
    put(tmp_path, "schemas/device.json")
    return tmp_path


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("{}")


def lines(folder: Path) -> list[str]:
    found = [line.strip() for line in (folder / ".funcignore").read_text().splitlines()]
    return [line for line in found if line and not line.startswith("#")]


def core_tools(folder: Path) -> set[str]:
    """The files that Core Tools deploy: their GitIgnoreParser, on the path of each file; four names are never taken."""

    def expression(patterns: list[str]) -> re.Pattern[str]:
        escaped = (re.sub(r"[-\[\]/{}()+?.\\^$|]", r"\\\g<0>", pattern) for pattern in sorted(patterns))
        parts = (part.replace("**", "(.+)").replace("*", r"([^\/]+)") for part in escaped)
        return re.compile("^((" + ")|(".join(parts) + r"))\b", re.ASCII) if patterns else re.compile("$^")

    every = [line.removeprefix("!").removeprefix("/") for line in lines(folder)]
    negated = [line.startswith("!") for line in lines(folder)]
    kept = expression([line for line, no in zip(every, negated, strict=True) if no])
    dropped = expression([line for line, no in zip(every, negated, strict=True) if not no])
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    always_out = {".funcignore", ".gitignore", "local.settings.json", "project.lock.json"}
    return {
        path for path in paths if Path(path).name not in always_out and (kept.match(path) or not dropped.match(path))
    }


def azd(folder: Path) -> set[str]:
    """The files that azd deploys: go-gitignore, on each folder and file on the way down; the last line that matches."""

    def matches(pattern: str, path: str, is_folder: bool) -> bool:
        if pattern.endswith("/") and not is_folder:
            return False
        wanted, parts = pattern.strip("/").split("/"), path.split("/")
        tail = parts[-len(wanted) :]
        return len(tail) == len(wanted) and all(map(fnmatchcase, tail, wanted))

    def ignored(path: str, is_folder: bool) -> bool:
        for line in reversed(lines(folder)):
            if matches(line.removeprefix("!"), path, is_folder):
                return not line.startswith("!")
        return False

    def walk(path: Path) -> Iterator[str]:
        name = path.relative_to(folder).as_posix()
        if ignored(name, path.is_dir()):
            return
        if path.is_dir():
            for below in path.iterdir():
                yield from walk(below)
        else:
            yield name

    return set(walk(folder))


def test_only_what_runs_is_deployed() -> None:
    kinds = (".py", ".json", ".html", ".css", ".js", ".svg", ".LICENSE")
    sources = {path.relative_to(ROOT).as_posix() for path in (ROOT / "scim").rglob("*") if path.suffix in kinds}
    sources.add("scim/py.typed")
    assert set(find_files(ROOT)) == {"function_app.py", "console_app.py", "host.json", "requirements.txt"} | sources


def test_every_tool_deploys_the_same(folder: Path) -> None:
    deployed = set(find_files(folder))
    assert "schemas/device.json" in deployed
    assert core_tools(folder) == azd(folder) == deployed


def test_what_lies_about_is_not_deployed_but_told(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = set(find_files(folder))
    put(folder, *STRAY)
    assert core_tools(folder) == azd(folder) == set(find_files(folder)) == deployed
    shutil.copy(ROOT / ".gitignore", folder)
    subprocess.run(["git", "init", "-q", folder], check=True)
    monkeypatch.chdir(folder)
    assert main(["--check"]) == 0
    out, err = capsys.readouterr()
    told = {line.removeprefix("not deployed: ") for line in err.splitlines()}
    quiet = {name for name in STRAY if "__pycache__" in name or name.startswith((".azure", "local.settings.json"))}
    quiet -= {"local.settings.json.bak", "local.settings.json~"}
    folders = {f"{name.split('/')[0]}/" for name in STRAY if name.startswith(("notes/", "tests/", "other/"))}
    assert out == ""
    assert {name for name in STRAY if name.split("/")[0] + "/" not in folders} - quiet | folders <= told
    assert not told & deployed and not told & quiet


@pytest.mark.parametrize("name", ONLY_FOR_CORE_TOOLS)
def test_what_only_core_tools_would_deploy_is_refused(folder: Path, name: str) -> None:
    put(folder, name)
    assert any(found in core_tools(folder) for found in (name, name.partition("/")[0])) and name not in azd(folder)
    with pytest.raises(PackageError, match=re.escape(name.partition("/x")[0]) + " begins like a file of the app"):
        find_files(folder)


LINKS = {
    "file": ("scim/more.py", "/etc/passwd"),
    "file at the top": ("host.json", "/etc/hostname"),
    "folder": ("scim/more", "/usr/lib/python3/dist-packages"),
    "folder of schemas": ("schemas", "elsewhere"),
}


@pytest.mark.parametrize(("name", "target"), cases(LINKS))
def test_a_link_is_refused(folder: Path, name: str, target: str) -> None:
    put(folder, "elsewhere/x.json")
    (folder / "elsewhere/x.py").write_text("")
    if name == "schemas":
        shutil.rmtree(folder / name)
    (folder / name).unlink(missing_ok=True)
    (folder / name).symlink_to(folder / "elsewhere" if "/lib/" in target else target)
    with pytest.raises(PackageError, match="is a link, whose target would be deployed; put the file itself there"):
        find_files(folder)


def test_same_files_make_the_same_package(tmp_path: Path) -> None:
    first, second = tmp_path / "1.zip", tmp_path / "2.zip"
    assert write(ROOT, first) == write(ROOT, second)
    assert first.read_bytes() == second.read_bytes()


DENIED = {
    "no star": "!host.json\n",
    "star later": "!host.json\n*\n",
    "a name that is left out": "*\n!host.json\nsecret.txt\n",
    "everything below a folder": "*\n!scim/\n",
    "a folder": "*\n!scim\n",
    "all files of a kind": "*\n!*.py\n",
    "any depth": "*\n!scim/**.py\n",
    "from the top": "*\n!/host.json\n",
    "backslash": "*\n!scim\\a.py\n",
    "nothing": "\n# x\n",
}


@pytest.mark.parametrize("text", cases({name: (text,) for name, text in DENIED.items()}))
def test_what_is_no_allow_list_is_refused(text: str) -> None:
    assert read_patterns("# x\n\n*\n![.]\n!sci[m]\n!sci[m]/*/\n!scim/*.py\n") == ["scim/*.py"]
    with pytest.raises(PackageError, match=r"^\.funcignore"):
        read_patterns(text)


def test_a_package_that_cannot_run_is_not_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "host.json").unlink()
    (folder / "scim/__init__.py").unlink()
    monkeypatch.chdir(folder)
    assert main(["out.zip"]) == 2
    assert "host.json, scim/__init__.py would not be deployed, without which nothing runs" in capsys.readouterr().err
    assert not Path("out.zip").exists()
    with pytest.raises(SystemExit):
        main([])


def test_the_command_prints_files_and_size(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([str(tmp_path / "out.zip")]) == 0
    *names, last = capsys.readouterr().out.splitlines()
    assert "function_app.py" in names
    assert last.startswith(f"{len(names)} files, ")
