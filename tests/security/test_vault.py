"""Connections in Key Vault, as the app sees them: what is asked of the vault, and what holds while it fails."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.credentials import new_key
from scim.security import keys
from scim.security.keys import digest
from scim.security.seals import create_seal
from scim.settings import Settings
from tests.core import cases
from tests.security.conftest import Deployment
from tests.support import Client

USERS = "/Users?filter=userName+eq+%22nobody%22"


async def status(client: Client) -> int:
    return (await client.get(USERS)).status


async def test_one_read_whatever_the_number_of_requests(deployment: Deployment) -> None:
    name, key = deployment.connect()
    client = deployment.client(name, key)
    for _ in range(5):
        assert [await status(client) for _ in range(5)] == [200] * 5
        deployment.later(11)
    assert deployment.cloud.vault.reads == ["credential-seals", f"connection-{name}"]
    deployment.later(10)
    assert await status(client) == 200
    assert deployment.reads(name) == 2


async def test_the_vault_is_opened_with_the_apps_identity(deployment: Deployment) -> None:
    name, key = deployment.connect()
    for _ in range(3):
        assert await status(deployment.client(name, key)) == 200
        deployment.later(61)
    resource = deployment.cloud.vault_url.replace("127.0.0.1", "0.0.1")
    assert [asked["resource"] for asked in deployment.cloud.identity_requests] == [resource]


async def test_new_connection_works_at_once(deployment: Deployment) -> None:
    name = deployment.name()
    key = new_key(name)
    client = deployment.client(name, key)
    assert await status(client) == 401
    deployment.keep(name, {"tenant": name, "keys": [key]})
    assert await status(client) == 200


async def test_second_key_works_at_once(deployment: Deployment) -> None:
    name, old = deployment.connect()
    new = new_key(name)
    assert await status(deployment.client(name, old)) == 200
    deployment.keep(name, {"tenant": name, "keys": [old, {"value": digest(new)}]})
    assert [await status(deployment.client(name, key)) for key in (new, old)] == [200, 200]
    assert deployment.reads(name) == 2


CHANGES: dict[str, tuple[dict[str, Any], int, str]] = {
    "key replaced": ({"keys": ["new"]}, 401, "not known here"),
    "key revoked": ({"keys": ["new"], "revoked_keys": ["old"]}, 401, "was revoked"),
    "revoked": ({"keys": [], "revoked": True, "revoked_keys": ["old"]}, 401, "was revoked"),
    "paused": ({"keys": ["old"], "paused": True}, 503, "was paused"),
    "expired": ({"keys": ["old"], "expires": True}, 401, "expired"),
    "key expired": ({"keys": ["expired"]}, 401, "expired"),
    "read only": ({"keys": ["old"], "access": "read"}, 403, "may only read"),
}


@pytest.mark.parametrize(("change", "expected", "mention"), cases(CHANGES))
async def test_change_ends_what_it_ends_within_a_minute(
    deployment: Deployment, change: dict[str, Any], expected: int, mention: str
) -> None:
    name, key = deployment.connect()
    client, now = deployment.client(name, key), datetime.now(UTC).isoformat()
    await client.new_user("ada")
    document = {"tenant": name, **{member: now if value is True else value for member, value in change.items()}}
    values = {"old": key, "new": new_key(name), "expired": {"value": key, "expires": now}}
    document["keys"] = [values[each] for each in document["keys"]]
    if "revoked_keys" in document:
        document["revoked_keys"] = [{"value": digest(key), "at": now}]
    deployment.keep(name, document)
    deployment.later(59)
    await client.new_user("bob")
    deployment.later(1)
    answer = await client.post("/Users", {"userName": "eve"})
    assert answer.status == expected
    assert mention in answer.json["detail"]
    assert ("retry-after" in answer.headers) == (expected == 503)


ENDED: dict[str, dict[str, Any]] = {
    "disabled": {"enabled": False},
    "not yet valid": {"not_before": int(time.time()) + 3600},
    "expired": {"expires": int(time.time()) - 3600},
}


@pytest.mark.parametrize("attributes", cases(ENDED))
async def test_what_the_vault_says_of_a_secret_counts(deployment: Deployment, attributes: dict[str, Any]) -> None:
    name, key = deployment.connect()
    client, document = deployment.client(name, key), deployment.kept(name)
    deployment.keep(name, document, **attributes)
    answer = await client.get(USERS)
    assert answer.status == 401
    assert ("expired" in answer.json["detail"]) == ("expires" in attributes)
    deployment.keep(name, document, not_before=1, expires=int(time.time()) + 3600)
    deployment.later(60)
    assert await status(client) == 200


async def test_deleted_secret(deployment: Deployment) -> None:
    name, key = deployment.connect()
    client = deployment.client(name, key)
    assert await status(client) == 200
    del deployment.cloud.vault.secrets[f"connection-{name}"]
    deployment.later(60)
    assert await status(client) == 401


REFERENCE = "@Microsoft.KeyVault(SecretUri=https://vault.example/secrets/x)"
NO_CONNECTIONS: dict[str, object] = {
    "no JSON": "hunter2",
    "empty": "",
    "cut off": '{"tenant": "t", "keys": ["hunter2"',
    "array": ["hunter2"],
    "text": '"hunter2"',
    "null": "null",
    "no tenant": {"keys": ["KEY"]},
    "no keys": {"tenant": "t"},
    "password for a key": {"tenant": "t", "keys": ["hunter2"]},
    "reference for a key": {"tenant": "t", "keys": [REFERENCE]},
    "reference in place of the document": REFERENCE,
    "member that is unknown": {"tenant": "t", "keys": ["KEY"], "hunter2": 1},
    "tenant that is no name": {"tenant": "hunter2/x", "keys": ["KEY"]},
    "expiry without an offset": {"tenant": "t", "keys": ["KEY"], "expires": "2027-01-01"},
    "trust and keys": {"tenant": "t", "keys": ["KEY"], "trust": {"issuer": "https://hunter2"}},
    "kind that is unknown": {"tenant": "t", "keys": ["KEY"], "kind": "hunter2"},
}


@pytest.mark.parametrize("document", cases(NO_CONNECTIONS))
async def test_secret_that_holds_no_connection(
    deployment: Deployment, document: object, caplog: pytest.LogCaptureFixture
) -> None:
    """Nobody is let in, nobody is told that the key is wrong, and the log names the secret."""
    name = deployment.name()
    key = new_key(name)
    text = document if isinstance(document, str) else json.dumps(document)
    deployment.keep(name, text.replace("KEY", key))
    caplog.set_level(logging.DEBUG)
    answer = await deployment.client(name, key).get(USERS)
    assert answer.status == 503
    assert answer.headers["retry-after"]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert [f"connection-{name}" in record.getMessage() for record in errors] == [True]
    assert not any(value in caplog.text + answer.body.decode() for value in (key, "hunter2", REFERENCE))
    deployment.keep(name, {"tenant": name, "keys": [key]})
    assert await status(deployment.client(name, key)) == 200


async def test_broken_secret_does_not_end_what_is_kept(deployment: Deployment) -> None:
    """A slip while editing a secret stops no provisioning that runs."""
    name, key = deployment.connect()
    assert await status(deployment.client(name, key)) == 200
    deployment.keep(name, "{")
    deployment.later(600)
    assert await status(deployment.client(name, key)) == 200
    assert await status(deployment.client(name, new_key(name))) == 503


@pytest.mark.parametrize("token", [REFERENCE, REFERENCE.encode().hex(), "@Microsoft.KeyVault("])
async def test_unresolved_reference_is_nobodys_key(deployment: Deployment, token: str) -> None:
    name = deployment.name()
    deployment.keep(name, {"tenant": name, "keys": [REFERENCE]})
    assert await status(deployment.client(name, token)) == 401


def vault_status(code: int) -> Any:
    def fail(deployment: Deployment) -> None:
        deployment.cloud.vault.fault = code

    return fail


def identity_status(code: int) -> Any:
    def fail(deployment: Deployment) -> None:
        deployment.cloud.identity_fault = code

    return fail


DOWN = {
    "vault answers 500": vault_status(500),
    "vault answers 503": vault_status(503),
    "vault answers 429": vault_status(429),
    "vault refuses us": vault_status(403),
    "vault does not know the request": vault_status(400),
    "identity endpoint answers 400": identity_status(400),
    "identity endpoint answers 403": identity_status(403),
}


@pytest.mark.parametrize("fail", cases(DOWN))
async def test_caller_that_cannot_be_looked_up(
    deployment: Deployment, fail: Any, caplog: pytest.LogCaptureFixture
) -> None:
    name, key = deployment.connect()
    client = deployment.client(name, key)
    caplog.set_level(logging.DEBUG)
    fail(deployment)
    answer = await client.get(USERS)
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) > 0
    assert name not in answer.body.decode() and deployment.cloud.vault_url not in answer.body.decode()
    assert answer.headers["x-request-id"] in answer.json["detail"]
    assert answer.headers["x-request-id"] in caplog.text
    deployment.cloud.vault.fault = deployment.cloud.identity_fault = None
    assert await status(client) == 200
    assert key not in caplog.text


async def test_vault_that_does_not_answer_in_time(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scim.security.vault._SECONDS", 0.2)
    name, key = deployment.connect()
    deployment.cloud.vault.delay = 1
    assert await status(deployment.client(name, key)) == 503


@pytest.mark.parametrize("endpoint", ["fails", "is not there"])
async def test_identity_endpoint_that_is_down(
    deployment: Deployment, monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    """Its own client tries for long; a request does not wait for that."""
    monkeypatch.setattr("scim.security.vault._SECONDS", 0.5)
    name, key = deployment.connect()
    if endpoint == "fails":
        deployment.cloud.identity_fault = 500
    else:
        monkeypatch.setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:1/token")
    assert await status(deployment.client(name, key)) == 503
    assert deployment.cloud.vault.reads == []


async def test_kept_connections_go_on_while_the_vault_is_down(deployment: Deployment) -> None:
    name, key = deployment.connect()
    other, other_key = deployment.connect()
    client = deployment.client(name, key)
    assert await status(client) == 200
    deployment.cloud.vault.fault = 503
    for _ in range(3):
        deployment.later(3600)
        await client.new_user(f"ada-{deployment.name()}")
    assert await status(deployment.client(other, other_key)) == 503
    assert await status(deployment.client(name, new_key(name))) == 503  # it may be a new one
    deployment.cloud.vault.fault = None
    deployment.keep(name, {"tenant": name, "keys": [new_key(name)]})
    assert await status(deployment.client(other, other_key)) == 200
    assert await status(client) == 200
    deployment.later(20)
    assert await status(client) == 401


async def test_kept_connections_end_while_the_vault_is_down(deployment: Deployment) -> None:
    """The app's role taken away, or the vault gone: what was revoked since must end, too."""
    name, key = deployment.connect()
    client = deployment.client(name, key)
    assert await status(client) == 200
    deployment.cloud.vault.fault = 403
    deployment.later(4 * 3600 - 1)
    assert await status(client) == 200
    deployment.later(1)
    assert await status(client) == 503
    deployment.cloud.vault.fault = None
    deployment.later(10)
    assert await status(client) == 200


