"""`python -m dev.fuzz.one TARGET [libFuzzer options] [corpus folders]`: fuzz one target in this process.

scim is imported here for the first time, under the eye of atheris, which sees only what it has instrumented.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any


def main(arguments: list[str]) -> None:
    atheris: Any = import_module("atheris")
    with atheris.instrument_imports(include=["scim"]):
        targets = import_module("dev.fuzz.targets")
    target = targets.TARGETS[arguments[0]]
    atheris.Setup([sys.argv[0], *arguments[1:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1:])
