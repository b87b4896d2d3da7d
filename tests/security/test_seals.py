"""The roots that credentials are sealed with: the first one, their replacement, and which are still needed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dev.credentials import SEAL
from scim.security.keys import digest, new_key
from scim.security.seals import Seal, create_seal, read_seals, write_seals
from tests.cloud import Secret
from tests.core import cases
from tests.security.conftest import Deployment

SECRET = "credential-seals"


def seals(deployment: Deployment) -> tuple[Seal, ...]:
    return read_seals(deployment.cloud.vault.secrets[SECRET].value)


def aged(seal: Seal, **ago: float) -> Seal:
    return seal.model_copy(update={"created": datetime.now(UTC) - timedelta(**ago)})


def keep(deployment: Deployment, *roots: Seal) -> None:
    deployment.cloud.vault.secrets[SECRET] = Secret(write_seals(roots))


async def status(deployment: Deployment, token: str) -> int:
    return (await deployment.client("x", token).get("/Users?count=0")).status


async def add(deployment: Deployment, name: str, *options: str) -> str:
    return str((await deployment.tool("add", name, *options))["enter"]["Secret Token"])


async def needs(deployment: Deployment) -> dict[str, list[str]]:
    return {each["id"]: each["connections"] for each in await deployment.tool("seals")}


async def test_first_connection_makes_the_first_root_and_works_at_once(deployment: Deployment) -> None:
    """A process that runs has seen that there is none."""
    del deployment.cloud.vault.secrets[SECRET]
    assert "no seals" in await deployment.run("seals")
    assert await status(deployment, new_key("contoso", SEAL)) == 401
    token = await add(deployment, deployment.name())
    assert await status(deployment, token) == 200
    (only,) = seals(deployment)
    await add(deployment, deployment.name())
    assert seals(deployment) == (only,)


async def test_roots_overlap(deployment: Deployment) -> None:
    """What an old root sealed goes on; a new one seals only when every process has seen it."""
    old = await add(deployment, deployment.name())
    assert await status(deployment, old) == 200
    await deployment.run("rotate-seals")
    assert seals(deployment)[0].id == SEAL.id
    early = await add(deployment, deployment.name())
    assert await status(deployment, early) == 200
    new = aged(seals(deployment)[1], minutes=6)
    keep(deployment, aged(SEAL, days=1), new)
    deployment.later(60)
    late = await add(deployment, deployment.name())
    assert [await status(deployment, token) for token in (old, early, late)] == [200] * 3
    found = await needs(deployment)
    assert [len(found[seal.id]) for seal in (SEAL, new)] == [2, 1]


async def test_root_goes_when_nobody_needs_it(deployment: Deployment) -> None:
    name = deployment.name()
    token = await add(deployment, name)
    keep(deployment, aged(SEAL, days=400), aged(create_seal(), days=1))
    deployment.later(60)
    rotated = await deployment.tool("rotate-seals")
    assert (rotated["ended"], len(rotated["seals"])) == ([], 3)
    assert await needs(deployment) == {SEAL.id: [name], **{seal.id: [] for seal in seals(deployment)[1:]}}
    deployment.later(60)
    assert await status(deployment, token) == 200
    await deployment.run("revoke", name, "--all")
    rotated = await deployment.tool("rotate-seals")
    assert rotated["ended"] == [SEAL.id]
    assert "was needed by nobody" not in await deployment.run("rotate-seals")


async def test_root_that_was_replaced_a_moment_ago_stays(deployment: Deployment) -> None:
    """Access tokens are sealed with it, too, and live six hours."""
    keep(deployment, aged(SEAL, days=1), aged(create_seal(), hours=6))
    assert (await deployment.tool("rotate-seals"))["ended"] == []
    keep(deployment, aged(SEAL, days=1), aged(create_seal(), hours=7))
    assert (await deployment.tool("rotate-seals"))["ended"] == [SEAL.id]


KEY = new_key("contoso", SEAL)
PAST, FUTURE = "2026-01-01T00:00:00Z", "2099-01-01T00:00:00Z"
NEEDING: dict[str, tuple[dict[str, Any], bool]] = {
    "key as it is": ({"keys": [KEY]}, True),
    "digest with its root": ({"keys": [{"value": digest(KEY), "seal": SEAL.id}]}, True),
    "digest with another root": ({"keys": [{"value": digest(KEY), "seal": "cafecafe"}]}, False),
    "digest that tells no root": ({"keys": [digest(KEY)]}, True),
    "key that ends": ({"keys": [{"value": KEY, "expires": FUTURE}]}, True),
    "key that ended": ({"keys": [{"value": KEY, "expires": PAST}]}, False),
    "connection that ended": ({"keys": [KEY], "expires": PAST}, False),
    "connection that was revoked": ({"keys": [KEY], "revoked": PAST}, False),
    "one key of two": ({"keys": [{"value": KEY, "expires": PAST}, new_key("contoso", SEAL)]}, True),
    "paused": ({"keys": [KEY], "paused": PAST}, True),
}


@pytest.mark.parametrize(("members", "needed"), cases(NEEDING))
async def test_who_needs_a_root(deployment: Deployment, members: dict[str, Any], needed: bool) -> None:
    deployment.keep("contoso", {"tenant": "contoso", **members})
    assert await needs(deployment) == {SEAL.id: ["contoso"] if needed else []}


async def test_client_id_of_federation_needs_its_root(deployment: Deployment) -> None:
    name = deployment.name()
    trust = ("--issuer", "https://x", "--audience", "a", "--subject", "s", "--jwks-uri", deployment.cloud.jwks_uri)
    added = await deployment.tool("add", name, "--kind", "federation", *trust)
    assert added["enter"]["Client ID"] == deployment.client_id(name) == deployment.kept(name)["client_id"]
    assert await needs(deployment) == {SEAL.id: [name]}


async def test_connection_that_cannot_be_read_keeps_all_roots(deployment: Deployment) -> None:
    keep(deployment, aged(SEAL, days=1), aged(create_seal(), hours=7))
    deployment.keep("broken", "x")
    assert (await deployment.command("rotate-seals", "--json"))[0] == 1
    assert len(seals(deployment)) == 3


async def test_seals_that_are_none(deployment: Deployment) -> None:
    deployment.cloud.vault.secrets[SECRET] = Secret(json.dumps([{"id": "a", "key": "YQ"}]))
    for arguments in (["seals"], ["rotate-seals"], ["add", deployment.name()]):
        assert f"secret {SECRET} is no list of seals" in await deployment.refused(*arguments)
    assert await status(deployment, new_key("contoso", SEAL)) == 503


async def test_no_root_is_printed(deployment: Deployment) -> None:
    out = [await deployment.run("rotate-seals"), await deployment.run("seals"), await deployment.run("seals", "--json")]
    assert not any(seal.key in text for seal in seals(deployment) for text in out)
