"""How long the work at hand may take.

A request, or a run of housekeeping, begins with a deadline; whatever does many trips looks at it between two of them
and stops there, so that it is never the host's own timeout that ends it: that one kills the process with everybody's
requests in it. The deadline is a context variable: each request has its own.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from scim.errors import UNAVAILABLE, ScimError

_ends: ContextVar[float] = ContextVar("deadline", default=math.inf)
"""The event loop's time at which the work has to be over."""

RETRY_AFTER = {"Retry-After": "30"}


class OutOfTime(ScimError):
    """The work was stopped between two steps: 503 with Retry-After. What it has begun is finished or taken over."""

    def __init__(self) -> None:
        super().__init__(
            UNAVAILABLE,
            "The request took longer than the service allows and was stopped; nothing is lost. Send it again; "
            "with fewer members, operations or resources if it is stopped again.",
            RETRY_AFTER,
        )


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Let what runs inside end `seconds` from now, or earlier if a deadline is set that comes earlier."""
    token = _ends.set(min(_ends.get(), asyncio.get_running_loop().time() + seconds))
    try:
        yield
    finally:
        _ends.reset(token)


def left() -> float:
    """Return the seconds that are left; infinity if nobody set a deadline."""
    ends = _ends.get()
    return math.inf if ends == math.inf else ends - asyncio.get_running_loop().time()


def check() -> None:
    """Raise OutOfTime if the time is over."""
    if left() <= 0:
        raise OutOfTime
