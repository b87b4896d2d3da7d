"""What an operator and a customer's admin do in the console, in a real browser, on the app of `make run` as a process,
with Entra's provisioning played against it. The pictures of docs/console.md are taken on the way."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest
from playwright.async_api import Browser, Page, expect

from dev.azurite import free_port
from scim.console.routes import ROUTES

pytestmark = [pytest.mark.long, pytest.mark.filterwarnings("ignore::ResourceWarning")]
ROOT = Path(__file__).parents[2]
PICTURES = os.environ.get("PICTURES")
"""A folder to keep pictures in; none are taken without."""
REFUSED = {
    "no-name": {"externalId": "e-77", "displayName": "Nora Nameless"},
    "twice": {"userName": "adele@acme.example", "externalId": "e-2"},
    "not-a-boolean": {"userName": "diego@acme.example", "externalId": "e-3", "active": "perhaps"},
}
"""Users that are refused, each for a reason of its own."""


class Service:
    """The app under `make run`, and what its output said."""

    def __init__(self, folder: Path) -> None:
        for name in ("host.json", "local.settings.sample.json"):
            shutil.copy(ROOT / name, folder)
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("SCIM_")}
        ports = {"PORT": str(port), "TABLE_PORT": str(free_port()), "MEMORY": "1", "PYTHONPATH": str(ROOT)}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dev.run"],
            cwd=folder,
            env={**kept, **ports, "SCIM_INSIGHT_SECONDS": "1", "SCIM_USAGE_MINUTES": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert self.process.stdout
        block = "".join(iter(self.process.stdout.readline, "Stop             Ctrl-C\n"))
        found = re.search(r"http://\S+/console/invitation#\S+", block)
        assert found, block
        self.link = found[0]

    def ask(self, token: str, method: str, path: str, body: object = None) -> int:
        """The status that the identity provider gets."""
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
        data = None if body is None else json.dumps(body).encode()
        try:
            with urlopen(Request(f"{self.origin}/scim{path}", data, headers, method=method), timeout=20) as answer:
                return int(answer.status)
        except HTTPError as error:
            with error:
                return error.code

    def rehearse(self, token: str) -> None:
        """Play Entra's first cycle and two more, small; everything must go well, and stays."""
        scenarios = ("--scenario", "test-connection", "--scenario", "initial-cycle", "--scenario", "incremental-cycles")
        size = ("--users", "12", "--groups", "3", "--cycles", "1", "--rate", "0", "--dialect", "legacy", "--keep")
        done = subprocess.run(
            [sys.executable, "-m", "dev.rehearse", f"{self.origin}/scim", token, *scenarios, *size],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def service(tmp_path: Path) -> AsyncIterator[Service]:
    service = Service(tmp_path)
    yield service  # type: ignore[misc]
    service.process.send_signal(signal.SIGTERM)
    assert service.process.stdout
    service.process.stdout.close()
    service.process.wait(10)


@asynccontextmanager
async def visiting(browser: Browser, link: str, **options: object) -> AsyncIterator[Page]:
    """Somebody who opens a link, which signs them in."""
    context = await browser.new_context(permissions=["clipboard-read", "clipboard-write"], **options)  # type: ignore[arg-type]
    page = await context.new_page()
    page.set_default_timeout(20_000)
    await page.goto(link)
    await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
    yield page
    await context.close()


async def read_link(page: Page) -> str:
    return await page.locator("#link").inner_text()


async def until_served(service: Service, token: str) -> None:
    """A key that was made is served within a second or two."""
    for _ in range(50):
        if await asyncio.to_thread(service.ask, token, "GET", "/Users?count=1") == 200:
            return
        await asyncio.sleep(0.1)
    pytest.fail("the key is not served")


async def take(page: Page, name: str) -> None:
    """Take a picture of a page, in light and dark."""
    if PICTURES:
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            await page.screenshot(path=f"{PICTURES}/{name}-{scheme}.png")


async def add_customer(page: Page) -> str:
    """An operator adds the customer acme, and makes a link for their admin."""
    await page.get_by_role("link", name="Add customer").first.click()
    await page.locator("input[name=tenant]").fill("acme")
    await page.get_by_role("button", name="Make the key").click()
    await expect(page.get_by_role("heading", name="Paste these into Microsoft Entra ID")).to_be_visible()
    await page.get_by_role("link", name="Audit", exact=True).last.click()
    await page.get_by_role("button", name="Invite admin").click()
    return await read_link(page)


async def make_key(page: Page) -> str:
    """The admin makes a key, and shows and copies its value as the seed's customer does."""
    await page.get_by_role("link", name="Connections", exact=True).click()
    await page.get_by_role("link", name="Add a key").first.click()
    await page.get_by_label("Let it be shown again later").check()
    await page.get_by_role("button", name="Make the key").click()
    await page.get_by_role("link", name="Done: open the connection").click()
    await page.get_by_role("button", name="Select to show value").click()
    await page.get_by_role("button", name="Copy: secret token").click()
    token: str = await page.evaluate("navigator.clipboard.readText()")
    await page.locator("#secret-token").evaluate("(code) => code.textContent = 'scim_acme-2_'.padEnd(52, '•')")
    await take(page, "key")
    await page.get_by_role("link", name="Done: open the connection").click()
    return token


async def look_at_failures(page: Page) -> None:
    """Each refused user stands in the log, in words, with what to do about it."""
    await page.get_by_role("link", name="Provisioning log").click()
    for text in ("Nora Nameless", "adele@acme.example", "diego@acme.example"):
        await expect(page.get_by_role("row").filter(has_text=text).first).to_contain_text("What to do")
    await take(page, "log")
    await page.get_by_role("link", name="diego@acme.example").click()
    await expect(page.get_by_role("main")).to_contain_text("active must be true or false")


async def rotate(page: Page, service: Service, old: str) -> str:
    """The admin rotates while Entra goes on: no request is lost, and the page says when the old key may go."""
    statuses: list[int] = []

    async def go_on(token: str, number: int) -> None:
        for _ in range(number):
            statuses.append(await asyncio.to_thread(service.ask, token, "GET", "/Users?count=1"))
            await asyncio.sleep(0.02)

    beside = asyncio.create_task(go_on(old, 100))
    await page.get_by_role("button", name="Rotate").click()
    new = await page.locator("#secret-token").inner_text()
    await page.get_by_role("link", name="Done: open the connection").click()
    await expect(page.get_by_text("Not yet", exact=True)).to_be_visible()
    await until_served(service, new)
    await go_on(new, 20)
    await beside
    assert set(statuses) == {200}
    return new


async def test_an_operator_and_a_customers_admin(browser: Browser, service: Service) -> None:
    async with visiting(browser, service.link) as operator:
        await expect(operator.get_by_role("heading", name="Tenants")).to_be_visible()
        invitation = await add_customer(operator)
        async with visiting(browser, invitation) as admin:
            token = await make_key(admin)
            await until_served(service, token)
            await asyncio.to_thread(service.rehearse, token)
            assert service.ask(token, "POST", "/Users", {"userName": "adele@acme.example", "externalId": "e-1"}) == 201
            assert [service.ask(token, "POST", "/Users", body) for body in REFUSED.values()] == [400, 409, 400]
            await asyncio.sleep(1.5)  # what was counted is written behind responses
            assert service.ask(token, "GET", "/Users?count=1") == 200
            await asyncio.sleep(0.5)
            await look_at_failures(admin)
            await admin.get_by_role("link", name="Status", exact=True).click()
            await expect(admin.get_by_role("main")).to_contain_text("3 failed changes")
            await take(admin, "status")
            await admin.get_by_role("link", name="Connections", exact=True).click()
            await admin.get_by_role("link", name="acme-2", exact=True).click()
            await expect(admin.get_by_text("A request arrived at")).to_be_visible()
            new = await rotate(admin, service, token)
            await reach_nothing_of_others(admin, service)
        await operator.goto(f"{service.origin}/console/tenants/acme/connections/acme-2")
        await operator.get_by_label("Type its name, acme-2, to confirm").fill("acme-2")
        await operator.get_by_role("button", name="Revoke this connection").click()
        await expect(operator.get_by_text("This connection was revoked for good")).to_be_visible()
        await asyncio.sleep(2)
        assert {service.ask(each, "GET", "/Users?count=1") for each in (token, new)} == {401}
        await operator.goto(f"{service.origin}/console/audit")
        audit = await operator.get_by_role("main").inner_text()
        for deed in ("added a customer", "invited an admin", "added a connection", "showed a secret", "rotated a key"):
            assert deed in audit, audit
        assert "acme-2" in audit and token not in audit and new not in audit


async def reach_nothing_of_others(page: Page, service: Service) -> None:
    """A customer's admin is told 404 at every address of another tenant, whether that is there or not."""
    values = {"name": "contoso", "id": "u-" + "a" * 24, "people": "users", "kind": "User"}
    reached = []
    for route in ROUTES:
        if "{tenant}" not in route.pattern:
            continue
        for tenant in ("contoso", "nobody"):
            path = re.sub(r"\{(\w+)\}", lambda m, t=tenant: {**values, "tenant": t}[m[1]], route.pattern)  # type: ignore[misc]
            status = await page.evaluate(
                "async ([method, url]) => (await fetch(url, {method, headers: {'Content-Type': "
                "'application/x-www-form-urlencoded'}, body: method == 'POST' ? 'x=1' : undefined})).status",
                [route.method, f"{service.origin}/console/{path}"],
            )
            reached += [(route.method, path, status)] if status != 404 else []
    assert reached == []
