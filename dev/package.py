"""`python -m dev.package OUT.zip`: the app's deployment package, as the deployment tools make it from .funcignore.

For a deployment by hand (`az functionapp deployment source config-zip`), and to see what would be deployed. `--check`
makes none and prints only what is refused or left out: azd runs that before it packs. The packages of requirements.txt
are not in it: the platform installs them (remote build).

Standard output has the path of each file that is deployed, then their number and the sizes in KiB. Standard error has a
line for each file beside them that is not deployed: what lies in the folders of the app, and at its top what git does
not know. Exit code 0; 2, and a line for each reason, if the package would not be what was tested.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

REQUIRED = ("function_app.py", "host.json", "requirements.txt", "scim/__init__.py")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the package, so that the same files make the same package."""

_HARMLESS = ("__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache")
"""Folders that tools make anywhere and that nobody needs to be told of."""


class PackageError(ValueError):
    """What is wrong with .funcignore or with what it lets in; a line for each."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the package; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.package", description="Make the app's deployment package.")
    parser.add_argument("target", type=Path, nargs="?", metavar="OUT.zip", help="the package to write")
    parser.add_argument("--check", action="store_true", help="write nothing, say what is refused or left out")
    options = parser.parse_args(arguments)
    if (options.target is None) != options.check:
        parser.error("give either OUT.zip or --check")
    root = Path.cwd()
    try:
        names = find_files(root) if options.target is None else write(root, options.target)
    except (PackageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    for name in find_left_out(root, names):
        print(f"not deployed: {name}", file=sys.stderr)
    if options.target is not None:
        print(*names, sep="\n")
        size, packed = sum((root / name).stat().st_size for name in names), options.target.stat().st_size
        print(f"{len(names)} files, {size / 1024:.0f} KiB, {packed / 1024:.0f} KiB packed")
    return 0


def write(root: Path, target: Path) -> list[str]:
    """Write the package of the project in `root`; the paths in it. Raises PackageError."""
    names = find_files(root)
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (root / name).read_bytes())
    return names


def find_files(root: Path) -> list[str]:
    """The paths of the files that are deployed, relative to `root`, with slashes.

    Raises PackageError if one of them is a link or lies in a linked folder (the package would hold what it points to),
    if Core Tools would take a file that azd does not, and if a file is missing without which nothing runs.
    """
    allowed = read_patterns((root / ".funcignore").read_text(encoding="utf-8"))
    names, problems = [], []
    for path in _walk(root, allowed):
        name = path.relative_to(root).as_posix()
        links = [part for part in (path, *path.parents) if part.is_symlink() and part.is_relative_to(root)]
        if _matches(name, allowed):
            names.append(name)
            if links:
                problems.append(f"{name} is a link, whose target would be deployed; put the file itself there")
        elif any(_begins(name, pattern) for pattern in allowed):
            problems.append(f"{name} begins like a file of the app, so Core Tools would deploy it; remove or rename it")
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        problems.append(f"{', '.join(missing)} would not be deployed, without which nothing runs")
    if problems:
        raise PackageError("\n".join(problems))
    return sorted(names)


def find_left_out(root: Path, names: Sequence[str]) -> list[str]:
    """What lies beside the files that are deployed and might be meant to be: files in their folders, and what git does
    not know at the top (nothing where there is no git)."""
    folders = {name.partition("/")[0] for name in names if "/" in name}
    inside = {
        path.relative_to(root).as_posix()
        for folder in folders
        for path in (root / folder).rglob("*")
        if path.is_file() and not set(path.parts) & set(_HARMLESS)
    }
    return sorted((inside | set(_unknown_to_git(root))) - set(names))


def read_patterns(text: str) -> list[str]:
    """The patterns of the files that a .funcignore lets in: its lines after `!` that name files.

    Raises PackageError for what is no allow list, or what the tools read differently.
    """
    lines = [line.strip() for line in text.splitlines()]
    first, *rest = [line for line in lines if line and not line.startswith("#")] or [""]
    for line in rest:
        plain = re.fullmatch(r"!\w[\w.*/-]*\.\w+", line) and "**" not in line
        folder = re.fullmatch(r"!(\w+\[\w\](/\*)*/?|\[\.\])", line)
        if not plain and not folder:
            raise PackageError(
                f".funcignore: {line} may be read differently by azd and Core Tools; see its first lines"
            )
    if first != "*":
        raise PackageError(".funcignore must begin with *, which leaves out everything that no later line lets in")
    return [line.removeprefix("!") for line in rest if "[" not in line]


def _walk(root: Path, allowed: Sequence[str]) -> Iterator[Path]:
    """What lies at the top and, for each folder that a pattern names, all below it."""
    folders = sorted({pattern.partition("/")[0] for pattern in allowed if "/" in pattern})
    yield from (path for path in root.iterdir() if path.name not in folders)
    for folder in folders:
        for path in (root / folder).rglob("*"):
            if not path.is_dir() and not set(path.parts) & set(_HARMLESS):
                yield path
            elif path.is_symlink():
                yield from (below for below in path.rglob("*") if not below.is_dir())


def _matches(name: str, patterns: Sequence[str]) -> bool:
    path = PurePosixPath(name)
    return any(len(path.parts) == pattern.count("/") + 1 and path.match(pattern) for pattern in patterns)


def _begins(name: str, pattern: str) -> bool:
    """Whether Core Tools would take a path for the pattern: they look at its beginning, up to the end of a word."""
    return re.match(re.escape(pattern).replace(r"\*", "[^/]+") + r"\b", name) is not None


def _unknown_to_git(root: Path) -> list[str]:
    command = [
        "git",
        "-C",
        str(root),
        "ls-files",
        "--others",
        "--exclude-standard",
        "--directory",
        "--no-empty-directory",
    ]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return []
    return [name for name in done.stdout.splitlines() if name]


if __name__ == "__main__":
    sys.exit(main())
