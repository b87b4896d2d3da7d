"""The app as it is deployed: connections in a Key Vault, opened with a managed identity, on a table in Azurite."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

import function_app
from dev.azurite import Azurite
from dev.host import Host
from scim.app import Application
from scim.connections.__main__ import main
from scim.settings import Settings
from tests.cloud import Cloud
from tests.conftest import TABLE
from tests.support import Client, Response

ORIGIN = "http://scim.test"
TENANT_URL = f"{ORIGIN}/scim"

_numbers = count()


@pytest.fixture
async def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Cloud]:
    """Key Vault, an issuer and the identity endpoint, with nothing in them."""
    async with Cloud(tmp_path).running() as cloud:
        for name, value in cloud.environment.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)  # where no local.settings.json is
        yield cloud


@pytest.fixture
def deployed_settings(cloud: Cloud, azurite: Azurite) -> Settings:
    return Settings.from_environment(
        {
            "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
            "SCIM_TABLE_NAME": TABLE,
            "SCIM_KEY_VAULT_URL": cloud.vault_url,
        }
    )


@pytest.fixture
async def deployed(cloud: Cloud, deployed_settings: Settings) -> AsyncIterator[Application]:
    """The application on that vault. It starts at its first request, with nothing kept."""
    original = function_app.application
    application = function_app.application = Application(deployed_settings, ca_file=cloud.ca_file)
    yield application
    function_app.application = original
    await application.close()


@dataclass
class Deployment:
    """What an operator and an identity provider do with the deployed app."""

    cloud: Cloud
    host: Host
    run: Callable[..., Awaitable[str]]

    def name(self) -> str:
        """A name, for a connection and its tenant, that no other test has."""
        return f"vaulted-{next(_numbers)}"

    async def tool(self, *arguments: str) -> Any:
        """Run the operator's tool; the JSON that it prints."""
        return json.loads(await self.run(*arguments, "--json"))

    async def token(self, url: str, headers: dict[str, str] | None = None, **form: str) -> Response:
        """POST a form to the token endpoint."""
        body = urlencode(form).encode()
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        answer = await self.host.request("POST", url, {**sent, **(headers or {})}, body)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    def client(self, tenant: str, token: str) -> Client:
        return Client(self.host, tenant, token)


@pytest.fixture
def deployment(
    cloud: Cloud, azurite: Azurite, deployed: Application, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> Iterator[Deployment]:
    monkeypatch.setenv("SCIM_KEY_VAULT_URL", cloud.vault_url)
    monkeypatch.setenv("SCIM_TABLE_NAME", TABLE)
    monkeypatch.setenv("SCIM_TENANT_URL", TENANT_URL)

    async def run(*arguments: str) -> str:
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments, ca_file=cloud.ca_file)
        printed = capsys.readouterr()
        assert code == 0, printed.err
        return printed.out

    yield Deployment(cloud, Host(function_app.app), run)
