"""Parameters and outputs: main.parameters.json gives each parameter what it needs under the name of its setting, the
bounds of a setting are the app's own, and each output of a module is read. Taken from the source: a snapshot shows
neither defaults nor bounds nor uses."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dev.bicep.settings import Fields
from dev.bicep.snapshots import Finding
from scim.settings import PREFIX

_PARAM = re.compile(r"^((?:@[^\n]*\n(?:[ })\]][^\n]*\n)*)*)param (\w+) \w+(?: = (\S+))?$", re.MULTILINE)
_BOUND = re.compile(r"^@(minValue|maxValue)\((-?\d+)\)$", re.MULTILINE)
_ENTRY = re.compile(r"\$\{(\w+)(?:=(.*))?\}")


@dataclass(frozen=True)
class Param:
    """A parameter of main.bicep: `default` as main.parameters.json writes it, None if it has none."""

    name: str
    line: int
    default: str | None
    bounds: dict[str, int]

    @property
    def setting(self) -> str:
        return re.sub("(?<=[a-z])(?=[A-Z])", "_", self.name).upper()


def check(infra: Path, fields: Fields) -> Iterator[Finding]:
    params = {param.name: param for param in read_params((infra / "main.bicep").read_text(encoding="utf-8"))}
    for param in params.values():
        yield from _check_bounds(param, fields)
    text = (infra / "main.parameters.json").read_text(encoding="utf-8")
    name = "infra/main.parameters.json"
    try:
        given = json.loads(text)["parameters"]
    except (ValueError, KeyError) as error:
        yield Finding(name, getattr(error, "lineno", 1), f"is no parameters file ({error}); correct it")
        return
    for key, entry in given.items():
        line = next((n for n, row in enumerate(text.splitlines(), 1) if f'"{key}"' in row), 1)
        unknown = [f"infra/main.bicep has no param {key}; remove it or correct the name"]
        problems = _check_entry(params[key], entry.get("value")) if key in params else unknown
        yield from (Finding(name, line, problem) for problem in problems)
    for param in params.values():
        if param.name not in given:
            yield Finding(name, 1, f"param {param.name} has no value; add it")


def check_outputs(infra: Path) -> Iterator[Finding]:
    """Outputs of modules that main.bicep does not read."""
    main = (infra / "main.bicep").read_text(encoding="utf-8")
    for path in sorted((infra / "modules").glob("*.bicep")):
        for found in re.finditer(r"^output (\w+) ", source := path.read_text(encoding="utf-8"), re.MULTILINE):
            made = "|".join(re.findall(rf"^module (\w+) 'modules/{path.name}'", main, re.MULTILINE))
            if not re.search(rf"\b({made})!?\.outputs\.{found[1]}\b", main):
                line = source[: found.start()].count("\n") + 1
                file = path.relative_to(infra.parent).as_posix()
                yield Finding(file, line, f"output {found[1]} is never read; read or remove it")


def read_params(source: str) -> Iterator[Param]:
    """The parameters of a template."""
    for found in _PARAM.finditer(source):
        default = found[3].strip("'") if found[3] is not None else None
        bounds = {bound: int(value) for bound, value in _BOUND.findall(found[1])}
        yield Param(found[2], source[: found.start(2)].count("\n") + 1, default, bounds)


def _check_bounds(param: Param, fields: Fields) -> Iterator[Finding]:
    field = fields.get(param.setting.lower())
    for decorator, bound in (("minValue", "ge"), ("maxValue", "le")) if field is not None else ():
        limit = next((getattr(each, bound) for each in field.metadata if hasattr(each, bound)), None) if field else None
        if limit != param.bounds.get(decorator):
            shown, ours = "no bound" if limit is None else f"@{decorator}({limit})", param.bounds.get(decorator)
            text = f"{PREFIX}{param.setting} has {shown}, {param.name} @{decorator}({ours}); take that"
            yield Finding("infra/main.bicep", param.line, text)


def _check_entry(param: Param, value: object) -> Iterator[str]:
    found = _ENTRY.fullmatch(value) if isinstance(value, str) else None
    if found is None or param.default is None:
        return
    if (found[2] or "") != param.default:
        yield f"{found[1]} has another default than param {param.name}; write ${{{found[1]}={param.default}}}"
    if found[1] not in (PREFIX + param.setting, "AZURE_" + param.setting):
        yield f"param {param.name} comes from {found[1]}; call it {PREFIX}{param.setting}, as the setting is called"
