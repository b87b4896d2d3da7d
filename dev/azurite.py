"""Azurite, Microsoft's Table Storage emulator, as a child process."""

from __future__ import annotations

import fcntl
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO

# The account and key that every Azurite has; both are public.
_ACCOUNT = "devstoreaccount1"
_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

_MAIN = Path(__file__).parent / "node_modules/azurite/dist/src/table/main.js"
_INDEX = Path(__file__).with_name("azurite_index.cjs")

# Azurite's standard input is a pipe that nobody writes to: it closes when we close it, and when we die however hard.
# On SIGINT Azurite saves its data and closes; the timer is for the case that it does not.
_STOP_WITH_PARENT = """data:text/javascript,
process.stdin.on("end", () => {
  process.kill(process.pid, "SIGINT");
  setTimeout(() => process.exit(), %d).unref();
}).resume().unref();
"""

_START_SECONDS = 30.0
_STOP_SECONDS = 1.0
_SAVE_SECONDS = 10.0
"""How long it may take to save its data when it has to end."""
_LOCK = "azurite.lock"


class StartError(Exception):
    """Something that a local run needs is missing or in the way; the text is one line that says what to do."""


class Azurite:
    """One Azurite table service on 127.0.0.1, with its data in memory or in a folder.

    Use it as a context manager. It ends with the `with` block, and with this process even if that is killed.
    """

    def __init__(
        self, *, port: int = 0, memory: bool = True, location: Path = Path(".azurite"), indexed: bool = True
    ) -> None:
        """`port` 0 takes a free one. `location` is the folder of the data where `memory` is false. `indexed` spares it
        from looking at every row of the table for each read (azurite_index.cjs)."""
        self.port = port or free_port()
        self._location = None if memory else location
        self._storage = ["--inMemoryPersistence"] if memory else ["--location", str(location)]
        self._stop_seconds = _STOP_SECONDS if memory else _SAVE_SECONDS
        self._preload = ["--require", str(_INDEX)] if indexed else []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def connection_string(self) -> str:
        """What azure-data-tables connects with."""
        return (
            f"DefaultEndpointsProtocol=http;AccountName={_ACCOUNT};AccountKey={_KEY};"
            f"TableEndpoint=http://127.0.0.1:{self.port}/{_ACCOUNT};"
        )

    def __enter__(self) -> Azurite:
        """Start Azurite and wait until it serves; StartError where it cannot."""
        node = find_node()
        if not _MAIN.exists():
            raise StartError("Azurite is not installed; run: npm ci --prefix dev")
        ending = _STOP_WITH_PARENT % int(self._stop_seconds * 1000)
        command = [node, *self._preload, "--import", ending, str(_MAIN), *self._storage]
        command += ["--tableHost", "127.0.0.1", "--tablePort", str(self.port)]
        command += ["--skipApiVersionCheck", "--disableTelemetry", "--silent"]
        with tempfile.TemporaryFile() as output, _locked(self._location) as lock:
            # A session of its own: Ctrl-C in the terminal is ours to handle, and Azurite goes last.
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                pass_fds=lock,
            )
            try:
                self._wait_until_started(self._process, output)
            except BaseException:
                self.stop()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _wait_until_started(self, process: subprocess.Popen[bytes], output: IO[bytes]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while True:
            ended = process.poll() is not None
            output.seek(0)
            said = output.read().decode(errors="replace")
            if "successfully started" in said:
                return
            if ended or time.monotonic() > deadline:
                raise StartError(f"Azurite did not start on port {self.port}: {_last_line(said)}")
            time.sleep(0.02)

    def create_table(self, name: str) -> None:
        """Create a table unless it exists."""
        from azure.data.tables import TableServiceClient

        with TableServiceClient.from_connection_string(self.connection_string) as service:
            service.create_table_if_not_exists(name)

    def exit_code(self) -> int | None:
        """Return the code that it ended with by itself; None while it runs, and before and after it was to run."""
        return self._process.poll() if self._process else None

    def stop(self) -> None:
        """End Azurite, its data saved, and wait for it. Does nothing a second time."""
        if not self._process:
            return
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(self._stop_seconds + 1)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None


@contextmanager
def _locked(location: Path | None) -> Iterator[list[int]]:
    """Give the file descriptor of the lock on a folder, for a child to inherit: the lock lasts until that child has
    ended, even if this process is killed. None for data in memory. Raises StartError if an earlier child does not
    end."""
    if location is None:
        yield []
        return
    location.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(location / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        deadline = time.monotonic() + _SAVE_SECONDS + 1
        while not _take(descriptor):
            if time.monotonic() > deadline:
                raise StartError(f"the Azurite of an earlier run still uses the data in {location}: end that process")
            time.sleep(0.05)
        yield [descriptor]
    finally:
        os.close(descriptor)


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def find_node() -> str:
    """The path of Node.js 20 or newer; StartError where there is none."""
    node = shutil.which("node")
    if node is None:
        raise StartError("Node.js 20 or newer is needed for Azurite, and there is no `node` on PATH")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    major = version.removeprefix("v").partition(".")[0]
    if not major.isdigit() or int(major) < 20:
        raise StartError(f"Node.js 20 or newer is needed for Azurite; {node} is {version or 'broken'}")
    return node


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else "it said nothing"
