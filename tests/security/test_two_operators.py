"""Two operators at once: whatever the order in which the vault sees them, nothing that either did is undone.

The stand-in for Key Vault decides whose request is answered next, so that every order is tried. Each operator has a
client of the real SDK and a token of its own, by which the stand-in tells them apart.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from azure.core.credentials import AccessToken

from scim.operate.connections.commands import Commands
from scim.operate.connections.secret_store import VaultSecretStore
from scim.operate.errors import CommandError
from scim.security.connections import Connection
from scim.security.keys import digest, fingerprint
from scim.security.vault import Vault
from scim.store.credentials import Credentials
from tests.core import cases
from tests.security.conftest import Deployment

OPERATORS = ("a", "b")
STEPS = 3
"""Of a change: it looks, it writes, it looks what has come of it."""


def every_order() -> Iterator[str]:
    """All orders of the steps of two operators."""
    for chosen in itertools.combinations(range(2 * STEPS), STEPS):
        yield "".join("a" if at in chosen else "b" for at in range(2 * STEPS))


def some_orders_of_requests() -> Iterator[str]:
    """Orders of single requests, of which a change has six and more: drawn by lot, always the same ones."""
    lots = random.Random(14)
    for _ in range(12):
        order = [*"aaaaaaaabbbbbbbb"]
        lots.shuffle(order)
        yield "".join(order)


class Turns:
    """Answers one operator at a time, in an order of steps. With `every`, each request is a step; else a listing of
    versions and a write each begin one, which lasts until the operator begins the next. What is left out of the order
    comes as it comes, still one at a time."""

    def __init__(self, order: str, *, every: bool) -> None:
        self._left = [*order]
        self._every = every
        self._holder: str | None = None
        self._ended: set[str] = set()
        self._moved = asyncio.Condition()

    async def wait(self, token: str, request: web.Request) -> None:
        begins = request.method == "PUT" or (request.path.endswith("/versions") and "$skiptoken" not in request.query)
        if not self._every and not begins:
            return
        async with self._moved:
            if self._holder == token:
                self._release()
            await self._moved.wait_for(lambda: self._holder is None and self._next() in (token, None))
            if self._left:
                self._left.pop(0)
            self._holder = token

    async def end(self, token: str) -> None:
        """The operator is done."""
        async with self._moved:
            self._ended.add(token)
            if self._holder == token:
                self._release()
            self._moved.notify_all()

    def _next(self) -> str | None:
        while self._left and self._left[0] in self._ended:
            self._left.pop(0)
        return self._left[0] if self._left else None

    def _release(self) -> None:
        self._holder = None
        self._moved.notify_all()


class Token:
    """An operator's credential towards the vault."""

    def __init__(self, operator: str) -> None:
        self._operator = operator

    async def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        return AccessToken(self._operator, int(time.time()) + 3600)

    async def close(self) -> None:
        pass


Operators = dict[str, Commands]
Do = Callable[[Commands, str], Awaitable[Any]]


@pytest.fixture
async def operators(deployment: Deployment) -> AsyncIterator[Operators]:
    """Two operators on the vault, who may write to the table."""
    async with two(deployment, notes=True) as made:
        yield made


@asynccontextmanager
async def two(deployment: Deployment, *, notes: bool) -> AsyncIterator[Operators]:
    cloud = deployment.cloud
    cloud.vault.tokens.update(OPERATORS)
    vaults = {each: Vault(cloud.vault_url, Token(each), ca_file=cloud.ca_file) for each in OPERATORS}  # type: ignore[arg-type]
    marks = Credentials(deployment.application.table) if notes else None
    try:
        yield {each: Commands(VaultSecretStore(vault), marks) for each, vault in vaults.items()}
    finally:
        for vault in vaults.values():
            await vault.close()


async def at_once(
    deployment: Deployment, operators: Operators, order: str, *does: Callable[[Commands], Any]
) -> list[Any]:
    """Let each operator do something, in that order of steps; what came of it, a CommandError if that was refused."""
    turns = Turns(order, every=len(order) > 2 * STEPS)
    deployment.cloud.vault.turn = turns.wait

    async def run(operator: str, do: Callable[[Commands], Any]) -> Any:
        try:
            return await do(operators[operator])
        except CommandError as error:
            return error
        finally:
            await turns.end(operator)

    try:
        async with asyncio.timeout(30):
            return await asyncio.gather(*map(run, OPERATORS, does))
    finally:
        deployment.cloud.vault.turn = None


async def begin(operators: Operators, name: str, keys: int = 2) -> list[str]:
    """Make a connection with that many secrets."""
    first = await operators["a"].add(name, {"tenant": name}, expires=None, recoverable=False, replace=False)
    secrets = [first[1]]
    for _ in range(keys - 1):
        secrets.append((await operators["a"].rotate(name, expires=None, recoverable=False))[1])
    return [secret for secret in secrets if secret]


def revoke(name: str, secret: str) -> Callable[[Commands], Any]:
    return lambda commands: commands.revoke(name, fingerprint(secret), force=True)


def rotate(name: str) -> Callable[[Commands], Any]:
    return lambda commands: commands.rotate(name, expires=None, recoverable=False)


