"""Each kind of connection, from the operator's `add` to a provisioned user, with nothing but what was printed."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.security.conftest import Deployment
from tests.support import Client

TENANT_ID = "0a1b2c3d-1111-2222-3333-444455556666"
APP_ID = "5b8e3f6a-9c1d-4e2f-8a7b-6c5d4e3f2a1b"
SUBJECT = "d7c6b5a4-1234-4321-abcd-0123456789ab"
SYNC_FABRIC = "00000014-0000-0000-c000-000000000000"


def printed(text: str) -> dict[str, str]:
    """The fields to enter, from the lines that have one."""
    pairs = (line.partition(":") for line in text.splitlines() if ":" in line and not line.startswith(" "))
    return {name: value.strip() for name, _, value in pairs}


async def provisioned(client: Client) -> None:
    """Test Connection, and a user that comes, changes and goes."""
    missing = await client.get("/Users?filter=userName+eq+%22nobody%22")
    assert (missing.status, missing.json["totalResults"]) == (200, 0), missing.body
    user = await client.new_user("adele@contoso.example")
    changed = await client.patch(f"/Users/{user['id']}", {"op": "Replace", "path": "active", "value": "False"})
    assert (changed.status, changed.json["active"]) == (200, False)
    assert (await client.delete(f"/Users/{user['id']}")).status == 204


async def test_secret_token(deployment: Deployment) -> None:
    name = deployment.name()
    fields = printed(await deployment.run("add", name))
    assert fields["Tenant URL"] == "http://scim.test/scim"
    await provisioned(deployment.client(name, fields["Secret Token"]))


@pytest.mark.parametrize("sent", ["header", "body", "both"])
async def test_client_credentials(deployment: Deployment, sent: str) -> None:
    name = deployment.name()
    fields = printed(await deployment.run("add", name, "--kind", "oauth"))
    client, secret = fields["Client ID"], fields["Client Secret"]
    basic = {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}
    in_body = {"client_id": client, "client_secret": secret}
    response = await deployment.token(
        fields["Token endpoint"],
        basic if sent != "body" else None,
        grant_type="client_credentials",
        scope=fields["Scope"],
        **(in_body if sent != "header" else {}),
    )
    assert response.status == 200, response.body
    assert (response.json["token_type"], response.json["expires_in"], response.json["scope"]) == (
        "Bearer",
        3600,
        "scim",
    )
    assert response.headers["cache-control"] == "no-store"
    await provisioned(deployment.client(name, response.json["access_token"]))


def assertion(deployment: Deployment, **claims: Any) -> str:
    """What Entra signs for workload identity federation."""
    said = {
        "iss": f"https://login.microsoftonline.com/{TENANT_ID}/v2.0",
        "aud": f"api://{APP_ID}",
        "sub": SUBJECT,
        "oid": SUBJECT,
        "tid": TENANT_ID,
        "ver": "2.0",
    }
    return deployment.cloud.issuer.token(**{**said, **claims})


@pytest.mark.parametrize("audience", [APP_ID, f"api://{APP_ID}", f"api://{APP_ID}/.default"])
async def test_federation_with_entra(deployment: Deployment, audience: str) -> None:
    name = deployment.name()
    text = await deployment.run(
        *("add", name, "--kind", "federation", "--tenant-id", TENANT_ID.upper(), "--app-id", f"api://{APP_ID}"),
        *("--subject", SUBJECT, "--jwks-uri", deployment.cloud.jwks_uri),
    )
    fields = printed(text)
    response = await deployment.token(
        fields["Token endpoint"],
        grant_type="client_credentials",
        client_id=fields["Client ID"],
        client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        client_assertion=assertion(deployment, aud=audience),
        scope=fields["Scope"],
    )
    assert response.status == 200, response.body
    await provisioned(deployment.client(name, response.json["access_token"]))


async def test_federation_with_another_issuer_by_token_exchange(deployment: Deployment) -> None:
    name = deployment.name()
    text = await deployment.run(
        *("add", name, "--kind", "federation", "--issuer", "https://accounts.google.com", "--subject", "1180123"),
        *("--audience", "https://scim.test", "--jwks-uri", deployment.cloud.jwks_uri),
    )
    fields = printed(text)
    token = deployment.cloud.issuer.token(iss="https://accounts.google.com", aud="https://scim.test", sub="1180123")
    response = await deployment.token(
        fields["Token endpoint"],
        grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
        client_id=fields["Client ID"],
        subject_token=token,
        subject_token_type="urn:ietf:params:oauth:token-type:id_token",
    )
    assert response.status == 200, response.body
    assert response.json["issued_token_type"] == "urn:ietf:params:oauth:token-type:access_token"
    await provisioned(deployment.client(name, response.json["access_token"]))


async def test_token_that_entra_issues(deployment: Deployment) -> None:
    name = deployment.name()
    entra = ("--kind", "entra", "--tenant-id", TENANT_ID, "--jwks-uri", deployment.cloud.jwks_uri, "--accept-replay")
    text = await deployment.run("add", *entra, "--tenant", name)
    assert printed(text)["Tenant URL"] == "http://scim.test/scim"
    token = deployment.cloud.issuer.token(
        iss=f"https://sts.windows.net/{TENANT_ID}/",
        aud="8adf8e6e-67b2-4cf2-a259-e3dc5476c621",
        appid=SYNC_FABRIC,
        sub="any",
        tid=TENANT_ID,
    )
    await provisioned(deployment.client(name, token))
