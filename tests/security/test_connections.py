"""Connections, and the way from an Authorization header to the one that may act."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError

from scim.errors import FORBIDDEN, UNAUTHORIZED, ErrorKind, ScimError
from scim.http import Request
from scim.security.authentication import authenticate
from scim.security.connections import Connection, FixedConnections
from scim.security.keys import new_key
from tests.core import cases

KEY, OLD_KEY, FOREIGN_KEY = new_key("contoso"), new_key("contoso"), new_key("fabrikam")
DIGEST = "sha256:" + hashlib.sha256(KEY.encode()).hexdigest()
NOW = datetime.now(UTC)


def connection(**given: Any) -> Connection:
    return Connection.model_validate({"name": "contoso", "tenant": "t-1", "keys": [KEY], **given})


def test_defaults() -> None:
    assert connection().model_dump() == {
        "name": "contoso",
        "tenant": "t-1",
        "kind": "api-key",
        "access": "write",
        "mode": "entra",
        "expires": None,
        "keys": (KEY,),
    }


FAULTS = {
    "capitals in the name": ({"name": "Contoso"}, "name"),
    "line break in the name": ({"name": "contoso\n"}, "name"),
    "tenant that breaks a row key": ({"tenant": "a/b"}, "tenant"),
    "empty tenant": ({"tenant": ""}, "tenant"),
    "no keys": ({"keys": []}, "keys"),
    "three keys": ({"keys": [KEY, OLD_KEY, DIGEST]}, "keys"),
    "key of another connection": ({"keys": [FOREIGN_KEY]}, "contoso"),
    "mistyped key": ({"keys": [KEY[:-1]]}, "contoso"),
    "password": ({"keys": ["hunter2"]}, "contoso"),
    "Key Vault reference": ({"keys": ["@Microsoft.KeyVault(SecretUri=https://x/y)"]}, "Key Vault"),
    "Key Vault reference beside a key": ({"keys": [KEY, "@Microsoft.KeyVault(VaultName=x)"]}, "Key Vault"),
    "expiry without an offset": ({"expires": "2026-01-31T08:00:00"}, "expires"),
    "unknown access": ({"access": "admin"}, "access"),
    "unknown kind": ({"kind": "password"}, "kind"),
    "unknown member": ({"expiry": "2026-01-31T08:00:00Z"}, "expiry"),
}


@pytest.mark.parametrize(("given", "mention"), cases(FAULTS))
def test_connection_that_is_refused(given: dict[str, Any], mention: str) -> None:
    with pytest.raises(ValidationError) as caught:
        connection(**given)
    text = str(caught.value)
    assert mention in text
    assert not any(secret in text for secret in (KEY, OLD_KEY, FOREIGN_KEY, KEY[:-1], "hunter2"))


def test_connection_expires_at_its_instant() -> None:
    dated = connection(expires=NOW)
    assert [dated.expired(NOW + timedelta(seconds=s)) for s in (-1, 0, 1)] == [False, True, True]
    assert not connection().expired(NOW)


async def caller(header: str | None, method: str = "GET", **given: Any) -> Connection:
    headers = {} if header is None else {"authorization": header}
    return await authenticate(
        headers, FixedConnections({"contoso": connection(**given)}), reads=Request(method, "https://x/scim/Users").reads
    )


HEADERS = {
    "key": f"Bearer {KEY}",
    "scheme in another case": f"bearer {KEY}",
    "spaces": f"Bearer   {KEY}  ",
    "Bearer twice": f"Bearer Bearer {KEY}",
    "Bearer twice in another case": f"BEARER bearer  {KEY}",
}


@pytest.mark.parametrize("header", cases(HEADERS))
async def test_caller_with_the_key(header: str) -> None:
    assert (await caller(header)).tenant == "t-1"


STORED = {"digest": [DIGEST], "second of two": [OLD_KEY, KEY], "first of two": [KEY, OLD_KEY]}


@pytest.mark.parametrize("keys", cases(STORED))
async def test_caller_with_one_of_the_keys(keys: list[str]) -> None:
    assert (await caller(f"Bearer {KEY}", keys=keys)).name == "contoso"


async def refusal(kind: ErrorKind, header: str | None, method: str = "GET", **given: Any) -> ScimError:
    with pytest.raises(ScimError) as caught:
        await caller(header, method, **given)
    assert caught.value.kind == kind
    assert not any(secret in caught.value.detail for secret in (KEY, OLD_KEY, FOREIGN_KEY))
    return caught.value


NO_TOKEN = {"no header": None, "empty": "", "scheme alone": "Bearer", "spaces": "Bearer  ", "basic": "Basic eDp5"}


@pytest.mark.parametrize("header", cases({**NO_TOKEN, "key without the scheme": (KEY,)}))
async def test_caller_without_a_token(header: str | None) -> None:
    error = await refusal(UNAUTHORIZED, header)
    assert error.headers == {"WWW-Authenticate": 'Bearer realm="scim"'}
    assert "Authorization: Bearer" in error.detail


WRONG_TOKENS = {
    "another key of the same connection": OLD_KEY,
    "key of an unknown connection": FOREIGN_KEY,
    "mistyped key": KEY[:-1],
    "two words": f"{KEY} {KEY}",
    "Bearer three times": f"Bearer Bearer {KEY}",
    "Bearer": "Bearer",
    "jwt": "eyJhbGciOiJSUzI1NiJ9.e30.c2ln",
    "not ASCII": "schlüssel",
}


@pytest.mark.parametrize("token", cases(WRONG_TOKENS))
async def test_caller_with_a_wrong_token(token: str) -> None:
    error = await refusal(UNAUTHORIZED, f"Bearer {token}")
    assert error.headers == {"WWW-Authenticate": 'Bearer realm="scim", error="invalid_token"'}
    assert "contoso" not in error.detail


async def test_digest_is_no_token() -> None:
    await refusal(UNAUTHORIZED, f"Bearer {DIGEST}", keys=[DIGEST])


async def test_expired_connection_is_told_to_its_owner_only() -> None:
    expired = {"expires": "2026-01-31T08:00:00Z"}
    error = await refusal(UNAUTHORIZED, f"Bearer {KEY}", **expired)
    assert "contoso expired on 2026-01-31 08:00 UTC" in error.detail
    assert error.headers["WWW-Authenticate"].endswith('error="invalid_token"')
    stranger = await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", **expired)
    assert "expired" not in stranger.detail


async def test_expiry_is_told_in_utc() -> None:
    error = await refusal(UNAUTHORIZED, f"Bearer {KEY}", expires="2026-01-31T08:00:00+02:00")
    assert "2026-01-31 06:00 UTC" in error.detail


async def test_connection_is_valid_until_it_expires() -> None:
    assert await caller(f"Bearer {KEY}", expires=datetime.now(UTC) + timedelta(hours=1))


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_connection_reads_and_writes(method: str) -> None:
    assert (await caller(f"Bearer {KEY}", method)).access == "write"


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_read_only_connection_reads(method: str) -> None:
    assert (await caller(f"Bearer {KEY}", method, access="read")).access == "read"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_read_only_connection_does_not_write(method: str) -> None:
    error = await refusal(FORBIDDEN, f"Bearer {KEY}", method, access="read")
    assert "contoso may only read" in error.detail
    await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", method, access="read")


async def test_only_the_named_connection_is_asked() -> None:
    asked: list[str] = []

    class Source:
        async def get(self, name: str) -> Connection | None:
            asked.append(name)
            return None

    for token in (KEY, FOREIGN_KEY, KEY[:-1], "x"):
        with pytest.raises(ScimError):
            await authenticate({"authorization": f"Bearer {token}"}, Source(), reads=True)
    assert asked == ["contoso", "fabrikam"]


async def test_fixed_connections() -> None:
    known = connection()
    connections = FixedConnections({"contoso": known})
    assert await connections.get("contoso") is known
    assert await connections.get("fabrikam") is None
