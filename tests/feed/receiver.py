"""A webhook's receiver, over TLS as a real one, which checks what it gets with the library of Standard Webhooks and
answers what it is told to."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import cache
from typing import Any

import trustme
from aiohttp import web
from standardwebhooks.webhooks import Webhook

Event = dict[str, Any]
Answer = tuple[int, dict[str, str]]


class Receiver:
    """`answer` is asked for status and headers, with the events of the message at hand; those of a message that is
    answered with 2xx are `taken`."""

    def __init__(self) -> None:
        self.secrets: list[str] = []
        self.url = ""
        self.ca_file = ""
        self.answer: Callable[[list[Event]], Answer] = lambda events: (204, {})
        self.delay = 0.0
        self.messages: list[tuple[str, list[int]]] = []
        """Of each message its id and the numbers of its events."""
        self.sizes: list[int] = []
        self.taken: list[Event] = []
        self.at_once: dict[str, int] = {}
        self.most_at_once = 0
        self.elsewhere = 0

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        for secret in self.secrets:
            Webhook(secret).verify(body, dict(request.headers))
        message = json.loads(body)
        events, tenant = message["data"]["events"], message["data"]["tenant"]
        assert (message["type"], message["data"]["next"].rpartition("_")[2]) == ("feed.events", str(events[-1]["seq"]))
        self.messages.append((request.headers["webhook-id"], [event["seq"] for event in events]))
        self.sizes.append(len(body))
        self.at_once[tenant] = self.at_once.get(tenant, 0) + 1
        self.most_at_once = max(self.most_at_once, self.at_once[tenant])
        try:
            await asyncio.sleep(self.delay)
        finally:
            self.at_once[tenant] -= 1
        status, headers = self.answer(events)
        if 200 <= status < 300:
            self.taken += events
        return web.Response(status=status, headers=headers)

    async def count(self, request: web.Request) -> web.Response:
        self.elsewhere += 1
        return web.Response()

    @property
    def numbers(self) -> list[int]:
        return [event["seq"] for event in self.taken]


@cache
def _authority() -> trustme.CA:
    return trustme.CA()


@cache
def _certificate() -> trustme.LeafCert:
    return _authority().issue_cert("hooks.example")


@asynccontextmanager
async def receiving(ca_file: str) -> AsyncIterator[Receiver]:
    """A receiver on a port of 127.0.0.1, whose certificate is for `hooks.example` and is trusted by `ca_file`."""
    receiver, authority = Receiver(), _authority()
    authority.cert_pem.write_to_path(ca_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _certificate().configure_cert(context)
    application = web.Application(client_max_size=2**20)
    application.add_routes([web.post("/hook", receiver.take), web.route("*", "/elsewhere", receiver.count)])
    runner = web.AppRunner(application, shutdown_timeout=0)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    port = runner.addresses[0][1]
    receiver.url, receiver.ca_file = f"https://hooks.example:{port}/hook", ca_file
    yield receiver
    await runner.cleanup()
