"""`python -m scim feed sink`: an operator makes a webhook, sees what is wrong with it, and sets it right."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from dev.azurite import Azurite
from scim.feed.log import Log
from scim.feed.sinks.document import read_sinks
from scim.feed.sinks.state import read_state, write_state
from scim.store.table import Table
from scim.store.table.azure import AzureTable
from tests.conftest import TABLE
from tests.core import cases
from tests.operate.conftest import Operator
from tests.support import Client

URL = "https://crm.example/hooks?token=hunter2"


@pytest.fixture
async def table(azurite: Azurite) -> AsyncIterator[Table]:
    opened = AzureTable.with_key(azurite.connection_string, TABLE)
    yield opened
    await opened.close()


def kept(operator: Operator) -> Any:
    values = json.loads((operator.folder / "local.settings.json").read_text())["Values"]
    return read_sinks(values.get("SCIM_SINKS", ""))


async def fill(client: Client, table: Table, number: int) -> None:
    """Make users, and have them in the log."""
    from scim.feed.sequencer import Sequencer
    from tests.core import REGISTRY

    for one in range(number):
        await client.new_user(f"user {one}")
    await Sequencer(table, REGISTRY).run(client.tenant)


async def test_from_add_to_remove(operator: Operator, client: Client, table: Table) -> None:
    tenant = client.tenant
    await fill(client, table, 3)
    made = await operator.tool("feed", "sink", "add", "crm", URL, "--tenants", tenant)
    assert made["secret"].startswith("whsec_")
    assert kept(operator)["crm"].secrets == (made["secret"],)
    text = await operator.run("feed", "sink", "list")
    assert f"{tenant}" in text and "behind" in text and "hunter2" not in text

    page = await Log(table).read(tenant)
    state = await read_state(table, tenant, "crm")
    failing = replace(state, after=page.next[:-1] + "1", tries=3, due="2999-01-01T00:00:00Z", error="it answered 500")
    await write_state(table, tenant, "crm", failing)
    [found] = await operator.tool("feed", "sink", "list")
    [one] = found["tenants"]
    assert (one["state"], one["behind"], one["tries"], one["error"]) == ("failing", 2, 3, "it answered 500")

    assert (await operator.tool("feed", "sink", "resume", "crm"))["resumed"] == [tenant]
    assert (await read_state(table, tenant, "crm")).tries == 0
    assert "Nothing waits" in await operator.run("feed", "sink", "resume", "crm")
    assert "the next one is 2" in await operator.refused("feed", "sink", "skip", "crm", "3", "--tenant", tenant)
    await operator.run("feed", "sink", "skip", "crm", "2", "--tenant", tenant)
    assert (await read_state(table, tenant, "crm")).after == page.next[:-1] + "2"
    await operator.run("feed", "sink", "replay", "crm", "--from", "1", "--tenant", tenant)
    assert (await read_state(table, tenant, "crm")).after == page.next[:-1] + "0"
    await operator.run("feed", "sink", "resume", "crm", "--from", "now", "--tenant", tenant)
    assert (await read_state(table, tenant, "crm")).after == page.next

    assert (await operator.tool("tenants", "check", tenant))["problems"] == []
    assert (await operator.tool("feed", "sink", "remove", "crm"))["tenants"] == 1
    assert kept(operator) == {}
    assert (await read_state(table, tenant, "crm")).etag == ""
    assert "There are no sinks" in await operator.run("feed", "sink", "list")


async def test_from_now(operator: Operator, client: Client, table: Table) -> None:
    await fill(client, table, 2)
    await operator.run("feed", "sink", "add", "crm", URL, "--tenants", client.tenant, "--from", "now")
    assert (await read_state(table, client.tenant, "crm")).after.endswith("_2")


async def test_a_secret_is_rotated(operator: Operator) -> None:
    old = (await operator.tool("feed", "sink", "add", "crm", URL))["secret"]
    new = (await operator.tool("feed", "sink", "rotate", "crm"))["secret"]
    assert kept(operator)["crm"].secrets == (new, old)
    assert "is being rotated" in await operator.refused("feed", "sink", "rotate", "crm")
    await operator.run("feed", "sink", "rotate", "crm", "--finish")
    assert kept(operator)["crm"].secrets == (new,)
    assert "no older one" in await operator.refused("feed", "sink", "rotate", "crm", "--finish")


REFUSED: dict[str, tuple[tuple[str, ...], str]] = {
    "no TLS": (("add", "x", "http://crm.example/"), "https://"),
    "no name": (("add", "No Name", URL), "lower-case"),
    "there already": (("add", "crm", URL), "already"),
    "not there": (("rotate", "other"), "there are: crm"),
    "a tenant that is not there": (("replay", "crm", "--from", "1", "--tenant", "nobody"), "no events"),
    "of which tenant": (("resume", "crm", "--from", "now"), "--tenant"),
}


@pytest.mark.parametrize(("arguments", "text"), cases(REFUSED))
async def test_refused(operator: Operator, arguments: tuple[str, ...], text: str) -> None:
    await operator.run("feed", "sink", "add", "crm", URL)
    assert text in await operator.refused("feed", "sink", *arguments)


async def test_on_a_laptop_a_webhook_may_be_on_it_too(operator: Operator) -> None:
    await operator.run("feed", "sink", "add", "dev", "http://localhost:8080/hook")
    assert kept(operator)["dev"].url == "http://localhost:8080/hook"
