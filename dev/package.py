"""`python -m dev.package OUT.zip`: the app's deployment package, as the deployment tools make it from .funcignore.

To see what would be deployed and how large it is, and for a deployment by hand (`az functionapp deployment source
config-zip`). The packages of requirements.txt are not in it: the platform installs them (remote build).

The last line on standard output is the number of files and the sizes in KiB, before it each file's path. Exit code 0;
2 and one line where a pattern of .funcignore is none that all tools read alike, or a file that must run is left out.
"""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

REQUIRED = ("function_app.py", "host.json", "requirements.txt", "scim/__init__.py")
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the package, so that the same files make the same package."""


class PackageError(ValueError):
    """One line that says what is wrong with .funcignore."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the package; the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if len(arguments) != 1:
        print("usage: python -m dev.package OUT.zip", file=sys.stderr)
        return 2
    target = Path(arguments[0])
    try:
        names = write(Path.cwd(), target)
    except (PackageError, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    total = sum(Path(name).stat().st_size for name in names)
    print(*names, sep="\n")
    print(f"{len(names)} files, {total / 1024:.0f} KiB, {target.stat().st_size / 1024:.0f} KiB packed")
    return 0


def write(root: Path, target: Path) -> list[str]:
    """Write the package of the project in `root`; the paths in it. Raises PackageError."""
    names = sorted(files(root))
    missing = [name for name in REQUIRED if name not in names]
    if missing:
        raise PackageError(f".funcignore leaves out {', '.join(missing)}, without which nothing runs")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as package:
        for name in names:
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            package.writestr(entry, (root / name).read_bytes())
    return names


def files(root: Path) -> Iterator[str]:
    """The paths of the files that are deployed, relative to `root`, with slashes. Raises PackageError."""
    ignored = patterns((root / ".funcignore").read_text(encoding="utf-8"))
    return _walk(root, root, ignored)


def patterns(text: str) -> list[str]:
    """The patterns of a .funcignore. Raises PackageError: the tools differ on negation, anchors and `**`."""
    lines = [line.strip() for line in text.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for pattern in found:
        if pattern.startswith("!") or "/" in pattern or "\\" in pattern or "**" in pattern:
            raise PackageError(f".funcignore: {pattern} is no name or pattern of a name; write each name on a line")
    return found


def _walk(root: Path, folder: Path, ignored: Sequence[str]) -> Iterator[str]:
    for path in folder.iterdir():
        if any(fnmatchcase(path.name, pattern) for pattern in ignored):
            continue
        if path.is_dir():
            yield from _walk(root, path, ignored)
        else:
            yield path.relative_to(root).as_posix()


if __name__ == "__main__":
    sys.exit(main())
