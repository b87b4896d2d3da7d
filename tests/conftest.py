"""Fixtures: one Azurite and one application for the whole run, a fresh tenant for each test.

Requests go through function_app's own handlers in the local Functions host, as under `make run` but without sockets;
the application talks to Azurite over HTTP.
"""

from __future__ import annotations

import json
import math
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Host
from scim.app import Application
from scim.policy import kept
from scim.settings import Settings
from tests import fast
from tests.support import Client, Wire

TABLE = "scim"
TENANTS = 3000
"""How many tenants are configured: each test takes its own, and none is used twice."""

NewClient = Callable[[], Client]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fast", action="store_true", help="leave out what takes long: tests/fast.py")


def pytest_report_header(config: pytest.Config) -> list[str]:
    return fast.describe() if config.getoption("fast") else []


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    return True if config.getoption("fast") and fast.is_left_out(collection_path) else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes long goes first, so that no core waits for another at the end; or not at all."""
    long = [item for item in items if item.get_closest_marker("long")]
    others = [item for item in items if not item.get_closest_marker("long")]
    if config.getoption("fast"):
        config.hook.pytest_deselected(items=long)
        long = []
    items[:] = long + others


@pytest.fixture(scope="session")
def azurite() -> Iterator[Azurite]:
    with Azurite(port=0, memory=True) as server:
        server.create_table(TABLE)
        yield server


@pytest.fixture(scope="session")
def keys() -> dict[str, str]:
    """Every tenant's API key."""
    return {f"tenant-{number}": new_key(f"tenant-{number}") for number in range(TENANTS)}


@pytest.fixture(scope="session")
def unused(keys: dict[str, str]) -> Iterator[tuple[str, str]]:
    return iter(keys.items())


@pytest.fixture(scope="session")
def settings(azurite: Azurite, keys: dict[str, str]) -> Settings:
    connections = {name: {"tenant": name, "keys": [key]} for name, key in keys.items()}
    return Settings.from_environment(
        {
            "SCIM_TABLE_CONNECTION_STRING": azurite.connection_string,
            "SCIM_TABLE_NAME": TABLE,
            "SCIM_CONNECTIONS": json.dumps(connections),
            "SCIM_SEALS": SEALS,
            "SCIM_TENANT_RATE": "0",
            "SCIM_ADDRESS_REFUSALS": "0",
            "SCIM_USAGE_MINUTES": "0",  # its trips come when they like, and tests count trips
            "SCIM_INSIGHT_SECONDS": "0",
            "SCIM_FEED_SECONDS": "0",  # so do these
            "SCIM_TENANT_RESOURCES": "0",
            "SCIM_TENANT_MEMBERS": "0",
            "SCIM_TENANT_MEGABYTES": "0",
        }
    )


@pytest.fixture(scope="session")
def _wire() -> Wire:
    return Wire()


@pytest.fixture
def wire(_wire: Wire) -> Iterator[Wire]:
    """The watch on the table, with nothing counted yet and no fault left behind."""
    _wire.reset()
    yield _wire
    _wire.reset()


@pytest.fixture(scope="session")
async def application(settings: Settings, _wire: Wire) -> AsyncIterator[Application]:
    application = Application(settings, policies=[_wire])
    yield application
    await application.close()


@pytest.fixture(scope="session")
def host(application: Application) -> Iterator[Host]:
    original, function_app.application = function_app.application, application
    yield Host(function_app.app)
    function_app.application = original


@pytest.fixture
def new_client(host: Host, unused: Iterator[tuple[str, str]]) -> NewClient:
    """Makes clients, each of a tenant of its own."""
    return lambda: Client(host, *next(unused))


@pytest.fixture
def client(new_client: NewClient) -> Client:
    return new_client()


@pytest.fixture(scope="session", autouse=True)
def policies_that_stay() -> None:
    """A process reads policies anew every minute, and trips are counted here: once is enough."""
    kept._FRESH = kept._STALE = math.inf
