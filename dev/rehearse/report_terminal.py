"""The report as tables on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from dev.rehearse.results import Finding, Report, number_of, shorten

_COLOURS = {"passed": "green", "failed": "red", "warning": "yellow", "skipped": "dim"}
_MOST_FINDINGS = 15


def show(report: Report, console: Console) -> None:
    """Print the verdict, the scenarios, what went wrong, and how long requests took."""
    verdict = report.verdict
    if verdict:
        lines = "\n".join([*verdict.quarantine, *verdict.lines])
        colour = "red" if report.failures else "yellow" if report.warnings else "green"
        console.print(Panel(Text(lines), title=Text(verdict.headline, style=f"bold {colour}"), border_style=colour))
    if report.interrupted:
        console.print("[yellow]Interrupted: what follows is what was played until then.[/yellow]")
    console.print(_scenarios(report))
    _problems(report, console)
    console.print()
    console.print(_operations(report))
    _closing(report, console)


def _scenarios(report: Report) -> Table:
    table = Table(title="Scenarios", title_justify="left", expand=False)
    for heading in ("scenario", ""):
        table.add_column(heading)
    for heading in ("passed", "skipped", "failed", "warnings", "seconds"):
        table.add_column(heading, justify="right")
    for scenario in report.scenarios:
        table.add_row(
            escape(scenario.name),
            Text(scenario.status, style=_COLOURS[scenario.status]),
            f"{sum(check.passes for check in scenario.checks):,}",
            f"{sum(check.status == 'skipped' for check in scenario.checks):,}",
            f"{scenario.failures:,}",
            f"{sum(check.warnings for check in scenario.checks):,}",
            f"{scenario.ended - scenario.started:.1f}",
        )
    return table


def _problems(report: Report, console: Console) -> None:
    for scenario in report.scenarios:
        if scenario.broken:
            console.print(Text(f"\n{scenario.name}: not played to its end: {scenario.broken}", style="red"))
        for check in scenario.checks:
            if check.note:
                console.print(Text(f"\n{scenario.name}: {check.note}", style="dim"))
    findings = report.findings()
    for finding in findings[:_MOST_FINDINGS]:
        _finding(finding, console)
    if len(findings) > _MOST_FINDINGS:
        console.print(f"\n{len(findings) - _MOST_FINDINGS} more; --html and --json have all of them")


def _finding(finding: Finding, console: Console) -> None:
    problem = finding.problem
    colour = "yellow" if problem.warning else "red"
    console.print(Text(f"\n{problem.title}", style=f"bold {colour}"))
    places = "; ".join(dict.fromkeys(f"{scenario}: {check}" for scenario, check, _ in finding.places))
    times = "once" if finding.count == 1 else f"{finding.count:,} times"
    lines = [f"{times}, {problem.code}; {shorten(places, 200)}"]
    lines += [f"The same cause: {other}" for other in finding.others[:5]]
    if problem.exchange:
        exchange = problem.exchange
        lines.append(f"{exchange.method} {exchange.path} → {exchange.status or 'no answer'} {exchange.answer[:300]}")
    lines += [
        f"For {'; '.join(problem.subjects[:3])}",
        problem.effect,
        *(f"Remedy: {remedy}" for remedy in finding.remedies),
        *(f"In Entra: {advice}" for advice in finding.advice),
    ]
    console.print(Padding(Text("\n".join(lines)), (0, 0, 0, 2)))


def _operations(report: Report) -> Table:
    table = Table(title="Requests", title_justify="left")
    table.add_column("what for")
    for heading in ("number", "refused or lost", "p50 ms", "p95 ms", "p99 ms", "longest ms"):
        table.add_column(heading, justify="right")
    for operation in report.operations:
        quantiles = [f"{operation.quantile(share):,.1f}" for share in (0.5, 0.95, 0.99, 1.0)]
        table.add_row(operation.name, f"{len(operation.durations):,}", f"{operation.failed:,}", *quantiles)
    return table


def _closing(report: Report, console: Console) -> None:
    console.print(
        f"{report.requests:,} requests in {report.seconds:.1f} s, {report.throttled:,} answered 429 or 503, "
        f"p50 {report.quantile(0.5):.1f} ms, p95 {report.quantile(0.95):.1f} ms. "
        f"{number_of(report.failures, 'failure')}, {number_of(report.warnings, 'warning')}."
    )
    if report.left:
        console.print(Text(f"{len(report.left)} resources of the rehearsal are in the target, the first of them:"))
        for each in report.left[:10]:
            console.print(Text(f"  {each}"))
