"""Names and headers that somebody makes up: none reaches the vault's address, and none comes back in a header."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from dev.credentials import SEAL, new_key
from scim.security.keys import parse_client_id, parse_key
from tests.core import cases
from tests.security.conftest import Deployment
from tests.security.test_assertions import ENTRA, FEDERATION
from tests.support import Response

NAMES = {
    "nothing": "",
    "parent": "..",
    "path": "../secrets/x",
    "slash": "a/b",
    "slash in percent": "a%2fb",
    "slash in percent twice": "a%252fb",
    "backslash": "a\\b",
    "query": "a?api-version=1",
    "fragment": "a#b",
    "version": "a/00000000000000000000000000000001",
    "capitals": "Contoso",
    "underscore": "con_toso",
    "dot": "a.b",
    "space": "a b",
    "tab": "a\tb",
    "line break": "a\r\nX-Evil: 1",
    "line break last": "contoso\n",
    "zero": "a\x00b",
    "other letters": "contosö",
    "other digits": "a٣",
    "letter that looks alike": "\u0441\u043entoso",
    "capital that folds": "\ufb00",
    "half of a pair": "a\udc80",
    "too long": "a" * 64,
    "far too long": "a" * 4000,
    "hyphen first": "-a",
    "hyphen last": "a-",
    "quote": 'a"b',
    "JSON": '{"a":1}',
    "template": "${jndi:ldap://x}",
}
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


def key_of(name: str) -> str:
    """What a key of a connection of that name would be, under the right seal."""
    random = "a" * 32
    try:
        return f"scim_{name}_{random}{SEAL.sign(f'scim_{name}_{random}')}"
    except UnicodeEncodeError:
        return f"scim_{name}_{random}0000000000"


def encodable(text: str) -> str:
    """As a header arrives: bytes as they are, each a character."""
    return text.encode("utf-8", "surrogatepass").decode("latin-1")


def assert_plain(answer: Response) -> None:
    """Nothing of what was sent is in a header, and no header has more than one line."""
    assert not any(character in value for value in answer.headers.values() for character in "\r\n\x00")
    assert "x-evil" not in answer.headers
    assert answer.headers.get("www-authenticate", "Basic realm=").startswith(("Bearer realm=", "Basic realm="))
    assert "Evil" not in answer.headers.get("www-authenticate", "")


def test_key_of_a_good_name_is_one() -> None:
    """What the attacks below are held against: the seal is right."""
    issued = parse_key(key_of("contoso"))
    assert issued is not None and issued.connection == "contoso"


@pytest.mark.parametrize("name", cases(NAMES))
async def test_name_that_cannot_be_one_is_never_looked_up(deployment: Deployment, name: str) -> None:
    key = key_of(name)
    assert parse_key(key) is None
    client_id = f"{name}_0123456789"
    assert parse_client_id(client_id) is None
    answers = [await deployment.client("x", token).get("/Users") for token in (key, encodable(key))]
    assert [answer.status for answer in answers] == [401, 401]
    form = {"grant_type": "client_credentials"}
    text = name.encode("utf-8", "surrogatepass")
    by_form = await deployment.post(
        b"grant_type=client_credentials&client_id="
        + b"".join(b"%%%02x" % byte for byte in text)
        + b"&client_secret="
        + b"".join(b"%%%02x" % byte for byte in key.encode("utf-8", "surrogatepass"))
    )
    by_basic = await deployment.token(
        headers={"Authorization": "Basic " + base64.b64encode(text + b":" + key.encode("utf-8", "replace")).decode()},
        **form,
    )
    sent = text.decode("utf-8", "replace")
    assertion = deployment.cloud.issuer.token(**FEDERATION)
    by_assertion = await deployment.token(
        **form, client_id=sent, client_assertion_type=JWT_BEARER, client_assertion=assertion
    )
    by_exchange = await deployment.token(
        grant_type=EXCHANGE, audience=sent, subject_token=assertion, subject_token_type=JWT
    )
    oauth = [by_form, by_basic, by_assertion, by_exchange]
    assert [answer.status for answer in oauth] == [401, 401, 401, 400]
    token = deployment.cloud.issuer.token(**{**ENTRA, "tid": sent})
    by_tenant = await deployment.client("x", token).get("/Users")
    assert by_tenant.status == 401
    for answer in (*answers, *oauth, by_tenant):
        assert_plain(answer)
    assert deployment.cloud.vault.reads == []
    assert deployment.cloud.identity_requests == []
    assert deployment.cloud.issuer.asked <= 1  # the keys that Entra signs with, which no name leads to


HEADERS: dict[str, str] = {
    "line break": "Bearer x\r\nX-Evil: 1",
    "line break first": "\r\nX-Evil: 1",
    "line feed": "Bearer x\nX-Evil: 1",
    "zero": "Bearer \x00",
    "other letters": "Bearer schlüssel",
    "quote": 'Bearer ", error="x',
    "scheme that is long": "B" * 100_000 + " x",
    "token that is long": "Bearer " + "x" * 100_000,
    "many words": "Bearer " + "Bearer " * 1000,
    "basic": "Basic \r\n",
    "dots": "Bearer " + "." * 5000,
    "three empty parts": "Bearer ..",
}


@pytest.mark.parametrize("header", cases(HEADERS))
async def test_authorization_that_is_made_up(deployment: Deployment, header: str) -> None:
    for method, url in (("GET", "http://scim.test/scim/Users"), ("POST", "http://scim.test/oauth2/token")):
        body = b"grant_type=client_credentials" if method == "POST" else b""
        headers = {"Authorization": header, "Content-Type": "application/x-www-form-urlencoded"}
        answer = await deployment.request(method, url, headers, body)
        assert answer.status == 401
        assert_plain(answer)
    assert deployment.cloud.vault.reads == []


FORMS: dict[str, dict[str, Any]] = {
    "grant type": {"grant_type": "x\r\nX-Evil: 1"},
    "client id": {"grant_type": "client_credentials", "client_id": "x\r\nX-Evil: 1", "client_secret": "y"},
    "scope": {"grant_type": "client_credentials", "scope": "x\r\nX-Evil:1"},
    "assertion type": {"grant_type": "client_credentials", "client_assertion_type": "\r\nX-Evil: 1"},
    "subject token type": {"grant_type": EXCHANGE, "subject_token_type": "\r\nX-Evil: 1"},
}


@pytest.mark.parametrize("form", cases(FORMS))
async def test_nothing_of_a_form_comes_back(deployment: Deployment, form: dict[str, str]) -> None:
    answer = await deployment.token(**form)
    assert answer.status in (400, 401)
    assert_plain(answer)
    assert "Evil" not in answer.body.decode()


async def test_key_reaches_its_own_tenant_alone(deployment: Deployment) -> None:
    """One table, two customers: what belongs to the other does not exist, whatever the method."""
    (name, key), (other, other_key) = deployment.connect(), deployment.connect()
    mine, theirs = deployment.client(name, key), deployment.client(other, other_key)
    user = await theirs.new_user("ada")
    group = (await theirs.post("/Groups", {"displayName": "Sales", "members": [{"value": user["id"]}]})).json
    rename = {"op": "Replace", "path": "displayName", "value": "x"}
    for path in (f"/Users/{user['id']}", f"/Groups/{group['id']}"):
        kind = path.split("/")[1]
        answers = [
            await mine.get(path),
            await mine.put(path, {"userName": "x", "displayName": "x"}),
            await mine.patch(path, rename),
            await mine.delete(path),
        ]
        assert [answer.status for answer in answers] == [404] * 4
        listed = await mine.get(f"/{kind}")
        assert (listed.status, listed.json["totalResults"]) == (200, 0)
        assert (await theirs.get(path)).status == 200
    found = await mine.get("/Users?filter=userName+eq+%22ada%22")
    assert found.json["totalResults"] == 0
    assert (await mine.new_user("ada"))["id"] != user["id"]


async def test_two_connections_of_one_tenant(deployment: Deployment) -> None:
    """One may write and one may only look; both see the same users."""
    name, key = deployment.connect()
    reader = deployment.name()
    reader_key = new_key(reader)
    deployment.keep(reader, {"tenant": name, "keys": [reader_key], "access": "read"})
    writes, reads = deployment.client(name, key), deployment.client(name, reader_key)
    user = await writes.new_user("ada")
    path = f"/Users/{user['id']}"
    assert (await reads.get(path)).json["id"] == user["id"]
    search = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"], "filter": 'userName eq "ada"'}
    assert (await reads.post("/Users/.search", search)).json["totalResults"] == 1
    answers = [
        await reads.post("/Users", {"userName": "bob"}),
        await reads.post("/Bulk", {"Operations": []}),
        await reads.put(path, {"userName": "bob"}),
        await reads.patch(path, {"op": "Replace", "path": "title", "value": "x"}),
        await reads.delete(path),
    ]
    assert [answer.status for answer in answers] == [403] * 5
    assert all("may only read" in answer.json["detail"] for answer in answers)
    assert (await writes.get(path)).json["meta"]["version"] == user["meta"]["version"]


async def test_both_keys_of_a_connection_work_at_once(deployment: Deployment) -> None:
    name = deployment.name()
    keys = [new_key(name) for _ in range(2)]
    deployment.keep(name, {"tenant": name, "keys": keys})
    clients = [deployment.client(name, key) for key in keys]
    user = await clients[0].new_user("ada")
    assert (await clients[1].get(f"/Users/{user['id']}")).status == 200
    assert (await deployment.client(name, new_key(name)).get("/Users")).status == 401


async def test_refusals_have_the_header_that_they_must_have(deployment: Deployment) -> None:
    """RFC 6750 §3: with a token the error is told, without one only the scheme."""
    name, key = deployment.connect(expires="2026-01-01T00:00:00Z")
    refused = await deployment.client(name, key).get("/Users")
    assert refused.headers["www-authenticate"] == 'Bearer realm="scim", error="invalid_token"'
    assert refused.headers["content-type"] == "application/scim+json"
    assert refused.json["status"] == "401" and f"Connection {name} expired on 2026-01-01" in refused.json["detail"]
    nobody = await deployment.request("GET", "http://scim.test/scim/Users")
    assert nobody.headers["www-authenticate"] == 'Bearer realm="scim"'
