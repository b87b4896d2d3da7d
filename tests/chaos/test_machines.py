"""The processes of a run: their clocks, and how they come to rest."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys

import pytest

from dev.chaos.gate import Gate
from dev.chaos.machines import REPOSITORY
from dev.chaos.plan import Plan

_CLOCKS = """
import time
from datetime import UTC, datetime
before = time.time()
from dev.chaos.clock import shift
shift(SECONDS)
from scim.security import authentication
true = datetime.now(UTC)
assert abs((authentication.datetime.now(UTC) - true).total_seconds() - SECONDS) < 50
assert abs(time.time() - before - SECONDS) < 50
"""


@pytest.mark.parametrize("seconds", [100, -100])
def test_a_process_sees_another_time(seconds: int) -> None:
    code = _CLOCKS.replace("SECONDS", f"({seconds})")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=os.environ, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_clocks_are_spread() -> None:
    assert [Plan(1, apps=2).clock(app) for app in range(2)] == [-2.0, 2.0]
    assert [Plan(1, apps=3).clock(app) for app in range(3)] == [-2.0, 0.0, 2.0]
    assert Plan(1, apps=1).clock(0) == 0.0


async def test_a_gate_lets_out_and_nobody_in() -> None:
    gate, inside, steps = Gate(), asyncio.Event(), []

    async def client() -> None:
        for number in range(3):
            async with gate:
                inside.set()
                await asyncio.sleep(0.01)
                steps.append(number)

    task = asyncio.create_task(client())
    await inside.wait()
    gate.close()
    await gate.empty.wait()
    await asyncio.sleep(0.05)
    assert steps == [0]
    gate.open()
    await task
    assert steps == [0, 1, 2]
