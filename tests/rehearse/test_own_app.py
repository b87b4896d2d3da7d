"""What our own app adds to a rehearsal: tokens for both OAuth grants, and `why` for each failure that is provoked."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import httpx
import pytest

import function_app
from dev.azurite import Azurite, free_port
from dev.credentials import SEAL, SEALS, new_key
from dev.host import Host, serve
from dev.rehearse.auth import ClientCredentials, Credentials, Federation, HowSent, SecretToken, TokenError
from dev.rehearse.client import Client
from dev.rehearse.rehearsal import rehearse
from dev.rehearse.results import Report
from dev.rehearse.stage import Options
from scim.app import Application
from scim.security.keys import create_client_id
from scim.security.signing_keys import rotate, write_signing_keys
from scim.settings import Settings
from tests.cloud import Cloud
from tests.conftest import TABLE
from tests.rehearse.test_faults import Body, Wire

ISSUER, AUDIENCE, SUBJECT = "https://issuer.example", "api://scim", "the-workload"


@dataclass(frozen=True)
class Service:
    """The app on Azurite, served, with a tenant and a connection of each kind for it."""

    application: Application
    origin: str
    cloud: Cloud
    name: str
    keys: dict[str, str]

    async def rehearse(
        self, credentials: Credentials, *names: str, transport: httpx.AsyncBaseTransport | None = None
    ) -> Report:
        """Play a small rehearsal."""
        client = Client(f"{self.origin}/scim", credentials, rate=0, parallel=4, transport=transport)
        try:
            return await rehearse(client, Options(users=8, groups=3, cycles=1, dialects=("legacy",)), list(names))
        finally:
            await client.close()

    async def ask_why(self, **whom: str) -> dict[str, object]:
        """Ask as the operator does, when all that waits behind responses is written."""
        recorder = self.application._observer._recorder
        assert recorder is not None
        await recorder.settle()
        headers = {"Authorization": f"Bearer {self.keys['operator']}"}
        async with httpx.AsyncClient(headers=headers) as http:
            answer = await http.get(f"{self.origin}/manage/{self.name}/why", params=whom)
        assert answer.status_code == 200, answer.text
        content: dict[str, object] = answer.json()
        return content


@pytest.fixture
async def service(azurite: Azurite, tmp_path: Path) -> AsyncIterator[Service]:
    name = f"t{uuid4().hex[:12]}"
    keys = {"": new_key(name), "oauth": new_key(f"{name}-oauth"), "operator": new_key(f"{name}-operator")}
    async with Cloud(tmp_path).running() as cloud:
        trust = {"issuer": ISSUER, "audience": AUDIENCE, "subject": SUBJECT, "jwks_uri": cloud.jwks_uri}
        connections = {
            name: {"tenant": name, "keys": [keys[""]]},
            f"{name}-oauth": {"tenant": name, "kind": "oauth", "keys": [keys["oauth"]]},
            f"{name}-federation": {"tenant": name, "kind": "federation", "trust": trust},
            f"{name}-operator": {"operator": {"tenants": [name], "rights": ["manage"]}, "keys": [keys["operator"]]},
        }
        settings = Settings.from_environment(
            {
                "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
                "SCIM_TABLE_NAME": TABLE,
                "SCIM_CONNECTIONS": json.dumps(connections),
                "SCIM_SEALS": SEALS,
                "SCIM_SIGNING_KEYS": write_signing_keys(rotate((), at_once=True)),
                "SCIM_TENANT_RATE": "0",
                "SCIM_INSIGHT_SECONDS": "300",
            }
        )
        original = function_app.application
        application = function_app.application = Application(settings, ca_file=cloud.ca_file)
        runner = await serve(Host(function_app.app), port := free_port())
        yield Service(application, f"http://127.0.0.1:{port}", cloud, name, keys)
        await runner.cleanup()
        function_app.application = original
        await application.close()


@pytest.mark.parametrize("how", ["header", "body", "both"])
async def test_client_credentials(service: Service, how: HowSent) -> None:
    name, endpoint = f"{service.name}-oauth", f"{service.origin}/oauth2/token"
    report = await service.rehearse(
        ClientCredentials(endpoint, name, secret=service.keys["oauth"], how=how), "test-connection", "initial-cycle"
    )
    assert (report.failures, report.findings()) == (0, [])
    wrong = ClientCredentials(endpoint, name, secret=new_key(name), how=how)
    async with httpx.AsyncClient() as http:
        with pytest.raises(TokenError, match="invalid_client"):
            await wrong.token(http)


async def test_federation(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "assertion"
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT}
    file.write_text(service.cloud.issuer.token(**claims))
    client_id = create_client_id(f"{service.name}-federation", SEAL)
    credentials = Federation(f"{service.origin}/oauth2/token", client_id, assertion_file=file)
    report = await service.rehearse(credentials, "test-connection", "initial-cycle")
    assert (report.failures, report.findings()) == (0, [])
    file.write_text(service.cloud.issuer.token(**{**claims, "sub": "somebody else"}))
    credentials.forget()
    async with httpx.AsyncClient() as http:
        with pytest.raises(TokenError, match="invalid_client"):
            await credentials.token(http)


class Spoiling(Wire):
    """Spoils every second user and every group on the way to the app, each in another way, so that it is refused."""

    def __init__(self) -> None:
        super().__init__()
        self.spoiled: dict[str, str] = {}
        """The attribute that was spoiled, by the name of whom it was sent for."""

    def sent(self, request: httpx.Request, body: Body) -> None:
        if request.method != "POST":
            return
        kind = "userName" if request.url.path.endswith("/Users") else "displayName"
        ways = ("active", "name", "emails") if kind == "userName" else ("externalId",)
        name = str(body[kind])
        number = sum(map(ord, name))
        if name in self.spoiled or kind == "displayName" or number % 2:
            attribute = self.spoiled.setdefault(name, ways[number % len(ways)])
            body[attribute] = {"active": "perhaps", "name": "Anna", "emails": [5], "externalId": ["5"]}[attribute]


async def test_why_finds_every_failure_that_is_provoked(service: Service) -> None:
    wire = Spoiling()
    report = await service.rehearse(SecretToken(service.keys[""]), "initial-cycle", transport=wire)
    subjects = {subject for finding in report.findings() for subject in finding.problem.subjects}
    assert subjects <= set(wire.spoiled)
    assert subjects and len(set(wire.spoiled.values())) >= 3
    for name, attribute in wire.spoiled.items():
        whom = {"user": name} if "@" in name else {"group": name}
        found = await service.ask_why(**whom)
        assert found["verdict"] == "refused", (name, attribute, found)
        assert attribute in json.dumps(found["failures"]) and found["remedy"], found
