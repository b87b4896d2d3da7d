"""Who has which role on what: exactly the assignments that are listed here. The compiler takes any GUID for a role."""

from __future__ import annotations

import re
from collections.abc import Iterator

from dev.bicep.snapshots import Finding, Resource, Snapshot

ROLES = {
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "Storage Table Data Contributor",
    "17d1049b-9a84-46fb-8f53-869881c3d3ab": "Storage Account Contributor",
    "21090545-7ca7-4776-b22c-e363652d74d2": "Key Vault Reader",
    "3913510d-42f4-4e42-8a64-420c390055eb": "Monitoring Metrics Publisher",
    "4633458b-17de-408a-b874-0445c86b69e6": "Key Vault Secrets User",
    "76199698-9eea-4c19-bc75-cec21354c6b6": "Storage Table Data Reader",
    "c6a89b2d-59bc-44d0-9896-0f6e12d7b80a": "Storage Queue Data Message Sender",
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "Storage Blob Data Owner",
    "b86a8fe4-44ce-4948-aee5-eccb2c155cd7": "Key Vault Secrets Officer",
}
"""Built-in roles by the GUID that they have in every Entra tenant."""

APP, CONSOLE, DEPLOYER = "the app", "the console", "who deploys"
EXPECTED = {
    (APP, "Monitoring Metrics Publisher", "Microsoft.Insights/components appi-scim"),
    (APP, "Storage Blob Data Owner", "Microsoft.Storage/storageAccounts sthost"),
    (APP, "Storage Table Data Contributor", "Microsoft.Storage/storageAccounts stscim"),
    (APP, "Key Vault Secrets User", "Microsoft.KeyVault/vaults kv"),
    (APP, "Storage Queue Data Message Sender", "Microsoft.Storage/storageAccounts/queueServices/queues scim-feed"),
    (DEPLOYER, "Storage Table Data Reader", "Microsoft.Storage/storageAccounts stscim"),
    (DEPLOYER, "Key Vault Secrets Officer", "Microsoft.KeyVault/vaults kv"),
}
"""The roles on data are on the account: a transaction goes to /$batch, which names no table."""
OF_CONSOLE = {
    (CONSOLE, "Monitoring Metrics Publisher", "Microsoft.Insights/components appi-scim"),
    (CONSOLE, "Storage Blob Data Owner", "Microsoft.Storage/storageAccounts stconsole"),
    (CONSOLE, "Storage Table Data Contributor", "Microsoft.Storage/storageAccounts stscim"),
    (CONSOLE, "Key Vault Secrets Officer", "Microsoft.KeyVault/vaults kv"),
}
"""Those of a deployment with the console, besides. Its identity alone of the two may write the vault, and neither may
write what the other's app is made of."""

_KIND = "Microsoft.Authorization/roleAssignments"


def check(snapshots: list[Snapshot]) -> Iterator[Finding]:
    for snapshot in snapshots:
        found = {_read(assignment) for assignment in snapshot.of(_KIND)}
        has_console = len(list(snapshot.of("Microsoft.Web/sites"))) > 1
        expected = EXPECTED | OF_CONSOLE if has_console else EXPECTED
        for who, role, on in sorted(found - expected):
            text = f"{who} is {role} on {on}, which nobody expects; correct it, or add it to dev/bicep/roles.py"
            yield Finding(snapshot.file, 0, text)
        for who, role, on in sorted(expected - found):
            yield Finding(snapshot.file, 0, f"{who} must be {role} on {on}; assign the role")


def _read(assignment: Resource) -> tuple[str, str, str]:
    """(who, role, type and name of the resource without the part that makes names unique)."""
    role = str(assignment.value("properties.roleDefinitionId")).rpartition("/")[2]
    principal = str(assignment.value("properties.principalId"))
    who = DEPLOYER if not principal.startswith("[reference(") else CONSOLE if "/id-console-" in principal else APP
    scope = re.split(f"/providers/{_KIND}|', '{_KIND}", str(assignment.body["id"]))[0].rpartition("/providers/")[2]
    space, *rest = scope.split("/")
    kind, name = "/".join([space, *rest[0::2]]), re.sub("-?[a-z0-9]{13}$", "", rest[-1])
    return who, ROLES.get(role, f"unknown role {role}"), f"{kind} {name}"
