"""Azurite as a child process: whoever kills its parent loses no data to the next run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from threading import Timer

import pytest

from dev import azurite
from dev.azurite import Azurite, StartError

PARENT = """
import sys, time
from pathlib import Path
from dev.azurite import Azurite
with Azurite(memory=False, location=Path(sys.argv[1])) as server:
    server.create_table("kept")
    print(server._process.pid, flush=True)
    time.sleep(60)
"""


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """The process id of an Azurite whose parent was killed, and which cannot end yet."""
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as parent:
        assert parent.stdout
        process = int(parent.stdout.readline())
        os.kill(process, signal.SIGSTOP)
        parent.kill()
    yield process
    with suppress(ProcessLookupError):
        os.kill(process, signal.SIGCONT)


def test_the_next_run_waits_until_the_data_is_saved(orphan: int, tmp_path: Path) -> None:
    resume = Timer(1.0, os.kill, (orphan, signal.SIGCONT))
    resume.start()
    with Azurite(memory=False, location=tmp_path):
        assert not resume.is_alive()
        assert "kept" in (tmp_path / "__azurite_db_table__.json").read_text()


def test_an_azurite_that_does_not_end_is_told_of(orphan: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(azurite, "_SAVE_SECONDS", -0.5)
    with pytest.raises(StartError, match="an earlier run still uses the data"):
        Azurite(memory=False, location=tmp_path).__enter__()
