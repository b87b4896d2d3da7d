"""Part `package`: how large the deployment package is, and what importing the app from it costs.

The package holds sources; the platform compiles them in its build, so the import is measured after one that compiles.
"""

from __future__ import annotations

import sys
import tempfile
import zipfile
from pathlib import Path

from dev.bench.cold import in_turns
from dev.bench.figures import Figure, Result, compare, most
from dev.bench.options import Options
from dev.package import write

_PART = "package"
_KIB = 1024
_LARGEST = 1024.0
"""KiB that the package may have."""
_CODE = """
import sys, time
sys.path.insert(0, {folder!r})
wall, cpu = time.perf_counter(), time.process_time()
{imports}
import json
print(json.dumps({{"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu}}), flush=True)
"""


async def run(options: Options) -> Result:
    """Return the package of the current folder, unpacked beside nothing else."""
    turns = 1 if options.tiny else 5 if options.quick else 11
    with tempfile.TemporaryDirectory() as folder:
        package, app = Path(folder) / "app.zip", Path(folder) / "app"
        names = write(Path.cwd(), package)
        with zipfile.ZipFile(package) as packed:
            packed.extractall(app)
        size, unpacked = package.stat().st_size / _KIB, sum((app / name).stat().st_size for name in names) / _KIB
        ours = [sys.executable, "-P", "-c", _CODE.format(folder=str(app), imports="import function_app")]
        bare = [sys.executable, "-P", "-c", _CODE.format(folder=str(app), imports="import azure.functions")]
        took = in_turns(ours, bare, turns, {}, app)
    figures = [
        Figure(_PART, "deployment package", size, "KiB", _LARGEST, "allowed", size / _LARGEST, most(1)),
        Figure(_PART, f"its {len(names)} files unpacked", unpacked, "KiB"),
    ]
    for unit, name in (("wall", "import from it"), ("cpu", "import from it, CPU")):
        values = ([one[unit] * 1000 for one in side] for side in took)
        figures.append(compare(_PART, name, *values, unit="ms", against="azure.functions alone", target=None))
    return Result(figures, f"{turns} fresh processes a side, in turns")
