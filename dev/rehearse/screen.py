"""What a terminal shows meanwhile: the work under way with its bar, and a line of figures that moves."""

from __future__ import annotations

import time

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from dev.rehearse.client import Statistics

EVERY = 10.0
"""Seconds between two lines, where nobody sees a bar move."""


class Screen:
    """A live display on standard error; where that is no terminal, a line of figures every ten seconds. Use it as a
    context manager."""

    def __init__(self, console: Console) -> None:
        self.statistics: Statistics | None = None
        self._started = time.monotonic()
        self._bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=28),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
        )
        self._task = self._bars.add_task("Beginning", total=None)
        self._live = Live(get_renderable=self._render, console=console, refresh_per_second=8, transient=True)
        self._shown = console.is_terminal
        self._console = console
        self._title = "Beginning"
        self._said = self._started

    def __enter__(self) -> Screen:
        if self._shown:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._live.stop()

    def begin(self, title: str, total: int) -> None:
        self._title = title
        self._bars.reset(self._task, description=title, total=total)
        self._say()

    def _say(self) -> None:
        """Print a line if there is no bar to see, and the last one is some time ago."""
        now = time.monotonic()
        if self._shown or now - self._said < EVERY:
            return
        self._said = now
        self._console.print(
            Text(f"{now - self._started:,.0f} s  {self._title}  ").append(self._figures()), soft_wrap=True
        )

    def advance(self) -> None:
        self._bars.advance(self._task)
        self._say()

    def _render(self) -> RenderableType:
        return Group(self._bars, self._figures())

    def _figures(self) -> Text:
        figures = self.statistics
        if figures is None:
            return Text("")
        seconds = max(time.monotonic() - self._started, 0.001)
        p50, p95 = figures.recent_quantile(0.5), figures.recent_quantile(0.95)
        return Text.assemble(
            (f"{figures.requests:,} requests", "bold"),
            f"  {figures.requests / seconds:,.0f}/s  ",
            (f"{figures.failed:,} refused or lost", "red" if figures.failed else "green"),
            f"  p50 {p50:,.0f} ms  p95 {p95:,.0f} ms",
        )
