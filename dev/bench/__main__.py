"""`python -m dev.bench [PART ...]`: measure the app, each figure beside its floor in the same run.

The parts are trips, http, core, budget, feed, peer, growth, cold, memory and package; without one, all of them. `load`
runs alone and longer. One table on standard output ends it, and bench/results.json keeps the figures; with --write,
docs/benchmarks.md too, and the README's lines of it. Exit code 0 also where a target is missed: a noisy machine is no
failure, so the table says it.
1 and one line where something that a part needs is missing.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import sys
import time
from collections.abc import Sequence

from dev.azurite import StartError
from dev.bench import quoted, report
from dev.bench.figures import Result, final_table
from dev.bench.options import Options

PARTS = ("trips", "http", "core", "budget", "feed", "peer", "growth", "cold", "memory", "package")
ALONE = ("load",)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the parts that are asked for; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m dev.bench", description="Measure the app beside its floors.")
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS + ALONE)}; default: all but load")
    parser.add_argument("--quick", action="store_true", help="fewer turns, and without a million users")
    parser.add_argument("--tiny", action="store_true", help="only show that everything runs")
    parser.add_argument("--minutes", type=float, default=5.0, help="how long load lasts (default 5)")
    parser.add_argument(
        "--write", action="store_true", help="write docs/benchmarks.md, and what the README quotes of it"
    )
    parser.add_argument("--note", default="", help="a sentence on the conditions, for docs/benchmarks.md")
    given = parser.parse_args(arguments)
    unknown = [part for part in given.parts if part not in PARTS + ALONE]
    if unknown:
        parser.error(f"{unknown[0]} is no part; the parts are {', '.join(PARTS + ALONE)}")
    logging.getLogger("azure").setLevel(logging.WARNING)
    options = Options(quick=given.quick or given.tiny, tiny=given.tiny, minutes=given.minutes)
    parts = tuple(given.parts) or PARTS
    try:
        results = {part: _run(part, options) for part in parts}
    except StartError as error:
        print(error, file=sys.stderr)
        return 1
    report.keep(results, options, note=given.note)
    if given.write:
        report.write_page()
        try:
            quoted.write()
        except LookupError as missing:
            print(f"README.md stays as it is: {missing} was not measured, which it quotes", file=sys.stderr)
    print(final_table(figure for result in results.values() for figure in result.figures))
    return 0


def _run(part: str, options: Options) -> Result:
    """Measure one part, with its details on standard error."""
    print(f"{part} ...", file=sys.stderr, flush=True)
    began = time.monotonic()
    result: Result = asyncio.run(importlib.import_module(f"dev.bench.{part}").run(options))
    for table in result.tables:
        print(f"\n{table.title}\n\n{table}\n", file=sys.stderr)
    print(f"{part}: {result.method}; {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return result


if __name__ == "__main__":
    sys.exit(main())
