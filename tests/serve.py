"""`python -m tests.serve`: the app in a process of its own, for a test that kills it in the middle of a request.

Serves function_app as `make run` does, with the settings of the environment, on a free port, which is the first line
of its output. `python -m tests.serve housekeep` runs housekeeping once instead and ends.

HALT="<number> before|during|after" halts the process at its write of that number: before it is sent, while the table
works on it, or when it is done. The line "halted" says so, and nothing happens any more.
"""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Any

from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.core.pipeline.policies import AsyncHTTPPolicy

import function_app
from dev.azurite import free_port
from dev.host import Host, serve
from scim.app import Application


class Halt(AsyncHTTPPolicy[Any, Any]):
    """Counts the writes on the wire to the table, and halts at one of them."""

    def __init__(self, halt: str) -> None:
        number, _, self._moment = halt.partition(" ")
        self._left = int(number)

    async def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        if request.http_request.method == "GET":
            return await self.next.send(request)
        self._left -= 1
        if self._left == 0:
            if self._moment == "during":
                sent = asyncio.ensure_future(self.next.send(request))
                await asyncio.wait([sent], timeout=0.002)
            elif self._moment == "after":
                await self.next.send(request)
            print("halted", flush=True)
        if self._left <= 0:
            await asyncio.Event().wait()
        return await self.next.send(request)


async def main(arguments: list[str]) -> None:
    application = Application(policies=[Halt(os.environ.get("HALT", "0"))])
    if arguments == ["housekeep"]:
        await application.housekeep(everything=True)
        await application.close()
        return
    function_app.application = application
    port = free_port()
    await serve(Host(function_app.app), port)
    print(port, flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
