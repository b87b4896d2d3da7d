"""Small mistakes in the templates and the files beside them: what the compiler says of each, or our own checks."""

# ruff: noqa: E501 - what is told stands on one line

from __future__ import annotations

from dataclasses import dataclass

MAIN = "infra/main.bicep"
APP = "infra/modules/app.bicep"
STORAGE = "infra/modules/storage.bicep"
HOST = "infra/modules/host.bicep"
PROTECTION = "infra/modules/protection.bicep"
VAULT = "infra/modules/vault.bicep"
NETWORK = "infra/modules/network.bicep"
MONITORING = "infra/modules/monitoring.bicep"
ALERTS = "infra/modules/alerts.bicep"
PARAMETERS = "infra/main.parameters.json"
AUTH = "infra/queries/auth-failures.kql"
WORKBOOK = "infra/workbook.json"
CI = ".github/workflows/ci.yml"
CONTAINER = ".devcontainer/devcontainer.json"
REBUILD = "is not made from infra/queries; run python -m dev.bicep.workbook"


@dataclass(frozen=True)
class Mistake:
    """The first `old` in the file becomes `new`. `told` is the code of what the compiler or linter says, or what a
    finding of ours ends with."""

    file: str
    old: str
    new: str
    told: str


COMPILER = {
    "module elsewhere": Mistake(MAIN, "'modules/vault.bicep'", "'modules/vaults.bicep'", "BCP091"),
    "unknown param of a module": Mistake(
        MAIN, "    entraOnly: entraOnly\n", "    entraOnly: entraOnly\n    slots: 2\n", "BCP037"
    ),
    "missing param of a module": Mistake(MAIN, "    name: 'id-scim-${token}'\n", "", "BCP035"),
    "unused param": Mistake(
        VAULT,
        "@description('Name of",
        "@description('More.')\nparam more string = ''\n\n@description('Name of",
        "no-unused-params",
    ),
    "unused var": Mistake(APP, "var monitors", "var more = 1\n\nvar monitors", "no-unused-vars"),
    "undeclared name": Mistake(APP, "    serverFarmId: plan.id", "    serverFarmId: plans.id", "BCP057"),
    "no description": Mistake(APP, "@description('Name of the function app.')\n", "", "use-description-outputs"),
    "empty description": Mistake(VAULT, "@description('Region.')", "@description(' ')", "use-description-params"),
    "unknown output of a module": Mistake(
        MAIN, "workspaceId: monitoring.outputs.workspaceId", "workspaceId: monitoring.outputs.workspace", "BCP083"
    ),
    "missing file": Mistake(ALERTS, "'../queries/storage.kql'", "'../queries/store.kql'", "BCP091"),
    "key of an account": Mistake(
        HOST, "= account.name", "= account.listKeys().keys[0].value", "outputs-should-not-contain-secrets"
    ),
    "property of the site": Mistake(
        APP, "perInstanceConcurrency: perInstanceConcurrency", "perInstanceConcurency: perInstanceConcurrency", "BCP089"
    ),
    "property in a variable": Mistake(
        PROTECTION, "  allowCrossTenantReplication: false", "  allowCrossTenantReplicaton: false", "BCP089"
    ),
    "property in a branch": Mistake(
        APP, "            instanceCount: alwaysReadyInstances", "            instances: alwaysReadyInstances", "BCP037"
    ),
    "property of the plan": Mistake(APP, "    reserved: true", "    linux: true", "BCP037"),
    "property of the vault": Mistake(
        VAULT, "    enableSoftDelete: true", "    enableSoftDelete: true\n    enableRbacAuthorisation: true", "BCP037"
    ),
    "property of the container": Mistake(HOST, "    publicAccess: 'None'", "    publicAcces: 'None'", "BCP089"),
    "property of the workspace": Mistake(
        MONITORING, "    retentionInDays: retentionDays", "    retentionDays: retentionDays", "BCP089"
    ),
    "property of the component": Mistake(
        MONITORING, "    WorkspaceResourceId: workspace.id", "    WorkspaceId: workspace.id", "BCP037"
    ),
    "property of the workbook": Mistake(MONITORING, "    serializedData: replace", "    data: replace", "BCP037"),
    "property of a subnet": Mistake(
        NETWORK, "privateEndpointNetworkPolicies: 'Disabled'", "endpointNetworkPolicies: 'Disabled'", "BCP037"
    ),
    "property of a private endpoint, in a loop": Mistake(
        NETWORK, "          privateLinkServiceId: endpoint.service", "          serviceId: endpoint.service", "BCP037"
    ),
    "property of a query rule": Mistake(
        ALERTS, "            minFailingPeriodsToAlert: 1", "            minFailingPeriods: 1", "BCP037"
    ),
    "property of an action group": Mistake(ALERTS, "        emailAddress: email", "        address: email", "BCP037"),
    "property of a role assignment": Mistake(
        VAULT, "    principalType: 'ServicePrincipal'", "    principleType: 'ServicePrincipal'", "BCP089"
    ),
    "property of a diagnostic setting": Mistake(
        VAULT, "        categoryGroup: 'audit'", "        group: 'audit'", "BCP037"
    ),
    "property beside properties": Mistake(
        APP, "    reserved: true\n  }\n", "    reserved: true\n  }\n  zone: '1'\n", "BCP037"
    ),
    "text for a number": Mistake(ALERTS, "    severity: 3\n", "    severity: '3'\n", "BCP036"),
    "object for a list": Mistake(
        NETWORK,
        "      addressPrefixes: [\n        '10.0.0.0/16'\n      ]",
        "      addressPrefixes: {\n        first: '10.0.0.0/16'\n      }",
        "BCP036",
    ),
    "value of an enumeration": Mistake(APP, "    type: 'UserAssigned'\n", "    type: 'User'\n", "BCP036"),
    "no API version": Mistake(
        APP, "Microsoft.Web/serverfarms@2025-03-01", "Microsoft.Web/serverfarms@2025-3", "BCP029"
    ),
    "resource without a model": Mistake(
        MONITORING, "Microsoft.Insights/workbooks@2023-06-01", "Microsoft.Insights/books@2023-06-01", "BCP081"
    ),
    "old API version": Mistake(
        APP, "Microsoft.Web/serverfarms@2025-03-01", "Microsoft.Web/serverfarms@2023-12-01", "use-recent-api-versions"
    ),
    "missing brace": Mistake(APP, "  sku: {\n", "  sku: \n", "BCP009"),
    "missing quote": Mistake(VAULT, "sku: {\n      family: 'A'", "sku: {\n      family: 'A", "BCP004"),
    "missing bracket": Mistake(STORAGE, "    logs: [\n", "    logs: \n", "BCP009"),
}
"""What the compiler or its linter finds."""

