"""Signed tokens of other issuers at all three doors: what is taken, and that nothing is without every check.

The doors are Entra's own token as a bearer token, an assertion that authenticates a client, and a token to exchange.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jwt
import pytest
from azure.core.exceptions import ServiceRequestError
from cryptography.hazmat.primitives import serialization

from scim.security.assertions import Assertions, Rejected
from scim.security.jwks import PublicKeys
from scim.security.trust import SYNC_FABRIC, Trust, make_entra_federation, make_entra_issued, make_federation
from tests.cloud import Cloud, Issuer
from tests.core import cases
from tests.security.conftest import Deployment
from tests.support import Response

TENANT_ID = "0a1b2c3d-1111-2222-3333-444455556666"
OTHER_ID = "9f9f9f9f-1111-2222-3333-444455556666"
APP_ID = "5b8e3f6a-9c1d-4e2f-8a7b-6c5d4e3f2a1b"
SUBJECT = "d7c6b5a4-1234-4321-abcd-0123456789ab"
FEDERATION = {
    "iss": f"https://login.microsoftonline.com/{TENANT_ID}/v2.0",
    "aud": APP_ID,
    "sub": SUBJECT,
    "tid": TENANT_ID,
    "appid": SYNC_FABRIC,
}
ENTRA = {**FEDERATION, "iss": f"https://sts.windows.net/{TENANT_ID}/", "aud": "8adf8e6e-67b2-4cf2-a259-e3dc5476c621"}

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT_TYPE = "urn:ietf:params:oauth:token-type:jwt"

Forge = Callable[[Issuer, dict[str, Any]], str]
"""A token of an issuer, from the claims that would be right."""


def saying(**claims: Any) -> Forge:
    """Signed by the issuer, with other claims. None leaves one out; `in_` seconds from now are told as a function."""

    def forge(issuer: Issuer, right: dict[str, Any]) -> str:
        said = {name: value() if callable(value) else value for name, value in claims.items()}
        return issuer.token(**{**right, **said})

    return forge


def at(seconds: float) -> Callable[[], int]:
    return lambda: int(time.time() + seconds)


def encoded(data: object) -> str:
    raw = data if isinstance(data, bytes) else json.dumps(data).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def crafted(header: dict[str, Any], sign: Callable[[Issuer, bytes], bytes] = lambda _, __: b"x" * 256) -> Forge:
    """The right claims under any header, signed in any way."""

    def forge(issuer: Issuer, right: dict[str, Any]) -> str:
        now = int(time.time())
        body = f"{encoded(header)}.{encoded({'iat': now, 'exp': now + 3600, **right})}"
        return f"{body}.{encoded(sign(issuer, body.encode()))}"

    return forge


def by_public_key(format: serialization.PublicFormat, encoding: serialization.Encoding) -> Callable[..., bytes]:
    """HMAC with what everybody can read as the secret."""

    def sign(issuer: Issuer, body: bytes) -> bytes:
        secret = issuer.keys["key-1"].public_key().public_bytes(encoding, format)
        return hmac.new(secret, body, hashlib.sha256).digest()

    return sign


def by_modulus(issuer: Issuer, body: bytes) -> bytes:
    secret = issuer.jwks()["keys"][0]["n"].encode()
    return hmac.new(secret, body, hashlib.sha256).digest()


def under(kid: str, *, signed_by: str, publish: bool = False, **header: Any) -> Forge:
    """The right claims, signed by a key that the header calls by another name."""

    def forge(issuer: Issuer, right: dict[str, Any]) -> str:
        if signed_by not in issuer.keys:
            issuer.add_key(signed_by, publish=publish)
        return issuer.token(kid=kid, key=issuer.keys[signed_by], header=header, **right)

    return forge


def own_key(issuer: Issuer, right: dict[str, Any]) -> str:
    """The header brings the key along that it is to be checked with (RFC 7515 §4.1.3)."""
    stranger = Issuer()
    stranger.add_key("stranger")
    jwk = stranger.jwks()["keys"][-1]
    return issuer.token(kid="key-1", key=stranger.keys["stranger"], header={"jwk": jwk, "jku": "https://x/k"}, **right)


def cut(forge: Callable[[str], str]) -> Forge:
    return lambda issuer, right: forge(issuer.token(**right))


def raw(claims: Callable[[dict[str, Any]], object]) -> Forge:
    """Signed by the issuer, whatever the claims are."""

    def forge(issuer: Issuer, right: dict[str, Any]) -> str:
        now = int(time.time())
        payload = json.dumps(claims({"iat": now, "exp": now + 3600, **right})).encode()
        return jwt.PyJWS().encode(payload, issuer.keys["key-1"], "RS256", headers={"kid": "key-1"})

    return forge


def in_other_algorithm(alg: str) -> Forge:
    return lambda issuer, right: issuer.token(alg=alg, **right)


PEM, DER = serialization.Encoding.PEM, serialization.Encoding.DER
SPKI, PKCS1 = serialization.PublicFormat.SubjectPublicKeyInfo, serialization.PublicFormat.PKCS1
HS256 = {"alg": "HS256", "typ": "JWT", "kid": "key-1"}

UNPROVEN: dict[str, Forge] = {
    "algorithm none": crafted({"alg": "none", "kid": "key-1"}),
    "algorithm None": crafted({"alg": "None", "kid": "key-1"}),
    "algorithm none without a signature": cut(lambda token: crafted_none(token)),
    "no algorithm": crafted({"kid": "key-1"}),
    "algorithm that is a list": crafted({"alg": ["RS256"], "kid": "key-1"}),
    "HS256 with the public key": crafted(HS256, by_public_key(SPKI, PEM)),
    "HS256 with the public key in PKCS 1": crafted(HS256, by_public_key(PKCS1, PEM)),
    "HS256 with the public key in DER": crafted(HS256, by_public_key(SPKI, DER)),
    "HS256 with the modulus": crafted(HS256, by_modulus),
    "HS256 with nothing": crafted(HS256, lambda _, body: hmac.new(b"", body, hashlib.sha256).digest()),
    "RS512": in_other_algorithm("RS512"),
    "PS256": in_other_algorithm("PS256"),
    "no signature of anybody": crafted({"alg": "RS256", "kid": "key-1"}),
    "signature of nothing": crafted({"alg": "RS256", "kid": "key-1"}, lambda _, __: b""),
    "signed with another published key": under("key-1", signed_by="key-2", publish=True),
    "signed with a key that is not published": under("key-9", signed_by="key-9"),
    "signed with a stranger's key": under("key-1", signed_by="stranger"),
    "key in the header": own_key,
    "critical header": under("key-1", signed_by="key-1", crit=["x"], x=1),
    "no kid": crafted({"alg": "RS256"}),
    "kid that is a number": crafted({"alg": "RS256", "kid": 5}),
    "kid that is a path": crafted({"alg": "RS256", "kid": "../../key-1"}),
    "kid that is long": crafted({"alg": "RS256", "kid": "k" * 2000}),
    "signature cut off": cut(lambda token: token[:-10]),
    "claims cut off": cut(lambda token: token.split(".")[0] + "." + token.split(".")[1][:-9] + ".x"),
    "claims exchanged": cut(lambda token: ".".join((token.split(".")[0], encoded({"sub": "x"}), token.split(".")[2]))),
    "claims that are a list": cut(lambda token: ".".join((token.split(".")[0], encoded([1]), token.split(".")[2]))),
    "claims that are deep": cut(lambda token: ".".join((token.split(".")[0], encoded(b"[" * 3000), "x"))),
    "header that is no JSON": cut(lambda token: ".".join(("e30x", *token.split(".")[1:]))),
    "four parts": cut(lambda token: f"{token}.x"),
    "five parts": cut(lambda token: f"{token}.x.y"),
    "longer than any": saying(x="x" * 15_000),
    "another tenant's issuer": saying(iss=f"https://sts.windows.net/{OTHER_ID}/"),
    "issuer with a slash more": lambda issuer, right: issuer.token(**{**right, "iss": right["iss"] + "/"}),
    "issuers in a list": lambda issuer, right: raw(lambda right: {**right, "iss": [right["iss"]]})(issuer, right),
    "no issuer": saying(iss=None),
    "tenant in another case": saying(tid=TENANT_ID.upper()),
    "no tenant": saying(tid=None),
    "tenants in a list": saying(tid=[TENANT_ID]),
    "subject that is a number": saying(sub=5),
    "no subject": saying(sub=None),
}
"""Whose signature is nobody's, or which are not of the connection's issuer, tenant and subject: Entra signs for all
tenants with the same keys, Google for all accounts."""


def crafted_none(token: str) -> str:
    return f"{encoded({'alg': 'none', 'kid': 'key-1'})}.{token.split('.')[1]}."


PROVEN: dict[str, tuple[Forge, str]] = {
    "expired": (saying(exp=at(-61)), "expired"),
    "expired long ago": (saying(exp=1), "expired"),
    "not yet valid": (saying(nbf=at(90)), "not valid yet"),
    "issued in the future": (saying(iat=at(90)), "not valid yet"),
    "wrong audience": (saying(aud=OTHER_ID), "audience (aud)"),
    "audience that begins alike": (saying(aud=f"{APP_ID}0"), "audience (aud)"),
    "audience that is a number": (saying(aud=5), "audience (aud)"),
    "empty audience": (saying(aud=""), "aud"),
    "no audience at all": (saying(aud=[]), "aud"),
    "for more than 25 hours": (saying(exp=at(25 * 3600 + 30)), "more than 25 hours"),
    "for 50 years": (saying(exp=at(50 * 365 * 86_400)), "more than 25 hours"),
    "issued in 1970": (saying(iat=1), "more than 25 hours"),
    "issued before 1970": (saying(iat=-1e9), "more than 25 hours"),
    "expiry beyond all time": (saying(exp=10**15), "exp is no time"),
    "expiry of 300 digits": (saying(exp=10**300), "exp is no time"),
    "expiry of 1e308": (saying(exp=1e308), "exp is no time"),
    "expiry that never comes": (saying(exp=float("inf")), "exp is no time"),
    "expiry that is no number": (saying(exp=float("nan")), "exp is no time"),
    "expiry that is a word": (saying(exp="tomorrow"), "exp is no time"),
    "expiry in quotes": (saying(exp="1900000000"), "exp is no time"),
    "expiry that is true": (saying(exp=True), "exp is no time"),
    "issued at a word": (saying(iat="today"), "iat is no time"),
    "valid from a list": (saying(nbf=[1]), "nbf is no time"),
    "no expiry": (saying(exp=None), "no claim exp"),
    "not issued at any time": (saying(iat=None), "no claim iat"),
    "no audience": (saying(aud=None), "no claim aud"),
}
OTHER_CALLERS: dict[str, Forge] = {
    "wrong subject": saying(sub=OTHER_ID),
    "subject in another case": saying(sub=SUBJECT.upper()),
    "wrong tenant": saying(tid=OTHER_ID),
    "another tenant of the same issuer": saying(tid=OTHER_ID, iss=f"https://login.microsoftonline.com/{OTHER_ID}/v2.0"),
}
"""Those that Entra's own token may differ in, where no subject is pinned, or which name another connection."""
OF_ENTRA: dict[str, tuple[Forge, str]] = {
    "wrong application": (saying(appid=OTHER_ID), "application (appid)"),
    "wrong application beside that of version 2": (saying(appid=OTHER_ID, azp=SYNC_FABRIC), "application (appid)"),
    "no application": (saying(appid=None), "application (appid)"),
    "applications in a list": (saying(appid=[SYNC_FABRIC]), "application (appid)"),
}
TAKEN: dict[str, Forge] = {
    "as it comes": saying(),
    "expired within the leeway": saying(exp=at(-30)),
    "a managed identity's, for 24 hours and five minutes": saying(iat=at(-300), nbf=at(-300), exp=at(24 * 3600)),
    "not yet valid within the leeway": saying(nbf=at(30), iat=at(30)),
    "no not-before": saying(nbf=None),
    "several audiences": lambda issuer, right: issuer.token(**{**right, "aud": ["x", right["aud"]]}),
    "application id URI": lambda issuer, right: issuer.token(**{**right, "aud": f"api://{right['aud']}"}),
    "application of version 2": saying(appid=None, azp=SYNC_FABRIC),
    "signed with a second published key": under("key-2", signed_by="key-2", publish=True),
}


