"""What somebody without a credential can make the service do: next to nothing, whatever they send and however often.

Here everything is counted (reads of the vault, questions to issuers, log lines, what is kept), since time depends on
the machine.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import string
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest

import function_app
from dev.credentials import new_key
from scim import address, refusals
from scim.app import Application
from scim.http import Request, Response
from scim.security import authentication
from scim.security.trust import SYNC_FABRIC, make_entra_federation, make_entra_issued
from scim.settings import Settings
from tests.cloud import Cloud, Issuer
from tests.core import cases
from tests.security.conftest import TENANT_URL, TOKEN_URL, Deployment
from tests.store.memory import Door, MemoryTable

APP_ID = "5b8e3f6a-9c1d-4e2f-8a7b-6c5d4e3f2a1b"
SUBJECT = "d7c6b5a4-1234-4321-abcd-0123456789ab"
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"
FORM = {"content-type": "application/x-www-form-urlencoded"}
USERS = f"{TENANT_URL}/Users?count=0"


def random(length: int) -> str:
    return "".join(secrets.choice(string.ascii_letters + string.digits) for _ in range(length))


def made_up_key(name: str) -> str:
    """A key as whoever read the source would make one, and does not know the root."""
    return f"scim_{name}_{random(42)}"


def bearer(token: str, forwarded: str = "") -> Request:
    headers = {"authorization": f"Bearer {token}", "host": "scim.test"}
    return Request("GET", USERS, {**headers, **({"x-forwarded-for": forwarded} if forwarded else {})})


def form(headers: dict[str, str] | None = None, **fields: str) -> Request:
    from urllib.parse import urlencode

    return Request("POST", TOKEN_URL, {**FORM, **(headers or {})}, urlencode(fields).encode())


def basic(client: str, secret: str) -> dict[str, str]:
    return {"authorization": "Basic " + base64.b64encode(f"{client}:{secret}".encode()).decode()}


def signed_by_a_stranger(issuer: Issuer, **claims: Any) -> str:
    """A token that is right in everything but the key."""
    if "stranger" not in issuer.keys:
        issuer.add_key("stranger", publish=False)
    return issuer.token(kid="key-1", key=issuer.keys["stranger"], **claims)


def unsigned(**claims: Any) -> str:
    """A token that cost its maker nothing."""
    body = ".".join(
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=")
        for part in ({"alg": "RS256", "kid": random(6)}, claims)
    )
    return f"{body}.{random(40)}"


def own_token(**header: str) -> str:
    """A token as ours are, under a key that is made up."""
    claims = {"iss": "azure-functions-scim", "aud": "scim", "sub": random(8), "exp": 2**32}
    return jwt.encode(claims, "k" * 32, "HS256", headers={"typ": "at+jwt", **header})


KINDS: dict[str, Callable[[str, Issuer], Request]] = {
    "nothing": lambda name, issuer: Request("GET", USERS, {}),
    "a word": lambda name, issuer: bearer(random(20)),
    "key": lambda name, issuer: bearer(made_up_key(name)),
    "key of a random name": lambda name, issuer: bearer(made_up_key(random(12).lower())),
    "key with the old checksum's length": lambda name, issuer: bearer(f"scim_{name}_{random(38)}"),
    "token of a random tenant, signed by nobody": lambda name, issuer: bearer(unsigned(tid=str(uuid.uuid4()))),
    "token of Entra's form, signed by a stranger": lambda name, issuer: bearer(
        signed_by_a_stranger(issuer, tid=str(uuid.uuid4()), appid=SYNC_FABRIC)
    ),
    "token of this service's form": lambda name, issuer: bearer(own_token(kid=f"{random(8)}.20000.{random(10)}")),
    "token of this service's form without a seal": lambda name, issuer: bearer(own_token(kid=f"{random(8)}.20000")),
    "token of this service's form, its seal no ASCII": lambda name, issuer: bearer(own_token(kid="a.20000.é")),
    "token of this service's form, its seal no Unicode": lambda name, issuer: bearer(own_token(kid="a.20000.\ud800")),
    "token of this service's form, its key's name no Unicode": lambda name, issuer: bearer(
        own_token(kid=f"\ud800.1.{random(10)}")
    ),
    "client and secret": lambda name, issuer: form(
        grant_type="client_credentials", client_id=name, client_secret=made_up_key(name)
    ),
    "client and secret in the header": lambda name, issuer: form(
        basic(name, made_up_key(name)), grant_type="client_credentials"
    ),
    "assertion for a client's name": lambda name, issuer: form(
        grant_type="client_credentials",
        client_id=name,
        client_assertion_type=JWT_BEARER,
        client_assertion=signed_by_a_stranger(issuer, sub=SUBJECT),
    ),
    "assertion for a made-up client id": lambda name, issuer: form(
        grant_type="client_credentials",
        client_id=f"{name}_{random(10)}",
        client_assertion_type=JWT_BEARER,
        client_assertion=unsigned(sub=SUBJECT),
    ),
    "token to exchange": lambda name, issuer: form(
        grant_type=EXCHANGE,
        audience=f"{random(8).lower()}_{random(10)}",
        subject_token=unsigned(sub=SUBJECT),
        subject_token_type=JWT,
    ),
}
"""What strangers make up, for the name of a connection that is there, or is not."""


def told(answer: Response) -> str:
    """All that an answer says, but for the id of its request."""
    return json.dumps([answer.status, answer.body, answer.headers]).replace(answer.headers["X-Request-Id"], "ID")


@pytest.fixture
def issuer() -> Issuer:
    return Issuer()


def flood(names: list[str], issuer: Issuer, rounds: int) -> Iterator[Request]:
    for number in range(rounds):
        for make in KINDS.values():
            yield make(names[number % len(names)], issuer)


async def customers(deployment: Deployment, number: int) -> list[Request]:
    """Requests of so many customers, of all kinds, each with a good credential."""
    made = [bearer(deployment.connect()[1]) for _ in range(number - 2)]
    tenant_id = str(uuid.uuid4())
    trust = make_entra_issued(tenant_id, jwks_uri=deployment.cloud.jwks_uri)
    deployment.keep(
        f"entra-{tenant_id}",
        {"tenant": deployment.name(), "kind": "entra", "trust": trust.model_dump(mode="json", exclude_none=True)},
    )
    claims = {"iss": trust.issuer, "aud": trust.audience, "sub": "x", "tid": tenant_id, "appid": SYNC_FABRIC}
    made.append(bearer(deployment.cloud.issuer.token(**claims)))
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth")
    enter = added["enter"]
    made.append(
        form(grant_type="client_credentials", client_id=enter["Client ID"], client_secret=enter["Client Secret"])
    )
    return made


async def test_customers_that_come_first_while_strangers_flood(
    deployment: Deployment, deployed_settings: Settings
) -> None:
    """A cold process, a thousand and more made-up credentials of every kind, and 20 customers that it has never seen
    among them: each is answered, and the vault is read once for each and for each root."""
    deployment.application._settings = deployed_settings.model_copy(update={"address_refusals": 60})
    good = await customers(deployment, 20)
    names = [name.removeprefix("connection-") for name in deployment.cloud.vault.secrets]
    handle = deployment.application.handle
    deployment.cloud.vault.reads.clear()
    deployment.cloud.issuer.asked = 0
    requests = list(flood(names, deployment.cloud.issuer, 75))
    assert len(requests) > 1000
    for at, request in enumerate(good):
        requests.insert((at + 1) * 50, request)
    answers = []
    for start in range(0, len(requests), 100):
        answers += await asyncio.gather(*(handle(request) for request in requests[start : start + 100]))
    told = {id(request): answer.status for request, answer in zip(requests, answers, strict=True)}
    assert [told.pop(id(request)) for request in good] == [200] * 20
    assert {*told.values()} <= {400, 401, 429}
    reads = deployment.cloud.vault.reads
    assert sorted(reads) == sorted({*reads})
    assert len(reads) == 20 + 2
    assert deployment.cloud.issuer.asked <= 2  # Entra's keys, and once more for a kid that is not among them


@pytest.mark.parametrize("kind", cases({kind: kind for kind in KINDS}))
async def test_stranger_learns_nothing_and_leaves_nothing(deployment: Deployment, kind: str) -> None:
    """The same answer for a connection that is there, is paused, is revoked or is not, whether it is kept or not, and
    while the vault is away; and nothing is looked up, kept or noted for it."""
    make, issuer = KINDS[kind], deployment.cloud.issuer
    there, key = deployment.connect()
    paused, _ = deployment.connect(paused="2026-01-01T00:00:00Z")
    revoked, _ = deployment.connect(keys=[], revoked="2026-01-01T00:00:00Z")
    federated = deployment.name()
    trust = make_entra_federation(str(uuid.uuid4()), APP_ID, SUBJECT, deployment.cloud.jwks_uri)
    deployment.keep(
        federated,
        {"tenant": federated, "kind": "federation", "trust": trust.model_dump(mode="json", exclude_none=True)},
    )
    handle = deployment.application.handle
    names = [there, paused, revoked, federated, "nobody"]
    assert (await handle(bearer(key))).status == 200
    await deployment.application._built().security.assertions._keys.get(deployment.cloud.jwks_uri, "key-1")
    deployment.cloud.vault.reads.clear()
    security = deployment.application._built().security
    connections = security.connections
    kept = (len(connections._some), len(connections._none))

    async def answers() -> set[str]:
        found = set()
        for name in names:
            answer = await handle(make(name, issuer))
            found.add(told(answer))
        return found

    warm = await answers()
    assert len(warm) == 1
    deployment.cloud.vault.fault = 503
    assert await answers() == warm
    deployment.cloud.vault.fault = None
    assert deployment.cloud.vault.reads == []
    assert (len(connections._some), len(connections._none)) == kept


async def test_refusals_of_strangers_are_alike(deployment: Deployment) -> None:
    """Which of two texts comes depends on what was sent alone: on whether it has the form of another issuer's token."""
    handle, issuer = deployment.application.handle, deployment.cloud.issuer
    name, _ = deployment.connect()
    texts: dict[bool, set[str]] = {True: set(), False: set()}
    for kind, make in KINDS.items():
        request = make(name, issuer)
        if kind != "nothing" and request.url == USERS:
            answer = await handle(request)
            foreign = kind.startswith("token") and "this service" not in kind
            texts[foreign].add(told(answer))
    assert [len(found) for found in texts.values()] == [1, 1]


