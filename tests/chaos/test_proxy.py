"""The proxy does to a request what its fault says, and the faults are those of the seed."""

from __future__ import annotations

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from dev.chaos.faults import CONTESTED, STATUSES, WEIGHTS, Fault, Faults
from dev.chaos.proxy import Proxy

REQUEST = b"POST /table HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody"
ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
EMPTY = b"HTTP/1.1 204 No Content\r\n\r\n"


class Scripted(Faults):
    """Faults that a test has chosen; none after them."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("", 0.0)
        self.left = list(faults)

    def next(self, *, contested: bool = False) -> Fault:
        return self.left.pop(0) if self.left else Fault()


@dataclass
class Table:
    """Stands for the table: counts requests, and answers each the same."""

    answer: bytes = ANSWER
    requests: int = 0
    seconds: float = 0.0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        try:
            while True:
                assert await reader.readexactly(len(REQUEST)) == REQUEST
                self.requests += 1
                self.arrived.set()
                await asyncio.sleep(self.seconds)
                writer.write(self.answer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def standing(table: Table, *faults: Fault) -> AsyncIterator[Proxy]:
    server = await asyncio.start_server(table.serve, "127.0.0.1", 0)
    proxy = Proxy(server.sockets[0].getsockname()[1], Scripted(*faults))
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
        server.close()


async def ask(proxy: Proxy) -> bytes:
    """Everything that comes back to one request until the connection ends; ConnectionResetError where it is reset."""
    reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
    writer.write(REQUEST)
    try:
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize("answer", [ANSWER, CHUNKED, EMPTY], ids=["length", "chunked", "empty"])
async def test_without_a_fault_everything_passes(answer: bytes) -> None:
    table = Table(answer)
    async with standing(table) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        for _ in range(3):  # on one connection
            writer.write(REQUEST)
            assert await reader.readexactly(len(answer)) == answer
        writer.close()
    assert (table.requests, proxy.passed) == (3, {"POST": 3})


@pytest.mark.parametrize(
    ("kind", "requests", "received"),
    [
        ("dropped before", 0, b""),
        ("dropped after", 1, b""),
        ("cut", 1, ANSWER[:-5]),
        ("hung before", 0, b""),
        ("hung after", 1, b""),
        ("held after", 1, b""),
    ],
)
async def test_what_is_lost(kind: str, requests: int, received: bytes) -> None:
    table = Table()
    async with standing(table, Fault(kind, seconds=0.1)) as proxy:  # type: ignore[arg-type]
        assert await ask(proxy) == received
    assert table.requests == requests


@pytest.mark.parametrize(("kind", "requests"), [("reset before", 0), ("reset after", 1)])
async def test_a_reset(kind: str, requests: int) -> None:
    table = Table()
    async with standing(table, Fault(kind)) as proxy:  # type: ignore[arg-type]
        with pytest.raises(ConnectionResetError):
            await ask(proxy)
    assert table.requests == requests


@pytest.mark.parametrize("status", STATUSES)
@pytest.mark.parametrize(("kind", "requests"), [("refused before", 0), ("refused after", 1)])
async def test_an_error_of_the_proxys_own(kind: str, requests: int, status: int) -> None:
    table = Table()
    async with standing(table, Fault(kind, status=status)) as proxy:  # type: ignore[arg-type]
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(f"HTTP/1.1 {status} ".encode())
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        assert b'"odata.error"' in await reader.readexactly(length)
        assert table.requests == requests
        writer.write(REQUEST)  # and the connection goes on
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        writer.close()


async def test_a_slow_request_arrives_while_its_sender_waits() -> None:
    table = Table()
    async with standing(table, Fault("slow", seconds=0.05)) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        writer.close()


async def test_a_slow_request_does_not_arrive_when_its_sender_has_gone() -> None:
    table = Table()
    async with standing(table, Fault("slow", seconds=0.2)) as proxy:
        _, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        writer.close()
        await writer.wait_closed()
        await asyncio.sleep(0.4)
    assert table.requests == 0


async def test_a_late_request_arrives_when_its_sender_has_gone() -> None:
    table = Table()
    async with standing(table, Fault("late", seconds=0.2)) as proxy:
        assert await ask(proxy) == b""
        assert table.requests == 0
        async with asyncio.timeout(5):
            await table.arrived.wait()
            await proxy.flush()
        assert (table.requests, proxy.delivered) == (1, 1)


async def test_a_late_request_can_be_hurried() -> None:
    table = Table()
    async with standing(table, Fault("late", seconds=1000.0)) as proxy:
        assert await ask(proxy) == b""
        async with asyncio.timeout(5):
            await proxy.flush()
        assert (table.requests, proxy.delivered) == (1, 1)


async def test_a_late_request_waits_while_requests_are_held_back() -> None:
    table = Table()
    async with standing(table, Fault("late", seconds=0.0)) as proxy:
        proxy.hold()
        assert await ask(proxy) == b""
        await asyncio.sleep(0.1)
        assert table.requests == 0
        proxy.release()
        await proxy.flush()
        assert table.requests == 1


async def test_a_late_request_to_a_table_that_is_away_never_arrives() -> None:
    proxy = Proxy(1, Scripted(Fault("late")))
    await proxy.start()
    assert await ask(proxy) == b""
    await proxy.flush()
    assert proxy.delivered == 0
    await proxy.stop()


async def test_a_table_that_is_busy_refuses_others_too() -> None:
    table = Table()
    async with standing(table, Fault("busy before", seconds=1000.0)) as proxy:
        for _ in range(2):
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            writer.write(REQUEST)
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 503 ")
            writer.close()
        assert table.requests == 0
        proxy.faults = None
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        writer.close()


async def test_what_is_contested_is_known_by_its_body() -> None:
    asked = []

    class Asked(Faults):
        def next(self, *, contested: bool = False) -> Fault:
            asked.append(contested)
            return Fault()

    async with standing(Table()) as proxy:
        for sought in (b"bod", b"other"):
            faulty = Proxy(proxy.port, Asked("", 0.0), lambda body, sought=sought: sought in body)
            await faulty.start()
            reader, writer = await asyncio.open_connection("127.0.0.1", faulty.port)
            writer.write(REQUEST)
            assert await reader.readexactly(len(ANSWER)) == ANSWER
            writer.close()
            await faulty.stop()
    assert asked == [True, False]


async def test_requests_are_held_back_when_the_table_is_idle() -> None:
    table = Table(seconds=0.05)
    async with standing(table) as proxy:
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        writer.write(REQUEST)
        await table.arrived.wait()
        proxy.hold()
        await proxy.drained()
        assert await reader.readexactly(len(ANSWER)) == ANSWER  # it waited for this one
        writer.write(REQUEST)
        await asyncio.sleep(0.1)
        assert table.requests == 1
        proxy.release()
        assert await reader.readexactly(len(ANSWER)) == ANSWER
        writer.close()


async def test_a_table_that_is_away_is_a_lost_connection() -> None:
    proxy = Proxy(1)  # nobody listens there
    await proxy.start()
    assert await ask(proxy) == b""
    await proxy.stop()


def test_faults_are_the_seeds() -> None:
    drawn = [[faults.next() for _ in range(2000)] for faults in (Faults("1", 0.5), Faults("1", 0.5), Faults("2", 0.5))]
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]
    assert {fault.kind for fault in drawn[0]} >= {
        "none",
        *(kind for kind, weight in WEIGHTS.items() if weight >= 1),
    }


def test_faults_are_as_many_as_asked_for() -> None:
    none, all_ = Faults("1", 0.0), Faults("1", 1.0)
    for _ in range(100):
        assert none.next() == Fault()
        assert all_.next().kind != "none"
    assert (none.injected.total(), all_.injected.total()) == (0, 100)


def test_contested_transactions_get_faults_of_their_own() -> None:
    faults = Faults("1", 0.0, 0.5)
    kinds = {faults.next(contested=True).kind for _ in range(300)}
    assert kinds == {"none", *CONTESTED}
    assert {faults.next().kind for _ in range(300)} == {"none"}
