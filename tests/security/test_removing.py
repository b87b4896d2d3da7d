"""A connection that is removed: nothing of it works again, and what is left of it is told."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dev.azurite import Azurite
from scim.operate.connections.removing import find, remove
from scim.operate.errors import CommandError
from scim.security.keys import digest
from scim.security.secrets import SecretsUnavailable
from scim.store import shared_keys
from scim.store.shared_keys import SHARED
from tests.core import cases
from tests.security.conftest import Deployment
from tests.security.test_two_operators import Operators, at_once, begin, operators, rotate  # noqa: F401


@pytest.fixture(autouse=True)
def writes_marks(azurite: Azurite, monkeypatch: pytest.MonkeyPatch) -> None:
    """The operator may write to the table."""
    monkeypatch.setenv("SCIM_TABLE_CONNECTION_STRING", azurite.connection_string)


async def noted(deployment: Deployment, name: str) -> tuple[int, int]:
    """How many rows the table has about the uses of a connection, and how many marks."""
    await deployment.application._built().security.usage.close()
    table = deployment.application.table
    ranges = shared_keys.usage_range(name), shared_keys.revoked_range(name)
    uses, marks = [[row async for page in table.pages(SHARED, *each) for row in page] for each in ranges]
    return len(uses), len(marks)


def secret_of(added: Any) -> str:
    secret = added["enter"]["Secret Token"]
    assert isinstance(secret, str)
    return secret


QUIET: dict[str, tuple[tuple[str, ...], ...]] = {
    "paused": (("pause",),),
    "revoked": (("revoke", "--all"),),
    "in force": (),
}


@pytest.mark.parametrize(("commands",), cases({name: (each,) for name, each in QUIET.items()}))
async def test_nothing_of_a_removed_connection_works_again(
    deployment: Deployment, commands: tuple[tuple[str, ...], ...]
) -> None:
    name = deployment.name()
    secret = secret_of(await deployment.tool("add", name))
    client = deployment.client(name, secret)
    assert (await client.get("/Users")).status == 200
    assert await noted(deployment, name) == (1, 0)
    before = deployment.kept(name)
    for verb, *options in commands:
        await deployment.tool(verb, name, *options)
    force = () if commands else ("--force",)
    removed = await deployment.tool("remove", name, *force)
    assert (removed["removed"], removed["uses"], removed["marks"]) == (True, 1, 2)
    assert f"connection-{name}" in removed["left"]
    deployment.later(60)
    assert (await client.get("/Users")).status == 401
    assert await noted(deployment, name) == (0, 2)
    assert name not in [each["name"] for each in await deployment.tool("list")]
    # Somebody recovers the secret, or writes an older version of it back.
    vault = deployment.cloud.vault
    vault.secrets[f"connection-{name}"] = vault.deleted.pop(f"connection-{name}")  # type: ignore[assignment]
    deployment.later(60)
    assert (await client.get("/Users")).status == 401
    deployment.keep(name, before)
    deployment.later(60)
    assert (await client.get("/Users")).status == 401


async def test_name_is_used_again(deployment: Deployment) -> None:
    """The vault gives the name of a deleted secret to nobody: it is recovered, revoked as it is, and written anew."""
    name = deployment.name()
    old = secret_of(await deployment.tool("add", name))
    await deployment.tool("remove", name, "--force")
    added = await deployment.tool("add", name, "--tenant", "other")
    assert (added["tenant"], added["state"]) == ("other", "active")
    deployment.later(60)
    assert (await deployment.client(name, secret_of(added)).get("/Users")).status == 200
    answer = await deployment.client(name, old).get("/Users")
    assert (answer.status, "was revoked on" in answer.json["detail"]) == (401, True)
    # And the old document in the place of the new one brings neither it nor the connection back.
    shown = await deployment.tool("show", name)
    assert digest(old)[7:15] in [each["id"] for each in shown["revokedCredentials"]]
    _, text, _ = await deployment.command("show", name)
    assert "was revoked on" not in text  # it is no credential of this connection


async def test_connection_in_force_is_not_removed(deployment: Deployment) -> None:
    name = deployment.name()
    secret = secret_of(await deployment.tool("add", name))
    code, out, err = await deployment.command("remove", name)
    assert (code, out.startswith(f"Removing connection {name} of tenant {name}, api-key, active")) == (1, True)
    assert "is in force, and nothing was removed" in err and "pause" in err and "--force" in err
    assert (await deployment.client(name, secret).get("/Users")).status == 200


async def test_removal_needs_the_table(deployment: Deployment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without marks, whoever recovers the secret would bring an older version into force."""
    name = deployment.name()
    await deployment.tool("add", name)
    await deployment.tool("pause", name)
    monkeypatch.delenv("SCIM_TABLE_CONNECTION_STRING")
    error = await deployment.refused("remove", name)
    assert "Nothing was removed" in error and "--table" in error
    assert (await deployment.tool("show", name))["state"].startswith("paused")


async def test_removal_that_was_cut_short_is_finished(deployment: Deployment) -> None:
    name = deployment.name()
    secret = secret_of(await deployment.tool("add", name))
    assert (await deployment.client(name, secret).get("/Users")).status == 200
    assert (await noted(deployment, name))[0] == 1
    del deployment.cloud.vault.secrets[f"connection-{name}"]
    assert (await deployment.tool("remove", name))["uses"] == 1
    assert (await noted(deployment, name))[0] == 0
    assert "There is no connection" in await deployment.refused("remove", name)


async def test_removal_in_a_settings_file(deployment: Deployment, tmp_path: Any) -> None:
    path = tmp_path / "local.settings.json"
    path.write_text(json.dumps({"IsEncrypted": False, "Values": {}}))
    for name in ("a", "b"):
        await deployment.tool("add", name, "--local", str(path))
    await deployment.tool("pause", "a", "--local", str(path))
    assert (await deployment.tool("remove", "a", "--local", str(path)))["left"] == ""
    values = json.loads(path.read_text())["Values"]
    assert [*json.loads(values["SCIM_CONNECTIONS"])] == ["b"]
    assert (await deployment.tool("add", "a", "--local", str(path)))["state"] == "active"


@pytest.mark.parametrize("order", ["abbbaa", "baaabb", "ababab", "abbaba"])
async def test_removal_beside_a_rotation(deployment: Deployment, operators: Operators, order: str) -> None:  # noqa: F811
    """Whatever the other one wrote, nobody gets in."""
    name = deployment.name()
    [old] = await begin(operators, name, keys=1)

    async def away(commands: Any) -> Any:
        return await remove(commands, name, await find(commands, name))

    async def other(commands: Any) -> Any:
        try:
            return await rotate(name)(commands)
        except SecretsUnavailable as error:
            raise CommandError(str(error)) from None

    done = await at_once(deployment, operators, order, away, other)
    secrets = [old, *([done[1][1]] if not isinstance(done[1], CommandError) else [])]
    if isinstance(done[0], CommandError):  # it is run again
        await away(operators["a"])
    deployment.later(60)
    for secret in secrets:
        assert (await deployment.client(name, secret).get("/Users")).status == 401, order