async def test_customer_at_an_address_that_strangers_share(deployment: Deployment, deployed_settings: Settings) -> None:
    """Entra's provisioning of everybody comes from the same addresses, as an office does."""
    deployment.application._settings = deployed_settings.model_copy(update={"address_refusals": 5})
    _, key = deployment.connect()
    handle, shared = deployment.application.handle, "203.0.113.7:50123"
    answers = [await handle(bearer(made_up_key("contoso"), shared)) for _ in range(8)]
    assert [answer.status for answer in answers] == [401] * 5 + [429] * 3
    assert answers[-1].headers["Retry-After"] == "60"
    assert (await handle(bearer(key, shared))).status == 200
    assert (await handle(bearer(new_key("nobody"), shared))).status == 429
    assert (await handle(bearer(made_up_key("contoso"), "203.0.113.8"))).status == 401
    assert (await handle(bearer(made_up_key("contoso"), f"1.2.3.4, {shared}"))).status == 429  # what is first is theirs
    for path in ("oauth2/token", "oauth2/x", "scim/Users", "x", ".well-known/x"):
        request = Request("GET", f"http://scim.test/{path}", {"x-forwarded-for": shared})
        assert (await handle(request)).status == 429
    assert (await handle(Request("GET", "http://scim.test/health", {"x-forwarded-for": shared}))).status == 200
    metadata = Request("GET", "http://scim.test/.well-known/oauth-authorization-server", {"x-forwarded-for": shared})
    assert (await handle(metadata)).status == 200


