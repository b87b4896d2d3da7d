"""A tenant leaves: erased with a proof, moved to another table; and what both refuse."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta

import pytest

from dev.azurite import Azurite
from dev.credentials import new_key
from scim.operate.check import list_problems
from scim.operate.connections.secret_store import VaultSecretStore
from scim.operate.errors import CommandError
from scim.operate.tenants.erasing import require_quiet
from scim.security.connections import read_connection
from scim.security.usage import Used
from scim.store import shared_keys
from scim.store.credentials import Credentials
from scim.store.shared_keys import SHARED
from scim.store.table import Table
from scim.store.table.azure import AzureTable
from scim.store.tenants import Tenants
from tests.conftest import NewClient
from tests.core import REGISTRY
from tests.operate.conftest import NOW, TOLD, Operator, answers, everything, fill
from tests.support import Client

# Erase.


async def note(table: Table, tenant: str, connection: str) -> list[str]:
    """What the shared partition notes of a tenant and a connection; the keys."""
    now = datetime.now(UTC)
    await Credentials(table).write_use(connection, Used("cafecafe", now, now))
    await Tenants(table).announce(tenant)
    return [shared_keys.tenant_key(tenant), shared_keys.usage_key(connection, "cafecafe")]


async def test_erase_leaves_nothing(operator: Operator, new_client: NewClient, table: Table) -> None:
    one, other = new_client(), new_client()
    await fill(one)
    await other.new_user("ada")
    mine = await note(table, one.tenant, one.tenant) + await note(table, one.tenant, f"{one.tenant}-b")
    others = await note(table, other.tenant, other.tenant)
    operator.connect(one.tenant, one.tenant, paused=NOW)
    operator.connect(f"{one.tenant}-b", one.tenant, keys=[], revoked=NOW)
    operator.connect(other.tenant, other.tenant)
    kept, untouched = await everything(table, one.tenant), await everything(table, other.tenant)
    erased = await operator.tool("tenants", "erase", one.tenant, "--confirm", one.tenant)
    assert (erased["rows"], erased["shared"], erased["left"]) == (len(kept), 3, 0)
    assert erased["connections"] == [one.tenant, f"{one.tenant}-b"]
    assert await everything(table, one.tenant) == {}
    assert [await table.read(SHARED, key) for key in mine] == [None] * 4
    assert await everything(table, other.tenant) == untouched
    assert None not in [await table.read(SHARED, key) for key in others]
    again = await operator.run("tenants", "erase", one.tenant, "--confirm", one.tenant)
    assert "Removing 0 rows" in again and "A last look found 0 left." in again
    assert (await one.get("/Users")).json["totalResults"] == 0


async def test_erase_and_import_bring_back_everything(operator: Operator, client: Client, table: Table) -> None:
    ids = await fill(client)
    before = await answers(client, ids)
    await operator.run("tenants", "export", client.tenant, "a.jsonl")
    await operator.run("tenants", "erase", client.tenant, "--confirm", client.tenant)
    await operator.run("tenants", "import", "a.jsonl")
    assert await answers(client, ids) == before


async def test_erase_refuses(operator: Operator, client: Client, table: Table) -> None:
    await client.new_user("ada")
    before = await everything(table, client.tenant)
    confirmed = ("tenants", "erase", client.tenant, "--confirm", client.tenant)
    operator.connect("paused", client.tenant, paused=NOW)
    operator.connect("writes", client.tenant)
    assert "Connection writes may still write: run connections pause writes" in await operator.refused(*confirmed)
    operator.connect("writes", client.tenant, expires="2020-01-01T00:00:00Z")
    assert "give --confirm" in await operator.refused("tenants", "erase", client.tenant)
    assert "Nothing was removed: x is not" in await operator.refused(
        "tenants", "erase", client.tenant, "--confirm", "x"
    )
    operator.connect("broken", client.tenant, keys=["hunter2"])
    error = await operator.refused(*confirmed)
    assert "connection broken" in error and "hunter2" not in error
    assert await everything(table, client.tenant) == before


@pytest.mark.parametrize("typed", ["right", "wrong"])
async def test_erase_asks_on_a_terminal(
    operator: Operator, client: Client, table: Table, monkeypatch: pytest.MonkeyPatch, typed: str
) -> None:
    await client.new_user("ada")
    monkeypatch.setattr("sys.stdin", io.StringIO(f"{client.tenant if typed == 'right' else 'x'}\n"))
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    code, _, err = await operator.command("tenants", "erase", client.tenant)
    assert "Type the tenant's name to go on" in err
    assert (code, bool(await everything(table, client.tenant))) == ((0, False) if typed == "right" else (1, True))


@pytest.mark.parametrize("tenant", ["~", "A", "a/b", ""])
async def test_erase_takes_tenants_only(operator: Operator, tenant: str) -> None:
    error = await operator.refused("tenants", "erase", tenant, "--confirm", tenant, code=2)
    assert "is no tenant's name" in error


@pytest.mark.parametrize(
    ("members", "minutes", "mention"),
    [
        ({"paused": 2}, 3, "requests of it may be under way until"),
        ({"paused": 4}, 3, None),
        ({"revoked": 2, "keys": []}, 3, "requests of it may be under way until"),
        ({"revoked": 4, "keys": []}, 3, None),
        ({"expires": 4}, 3, None),
        ({"expires": 2}, 3, "requests of it may be under way until"),
        ({"expires": -10}, 3, "may still write"),
        ({}, 3, "may still write"),
    ],
)
def test_a_pause_needs_time_to_work(members: dict[str, object], minutes: int, mention: str | None) -> None:
    now = datetime.now(UTC)
    dated = {
        name: (now - timedelta(minutes=value)).isoformat() if isinstance(value, int) else value
        for name, value in members.items()
    }
    connection = read_connection("a", {"tenant": "t", "keys": [new_key("a")], **dated})
    kept = VaultSecretStore(None)  # type: ignore[arg-type]
    if mention is None:
        require_quiet([connection], kept)
    else:
        with pytest.raises(CommandError, match=mention):
            require_quiet([connection], kept)


# Move.


async def test_move_to_another_table(
    operator: Operator,
    client: Client,
    table: Table,
    azurite: Azurite,
    other_table: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await fill(client)
    monkeypatch.setenv("OTHER", azurite.connection_string)
    move = ("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER", "--to-table", other_table)
    operator.connect("entra", client.tenant)
    assert "Connection entra may still write" in await operator.refused(*move)
    operator.connect("entra", client.tenant, paused=NOW)
    source = await everything(table, client.tenant)
    printed = await operator.run(*move)
    assert "12 User" in printed and f"tenants erase {client.tenant}" in printed
    assert await everything(table, client.tenant) == source
    target = AzureTable.with_key(azurite.connection_string, other_table)
    try:
        arrived = await everything(target, client.tenant)
        changing = (
            "write",
            "touched",
            "keys",
            "at",
            "modified",
            "changing",
            "n",
        )  # lastModified is compared by what is shown
        kept, copied = (
            {
                key: {n: v for n, v in row.items() if n not in changing and v != ""}
                for key, row in each.items()
                if not key.startswith(("p ", "b ", "w ", *TOLD))
            }
            for each in (source, arrived)
        )
        assert copied == kept
        assert await list_problems(target, client.tenant, REGISTRY) == []
    finally:
        await target.close()
    again = await operator.tool(*move)
    assert (again["made"], again["there"], again["difference"]) == (0, 16, None)


async def test_move_into_the_same_table(
    operator: Operator, client: Client, azurite: Azurite, monkeypatch: pytest.MonkeyPatch
) -> None:
    await client.new_user("ada")
    monkeypatch.setenv("OTHER", azurite.connection_string)
    error = await operator.refused("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER")
    assert "it is the one that it would move from" in error


async def test_move_that_meets_something_else(
    operator: Operator, client: Client, azurite: Azurite, other_table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await client.new_user("ada")
    monkeypatch.setenv("OTHER", azurite.connection_string)
    move = ("tenants", "move", client.tenant, "--to-connection-string-env", "OTHER", "--to-table", other_table)
    await operator.run(*move)
    await client.patch(f"/Users/{user['id']}", {"op": "replace", "path": "title", "value": "Dr"})
    moved = await operator.tool(*move, code=1)
    assert user["id"] in moved["difference"] and moved["problems"]
