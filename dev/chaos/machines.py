"""The processes that are killed: the app's, and Azurite with its data on disk.

Azurite acknowledges a write when it is in memory and saves its data every five seconds, so a SIGKILL loses what was
acknowledged since. That is the emulator's promise, not Table Storage's: before it is killed here, requests are held
back and a row of its own is awaited in the file. On SIGINT it saves first, so that comes at any moment.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, Process
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from azure.data.tables import TableClient

from dev.azurite import Azurite, free_port
from dev.chaos.proxy import Proxy

REPOSITORY = Path(__file__).parents[2]
_START_SECONDS = 60.0
_SAVE_SECONDS = 30.0
_SETTLE_SECONDS = 130.0
"""Longer than any request may take, and housekeeping on a healthy table."""
MARKS = "marks"
"""The partition of the rows that say how much is saved; no tenant of a run has that name."""


class Table(Azurite):
    """An Azurite with its data in a folder, which can be killed and started again on the same port."""

    def __init__(self, folder: Path, table: str) -> None:
        super().__init__(memory=False, location=folder)
        self._file = folder / "__azurite_db_table__.json"
        self._table = table
        self._marks = 0

    def start(self) -> None:
        """Start it; the table is there afterwards."""
        self.__enter__()
        self.create_table(self._table)

    def stop(self) -> None:
        """SIGINT: it saves what it has acknowledged, however long that takes on a busy machine, and ends."""
        if self._process is not None and self._process.poll() is None:
            mark = self._mark()
            self._process.send_signal(signal.SIGINT)
            self._saved(mark)
        super().stop()

    def save(self) -> None:
        """Wait until everything that was acknowledged before this call is on disk."""
        self._saved(self._mark())

    def _mark(self) -> bytes:
        """Write a row whose key nothing else in the file has."""
        self._marks += 1
        mark = f"mark-{os.getpid()}-{self._marks}-"
        with TableClient.from_connection_string(self.connection_string, self._table) as client:
            client.create_entity({"PartitionKey": MARKS, "RowKey": mark})
        return mark.encode()

    def _saved(self, mark: bytes) -> None:
        deadline = time.monotonic() + _SAVE_SECONDS
        while mark not in self._file.read_bytes():
            if time.monotonic() > deadline:
                raise TimeoutError(f"Azurite has not saved its data within {_SAVE_SECONDS} s")
            time.sleep(0.05)

    def kill(self) -> None:
        """SIGKILL: what is not saved is lost."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def stall(self) -> None:
        """SIGSTOP: it answers nobody, and goes on with what it has been sent after `go_on`."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """SIGCONT."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)


class App:
    """The app's process, on one port through all its lives. `settings` are its environment variables, `log` takes its
    log. `up` is set while it serves; `kills` counts its deaths."""

    def __init__(self, settings: dict[str, str], log: IO[bytes]) -> None:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
        self.environment = {**inherited, **settings}
        self.port = free_port()
        self.kills = 0
        self.up = asyncio.Event()
        self._log = log
        self._process: Process | None = None

    @property
    def url(self) -> str:
        """The tenant URL."""
        return f"http://127.0.0.1:{self.port}/scim"

    async def start(self) -> None:
        """Start it and wait until it serves."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "dev.chaos.app", str(self.port)),
            cwd=REPOSITORY,
            env=self.environment,
            stdin=PIPE,
            stdout=PIPE,
            stderr=self._log,
        )
        if await self._said(_START_SECONDS) != b"serving":
            raise RuntimeError("the app did not start; its log says why")
        self.up.set()

    async def settle(self) -> bool:
        """Wait until it has no request under way, and keeps no house; False if it takes too long."""
        return await self._answers("settle", b"settled")

    async def finish(self) -> bool:
        """Have it keep house for all that is pending. Only when all processes have settled. False if that failed."""
        return await self._answers("finish", b"finished")

    def go_on(self) -> None:
        """Let it keep house again after `settle`."""
        self._tell("go")

    async def kill(self) -> None:
        """SIGKILL."""
        process, self._process = self._process, None
        if process is None:
            return
        self.up.clear()
        self.kills += 1
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
        await process.communicate()

    @property
    def died(self) -> bool:
        """Whether it has ended without having been killed."""
        return self._process is not None and self._process.returncode is not None

    async def _answers(self, line: str, answer: bytes) -> bool:
        self._tell(line)
        try:
            return await self._said(_SETTLE_SECONDS) == answer
        except TimeoutError:
            return False

    def _tell(self, line: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            self._process.stdin.write(f"{line}\n".encode())

    async def _said(self, seconds: float) -> bytes:
        assert self._process is not None and self._process.stdout is not None
        return (await asyncio.wait_for(self._process.stdout.readline(), seconds)).strip()


@dataclass(frozen=True, slots=True)
class Instance:
    """One of the app's processes and its own way to the table."""

    app: App
    proxy: Proxy

    async def restart(self) -> None:
        """SIGKILL, and a new process when the table has done what the old one asked for."""
        await self.app.kill()
        await self.proxy.drained()
        await self.app.start()
