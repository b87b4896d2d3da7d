"""Part `cold`: from a fresh interpreter to the first answer, beside the bare imports of the packages that it takes.

Every start is a new process; both sides alternate. The first answer is to Entra's Test Connection, a search for a user
that does not exist: the app reads its settings and schemas, checks the token and asks the table. Times begin when the
interpreter runs its first line; those of the real worker when its process is made.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from dev.bench import worker
from dev.bench.app import azurite, settings_values
from dev.bench.figures import Figure, Result, compare, most
from dev.bench.options import Options
from dev.credentials import new_key

_PART = "cold"
_ALONE = "import and first answer"
_TENANT = "tenant"
_MATCH = "https://scim.example/scim/Users?filter=userName+eq+%22nobody%22"
_ROOT = Path(__file__).parents[2]

_IMPORTS = """import azure.functions
from azure.data.tables.aio import TableClient
from azure.core.pipeline.transport import AioHttpTransport
import aiohttp
from pydantic import BaseModel
class Model(BaseModel):
    name: str
"""
"""What the app imports of others until its first answer, where a connection's key is in the settings. The names matter:
pydantic and azure.core import theirs when they are asked for, and pydantic half of itself with the first model."""

_BEGIN = "import time; wall, cpu = time.perf_counter(), time.process_time()\n"
_END = """
import json, os
print(json.dumps({"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}), flush=True)
os._exit(0)
"""
_BARE = f"{_BEGIN}{_IMPORTS}{_END}"
_FUNCTION = f"{_BEGIN}import function_app{_END}"
_FIRST = f"""{_BEGIN}
import function_app
import asyncio
import azure.functions as func
async def main():
    import os
    headers = {{"authorization": f"Bearer {{os.environ['BENCH_TOKEN']}}"}}
    request = func.HttpRequest("GET", "{_MATCH}", headers=headers, body=b"")
    response = await function_app.answer(request)
    assert response.status_code == 200, response.get_body()
asyncio.run(main())
{_END}"""
_MINIMAL = f"""{_IMPORTS}
import azure.functions as func
app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)
@app.route("scim/{{*path}}", methods=["GET"])
async def answer(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("")
"""


async def run(options: Options) -> Result:
    """Imports and first answer, in a bare interpreter and, where this Python has its library, in the real worker."""
    turns = 1 if options.tiny else 5 if options.quick else 11
    token = new_key(_TENANT)
    with azurite() as storage, tempfile.TemporaryDirectory() as folder:
        settings = {**settings_values(storage.connection_string, {_TENANT: token}), "BENCH_TOKEN": token}
        minimal = Path(folder)
        (minimal / "function_app.py").write_text(_MINIMAL)
        (minimal / "host.json").write_text((_ROOT / "host.json").read_text())
        bare = [sys.executable, "-c", _BARE]
        sides: dict[str, tuple[list[str], list[str]]] = {
            "import function_app": ([sys.executable, "-c", _FUNCTION], bare),
            _ALONE: ([sys.executable, "-c", _FIRST], bare),
        }
        if worker.available():
            start = [sys.executable, "-m", "dev.bench.worker"]
            sides["first answer in the real worker"] = (
                [*start, str(_ROOT), "GET", _MATCH],
                [*start, folder, "GET", _MATCH],
            )
        figures: list[Figure] = []
        for name, (ours, floor) in sides.items():
            took = in_turns(ours, floor, turns, settings)
            against = "worker with the bare imports" if "worker" in name else "bare imports"
            # Where there is the real worker, its first answer is the one that counts.
            target = None if name == _ALONE and worker.available() else most(1.15)
            for unit, title in (("wall", name), ("cpu", f"{name}, CPU")):
                values = ([one[unit] * 1000 for one in side] for side in took)
                figures.append(compare(_PART, title, *values, unit="ms", against=against, target=target))
        profiles = [("Imports up to the first answer", _imports(settings))] if options.profiles else []
    without = "" if worker.available() else "; the real worker needs Python 3.13 and is left out"
    missed = any(figure.met is False for figure in figures)
    method = f"{turns} fresh processes a side, in turns{without}"
    return Result(figures, method, (), tuple(profiles) if missed else ())


def _imports(settings: Mapping[str, str]) -> str:
    """Return the modules that our first answer takes and the bare imports do not, by the time of their own bodies."""
    ours, bare = (_own_times(code, settings) for code in (_FIRST, _BARE))
    beyond = {name: took for name, took in ours.items() if name not in bare}
    lines = [f"{took / 1000:7.1f} ms  {name}" for name, took in sorted(beyond.items(), key=lambda one: -one[1])[:16]]
    total, floor = sum(beyond.values()) / 1000, sum(bare.values()) / 1000
    return "\n".join([f"{total:.0f} ms in {len(beyond)} modules beyond the {floor:.0f} ms of the bare imports", *lines])


def _own_times(code: str, settings: Mapping[str, str]) -> dict[str, int]:
    """Microseconds of each module's own body, as the interpreter's -X importtime tells them."""
    command = [sys.executable, "-X", "importtime", "-c", code]
    done = subprocess.run(
        command, env=_environment(settings, _ROOT), cwd=_ROOT, capture_output=True, check=True, text=True
    )
    found = re.findall(r"^import time: +(\d+) \| +\d+ \| +(\S+)$", done.stderr, re.MULTILINE)
    return {name: int(took) for took, name in found}


def _environment(settings: Mapping[str, str], folder: Path) -> dict[str, str]:
    """Compiled code is kept, as Python does of itself: installed packages come with theirs, and so must our modules."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, **settings, "PYTHONPATH": str(folder)}


def in_turns(
    ours: Sequence[str], floor: Sequence[str], turns: int, settings: Mapping[str, str], folder: Path = _ROOT
) -> tuple[list[dict[str, float]], list[dict[str, float]]]:
    """Start both commands in turn, the other first each time, after one of each that fills caches."""
    environment = _environment(settings, folder)
    took: tuple[list[dict[str, float]], list[dict[str, float]]] = ([], [])
    for turn in range(turns + 1):
        for side in (0, 1) if turn % 2 else (1, 0):
            command, began = (ours, floor)[side], time.perf_counter()
            done = subprocess.run(command, env=environment, cwd=folder, stdout=subprocess.PIPE, check=True, text=True)
            told = {"wall": time.perf_counter() - began, **json.loads(done.stdout.splitlines()[-1])}
            if turn:
                took[side].append(told)
    return took
