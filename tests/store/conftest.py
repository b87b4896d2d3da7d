"""The gateways that a contract is held to: the table in Azurite, and the one in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dev.azurite import Azurite
from scim.store.gateway import Gateway, TableGateway
from tests.conftest import TABLE
from tests.store.memory import MemoryGateway


@pytest.fixture(scope="module", params=["azurite", "memory", "memory with empty pages"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[Gateway]:
    made: Gateway
    if request.param == "azurite":
        azurite: Azurite = request.getfixturevalue("azurite")
        made = TableGateway.with_key(azurite.connection_string, TABLE)
    else:
        made = MemoryGateway(empty_pages=request.param != "memory")
    yield made
    await made.close()
