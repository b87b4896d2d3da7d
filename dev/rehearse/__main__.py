"""`python -m dev.rehearse URL TOKEN`: plays Entra's provisioning service and reports what would happen.

Exit code 0: no failure and no difference; 1: some; 2: not begun (a wrong option, no answer, a target that holds users);
130: interrupted, after cleaning up.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Sequence

from rich.console import Console

from dev.rehearse import report_files, report_html, report_terminal
from dev.rehearse.auth import TokenError
from dev.rehearse.client import Client
from dev.rehearse.command import Command, parse
from dev.rehearse.rehearsal import TargetRefused, check_empty, rehearse
from dev.rehearse.results import Report
from dev.rehearse.screen import Screen


def main(arguments: Sequence[str] | None = None) -> int:
    """Play a rehearsal as the arguments say; the exit code."""
    command = parse(arguments)
    try:
        report = asyncio.run(_play(command))
    except (TargetRefused, TokenError) as error:
        print(f"Not begun: {error}.", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    report_terminal.show(report, Console())
    for path, write in (
        (command.html, report_html.page),
        (command.json, report_files.as_json),
        (command.junit, report_files.as_junit),
    ):
        if path:
            report_files.write(write(report), path)
    if report.interrupted:
        return 130
    return 1 if report.failures else 0


async def _play(command: Command) -> Report:
    screen = Screen(Console(stderr=True))
    client = Client(
        command.url, command.credentials, rate=command.rate, parallel=command.options.parallel, timeout=command.timeout
    )
    screen.statistics = client.statistics
    try:
        await client.credentials.token(client.http)
        if not command.i_know:
            await check_empty(client)
        with screen:
            return await rehearse(client, command.options, command.scenarios, keep=command.keep, progress=screen)
    finally:
        await client.close()


if __name__ == "__main__":
    sys.exit(main())
