"""Access tokens of ours: what is taken for one, how long, and that no part of one is taken on trust."""

from __future__ import annotations

import base64
import json
import secrets
import warnings
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from dev.credentials import SEAL, new_key
from scim.security import seals
from scim.security.access_tokens import AccessTokens, Claims
from scim.security.connections import Connection
from scim.security.keys import fingerprint
from scim.security.roots import find_current
from scim.security.seals import NoSeals, Sealing
from scim.security.secrets import Fixed, SecretsUnavailable
from scim.security.signing_keys import (
    SECRET,
    NoSigningKeys,
    SigningKey,
    read_signing_keys,
    rotate,
    select_living,
    write_signing_keys,
)
from tests.core import cases
from tests.security.conftest import Deployment

SEALING = Sealing(Fixed({seals.SECRET: (SEAL,)}))
START = datetime(2026, 3, 1, 23, 30, tzinfo=UTC)


def root(age: timedelta, now: datetime = START) -> SigningKey:
    key = base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip("=")
    return SigningKey(id=secrets.token_hex(4), key=key, created=now - age)


KEY = new_key("contoso")
CONTOSO = Connection.model_validate({"name": "contoso", "tenant": "t-1", "kind": "oauth", "keys": [KEY]})


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Callable[[datetime], None]:
    """Sets the clock of access_tokens.py."""

    def at(now: datetime) -> None:
        class Moment(datetime):
            @classmethod
            def now(cls, tz: Any = None) -> Any:
                return now

        monkeypatch.setattr("scim.security.access_tokens.datetime", Moment)

    at(START)
    return at


def tokens(*roots: SigningKey, minutes: int = 60) -> AccessTokens:
    return AccessTokens(Fixed({SECRET: roots}), SEALING, minutes)


ROOT = root(timedelta(days=1))


async def test_token_says_whose_it_is(time: object) -> None:
    token = await tokens(ROOT).issue(CONTOSO, "c-1")
    assert await tokens(ROOT).read(token) == Claims("contoso", "t-1", "c-1", START + timedelta(hours=1))
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", "HS256")
    assert len(token) < 700
    assert not any(secret in token for secret in (KEY, ROOT.key))


async def test_token_lives_over_midnight(time: Callable[[datetime], None]) -> None:
    """Each day has a key of its own, and a token is read with the one of its day."""
    made = tokens(ROOT, minutes=360)
    token = await made.issue(CONTOSO, "c-1")
    for minutes in (29, 31, 359, 361):
        time(START + timedelta(minutes=minutes))
        claims = await made.read(token)
        assert claims is not None
        assert claims.has_expired(START + timedelta(minutes=minutes)) == (minutes > 360)
    tomorrow = await made.issue(CONTOSO, "c-1")
    kids = [jwt.get_unverified_header(each)["kid"] for each in (token, tomorrow)]
    assert kids[0] != kids[1]
    time(START + timedelta(days=2))
    assert await made.read(token) is None


def test_token_expires_at_its_instant() -> None:
    claims = Claims("contoso", "t-1", "c-1", START)
    assert [claims.has_expired(START + timedelta(seconds=seconds)) for seconds in (-1, 0, 1)] == [False, True, True]