async def test_how_long_they_go_on_is_a_setting(deployment: Deployment, deployed_settings: Settings) -> None:
    deployment.application._settings = deployed_settings.model_copy(update={"outage_minutes": 5})
    name, key = deployment.connect()
    client = deployment.client(name, key)
    assert await status(client) == 200
    deployment.cloud.vault.fault = 503
    deployment.later(299)
    assert await status(client) == 200
    deployment.later(1)
    assert await status(client) == 503


async def test_key_under_a_newer_seal_is_not_refused_while_the_vault_is_down(deployment: Deployment) -> None:
    """Its root is one that this process has not seen: it cannot tell the key from a made-up one."""
    name, key = deployment.connect()
    assert await status(deployment.client(name, key)) == 200
    deployment.cloud.vault.fault = 500
    deployment.later(60)
    assert await status(deployment.client(name, keys.new_key(name, create_seal()))) == 503
    assert await status(deployment.client(name, key)) == 200


async def test_an_expiry_that_is_known_holds_while_the_vault_is_down(deployment: Deployment) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=2)
    name, key = deployment.connect(expires=soon.isoformat())
    client = deployment.client(name, key)
    assert await status(client) == 200
    deployment.cloud.vault.fault = 503
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds())
    assert await status(client) == 401


async def test_no_secret_in_any_log_line(deployment: Deployment, caplog: pytest.LogCaptureFixture) -> None:
    """Everything at once: use, wrong keys, rotation, an outage, tokens; with all loggers at DEBUG."""
    caplog.set_level(logging.DEBUG)
    for logger in ("azure", "aiohttp", "scim"):
        caplog.set_level(logging.DEBUG, logger)
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth")
    name, secret = added["name"], added["enter"]["Client Secret"]
    answer = await deployment.token(grant_type="client_credentials", client_id=name, client_secret=secret)
    token = answer.json["access_token"]
    assert await status(deployment.client(name, token)) == 200
    rotated = (await deployment.tool("rotate", name))["enter"]["Client Secret"]
    plain, key = deployment.connect()
    assert await status(deployment.client(plain, key)) == 200
    wrong = new_key(plain)
    assert await status(deployment.client(plain, wrong)) == 401
    assert await status(deployment.client(plain, secret)) == 401
    await deployment.run("revoke", name, "--old", "--force")
    deployment.later(61)
    assert await status(deployment.client(name, token)) == 401
    deployment.cloud.vault.fault = 500
    assert await status(deployment.client(plain, key)) == 200
    assert await status(deployment.client(name, new_key("other"))) == 503
    deployment.cloud.vault.fault = None
    broken, broken_key = deployment.connect(expires=secret)
    assert await status(deployment.client(broken, broken_key)) == 503
    roots = json.loads(deployment.cloud.vault.secrets["token-signing-keys"].value)
    identity_tokens = [*deployment.cloud.vault.tokens]
    assert identity_tokens and all(text in caplog.text for text in ("caller not looked up", "misconfigured", broken))
    secrets = [secret, rotated, token, token.split(".")[2], key, wrong, broken_key, *(root["key"] for root in roots)]
    assert [value for value in [*secrets, *identity_tokens] if value in caplog.text] == []


async def test_expired_key_is_told_its_remedy(deployment: Deployment) -> None:
    added = await deployment.tool("add", deployment.name(), "--expires", "2099-01-01")
    name, key = added["name"], added["enter"]["Secret Token"]
    text = deployment.cloud.vault.secrets[f"connection-{name}"].value.replace("2099-01-01", "2020-01-01")
    deployment.keep(name, text, expires=1577836800)
    detail = (await deployment.client(name, key).get("/Users")).json["detail"]
    assert f"This credential of connection {name} expired on 2020-01-01 00:00 UTC: ask the operator" in detail
