"""Applications without a Functions host: called one request after the other, or served over HTTP."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from aiohttp import web
from multidict import CIMultiDict

from dev.azurite import free_port
from dev.credentials import SEALS, new_key
from dev.host import Answer
from scim.app import Application
from scim.http import Request
from scim.settings import Settings

ADDED = Path(__file__).parents[1] / "schema" / "added"
IN_MEMORY = {
    "SCIM_TABLE_CONNECTION_STRING": "none",
    "SCIM_USAGE_MINUTES": "0",  # what is behind requests is not what is tried here
    "SCIM_INSIGHT_SECONDS": "0",
    "SCIM_TENANT_RESOURCES": "0",
    "SCIM_TENANT_MEMBERS": "0",
    "SCIM_TENANT_MEGABYTES": "0",
    "SCIM_TENANT_RATE": "0",
    "SCIM_SCHEMAS_FOLDER": str(ADDED),
}
"""Settings of an application that is given a table."""

T = TypeVar("T")


def connected(tenant: str, **settings: str) -> tuple[Settings, str]:
    """The settings of an application in memory with one connection, and its secret token."""
    token = new_key(tenant)
    connections = f'{{"{tenant}": {{"tenant": "{tenant}", "keys": ["{token}"]}}}}'
    return Settings.from_environment(
        {**IN_MEMORY, "SCIM_CONNECTIONS": connections, "SCIM_SEALS": SEALS, **settings}
    ), token


class Direct:
    """Stands where a Host would, for code that is not asynchronous itself: `run` waits for what a client does."""

    def __init__(self, application: Application) -> None:
        self.application = application
        self._loop = asyncio.new_event_loop()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._loop.run_until_complete(work)

    def close(self) -> None:
        self.run(self.application.close())
        self._loop.close()

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        lower = {name.lower(): value for name, value in headers.items()}
        response = await self.application.handle(Request(method, url, lower, body))
        return Answer(response.status, CIMultiDict(response.headers), response.encoded())


@contextmanager
def served(application: Application) -> Iterator[str]:
    """The origin of a server of the application, in a thread of its own; it takes whatever is a request to HTTP."""

    async def answer(request: web.BaseRequest) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        url = f"http://{request.host}{request.raw_path}"
        response = await application.handle(Request(request.method, url, headers, await request.read()))
        return web.Response(status=response.status, headers=response.headers, body=response.encoded())

    async def start() -> web.ServerRunner:
        runner = web.ServerRunner(web.Server(answer, access_log=None), shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port).start()
        return runner

    loop, port = asyncio.new_event_loop(), free_port()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    runner = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        asyncio.run_coroutine_threadsafe(runner.cleanup(), loop).result(30)
        asyncio.run_coroutine_threadsafe(application.close(), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()
