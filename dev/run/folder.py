"""What a run holds of its folder: the lock on the data, and the file that tells the tool where the app is."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from filelock import FileLock, Timeout

from dev.azurite import StartError
from scim.operate.running import RUNS, Run, read_runs

DATA = Path(".azurite")
_LOCK = "lock"


@contextmanager
def hold_data() -> Iterator[None]:
    """Hold the lock on the data of this folder, which ends with this process however that ends. Raises StartError, with
    who has it, if another run does."""
    DATA.mkdir(exist_ok=True)
    lock = FileLock(DATA / _LOCK, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise StartError(
            f"another make run {_find_holder()}uses the data in {DATA}: stop it, or run beside it with MEMORY=1, PORT"
            " and TABLE_PORT"
        ) from None
    try:
        (DATA / "pid").write_text(str(os.getpid()))
        yield
    finally:
        lock.release()


@contextmanager
def announce_run(run: Run) -> Iterator[None]:
    """Say where the app and its table are, for `python -m scim`, for as long as the block runs."""
    file = RUNS / f"{run.port}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(asdict(run)), encoding="utf-8")
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def _find_holder() -> str:
    with contextlib.suppress(OSError, ValueError):
        process = int((DATA / "pid").read_text())
        for run in read_runs(Path()):
            if run.process == process:
                return f"(process {process}, {run.origin}) "
        return f"(process {process}) "
    return ""