async def in_force(operators: Operators, name: str) -> Connection:
    """The connection as the vault alone has it, without the marks in the table."""
    kept = operators["a"].kept
    connection = await kept.get(name)
    assert connection is not None
    return connection


USUAL = ["abbbaa", "baaabb", "ababab", "abbaba"]
"""The other one works between two steps, or both step by step."""


@pytest.fixture(params=["usual", pytest.param("all", marks=pytest.mark.long)])
def orders(request: pytest.FixtureRequest) -> list[str]:
    return USUAL if request.param == "usual" else [*every_order(), *some_orders_of_requests()]


BESIDE: dict[str, tuple[Callable[[str], Callable[[Commands], Any]], Callable[[Connection], bool]]] = {
    "pause": (lambda name: lambda commands: commands.pause(name), lambda found: found.paused is not None),
    "rotate": (rotate, lambda found: len(found.keys) == 1),
    "revoke all": (
        lambda name: lambda commands: commands.revoke(name, None, force=False),
        lambda found: found.revoked is not None,
    ),
}


@pytest.mark.parametrize(("other", "holds"), cases(BESIDE))
async def test_revoked_secret_stays_so_beside_another_command(
    deployment: Deployment, operators: Operators, orders: list[str], other: Any, holds: Any
) -> None:
    """In the vault alone, without the help of the marks."""
    for order in orders:
        name = deployment.name()
        [leaked] = await begin(operators, name, keys=1)
        done = await at_once(deployment, operators, order, revoke(name, leaked), other(name))
        found = await in_force(operators, name)
        assert digest(leaked) in [each.value for each in found.revoked_keys], order
        assert digest(leaked) not in [key.value for key in found.keys], order
        assert not isinstance(done[0], CommandError)
        assert isinstance(done[1], CommandError) or holds(found), order


async def test_two_revoke_two_secrets(deployment: Deployment, operators: Operators, orders: list[str]) -> None:
    for order in orders:
        name = deployment.name()
        one, other = await begin(operators, name)
        done = await at_once(deployment, operators, order, revoke(name, one), revoke(name, other))
        assert not any(isinstance(each, CommandError) for each in done)
        found = await in_force(operators, name)
        assert found.keys == (), order
        assert {each.value for each in found.revoked_keys} == {digest(one), digest(other)}, order


async def test_every_secret_that_was_printed_works(
    deployment: Deployment, operators: Operators, orders: list[str]
) -> None:
    """Two rotate, or two make the same connection: whose secret is not in force is told so, and gets none."""
    for order in orders:
        name, new = deployment.name(), deployment.name()
        await begin(operators, name, keys=1)
        done = await at_once(deployment, operators, order, rotate(name), rotate(name))
        kept = {key.value for key in (await in_force(operators, name)).keys}
        told = [each[1] for each in done if not isinstance(each, CommandError)]
        assert told and {digest(secret) for secret in told} <= kept, order

        def make(tenant: str, new: str = new) -> Callable[[Commands], Any]:
            return lambda commands: commands.add(
                new, {"tenant": tenant}, expires=None, recoverable=False, replace=False
            )

        done = await at_once(deployment, operators, order, make("t-1"), make("t-2"))
        found = await in_force(operators, new)
        made = [each for each in done if not isinstance(each, CommandError)]
        assert len(made) <= 1, order
        for connection, secret in made:
            assert (connection.tenant, digest(secret)) == (found.tenant, found.keys[0].value), order


async def test_pause_and_rotation_both_hold(deployment: Deployment, operators: Operators, orders: list[str]) -> None:
    for order in orders:
        name = deployment.name()
        await begin(operators, name, keys=1)
        done = await at_once(deployment, operators, order, lambda it, name=name: it.pause(name), rotate(name))
        found = await in_force(operators, name)
        assert found.paused is not None, order
        assert digest(done[1][1]) in [key.value for key in found.keys], order


async def test_whoever_was_not_alone_is_told_so(deployment: Deployment, operators: Operators) -> None:
    """`b` reads, `a` does all of its work, `b` writes what undoes it: `b` mends it, and says so."""
    name = deployment.name()
    [leaked] = await begin(operators, name, keys=1)
    await at_once(deployment, operators, "baaabb", revoke(name, leaked), lambda it: it.pause(name))
    assert operators["a"].remarks == []
    assert "Somebody else changed connection" in operators["b"].remarks[0]
    # The other way round, `a` reads back what `b` wrote.
    await at_once(deployment, operators, "babbab", rotate(name), lambda it: it.resume(name))
    assert [*map(len, (operators["a"].remarks, operators["b"].remarks))] == [1, 1]


async def test_who_is_killed_after_writing_brings_nothing_back(deployment: Deployment, operators: Operators) -> None:
    """It cannot look any more; the mark in the table holds."""
    name = deployment.name()
    leaked, other = await begin(operators, name)
    client = deployment.client(name, leaked)
    assert (await client.get("/Users")).status == 200
    stale = deployment.kept(name)
    await operators["a"].revoke(name, fingerprint(leaked), force=True)
    deployment.keep(name, {**stale, "paused": None})
    deployment.later(60)
    answer = await client.get("/Users")
    assert (answer.status, "was revoked on" in answer.json["detail"]) == (401, True)
    assert (await deployment.client(name, other).get("/Users")).status == 200
