"""The token endpoint by the book (RFC 6749, RFC 7523, RFC 8693): what it gives, and every refusal it has."""

from __future__ import annotations

import base64
import json
import re
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest

from dev.credentials import new_key
from scim.security.keys import digest
from scim.security.oauth import OAuthError
from scim.settings import Settings
from tests.core import cases
from tests.security.conftest import ORIGIN, TOKEN_URL, Deployment
from tests.support import Response

CLIENT_CREDENTIALS = {"grant_type": "client_credentials"}
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
DESCRIPTION = re.compile(r"[\x20\x21\x23-\x5b\x5d-\x7e]+")
"""RFC 6749 §5.2."""


def basic(client: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def error(answer: Response) -> tuple[int, str]:
    """The status and the code of a refusal, which is one by the book."""
    assert answer.headers["content-type"] == "application/json"
    assert "no-store" in answer.headers["cache-control"]
    assert answer.headers["pragma"] == "no-cache"
    assert sorted(answer.json) == ["error", "error_description"]
    assert DESCRIPTION.fullmatch(answer.json["error_description"])
    assert ("www-authenticate" in answer.headers) == (answer.status == 401)
    return answer.status, answer.json["error"]


@pytest.fixture
async def client(deployment: Deployment) -> tuple[str, str]:
    """The id and the secret of a client, with signing keys there."""
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth")
    return added["enter"]["Client ID"], added["enter"]["Client Secret"]


async def test_success_is_by_the_book(deployment: Deployment, client: tuple[str, str]) -> None:
    answer = await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert (answer.headers["cache-control"], answer.headers["pragma"]) == ("no-store", "no-cache")
    assert answer.json | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 3600,
        "scope": "scim",
    }


FORMS: dict[str, tuple[dict[str, Any], tuple[int, str]]] = {
    "nothing": ({}, (400, "invalid_request")),
    "no grant type": ({"client_id": "ID", "client_secret": "SECRET"}, (400, "invalid_request")),
    "empty grant type": ({"grant_type": "", "client_id": "ID", "client_secret": "SECRET"}, (400, "invalid_request")),
    "unknown grant type": ({"grant_type": "hocus_pocus"}, (400, "unsupported_grant_type")),
    "authorization code": ({"grant_type": "authorization_code", "code": "x"}, (400, "unsupported_grant_type")),
    "refresh token": ({"grant_type": "refresh_token", "refresh_token": "x"}, (400, "unsupported_grant_type")),
    "password": ({"grant_type": "password", "username": "x", "password": "y"}, (400, "unsupported_grant_type")),
    "unknown scope": ({**CLIENT_CREDENTIALS, "scope": "mail"}, (400, "invalid_scope")),
    "scope and another": ({**CLIENT_CREDENTIALS, "scope": "scim mail"}, (400, "invalid_scope")),
    "no client": (CLIENT_CREDENTIALS, (401, "invalid_client")),
    "no secret": ({**CLIENT_CREDENTIALS, "client_id": "ID"}, (401, "invalid_client")),
    "no id": ({**CLIENT_CREDENTIALS, "client_secret": "SECRET"}, (401, "invalid_client")),
    "wrong secret": ({**CLIENT_CREDENTIALS, "client_id": "ID", "client_secret": "x"}, (401, "invalid_client")),
    "unknown secret": ({**CLIENT_CREDENTIALS, "client_id": "ID", "client_secret": "NEW"}, (401, "invalid_client")),
    "unknown client": ({**CLIENT_CREDENTIALS, "client_id": "x", "client_secret": "SECRET"}, (401, "invalid_client")),
    "id in another case": (
        {**CLIENT_CREDENTIALS, "client_id": "UPPER", "client_secret": "SECRET"},
        (401, "invalid_client"),
    ),
    "assertion of another type": (
        {**CLIENT_CREDENTIALS, "client_id": "ID", "client_assertion": "x", "client_assertion_type": "saml"},
        (400, "invalid_request"),
    ),
    "assertion without its type": (
        {**CLIENT_CREDENTIALS, "client_id": "ID", "client_assertion": "x"},
        (400, "invalid_request"),
    ),
    "type without an assertion": (
        {**CLIENT_CREDENTIALS, "client_id": "ID", "client_assertion_type": JWT_BEARER},
        (401, "invalid_client"),
    ),
    "assertion and secret": (
        {
            **CLIENT_CREDENTIALS,
            "client_id": "ID",
            "client_secret": "SECRET",
            "client_assertion": "x",
            "client_assertion_type": JWT_BEARER,
        },
        (400, "invalid_request"),
    ),
    "assertion for a client with a secret": (
        {**CLIENT_CREDENTIALS, "client_id": "ID", "client_assertion": "x.y.z", "client_assertion_type": JWT_BEARER},
        (401, "invalid_client"),
    ),
    "exchange of nothing": (
        {"grant_type": EXCHANGE, "client_id": "ID", "subject_token_type": JWT},
        (400, "invalid_request"),
    ),
    "exchange of an untyped token": (
        {"grant_type": EXCHANGE, "client_id": "ID", "subject_token": "x.y.z"},
        (400, "invalid_request"),
    ),
    "exchange of another type": (
        {"grant_type": EXCHANGE, "subject_token": "x", "subject_token_type": "urn:x"},
        (400, "invalid_request"),
    ),
    "exchange for another type": (
        {"grant_type": EXCHANGE, "subject_token_type": JWT, "subject_token": "x", "requested_token_type": JWT},
        (400, "invalid_request"),
    ),
    "exchange for somebody": (
        {"grant_type": EXCHANGE, "subject_token_type": JWT, "subject_token": "x", "actor_token": "y"},
        (400, "invalid_request"),
    ),
}