async def test_limit_of_an_address_at_the_token_endpoint_is_told_in_oauth(
    deployment: Deployment, deployed_settings: Settings
) -> None:
    deployment.application._settings = deployed_settings.model_copy(update={"address_refusals": 1})
    request = KINDS["client and secret"]("contoso", deployment.cloud.issuer)
    answers = [await deployment.application.handle(request) for _ in range(2)]
    assert [answer.status for answer in answers] == [401, 429]
    assert isinstance(answers[1].body, dict)
    assert sorted(answers[1].body) == ["error", "error_description"]
    assert answers[1].headers["Content-Type"] == "application/json"


async def test_errors_of_a_customer_are_not_charged(deployment: Deployment, deployed_settings: Settings) -> None:
    deployment.application._settings = deployed_settings.model_copy(update={"address_refusals": 2})
    _, key = deployment.connect(access="read")
    missing = Request("GET", f"{TENANT_URL}/Users/nobody", {"authorization": f"Bearer {key}"})
    refused = Request("DELETE", f"{TENANT_URL}/Users/nobody", {"authorization": f"Bearer {key}"})
    assert {(await deployment.application.handle(missing)).status for _ in range(10)} == {404}
    assert {(await deployment.application.handle(refused)).status for _ in range(10)} == {403}


async def test_log_of_refusals_is_a_sample_that_tells_the_number(
    deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> None:
    """Strangers cannot write the log full, nor hide what is refused for a connection; every refusal is counted."""
    name, key = deployment.connect(expires="2026-01-01T00:00:00Z")
    handle = deployment.application.handle
    caplog.set_level("INFO", "scim")
    for request in flood([name], deployment.cloud.issuer, 40):
        await handle(request)
    for _ in range(3):
        await handle(bearer(key))
    lines = [json.loads(record.message) for record in caplog.records if record.message.startswith("{")]
    strangers = [line for line in lines if line.get("connection") is None and line.get("claimed") is None]
    assert len(strangers) < 100
    assert sum(line.get("count", 1) for line in strangers) <= 40 * len(KINDS)
    assert len(lines) - len(strangers) == 3
    sample = deployment.application._sample
    left_out = sample._lines[None, None].left_out
    assert sum(line.get("count", 1) for line in strangers) + left_out == 40 * len(KINDS)


ADDRESSES: dict[str, tuple[str, int, str]] = {
    "one": ("192.0.2.1", 0, "192.0.2.1"),
    "with a port": ("192.0.2.1:443", 0, "192.0.2.1"),
    "IPv6": ("2001:DB8::1", 0, "2001:db8::1"),
    "IPv6 with a port": ("[2001:db8::1]:443", 0, "2001:db8::1"),
    "IPv6 with a zone": ("fe80::1%eth0", 0, "fe80::1"),
    "IPv4 in IPv6": ("::ffff:192.0.2.1", 0, "192.0.2.1"),
    "what was there before": ("10.0.0.1, x, 192.0.2.1", 0, "192.0.2.1"),
    "without spaces": ("10.0.0.1,192.0.2.1", 0, "192.0.2.1"),
    "behind one proxy": ("10.0.0.1, 192.0.2.1, 198.51.100.1", 1, "192.0.2.1"),
    "behind two": ("10.0.0.1, 192.0.2.1:1, 198.51.100.1, 198.51.100.2", 2, "192.0.2.1"),
    "fewer than proxies": ("192.0.2.1", 1, "?"),
    "none": ("", 0, "?"),
    "empty entry": ("192.0.2.1,", 0, "?"),
    "a word": ("unknown", 0, "?"),
    "a line": ("192.0.2.1\nx", 0, "?"),
    "long": ("1" * 100_000, 0, "?"),
}


@pytest.mark.parametrize(("forwarded", "proxies", "expected"), cases(ADDRESSES))
def test_address_is_the_one_that_the_platform_saw(forwarded: str, proxies: int, expected: str) -> None:
    assert address.find_address({"x-forwarded-for": forwarded}, proxies) == expected
    assert address.find_address({}, proxies) == "?"


NETWORKS = {"192.0.2.1": "192.0.2.1", "2001:db8:1:2:3::4": "2001:db8:1:2::/64", "?": "?"}


@pytest.mark.parametrize("given", NETWORKS)
def test_network_is_what_a_caller_holds(given: str) -> None:
    assert address.find_network(given) == NETWORKS[given]


def test_addresses_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refusals, "_ADDRESSES", 100)
    limits, sample = refusals.AddressLimits(1, clock=lambda: 0.0), refusals.Sample(clock=lambda: 0.0)
    for number in range(1000):
        limits.check(f"2001:db8:{number:x}::1")
        sample.count(f"name-{number}", None)
    assert (len(limits._buckets), len(sample._lines)) == (100, 100)


