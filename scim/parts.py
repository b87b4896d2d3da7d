"""The parts that requests need, put together from the settings: once per process, at its first request.

What only some deployments need, an identity towards Azure, is imported if the settings ask for it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scim.health import Health
from scim.http import Request
from scim.limits import TenantLimits
from scim.policy.kept import Policies
from scim.refusals import AddressLimits
from scim.schema.loading import load
from scim.schema.registry import Registry
from scim.security.security import Security
from scim.settings import Settings, SettingsError, find_body_limit_problem, unknown
from scim.store.quotas import Quota
from scim.store.store import Store
from scim.store.table import Table
from scim.store.table.azure import AzureTable

if TYPE_CHECKING:
    from azure.core.credentials_async import AsyncTokenCredential
    from azure.core.pipeline.policies import AsyncHTTPPolicy

log = logging.getLogger("scim")

_APP = Path(__file__).parents[1]
"""The app's own folder, wherever the process was started."""
_OWN_HOST = "WEBSITE_HOSTNAME"
"""Where the platform says by which name it reaches the app, also behind a proxy that SCIM_PUBLIC_URL names."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of one process."""

    settings: Settings
    security: Security
    registry: Registry
    store: Store
    health: Health
    limits: TenantLimits
    addresses: AddressLimits
    hosts: frozenset[str]
    """The hosts that requests may come for; none if any may."""
    identity: AsyncTokenCredential | None
    """What this process shows to Azure; None if neither table, vault nor queue asks for it."""
    policies: Policies


def build_parts(
    settings: Settings | None, table: Table | None, policies: Sequence[AsyncHTTPPolicy[Any, Any]], ca_file: str | None
) -> Parts:
    """Return the parts. Settings come from the environment if none are given, and the table from them if none is.
    Raises SettingsError and SchemaError."""
    if settings is None:
        settings = Settings.from_environment()
        for name in unknown(os.environ):
            log.warning("%s is no setting of this service; docs/settings.md lists them", name)
        if problem := find_body_limit_problem(os.environ, settings):
            log.warning(problem)
    registry = load(_APP / settings.schemas_folder)
    identity = _open_identity(settings)
    quota = Quota(settings.tenant_resources, settings.tenant_members, settings.tenant_megabytes * 1_000_000)
    store = Store(table or _open_table(settings, identity, policies), registry, quota, feed=settings.feed)
    security = Security(settings, store.credentials, identity=identity, ca_file=ca_file)
    return Parts(
        settings,
        security,
        registry,
        store,
        Health({"table": store.check, "connections": security.check}),
        TenantLimits(settings.tenant_rate),
        AddressLimits(settings.address_refusals),
        _find_hosts(settings),
        identity,
        Policies(store.table, registry),
    )


def _find_hosts(settings: Settings) -> frozenset[str]:
    if settings.public_url is None:
        return frozenset()
    told = [url for url in (settings.public_url, settings.console_url) if url is not None]
    return frozenset({*(Request("GET", url).host for url in told), os.environ.get(_OWN_HOST, "").lower()})


def _open_identity(settings: Settings) -> AsyncTokenCredential | None:
    if not (settings.key_vault_url or settings.table_endpoint or settings.doorbell_endpoint):
        return None
    from scim.security.identity import open_identity  # 100 ms of a cold start

    return open_identity(settings.identity_client_id)


def _open_table(
    settings: Settings, identity: AsyncTokenCredential | None, policies: Sequence[AsyncHTTPPolicy[Any, Any]]
) -> Table:
    name = settings.table_name
    if settings.table_endpoint is not None:
        assert identity is not None
        return AzureTable.with_identity(settings.table_endpoint, name, identity, policies)
    assert settings.table_connection_string is not None
    try:
        return AzureTable.with_key(settings.table_connection_string, name, policies)
    except ValueError:  # its text may quote the string, which holds a key
        raise SettingsError("SCIM_TABLE_CONNECTION_STRING is no connection string of a storage account.") from None
