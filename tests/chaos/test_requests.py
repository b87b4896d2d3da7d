"""What a sender concludes from what comes back, or from nothing."""

from __future__ import annotations

import asyncio
import json
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from dev.chaos.requests import ERROR, TYPE, Log, Sender


@dataclass
class Answering:
    """Stands for the app's process: gives every request the same answer. Without one it closes the connection, with
    `dies` it counts that as its death, and it waits for `seconds` first."""

    answer: bytes
    dies: bool = False
    seconds: float = 0.0
    requests: int = 0
    kills: int = 0
    port: int = 0
    up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/scim"

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        self.kills += self.dies
        self.requests += 1
        await asyncio.sleep(self.seconds)
        writer.write(self.answer)
        writer.close()


@asynccontextmanager
async def sending(app: Answering) -> AsyncIterator[Sender]:
    server = await asyncio.start_server(app.serve, "127.0.0.1", 0)
    app.port = server.sockets[0].getsockname()[1]
    app.up.set()
    sender = Sender([app], "t", "token", Log())
    try:
        yield sender
    finally:
        await sender.close()
        server.close()


def http(status: int, body: object = None, content_type: str = TYPE) -> bytes:
    data = b"" if body is None else json.dumps(body).encode()
    head = f'HTTP/1.1 {status} x\r\nContent-Type: {content_type}\r\nETag: W/"1"\r\nContent-Length: {len(data)}\r\n\r\n'
    return head.encode() + data


def scim(status: int) -> bytes:
    return http(status, {"schemas": [ERROR], "status": str(status), "detail": "why"})


@pytest.mark.parametrize(
    ("answer", "done", "unknown", "found"),
    [
        (http(201, {"id": "u-1"}), True, False, []),
        (http(204), True, False, []),
        (scim(404), False, False, []),
        (scim(409), False, False, []),
        (scim(412), False, False, []),
        (scim(429), False, True, []),
        (scim(503), False, True, []),
        (scim(500), False, True, ["answered 500"]),
        (scim(400), False, True, ["answered 400"]),
        (http(503, None), False, True, ["no SCIM error"]),
        (b"", False, True, ["answer lost"]),
    ],
)
async def test_an_answer(answer: bytes, done: bool, unknown: bool, found: list[str]) -> None:
    async with sending(Answering(answer)) as sender:
        outcome = await sender.send("POST", "/Users", {"userName": "ada"})
    assert (outcome.done, outcome.unknown) == (done, unknown)
    assert [finding.kind for finding in sender.log.findings] == found
    assert (sender.log.requests, sender.log.writes) == (1, int(done))


async def test_an_answer_that_is_lost_in_a_kill_is_no_finding() -> None:
    async with sending(Answering(b"", dies=True)) as sender:
        outcome = await sender.send("POST", "/Users", {"userName": "ada"})
    assert (outcome.unknown, sender.log.findings, sender.log.answers) == (True, [], {"lost": 1})


async def test_a_client_that_gives_up() -> None:
    async with sending(Answering(scim(503), seconds=0.3)) as sender:
        outcome = await sender.send("POST", "/Users", {"userName": "ada"}, patience=0.05)
    assert (outcome.unknown, sender.log.findings, sender.log.answers) == (True, [], {"given up": 1})


async def test_requests_go_to_every_process_that_is_up() -> None:
    apps = [Answering(scim(404)) for _ in range(3)]
    servers = [await asyncio.start_server(app.serve, "127.0.0.1", 0) for app in apps]
    for app, server in zip(apps, servers, strict=True):
        app.port = server.sockets[0].getsockname()[1]
    apps[0].up.set()
    apps[2].up.set()
    sender = Sender(apps, "t", "token", Log())
    for _ in range(30):
        await sender.send("GET", "/Users/u-1")
    await sender.close()
    for server in servers:
        server.close()
    assert [app.requests > 0 for app in apps] == [True, False, True]


async def test_a_request_waits_for_a_process() -> None:
    app = Answering(scim(404))
    async with sending(app) as sender:
        app.up.clear()
        asyncio.get_running_loop().call_later(0.1, app.up.set)
        assert (await sender.send("GET", "/Users/u-1")).status == 404
