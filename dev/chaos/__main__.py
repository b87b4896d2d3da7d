"""`python -m dev.chaos [--minutes M] [--seed S] [--apps A] [--clients N] [--tenants T] [--rate R]`: the long
run.

A progress line while it lasts, a report at the end. Exit code 0 where nothing was found, 1 where something was, 2 where
it cannot start (Azurite is not installed).
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dev.azurite import StartError
from dev.chaos.plan import Plan
from dev.chaos.report import progress, text
from dev.chaos.run import run


def main(arguments: Sequence[str] | None = None) -> int:
    """Run as the arguments say; the exit code."""
    parser = argparse.ArgumentParser("python -m dev.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long the clients work (10)")
    parser.add_argument(
        "--seed", type=int, default=random.randrange(10**6), help="where faults and work are drawn from"
    )
    parser.add_argument("--apps", type=int, default=2, help="how many processes of the app serve them (2)")
    parser.add_argument("--clients", type=int, default=6, help="how many clients work at the same time (6)")
    parser.add_argument("--tenants", type=int, default=2, help="how many tenants they work in (2)")
    parser.add_argument("--rate", type=float, default=0.1, help="share of requests to the table that get a fault (0.1)")
    given = parser.parse_args(arguments)
    plan = Plan(given.seed, given.clients, given.tenants, given.apps, seconds=60 * given.minutes, rate=given.rate)
    log = Path(tempfile.gettempdir()) / f"chaos-{given.seed}.log"
    print(f"seed {plan.seed}; the app's log is {log}", file=sys.stderr)
    try:
        report = asyncio.run(run(plan, progress, log=log))
    except StartError as error:
        print(error, file=sys.stderr)
        return 2
    print(text(report))
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
