"""Where the CPU time of requests goes: cProfile, functions by their own time."""

from __future__ import annotations

import cProfile
import io
import pstats
import re
from collections.abc import Callable

from dev.bench.measure import Ask, burst

_LINES = 14


async def profile(ask: Ask, first: int, number: int) -> str:
    """Return the functions that a burst of requests, one at a time, spends most own time in."""
    watch = cProfile.Profile()
    await burst(ask, first, 8, 1)
    watch.enable()
    try:
        for one in range(first + 8, first + 8 + number):
            await ask(one)
    finally:
        watch.disable()
    return _top(watch)


def profile_call(work: Callable[[], object], number: int) -> str:
    """Do the same of so many calls."""
    watch = cProfile.Profile()
    watch.enable()
    try:
        for _ in range(number):
            work()
    finally:
        watch.disable()
    return _top(watch)


def _top(watch: cProfile.Profile) -> str:
    """Return the first lines by own time, without the wait for sockets and with short paths."""
    text = io.StringIO()
    pstats.Stats(watch, stream=text).sort_stats("tottime").print_stats(40)
    head, _, lines = text.getvalue().partition("percall filename:lineno(function)\n")
    kept = [line for line in lines.splitlines() if line.strip() and "select.epoll" not in line]
    short = [re.sub(r"/\S*?/(site-packages|lib/python3\.\d+|scim|dev)/", r"\1/", line) for line in kept[:_LINES]]
    total = re.search(r"[\d.]+ seconds", head)
    return "\n".join([f"{total[0] if total else ''} in all", "   ncalls  tottime  percall  cumtime  percall", *short])
