"""The gateways that a contract is held to: the table in Azurite, in Azurite as it is, and the one in memory. And a
group that two instances of the app change."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from dev.azurite import Azurite
from scim.store.gateway import Gateway, TableGateway
from tests.conftest import TABLE
from tests.store.meeting import Meeting
from tests.store.memory import MemoryGateway


@pytest.fixture(scope="session")
def plain_azurite() -> Iterator[Azurite]:
    """Azurite as it is published, without what dev/azurite_index.cjs does to its reads."""
    with Azurite(indexed=False) as server:
        server.create_table(TABLE)
        yield server


@pytest.fixture(scope="module", params=["azurite", "plain_azurite", "memory", "memory with empty pages"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    made: Gateway
    if request.param.endswith("azurite"):
        azurite: Azurite = request.getfixturevalue(request.param)
        made = TableGateway.with_key(azurite.connection_string, TABLE)
    else:
        made = MemoryGateway(empty_pages=request.param != "memory")
    yield made
    await made.close()


@pytest.fixture
async def meeting() -> Meeting:
    return Meeting()
