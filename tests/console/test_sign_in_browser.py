"""Signing in and out in a real browser, by the pages of a real provider, under the console's own policy."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

import function_app
from dev.azurite import Azurite, free_port
from dev.host import Host, serve
from tests.console.openid import running, settings
from tests.console.site import opened

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]


async def test_an_operator_signs_in_shows_that_again_and_signs_out(
    browser: Browser, azurite: Azurite, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    port = free_port()
    origin = f"http://127.0.0.1:{port}"
    with running(origin) as issuer:
        async with opened(azurite, host, tmp_path, **settings(issuer)) as site:
            runner = await serve(Host(function_app.app), port)
            try:
                await _play(browser, origin)
            finally:
                await runner.cleanup()
            assert isinstance(revoked := site.kept()["contoso"], dict) and revoked["revoked"]


async def _play(browser: Browser, origin: str) -> None:
    page = await browser.new_page()
    page.set_default_timeout(20_000)
    found: list[str] = []
    page.on(
        "console", lambda message: found.append(message.text) if "Content Security Policy" in message.text else None
    )

    async def sign_in() -> None:
        await page.get_by_placeholder("Enter any login").fill("olga")
        await page.get_by_placeholder("and password").fill("x")
        await page.get_by_role("button", name="Sign-in").click()

    await page.goto(f"{origin}/console/tenants/contoso/connections/contoso")
    await page.get_by_role("link", name="Sign in as an operator").click()
    await sign_in()
    await expect(page).to_have_url(f"{origin}/console/tenants/contoso/connections/contoso")
    await page.get_by_label("Type its name, contoso").fill("contoso")
    await page.get_by_role("button", name="Revoke this connection").click()
    await page.get_by_role("link", name="Sign in again").click()
    await sign_in()
    await expect(page).to_have_url(f"{origin}/console/tenants/contoso/connections/contoso")
    await page.get_by_label("Type its name, contoso").fill("contoso")
    await page.get_by_role("button", name="Revoke this connection").click()
    await expect(page.get_by_role("main")).to_contain_text("revoked")
    await page.get_by_role("button", name="Sign out").click()
    await page.get_by_role("button", name="Yes, sign me out").click()
    await expect(page).to_have_url(f"{origin}/console")
    await expect(page.get_by_role("heading", name="You are not signed in")).to_be_visible()
    assert found == []
    await page.close()