@pytest.mark.parametrize(("form", "expected"), cases(FORMS))
async def test_form_that_is_refused(
    deployment: Deployment, client: tuple[str, str], form: dict[str, str], expected: tuple[int, str]
) -> None:
    values = {"ID": client[0], "SECRET": client[1], "NEW": new_key(client[0]), "UPPER": client[0].upper()}
    answer = await deployment.token(**{name: values.get(value, value) for name, value in form.items()})
    assert error(answer) == expected
    assert client[1] not in answer.body.decode()


BODIES: dict[str, tuple[bytes, dict[str, str], tuple[int, str]]] = {
    "repeated parameter": (b"grant_type=client_credentials&grant_type=x", {}, (400, "invalid_request")),
    "repeated alike": (b"scope=scim&scope=scim&grant_type=client_credentials", {}, (400, "invalid_request")),
    "repeated unknown one": (b"a=1&a=2&grant_type=client_credentials", {}, (400, "invalid_request")),
    "JSON": (b'{"grant_type":"client_credentials"}', {"Content-Type": "application/json"}, (400, "invalid_request")),
    "no content type": (b"grant_type=client_credentials", {"Content-Type": ""}, (400, "invalid_request")),
    "multipart": (b"--x--", {"Content-Type": "multipart/form-data; boundary=x"}, (400, "invalid_request")),
    "no UTF-8": (b"grant_type=\xff", {}, (400, "invalid_request")),
    "too large": (b"grant_type=client_credentials&x=" + b"y" * 65_536, {}, (413, "invalid_request")),
    "too many parameters": (b"&".join(b"a%d=1" % n for n in range(60)), {}, (400, "invalid_request")),
    "empty": (b"", {}, (400, "invalid_request")),
    "quotes and line breaks": (b"grant_type=%22%0d%0a%5c%C3%BC", {}, (400, "unsupported_grant_type")),
    "basic without base64": (
        b"grant_type=client_credentials",
        {"Authorization": "Basic %%%"},
        (401, "invalid_client"),
    ),
    "basic that is no text": (
        b"grant_type=client_credentials",
        {"Authorization": "Basic " + base64.b64encode(b"\xff\xfe:\xff").decode()},
        (401, "invalid_client"),
    ),
    "basic without a colon": (
        b"grant_type=client_credentials",
        {"Authorization": "Basic " + base64.b64encode(b"contoso").decode()},
        (401, "invalid_client"),
    ),
    "basic that is empty": (b"grant_type=client_credentials", {"Authorization": "Basic"}, (401, "invalid_client")),
    "basic in other letters": (
        b"grant_type=client_credentials",
        {"Authorization": "Basic schlüssel"},
        (401, "invalid_client"),
    ),
    "bearer": (b"grant_type=client_credentials", {"Authorization": "Bearer x"}, (401, "invalid_client")),
}


