"""How a rotation stands, and that it loses no request under load."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import pytest

from dev.credentials import new_key
from scim.operate.connections.rotation import find_rotation, sort_by_age
from scim.security.connections import Connection, Credential
from scim.security.usage import Used
from tests.core import cases
from tests.security.conftest import Deployment
from tests.support import Client

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = (
    Credential(value=new_key("contoso"), created=created) for created in (NOW - timedelta(days=300), NOW - timedelta(1))
)


def connection(*keys: Credential) -> Connection:
    return Connection(name="contoso", tenant="t-1", keys=keys)


def use(credential: Credential, first: float, last: float) -> Used:
    """Used so many hours ago for the first and the last time."""
    return Used(credential.id, NOW - timedelta(hours=first), NOW - timedelta(hours=last))


SECOND = 1 / 3600
STANDS = {
    "uses not known": (None, False, "not known"),
    "nothing used": ([], False, "never used"),
    "only the old one used": ([use(OLD, 100, 0)], False, "never used"),
    "only the old one used, long ago": ([use(OLD, 1000, 999)], False, "never used"),
    "only the new one used": ([use(NEW, 1, 0)], True, "the old one never was"),
    "both used now": ([use(OLD, 100, 0), use(NEW, 1, 0)], False, "look again after 2026-03-01 15:00 UTC"),
    "old one quiet for a cycle": ([use(OLD, 100, 1), use(NEW, 1, 0)], False, "look again after 2026-03-01 14:00 UTC"),
    "old one almost quiet": ([use(OLD, 100, 3 - SECOND), use(NEW, 3, 0)], False, "look again after"),
    "old one quiet for three hours": ([use(OLD, 100, 3), use(NEW, 3, 0)], True, "the old one no more"),
    "old one quiet for long": ([use(OLD, 100, 48), use(NEW, 48, 30)], True, "the old one no more"),
    "another credential in use": ([Used("cafecafe", NOW, NOW)], False, "never used"),
}


@pytest.mark.parametrize(("used", "safe", "mention"), cases(STANDS))
@pytest.mark.parametrize("keys", [(OLD, NEW), (NEW, OLD)], ids=["old first", "new first"])
def test_rotation(keys: tuple[Credential, ...], used: list[Used] | None, safe: bool, mention: str) -> None:
    turn = find_rotation(connection(*keys), used, NOW)
    assert turn is not None
    assert (turn.old, turn.new, turn.safe) == (OLD, NEW, safe)
    assert mention in turn.advice
    assert turn.advice.startswith("safe to revoke") == safe
    uses = {each.credential: each for each in used or []}
    assert turn.new_first_used == (uses[NEW.id].first if NEW.id in uses else None)
    assert turn.old_last_used == (uses[OLD.id].last if OLD.id in uses else None)


@pytest.mark.parametrize("used", [None, [], [use(NEW, 1, 0)]], ids=["not known", "none", "used"])
def test_one_credential_is_no_rotation(used: list[Used] | None) -> None:
    assert find_rotation(connection(NEW), used, NOW) is None


def test_credential_without_a_date_is_the_older_one() -> None:
    undated = [Credential(value=new_key("contoso")) for _ in range(2)]
    assert sort_by_age(connection(NEW, undated[0])) == [undated[0], NEW]
    assert sort_by_age(connection(*undated)) == undated


# Under load: clients in loops, while the operator's tool runs a whole rotation.


class Load:
    """Clients that send without a pause until one of them fails. They use `secret`, and enter the new one when told
    to, as an admin would."""

    def __init__(self, send: Callable[[str, int], Awaitable[str | None]], secret: str) -> None:
        self.secret = secret
        self.sent: dict[str, int] = {}
        self.failures: list[str] = []
        self._send = send
        self._tasks = [asyncio.create_task(self._loop(number)) for number in range(6)]

    async def _loop(self, number: int) -> None:
        while not self.failures:
            secret = self.secret
            if (failure := await self._send(secret, number)) is not None:
                self.failures.append(failure)
            self.sent[secret] = self.sent.get(secret, 0) + 1
            await asyncio.sleep(0)

    async def some(self, count: int = 30) -> None:
        """Wait until so many more were sent with the secret in use."""
        enough = self.sent.get(self.secret, 0) + count
        while self.sent.get(self.secret, 0) < enough:
            await asyncio.sleep(0.01)
            assert self.failures == []
            assert not any(task.done() for task in self._tasks), await asyncio.gather(*self._tasks)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def read_and_write(client: Client, number: int) -> str | None:
    """A lookup and a user that is made; what failed."""
    for answer in (
        await client.get("/Users?filter=userName+eq+%22nobody%22"),
        await client.post("/Users", {"userName": f"user-{number}"}),
    ):
        if answer.status not in (200, 201, 409):
            return f"{answer.status} {answer.body.decode()}"
    return None


async def rotate_under_load(deployment: Deployment, name: str, load: Load, field: str) -> None:
    """The whole of a rotation: a second credential, the admin enters it, the first is revoked."""
    old = load.secret
    try:
        await load.some()
        load_at_rotation = load.sent[old]
        new = (await deployment.tool("rotate", name))["enter"][field]
        await load.some()
        assert load.sent[old] > load_at_rotation
        load.secret = new
        await load.some()
        deployment.later(0)
        await deployment.run("revoke", name, "--old", "--force")
        await load.some()
        deployment.later(61)  # from here on the old one is refused
        await load.some()
    finally:
        await load.stop()
    assert load.failures == []
    assert min(load.sent[old], load.sent[new]) >= 30


async def test_rotation_of_a_secret_token_under_load(deployment: Deployment) -> None:
    name = deployment.name()
    old = (await deployment.tool("add", name))["enter"]["Secret Token"]

    async def send(secret: str, number: int) -> str | None:
        return await read_and_write(deployment.client(name, secret), number)

    await rotate_under_load(deployment, name, Load(send, old), "Secret Token")
    answer = await deployment.client(name, old).get("/Users")
    assert (answer.status, "revoked" in answer.json["detail"]) == (401, True)


async def test_rotation_of_a_client_secret_under_load(deployment: Deployment) -> None:
    """Each client gets a token anew when it has a new secret, and goes on with it else."""
    name = deployment.name()
    old = (await deployment.tool("add", name, "--kind", "oauth"))["enter"]["Client Secret"]
    tokens: dict[tuple[str, int], str] = {}

    async def send(secret: str, number: int) -> str | None:
        if (secret, number) not in tokens:
            answer = await deployment.token(grant_type="client_credentials", client_id=name, client_secret=secret)
            if answer.status != 200:
                return f"{answer.status} {answer.body.decode()}"
            tokens[secret, number] = answer.json["access_token"]
        return await read_and_write(deployment.client(name, tokens[secret, number]), number)

    await rotate_under_load(deployment, name, Load(send, old), "Client Secret")
    answer = await deployment.client(name, tokens[old, 0]).get("/Users")
    assert (answer.status, "is gone" in answer.json["detail"]) == (401, True)
    refused = await deployment.token(grant_type="client_credentials", client_id=name, client_secret=old)
    assert (refused.status, "revoked" in refused.json["error_description"]) == (401, True)


async def test_rotation_of_signing_keys_under_load(deployment: Deployment) -> None:
    """Tokens that are out go on, and new ones are given out, whatever the order in which processes see the keys."""
    name = deployment.name()
    secret = (await deployment.tool("add", name, "--kind", "oauth"))["enter"]["Client Secret"]
    form = {"grant_type": "client_credentials", "client_id": name, "client_secret": secret}
    first = (await deployment.token(**form)).json["access_token"]

    async def send(_: str, number: int) -> str | None:
        fresh = (await deployment.token(**form)).json["access_token"]
        return await read_and_write(deployment.client(name, first if number % 2 else fresh), number)

    load = Load(send, secret)
    try:
        for _ in range(3):
            await load.some()
            await deployment.run("rotate-signing-keys")
            await load.some()
            deployment.later(61)
    finally:
        await load.stop()
    assert load.failures == []
