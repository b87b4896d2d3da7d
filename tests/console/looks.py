"""The screens as they are looked at, in which light and how wide; `python -m tests.console.looks` takes the pictures of
docs/console.md."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, async_playwright

from tests.console.place import Console, find_ids
from tests.console.served import serve

FOLDER = Path(__file__).parents[2] / "docs" / "console"
CONTOSO = "/console/tenants/contoso"
LOOKS: dict[str, dict[str, Any]] = {
    "light": {"viewport": {"width": 1100, "height": 700}},
    "dark": {"viewport": {"width": 1100, "height": 700}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 360, "height": 740}},
}
SCREENS = {
    "tenants": "/console/tenants",
    "add-customer": "/console/tenants/add",
    "audit-of-all": "/console/audit",
    "status": f"{CONTOSO}/status?expect=6000",
    "status-before": "/console/tenants/fabrikam/status",
    "connections": f"{CONTOSO}/connections",
    "connection": f"{CONTOSO}/connections/contoso",
    "add": f"{CONTOSO}/connections/add",
    "log": f"{CONTOSO}/log",
    "changes": f"{CONTOSO}/log?result=done",
    "entry": f"{CONTOSO}/log/User?subject=alex.wilber%40contoso.example",
    "users": f"{CONTOSO}/users",
    "groups": f"{CONTOSO}/groups",
    "why": f"{CONTOSO}/users/why?name=alex.wilber%40contoso.example",
    "policy": f"{CONTOSO}/policy",
    "feed": f"{CONTOSO}/feed",
    "audit": f"{CONTOSO}/audit",
}
PICTURES = ("tenants", "status", "connection", "log", "users", "person")


async def list_screens(console: Console) -> dict[str, str]:
    """Return the address of every screen, by name."""
    [id] = find_ids(await console.read(f"{CONTOSO}/users?find=adele"), "users")
    return {**SCREENS, "person": f"{CONTOSO}/users/{id}"}


async def take_pictures(browser: Browser, console: Console, port: int, folder: Path) -> None:
    """Take a picture of the screens that the docs show, in light and in dark."""
    screens = await list_screens(console)
    for look in ("light", "dark"):
        page = await browser.new_page(**LOOKS[look])
        for name in PICTURES:
            await page.goto(f"http://operator.localhost:{port}{screens[name]}")
            await page.screenshot(path=folder / f"{name}-{look}.png", full_page=name == "status")
        await page.close()


async def _run() -> None:
    with tempfile.TemporaryDirectory() as folder:
        console = Console(Path(folder))
        await console.provision()
        async with serve(console) as port, async_playwright() as playwright:
            browser = await playwright.chromium.launch(
                executable_path=shutil.which("chromium"), args=["--no-sandbox", "--font-render-hinting=none"]
            )
            await take_pictures(browser, console, port, FOLDER)
            await browser.close()


if __name__ == "__main__":
    FOLDER.mkdir(parents=True, exist_ok=True)
    asyncio.run(_run())
