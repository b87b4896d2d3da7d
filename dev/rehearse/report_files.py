"""The report as files for machines: JSON with everything in it, and JUnit XML with one test case for each check."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from dev.rehearse.results import Check, Problem, Report, Scenario

_NOT_XML = re.compile(r"[^\t\n\r\u0020-\uD7FF\uE000-\uFFFD\U00010000-\U0010FFFF]")
"""What no XML document may hold, not even escaped (XML 1.0 §2.2)."""


def as_json(report: Report) -> str:
    """The report as a JSON text. Durations of requests are told as quantiles."""
    return json.dumps(_plain(report), ensure_ascii=False, indent=2) + "\n"


def as_junit(report: Report) -> str:
    """The report as JUnit XML: a suite for each scenario, a case for each of its checks."""
    root = ElementTree.Element("testsuites", name="rehearsal", time=f"{report.seconds:.3f}")
    for scenario in report.scenarios:
        _suite(root, scenario)
    verdict = ElementTree.SubElement(root, "testsuite", name="verdict", tests="1", time="0")
    case = ElementTree.SubElement(verdict, "testcase", classname="rehearsal.verdict", name="no quarantine, no escrow")
    stopped = report.verdict and (report.verdict.quarantine or report.verdict.escrow)
    verdict.set("failures", str(int(bool(stopped))))
    if report.verdict and stopped:
        failure = ElementTree.SubElement(case, "failure", message=_clean(report.verdict.headline))
        failure.text = _clean("\n".join([*report.verdict.quarantine, *report.verdict.lines]))
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def write(text: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def _suite(root: ElementTree.Element, scenario: Scenario) -> None:
    suite = ElementTree.SubElement(
        root, "testsuite", name=scenario.name, time=f"{scenario.ended - scenario.started:.3f}"
    )
    failed = [check for check in scenario.checks if check.status == "failed"]
    skipped = [check for check in scenario.checks if check.status == "skipped"]
    suite.set("tests", str(len(scenario.checks) + bool(scenario.broken)))
    suite.set("failures", str(len(failed)))
    suite.set("errors", str(int(bool(scenario.broken))))
    suite.set("skipped", str(len(skipped)))
    for check in scenario.checks:
        _case(suite, scenario, check)
    if scenario.broken:
        case = ElementTree.SubElement(suite, "testcase", classname=_class(scenario), name="played to its end")
        ElementTree.SubElement(case, "error", message=_clean(scenario.broken))


def _case(suite: ElementTree.Element, scenario: Scenario, check: Check) -> None:
    case = ElementTree.SubElement(suite, "testcase", classname=_class(scenario), name=_clean(check.name))
    if check.status == "skipped":
        ElementTree.SubElement(case, "skipped", message=_clean(check.skipped))
    for problem in check.problems:
        if problem.warning:
            continue
        message = _clean(f"{problem.title} ({problem.count} times)")
        failure = ElementTree.SubElement(case, "failure", message=message, type=_clean(problem.code))
        failure.text = _clean(_text(problem))
    said = [f"warning: {problem.title} ({problem.count} times)" for problem in check.problems if problem.warning]
    if check.note or said:
        ElementTree.SubElement(case, "system-out").text = _clean("\n".join([*said, check.note]).strip())


def _text(problem: Problem) -> str:
    lines = [
        f"for: {', '.join(problem.subjects)}",
        problem.effect,
        f"Remedy: {problem.remedy}",
        f"In Entra: {problem.admin}",
    ]
    if problem.exchange:
        lines += [f"{problem.exchange.method} {problem.exchange.path}", problem.exchange.body]
        lines += [str(problem.exchange.status), problem.exchange.answer]
    return "\n".join(line for line in lines if line)


def _class(scenario: Scenario) -> str:
    return f"rehearsal.{scenario.name}"


def _clean(text: str) -> str:
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def _plain(report: Report) -> dict[str, Any]:
    found = asdict(report)
    found["failures"], found["warnings"] = report.failures, report.warnings
    for scenario, plain in zip(report.scenarios, found["scenarios"], strict=True):
        plain["status"] = scenario.status
        for check, each in zip(scenario.checks, plain["checks"], strict=True):
            each["status"] = check.status
    found["operations"] = [
        {
            "name": operation.name,
            "number": len(operation.durations),
            "failed": operation.failed,
            "milliseconds": {name: round(operation.quantile(share), 3) for name, share in _QUANTILES.items()},
        }
        for operation in report.operations
    ]
    found["milliseconds"] = {name: round(report.quantile(share), 3) for name, share in _QUANTILES.items()}
    return found


_QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "max": 1.0}
