"""`python -m tests.budget.serve`: the app in a process of its own that says how long its event loop was held.

Serves function_app with the settings of the environment. The lines of its output are the app's port and a second one,
where each GET answers {"held": seconds} and begins anew: the most that the loop's own thread worked, in seconds of its
processor, before whoever waited for the loop had a turn. What other processes do on the machine is not in it.
"""

from __future__ import annotations

import asyncio
import time

from aiohttp import web

import function_app
from dev.azurite import free_port
from dev.host import Host, serve
from scim.app import Application

_EVERY = 0.002
"""Seconds after which the watch wants its turn."""


async def main() -> None:
    function_app.application = Application()
    port, told = free_port(), free_port()
    await serve(Host(function_app.app), port)
    held = 0.0

    async def watch() -> None:
        nonlocal held
        last = time.thread_time()
        while True:
            await asyncio.sleep(_EVERY)
            now = time.thread_time()
            held, last = max(held, now - last), now

    async def tell(_: web.Request) -> web.Response:
        nonlocal held
        answer, held = held, 0.0
        return web.json_response({"held": answer})

    watching = asyncio.create_task(watch())
    site = web.Application()
    site.router.add_get("/", tell)
    runner = web.AppRunner(site)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", told).start()
    print(port, told, flush=True)
    await watching


if __name__ == "__main__":
    asyncio.run(main())
