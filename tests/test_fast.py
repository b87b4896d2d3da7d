"""`make test FAST=1` leaves out what its list names, and the list names what is there."""

from __future__ import annotations

import subprocess
import sys

from tests.fast import LEFT_OUT, ROOT, is_left_out


def test_the_list_names_what_is_there() -> None:
    assert [name for name in LEFT_OUT if not (ROOT / name).exists()] == []
    assert not is_left_out(ROOT / "tests/service") and not is_left_out(ROOT.parent)


def test_it_leaves_out_files_and_what_is_marked_long() -> None:
    """But not a file that is asked for by name."""
    asked = ["tests/store", "tests/feed/test_killed.py", "tests/test_embed.py"]
    command = [sys.executable, "-m", "pytest", "--fast", "--collect-only", "-q", "-n0", *asked]
    found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert all(f"{name}::" in found for name in ("store/test_keys.py", "feed/test_killed.py", "test_embed.py"))
    assert not any(name in found for name in ("store/test_walls.py::", "::test_the_wheel_is_whole"))
