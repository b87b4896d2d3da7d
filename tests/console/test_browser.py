"""The pages in a real browser, under their policy: accessible in every look, by keyboard, with and without a script."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.console.looks import CONTOSO, LOOKS, list_screens
from tests.console.place import Console
from tests.console.served import serve

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]
RULES = "{runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']}"


@pytest.fixture
async def console(tmp_path: Path) -> Console:
    made = Console(tmp_path)
    await made.provision()
    return made


async def test_axe_finds_nothing_on_any_screen_and_nothing_is_cut_off(
    browser: Browser, console: Console, axe: str
) -> None:
    found: list[object] = []
    screens = await list_screens(console)
    async with serve(console) as port:
        for look, options in LOOKS.items():
            page = await browser.new_page(**options)
            _listen(page, found)
            for name, url in screens.items():
                await page.goto(f"http://operator.localhost:{port}{url}")
                wide = await page.evaluate("document.documentElement.scrollWidth - innerWidth")
                found += [(look, name, f"{wide} px too wide")] if wide > 0 else []
                await page.evaluate(axe)
                for each in (await page.evaluate(f"axe.run(document, {RULES})"))["violations"]:
                    found.append((look, name, each["id"], [node["html"][:200] for node in each["nodes"][:3]]))
            await page.close()
    assert found == []


def _listen(page: Page, found: list[object]) -> None:
    """Have what the browser complains of told, such as what the policy forbids."""
    page.on("console", lambda message: found.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: found.append(str(error)))


async def test_somebody_makes_a_key_shows_copies_rotates_and_revokes_it(browser: Browser, console: Console) -> None:
    async with serve(console) as port:
        context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"])
        page = await context.new_page()
        await page.goto(f"http://admin.localhost:{port}/console/")
        await page.get_by_role("link", name="Connections", exact=True).click()
        await page.get_by_role("link", name="Add a key").click()
        await page.get_by_label("Let it be shown again later").check()
        await page.get_by_role("button", name="Make the key").click()
        await expect(page.get_by_role("heading", name="Paste these into Microsoft Entra ID")).to_be_visible()
        secret = await page.locator("#secret-token").inner_text()
        await page.get_by_role("button", name="Copy: secret token").click()
        await expect(page.get_by_role("status")).to_have_text("Copied")
        assert await page.evaluate("navigator.clipboard.readText()") == secret

        await page.get_by_role("link", name="Done: open the connection").click()
        await expect(page.locator("#secret-token")).to_have_count(0)
        await page.get_by_role("button", name="Select to show value").click()
        await expect(page.locator("#secret-token")).to_have_text(secret)
        await page.get_by_role("link", name="Done: open the connection").click()
        await page.get_by_role("button", name="Rotate").click()
        assert await page.locator("#secret-token").inner_text() != secret
        await page.get_by_role("link", name="Done: open the connection").click()
        await expect(page.get_by_text("Not yet", exact=True)).to_be_visible()

        await page.goto(f"http://operator.localhost:{port}{CONTOSO}/connections/contoso-2")
        await page.get_by_label("Type its name, contoso-2, to confirm").fill("contoso")
        await page.get_by_role("button", name="Revoke this connection").click()
        await expect(page.get_by_role("alert")).to_contain_text("nothing was revoked")
        await page.get_by_label("Type its name, contoso-2, to confirm").fill("contoso-2")
        await page.get_by_role("button", name="Revoke this connection").click()
        await expect(page.get_by_text("This connection was revoked for good")).to_be_visible()
        await context.close()


async def test_a_search_follows_the_typing_and_works_without_a_script(browser: Browser, console: Console) -> None:
    async with serve(console) as port:
        for script in (True, False):
            page = await browser.new_page(java_script_enabled=script, timezone_id="Asia/Tokyo")
            await page.goto(f"http://operator.localhost:{port}{CONTOSO}/users")
            await _find(page, "ext-1", by_typing=script)
            await expect(page.locator("tbody tr")).to_have_count(1)
            await expect(page.get_by_role("link", name="alex.wilber@contoso.example")).to_be_visible()
            time = page.locator("tbody time")
            assert ("UTC" in await time.inner_text()) is not script
            assert (await time.get_attribute("title") or "").endswith("UTC")
            await page.close()


async def _find(page: Page, text: str, *, by_typing: bool) -> None:
    """Find by typing alone, or with the button; by keyboard in both."""
    field = page.get_by_label("Find by user name")
    await field.focus()
    await page.keyboard.type(text)
    if not by_typing:
        await page.keyboard.press("Enter")


async def test_what_somebody_else_wrote_runs_nowhere(browser: Browser, console: Console) -> None:
    bad = "<img src=x onerror=\"document.title='run'\"><script>document.title='run'</script>@x.test"
    await console.place.client().post("/Users", {"userName": bad, "active": "perhaps"})
    await console.place.settle()
    async with serve(console) as port:
        page = await browser.new_page()
        await page.goto(f"http://operator.localhost:{port}{CONTOSO}/log")
        await expect(page.get_by_text("onerror")).to_have_count(1)
        assert await page.title() != "run"
        await page.close()
