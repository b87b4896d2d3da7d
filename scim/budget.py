"""How much work the request at hand may make, and how it gives way to the others of the process while it makes it.

Limits on one dimension multiply: a thousand operations, on a thousand values each, with fifty terms each, are a minute
of a processor that all tenants share. So whatever loops over what a caller chose says here what it costs, before it
does it, in units of about a microsecond: one value looked at once. Three things follow, whatever the request is:

* it ends: over its budget it is refused with 400 tooMany, which says what was too dear and what to do;
* it gives way: after SLICE units it lets the event loop serve others, and of all that wait to go on, one does in each
  turn of the loop, the tenants in turn; a dear one rests meanwhile. What cannot be interrupted is refused beyond STEP;
* it is paid for: its tenant's rate limit counts WORTH units as one more request.

Code that runs to its end without waiting yields instead, as a generator, and `in_turns` runs it; what neither waits nor
yields and may be long goes `apart`. The budget is a context variable, as the deadline is: the tasks of a request share
it, and without one nothing is counted.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from enum import Enum
from functools import cache, partial
from typing import ParamSpec, TypeVar
from weakref import WeakKeyDictionary

from scim.errors import TOO_MANY, ScimError
from scim.told import MATCH_ON

MOST = 10_000_000
"""Units of one request, about ten seconds: what a search over 100,000 resources takes, with a few terms, and half as
much again."""
PER_ROW = 100
"""Units that a search may need for each row, if the operator lets it read more rows than usual."""
SLICE = 1_000
"""Units after which others are served: about a millisecond."""
DEAR = 20_000
"""Units after which a request also rests, as long as it worked, while other tenants have requests under way."""
_REST = 2e-6
"""Seconds of rest for a unit: a slow machine takes so long."""
STEP = 20_000
"""Units that may be made without a pause: what does more in one go is refused."""
APART = 1_500_000
"""Units of what runs in a thread, beside the others."""
FEW = 2_000
"""Values that are worked on at once without a thread."""
BYTES_EACH = 150
"""Bytes of a resource that are a unit more, beside what is done with each."""
WORTH = 2_500
"""Units that count as a request to the rate limit of a tenant: at 400 a second, one second of one processor."""


class Work(Enum):
    """What is counted, with what to do if it is too much."""

    BODY = "its body has too many values; split the request"
    OPERATIONS = (
        "its operations look at too many values too often; split it into several requests, name fewer terms in the "
        "paths, or send each attribute once as a whole"
    )
    VALUES = "an attribute has too many values; send fewer at a time"
    FILTER = f"the filter compares too many values with too many terms; use fewer terms, or {MATCH_ON}"
    PAGE = "too much would have to be shown; ask for a smaller count, or for fewer attributes"
    READS = f"too many resources would have to be read one by one; {MATCH_ON}"


class TooDear(ScimError):
    """The request would take more work than one may: 400 tooMany, and nothing of it was done."""

    def __init__(self, work: Work, *, is_used_up: bool = False) -> None:
        detail = f"The request takes too much work, and nothing of it was done: {work.value}."
        super().__init__(TOO_MANY, detail, rule="budget")
        self.is_used_up = is_used_up
        """Whether it is all that the request did before, so that this alone may be possible."""


class Budget:
    """The work of one request of a tenant: up to `most` units. `pay` is told of what was done, in units."""

    __slots__ = ("_pay", "_slices", "_unpaid", "is_apart", "longest", "most", "since", "spent", "tenant")

    def __init__(self, most: int, tenant: str = "", pay: Callable[[int], None] | None = None) -> None:
        self.most, self.tenant = most, tenant
        self.spent = self.since = self.longest = 0
        self.is_apart = False
        self._pay, self._unpaid, self._slices = pay, 0, 0

    def charge(self, units: int, work: Work) -> bool:
        """Count work that comes now; whether a pause is due. Raises TooDear if that is too much: once the budget is
        used up, always."""
        if self.spent + units > self.most:
            self.spent = self.most
            raise TooDear(work, is_used_up=True)
        if self.since + units > (APART if self.is_apart else STEP):
            raise TooDear(work)
        self.spent += units
        self.since += units
        self._unpaid += units
        if self.is_apart and self.since // SLICE > self._slices:
            self._slices = self.since // SLICE
            # Or the event loop would wait for the interpreter's own switch, 5 ms for each of its steps.
            time.sleep(_REST * SLICE if _has_others(self.tenant) else 0.0001)
        return self.since >= SLICE

    def settle(self) -> None:
        """Pay for what was done since the last time; what was since is no longer one step."""
        if not self.is_apart:
            self.longest = max(self.longest, self.since)
        self.since = self._slices = 0
        if self._pay is not None and self._unpaid:
            self._pay(self._unpaid)
        self._unpaid = 0


_Result = TypeVar("_Result")
_Arguments = ParamSpec("_Arguments")

_under_way: dict[str, int] = {}
"""How many requests each tenant has in this process, if it has any."""
_current: ContextVar[Budget | None] = ContextVar("budget", default=None)


@contextmanager
def grant(budget: Budget) -> Iterator[Budget]:
    """Let what runs inside be counted against the budget, and be paid for at the end."""
    token = _current.set(budget)
    _under_way[budget.tenant] = _under_way.get(budget.tenant, 0) + 1
    try:
        yield budget
    finally:
        _current.reset(token)
        _under_way[budget.tenant] -= 1
        if not _under_way[budget.tenant]:
            del _under_way[budget.tenant]
        budget.settle()


def _has_others(tenant: str) -> bool:
    """Return whether another tenant has a request under way."""
    return len(_under_way) > (tenant in _under_way)


def charge(units: int, work: Work) -> bool:
    """Count work of the request at hand that comes now; whether a pause is due. Raises TooDear: call it before anything
    is written."""
    budget = _current.get()
    return budget is not None and budget.charge(units, work)


async def pause() -> None:
    """Serve others if this request has done a slice of work since it last did; call it between two steps."""
    budget = _current.get()
    if budget is not None and budget.since >= SLICE:
        since = budget.since
        budget.settle()
        loop = asyncio.get_running_loop()
        turns = _turns.get(loop)
        if turns is None:
            turns = _turns[loop] = _Turns()
        await turns.next(budget.tenant)
        if budget.spent > DEAR and _has_others(budget.tenant):
            await asyncio.sleep(_REST * since)


async def call(
    values: int, function: Callable[_Arguments, _Result], *args: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Call what takes that many values in one go, and run it apart if they are many."""
    return await run_apart(function, *args, **named) if values > FEW else function(*args, **named)


