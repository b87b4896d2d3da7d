"""An OpenID provider as Entra is one for all directories: its issuer is a pattern, and an identity's token stands for a
client secret. What any provider does is in tests/console/test_sign_in.py, with a real one."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from aiohttp import web

from scim.security.assertions import Assertions
from scim.security.jwks import PublicKeys
from scim.security.openid import Flow, NotSignedIn, Provider, ProviderUnavailable, Registration
from tests.cloud import Issuer

TENANT = "7f3d2f6e-0000-4000-8000-000000000001"
CLIENT = "5d0f7c1e-0000-4000-8000-000000000002"
FLOW = Flow("secret", "about")
BACK = "https://console.test/console/callback/customers"


@dataclass
class Entra:
    """Two addresses of Entra's, and the ID token that it answers with."""

    base: str = ""
    issuer: Issuer = field(default_factory=Issuer)
    document: dict[str, Any] = field(default_factory=dict)
    forms: list[dict[str, str]] = field(default_factory=list)
    answer: dict[str, Any] = field(default_factory=dict)
    status: int = 200

    def describe(self) -> dict[str, Any]:
        return {
            "issuer": f"{self.base}/{{tenantid}}/v2.0",
            "authorization_endpoint": f"{self.base}/organizations/oauth2/v2.0/authorize?x=1",
            "token_endpoint": f"{self.base}/token",
            "jwks_uri": f"{self.base}/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            **self.document,
        }

    def sign(self, **claims: Any) -> None:
        """Answer with a token that is right but for these claims."""
        issuer = f"{self.base}/{TENANT}/v2.0"
        right = {"iss": issuer, "aud": CLIENT, "nonce": FLOW.nonce, "sub": "s", "tid": TENANT, "oid": "o"}
        self.answer = {"id_token": self.issuer.token(**right | claims)}

    async def discover(self, request: web.Request) -> web.Response:
        return web.json_response(self.describe())

    async def redeem(self, request: web.Request) -> web.Response:
        self.forms.append({name: str(value) for name, value in (await request.post()).items()})
        return web.json_response(self.answer, status=self.status)