@pytest.mark.parametrize(("body", "headers", "expected"), cases(BODIES))
async def test_body_or_header_that_is_refused(
    deployment: Deployment, body: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    answer = await deployment.post(body, headers=headers)
    assert error(answer) == expected
    assert deployment.cloud.vault.reads == []


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
async def test_token_is_requested_with_post(deployment: Deployment, method: str) -> None:
    answer = await deployment.request(method, f"{TOKEN_URL}?grant_type=client_credentials")
    assert (answer.status, answer.headers["allow"]) == (405, "POST")


async def test_nothing_is_read_from_the_address(deployment: Deployment, client: tuple[str, str]) -> None:
    """RFC 6749 §2.3.1: secrets in addresses end in logs."""
    query = urlencode({**CLIENT_CREDENTIALS, "client_id": client[0], "client_secret": client[1]})
    assert error(await deployment.post(b"", f"{TOKEN_URL}?{query}")) == (400, "invalid_request")


SENT: dict[str, tuple[dict[str, str], tuple[str, str] | None, tuple[int, str | None]]] = {
    "body": ({"client_id": "ID", "client_secret": "SECRET"}, None, (200, None)),
    "header": ({}, ("ID", "SECRET"), (200, None)),
    "both": ({"client_id": "ID", "client_secret": "SECRET"}, ("ID", "SECRET"), (200, None)),
    "id in both": ({"client_id": "ID"}, ("ID", "SECRET"), (200, None)),
    "scope": ({"client_id": "ID", "client_secret": "SECRET", "scope": "scim"}, None, (200, None)),
    "empty scope": ({"client_id": "ID", "client_secret": "SECRET", "scope": ""}, None, (200, None)),
    "unknown parameter": ({"client_id": "ID", "client_secret": "SECRET", "resource": "x"}, None, (200, None)),
    "another id in the body": ({"client_id": "x"}, ("ID", "SECRET"), (400, "invalid_request")),
    "another secret in the body": ({"client_secret": "x"}, ("ID", "SECRET"), (400, "invalid_request")),
    "another secret in the header": (
        {"client_id": "ID", "client_secret": "SECRET"},
        ("ID", "x"),
        (400, "invalid_request"),
    ),
    "wrong in both": ({"client_id": "ID", "client_secret": "x"}, ("ID", "x"), (401, "invalid_client")),
}


@pytest.mark.parametrize(("form", "header", "expected"), cases(SENT))
async def test_client_in_header_and_body(
    deployment: Deployment,
    client: tuple[str, str],
    form: dict[str, str],
    header: tuple[str, str] | None,
    expected: tuple[int, str | None],
) -> None:
    values = {"ID": client[0], "SECRET": client[1]}
    headers = basic(*(values.get(value, value) for value in header)) if header else None
    sent = {name: values.get(value, value) for name, value in form.items()}
    answer = await deployment.token(headers=headers, **CLIENT_CREDENTIALS, **sent)
    assert (answer.status, answer.json.get("error")) == expected


def everything(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


@pytest.mark.parametrize("encode", [quote, quote_plus, everything])
async def test_basic_header_is_decoded_as_a_form(deployment: Deployment, client: tuple[str, str], encode: Any) -> None:
    """RFC 6749 §2.3.1."""
    answer = await deployment.token(headers=basic(encode(client[0]), encode(client[1])), **CLIENT_CREDENTIALS)
    assert answer.status == 200


CONTENT_TYPES = ["application/x-www-form-urlencoded; charset=utf-8", "Application/X-WWW-Form-Urlencoded"]


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
async def test_content_type_with_parameters(deployment: Deployment, client: tuple[str, str], content_type: str) -> None:
    headers = {**basic(*client), "Content-Type": content_type}
    assert (await deployment.post(urlencode(CLIENT_CREDENTIALS).encode(), headers=headers)).status == 200


NOW = datetime.now(UTC).isoformat()
ENDED: dict[str, tuple[dict[str, Any], str]] = {
    "secret expired": ({"keys": [{"value": "SECRET", "expires": NOW}]}, "expired"),
    "connection expired": ({"expires": NOW}, "expired"),
    "secret revoked": ({"keys": ["NEW"], "revoked_keys": [{"value": "DIGEST", "at": NOW}]}, "revoked"),
    "connection revoked": (
        {"keys": [], "revoked": NOW, "revoked_keys": [{"value": "DIGEST", "at": NOW}]},
        "revoked",
    ),
}


@pytest.mark.parametrize(("members", "mention"), cases(ENDED))
async def test_what_ended_is_told_to_its_holder_only(
    deployment: Deployment, client: tuple[str, str], members: dict[str, Any], mention: str
) -> None:
    name, secret = client
    text = json.dumps({"tenant": name, "kind": "oauth", "keys": ["SECRET"], **members})
    for placeholder, value in {"SECRET": secret, "NEW": new_key(name), "DIGEST": digest(secret)}.items():
        text = text.replace(placeholder, value)
    deployment.keep(name, text)
    answer = await deployment.token(headers=basic(name, secret), **CLIENT_CREDENTIALS)
    assert error(answer) == (401, "invalid_client")
    assert mention in answer.json["error_description"] and name in answer.json["error_description"]
    unknown = await deployment.token(headers=basic("x", new_key("x")), **CLIENT_CREDENTIALS)
    stranger = await deployment.token(headers=basic(name, new_key(name)), **CLIENT_CREDENTIALS)
    assert (error(stranger), stranger.told) == ((401, "invalid_client"), unknown.told)


async def test_secret_token_is_no_client_secret(deployment: Deployment) -> None:
    name, key = deployment.connect()
    answer = await deployment.token(headers=basic(name, key), **CLIENT_CREDENTIALS)
    assert error(answer) == (400, "unauthorized_client")
    assert name in answer.json["error_description"]
    assert error(await deployment.token(headers=basic(name, new_key(name)), **CLIENT_CREDENTIALS))[0] == 401


async def test_paused_connection_gets_a_token_and_503(deployment: Deployment, client: tuple[str, str]) -> None:
    """Entra takes 503 for an outage; a token endpoint that refuses would stop it."""
    await deployment.run("pause", client[0])
    answer = await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)
    assert answer.status == 200
    users = deployment.client(client[0], answer.json["access_token"])
    paused = await users.get("/Users")
    assert (paused.status, "paused" in paused.json["detail"]) == (503, True)
    assert paused.headers["retry-after"]
    await deployment.run("resume", client[0])
    deployment.later(60)
    assert (await users.get("/Users")).status == 200


async def test_read_only_client(deployment: Deployment) -> None:
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth", "--read-only")
    name, secret = added["enter"]["Client ID"], added["enter"]["Client Secret"]
    answer = await deployment.token(headers=basic(name, secret), **CLIENT_CREDENTIALS)
    users = deployment.client(name, answer.json["access_token"])
    assert (await users.get("/Users")).status == 200
    assert (await users.post("/Users", {"userName": "ada"})).status == 403


async def test_second_secret_works_at_once_beside_the_first(deployment: Deployment, client: tuple[str, str]) -> None:
    name, old = client
    assert (await deployment.token(headers=basic(name, old), **CLIENT_CREDENTIALS)).status == 200
    new = (await deployment.tool("rotate", name))["enter"]["Client Secret"]
    for secret in (new, old):
        assert (await deployment.token(headers=basic(name, secret), **CLIENT_CREDENTIALS)).status == 200


@pytest.mark.parametrize("minutes", [60, 61, 360])
async def test_lifetime_is_a_setting(
    deployment: Deployment, client: tuple[str, str], minutes: int, deployed_settings: Settings
) -> None:
    deployment.application._settings = deployed_settings.model_copy(update={"token_minutes": minutes})
    answer = await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)
    assert answer.json["expires_in"] == minutes * 60


