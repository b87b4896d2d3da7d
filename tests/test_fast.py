"""`make test FAST=1` leaves out what its list names, and the list names what is there."""

from __future__ import annotations

import subprocess
import sys

from tests.fast import LEFT_OUT, ROOT, is_left_out


def test_the_list_names_what_is_there() -> None:
    assert [name for name in LEFT_OUT if not (ROOT / name).exists()] == []
    assert not is_left_out(ROOT / "tests/service") and not is_left_out(ROOT.parent)


def test_it_leaves_out_files_and_what_is_marked_long() -> None:
    files = ["tests/store/test_walls.py", "tests/test_embed.py"]
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--fast",
        "--collect-only",
        "-q",
        "-n0",
        "tests/store/test_keys.py",
        *files,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "tests/store/test_keys.py::" in done.stdout and "tests/test_embed.py::" in done.stdout
    assert "test_walls.py::" not in done.stdout and "::test_the_wheel_is_whole" not in done.stdout
