"""What is noted of customers' requests, behind their responses: each is counted in memory, and whoever was refused is
recorded. Only a refusal, or the time to write what was counted, loads the recorder (scim/insight).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from scim.counters import Counters
from scim.http import ROOT, Request, Response
from scim.trace import Trace

if TYPE_CHECKING:
    from scim.insight.recorder import Recorder

log = logging.getLogger("scim")


class Observer:
    """The counters of this process, and the recorder that `open_recorder` loads; it returns None once the app is
    closed."""

    def __init__(self, open_recorder: Callable[[Counters], Recorder | None]) -> None:
        self._open_recorder = open_recorder
        self._counters = Counters()
        self._flushed = 0.0
        """Until when (time.monotonic) what is counted is about to be written anyway."""
        self._recorder: Recorder | None = None

    def note(self, request: Request, response: Response, trace: Trace, milliseconds: float, every: float) -> None:
        """Note a request that has ended. What is counted is written every `every` seconds; if that is 0, nothing is
        noted."""
        if trace.tenant is None or not every:
            return
        loop = asyncio.get_running_loop()
        if request.root == ROOT:
            self._counters.count(request, response, trace, milliseconds)
            if (now := time.monotonic()) >= self._flushed:
                self._flushed = now + every
                loop.call_later(every, self._flush)
        if response.status >= 400 or trace.failed:
            loop.call_soon(self._record, request, response, trace, time.time())

    async def settle(self) -> None:
        """Write what waits, for as long as that is quick."""
        recorder, self._recorder = self._recorder, None
        if recorder is not None:
            await recorder.settle()

    def _flush(self) -> None:
        if (recorder := self._find_recorder()) is not None:
            recorder.flush()

    def _record(self, request: Request, response: Response, trace: Trace, at: float) -> None:
        if (recorder := self._find_recorder()) is None:
            return
        try:
            recorder.record(request, response, trace, at)
        except Exception:  # it must not end the loop's turn with noise of another kind
            log.exception("the refusal of request %s was not recorded", trace.request)

    def _find_recorder(self) -> Recorder | None:
        if self._recorder is None:
            self._recorder = self._open_recorder(self._counters)
        return self._recorder