@pytest.fixture
async def entra() -> AsyncIterator[Entra]:
    made, app = Entra(), web.Application()
    app.add_routes(
        [
            web.get("/organizations/v2.0/.well-known/openid-configuration", made.discover),
            web.post("/token", made.redeem),
            web.get("/keys", made.issuer._jwks),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    made.base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    made.sign()
    yield made
    await runner.cleanup()


def open_provider(entra: Entra, secret: str | None = None, *, for_many: bool = True) -> Provider:
    async def assert_self() -> str:
        return "a token of the identity"

    registration = Registration(f"{entra.base}/organizations/v2.0", CLIENT, secret, for_many)
    return Provider(registration, Assertions(PublicKeys()), assert_self)


async def test_the_identity_s_token_stands_for_a_secret(entra: Entra) -> None:
    claims = await open_provider(entra).redeem("code", FLOW, BACK)
    assert (claims["tid"], claims["oid"]) == (TENANT, "o")
    (form,) = entra.forms
    assert form == {
        "grant_type": "authorization_code",
        "code": "code",
        "redirect_uri": BACK,
        "code_verifier": FLOW.verifier,
        "client_id": CLIENT,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": "a token of the identity",
    }
    await open_provider(entra, "shh").redeem("code", FLOW, BACK)
    assert (entra.forms[-1]["client_id"], entra.forms[-1]["client_secret"]) == (CLIENT, "shh")


@pytest.mark.parametrize(
    ("claims", "said"),
    [
        ({"iss": "{base}/7f3d2f6e-0000-4000-8000-000000000009/v2.0", "tid": TENANT}, "not its issuer's"),
        ({"tid": None}, "not its issuer's"),
        ({"iss": "{base}/{{tenantid}}/v2.0", "tid": "{{tenantid}}"}, "another one"),
        ({"iss": "{base}/organizations/v2.0", "tid": "organizations"}, "another one"),
        ({"iss": "https://evil.example/" + TENANT + "/v2.0"}, "another one"),
        ({"iss": "{base}/" + TENANT}, "another one"),
        ({"sub": None}, "no subject"),
        ({"exp": None}, "no claim exp"),
    ],
)
async def test_the_issuer_is_the_directory_s(entra: Entra, claims: dict[str, Any], said: str) -> None:
    entra.sign(**{name: value.format(base=entra.base) if value else None for name, value in claims.items()})
    with pytest.raises(NotSignedIn, match=said):
        await open_provider(entra).redeem("code", FLOW, BACK)


@pytest.mark.parametrize(
    ("status", "answer", "why"),
    [
        (400, {"error": "invalid_grant", "error_description": "AADSTS70000: used\r\nTrace"}, "used"),
        (401, {"error": "invalid_client", "error_description": "AADSTS700213: no credential"}, "client"),
        (400, {"error": "invalid_scope"}, "provider"),
        (200, {"access_token": "x"}, "token"),
        (200, {"id_token": "x.y.z"}, "token"),
    ],
)
async def test_what_the_provider_says_is_told(entra: Entra, status: int, answer: dict[str, Any], why: str) -> None:
    entra.status, entra.answer = status, answer
    with pytest.raises(NotSignedIn) as caught:
        await open_provider(entra).redeem("code", FLOW, BACK)
    assert caught.value.why == why and "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "document",
    [
        {"issuer": "https://evil.example/{tenantid}/v2.0"},
        {"issuer": "https://evil.example"},
        {"token_endpoint": "javascript:alert(1)"},
        {"authorization_endpoint": None},
    ],
)
async def test_a_document_of_somebody_else_is_none(entra: Entra, document: dict[str, Any]) -> None:
    entra.document = document
    with pytest.raises(ProviderUnavailable):
        await open_provider(entra).find_sign_in(FLOW, BACK, fresh=False)


async def test_operators_have_one_directory(entra: Entra) -> None:
    """Else whoever gives roles in a directory of their own would be an operator here."""
    with pytest.raises(ProviderUnavailable, match="names another issuer"):
        await open_provider(entra, for_many=False).redeem("code", FLOW, BACK)
    assert entra.forms == []


async def test_an_answer_may_name_its_directory_s_issuer(entra: Entra) -> None:
    provider = open_provider(entra)
    for named in (None, f"{entra.base}/{TENANT}/v2.0", f"{entra.base}/{{tenantid}}/v2.0"):
        assert await provider.redeem("code", FLOW, BACK, named=named)
    with pytest.raises(NotSignedIn, match="another provider"):
        await provider.redeem("code", FLOW, BACK, named="https://evil.example/v2.0")


@pytest.mark.parametrize(
    ("ago", "said"), [(0, None), (900, None), (1000, "did not ask"), (-30, None), (-3600, "yet to come")]
)
async def test_a_fresh_sign_in_was_a_moment_ago(entra: Entra, ago: int, said: str | None) -> None:
    entra.sign(auth_time=time.time() - ago)
    answer = open_provider(entra).redeem("code", FLOW, BACK, fresh=True)
    if said is None:
        assert await answer
    else:
        with pytest.raises(NotSignedIn, match=said):
            await answer


async def test_the_document_is_asked_for_once(entra: Entra) -> None:
    provider = open_provider(entra)
    first = await provider.find_sign_in(FLOW, BACK)
    assert first.startswith(
        f"{entra.base}/organizations/oauth2/v2.0/authorize?x=1&client_id={CLIENT}&response_type=code"
    )
    assert FLOW.verifier not in first and FLOW.secret not in first
    entra.document = {"issuer": "https://evil.example"}
    assert await provider.find_sign_in(FLOW, BACK) == first
    assert await provider.find_sign_in(FLOW, BACK, other=True) == f"{first}&prompt=select_account"
    assert await provider.find_sign_in(FLOW, BACK, fresh=True) == f"{first}&prompt=login&max_age=900"
    assert await provider.find_sign_out("https://console.test/console") is None
