"""A real browser for the pages: Debian's Chromium, and axe-core. Without either, tests that need it are skipped."""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, async_playwright

from tests.console.site import client, site  # noqa: F401  fixtures

ROOT = Path(__file__).parents[2]

AXE = ROOT / "dev" / "node_modules" / "axe-core" / "axe.min.js"


@pytest.fixture
def axe() -> str:
    """The source of axe-core."""
    if not AXE.exists():
        pytest.skip("axe-core is not installed: run npm ci in dev")
    return AXE.read_text()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser without a window."""
    found = shutil.which("chromium") or shutil.which("chromium-browser")
    if found is None:
        pytest.skip("Chromium is not installed: apt-get install chromium")
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []  # its sandbox refuses root
    async with async_playwright() as playwright:
        made = await playwright.chromium.launch(executable_path=Path(found), args=arguments)
        yield made
        await made.close()
