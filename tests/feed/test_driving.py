"""Sinks in the app: driven behind responses and by the timer, and never in a request's way."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web

from scim.app import Application
from scim.feed.sinks.document import SinkDocument, create_secret, find_sinks, write_sinks
from scim.feed.sinks.state import read_state
from scim.security.secrets import SecretsUnavailable
from scim.security.vault import Secret
from tests.feed.test_reading import App, application
from tests.store.memory import MemoryTable

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


class Hook:
    """A receiver on this machine, that answers when it is let."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.came = asyncio.Event()
        self.open = asyncio.Event()
        self.open.set()

    async def take(self, request: web.Request) -> web.Response:
        self.came.set()
        message = await request.json()
        await self.open.wait()
        self.taken += message["data"]["events"]
        return web.Response(status=204)


@asynccontextmanager
async def hooked(**more: str) -> AsyncIterator[tuple[App, Hook]]:
    """An app with a sink, and its receiver."""
    hook, server = Hook(), web.Application()
    server.add_routes([web.post("/hook", hook.take)])
    runner = web.AppRunner(server, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    sinks = {"dev": SinkDocument(name="dev", url=url, secrets=(SECRET,))}
    table = MemoryTable()
    app = App(table, application(table, SCIM_SINKS=write_sinks(sinks), **more))
    yield app, hook
    await app.application.close()
    await runner.cleanup()


async def wait_for(application: Application) -> None:
    assert application.feed
    await application.feed.sinks[0].finish(10)


async def test_behind_the_response() -> None:
    async with hooked(SCIM_FEED_SECONDS="1") as (app, hook):
        id = await app.post("contoso", "ada")
        async with asyncio.timeout(10):
            await hook.came.wait()
        await wait_for(app.application)
        assert [event["resource"]["id"] for event in hook.taken] == [id]


async def test_by_the_timer() -> None:
    async with hooked() as (app, hook):
        await app.post("contoso", "ada")
        await app.post("fabrikam", "bob")
        assert hook.taken == []
        await app.application.housekeep()
        assert sorted(event["tenant"] for event in hook.taken) == ["contoso", "fabrikam"]


async def test_a_receiver_that_hangs_keeps_no_request_waiting() -> None:
    async with hooked(SCIM_FEED_SECONDS="1") as (app, hook):
        hook.open.clear()
        await app.post("contoso", "ada")
        async with asyncio.timeout(10):
            await hook.came.wait()
        started = time.monotonic()
        await app.post("contoso", "bob")
        page: Any = (await app.ask("follower", "/feed/contoso")).body
        assert [event["seq"] for event in page["events"]] == [1, 2]
        assert time.monotonic() - started < 10  # the receiver is given twenty
        assert hook.taken == []
        hook.open.set()
        await wait_for(app.application)


async def test_what_is_no_sink_is_told_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    table = MemoryTable()
    app = App(table, application(table, SCIM_SINKS=json.dumps({"dev": {"url": "ftp://x/hunter2"}})))
    await app.post("contoso", "ada")
    await app.application.housekeep()
    assert "misconfigured: SCIM_SINKS sink 'dev'" in caplog.text and "hunter2" not in caplog.text
    assert (await read_state(table, "contoso", "dev")).etag == ""
    await app.application.close()


class Vault:
    """A vault that holds one secret, or is away."""

    def __init__(self, text: str | None) -> None:
        self.text = text

    async def read(self, name: str) -> Secret | None:
        assert name == "sinks"
        return None if self.text is None else Secret(self.text, None, "1")


async def test_sinks_of_a_vault() -> None:
    sink = SinkDocument(name="crm", url="https://crm.example/", secrets=(create_secret(),))
    assert await find_sinks(Vault(write_sinks({"crm": sink})), "", 5).get("sinks") == {"crm": sink}
    assert await find_sinks(Vault(None), "", 5).get("sinks") is None
    local = sink.model_copy(update={"url": "http://127.0.0.1:8080/"})
    for text in ("{", write_sinks({"crm": local})):
        with pytest.raises(SecretsUnavailable):
            await find_sinks(Vault(text), "", 5).get("sinks")
    assert await find_sinks(None, write_sinks({"crm": local}), 5).get("sinks") == {"crm": local}
