"""One rehearsal from the first request to the last deletion; its outcome is a report, also when it is interrupted."""

from __future__ import annotations

import asyncio
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from dev.rehearse.client import Client
from dev.rehearse.results import INTERRUPTED, Report, Scenario, number_of
from dev.rehearse.scenarios import Jobs, chosen
from dev.rehearse.stage import NoProgress, Options, Progress, Stage
from dev.rehearse.verdict import Tally, judge

_log = logging.getLogger(__name__)


class TargetRefused(Exception):
    """The rehearsal does not begin on this target; the text says why and what to do."""


async def check_empty(client: Client) -> None:
    """TargetRefused where the target holds users, or does not tell. One request."""
    answer = await client.send("safety", "GET", "/Users?startIndex=1&count=1")
    total = answer.object.get("totalResults")
    if answer.status == 0:
        raise TargetRefused(f"{client.base} does not answer: {answer.error}")
    if answer.status in (401, 403):
        raise TargetRefused(f"{client.base} refuses the credentials ({answer.status}): check the token")
    if answer.status != 200 or not isinstance(total, int):
        raise TargetRefused(
            f"{client.base} does not tell whether it holds users: GET /Users?count=1 answered {answer.status}. "
            "Check the tenant URL; if the target is for tests, say so with --i-know"
        )
    if total:
        raise TargetRefused(
            f"{client.base} holds {total:,} users already. A rehearsal creates, changes and deletes users and groups "
            "of its own, and reads all others. It is meant for a test tenant; if this is one, say so with --i-know"
        )


async def rehearse(
    client: Client, options: Options, names: list[str], *, keep: bool = False, progress: Progress | None = None
) -> Report:
    """Play the scenarios of these names (all for none), then delete what was made, unless it is to be kept.

    A cancellation ends the scenarios; cleaning up and the report come nevertheless.
    """
    progress = progress or NoProgress()
    tally, jobs, epoch = Tally(), Jobs(), time.monotonic()
    report = Report(client.base, f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", _describe(client, options, names))
    for entry, dialect, scenario in chosen(names, options.dialects):
        stage = Stage(client, options, tally, scenario, progress, epoch)
        report.scenarios.append(scenario)
        scenario.started = stage.now()
        try:
            await entry.play(stage, jobs, dialect)
        except asyncio.CancelledError:
            _uncancel()
            report.interrupted, scenario.broken = True, INTERRUPTED
        except Exception as error:  # an answer that nothing here foresees: the other scenarios still count
            _log.exception("scenario %s", scenario.name)
            scenario.broken = f"{type(error).__name__}: {error}"
        scenario.ended = stage.now()
        if report.interrupted:
            break
    tally.requests, tally.unauthorized = client.statistics.requests, client.statistics.unauthorized
    clean = Scenario("clean-up", "What was made is deleted, and nothing else", time.monotonic() - epoch)
    report.scenarios.append(clean)
    await _clean_up(client, report, clean, keep, progress)
    clean.ended = report.seconds = time.monotonic() - epoch
    report.options = _describe(client, options, names)  # by now the target has said what it is
    report.requests, report.throttled = client.statistics.requests, client.statistics.throttled
    report.operations = client.statistics.operations()
    report.verdict = judge(tally, report.failures, [name for name in report.skipped if name != _KEPT])
    if report.interrupted:
        report.verdict = replace(report.verdict, headline=f"Until the interruption: {report.verdict.headline}")
    return report


_KEPT = "everything that was made can be deleted"


async def _clean_up(client: Client, report: Report, scenario: Scenario, keep: bool, progress: Progress) -> None:
    """Delete what was made; a second interruption leaves the rest, and says what it is."""
    check = scenario.check(_KEPT)
    if keep:
        await client.settle()
        check.skipped = "--keep"
    else:
        progress.begin("Deleting what was made", len(client.created))
        check.passes = len(client.created)
        try:
            report.left = await client.clean_up(progress.advance)
        except asyncio.CancelledError:
            _uncancel()
            report.interrupted = True
    report.left = report.left or sorted(f"{path}/{id} ({name})" for (path, id), name in client.created.items())
    check.passes = max(0, check.passes - len(report.left))
    if report.left and not keep:
        scenario.broken = f"{len(report.left)} resources could not be deleted"


def _uncancel() -> None:
    """What was cancelled goes on to clean up."""
    task = asyncio.current_task()
    while task is not None and task.cancelling():
        task.uncancel()


def read_version() -> str:
    """Return the version of the project that this rehearsal is of. It is read, for nothing here imports the server."""
    text = (Path(__file__).parents[2] / "scim" / "__init__.py").read_text(encoding="utf-8")
    return text.partition('__version__ = "')[2].partition('"')[0]


def _describe(client: Client, options: Options, names: list[str]) -> dict[str, str]:
    """What was asked for, to be shown beside what came out."""
    return {
        "version": read_version(),
        "target": client.statistics.server or "says nothing of its version",
        "scenarios": ", ".join(names) or "all",
        "directory": f"{number_of(options.users, 'user')}, {number_of(options.groups, 'group')}, "
        f"{number_of(options.cycles, 'incremental cycle')}",
        "seed": str(options.seed),
        "dialects": ", ".join(options.dialects),
        "credentials": client.credentials.kind,
    }
