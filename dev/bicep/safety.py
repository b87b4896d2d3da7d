"""The values that keep a deployment safe, which no compiler asks for; one API version for each type; the outputs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dev.bicep.snapshots import Finding, Snapshot

Values = Mapping[str, Mapping[str, str | int | bool]]

MUST: Values = {
    "Microsoft.Web/sites": {
        "kind": "functionapp,linux",
        "properties.httpsOnly": True,
        "properties.siteConfig.minTlsVersion": "1.2",
        "properties.siteConfig.scmMinTlsVersion": "1.2",
        "properties.functionAppConfig.runtime.version": "3.13",
        "properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
    },
    "Microsoft.Web/sites/basicPublishingCredentialsPolicies": {"properties.allow": False},
    "Microsoft.Storage/storageAccounts": {
        "properties.allowSharedKeyAccess": False,
        "properties.allowBlobPublicAccess": False,
        "properties.minimumTlsVersion": "TLS1_2",
        "properties.supportsHttpsTrafficOnly": True,
    },
    "Microsoft.KeyVault/vaults": {
        "properties.enableRbacAuthorization": True,
        "properties.enableSoftDelete": True,
        "properties.softDeleteRetentionInDays": 90,
        "properties.enablePurgeProtection": True,
    },
    "Microsoft.Insights/components": {"properties.DisableLocalAuth": True},
    "Microsoft.Insights/metricAlerts": {
        "properties.criteria.allOf.0.metricNamespace": "Microsoft.Storage/storageAccounts/tableServices",
        "properties.criteria.allOf.0.metricName": "Transactions",
    },
    "Microsoft.OperationalInsights/workspaces": {"properties.workspaceCapping.dailyQuotaGb": 10},
}
"""By type, what must be so in every deployment (the app's Python too: requirements.txt is locked for it)."""

CLOSED: Values = {
    "Microsoft.Storage/storageAccounts": {
        "properties.publicNetworkAccess": "Disabled",
        "properties.networkAcls.defaultAction": "Deny",
    },
    "Microsoft.KeyVault/vaults": {
        "properties.publicNetworkAccess": "Disabled",
        "properties.networkAcls.defaultAction": "Deny",
    },
    "Microsoft.Web/sites of console": {
        "properties.siteConfig.ipSecurityRestrictionsDefaultAction": "Deny",
        "properties.siteConfig.ipSecurityRestrictions.0.ipAddress": "ApplicationInsightsAvailability",
        "properties.siteConfig.ipSecurityRestrictions.1.ipAddress": "198.51.100.0/24",
    },
    "Microsoft.Web/sites of api": {
        "properties.siteConfig.ipSecurityRestrictionsDefaultAction": "Deny",
        "properties.siteConfig.ipSecurityRestrictions.0.tag": "ServiceTag",
        "properties.siteConfig.ipSecurityRestrictions.0.ipAddress": "AzureActiveDirectory",
        "properties.siteConfig.ipSecurityRestrictions.1.tag": "ServiceTag",
        "properties.siteConfig.ipSecurityRestrictions.1.ipAddress": "ApplicationInsightsAvailability",
        "properties.siteConfig.ipSecurityRestrictions.2.ipAddress": "203.0.113.7/32",
        "properties.siteConfig.ipSecurityRestrictions.3.ipAddress": "2001:db8::/32",
    },
}
"""The same in the snapshot `closed`, of a service's app where it is named."""

OUTPUTS = (
    "SCIM_TENANT_URL",
    "SCIM_TOKEN_ENDPOINT",
    "SCIM_KEY_VAULT_URL",
    "SCIM_TABLE_ENDPOINT",
    "SCIM_TABLE_NAME",
    "SCIM_VNET_ENABLED",
    "SCIM_ENTRA_ONLY",
    "AZURE_CONSOLE_URL",
    "AZURE_CONSOLE_PRINCIPAL_ID",
    "AZURE_FUNCTION_APP_NAME",
    "AZURE_RESOURCE_GROUP",
)
"""What azd, its hooks and the admin read after a deployment."""


def check(snapshots: list[Snapshot]) -> Iterator[Finding]:
    versions: dict[str, str] = {}
    for snapshot in snapshots:
        for values in (MUST, CLOSED) if snapshot.name == "closed" else (MUST,):
            yield from _check_values(snapshot, values)
        for resource in snapshot.resources:
            version = str(resource.body["apiVersion"])
            first = versions.setdefault(resource.kind, version)
            if first != version:
                yield resource.finding(f"its API version is {version}, elsewhere {first}; use one everywhere")
        for name in OUTPUTS:
            if name not in snapshot.outputs:
                text = f"output {name} is missing, which azd, a hook or the admin reads; add it"
                yield Finding(snapshot.file, 0, text)


def _check_values(snapshot: Snapshot, values: Values) -> Iterator[Finding]:
    for kind, wanted in values.items():
        kind, _, service = kind.partition(" of ")
        found = [
            each for each in snapshot.of(kind) if service in ("", each.body.get("tags", {}).get("azd-service-name"))
        ]
        if not found:
            yield Finding(snapshot.file, 0, f"there is no {kind}, which must be there; add it")
        for resource in found:
            for path, value in wanted.items():
                if resource.value(path) != value:
                    shown = f"'{value}'" if isinstance(value, str) else str(value).lower()
                    yield resource.finding(f"{path} must be {shown}; write so")
