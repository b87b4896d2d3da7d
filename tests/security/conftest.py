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
from dev.credentials import SEAL, SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.operate.tool.main import main
from scim.security.keys import create_client_id
from scim.settings import Settings
from tests.cloud import Cloud, Secret
from tests.conftest import TABLE
from tests.support import Client, Response, Wire

ORIGIN = "http://scim.test"
TENANT_URL = f"{ORIGIN}/scim"
TOKEN_URL = f"{ORIGIN}/oauth2/token"

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
            "SCIM_ENTRA_KEYS_URL": cloud.jwks_uri,
            "SCIM_ADDRESS_REFUSALS": "0",
        }
    )


@pytest.fixture
def table() -> Wire:
    """The watch on the table of the deployed app."""
    return Wire()


@pytest.fixture
async def deployed(cloud: Cloud, deployed_settings: Settings, table: Wire) -> AsyncIterator[Application]:
    """The application on that vault. It starts at its first request, with nothing kept."""
    original = function_app.application
    application = function_app.application = Application(deployed_settings, policies=[table], ca_file=cloud.ca_file)
    yield application
    function_app.application = original
    await application.close()


@dataclass
class Deployment:
    """What an operator and an identity provider do with the deployed app."""

    cloud: Cloud
    host: Host
    application: Application
    table: Wire
    command: Callable[..., Awaitable[tuple[int, str, str]]]
    terminal: bool = True
    """Whether the tool prints to a terminal."""

    def name(self) -> str:
        """A name, for a connection and its tenant, that no other test has."""
        return f"vaulted-{next(_numbers)}"

    async def run(self, *arguments: str) -> str:
        """Run a command of the noun `connections`; what it prints."""
        code, out, err = await self.command(*arguments)
        assert code == 0, err
        return out

    async def tool(self, *arguments: str) -> Any:
        """Run the operator's tool; the JSON that it prints."""
        return json.loads(await self.run(*arguments, "--json"))

    async def refused(self, *arguments: str) -> str:
        """Run the operator's tool, which must refuse; what it says, which is one line."""
        code, out, err = await self.command(*arguments)
        assert (code, out, len(err.splitlines())) == (1, "", 1), (out, err)
        return err.strip()

    def keep(self, name: str, document: object, **attributes: Any) -> None:
        """Write a secret of the vault as it is, past the tool."""
        text = document if isinstance(document, str) else json.dumps(document)
        self.cloud.vault.secrets[f"connection-{name}"] = Secret(text, **attributes)

    def kept(self, name: str) -> Any:
        """The document of a connection in the vault."""
        return json.loads(self.cloud.vault.secrets[f"connection-{name}"].value)

    def client_id(self, name: str) -> str:
        """What a client of a connection without a secret is called."""
        return create_client_id(name, SEAL)

    def connect(self, **members: Any) -> tuple[str, str]:
        """Keep a connection of these members, with one new key where they say nothing else; its name and the key."""
        name = self.name()
        key = new_key(name)
        self.keep(name, {"tenant": name, "keys": [key], **members})
        return name, key

    def reads(self, name: str) -> int:
        """How often the vault was asked for a connection."""
        return self.cloud.vault.reads.count(f"connection-{name}")

    def later(self, seconds: float) -> None:
        """Let that much time pass for what the app keeps of the vault, for which time stands still otherwise."""
        security = self.application._built().security
        for source in (security.connections, security.signing_keys, security.sealing.roots):
            now = source._clock() + seconds  # type: ignore[attr-defined]
            source._clock = lambda now=now: now  # type: ignore[attr-defined]

    async def settle(self) -> None:
        """Wait for what the app marks behind a request."""
        in_vault = self.application._built().security._in_vault
        assert in_vault is not None
        await in_vault.settle()

    async def token(self, url: str = TOKEN_URL, headers: dict[str, str] | None = None, **form: str) -> Response:
        """POST a form to the token endpoint."""
        return await self.post(urlencode(form).encode(), url, headers)

    async def post(self, body: bytes, url: str = TOKEN_URL, headers: dict[str, str] | None = None) -> Response:
        """POST any body to the token endpoint."""
        sent = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(body))}
        return await self.request("POST", url, {**sent, **(headers or {})}, body)

    async def request(
        self, method: str, url: str, headers: dict[str, str] | None = None, body: bytes = b""
    ) -> Response:
        answer = await self.host.request(method, url, headers, body)
        return Response(answer.status, {name.lower(): value for name, value in answer.headers.items()}, answer.body)

    def client(self, tenant: str, token: str) -> Client:
        return Client(self.host, tenant, token)


@pytest.fixture
def deployment(
    cloud: Cloud,
    azurite: Azurite,
    deployed: Application,
    table: Wire,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: Any,
) -> Iterator[Deployment]:
    monkeypatch.setenv("SCIM_KEY_VAULT_URL", cloud.vault_url)
    monkeypatch.setenv("SCIM_TABLE_NAME", TABLE)
    monkeypatch.setenv("SCIM_TENANT_URL", TENANT_URL)

    async def command(*arguments: str) -> tuple[int, str, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(main, ["connections", *arguments], ca_file=cloud.ca_file)
        return code, *capsys.readouterr()

    cloud.vault.secrets["credential-seals"] = Secret(SEALS)
    made = Deployment(cloud, Host(function_app.app), deployed, table, command)
    monkeypatch.setattr("scim.operate.tool.shown.is_terminal", lambda: made.terminal)
    yield made
