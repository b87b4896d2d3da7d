"""`python -m dev.chaos.app PORT`: the app in a process that can be killed, with the settings of the environment.

Serves function_app as `make run` does and says "serving" when it does. Lines on standard input are obeyed: "settle"
stops housekeeping, waits until no request is under way and answers "settled"; "finish" does the housekeeping for all
that is pending, which may be done only while nobody is at work, and answers "finished" or "failed"; "go" starts the
usual housekeeping again. The end of the input is the end of the process.

Two variables of the environment are read beside the app's settings: CHAOS_CLOCK, the seconds that the app's clock is
ahead of the machine's, and CHAOS_HOUSEKEEPING, the seconds between two runs of housekeeping (0: none).
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys

import function_app
from dev.chaos.clock import shift
from dev.host import Host, serve
from scim.http import Request, Response

log = logging.getLogger("dev.chaos.app")
_QUIET_SECONDS = 0.3


class Watched:
    """The app's requests and its housekeeping, counted while they are under way."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._handle = function_app.application.handle
        self._under_way = self._begun = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._may_keep_house = asyncio.Event()
        self._may_keep_house.set()

    async def handle(self, request: Request) -> Response:
        """Stands in the place of the application's own `handle`."""
        self._begin()
        try:
            return await self._handle(request)
        finally:
            self._end()

    async def keep_house(self) -> None:
        """Run housekeeping again and again, as the timer does in Azure."""
        while self._every:
            await asyncio.sleep(self._every * random.uniform(0.5, 1.5))
            await self._may_keep_house.wait()
            self._begin()
            try:
                await function_app.application.housekeep()
            except Exception as error:  # the timer's next run goes on
                log.warning("housekeeping ended: %r", error)
            finally:
                self._end()

    async def obey(self) -> None:
        """Do what standard input says until it ends."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            if line == b"settle\n":
                self._may_keep_house.clear()
                await self._settled()
                print("settled", flush=True)
            elif line == b"finish\n":
                print("finished" if await _finished() else "failed", flush=True)
            elif line == b"go\n":
                self._may_keep_house.set()

    async def _settled(self) -> None:
        """Wait until nothing is under way, and for a moment nothing begins: a request whose client has gone may still
        wait to be read."""
        begun = -1
        while begun != self._begun:
            begun = self._begun
            await self._idle.wait()
            await asyncio.sleep(_QUIET_SECONDS)

    def _begin(self) -> None:
        self._begun += 1
        self._under_way += 1
        self._idle.clear()

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()


async def _finished() -> bool:
    """Keep house for all that is pending; whether that went well."""
    try:
        await function_app.application.housekeep(everything=True)
    except Exception as error:
        log.warning("housekeeping ended: %r", error)
        return False
    return True


async def main(port: int) -> None:
    """Serve until the input ends."""
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    shift(float(os.environ.get("CHAOS_CLOCK", "0")))
    watched = Watched(float(os.environ.get("CHAOS_HOUSEKEEPING", "0")))
    function_app.application.handle = watched.handle  # type: ignore[method-assign]
    runner = await serve(Host(function_app.app), port)
    housekeeping = asyncio.create_task(watched.keep_house())
    print("serving", flush=True)
    await watched.obey()
    housekeeping.cancel()
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