OURS = {
    "unread output": Mistake(
        VAULT,
        "@description('Resource id.",
        "@description('x')\noutput more string = vault.name\n\n@description('Id.",
        "output more is never read; read or remove it",
    ),
    "missing output": Mistake(
        MAIN,
        "output SCIM_TENANT_URL",
        "output SCIM_URL",
        "output SCIM_TENANT_URL is missing, which azd, a hook or the admin reads; add it",
    ),
    "value of no param": Mistake(
        PARAMETERS,
        '"tableLogs": {',
        '"tableLog": {',
        "infra/main.bicep has no param tableLog; remove it or correct the name",
    ),
    "param without a value": Mistake(
        PARAMETERS, '"location": { "value": "${AZURE_LOCATION}" },', "", "param location has no value; add it"
    ),
    "two defaults": Mistake(
        PARAMETERS,
        "${SCIM_PAGE_SIZE=100}",
        "${SCIM_PAGE_SIZE=10}",
        "SCIM_PAGE_SIZE has another default than param pageSize; write ${SCIM_PAGE_SIZE=100}",
    ),
    "two defaults of a switch": Mistake(
        PARAMETERS,
        "${SCIM_VNET_ENABLED=false}",
        "${SCIM_VNET_ENABLED=true}",
        "SCIM_VNET_ENABLED has another default than param vnetEnabled; write ${SCIM_VNET_ENABLED=false}",
    ),
    "two names": Mistake(
        PARAMETERS,
        "${SCIM_PAGE_SIZE=100}",
        "${PAGE_SIZE=100}",
        "param pageSize comes from PAGE_SIZE; call it SCIM_PAGE_SIZE, as the setting is called",
    ),
    "property in a list of a variable": Mistake(
        APP,
        "    tag: 'ServiceTag'",
        "    tags: 'ServiceTag'",
        "properties.siteConfig.ipSecurityRestrictions.0.tag must be 'ServiceTag'; write so",
    ),
    "property of a metric alert": Mistake(
        ALERTS,
        "          metricNamespace: ",
        "          namespace: ",
        "properties.criteria.allOf.0.metricNamespace must be 'Microsoft.Storage/storageAccounts/tableServices'; write so",
    ),
    "two API versions": Mistake(
        STORAGE,
        "resource data 'Microsoft.Storage/storageAccounts@2025-06-01'",
        "resource data 'Microsoft.Storage/storageAccounts@2026-04-01'",
        "its API version is 2026-04-01, elsewhere 2025-06-01; use one everywhere",
    ),
    "account with keys": Mistake(
        PROTECTION,
        "  allowSharedKeyAccess: false\n",
        "  allowSharedKeyAccess: true\n",
        "properties.allowSharedKeyAccess must be false; write so",
    ),
    "site with FTP": Mistake(
        APP,
        "      http20Enabled: true",
        "      http20Enabled: true\n      ftpsState: 'FtpsOnly'",
        "ftpsState is refused or ignored by Flex Consumption; remove it: publishing by FTP is off by basicPublishingCredentialsPolicies",
    ),
    "vault that can be purged": Mistake(
        VAULT, "    enablePurgeProtection: true\n", "", "properties.enablePurgeProtection must be true; write so"
    ),
    "publishing with a password": Mistake(
        APP, "    allow: false", "    allow: true", "properties.allow must be false; write so"
    ),
    "wrong role": Mistake(
        VAULT,
        "'4633458b-17de-408a-b874-0445c86b69e6'",
        "'21090545-7ca7-4776-b22c-e363652d74d2'",
        "the app is Key Vault Reader on Microsoft.KeyVault/vaults kv, which nobody expects; correct it, or add it to dev/bicep/roles.py",
    ),
    "unknown role": Mistake(
        HOST,
        "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'",
        "'b7e6dc6d-f1e8-4753-8033-0f276bb0955c'",
        "the app is unknown role b7e6dc6d-f1e8-4753-8033-0f276bb0955c on Microsoft.Storage/storageAccounts sthost, which nobody expects; correct it, or add it to dev/bicep/roles.py",
    ),
    "setting that Flex refuses": Mistake(
        APP,
        "  AzureWebJobsDisableHomepage: 'true'",
        "  FUNCTIONS_WORKER_RUNTIME: 'python'",
        "FUNCTIONS_WORKER_RUNTIME is refused or ignored by Flex Consumption; say so in functionAppConfig.runtime",
    ),
    "property that Flex refuses": Mistake(
        APP,
        "      http20Enabled: true",
        "      linuxFxVersion: 'PYTHON|3.13'",
        "linuxFxVersion is refused or ignored by Flex Consumption; say so in functionAppConfig.runtime",
    ),
    "setting that is not set": Mistake(
        MAIN,
        "  SCIM_TABLE_NAME: tableName\n",
        "",
        "SCIM_TABLE_NAME, which the app reads, is not set; add it to the app's settings in infra/main.bicep",
    ),
    "setting that nobody reads": Mistake(
        MAIN,
        "  SCIM_TABLE_NAME: tableName\n",
        "  SCIM_TABLE_NAME: tableName\n  SCIM_TABEL: tableName\n",
        "SCIM_TABEL is no setting of the app; remove it or correct the name",
    ),
    "setting with a secret": Mistake(
        MAIN,
        "  SCIM_TABLE_NAME: tableName\n",
        "  SCIM_TABLE_NAME: tableName\n  SCIM_CONNECTIONS: '{}'\n",
        "SCIM_CONNECTIONS is for local use: it holds secrets; remove it",
    ),
    "another bound than the app's": Mistake(
        MAIN,
        "@minValue(5)\n@maxValue(360)\n",
        "@minValue(1)\n@maxValue(360)\n",
        "SCIM_TOKEN_MINUTES has @minValue(5), tokenMinutes @minValue(1); take that",
    ),
    "column of no query": Mistake(
        ALERTS,
        "column: 'failedPercent'",
        "column: 'failedPercentage'",
        "the query of alert failing has no column failedPercentage; correct the name",
    ),
    "dimension of no query": Mistake(
        ALERTS,
        "dimension: 'connection'",
        "dimension: 'customer'",
        "the query of alert auth-failures has no column customer; correct the name",
    ),
    "workbook that is older": Mistake(
        WORKBOOK, '"What fails"', '"What failed"', "is not made from infra/queries; run python -m dev.bicep.workbook"
    ),
    "workbook that is no JSON": Mistake(
        WORKBOOK,
        '"version": "Notebook/1.0",',
        '"version": "Notebook/1.0"',
        "is no JSON; run python -m dev.bicep.workbook",
    ),
    "azure.yaml that is no YAML": Mistake(
        "azure.yaml", "    project: .", "    project: [.", "is no YAML: expected ',' or ']', but got ':'; correct it"
    ),
    "service without a resource": Mistake(
        "azure.yaml", "  api:", "  scim:", "no resource has the tag azd-service-name: scim; tag it so"
    ),
    "service of another kind": Mistake(
        "azure.yaml", "    host: function", "    host: appservice", "service api must have host: function"
    ),
    "hook elsewhere": Mistake(
        "azure.yaml",
        "run: python3 infra/hooks/first_connection.py",
        "run: python3 infra/hooks/connection.py",
        "infra/hooks/connection.py does not exist; correct the path",
    ),
    "key twice": Mistake(
        CI,
        "    timeout-minutes: 40\n",
        "    timeout-minutes: 40\n    runs-on: ubuntu-latest\n",
        "is no YAML: runs-on stands in it twice; correct it",
    ),
    "job without an end": Mistake(CI, "    timeout-minutes: 40\n", "", "job tests has no timeout-minutes; add it"),
    "step without a command": Mistake(
        CI,
        "      - run: bicep lint infra/main.bicep",
        "      - name: lint",
        "a step of job bicep needs either run or uses; give it one",
    ),
    "container that is no JSON": Mistake(
        CONTAINER, '"forwardPorts": [7071],', '"forwardPorts": [7071]', "is no JSON here; correct it"
    ),
    "old TLS": Mistake(
        PROTECTION,
        "minimumTlsVersion: 'TLS1_2'",
        "minimumTlsVersion: 'TLS1_9'",
        "properties.minimumTlsVersion must be 'TLS1_2'; write so",
    ),
    "another Python": Mistake(
        APP,
        "version: '3.13'",
        "version: '3.12'",
        "properties.functionAppConfig.runtime.version must be '3.13'; write so",
    ),
    "logs without a cap": Mistake(
        MONITORING,
        "dailyQuotaGb: dailyGb",
        "dailyQuotaGb: -1 * dailyGb",
        "properties.workspaceCapping.dailyQuotaGb must be 10; write so",
    ),
    "role on the table alone": Mistake(
        STORAGE,
        "  scope: data\n  name: guid(data.id, identity",
        "  scope: table\n  name: guid(table.id, identity",
        "the app must be Storage Table Data Contributor on Microsoft.Storage/storageAccounts stscim; assign the role",
    ),
    "an app that may write the vault": Mistake(
        VAULT,
        "guid(vault.id, identityPrincipalId, keyVaultSecretsUser)\n  properties: {\n    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsUser)",
        "guid(vault.id, identityPrincipalId, keyVaultSecretsUser)\n  properties: {\n    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', keyVaultSecretsOfficer)",
        "the app must be Key Vault Secrets User on Microsoft.KeyVault/vaults kv; assign the role",
    ),
    "console on the app's host account": Mistake(
        MAIN,
        "    name: 'stconsole${token}'",
        "    name: 'sthost${token}'",
        "the console must be Storage Blob Data Owner on Microsoft.Storage/storageAccounts stconsole; assign the role",
    ),
    "host that reads all": Mistake(
        APP,
        "  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(largestBody + 65536)\n",
        "  SOMETHING: string(largestBody)\n",
        "FUNCTIONS_REQUEST_BODY_SIZE_LIMIT must be 8454144, 64 KiB above the largest body that the app takes; write so",
    ),
    "default of the app, not of the template": Mistake(
        MAIN,
        "param scanLimit int = 100000",
        "param scanLimit int = 100",
        "SCIM_SCAN_LIMIT is '100' by default, in the app '100000'; take that",
    ),
    "open vault in the closed network": Mistake(
        VAULT,
        "defaultAction: publicAccess ? 'Allow' : 'Deny'",
        "defaultAction: 'Allow'",
        "properties.networkAcls.defaultAction must be 'Deny'; write so",
    ),
    "azd of any age": Mistake(
        "azure.yaml",
        'requiredVersions:\n  azd: ">= 1.25.4"\n',
        "",
        'an older azd ignores .funcignore or hooks; write requiredVersions: {azd: ">= 1.25.4"}',
    ),
    "hook that azd hides": Mistake(
        "azure.yaml", "      interactive: true\n", "", "hook prepackage for posix must be interactive: true"
    ),
    "action that others can change": Mistake(
        CI,
        "actions/checkout@08c6903cd8c0fde910a37f88322edcfb5dd907a8",
        "actions/checkout@v5",
        "actions/checkout@v5 can be changed by others; name a commit",
    ),
}
"""What only our checks find, in the snapshots or in the files beside the templates."""
