"""bench/results.json, which keeps the newest figures of each part, and docs/benchmarks.md, which is made from it alone.

So parts may be run one by one, and the page still shows them all, each with its own date and command.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dev.azurite import find_node
from dev.bench.figures import Figure, Result, Target, final_table
from dev.bench.options import Options

RESULTS = Path("bench/results.json")
PAGE = Path("docs/benchmarks.md")

_ORDER = ("trips", "http", "core", "budget", "feed", "peer", "growth", "cold", "memory", "package", "load")
"""Of the parts on the page, whichever was measured last."""
_PACKAGES = ("azure-functions", "azure-data-tables", "aiohttp", "pydantic", "scim2-models", "scim2-server")
_AZURITE = Path("dev/node_modules/azurite/package.json")

_INTRODUCTION = """# Benchmarks

For whoever sizes a deployment, or changes what requests cost. After it you know what each request costs, and beside
what; the [README](../README.md#what-requests-cost) has it in ten lines.

What requests cost, each figure beside a floor that was measured in the same run, in turns: machines differ and are
noisy, ratios less so. `make bench` makes this page; `python -m dev.bench PART ...` measures parts, which are `trips`,
`http`, `core`, `budget`, `feed`, `peer`, `growth`, `cold`, `memory`, `package` and `load`; `--quick` takes less time,
`--write` writes what was measured last. A ratio is the median over the turns of ours divided by the floor in that turn;
in brackets its least and greatest value. Where the target is `≤`, less is better, where it is `≥`, more. Azurite reads
by its indexes (`dev/azurite_index.cjs`), as Table Storage does; as published it looks at every row of the table for
each range.

* **trips**: requests to the table, counted on the wire; the floor is the budget in
  [architecture.md](architecture.md).
* **http**: whole requests through the function app on Azurite, beside the storage calls alone that each needs: made
  with the azure-data-tables SDK, and hand-encoded on the same HTTP client. Neither floor parses, validates,
  authenticates or builds an answer. Azurite has a core of its own and takes most of the wall time; CPU is that of our
  process.
* **core**: parsing, validating, PATCH, filter, projection and JSON, beside scim2-models on the same payloads.
* **peer**: requests per second over HTTP, beside `scim2-server`, which keeps its data in memory; ours keeps it in
  Azurite, a third process on the same cores. "Azurite alone" is the client asking Azurite for the same rows, with no
  server between: what no server on it can beat. It is why a search for what no index has (`co`), which reads all users
  from the table, stays behind a list in memory; and a match is two such requests behind each other, which shows where
  nothing else is under way.
* **budget**: the CPU of ordinary requests whose work is counted, beside the same requests uncounted.
* **feed**: changes that the change feed takes up in a second of CPU, and what telling it costs a writer, on a table
  in memory.
* **growth**: the same request at different sizes, on a table in memory; trips and rows read are exact.
* **cold**: fresh interpreters, beside the bare imports of the packages that the app needs for its first answer.
* **memory**, **package**: what stays after large answers; what is deployed.
* **load**: 25 requests per second for each of ten tenants, in one process on Azurite."""


def keep(results: Mapping[str, Result], options: Options, *, note: str = "", path: Path = RESULTS) -> None:
    """Put the results of these parts into the file, and leave those of the others as they are."""
    kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    for part, result in results.items():
        kept[part] = {
            "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
            "command": f"python -m dev.bench {part}" + (" --quick" if options.quick else ""),
            "machine": _machine(),
            "load": _load(),
            "versions": _versions(),
            "note": note,
            "method": result.method,
            "figures": [figure.as_json() for figure in result.figures],
            "tables": [{"title": t.title, "text": str(t)} for t in result.tables],
            "profiles": [{"title": title, "text": text} for title, text in result.profiles],
        }
    path.parent.mkdir(exist_ok=True)
    kept = {part: kept[part] for part in sorted(kept, key=_ORDER.index)}
    path.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")


def write_page(source: Path = RESULTS, page: Path = PAGE) -> None:
    """Write docs/benchmarks.md from the kept results."""
    kept: dict[str, Any] = json.loads(source.read_text())
    figures = [_figure(one) for part in kept.values() for one in part["figures"]]
    missed = [figure for figure in figures if figure.met is False]
    judged = [figure for figure in figures if figure.met is not None]
    lines = [_INTRODUCTION, f"{len(judged) - len(missed)} of {len(judged)} targets are met.", final_table(figures)]
    lines += ["## How it was measured", "\n".join(_conditions(name, part) for name, part in kept.items())]
    lines += [_machines(kept)]
    for part in kept.values():
        for table in part["tables"]:
            lines += [f"## {table['title']}", table["text"]]
    profiles = [profile for part in kept.values() for profile in part["profiles"]]
    if profiles:
        lines += ["## Profiles of what misses its target", "cProfile by own time, waits left out; it slows calls down."]
    for profile in profiles:
        lines += [f"### {profile['title']}", f"```text\n{profile['text']}\n```"]
    page.write_text("\n\n".join(lines) + "\n")


def _conditions(name: str, part: Mapping[str, Any]) -> str:
    note = f" {part['note']}" if part["note"] else ""
    return f"* **{name}** (`{part['command']}`, {part['date']}, load {part['load']}): {part['method']}.{note}"


def _machines(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """Return what the parts ran on, each machine and set of versions once."""
    on: dict[str, list[str]] = {}
    for name, part in kept.items():
        versions = ", ".join(f"{package} {number}" for package, number in part["versions"].items())
        on.setdefault(f"{part['machine']}; {versions}", []).append(name)
    return "\n\n".join(f"{', '.join(names)}: {what}." for what, names in on.items())


def _figure(kept: Mapping[str, Any]) -> Figure:
    fields = {name: value for name, value in kept.items() if name != "met"}
    target = None
    if fields["target"]:
        sign, _, value = fields["target"].partition(" ")
        target = Target("most" if sign == "≤" else "least", float(value))
    spread = tuple(fields["spread"]) if fields["spread"] else None
    return Figure(**{**fields, "target": target, "spread": spread})


def _machine() -> str:
    model = next(
        (line.partition(":")[2].strip() for line in _text("/proc/cpuinfo").splitlines() if "model name" in line), ""
    )
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{cores} cores{f' ({model})' if model else ''}, {platform.system()}"


def _load() -> str:
    """Return how many processes wanted a core in the minute before the part ended."""
    try:
        return f"{os.getloadavg()[0]:.1f}"
    except OSError:
        return "unknown"


def _versions() -> dict[str, str]:
    found = {"Python": platform.python_version(), "Node.js": _node()}
    if _AZURITE.exists():
        found["Azurite"] = json.loads(_AZURITE.read_text())["version"]
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _node() -> str:
    return subprocess.run([find_node(), "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _text(path: str) -> str:
    try:
        return Path(path).read_text()
    except OSError:
        return ""
