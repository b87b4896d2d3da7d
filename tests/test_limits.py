"""How often a tenant may ask, and what it is told when that was too often."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.errors import TOO_MANY_REQUESTS
from scim.limits import Bucket, Seldom, TenantLimits
from scim.security.signing_keys import rotate, write_signing_keys
from scim.settings import Settings
from tests.conftest import TABLE
from tests.core import refused
from tests.support import Client


def test_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = Bucket(3, 2.0)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(101.0) for _ in range(3)] == [True, True, False]
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]
    bucket.give_back()
    assert bucket.take(1000.0)


def test_clock_that_goes_back_gives_nothing() -> None:
    bucket = Bucket(1, 1.0)
    assert bucket.take(100.0)
    assert not bucket.take(50.0)
    assert not bucket.take(100.5)


def test_a_key_goes_once_in_its_time_and_the_oldest_is_forgotten() -> None:
    seldom = Seldom(60, 2)
    assert [seldom.take(key, now) for key, now in [("a", 0), ("a", 59), ("b", 59), ("a", 60)]] == [1, 0, 1, 1]
    assert [seldom.take("c", 61), len(seldom), seldom.take("b", 61), seldom.take("c", 61)] == [1, 2, 1, 0]


def test_tenants_do_not_share_a_limit() -> None:
    now = 0.0
    limits = TenantLimits(10, clock=lambda: now)
    for _ in range(20):
        limits.check("a")
    with refused(TOO_MANY_REQUESTS, "10 requests a second"):
        limits.check("a")
    limits.check("b")
    now = 0.1
    limits.check("a")


def test_no_limit() -> None:
    limits = TenantLimits(0)
    for _ in range(10_000):
        limits.check("a")


KEYS = {name: new_key(name) for name in ("hasty", "calm")}
CLIENT = new_key("client")


@pytest.fixture
async def limited(azurite: Azurite, host: Host) -> AsyncIterator[Host]:
    connections: dict[str, object] = {name: {"tenant": name, "keys": [key]} for name, key in KEYS.items()}
    connections["client"] = {"tenant": "hasty", "kind": "oauth", "keys": [CLIENT]}
    settings = {
        "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_SIGNING_KEYS": write_signing_keys(rotate(())),
        "SCIM_TENANT_RATE": "1",
    }
    original, function_app.application = function_app.application, Application(Settings.from_environment(settings))
    yield host
    await function_app.application.close()
    function_app.application = original


async def test_tenant_that_goes_beyond_its_rate(limited: Host) -> None:
    hasty, calm = (Client(limited, name, key) for name, key in KEYS.items())
    answers = [await hasty.get("/ServiceProviderConfig") for _ in range(30)]
    slowed = [answer for answer in answers if answer.status == 429]
    assert [answer.status for answer in answers[:2]] == [200, 200] and slowed
    assert slowed[0].headers["retry-after"] == "1"
    assert slowed[0].headers["content-type"] == "application/scim+json"
    assert slowed[0].json["status"] == "429" and "slow down" in slowed[0].json["detail"]
    assert (await calm.get("/ServiceProviderConfig")).status == 200


async def test_tokens_are_paid_for_by_the_tenant(limited: Host) -> None:
    """Each leaves a line in the log, as a request does."""
    form = f"grant_type=client_credentials&client_id=client&client_secret={CLIENT}".encode()
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Content-Length": str(len(form))}
    answers = [await limited.request("POST", "http://scim.test/oauth2/token", headers, form) for _ in range(30)]
    slowed = [answer for answer in answers if answer.status == 429]
    assert [answer.status for answer in answers[:2]] == [200, 200] and slowed
    assert slowed[0].headers["Retry-After"] == "1"
    assert "slow down" in json.loads(slowed[0].body)["error_description"]
    assert (await Client(limited, "calm", KEYS["calm"]).get("/ServiceProviderConfig")).status == 200
