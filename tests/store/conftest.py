"""The tables that a contract is held to: the table in Azurite, in Azurite as it is, and the one in memory. And a
group that two instances of the app change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from dev.azurite import Azurite
from scim.store.table import Table
from scim.store.table.azure import AzureTable
from tests.conftest import TABLE
from tests.store.meeting import Meeting
from tests.store.memory import MemoryTable


@pytest.fixture(scope="session")
def plain_azurite() -> Iterator[Azurite]:
    """Azurite as it is published, without what dev/azurite_index.cjs does to its reads."""
    with Azurite(indexed=False) as server:
        server.create_table(TABLE)
        yield server


@pytest.fixture(scope="module", params=["azurite", "plain_azurite", "memory", "memory with empty pages"])
async def table(request: pytest.FixtureRequest) -> AsyncIterator[Table]:
    made: Table
    if request.param.endswith("azurite"):
        azurite: Azurite = request.getfixturevalue(request.param)
        made = AzureTable.with_key(azurite.connection_string, TABLE)
    else:
        made = MemoryTable(empty_pages=request.param != "memory")
    yield made
    await made.close()


@pytest.fixture
async def meeting() -> Meeting:
    return Meeting()
