"""The files around the templates: azure.yaml, the workflows, the development container."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from dev.bicep.snapshots import Finding, Snapshot


def check(root: Path, snapshots: list[Snapshot]) -> Iterator[Finding]:
    """Every file that is there must be what its tool reads."""
    azure, container = root / "azure.yaml", root / ".devcontainer" / "devcontainer.json"
    for path in (azure, container):
        if not path.is_file():
            yield Finding(path.relative_to(root).as_posix(), 1, "does not exist; write it")
    if azure.is_file():
        yield from _azure(root, azure, snapshots)
    for path in sorted((root / ".github" / "workflows").glob("*.y*ml")):
        yield from _workflow(root, path)
    if container.is_file():
        try:
            json.loads(container.read_text(encoding="utf-8"))
        except ValueError as error:
            line = getattr(error, "lineno", 1)
            yield Finding(".devcontainer/devcontainer.json", line, "is no JSON here; correct it")


class _Loader(yaml.SafeLoader):
    """YAML in which no key may stand twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if name in seen:
                raise yaml.MarkedYAMLError(problem=f"{name} stands in it twice", problem_mark=key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep)


def _read(path: Path, name: str, problems: list[Finding]) -> Any:
    try:
        return yaml.load(path.read_text(encoding="utf-8"), _Loader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        problems.append(Finding(name, mark.line + 1 if mark else 1, f"is no YAML: {error.problem}; correct it"))
        return None


def _azure(root: Path, path: Path, snapshots: list[Snapshot]) -> Iterator[Finding]:
    problems: list[Finding] = []
    content = _read(path, path.name, problems)
    yield from problems
    if not isinstance(content, dict):
        return
    text = path.read_text(encoding="utf-8")
    services = content.get("services") or {}
    sites = [site for snapshot in snapshots for site in snapshot.of("Microsoft.Web/sites")]
    tagged = {site.body.get("tags", {}).get("azd-service-name") for site in sites}
    if not re.match(r">= 1\.(2[5-9]|[3-9]\d)", (content.get("requiredVersions") or {}).get("azd", "")):
        remedy = 'write requiredVersions: {azd: ">= 1.25.4"}'
        yield Finding(path.name, 1, f"an older azd ignores .funcignore or hooks; {remedy}")
    for name, hook in (content.get("hooks") or {}).items():
        for system, command in hook.items():
            if command.get("interactive") is not True:  # azd lost what other hooks printed, the token with it
                yield Finding(path.name, _line(text, f"{name}:"), f"hook {name} for {system} must be interactive: true")
    for name, service in services.items():
        if name not in tagged:
            yield Finding(
                path.name, _line(text, f"{name}:"), f"no resource has the tag azd-service-name: {name}; tag it so"
            )
        for key, wanted in (("host", "function"), ("language", "python")):
            if service.get(key) != wanted:
                yield Finding(path.name, _line(text, f"{name}:"), f"service {name} must have {key}: {wanted}")
    for script in re.findall(r"infra/[\w/.-]+", text):
        if not (root / script).is_file():
            yield Finding(path.name, _line(text, script), f"{script} does not exist; correct the path")


def _workflow(root: Path, path: Path) -> Iterator[Finding]:
    name = path.relative_to(root).as_posix()
    problems: list[Finding] = []
    content = _read(path, name, problems)
    yield from problems
    if not isinstance(content, dict):
        return
    text = path.read_text(encoding="utf-8")
    for job, steps in (content.get("jobs") or {}).items():
        line = _line(text, f"{job}:")
        if "timeout-minutes" not in steps:
            yield Finding(name, line, f"job {job} has no timeout-minutes; add it")
        for step in steps.get("steps") or []:
            if ("run" in step) == ("uses" in step):
                yield Finding(name, line, f"a step of job {job} needs either run or uses; give it one")
            action = step.get("uses", "")
            if action and not re.search(r"@[0-9a-f]{40}$", action):
                yield Finding(name, _line(text, action), f"{action} can be changed by others; name a commit")


def _line(text: str, part: str) -> int:
    return next((number for number, line in enumerate(text.splitlines(), 1) if part in line), 1)