@dataclass
class Doors:
    """The doors of one deployment, each with a connection that trusts the cloud's issuer."""

    deployment: Deployment
    federated: str

    @property
    def issuer(self) -> Issuer:
        return self.deployment.cloud.issuer

    async def bearer(self, token: str) -> Response:
        return await self.deployment.client("x", token).get("/Users?filter=userName+eq+%22nobody%22")

    async def assertion(self, token: str, client: str | None = None) -> Response:
        return await self.deployment.token(
            grant_type="client_credentials",
            client_id=client or self.deployment.client_id(self.federated),
            client_assertion_type="urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            client_assertion=token,
        )

    async def exchange(self, token: str, client: str | None = None) -> Response:
        return await self.deployment.token(
            grant_type="urn:ietf:params:oauth:grant-type:token-exchange",
            client_id=client or self.deployment.client_id(self.federated),
            subject_token=token,
            subject_token_type="urn:ietf:params:oauth:token-type:jwt",
        )


@pytest.fixture
async def doors(deployment: Deployment) -> Doors:
    jwks_uri, name = deployment.cloud.jwks_uri, deployment.name()
    trust = make_entra_federation(TENANT_ID, APP_ID, SUBJECT, jwks_uri).model_dump(mode="json", exclude_none=True)
    deployment.keep(name, {"tenant": name, "kind": "federation", "trust": trust})
    trust = make_entra_issued(TENANT_ID, jwks_uri=jwks_uri).model_dump(mode="json", exclude_none=True)
    deployment.keep(f"entra-{TENANT_ID}", {"tenant": deployment.name(), "kind": "entra", "trust": trust})
    await deployment.run("rotate-signing-keys")
    return Doors(deployment, name)


