"""`python -m dev.bench.server`: the app in a process of its own, for parts that compare processes.

Serves function_app with the settings of the environment on a free port of 127.0.0.1, which is the first line of its
output, until its standard input closes.
"""

from __future__ import annotations

import asyncio
import sys

import function_app
from dev.azurite import free_port
from dev.host import Host, serve


async def main() -> None:
    """Serve until nobody holds the other end of standard input any more."""
    port = free_port()
    runner = await serve(Host(function_app.app), port)
    print(port, flush=True)
    await asyncio.to_thread(sys.stdin.read)
    await runner.cleanup()
    await function_app.application.close()


if __name__ == "__main__":
    asyncio.run(main())
