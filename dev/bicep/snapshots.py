"""Snapshots: all resources of a deployment with every value, as the compiler worked them out.

What only Azure will know stays an expression in square brackets, such as `[reference(…).clientId]`.
`python -m dev.bicep.snapshots` sorts their outputs, which the compiler writes in another order each time.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong in a file, and how to put it right; at a line, or 0 where no line says it."""

    file: str
    line: int
    text: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.text}" if self.line else f"{self.file}: {self.text}"


@dataclass(frozen=True)
class Resource:
    """A resource as Azure is given it: `kind` is its type, `body` all of it."""

    file: str
    kind: str
    body: dict[str, Any]

    @property
    def name(self) -> str:
        return str(self.body["name"])

    def value(self, path: str) -> Any:
        """The value at a path of names, and numbers in lists, with dots between; None where there is none."""
        found: Any = self.body
        for name in path.split("."):
            if isinstance(found, list):
                found = found[int(name)] if int(name) < len(found) else None
            else:
                found = (found or {}).get(name)
        return found

    def finding(self, text: str) -> Finding:
        return Finding(self.file, 0, f"{self.kind} {self.name}: {text}")


@dataclass(frozen=True)
class Snapshot:
    """A deployment with one file of parameters, which it is called after: `default`, `closed`."""

    name: str
    file: str
    resources: list[Resource]
    outputs: dict[str, Any]

    def of(self, kind: str) -> Iterator[Resource]:
        return (resource for resource in self.resources if resource.kind == kind)


def read_snapshots(infra: Path) -> list[Snapshot]:
    """The snapshots of a folder of templates, by name."""
    paths = sorted((infra / "snapshots").glob("*.snapshot.json"))
    return [_read(path, path.relative_to(infra.parent).as_posix()) for path in paths]


def _read(path: Path, file: str) -> Snapshot:
    content = json.loads(path.read_text(encoding="utf-8"))
    resources = [Resource(file, body["type"], body) for body in content["predictedResources"]]
    return Snapshot(path.name.partition(".")[0], file, resources, content["outputs"])


def main() -> None:
    """Sort the outputs of all snapshots of infra/."""
    for path in Path("infra/snapshots").glob("*.snapshot.json"):
        content = json.loads(path.read_text(encoding="utf-8"))
        content["outputs"] = dict(sorted(content["outputs"].items()))
        path.write_text(json.dumps(content, indent=2, ensure_ascii=False), encoding="utf-8")


if __name__ == "__main__":
    main()
