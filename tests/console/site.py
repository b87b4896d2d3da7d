"""The app with its console and its door, on a table of its own, beside a settings file with its connections."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import pytest

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.operate.access.people import Role
from scim.operate.access.sessions import Sessions
from scim.settings import Settings
from tests.conftest import TABLE
from tests.support import Client

ORIGIN = "https://console.test"


@dataclass
class Seen:
    """A page as a browser got it."""

    status: int
    headers: dict[str, str]
    text: str

    @property
    def words(self) -> str:
        """The page's text without its marks."""
        return unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", self.text)))


@dataclass
class Browser:
    """Keeps a cookie and sends forms as a browser does."""

    host: Host
    cookie: str = ""
    site: str = "same-origin"
    extra: dict[str, str] = field(default_factory=dict)

    async def get(self, path: str, *, follow: bool = True) -> Seen:
        return await self._send("GET", path, b"", follow=follow)

    async def post(self, path: str, *, follow: bool = True, **form: str) -> Seen:
        return await self._send("POST", path, urlencode(form).encode(), follow=follow)

    async def _send(self, method: str, path: str, body: bytes, *, follow: bool) -> Seen:
        headers = {"Host": "console.test", "Cookie": self.cookie, "Sec-Fetch-Site": self.site, **self.extra}
        if method == "POST":
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        answer = await self.host.request(method, f"{ORIGIN}{path}", headers, body)
        found = {name.lower(): value for name, value in answer.headers.items()}
        if "set-cookie" in found:
            kept = dict(each.split("=", 1) for each in self.cookie.split("; ") if each)
            kept |= dict([found["set-cookie"].partition(";")[0].split("=", 1)])
            self.cookie = "; ".join("=".join(each) for each in kept.items())
        if answer.status == 303 and follow:
            return await self.get(found["location"])
        return Seen(answer.status, found, answer.body.decode())


@dataclass
class Site:
    """The console with its app and table."""

    application: Application
    host: Host
    folder: Path

    async def link(self, role: Role, tenant: str | None = None) -> str:
        """The token of a new link."""
        return (await Sessions(self.application.table).invite(role, tenant, "tests"))[1]

    async def enter(self, role: Role, tenant: str | None = None) -> Browser:
        """Somebody who has signed in."""
        browser = Browser(self.host)
        seen = await browser.post("/console/invitation", token=await self.link(role, tenant))
        assert seen.status == 200, seen.text
        return browser

    def kept(self) -> dict[str, object]:
        values = json.loads((self.folder / "local.settings.json").read_text())["Values"]
        found: dict[str, object] = json.loads(values["SCIM_CONNECTIONS"])
        return found


@asynccontextmanager
async def opened(azurite: Azurite, host: Host, folder: Path, **more: str) -> AsyncIterator[Site]:
    """The console on a table of its own; `more` are settings. The process works in its folder."""
    connections = {"contoso": {"tenant": "contoso", "keys": [new_key("contoso")]}}
    values = {"SCIM_CONNECTIONS": json.dumps(connections), "SCIM_SEALS": SEALS}
    (folder / "local.settings.json").write_text(json.dumps({"IsEncrypted": False, "Values": values}))
    name = f"{TABLE}{abs(hash(folder)) % 10**8}"
    azurite.create_table(name)
    settings = Settings.from_environment(
        {
            **values,
            "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
            "SCIM_TABLE_NAME": name,
            "SCIM_CONSOLE": "true",
            "SCIM_INSIGHT_SECONDS": "1",
            **more,
        }
    )
    own = Application(settings)
    original, function_app.application = function_app.application, own
    try:
        yield Site(own, host, folder)
    finally:
        function_app.application = original
        await own.close()


@pytest.fixture
async def site(azurite: Azurite, host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    monkeypatch.chdir(tmp_path)
    async with opened(azurite, host, tmp_path) as made:
        yield made


@pytest.fixture
def client(site: Site) -> Iterator[Client]:
    """The identity provider of contoso, whose requests fill the pages."""
    key = json.loads(json.dumps(site.kept()))["contoso"]["keys"][0]
    yield Client(site.host, "contoso", key)