async def test_no_signing_keys(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    """A connection that was made by hand: the operator is told, the client waits."""
    name, secret = deployment.connect(kind="oauth")
    answer = await deployment.token(headers=basic(name, secret), **CLIENT_CREDENTIALS)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"]
    assert "signing keys" in caplog.text
    await deployment.run("rotate-signing-keys")
    assert (await deployment.token(headers=basic(name, secret), **CLIENT_CREDENTIALS)).status == 200


@pytest.mark.parametrize("fault", [403, 500])
async def test_vault_that_is_down(deployment: Deployment, client: tuple[str, str], fault: int) -> None:
    deployment.cloud.vault.fault = fault
    answer = await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert answer.headers["retry-after"]
    assert DESCRIPTION.fullmatch(answer.json["error_description"])
    deployment.cloud.vault.fault = None
    assert (await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)).status == 200


NO_ROOTS = {
    "no JSON": "x",
    "no list": "{}",
    "keys that are too short": '[{"id":"a","key":"YQ","created":"2026-01-01T00:00:00Z"}]',
}


@pytest.mark.parametrize("text", cases(NO_ROOTS))
async def test_signing_keys_that_are_none(
    deployment: Deployment, client: tuple[str, str], text: str, caplog: pytest.LogCaptureFixture
) -> None:
    deployment.cloud.vault.secrets["token-signing-keys"].value = text
    answer = await deployment.token(headers=basic(*client), **CLIENT_CREDENTIALS)
    assert (answer.status, answer.json["error"]) == (503, "temporarily_unavailable")
    assert "secret token-signing-keys is no list of signing keys" in caplog.text
    assert "YQ" not in caplog.text


