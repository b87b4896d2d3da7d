"""The app served on a socket, for clients that speak HTTP only."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from dev.azurite import free_port
from dev.host import Host, serve


@pytest.fixture(scope="session")
async def base_url(host: Host) -> AsyncIterator[str]:
    """The tenant URL of the app on 127.0.0.1."""
    port = free_port()
    runner = await serve(host, port)
    yield f"http://127.0.0.1:{port}/scim"
    await runner.cleanup()
