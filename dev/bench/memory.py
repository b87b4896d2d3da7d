"""Part `memory`: what large answers leave behind, and what they take while they are made.

Each case runs in a process of its own on a table in memory, whose rows are there before the measurement begins: once
under tracemalloc, which counts what Python objects take and slows everything, once without, for the process's own size.
"""

from __future__ import annotations

import asyncio
import gc
import json
import re
import subprocess
import sys
import tracemalloc
from pathlib import Path

from dev.bench.app import direct
from dev.bench.figures import Figure, Result, most
from dev.bench.growth import load_members, load_users, new_table
from dev.bench.options import Options
from dev.kit.client import Client

_PART = "memory"
_TENANT = "tenant"
_GROUP = "g-" + "a" * 24
_MIB = 2**20
_KEPT = 4.0
"""MiB that may stay after an answer: compiled schemas, connections, caches."""
_STATUS = Path("/proc/self/status")
_HAS_STATUS = _STATUS.exists()
"""Only Linux tells how large a process is, and was."""
_CASES = {"list users": load_users, "read a group": load_members}


async def run(options: Options) -> Result:
    """Measure both cases in processes of their own."""
    sizes = {"list users": 1_000 if options.tiny else 10_000, "read a group": 2_000 if options.tiny else 100_000}
    figures = []
    for case, size in sizes.items():
        name = f"{size:,} users listed" if case == "list users" else f"a group of {size:,} members read"
        traced = _in_process(case, size, "traced")
        kept = traced["kept"] / _MIB
        figures += [
            Figure(_PART, f"{name}: kept", kept, "MiB", _KEPT, "allowed", kept / _KEPT, most(1)),
            Figure(_PART, f"{name}: peak", traced["peak"] / _MIB, "MiB", traced["answer"] / _MIB, "of answer"),
        ]
        if not _HAS_STATUS:
            continue
        real = _in_process(case, size, "real")
        figures += [
            Figure(_PART, f"{name}: process grew by (RSS)", real["kept"] / _MIB, "MiB"),
            Figure(_PART, f"{name}: process grew at its peak by (RSS)", real["peak"] / _MIB, "MiB"),
        ]
    return Result(figures, "each in a fresh process, after one small answer; peak of tracemalloc, and of VmHWM")


def _in_process(case: str, size: int, how: str) -> dict[str, int]:
    command = [sys.executable, "-m", "dev.bench.memory", case, str(size), how]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    told: dict[str, int] = json.loads(done.stdout)
    return told


async def _measure(case: str, size: int, how: str) -> dict[str, int]:
    """Return bytes kept and at the peak, over what the process had before, and those of the largest answer."""
    table = new_table()
    _CASES[case](table, size)
    client = direct(table, _TENANT)
    await client.ask("GET", "/Users?count=1" if case == "list users" else "/Groups?excludedAttributes=members")
    gc.collect()
    if how == "traced":
        tracemalloc.start()
        answer = await _ask(client, case, size)
        await _forget()
        kept, peak = tracemalloc.get_traced_memory()
        return {"kept": kept, "peak": peak, "answer": answer}
    _reset_peak()
    before = _status("VmRSS")
    answer = await _ask(client, case, size)
    await _forget()
    return {"kept": _status("VmRSS") - before, "peak": _status("VmHWM") - before, "answer": answer}


async def _forget() -> None:
    """Let the event loop drop the future that woke us, which still holds what it brought, and collect the garbage."""
    await asyncio.sleep(0)
    gc.collect()


async def _ask(client: Client, case: str, size: int) -> int:
    """Return bytes of the largest answer."""
    if case == "read a group":
        return len((await client.ask("GET", f"/Groups/{_GROUP}")).body)
    largest = 0
    for start in range(1, size, 100):
        largest = max(largest, len((await client.ask("GET", f"/Users?startIndex={start}&count=100")).body))
    return largest


def _reset_peak() -> None:
    """VmHWM counts from here."""
    Path("/proc/self/clear_refs").write_text("5")


def _status(name: str) -> int:
    """Return a size of this process in bytes; Linux tells it."""
    found = re.search(rf"^{name}:\s+(\d+) kB", _STATUS.read_text(), re.MULTILINE)
    if found is None:
        raise OSError(f"/proc/self/status has no {name}")
    return int(found[1]) * 1024


if __name__ == "__main__":
    print(json.dumps(asyncio.run(_measure(sys.argv[1], int(sys.argv[2]), sys.argv[3]))))
