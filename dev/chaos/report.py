"""A run in words: one line while it lasts, and what it did and found."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Mapping

from dev.chaos.plan import Report

_SHOWN = 12
"""Findings of each kind that are printed in full."""


def progress(report: Report) -> None:
    """The line that a terminal shows while the run lasts; a finding is told at once."""
    for finding in report.findings[report.told :]:
        print(f"\n  FOUND {finding}", file=sys.stderr, flush=True)
    report.told = len(report.findings)
    kills = sum(report.events.values())
    line = f"{report.seconds:5.0f} s  {report.log.requests} requests  {kills} kills  {len(report.findings)} findings"
    if sys.stderr.isatty():
        print(f"\r{line}", end="", file=sys.stderr, flush=True)
    elif int(report.seconds) % 15 == 0:
        print(line, file=sys.stderr, flush=True)


def text(report: Report) -> str:
    """Return the report at the end."""
    lines = [
        f"seed {report.seed}: {report.log.requests} requests in {report.seconds:.0f} s,"
        f" {report.log.writes} acknowledged writes, {report.trips} requests to the table",
        f"  answers: {_counted(report.log.answers)}",
        f"  faults: {sum(report.faults.values())}: {_counted(report.faults)}",
        f"  delivered late: {report.late}",
        f"  killed: {_counted(report.events)}",
        f"  contested: {_counted(report.contested)}",
        f"  {report.rests} rests on the way; at the end: {report.resources} resources,"
        f" {report.left} left with an unknown outcome, housekeeping ran {report.housekeepings} times",
    ]
    if not report.findings:
        return "\n".join([*lines, "  nothing was found"])
    kinds = Counter(finding.kind for finding in report.findings)
    lines.append(f"  FOUND {len(report.findings)}: {_counted(kinds)}")
    for kind in sorted(kinds):
        of_kind = [finding for finding in report.findings if finding.kind == kind]
        lines += [f"    {finding}" for finding in of_kind[:_SHOWN]]
    return "\n".join(lines)


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {number}" for name, number in sorted(counts.items())) or "none"
