"""The report as one HTML page: no network, no script, light and dark; for the admin first, then for the developer.

Whatever comes from the target or the command line goes through `html.escape`.
"""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterable, Iterator
from html import escape

from dev.rehearse import charts
from dev.rehearse.report_style import CSS, GLOSSARY
from dev.rehearse.results import Check, Cycle, Exchange, Finding, Operation, Report, Scenario, number_of

_MOST_CHECKS_OPEN = 4
_PARTS = {
    "problems": "What to do",
    "scenarios": "Scenarios",
    "timeline": "Timeline",
    "latency": "Latency",
    "words": "Glossary",
}
_GOOD = "Nothing: every request was answered as Entra expects, and the target holds what was written to it."


def page(report: Report) -> str:
    """The whole page."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Rehearsal: {escape(report.target)}</title><style>{CSS}</style></head><body><main>",
            *_head(report),
            *_problems(report),
            *_scenarios(report),
            *_timeline(report),
            *_latency(report),
            *_escrow(report),
            *_left(report),
            *_glossary(),
            "</main></body></html>",
        ]
    )


def _head(report: Report) -> Iterator[str]:
    verdict = report.verdict
    kind = "failed" if report.failures else "warning" if report.warnings else "passed"
    yield "<header>"
    yield f"<h1>How Microsoft Entra ID would provision <code>{escape(report.target)}</code></h1>"
    yield f'<p class="soft small">Rehearsed on {escape(report.began)} · {_options(report)}</p>'
    if report.interrupted:
        yield '<p><span class="chip warning">interrupted</span> This is what was played until then.</p>'
    if verdict:
        reasons = "".join(f'<p class="reason">{escape(line)}</p>' for line in verdict.quarantine)
        lines = "".join(f"<p>{escape(line)}</p>" for line in verdict.lines)
        yield f'<section class="verdict {kind}"><strong>{escape(verdict.headline)}</strong>{reasons}{lines}</section>'
    tiles = [
        ("failures", f"{report.failures:,}", "failed" if report.failures else ""),
        ("warnings", f"{report.warnings:,}", "warning" if report.warnings else ""),
        ("checks passed", f"{sum(c.passes for s in report.scenarios for c in s.checks):,}", ""),
        ("checks skipped", f"{len(report.skipped):,}", "warning" if report.skipped else ""),
        ("requests", f"{report.requests:,}", ""),
        ("seconds", f"{report.seconds:,.0f}", ""),
        ("ms: p50 / p95", f"{report.quantile(0.5):,.0f} / {report.quantile(0.95):,.0f}", ""),
    ]
    yield '<div class="tiles">'
    yield from (
        f'<div class="{kind}"><b>{value}</b><span class="soft small">{name}</span></div>' for name, value, kind in tiles
    )
    yield "</div>"
    links = [f'<a href="#{id}">{text}</a>' for id, text in _PARTS.items()]
    yield f"<nav>{''.join(links)}</nav></header>"


def _options(report: Report) -> str:
    return " · ".join(f"{escape(name)}: {escape(value)}" for name, value in report.options.items())


def _problems(report: Report) -> Iterator[str]:
    yield '<h2 id="problems">What to do</h2>'
    found = report.findings()
    broken = [scenario for scenario in report.scenarios if scenario.broken]
    if not found and not broken:
        yield f'<p class="soft">{_GOOD}</p>'
        return
    for scenario in broken:
        yield f'<article class="card"><span class="chip failed">not played to its end</span> {escape(scenario.name)}'
        yield f"<h3>{escape(scenario.broken)}</h3></article>"
    for finding in found:
        yield from _finding(finding, report.target)


def _finding(finding: Finding, target: str) -> Iterator[str]:
    problem, count = finding.problem, finding.count
    kind, name = ("warning", "warning") if problem.warning else ("failed", "failure")
    yield f'<article class="card"><span class="chip {kind}">{name}</span>'
    yield f'<span class="soft small">{_times(count)}</span>'
    yield f"<h3>{escape(problem.title)}</h3>"
    if finding.others:
        yield f'<p class="small">The same cause: {_lines(finding.others)}</p>'
    yield "<dl>"
    yield f"<dt>What follows</dt><dd>{escape(problem.effect)}</dd>"
    yield f"<dt>To do in the target</dt><dd>{_lines(finding.remedies)}</dd>"
    yield f"<dt>To do in Entra</dt><dd>{_lines(finding.advice)}</dd>"
    yield f'<dt>Whom it hits</dt><dd class="small">{_lines(problem.subjects[:3])}</dd>'
    scenarios = dict.fromkeys(scenario for scenario, _, _ in finding.places)
    yield f'<dt>Where it was met</dt><dd class="small">{escape(", ".join(scenarios))}</dd>'
    yield f"<dt>Code in Entra's log</dt><dd><code>{escape(problem.code)}</code></dd></dl>"
    more = problem.subjects[3:]
    yield f"<details><summary>{'More of whom, and in' if more else 'In'} which checks</summary>"
    yield f'<p class="small">{_lines(more)}</p>' if more else ""
    places = [f"{scenario}: {check}, {_times(number)}" for scenario, check, number in finding.places]
    yield f'<p class="small soft">{_lines(places)}</p></details>'
    if problem.log:
        yield "<details><summary>What Entra's provisioning log shows</summary>"
        yield f"<pre>{escape(problem.log)}</pre></details>"
    else:
        yield '<p class="soft small">Entra\'s provisioning log shows nothing of this: the answer looked right.</p>'
    if problem.exchange:
        yield from _exchange(problem.exchange, target)
    yield "</article>"


def _exchange(exchange: Exchange, target: str) -> Iterator[str]:
    yield "<details><summary>The request and its answer, and how to repeat it</summary>"
    body = f"\n\n{_indent(exchange.body)}" if exchange.body else ""
    yield f"<pre>{escape(exchange.method)} {escape(exchange.path)}{escape(body)}</pre>"
    status = f"{exchange.status or 'no answer'} after {exchange.milliseconds:,.0f} ms"
    yield f"<pre>{status}\n\n{escape(_indent(exchange.answer))}</pre>"
    yield f'<pre class="copy" title="A click selects it">{escape(_write_curl(exchange, target))}</pre></details>'


def _indent(text: str) -> str:
    """Return JSON with a line for each value; any other text as it is."""
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except ValueError:
        return text


def _write_curl(exchange: Exchange, target: str) -> str:
    """Return the command that sends the request again, with the token in $TOKEN."""
    parts = ["curl", "-i", "-X", exchange.method, shlex.quote(f"{target}{exchange.path}")]
    line = " ".join([*parts, '-H "Authorization: Bearer $TOKEN"'])
    if not exchange.body:
        return line
    return f"{line} -H 'Content-Type: application/scim+json' -d {shlex.quote(exchange.body)}"


def _scenarios(report: Report) -> Iterator[str]:
    yield '<h2 id="scenarios">Scenarios</h2><input type="checkbox" id="only"><label for="only" class="small"> Only '
    yield 'what failed, was skipped or is a warning</label><div class="rows">'
    for scenario in report.scenarios:
        yield f'<div class="row is-{scenario.status}"><b>{escape(scenario.name)}</b>'
        yield f'<span class="soft small">{escape(scenario.title)}</span>'
        yield f'<span class="figures"><span class="chip {scenario.status}">{scenario.status}</span></span>'
        opened = " open" if scenario.failures and len(scenario.checks) <= _MOST_CHECKS_OPEN else ""
        yield f'<details class="more"{opened}><summary class="small">{_count_checks(scenario)}</summary>'
        yield '<ul class="plain small">'
        yield from (_check(check) for check in scenario.checks)
        yield "</ul></details></div>"
    yield "</div>"


def _count_checks(scenario: Scenario) -> str:
    """Return how the checks of a scenario came out, such as "23 passed, 2 skipped"."""
    numbers = Counter(str(check.status) for check in scenario.checks)
    names = {"failed": "failed", "warning": "with a warning", "skipped": "skipped", "passed": "passed"}
    counted = [f"{numbers[status]:,} {name}" for status, name in names.items() if numbers[status]]
    return f"{number_of(len(scenario.checks), 'check')}: {', '.join(counted) or 'none'}"


def _check(check: Check) -> str:
    notes = [f"{check.passes:,} passed"] if check.passes > 1 else []
    notes += [f"{check.failures:,} failed"] if check.failures else []
    notes += [note for note in (check.skipped, check.note) if note]
    tail = f' <span class="soft">{escape("; ".join(notes))}</span>' if notes else ""
    chip = f'<span class="chip {check.status}">{check.status}</span>'
    return f'<li class="is-{check.status}">{chip} {escape(check.name)}{tail}</li>'


def _timeline(report: Report) -> Iterator[str]:
    yield '<h2 id="timeline">Timeline</h2>'
    yield '<p class="soft small">When each scenario was played, its cycles as blocks. Red: something failed in it.</p>'
    yield '<div class="rows">'
    for scenario in report.scenarios:
        seconds = scenario.ended - scenario.started
        yield f'<div class="row"><span>{escape(scenario.name)}</span>{charts.timeline(scenario, report.seconds)}'
        yield f'<span class="figures small">{seconds:,.1f} s</span>'
        if scenario.cycles:
            yield f'<details class="more"><summary class="small">{number_of(len(scenario.cycles), "cycle")}</summary>'
            yield from (_cycle(cycle) for cycle in scenario.cycles)
            yield "</details>"
        yield "</div>"
    yield f"{_axis(_time_ticks(report.seconds))}</div>"


def _time_ticks(seconds: float) -> str:
    shares = (0, 0.25, 0.5, 0.75, 1)
    return "".join(f'<span style="left:{share * 100:.0f}%">{share * seconds:,.0f} s</span>' for share in shares)


def _axis(marks: str) -> str:
    return f'<div class="row"><span></span><div class="ticks">{marks}</div><span></span></div>'


def _cycle(cycle: Cycle) -> str:
    counts = ", ".join(f"{escape(name)} {number:,}" for name, number in cycle.counts.items()) or "nothing to do"
    changes = "".join(f"<li>{escape(change)}</li>" for change in cycle.changes)
    return (
        f'<p class="small"><b>{escape(cycle.title)}</b> · {number_of(cycle.requests, "request")} in '
        f"{cycle.ended - cycle.started:,.1f} s · {counts}</p>"
        + (f'<ul class="plain soft small quote">{changes}</ul>' if changes else "")
    )


def _latency(report: Report) -> Iterator[str]:
    operations = [operation for operation in report.operations if operation.durations]
    if not operations:
        return
    least, most = charts.axis(operations)
    yield '<h2 id="latency">Latency</h2>'
    yield '<p class="soft small">How long the target took, by what was asked; the scale is logarithmic. Solid line: '
    yield "half of the requests were faster; dashed: 95 of 100.</p>"
    yield '<div class="rows">'
    for operation in operations:
        yield from _operation(operation, least, most)
    marks = [
        f'<span style="left:{charts.place(tick, least, most) * 100:.1f}%">{_milliseconds(tick)}</span>'
        for tick in charts.ticks(least, most)
    ]
    yield f"{_axis(''.join(marks))}</div>"


def _operation(operation: Operation, least: float, most: float) -> Iterator[str]:
    failed = f', <span class="chip failed">{operation.failed:,} refused or lost</span>' if operation.failed else ""
    number = f'<span class="soft small">{len(operation.durations):,} requests{failed}</span>'
    middle, high = operation.quantile(0.5), operation.quantile(0.95)
    yield f'<div class="row"><span>{escape(operation.name)} {number}</span>{charts.durations(operation, least, most)}'
    yield f'<span class="figures small">{middle:,.0f} / {high:,.0f} ms</span></div>'


def _milliseconds(value: float) -> str:
    return f"{value / 1000:,g} s" if value >= 1000 else f"{value:,g} ms"


def _escrow(report: Report) -> Iterator[str]:
    escrow = report.verdict.escrow if report.verdict else []
    if not escrow:
        return
    yield '<h2>In escrow at the end</h2><div class="card scroll"><table>'
    yield "<tr><th>object</th><th>what failed</th><th>code</th><th>tries</th></tr>"
    for each in escrow[:50]:
        cells = (each.subject, each.operation, each.code, str(each.tries))
        yield f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"
    yield "</table>"
    if len(escrow) > 50:
        yield f'<p class="soft small">and {len(escrow) - 50:,} more</p>'
    yield "</div>"


def _left(report: Report) -> Iterable[str]:
    if not report.left:
        return []
    items = "".join(f"<li>{escape(each)}</li>" for each in report.left[:100])
    return [f'<h2>Left in the target</h2><div class="card"><ul class="plain small">{items}</ul></div>']


def _glossary() -> Iterator[str]:
    yield '<h2 id="words">Glossary</h2><dl class="words">'
    yield from (f"<dt>{escape(word)}</dt><dd>{escape(meaning)}</dd>" for word, meaning in GLOSSARY.items())
    yield "</dl>"


def _lines(texts: Iterable[str]) -> str:
    return "<br>".join(map(escape, texts))


def _times(number: int) -> str:
    return "once" if number == 1 else f"{number:,} times"