@pytest.mark.parametrize("forge", cases(TAKEN))
async def test_token_that_is_taken(doors: Doors, forge: Forge) -> None:
    assert (await doors.bearer(forge(doors.issuer, ENTRA))).status == 200
    assert (await doors.assertion(forge(doors.issuer, FEDERATION))).status == 200
    assert (await doors.exchange(forge(doors.issuer, FEDERATION))).status == 200


@pytest.mark.parametrize("forge", cases(UNPROVEN))
async def test_unproven_token_learns_nothing(doors: Doors, forge: Forge) -> None:
    """Where the signature is nobody's, the answer is the same whether the connection is there or not."""
    refused = await doors.bearer(forge(doors.issuer, ENTRA))
    assert refused.status == 401
    assert refused.headers["www-authenticate"] == 'Bearer realm="scim", error="invalid_token"'
    assertion = forge(doors.issuer, FEDERATION)
    for door in (doors.assertion, doors.exchange):
        known, unknown = await door(assertion), await door(assertion, "nobody")
        assert (known.status, known.told) == (unknown.status, unknown.told)
        assert known.status == (401 if door == doors.assertion else 400)
    del doors.deployment.cloud.vault.secrets[f"connection-entra-{TENANT_ID}"]
    doors.deployment.later(60)
    unknown = await doors.bearer(forge(doors.issuer, ENTRA))
    assert (unknown.status, unknown.told) == (401, refused.told)