def test_no_limit_for_addresses() -> None:
    limits = refusals.AddressLimits(0)
    for _ in range(1000):
        limits.check("192.0.2.1")
    assert limits._buckets == {}


def test_sample_counts_what_it_leaves_out() -> None:
    now = 0.0
    sample = refusals.Sample(clock=lambda: now)
    assert [sample.count(None, None) for _ in range(100)] == [1] * 60 + [0] * 40
    assert sample.count("contoso", None) == 1
    now = 1.0
    assert [sample.count(None, None) for _ in range(2)] == [41, 0]


async def test_service_that_cannot_start_is_not_told_to_strangers_otherwise(cloud: Cloud) -> None:
    """No setting at all: everybody gets the same 503, and nothing of it is counted."""
    application = Application(Settings.model_construct(schemas_folder="nowhere"))
    original, function_app.application = function_app.application, application
    try:
        assert (await application.handle(bearer(made_up_key("x")))).status >= 500
    finally:
        function_app.application = original


async def test_a_stranger_who_hits_upon_a_fault_is_charged_like_any(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its address gets so many answers, and the log so many traces and lines, as for any refusal."""

    async def fails(*_: object, **__: object) -> None:
        raise RuntimeError("a fault of ours")

    door = Door(MemoryTable(), SCIM_ADDRESS_REFUSALS="20")
    monkeypatch.setattr(authentication, "authenticate", fails)
    headers = {"x-forwarded-for": "203.0.113.9"}
    caplog.set_level(logging.INFO)
    statuses = [(await door.request("GET", USERS, headers, b"")).status for _ in range(200)]
    assert statuses == [500] * 20 + [429] * 180
    assert sum(record.exc_info is not None for record in caplog.records) <= 12
    assert sum('"event":"request"' in text.replace(" ", "") for text in caplog.messages) <= 65
    assert (await door.request("GET", USERS, {"x-forwarded-for": "203.0.113.10"}, b"")).status == 500
