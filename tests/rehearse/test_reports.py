"""The reports: everything from the target is escaped, and files are what their formats want."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from io import StringIO
from xml.etree import ElementTree

import pytest
from rich.console import Console

from dev.rehearse import report_files, report_html, report_terminal
from dev.rehearse.results import Cycle, Escrowed, Exchange, Operation, Problem, Report, Scenario, Verdict

EVIL = "<script>alert('x')</script>\"&\x00 [red]\u202e"


def problem(*, warning: bool = False) -> Problem:
    exchange = Exchange(EVIL, "PATCH", f"/Users/{EVIL}", EVIL, 400, EVIL, 12.0)
    return Problem(
        EVIL, f"title {EVIL}", f"log {EVIL}", f"effect {EVIL}", f"remedy {EVIL}", exchange, f"admin {EVIL}", warning
    )


@pytest.fixture
def report() -> Report:
    scenario = Scenario("gallery", f"title {EVIL}", 0.5, 3.0)
    scenario.check("passes").passed()
    scenario.check(f"fails {EVIL}").report(problem(), EVIL)
    scenario.check(f"fails {EVIL}").report(problem(), f"{EVIL} 2")
    scenario.check("warns").report(problem(warning=True), EVIL)
    scenario.check("is skipped").skipped = f"because {EVIL}"
    scenario.check("passes").note = f"note {EVIL}"
    scenario.cycles.append(Cycle(f"Cycle {EVIL}", 0.5, 2.0, 7, {EVIL: 3, "failed": 1}, [EVIL]))
    broken = Scenario("restart", "title", 3.0, 4.0, broken=EVIL)
    verdict = Verdict(f"headline {EVIL}", [EVIL], [EVIL], [Escrowed(EVIL, EVIL, EVIL, 2)], 1)
    operation = Operation(EVIL, [0.4, 3.0, 5000.0], 1)
    return Report(
        f"https://{EVIL}", EVIL, {EVIL: EVIL}, [scenario, broken], [operation], verdict, 3, 1, 4.0, True, [EVIL]
    )


class Elements(HTMLParser):
    """The elements of a page with their attributes, and which of them were not closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        if tag not in ("meta", "br", "input"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_well_formed_escaped_and_needs_nothing_from_elsewhere(report: Report) -> None:
    page = report_html.page(report)
    elements = Elements()
    elements.feed(page)
    assert elements.open == []
    tags = {tag for tag, _ in elements.found}
    assert not tags & {"script", "link", "img", "iframe", "object", "base"}
    for _, attributes in elements.found:
        assert not any(name.startswith("on") or name == "src" for name in attributes)
        assert (attributes.get("href") or "#").startswith("#")
    assert "url(" not in page and "@import" not in page
    ids = {attributes["id"] for _, attributes in elements.found if "id" in attributes}
    assert {(attributes["href"] or "")[1:] for tag, attributes in elements.found if tag == "a"} <= ids
    assert page.count("&lt;script&gt;") > 20


def test_html_tells_what_an_admin_needs(report: Report) -> None:
    page = report_html.page(report)
    for text in ("headline", "log &lt;", "remedy &lt;", "effect &lt;", "admin &lt;", "Escrow", "Quarantine", "once"):
        assert text in page
    assert "prefers-color-scheme: dark" in page and "viewport" in page


def test_html_of_nothing_played() -> None:
    elements = Elements()
    elements.feed(report_html.page(Report("https://x", "now", {})))
    assert elements.open == []


def test_junit(report: Report) -> None:
    root = ElementTree.fromstring(report_files.as_junit(report))
    suites = {suite.get("name"): suite for suite in root.findall("testsuite")}
    assert set(suites) == {"gallery", "restart", "verdict"}
    gallery = suites["gallery"]
    assert [gallery.get(name) for name in ("tests", "failures", "errors", "skipped")] == ["4", "1", "0", "1"]
    assert len(gallery.findall("testcase")) == 4
    [failure] = gallery.findall("testcase/failure")
    assert "(2 times)" in (failure.get("message") or "") and "remedy" in (failure.text or "")
    assert len(gallery.findall("testcase/skipped")) == 1
    assert len(suites["restart"].findall("testcase/error")) == 1
    assert len(suites["verdict"].findall("testcase/failure")) == 1


def test_json(report: Report) -> None:
    found = json.loads(report_files.as_json(report))
    assert (found["failures"], found["warnings"]) == (3, 1)
    assert [check["status"] for check in found["scenarios"][0]["checks"]] == ["passed", "failed", "warning", "skipped"]
    assert found["scenarios"][0]["checks"][1]["problems"][0]["count"] == 2
    assert found["operations"][0]["milliseconds"]["p50"] == 3.0


def test_terminal(report: Report) -> None:
    console = Console(file=StringIO(), width=200, color_system=None)
    report_terminal.show(report, console)
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert "[red]" in text  # markup of the target's is shown, not obeyed
    assert re.search(r"gallery\s+│ failed", text)
    assert "remedy" in text and "twice" not in text


def test_the_same_problem_is_told_once_for_all_scenarios(report: Report) -> None:
    again = Scenario("on-demand", "")
    again.check("fails too").report(problem(), "somebody")
    report.scenarios.append(again)
    failures = [finding for finding in report.findings() if not finding.problem.warning]
    assert [(finding.count, len(finding.places)) for finding in failures] == [(3, 2)]


def test_problems_of_one_cause_are_one_finding(report: Report) -> None:
    again = Scenario("on-demand", "")
    for title in ("Create a user", "Replace a user"):
        exchange = Exchange("", "POST", "/Users", "", 400, "", 1.0)
        again.check(title).report(
            Problem("Refused", title, "", "", f"remedy of {title}", exchange, cause="userName is wrong"), "somebody"
        )
    report.scenarios.append(again)
    [finding] = [finding for finding in report.findings() if finding.problem.cause]
    assert (finding.problem.title, finding.others, finding.count) == ("Create a user", ["Replace a user"], 2)
    page = report_html.page(report)
    assert "The same cause: Replace a user" in page
    assert "remedy of Create a user<br>remedy of Replace a user" in page