@pytest.mark.parametrize("forge", cases(OTHER_CALLERS))
async def test_signature_alone_does_not_prove_the_caller(doors: Doors, forge: Forge) -> None:
    """A token that the issuer signed for somebody else: no word on what there is, or what the connection pins."""
    assertion = forge(doors.issuer, FEDERATION)
    for door in (doors.assertion, doors.exchange):
        known, unknown, nobody = await door(assertion), await door("x.y.z"), await door(assertion, "nobody")
        assert (known.status, known.told) == (unknown.status, unknown.told) == (nobody.status, nobody.told)


async def test_a_megabyte_is_not_looked_at(doors: Doors) -> None:
    doors.deployment.cloud.vault.reads.clear()
    for right, door in ((ENTRA, doors.bearer), (FEDERATION, doors.assertion), (FEDERATION, doors.exchange)):
        refused = await door(doors.issuer.token(**right, x="x" * 750_000))
        assert refused.status in (401, 413)
    assert (doors.issuer.asked, doors.deployment.cloud.vault.reads) == (0, [])


@pytest.mark.parametrize(("forge", "mention"), cases(PROVEN))
async def test_issuer_is_told_what_is_wrong_with_an_assertion(doors: Doors, forge: Forge, mention: str) -> None:
    token = forge(doors.issuer, FEDERATION)
    for door, expected in ((doors.assertion, (401, "invalid_client")), (doors.exchange, (400, "invalid_request"))):
        refused = await door(token)
        assert (refused.status, refused.json["error"]) == expected
        assert mention in refused.json["error_description"]
        assert token not in refused.body.decode()