async def in_turns(steps: Generator[None, None, _Result]) -> _Result:
    """Run a generator to its end, with a pause for others wherever it yields, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result
        await pause()


def at_once(steps: Generator[None, None, _Result]) -> _Result:
    """Do the same without pauses, for callers that nobody waits beside."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _Result = end.value
            return result


async def run_apart(
    function: Callable[_Arguments, _Result], *args: _Arguments.args, **named: _Arguments.kwargs
) -> _Result:
    """Call what may be long and cannot be divided in a thread, one at a time, so that others are served beside it.

    They then wait for the interpreter, some milliseconds at each of their steps: what is longer must be divided."""
    budget = _current.get()
    if budget is None or budget.is_apart:
        return function(*args, **named)
    budget.settle()
    budget.is_apart = True
    try:
        call = partial(copy_context().run, function, *args, **named)
        return await asyncio.get_running_loop().run_in_executor(_thread(), call)
    finally:
        budget.settle()
        budget.is_apart = False


@cache
def _thread() -> Executor:
    return ThreadPoolExecutor(1, "budget")


class _Turns:
    """Who waits to go on: one does in each turn of the loop, so that all dear requests together hold it for a slice."""

    def __init__(self) -> None:
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        self._is_set = False

    def next(self, tenant: str) -> asyncio.Future[None]:
        """Return what is done when it is the caller's turn."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(tenant, deque()).append(turn)
        if not self._is_set:
            self._is_set = True
            asyncio.get_running_loop().call_soon(self._go)
        return turn

    def _go(self) -> None:
        """Let the first of the tenant go on that had its turn longest ago."""
        gone = False
        while self._waiting and not gone:
            tenant = next(iter(self._waiting))
            queue = self._waiting.pop(tenant)
            while queue and not gone:
                turn = queue.popleft()
                if not turn.done():  # a request that was given up is
                    turn.set_result(None)
                    gone = True
            if queue:
                self._waiting[tenant] = queue
        self._is_set = bool(self._waiting)
        if self._is_set:
            asyncio.get_running_loop().call_soon(self._go)


_turns: WeakKeyDictionary[asyncio.AbstractEventLoop, _Turns] = WeakKeyDictionary()