METADATA_URL = f"{ORIGIN}/.well-known/oauth-authorization-server"


async def test_metadata(deployment: Deployment) -> None:
    """RFC 8414 §2: every endpoint and method that it names is one that is there."""
    answer = await deployment.request("GET", METADATA_URL)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json["issuer"] == ORIGIN
    assert answer.json["token_endpoint"] == TOKEN_URL
    assert answer.json["grant_types_supported"] == ["client_credentials", EXCHANGE]
    assert {"client_secret_basic", "client_secret_post"} < set(answer.json["token_endpoint_auth_methods_supported"])
    assert answer.json["token_endpoint_auth_signing_alg_values_supported"] == ["RS256"]
    assert answer.json["response_types_supported"] == []
    assert (await deployment.request("HEAD", METADATA_URL)).status == 200
    refused = await deployment.request("POST", METADATA_URL)
    assert (refused.status, refused.headers["allow"]) == (405, "GET, HEAD")


async def test_metadata_behind_another_address(
    deployment: Deployment, deployed_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WEBSITE_HOSTNAME", "scim.test")
    public = "https://scim.contoso.example"
    deployment.application._settings = deployed_settings.model_copy(update={"public_url": f"{public}/scim"})
    answer = await deployment.request("GET", METADATA_URL)
    assert (answer.json["issuer"], answer.json["token_endpoint"]) == (public, f"{public}/oauth2/token")


def test_description_has_only_the_characters_that_it_may_have() -> None:
    answer = OAuthError("invalid_request", 'a"b\\c\r\nd\tü鍵\x00\x7f~ !').response()
    assert isinstance(answer.body, dict)
    assert answer.body["error_description"] == "a'b'c''d'''''~ !"
    assert DESCRIPTION.fullmatch(answer.body["error_description"])


async def test_revoked_secret_does_not_ask_the_vault_each_time(deployment: Deployment) -> None:
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth")
    name, old = added["name"], added["enter"]["Client Secret"]
    await deployment.run("rotate", name)
    await deployment.run("revoke", name, "--old", "--force")
    deployment.cloud.vault.reads.clear()
    for _ in range(4):
        await deployment.token(grant_type="client_credentials", client_id=name, client_secret=old)
    assert deployment.reads(name) == 1
