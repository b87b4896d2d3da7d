"""The console's pages before a real browser: served with the policy under which they run, without a door.

Who is visiting is named by the first part of the host name: a browser sends operator.localhost and admin.localhost.
"""

from __future__ import annotations

import mimetypes
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

import scim.console
from scim.console.visit import Download, Redirect
from tests.console.place import ADMIN, OPERATOR, Console

_STATIC = Path(scim.console.__file__).parent / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)


@asynccontextmanager
async def serve(console: Console) -> AsyncIterator[int]:
    """Serve the pages for as long as the block runs; the port, on 127.0.0.1."""

    async def answer(request: web.Request) -> web.StreamResponse:
        person = ADMIN if request.host.startswith("admin.") else OPERATOR
        form = {name: str(value) for name, value in (await request.post()).items()}
        sent = form if request.method == "POST" else None
        status, made, text = await console.ask(person, str(request.rel_url), sent)
        if isinstance(made, Redirect):
            raise web.HTTPSeeOther(made.to)
        kind = made.type.partition(";")[0] if isinstance(made, Download) else "text/html"
        headers = {"Content-Security-Policy": POLICY}
        return web.Response(status=status, text=text, content_type=kind, charset="utf-8", headers=headers)

    async def static(request: web.Request) -> web.StreamResponse:
        file = _STATIC / request.match_info["name"]
        return web.Response(body=file.read_bytes(), content_type=mimetypes.guess_type(file.name)[0])

    app = web.Application()
    app.router.add_get("/console/static/0/{name}", static)
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
