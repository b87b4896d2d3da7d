"""An HTTP proxy before the table that does to each request what its fault says.

Only what the app and Azurite say to each other is understood: HTTP/1.1 with Content-Length or chunked bodies. A request
whose sender has gone while it waited here is not sent on: it would arrive at the table after its sender's retries. That
is what the fault "late" is for.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import struct
import time
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dev.chaos.faults import Fault, Faults

_LIMIT = 16 * 2**20
"""Bytes of a head or a chunk: more than a transaction's answer has."""
_LOOK = 0.05
"""Seconds between two looks whether a sender still waits."""
_LOST = (ConnectionError, asyncio.IncompleteReadError, OSError)
_REASONS = {429: "TooManyRequests", 500: "OperationTimedOut", 503: "ServerBusy"}


@dataclass(frozen=True, slots=True)
class Message:
    """A request or an answer, head and body as they stood on the wire."""

    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        return self.head.partition(b" ")[0].decode("ascii", "replace")


class Proxy:
    """Listens on a free port of 127.0.0.1 and speaks to the table at `target`.

    `faults` None lets everything through. `contested` says of a transaction's body whether several clients write to
    what it is about. `passed` counts the requests that reached the table, by method; `delivered` those that came
    late."""

    def __init__(
        self, target: int, faults: Faults | None = None, contested: Callable[[bytes], bool] = lambda _: False
    ) -> None:
        self.faults = faults
        self.passed: Counter[str] = Counter()
        self.delivered = 0
        self._contested = contested
        self._busy_until = 0.0
        self._hurry = asyncio.Event()
        self._late: set[asyncio.Task[None]] = set()
        self._target = target
        self._server: asyncio.Server | None = None
        self._open = asyncio.Event()
        self._open.set()
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        assert self._server is not None
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def start(self) -> None:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=_LIMIT)

    async def stop(self) -> None:
        """Close every connection."""
        if self._server is not None:
            self._server.close()
        tasks = [*self._tasks, *self._late]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def hold(self) -> None:
        """Keep new requests here. Those that the table has under way go on; see `drained`."""
        self._open.clear()

    def release(self) -> None:
        """Let the requests go on that `hold` has kept and whose senders still wait."""
        self._open.set()

    async def drained(self) -> None:
        """Wait until the table has no request under way. For after the app was killed, or the table stood still: what
        nobody waits for any more must not arrive behind what comes next."""
        while True:
            await asyncio.sleep(_LOOK)
            if self._idle.is_set():
                return
            await self._idle.wait()

    async def flush(self) -> None:
        """Deliver at once all that was to come late."""
        self._hurry.set()
        while self._late:
            await asyncio.gather(*self._late, return_exceptions=True)
        self._hurry.clear()

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        upstream: tuple[StreamReader, StreamWriter] | None = None
        try:
            while (request := await _read(reader, None)) is not None:
                fault = self._fault(request)
                if fault.kind == "refused before":
                    writer.write(_refusal(fault.status))
                    continue
                if not await self._reaches(fault, request, reader, writer):
                    return
                await self._open.wait()
                if reader.at_eof():
                    return
                with self._counted():
                    if upstream is None or upstream[0].at_eof() or upstream[0].exception():  # the table was restarted
                        if upstream is not None:
                            upstream[1].close()
                        upstream = await asyncio.open_connection("127.0.0.1", self._target, limit=_LIMIT)
                    answer = await self._exchange(request, *upstream)
                if fault.kind in ("hung after", "held after"):
                    await _gone_or_later(reader, fault.seconds)
                if not self._answered(fault, answer, writer):
                    return
                await writer.drain()
        except _LOST:
            pass
        finally:
            self._tasks.discard(task)
            writers = [writer, upstream[1]] if upstream else [writer]
            for each in writers:  # all of them, before the first wait, which may be cancelled
                each.close()
            for each in writers:
                with contextlib.suppress(*_LOST):
                    await each.wait_closed()

    def _fault(self, request: Message) -> Fault:
        """Return what shall happen to the request."""
        if self.faults is None:
            return Fault()
        contested = request.method != "GET" and self._contested(request.body)
        fault = self.faults.next(contested=contested)
        if fault.kind == "busy before":
            self._busy_until = time.monotonic() + fault.seconds
        return Fault("refused before", status=503) if time.monotonic() < self._busy_until else fault

    async def _reaches(self, fault: Fault, request: Message, reader: StreamReader, writer: StreamWriter) -> bool:
        """Do what the fault does on the way to the table, and return whether the request goes on."""
        if fault.kind == "late":
            task = asyncio.create_task(self._deliver(request, fault.seconds))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
            return False
        if fault.kind == "reset before":
            _reset(writer)
        if fault.kind in ("dropped before", "reset before"):
            return False
        if fault.kind in ("slow", "hung before"):
            await _gone_or_later(reader, fault.seconds)
        return fault.kind != "hung before"

    async def _deliver(self, request: Message, seconds: float) -> None:
        """Bring a request to the table when nobody waits for its answer any more; never, if the table is away."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), seconds)
        await self._open.wait()
        with contextlib.suppress(*_LOST), self._counted():
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target, limit=_LIMIT)
            try:
                await self._exchange(request, reader, writer)
                self.delivered += 1
            finally:
                writer.close()

    @contextlib.contextmanager
    def _counted(self) -> Iterator[None]:
        """One more request is under way meanwhile."""
        self._under_way += 1
        self._idle.clear()
        try:
            yield
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _exchange(self, request: Message, reader: StreamReader, writer: StreamWriter) -> Message:
        writer.write(request.head + request.body)
        await writer.drain()
        answer = await _read(reader, request.method)
        if answer is None:
            raise ConnectionResetError
        self.passed[request.method] += 1
        return answer

    def _answered(self, fault: Fault, answer: Message, writer: StreamWriter) -> bool:
        """Do what the fault does on the way back, and return whether the connection goes on."""
        if fault.kind == "reset after":
            _reset(writer)
        if fault.kind in ("dropped after", "reset after", "hung after", "held after"):
            return False
        if fault.kind == "cut":
            whole = answer.head + answer.body
            writer.write(whole[: len(answer.head) + len(answer.body) // 2] if answer.body else whole[: len(whole) // 2])
            return False
        writer.write(_refusal(fault.status) if fault.kind == "refused after" else answer.head + answer.body)
        return True


async def _gone_or_later(reader: StreamReader, seconds: float) -> None:
    """Wait, but no longer than the sender does."""
    for _ in range(max(1, round(seconds / _LOOK))):
        if reader.at_eof():
            return
        await asyncio.sleep(min(seconds, _LOOK))


async def _read(reader: StreamReader, asked: str | None) -> Message | None:
    """Return a request (`asked` None) or the answer to one of that method; None at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return None
    fields = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(b":") for line in head.split(b"\r\n")[1:])
    }
    status = head.split(b" ", 2)[1] if asked is not None else b""
    if asked == "HEAD" or status in (b"204", b"304"):
        return Message(head, b"")
    if fields.get(b"transfer-encoding") == b"chunked":
        return Message(head, await _chunks(reader))
    return Message(head, await reader.readexactly(int(fields.get(b"content-length", b"0"))))


async def _chunks(reader: StreamReader) -> bytes:
    body = b""
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.split(b";")[0], 16)
        body += line + await reader.readexactly(size + 2)
        if size == 0:
            return body


def _refusal(status: int) -> bytes:
    """Return an error in the table service's form."""
    reason = _REASONS[status]
    error = {"odata.error": {"code": reason, "message": {"lang": "en-US", "value": "Injected by the proxy."}}}
    body = json.dumps(error).encode()
    head = f"HTTP/1.1 {status} {reason}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def _reset(writer: StreamWriter) -> None:
    """Have the connection end with a RST instead of a FIN."""
    raw = writer.get_extra_info("socket")
    if raw is not None:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