@pytest.mark.parametrize(("forge", "mention"), cases({**PROVEN, **OF_ENTRA}))
async def test_entra_is_told_what_is_wrong_with_its_token(doors: Doors, forge: Forge, mention: str) -> None:
    refused = await doors.bearer(forge(doors.issuer, ENTRA))
    assert refused.status == 401
    assert mention in refused.json["detail"]


TENANTS = {
    "another": OTHER_ID,
    "capitals": TENANT_ID.upper(),
    "none": None,
    "list": [TENANT_ID],
    "path": f"../{TENANT_ID}",
    "more": f"{TENANT_ID}\n",
    "name of a connection": "x",
}


@pytest.mark.parametrize("tenant", cases(TENANTS))
async def test_entras_token_is_held_against_its_own_tenant(doors: Doors, tenant: object) -> None:
    refused = await doors.bearer(doors.issuer.token(**{**ENTRA, "tid": tenant}))
    assert refused.status == 401
    assert "ask the operator" in refused.json["detail"]


async def test_tokens_are_not_taken_at_another_door(doors: Doors) -> None:
    """An assertion is no bearer token, Entra's bearer token no assertion, and neither names the other's connection."""
    assert (await doors.bearer(doors.issuer.token(**FEDERATION))).status == 401
    assert (await doors.assertion(doors.issuer.token(**ENTRA))).status == 401
    entra = f"entra-{TENANT_ID}"
    for door, token in ((doors.assertion, ENTRA), (doors.exchange, ENTRA)):
        client = doors.deployment.client_id(entra)
        refused, unknown = await door(doors.issuer.token(**token), client), await door("x.y.z", "nobody")
        assert (refused.status, refused.told) == (unknown.status, unknown.told)


async def test_signature_of_another_connections_issuer(doors: Doors) -> None:
    """A token that one connection's issuer signed with the claims of another's."""
    own = doors.deployment.name()
    trust = make_federation("https://issuer.example", "aud", "sub", doors.deployment.cloud.jwks_uri).model_dump()
    doors.deployment.keep(own, {"tenant": own, "kind": "federation", "trust": trust})
    token = doors.issuer.token(iss="https://issuer.example", aud="aud", sub="sub")
    assert (await doors.assertion(token, doors.deployment.client_id(own))).status == 200
    refused = await doors.assertion(token)
    assert (refused.status, refused.json["error"]) == (401, "invalid_client")


