"""Connections, and the way from an Authorization header to the one that may act."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from dev.credentials import SEALS, new_key
from scim.errors import FORBIDDEN, UNAUTHORIZED, UNAVAILABLE, ErrorKind, ScimError
from scim.http import Request
from scim.security.authentication import authenticate
from scim.security.connections import Connection, Credential, read_connection
from scim.security.keys import fingerprint
from scim.security.secrets import Fixed, Lookup
from scim.security.security import Security
from scim.security.usage import Used
from scim.settings import Settings
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
        "operator": None,
        "kind": "api-key",
        "description": "",
        "created": None,
        "access": "write",
        "mode": "entra",
        "types": (),
        "expires": None,
        "paused": None,
        "revoked": None,
        "keys": ({"value": KEY, "created": None, "expires": None, "seal": None},),
        "revoked_keys": (),
        "trust": None,
        "client_id": None,
    }


def test_key_may_be_its_value_alone_or_have_dates() -> None:
    dated = {"value": KEY, "created": "2026-01-01T00:00:00Z", "expires": "2027-01-01T00:00:00Z"}
    assert connection(keys=[dated, OLD_KEY]).keys == (
        Credential(value=KEY, created=datetime(2026, 1, 1, tzinfo=UTC), expires=datetime(2027, 1, 1, tzinfo=UTC)),
        Credential(value=OLD_KEY),
    )


TENANT_ID = "0a1b2c3d-1111-2222-3333-444455556666"
UNPINNED = {"issuer": "https://x", "audience": "a", "jwks_uri": "https://x/keys"}
TRUST = {**UNPINNED, "subject": "s"}

FAULTS = {
    "capitals in the name": ({"name": "Contoso"}, "name"),
    "line break in the name": ({"name": "contoso\n"}, "name"),
    "tenant that breaks a row key": ({"tenant": "a/b"}, "tenant"),
    "empty tenant": ({"tenant": ""}, "tenant"),
    "no keys": ({"keys": []}, "keys"),
    "key with another member": ({"keys": [{"value": KEY, "name": "x"}]}, "name"),
    "key without a value": ({"keys": [{"created": "2026-01-31T08:00:00Z"}]}, "value"),
    "key that is a number": ({"keys": [5]}, "keys"),
    "key with an expiry without an offset": ({"keys": [{"value": KEY, "expires": "2026-01-31"}]}, "expires"),
    "description that is too long": ({"description": "x" * 201}, "description"),
    "trust beside keys": ({"trust": TRUST}, "keys and no trust"),
    "federation with keys": ({"kind": "federation", "trust": TRUST}, "trust and no keys"),
    "federation without trust": ({"kind": "federation", "keys": []}, "trust and no keys"),
    "federation for any subject": ({"kind": "federation", "keys": [], "trust": UNPINNED}, "subject must be pinned"),
    "Entra's token for any application": ({"kind": "entra", "keys": [], "trust": TRUST}, "pins app_id"),
    "Entra's token under another name": (
        {"kind": "entra", "keys": [], "trust": {**TRUST, "tenant_id": TENANT_ID, "app_id": TENANT_ID}},
        f"named entra-{TENANT_ID}",
    ),
    "issuer without TLS": ({"kind": "federation", "keys": [], "trust": {**TRUST, "issuer": "http://x"}}, "issuer"),
    "keys of an issuer without TLS": (
        {"kind": "federation", "keys": [], "trust": {**TRUST, "jwks_uri": "http://x/keys"}},
        "jwks_uri",
    ),
    "five keys": ({"keys": [new_key("contoso") for _ in range(5)]}, "keys"),
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


UNNAMED = {case: given for case, (given, _) in FAULTS.items() if "name" not in given}


@pytest.mark.parametrize("given", cases(UNNAMED))
def test_document_that_is_no_connection_is_told_in_one_line(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        read_connection("contoso", {"tenant": "t-1", "keys": [KEY], **given})
    text = str(caught.value)
    assert "\n" not in text
    assert not any(secret in text for secret in (KEY, OLD_KEY, FOREIGN_KEY, KEY[:-1], "hunter2", "https://x/y"))


@pytest.mark.parametrize("document", [None, [], "x", 5, [{"tenant": "t-1"}]])
def test_json_that_is_no_object_is_no_connection(document: object) -> None:
    with pytest.raises(ValueError, match=r"^is not a JSON object$"):
        read_connection("contoso", document)


DOCUMENTS: dict[str, dict[str, Any]] = {
    "key": {},
    "everything": {
        "description": "Contoso",
        "access": "read",
        "mode": "strict",
        "expires": NOW,
        "paused": NOW,
        "revoked_keys": [{"value": DIGEST, "at": NOW}],
        "keys": [{"value": KEY, "created": NOW, "expires": NOW}, DIGEST],
    },
    "revoked": {"keys": [], "revoked": NOW},
    "federation": {"kind": "federation", "keys": [], "trust": TRUST},
}


@pytest.mark.parametrize("given", cases(DOCUMENTS))
def test_document_of_a_connection_is_read_back(given: dict[str, Any]) -> None:
    written = json.loads(json.dumps(connection(**given).dump()))
    assert "name" not in written
    assert read_connection("contoso", written) == connection(**given)


def ends(whole: int | None, key: int | None) -> tuple[datetime | None, datetime | None]:
    """The ends of a connection that ends after so many hours, with and without its key."""
    whole_end, key_end = (None if hours is None else NOW + timedelta(hours=hours) for hours in (whole, key))
    dated = connection(expires=whole_end, keys=[{"value": KEY, "expires": key_end}])
    return dated.find_end(dated.keys[0]), dated.find_end(None)


def test_a_credential_ends_with_itself_or_with_its_connection() -> None:
    assert ends(None, None) == (None, None)
    assert ends(1, None) == (NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    assert ends(None, 2) == (NOW + timedelta(hours=2), None)
    assert ends(1, 2) == (NOW + timedelta(hours=1), NOW + timedelta(hours=1))
    assert ends(2, 1) == (NOW + timedelta(hours=1), NOW + timedelta(hours=2))


class NothingNoted:
    """A log of credentials that knows of none."""

    async def read_uses(self, connection: str) -> list[Used]:
        return []

    async def write_use(self, connection: str, used: Used) -> None:
        raise AssertionError("nothing is noted where usage_minutes is 0")

    async def take_assertion(self, connection: str, assertion: str, expires: datetime) -> bool:
        raise AssertionError("no assertion is looked at")


SETTINGS = Settings.from_environment(
    {"SCIM_TABLE_CONNECTION_STRING": "UseDevelopmentStorage=true", "SCIM_SEALS": SEALS, "SCIM_USAGE_MINUTES": "0"}
)


def security(connections: Lookup[Connection]) -> Security:
    """What authenticates callers of these connections, and notes nothing."""
    made = Security(SETTINGS, NothingNoted())
    made.connections = connections
    return made


async def caller(header: str | None, method: str = "GET", **given: Any) -> Connection:
    headers = {} if header is None else {"authorization": header}
    known = Fixed({"contoso": connection(**given)})
    return await authenticate(headers, security(known), reads=Request(method, "https://x/scim/Users").reads)


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


async def refusal(kind: ErrorKind, header: str | None, method: str = "GET", /, **given: Any) -> ScimError:
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


REASONS: dict[str, tuple[str | None, dict[str, Any], ErrorKind, str]] = {
    "nothing": (None, {}, UNAUTHORIZED, "missing"),
    "another scheme": ("Basic eDp5", {}, UNAUTHORIZED, "malformed"),
    "cut off": (f"Bearer {KEY[:-1]}", {}, UNAUTHORIZED, "malformed"),
    "too long": ("Bearer " + "a" * 8193, {}, UNAUTHORIZED, "malformed"),
    "another key": (f"Bearer {OLD_KEY}", {}, UNAUTHORIZED, "unknown"),
    "another connection": (f"Bearer {FOREIGN_KEY}", {}, UNAUTHORIZED, "unknown"),
    "expired": (f"Bearer {KEY}", {"expires": "2026-01-31T08:00:00Z"}, UNAUTHORIZED, "expired"),
    "revoked connection": (f"Bearer {KEY}", {"revoked": NOW}, UNAUTHORIZED, "revoked"),
    "revoked key": (
        f"Bearer {KEY}",
        {"keys": [OLD_KEY], "revoked_keys": [{"value": DIGEST, "at": NOW}]},
        UNAUTHORIZED,
        "revoked",
    ),
    "client secret": (f"Bearer {KEY}", {"kind": "oauth"}, UNAUTHORIZED, "wrong-kind"),
    "paused": (f"Bearer {KEY}", {"paused": NOW}, UNAVAILABLE, "paused"),
    "read-only": (f"Bearer {KEY}", {"access": "read"}, FORBIDDEN, "read-only"),
}


@pytest.mark.parametrize(("header", "given", "kind", "reason"), cases(REASONS))
async def test_every_refusal_has_a_reason_for_the_log(
    header: str | None, given: dict[str, Any], kind: ErrorKind, reason: str
) -> None:
    assert (await refusal(kind, header, "POST", **given)).reason == reason


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

    class Source(Fixed[Connection]):
        async def get(self, name: str, accept: Callable[[Connection], bool] = bool) -> Connection | None:
            asked.append(name)
            return None

    for token in (KEY, FOREIGN_KEY, KEY[:-1], "x"):
        with pytest.raises(ScimError):
            await authenticate({"authorization": f"Bearer {token}"}, security(Source({})), reads=True)
    assert asked == ["contoso", "fabrikam"]


async def test_source_is_told_which_answer_would_do() -> None:
    """A kept answer that does not know the key is asked for anew; one that knows it, revoked or not, is not."""
    seen: list[bool] = []

    class Source(Fixed[Connection]):
        async def get(self, name: str, accept: Callable[[Connection], bool] = bool) -> Connection | None:
            revoked = {"value": DIGEST, "at": NOW}
            seen.extend(
                accept(connection(**given))
                for given in ({}, {"keys": [OLD_KEY]}, {"keys": [OLD_KEY], "revoked_keys": [revoked]})
            )
            return connection()

    await authenticate({"authorization": f"Bearer {KEY}"}, security(Source({})), reads=True)
    assert seen == [True, False, True]


async def test_every_stored_value_is_compared_whole_and_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []

    def compare(first: bytes, second: bytes) -> bool:
        compared.append((first, second))
        return False

    monkeypatch.setattr("scim.security.keys.hmac", SimpleNamespace(compare_digest=compare))
    revoked = {"value": "sha256:" + "0" * 64, "at": NOW}
    await refusal(
        UNAUTHORIZED, f"Bearer {KEY}", keys=[KEY, DIGEST.upper().replace("SHA", "sha")], revoked_keys=[revoked]
    )
    shown = (KEY.encode(), DIGEST.encode())
    assert compared == [(shown[0], KEY.encode()), (shown[1], DIGEST.encode()), (shown[1], revoked["value"].encode())]


REVOKED = {"value": DIGEST, "at": "2026-02-03T04:05:06Z"}


async def test_revoked_key_is_told_to_its_holder_only() -> None:
    given = {"keys": [OLD_KEY], "revoked_keys": [REVOKED]}
    told = await refusal(UNAUTHORIZED, f"Bearer {KEY}", **given)
    assert "connection contoso was revoked on 2026-02-03 04:05 UTC" in told.detail
    stranger = await refusal(UNAUTHORIZED, f"Bearer {new_key('contoso')}", **given)
    assert "revoked" not in stranger.detail and "contoso" not in stranger.detail


async def test_revoked_connection() -> None:
    given = {"keys": [], "revoked": NOW, "revoked_keys": [REVOKED]}
    assert "revoked" in (await refusal(UNAUTHORIZED, f"Bearer {KEY}", **given)).detail
    assert "revoked" not in (await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", **given)).detail


async def test_connection_that_is_revoked_with_a_key_left() -> None:
    error = await refusal(UNAUTHORIZED, f"Bearer {KEY}", revoked="2026-02-03T04:05:06Z")
    assert "Connection contoso was revoked on 2026-02-03 04:05 UTC" in error.detail


async def test_each_key_has_its_own_expiry() -> None:
    keys = [{"value": OLD_KEY, "expires": "2026-01-31T08:00:00Z"}, {"value": KEY, "expires": NOW + timedelta(hours=1)}]
    assert (await caller(f"Bearer {KEY}", keys=keys)).name == "contoso"
    error = await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", keys=keys)
    assert "This credential of connection contoso expired on 2026-01-31 08:00 UTC: ask the operator" in error.detail


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_paused_connection_is_an_outage_and_no_refusal(method: str) -> None:
    paused = {"paused": "2026-02-03T04:05:06Z"}
    error = await refusal(UNAVAILABLE, f"Bearer {KEY}", method, access="read", **paused)
    assert "contoso was paused on 2026-02-03 04:05 UTC" in error.detail
    assert int(error.headers["Retry-After"]) > 0
    assert "paused" not in (await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", **paused)).detail


async def test_what_is_over_is_told_before_a_pause() -> None:
    await refusal(UNAUTHORIZED, f"Bearer {KEY}", paused=NOW, expires="2026-01-31T08:00:00Z")


async def test_client_secret_is_no_secret_token() -> None:
    error = await refusal(UNAUTHORIZED, f"Bearer {KEY}", kind="oauth")
    assert "client secret of connection contoso" in error.detail
    assert "contoso" not in (await refusal(UNAUTHORIZED, f"Bearer {OLD_KEY}", kind="oauth")).detail


async def test_token_that_is_too_long_is_not_looked_at() -> None:
    await refusal(UNAUTHORIZED, "Bearer " + "a" * 8193)
    await refusal(UNAUTHORIZED, "Bearer " + "a" * 2**20)


WAYS = {"key": KEY, "digest": DIGEST, "digest in capitals": DIGEST.upper().replace("SHA", "sha")}


@pytest.mark.parametrize("stored", cases(WAYS))
def test_id_of_a_credential_is_the_same_however_it_is_kept(stored: str) -> None:
    assert Credential(value=stored).id == fingerprint(KEY) == DIGEST[7:15]


async def test_fixed_connections() -> None:
    known = connection()
    connections = Fixed({"contoso": known})
    for accepted in (True, False):
        assert await connections.get("contoso", lambda _, accepted=accepted: accepted) is known
        assert await connections.get("fabrikam", lambda _, accepted=accepted: accepted) is None
