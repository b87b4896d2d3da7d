"""The app as the bench asks it: function_app's own handlers on Azurite or another table, in this process.

Its log goes where a worker's would go at INFO, but to nowhere: writing the request's line is part of a request.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from azure.core.pipeline.policies import AsyncHTTPPolicy
from multidict import CIMultiDict

import function_app
from dev.azurite import Azurite
from dev.credentials import SEALS, new_key
from dev.host import Answer, Host
from dev.kit.client import Client
from scim.app import Application
from scim.http import Request
from scim.settings import Settings
from scim.store.table import Table

TABLE = "scim"
BASE = "http://scim.example/scim"


def settings_values(connection_string: str, keys: Mapping[str, str]) -> dict[str, str]:
    """Return the app settings for the table behind a connection string, with a connection for each tenant."""
    connections = {tenant: {"tenant": tenant, "keys": [key]} for tenant, key in keys.items()}
    return {
        "SCIM_TABLE_CONNECTION_STRING": connection_string,
        "SCIM_TABLE_NAME": TABLE,
        "SCIM_CONNECTIONS": json.dumps(connections),
        "SCIM_SEALS": SEALS,
        "SCIM_USAGE_MINUTES": "0",  # its trips come when they like
        "SCIM_INSIGHT_SECONDS": "0",
        "SCIM_FEED_SECONDS": "0",
        "SCIM_TENANT_RESOURCES": "0",
        "SCIM_TENANT_MEMBERS": "0",
        "SCIM_TENANT_MEGABYTES": "0",
        "SCIM_TENANT_RATE": "0",  # a bench is the runaway client that this limit is for
    }


@asynccontextmanager
async def clients(
    connection_string: str,
    tenants: Sequence[str],
    *,
    table: Table | None = None,
    policies: Sequence[AsyncHTTPPolicy[Any, Any]] = (),
) -> AsyncIterator[dict[str, Client]]:
    """A client for each tenant of an app on the table, or on a table in its place."""
    keys = {tenant: new_key(tenant) for tenant in tenants}
    settings = Settings.from_environment(settings_values(connection_string, keys))
    application = Application(settings, table=table, policies=policies)
    original, function_app.application = function_app.application, application
    try:
        with _logging():
            host = Host(function_app.app)
            yield {tenant: Client(host, BASE, key) for tenant, key in keys.items()}
    finally:
        function_app.application = original
        await application.close()


class _Direct:
    """An application that is asked without Functions."""

    def __init__(self, application: Application) -> None:
        self._application = application

    async def request(self, method: str, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        response = await self._application.handle(Request(method, url, headers, body))
        return Answer(response.status, CIMultiDict(response.headers), response.encoded())


def direct(table: Table, tenant: str) -> Client:
    """Return a client of an application of its own on a table: several stand side by side. Its log is not written."""
    key = new_key(tenant)
    settings = Settings.from_environment(settings_values("none", {tenant: key}))
    return Client(_Direct(Application(settings, table=table)), BASE, key)


@contextmanager
def azurite() -> Iterator[Azurite]:
    """An Azurite in memory with an empty table."""
    with Azurite(port=0, memory=True) as server:
        server.create_table(TABLE)
        yield server


@contextmanager
def _logging() -> Iterator[None]:
    """The app's log at INFO, written to nowhere; warnings on standard error, since they say why a request failed."""
    log = logging.getLogger("scim")
    level, propagate = log.level, log.propagate
    with open(os.devnull, "w") as nowhere:
        handler = logging.StreamHandler(nowhere)
        warnings = logging.StreamHandler(sys.stderr)
        warnings.setLevel(logging.WARNING)
        log.addHandler(handler)
        log.addHandler(warnings)
        log.setLevel(logging.INFO)
        log.propagate = False
        try:
            yield
        finally:
            log.removeHandler(handler)
            log.removeHandler(warnings)
            log.setLevel(level)
            log.propagate = propagate