async def test_assertion_that_comes_again_is_refused(doors: Doors) -> None:
    """RFC 7523 §3 item 7: jti tells a replay, whichever of the doors it comes to."""
    expires = at(3000)()
    token = doors.issuer.token(**FEDERATION, jti="a-1", exp=expires)
    assert (await doors.assertion(token)).status == 200
    for door in (doors.assertion, doors.exchange):
        again = await door(token)
        assert again.status in (400, 401)
        assert "used before (jti)" in again.json["error_description"]
    resigned = doors.issuer.token(**FEDERATION, jti="a-1", exp=expires, nonce="x")
    assert "used before" in (await doors.exchange(resigned)).json["error_description"]
    for jti in ("a-2", "a-3", 5, {"a": 1}, ""):
        assert (await doors.exchange(doors.issuer.token(**FEDERATION, jti=str(jti)))).status == 200


async def test_assertion_without_a_jti_may_come_again(doors: Doors) -> None:
    """RFC 7523 leaves it optional; what lives for an hour is bound to client, issuer, subject and audience."""
    token = doors.issuer.token(**FEDERATION)
    assert [(await doors.assertion(token)).status for _ in range(2)] == [200, 200]


async def test_forged_assertion_does_not_use_up_a_jti(doors: Doors) -> None:
    doors.issuer.add_key("stranger", publish=False)
    forged = doors.issuer.token(kid="key-1", key=doors.issuer.keys["stranger"], **FEDERATION, jti="a-1")
    assert (await doors.assertion(forged)).status == 401
    assert (await doors.assertion(doors.issuer.token(**FEDERATION, jti="a-1", sub_jwk=1))).status == 200


