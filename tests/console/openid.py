"""A real OpenID provider (oidc-provider of npm) in a process of its own, and whoever signs in there by its pages."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

import aiohttp
import pytest

from dev.azurite import free_port
from tests.console.conftest import ROOT
from tests.console.site import ORIGIN, Browser, Seen

_PROGRAM = ROOT / "dev" / "openid_provider.mjs"
_PACKAGE = ROOT / "dev" / "node_modules" / "oidc-provider"
HOME, CONTOSO, FABRIKAM, ELSEWHERE = ("11111111-0000-4000-8000-00000000000" + each for each in "1234")
"""Directories."""


def describe(oid: str, name: str, tid: str, /, *roles: str, **bend: Any) -> dict[str, Any]:
    """Somebody whom the provider knows; `bend` are the claims that it gets wrong."""
    return {"claims": {"oid": oid, "name": name, "tid": tid, "roles": [*roles]}, "bend": bend}


PEOPLE = {
    "olga": describe("o-1", "Olga Operator", HOME, "Operator"),
    "rita": describe("o-2", "Rita Reader", HOME, "Reader"),
    "both": describe("o-3", "Bo Both", HOME, "Reader", "Operator"),
    "norman": describe("o-4", "Norman <b>Nobody</b>", HOME),
    "ada": describe("c-1", "Ada Admin", CONTOSO, "Admin"),
    "uma": describe("c-2", "Uma User", CONTOSO, "User"),
    "frank": describe("f-1", "Frank Fabrikam", FABRIKAM, "Admin"),
    "eve": describe("e-1", "Eve Elsewhere", ELSEWHERE, "Admin", "Operator"),
    "no-tid": describe("c-3", "Nils", CONTOSO, "Admin", tid=None),
    "no-oid": describe("c-4", "Nora", CONTOSO, "Admin", oid=None),
    "slash": describe("c-5", "Sly", f"{CONTOSO}/x", "Admin"),
    "nonce": describe("o-5", "Nonce", HOME, "Operator", nonce="of another sign-in"),
    "no-nonce": describe("o-5", "Nonce", HOME, "Operator", nonce=None),
    "audience": describe("o-6", "Aud", HOME, "Operator", aud="customers"),
    "audiences": describe("o-6", "Aud", HOME, "Operator", aud=["operators", "another"]),
    "party": describe("o-7", "Azp", HOME, "Operator", azp="another"),
    "issuer": describe("o-8", "Iss", HOME, "Operator", iss="https://another.example"),
    "expired": describe("o-9", "Exp", HOME, "Operator", iat=-7200, exp=-7200),
    "fast": describe("o-10", "Fast", HOME, "Operator", iat=+45, exp=+45),
    "slow": describe("o-11", "Slow", HOME, "Operator", iat=-3630, exp=-3630),
    "ahead": describe("o-12", "Ahead", HOME, "Operator", iat=+300, exp=+300),
    "stale": describe("o-13", "Stale", HOME, "Operator", auth_time=-7200),
    "silent": describe("o-14", "Silent", HOME, "Operator", auth_time=None),
}


@contextmanager
def running(origin: str = ORIGIN) -> Iterator[str]:
    """The provider for as long as the block runs, with a console at that origin; its issuer."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node.js is not installed, which the OpenID provider runs on")
    if not _PACKAGE.exists():
        pytest.skip("oidc-provider is not installed: run npm ci in dev")
    port = free_port()
    command = [node, str(_PROGRAM), str(port), origin, json.dumps(PEOPLE)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        assert process.stdout is not None and process.stdout.readline() == "ready\n"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(10)
        if process.stdout is not None:
            process.stdout.close()


def settings(issuer: str) -> dict[str, str]:
    """The settings that have both kinds of people sign in there."""
    found = {"SCIM_CONSOLE_DIRECTORIES": f"fabrikam = {FABRIKAM.upper()}, "}
    for who in ("operators", "customers"):
        name = f"SCIM_CONSOLE_{who.upper()}"
        found |= {f"{name}_ISSUER": issuer, f"{name}_CLIENT_ID": who}
        found[f"{name}_CLIENT_SECRET"] = f"{who}:no secret/only a test"
    return found


@dataclass
class Visitor:
    """Somebody with a browser: `browser` has the console's pages, `session` the provider's."""

    browser: Browser
    session: aiohttp.ClientSession

    async def sign_in(self, who: str, login: str, *, follow: bool = True, **query: str) -> Seen:
        """What the console answers who comes back from the provider."""
        back = await self.come_back(await self.begin(who, **query), login)
        return await self.arrive(back, follow=follow)

    async def begin(self, who: str, **query: str) -> str:
        """Press the button; the address at the provider that it leads to."""
        asked = "?" + "&".join(f"{name}={value}" for name, value in query.items()) if query else ""
        seen = await self.browser.get(f"/console/sign-in/{who}{asked}", follow=False)
        assert seen.status == 303, seen.text
        return seen.headers["location"]

    async def come_back(self, address: str, login: str) -> str:
        """Sign in at the provider, if it asks who one is; it ends the session of somebody else. The address that
        it leads back to."""
        while not address.startswith(ORIGIN):
            async with self.session.get(address, allow_redirects=False) as answer:
                assert answer.status in (200, 303), await answer.text()
                page = await answer.text()
            if answer.status == 200:
                (form,) = re.findall(r'action="([^"]+)"', page)
                hidden = re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page)
                data = {**dict(hidden), "login": login, "password": "x"}
                async with self.session.post(urljoin(address, form), data=data, allow_redirects=False) as answer:
                    assert answer.status == 303, await answer.text()
            address = urljoin(address, answer.headers["Location"])
        return address

    async def arrive(self, back: str, *, follow: bool = True) -> Seen:
        """Open the address that the provider leads back to, as a browser does."""
        parts = urlsplit(back)
        self.browser.site = "cross-site"
        try:
            return await self.browser.get(f"{parts.path}?{parts.query}", follow=follow)
        finally:
            self.browser.site = "same-origin"
