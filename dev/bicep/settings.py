"""App settings: what a deployment sets against what the app reads, both ways, with the app's own defaults; none that
Flex Consumption refuses; and the host's limit on bodies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from pydantic.fields import FieldInfo

from dev.bicep.snapshots import Finding, Snapshot
from scim.settings import BODY_LIMIT, PREFIX, Settings

LOCAL_ONLY = (
    "SCIM_TABLE_CONNECTION_STRING",
    "SCIM_CONNECTIONS",
    "SCIM_SIGNING_KEYS",
    "SCIM_SEALS",
    "SCIM_SINKS",
    "SCIM_DOORBELL_CONNECTION_STRING",
    "SCIM_CONSOLE_OPERATORS_CLIENT_SECRET",
    "SCIM_CONSOLE_CUSTOMERS_CLIENT_SECRET",
)
"""What holds secrets, for a machine without Azure. In Azure there are identities and a vault instead."""

REFUSED = {
    "AzureWebJobsStorage": "set AzureWebJobsStorage__accountName, __credential and __clientId",
    "AzureWebJobsDashboard": "remove it",
    "APPINSIGHTS_INSTRUMENTATIONKEY": "set APPLICATIONINSIGHTS_CONNECTION_STRING",
    "FUNCTIONS_WORKER_RUNTIME": "say so in functionAppConfig.runtime",
    "FUNCTIONS_WORKER_RUNTIME_VERSION": "say so in functionAppConfig.runtime",
    "FUNCTIONS_EXTENSION_VERSION": "remove it: Flex Consumption has one",
    "FUNCTIONS_MAX_HTTP_CONCURRENCY": "say so in functionAppConfig.scaleAndConcurrency.triggers",
    "WEBSITE_MAX_DYNAMIC_APPLICATION_SCALE_OUT": "say so in functionAppConfig.scaleAndConcurrency",
    "WEBSITE_RUN_FROM_PACKAGE": "say so in functionAppConfig.deployment",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING": "remove it: there is no content share",
    "WEBSITE_CONTENTSHARE": "remove it: there is no content share",
    "WEBSITE_CONTENTOVERVNET": "remove it: there is no content share",
    "WEBSITE_SKIP_CONTENTSHARE_VALIDATION": "remove it: there is no content share",
    "WEBSITE_VNET_ROUTE_ALL": "remove it: it is always so",
    "WEBSITE_TIME_ZONE": "remove it: times are UTC",
    "TZ": "remove it: times are UTC",
    "SCM_DO_BUILD_DURING_DEPLOYMENT": "ask for a remote build when deploying",
    "ENABLE_ORYX_BUILD": "ask for a remote build when deploying",
    "linuxFxVersion": "say so in functionAppConfig.runtime",
    "alwaysOn": "set functionAppConfig.scaleAndConcurrency.alwaysReady",
    "ftpsState": "remove it: publishing by FTP is off by basicPublishingCredentialsPolicies",
    "dailyMemoryTimeQuota": "remove it",
}
"""Settings, and properties of a site, that Flex Consumption ignores or refuses; and what to do instead."""

Fields = Mapping[str, FieldInfo]


def check(snapshots: list[Snapshot], fields: Fields) -> Iterator[Finding]:
    known = {PREFIX + name.upper(): field for name, field in fields.items()}
    for snapshot in snapshots:
        for site in snapshot.of("Microsoft.Web/sites"):
            for name in sorted({*_keys(site.body["properties"])} & REFUSED.keys()):
                yield Finding(snapshot.file, 0, f"{name} is refused or ignored by Flex Consumption; {REFUSED[name]}")
        for config in snapshot.of("Microsoft.Web/sites/config"):
            yield from _check_values(snapshot, config.body["properties"], known)


def _check_values(snapshot: Snapshot, values: Mapping[str, str], known: Fields) -> Iterator[Finding]:
    """What is wrong with the settings of one app."""
    for name, value in values.items():
        if name in REFUSED:
            yield Finding(snapshot.file, 0, f"{name} is refused or ignored by Flex Consumption; {REFUSED[name]}")
        elif name in LOCAL_ONLY:
            yield Finding(snapshot.file, 0, f"{name} is for local use: it holds secrets; remove it")
        elif name.startswith(PREFIX) and name not in known:
            yield Finding(snapshot.file, 0, f"{name} is no setting of the app; remove it or correct the name")
        elif name in known and snapshot.name == "default" and not value.startswith("["):
            wanted = "" if known[name].default is None else str(known[name].default)
            if value.lower() != wanted.lower():
                yield Finding(snapshot.file, 0, f"{name} is {value!r} by default, in the app {wanted!r}; take that")
    for name in known.keys() - values.keys() - set(LOCAL_ONLY):
        remedy = "add it to the app's settings in infra/main.bicep"
        yield Finding(snapshot.file, 0, f"{name}, which the app reads, is not set; {remedy}")
    yield from _check_body_limit(snapshot, values)


def read_app_settings(snapshot: Snapshot, service: str = "api") -> dict[str, str]:
    """The settings of the app of a service, by name; none if the deployment does not have it."""
    for site in snapshot.of("Microsoft.Web/sites"):
        if site.body["tags"]["azd-service-name"] == service:
            configs = snapshot.of("Microsoft.Web/sites/config")
            return next(dict(each.body["properties"]) for each in configs if each.name == f"{site.name}/appsettings")
    return {}


def _check_body_limit(snapshot: Snapshot, values: Mapping[str, str]) -> Iterator[Finding]:
    limits = {name: values.get(PREFIX + name.upper(), "") for name in Settings.model_fields if name.endswith("_bytes")}
    sizes = {name: int(value) for name, value in limits.items() if value.isdigit()}
    wanted = str(Settings(table_endpoint="https://x").model_copy(update=sizes).wanted_body_limit())
    if values.get(BODY_LIMIT) != wanted:
        text = f"{BODY_LIMIT} must be {wanted}, 64 KiB above the largest body that the app takes; write so"
        yield Finding(snapshot.file, 0, text)


def _keys(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        yield from value
    for inner in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from _keys(inner)