async def test_replay_is_not_let_in_while_the_table_is_down(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.store.transactions.TRIP_SECONDS", 0.3)
    token = doors.issuer.token(**FEDERATION, jti="a-1")
    assert (await doors.assertion(token)).status == 200
    doors.deployment.table.before = lambda request: ServiceRequestError("reset")
    for again in (token, doors.issuer.token(**FEDERATION, jti="a-2")):
        answer = await doors.assertion(again)
        assert answer.status == 503
        assert "access_token" not in answer.json
    doors.deployment.table.before = None


ENDED: dict[str, tuple[dict[str, str], str]] = {
    "expired": ({"expires": "2026-01-01T00:00:00Z"}, "expired on 2026-01-01"),
    "revoked": ({"revoked": "2026-01-01T00:00:00Z"}, "revoked on 2026-01-01"),
}


@pytest.mark.parametrize(("members", "mention"), cases(ENDED))
async def test_what_ended_is_told_to_the_issuer_only(doors: Doors, members: dict[str, str], mention: str) -> None:
    for name in (doors.federated, f"entra-{TENANT_ID}"):
        doors.deployment.keep(name, {**doors.deployment.kept(name), **members})
    assert mention in (await doors.bearer(doors.issuer.token(**ENTRA))).json["detail"]
    assert mention in (await doors.assertion(doors.issuer.token(**FEDERATION))).json["error_description"]
    assert mention in (await doors.exchange(doors.issuer.token(**FEDERATION))).json["error_description"]
    doors.issuer.add_key("stranger", publish=False)
    forged = doors.issuer.token(kid="key-1", key=doors.issuer.keys["stranger"], **ENTRA)
    assert mention not in (await doors.bearer(forged)).json["detail"]


async def test_keys_of_the_issuer_that_cannot_be_had(doors: Doors) -> None:
    """Who is new waits, who is known goes on, and nobody is let in without the check."""
    doors.issuer.fail(500)
    for answer in (
        await doors.bearer(doors.issuer.token(**ENTRA)),
        await doors.assertion(doors.issuer.token(**FEDERATION)),
    ):
        assert answer.status == 503
        assert answer.headers["retry-after"]
    doors.deployment.application._built().security.__dict__.pop("assertions")  # as a new process
    doors.issuer.answer = None
    assert (await doors.bearer(doors.issuer.token(**ENTRA))).status == 200
    doors.issuer.fail(500)
    doors.issuer.add_key("key-2")
    assert (await doors.bearer(doors.issuer.token(**ENTRA))).status == 200
    assert (await doors.assertion(doors.issuer.token(**FEDERATION))).status == 200
    forged = doors.issuer.token(key=doors.issuer.keys["key-2"], **ENTRA)
    assert (await doors.bearer(forged)).status == 401
    assert (await doors.bearer(doors.issuer.token(kid="key-2", **ENTRA))).status in (401, 503)


# The check by itself.


@pytest.fixture
def assertions(cloud: Cloud) -> Assertions:
    return Assertions(PublicKeys(ca_file=cloud.ca_file))


async def test_everything_is_pinned_that_the_trust_names(assertions: Assertions, cloud: Cloud) -> None:
    claims = {"iss": "https://x", "aud": "a", "sub": "s", "tid": TENANT_ID, "appid": APP_ID}
    trust = Trust(
        issuer="https://x", audience="a", subject="s", tenant_id=TENANT_ID, app_id=APP_ID, jwks_uri=cloud.jwks_uri
    )
    token = cloud.issuer.token(**claims)
    assert (await assertions.check(token, trust)).items() >= claims.items()
    changes = {"issuer": "https://y", "audience": "b", "subject": "t", "tenant_id": OTHER_ID, "app_id": OTHER_ID}
    for member, value in changes.items():
        with pytest.raises(Rejected) as caught:
            await assertions.check(token, trust.model_copy(update={member: value}))
        assert caught.value.proven == (member in ("audience", "app_id"))


NO_TOKENS = ["", ".", "..", "x", "x.y.z", "e30.e30.e30", "ü.ü.ü", "=.=.=", "\x00.\x00.\x00", "[].[].[]"]


@pytest.mark.parametrize("text", NO_TOKENS)
async def test_text_that_is_no_token(assertions: Assertions, cloud: Cloud, text: str) -> None:
    trust = Trust(issuer="https://x", audience="a", subject="s", jwks_uri=cloud.jwks_uri)
    with pytest.raises(Rejected) as caught:
        await assertions.check(text, trust)
    assert not caught.value.proven
    assert cloud.issuer.asked == 0


async def test_one_that_got_no_token_may_come_again(doors: Doors) -> None:
    """The vault was away for the signing keys: the client sends the same assertion again, as a retry does."""
    token = doors.issuer.token(**FEDERATION, jti="a-1")
    secrets = doors.deployment.cloud.vault.secrets
    kept = secrets.pop("token-signing-keys")
    assert (await doors.assertion(token)).status == 503
    secrets["token-signing-keys"] = kept
    assert (await doors.assertion(token)).status == 200


async def test_one_way_to_show_who_the_client_is(doors: Doors) -> None:
    """RFC 6749 §2.3: never more than one in a request."""
    basic = {"Authorization": "Basic " + base64.b64encode(b"contoso:secret").decode()}
    token = doors.issuer.token(**FEDERATION)
    client = {"client_id": doors.deployment.client_id(doors.federated)}
    assertion = {"client_assertion": token, "client_assertion_type": JWT_BEARER}
    subject = {"grant_type": EXCHANGE, "subject_token": token, "subject_token_type": f"{JWT_TYPE}"}
    forms: list[tuple[dict[str, str], dict[str, str] | None]] = [
        ({"grant_type": "client_credentials", **client, **assertion}, basic),
        ({"grant_type": "client_credentials", **client, **assertion, "client_secret": "x"}, None),
        ({**subject}, basic),
        ({**subject, **client, "client_secret": "x"}, None),
        ({**subject, **client, **assertion}, None),
    ]
    for form, headers in forms:
        refused = await doors.deployment.token(headers=headers, **form)
        assert (refused.status, refused.json["error"]) == (400, "invalid_request")
        assert "alone" in refused.json["error_description"] or "either" in refused.json["error_description"]
    assert (await doors.deployment.token(**subject, **client)).status == 200
