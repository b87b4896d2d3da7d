"""`python -m dev.fuzz MINUTES [TARGET ...]`: fuzz the targets one after the other, each for its share of the time.

What was found interesting is kept in `.fuzz/<target>/` and is where the next run begins; an input that breaks a rule is
`.fuzz/<target>-crash-…`, and the exit status is 1. Needs atheris, whose wheels are for Linux.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from dev.fuzz.targets import SEEDS, TARGETS, words

FOLDER = Path(__file__).parents[2] / ".fuzz"
_HANGS = 10
"""Seconds after which an input counts as one that never ends."""


def fuzz(target: str, seconds: int, folder: Path, *more: str) -> int:
    """Fuzz one target in a process of its own; its exit status, which is 0 where nothing was found."""
    corpus = folder / target
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[target]):
        (corpus / f"seed-{number}").write_text(seed)
    dictionary = folder / "words"
    dictionary.write_text("".join(f'"{word}"\n' for word in words()))
    options = [f"-max_total_time={seconds}", f"-timeout={_HANGS}", f"-dict={dictionary}", "-max_len=4096"]
    options += [f"-artifact_prefix={folder / target}-", "-print_final_stats=1", *more]
    return subprocess.run([sys.executable, "-m", "dev.fuzz.one", target, *options, str(corpus)]).returncode


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m dev.fuzz", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("targets", nargs="*", choices=[*TARGETS, []], metavar="TARGET")
    arguments = parser.parse_args()
    targets = arguments.targets or [*TARGETS]
    seconds = max(1, round(arguments.minutes * 60 / len(targets)))
    return int(any([fuzz(target, seconds, FOLDER) for target in targets]))


if __name__ == "__main__":
    sys.exit(main())