async def test_keys_of_days_and_roots_differ() -> None:
    other = root(timedelta(days=1))
    keys = {each.derive_for_day(day) for each in (ROOT, other) for day in range(20_000, 20_050)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {32}
    assert ROOT.derive_for_day(20_000) == ROOT.derive_for_day(20_000)


async def test_no_signing_keys() -> None:
    with pytest.raises(NoSigningKeys):
        await tokens().issue(CONTOSO, "c-1")
    assert await tokens().read(await tokens(ROOT).issue(CONTOSO, "c-1")) is None


async def test_keys_that_cannot_be_looked_up() -> None:
    class Down:
        outdated = False

        async def get(self, name: str, accept: object = None) -> tuple[SigningKey, ...]:
            raise SecretsUnavailable("down")

    token = await tokens(ROOT).issue(CONTOSO, "c-1")
    with pytest.raises(SecretsUnavailable):
        await AccessTokens(Down(), SEALING, 60).read(token)
    with pytest.raises(SecretsUnavailable):
        await AccessTokens(Down(), SEALING, 60).issue(CONTOSO, "c-1")


SUITS: dict[str, tuple[dict[str, Any], bool]] = {
    "the same": ({}, True),
    "a second secret": ({"keys": [KEY, new_key("contoso")]}, True),
    "read only": ({"access": "read"}, True),
    "secret replaced": ({"keys": [new_key("contoso")]}, False),
    "secret revoked": ({"keys": [], "revoked": START}, False),
    "another tenant": ({"tenant": "t-2"}, False),
    "another kind": ({"kind": "api-key"}, False),
}


@pytest.mark.parametrize(("members", "suits"), cases(SUITS))
def test_connection_that_a_token_suits(members: dict[str, Any], suits: bool) -> None:
    known = Connection.model_validate({"name": "contoso", "tenant": "t-1", "kind": "oauth", "keys": [KEY], **members})
    assert Claims("contoso", "t-1", fingerprint(KEY), START).match(known) is suits


TRUST = {"issuer": "https://x", "audience": "a", "subject": "s", "jwks_uri": "https://x/keys"}
PINNED: dict[str, tuple[dict[str, str], bool]] = {
    "the same": ({}, True),
    "another subject": ({"subject": "s2"}, False),
    "another issuer": ({"issuer": "https://y"}, False),
    "other keys": ({"jwks_uri": "https://x/keys2"}, False),
}


@pytest.mark.parametrize(("pinned", "suits"), cases(PINNED))
def test_federation_that_a_token_suits(pinned: dict[str, str], suits: bool) -> None:
    def federation(**changed: str) -> Connection:
        trust = {**TRUST, **changed}
        return Connection.model_validate({"name": "contoso", "tenant": "t-1", "kind": "federation", "trust": trust})

    trust = federation().trust
    assert trust is not None
    assert Claims("contoso", "t-1", trust.id, START).match(federation(**pinned)) is suits


# Roots and their rotation.


def test_rotation_keeps_what_living_tokens_were_signed_with() -> None:
    """A root was in use until its successor came; six hours later its last token is dead."""
    now = datetime.now(UTC)
    ages = [timedelta(hours=hours) for hours in (900, 100, 13, 11, 1)]
    roots = [root(age, now) for age in ages]
    kept = rotate([roots[index] for index in (3, 0, 4, 2, 1)])
    assert kept[:-1] == (*roots[3:],)
    assert abs(kept[-1].created - now) < timedelta(minutes=1)
    assert len({key.id for key in kept} | {key.key for key in kept}) == 2 * len(kept)


def test_rotation_at_once_leaves_the_new_root_alone() -> None:
    now = datetime.now(UTC)
    (only,) = rotate([root(timedelta(days=1), now), root(timedelta(hours=1), now)], at_once=True)
    assert abs(only.created - now) < timedelta(minutes=1)


LIVING: dict[str, tuple[list[float], list[int]]] = {
    "none": ([], []),
    "one, however old": ([9000], [0]),
    "replaced a moment ago": ([9000, 0], [0, 1]),
    "replaced six hours ago": ([9000, 6], [0, 1]),
    "replaced before any living token was made": ([9000, 6.3], [1]),
    "replaced in a chain": ([9000, 5000, 7, 6, 1], [2, 3, 4]),
    "in another order": ([1, 9000, 7], [2, 0]),
    "replaced by one that is to come": ([9000, -1], [0, 1]),
}


@pytest.mark.parametrize(("ages", "expected"), cases(LIVING))
def test_root_that_was_replaced_ends_by_itself(ages: list[float], expected: list[int]) -> None:
    """Whoever got hold of it can sign nothing, though nobody took it off the list."""
    roots = [root(timedelta(hours=age)) for age in ages]
    assert select_living(roots, START) == tuple(roots[index] for index in expected)


async def test_token_of_a_root_that_ended_is_refused() -> None:
    now = datetime.now(UTC)
    leaked, successor = root(timedelta(days=60), now), root(timedelta(days=30), now)
    minted = await tokens(leaked, minutes=360).issue(CONTOSO, "c-1")
    assert await tokens(leaked, successor).read(minted) is None
    assert await tokens(leaked).read(minted) is not None


async def test_no_seals() -> None:
    unsealed = AccessTokens(Fixed({SECRET: (ROOT,)}), Sealing(Fixed({})), 60)
    with pytest.raises(NoSeals):
        await unsealed.issue(CONTOSO, "c-1")
    assert await unsealed.read(await tokens(ROOT).issue(CONTOSO, "c-1")) is None


def test_first_rotation_makes_a_root() -> None:
    (only,) = rotate(())
    assert find_current([only], only.created) == only


CURRENT: dict[str, tuple[list[int], int | None]] = {
    "none": ([], None),
    "one that is new": ([0], 0),
    "one": ([600], 0),
    "new one beside an old one": ([600, 299], 0),
    "new one that everybody has seen": ([600, 300], 1),
    "three": ([900, 600, 100], 1),
    "two that are new": ([200, 100], 0),
    "in another order": ([100, 900, 600], 2),
    "from a clock that is ahead": ([600, -60], 0),
}


@pytest.mark.parametrize(("ages", "chosen"), cases(CURRENT))
def test_root_that_signs(ages: list[int], chosen: int | None) -> None:
    roots = [root(timedelta(seconds=age)) for age in ages]
    assert find_current(roots, START) == (None if chosen is None else roots[chosen])


def test_roots_are_read_back() -> None:
    roots = rotate(rotate(()))
    assert read_signing_keys(write_signing_keys(roots)) == roots


# Through the app.


def sealed_kid(key: str) -> str:
    """The name of a key as in our tokens."""
    return f"{key}.{SEAL.sign(f'kid {key}')}"


def named(root: str, day: object) -> str:
    return sealed_kid(f"{root}.{day}")


class Client:
    """A client with a token, and the keys that signed it."""

    def __init__(self, deployment: Deployment, name: str, secret: str) -> None:
        self.name, self.secret, self._deployment = name, secret, deployment

    @property
    def connection(self) -> Connection:
        return Connection.model_validate({**self._deployment.kept(self.name), "name": self.name})

    @property
    def roots(self) -> tuple[SigningKey, ...]:
        return read_signing_keys(self._deployment.cloud.vault.secrets["token-signing-keys"].value)

    def signed(
        self, claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, alg: str = "HS256"
    ) -> str:
        """A token as ours are, with other claims (None: without) or another header, signed with the right key."""
        now = int(datetime.now(UTC).timestamp())
        said = {
            "iss": "azure-functions-scim",
            "aud": "scim",
            "sub": self.name,
            "tenant": self.connection.tenant,
            "credential": fingerprint(self.secret),
            "iat": now,
            "exp": now + 3600,
            **(claims or {}),
        }
        day, key = now // 86_400, self.roots[0]
        headers = {"typ": "at+jwt", "kid": named(key.id, day), **(header or {})}
        payload = {name: value for name, value in said.items() if value is not None}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", jwt.warnings.InsecureKeyLengthWarning)  # our keys suit HS256
            return jwt.encode(payload, key.derive_for_day(day), alg, headers=headers)

    async def answer(self, token: str) -> tuple[int, str]:
        response = await self._deployment.client(self.name, token).get("/Users?filter=userName+eq+%22nobody%22")
        return response.status, response.json.get("detail", "")


@pytest.fixture
async def client(deployment: Deployment) -> Client:
    added = await deployment.tool("add", deployment.name(), "--kind", "oauth")
    return Client(deployment, added["name"], added["enter"]["Client Secret"])


async def test_token_as_ours_are_is_taken(client: Client) -> None:
    """What the refusals below are held against."""
    assert await client.answer(client.signed()) == (200, "")


def day(difference: int) -> str:
    return str(int(datetime.now(UTC).timestamp()) // 86_400 + difference)


def parts(client: Client) -> list[str]:
    return client.signed().split(".")


def encoded(data: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(data).encode()).decode().rstrip("=")


def with_other_claims(client: Client) -> str:
    header, payload, signature = parts(client)
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return ".".join((header, encoded({**claims, "tenant": "another"}), signature))


def without_signature(client: Client, alg: str, signature: str) -> str:
    header, payload, _ = parts(client)
    changed = {**json.loads(base64.urlsafe_b64decode(header + "==")), "alg": alg}
    return ".".join((encoded(changed), payload, signature))


FORGED: dict[str, Callable[[Client], str]] = {
    "signature cut off": lambda client: client.signed()[:-1],
    "signature changed": lambda client: ".".join((*parts(client)[:2], "A" * 43)),
    "claims changed": with_other_claims,
    "none": lambda client: without_signature(client, "none", "x"),
    "None": lambda client: without_signature(client, "None", parts(client)[2]),
    "none without a signature": lambda client: without_signature(client, "none", ""),
    "HS384": lambda client: client.signed(alg="HS384"),
    "HS512": lambda client: client.signed(alg="HS512"),
    "RS256 in the header": lambda client: without_signature(client, "RS256", parts(client)[2]),
    "type of any JWT": lambda client: client.signed(header={"typ": "JWT"}),
    "no type": lambda client: client.signed(header={"typ": None}),
    "type with its prefix": lambda client: client.signed(header={"typ": "application/at+jwt"}),
    "key of yesterday's day": lambda client: client.signed(
        header={"kid": sealed_kid(f"{client.roots[0].id}.{day(-1)}")}
    ),
    "key of last week's day": lambda client: client.signed(
        header={"kid": sealed_kid(f"{client.roots[0].id}.{day(-7)}")}
    ),
    "key of no day": lambda client: client.signed(header={"kid": sealed_kid(f"{client.roots[0].id}.x")}),
    "key of another kind of digits": lambda client: client.signed(
        header={"kid": sealed_kid(f"{client.roots[0].id}.٣")}
    ),
    "root that is none": lambda client: client.signed(header={"kid": sealed_kid(f"cafecafe.{day(0)}")}),
    "no kid": lambda client: client.signed(header={"kid": ""}),
    "path for a kid": lambda client: client.signed(header={"kid": "../../x.1"}),
    "another audience": lambda client: client.signed({"aud": "x"}),
    "no audience": lambda client: client.signed({"aud": None}),
    "another issuer": lambda client: client.signed({"iss": "x"}),
    "no issuer": lambda client: client.signed({"iss": None}),
    "no expiry": lambda client: client.signed({"exp": None}),
    "another credential": lambda client: client.signed({"credential": "cafecafe"}),
    "another tenant": lambda client: client.signed({"tenant": "another"}),
    "connection that is none": lambda client: client.signed({"sub": "nobody"}),
    "too long": lambda client: client.signed({"x": "x" * 8000}),
    "deeply nested": lambda client: ".".join(
        (parts(client)[0], base64.urlsafe_b64encode(b"[" * 5000).decode(), parts(client)[2])
    ),
    "header that is a list": lambda client: ".".join((encoded(["at+jwt"]), *parts(client)[1:])),
}


@pytest.mark.parametrize("forge", cases(FORGED))
async def test_token_that_is_refused(client: Client, forge: Callable[[Client], str]) -> None:
    status, detail = await client.answer(forge(client))
    assert status == 401, detail
    assert client.secret not in detail


async def test_expired_token_is_told(client: Client) -> None:
    past = int(datetime.now(UTC).timestamp()) - 1
    status, detail = await client.answer(client.signed({"exp": past}))
    assert (status, "expired on" in detail, "token endpoint" in detail) == (401, True, True)


async def test_token_of_another_deployment(client: Client) -> None:
    token = await tokens(*rotate(())).issue(client.connection, fingerprint(client.secret))
    status, detail = await client.answer(token)
    assert (status, "not known here" in detail) == (401, True)


CHANGES: dict[str, dict[str, Any]] = {
    "secret replaced": {"keys": ["NEW"]},
    "connection made for another tenant": {"tenant": "another"},
    "connection of another kind": {"kind": "api-key"},
    "connection expired": {"expires": datetime.now(UTC).isoformat()},
}


@pytest.mark.parametrize("members", cases(CHANGES))
async def test_change_ends_its_tokens_within_a_minute(
    deployment: Deployment, client: Client, members: dict[str, Any]
) -> None:
    token = client.signed()
    assert (await client.answer(token))[0] == 200
    text = json.dumps({**deployment.kept(client.name), **members}).replace("NEW", new_key(client.name))
    deployment.keep(client.name, text)
    deployment.later(59)
    assert (await client.answer(token))[0] == 200
    deployment.later(1)
    status, detail = await client.answer(token)
    assert (status, client.name in detail) == (401, True)


async def test_revoking_ends_its_tokens_and_no_others(deployment: Deployment, client: Client) -> None:
    old = client.signed()
    rotation = await deployment.tool("rotate", client.name)
    new = client.signed({"credential": fingerprint(rotation["enter"]["Client Secret"])})
    assert [(await client.answer(token))[0] for token in (old, new)] == [200, 200]
    await deployment.run("revoke", client.name, "--credential", fingerprint(client.secret))
    deployment.later(60)
    assert [(await client.answer(token))[0] for token in (old, new)] == [401, 200]
    await deployment.run("revoke", client.name, "--all")
    deployment.later(60)
    assert (await client.answer(new))[0] == 401


async def test_deleted_connection_ends_its_tokens(deployment: Deployment, client: Client) -> None:
    token = client.signed()
    assert (await client.answer(token))[0] == 200
    del deployment.cloud.vault.secrets[f"connection-{client.name}"]
    deployment.later(60)
    assert (await client.answer(token))[0] == 401


async def test_roots_that_end_at_once(deployment: Deployment, client: Client) -> None:
    """A root leaked. What another process signs with the new one is taken here at once, so that nobody is refused
    whose token is good: Entra would stop provisioning."""
    token = client.signed()
    assert (await client.answer(token))[0] == 200
    await deployment.run("rotate-signing-keys", "--now")
    assert len(client.roots) == 1
    assert (await client.answer(client.signed()))[0] == 200
    assert (await client.answer(token))[0] == 401


async def test_forged_token_reads_no_root(deployment: Deployment, client: Client) -> None:
    await client.answer(client.signed())
    deployment.cloud.vault.reads.clear()
    for number in range(200):
        assert (await client.answer(client.signed(header={"kid": f"{number:08x}.{day(0)}.{'a' * 10}"})))[0] == 401
        assert (await client.answer(client.signed(header={"kid": f"{client.roots[0].id}.{day(0)}"})))[0] == 401
    assert deployment.cloud.vault.reads == []


async def test_root_that_is_withdrawn_ends_its_tokens(deployment: Deployment, client: Client) -> None:
    """What an operator does when a root has leaked."""
    token = client.signed()
    assert (await client.answer(token))[0] == 200
    await deployment.run("rotate-signing-keys")
    deployment.later(60)
    assert (await client.answer(token))[0] == 200
    secret = deployment.cloud.vault.secrets["token-signing-keys"]
    secret.value = write_signing_keys(client.roots[-1:])
    deployment.later(60)
    assert (await client.answer(token))[0] == 401


async def test_tokens_go_on_while_the_vault_is_down(deployment: Deployment, client: Client) -> None:
    token = client.signed()
    assert (await client.answer(token))[0] == 200
    deployment.cloud.vault.fault = 500
    deployment.later(3600)
    assert (await client.answer(token))[0] == 200
    deployment.cloud.vault.fault = None


async def test_new_root_is_read_before_it_signs_here(deployment: Deployment, client: Client) -> None:
    """Another process has seen the new root before this one did."""
    assert (await client.answer(client.signed()))[0] == 200
    await deployment.run("rotate-signing-keys")
    newest = client.roots[-1]
    token = await tokens(newest).issue(client.connection, fingerprint(client.secret))
    deployment.later(60)
    assert (await client.answer(token))[0] == 200
