"""Small mistakes in the templates and the files beside them, and what must be said of each."""

from __future__ import annotations

from dataclasses import dataclass

MAIN, APP, STORAGE, VAULT = (
    "infra/main.bicep",
    "infra/modules/app.bicep",
    "infra/modules/storage.bicep",
    "infra/modules/vault.bicep",
)
NETWORK, MONITORING, ALERTS = (
    "infra/modules/network.bicep",
    "infra/modules/monitoring.bicep",
    "infra/modules/alerts.bicep",
)
PARAMETERS, AUTH, WORKBOOK = "infra/main.parameters.json", "infra/queries/auth-failures.kql", "infra/workbook.json"
CI, CONTAINER = ".github/workflows/ci.yml", ".devcontainer/devcontainer.json"
REBUILD = "is not made from infra/queries; run python -m dev.bicep.workbook"


@dataclass(frozen=True)
class Mistake:
    """The first `old` in the file becomes `new`; the finding is on the first line that differs, or where `at` says:
    (file, a part of the line), with an empty part for line 1."""

    file: str
    old: str
    new: str
    text: str
    at: tuple[str, str] | None = None


MISTAKES = {
    # names
    "module elsewhere": Mistake(
        MAIN, "'modules/vault.bicep'", "'modules/vaults.bicep'",
        "module modules/vaults.bicep does not exist; correct the path",
    ),
    "unknown param of a module": Mistake(
        MAIN, "    entraOnly: entraOnly\n", "    entraOnly: entraOnly\n    slots: 2\n",
        "infra/modules/app.bicep has no param slots; remove it or declare it there",
    ),
    "missing param of a module": Mistake(
        MAIN, "    name: 'id-scim-${token}'\n", "",
        "module identity lacks param name, which infra/modules/identity.bicep requires; pass it",
        (MAIN, "module identity"),
    ),
    "unused param": Mistake(
        VAULT, "@description('Name of", "@description('More.')\nparam more string = ''\n\n@description('Name of",
        "param more is never used; use or remove it", (VAULT, "param more"),
    ),
    "unused var": Mistake(
        APP, "var entraAddresses", "var more = 1\n\nvar entraAddresses", "var more is never used; use or remove it",
    ),
    "undeclared name": Mistake(
        APP, "    serverFarmId: plan.id", "    serverFarmId: plans.id",
        "plans is not declared; declare it or correct the name",
    ),
    "no description": Mistake(
        APP, "@description('Name of the function app.')\n", "",
        "name has no description; write @description('…') above output name", (APP, "output name"),
    ),
    "empty description": Mistake(
        VAULT, "@description('Region.')", "@description(' ')",
        "location has no description; write @description('…') above param location", (VAULT, "param location"),
    ),
    "unknown output of a module": Mistake(
        MAIN, "workspaceId: monitoring.outputs.workspaceId", "workspaceId: monitoring.outputs.workspace",
        "infra/modules/monitoring.bicep has no output workspace; declare it there or correct the name",
    ),
    "unread output": Mistake(
        VAULT, "@description('Resource id.", "@description('x')\noutput more string = vault.name\n\n@description('Id.",
        "output more is never read; read or remove it", (VAULT, "output more"),
    ),
    "missing output": Mistake(
        MAIN, "output SCIM_TENANT_URL", "output SCIM_URL",
        "output SCIM_TENANT_URL is missing, which azd, its hook or the admin reads; add it", (MAIN, ""),
    ),
    "missing file": Mistake(
        ALERTS, "'../queries/storage.kql'", "'../queries/store.kql'",
        "../queries/store.kql does not exist; give the path of a file from this file's folder",
    ),
    "key of an account": Mistake(
        STORAGE, "= host.name", "= host.listKeys().keys[0].value",
        "listKeys() puts a secret into a deployment; give an identity a role instead",
    ),
    # main.parameters.json
    "value of no param": Mistake(
        PARAMETERS, '"tableLogs": {', '"tableLog": {',
        "infra/main.bicep has no param tableLog; remove it or correct the name",
    ),
    "param without a value": Mistake(
        PARAMETERS, '"location": { "value": "${AZURE_LOCATION}" },', "",
        "param location has no default and no value; add it", (PARAMETERS, ""),
    ),
    "two defaults": Mistake(
        PARAMETERS, "${SCIM_PAGE_SIZE=100}", "${SCIM_PAGE_SIZE=10}",
        "SCIM_PAGE_SIZE has another default than param pageSize; write ${SCIM_PAGE_SIZE=100}",
    ),
    "two defaults of a switch": Mistake(
        PARAMETERS, "${SCIM_VNET_ENABLED=false}", "${SCIM_VNET_ENABLED=true}",
        "SCIM_VNET_ENABLED has another default than param vnetEnabled; write ${SCIM_VNET_ENABLED=false}",
    ),
    "two names": Mistake(
        PARAMETERS, "${SCIM_PAGE_SIZE=100}", "${PAGE_SIZE=100}",
        "param pageSize comes from PAGE_SIZE; call it SCIM_PAGE_SIZE, as the setting is called",
    ),
    # resources
    "property of the site": Mistake(
        APP, "perInstanceConcurrency: perInstanceConcurrency", "perInstanceConcurency: perInstanceConcurrency",
        "properties.functionAppConfig.scaleAndConcurrency.triggers.http.perInstanceConcurency is no property that "
        "Azure knows; did you mean perInstanceConcurrency?",
    ),
    "property in a variable": Mistake(
        STORAGE, "  allowCrossTenantReplication: false", "  allowCrossTenantReplicaton: false",
        "properties.allowCrossTenantReplicaton is no property that Azure knows; "
        "did you mean allowCrossTenantReplication?",
    ),
    "property in a branch": Mistake(
        APP, "            instanceCount: alwaysReadyInstances", "            instances: alwaysReadyInstances",
        "properties.functionAppConfig.scaleAndConcurrency.alwaysReady.instances is no property that Azure knows; "
        "did you mean instanceCount?",
    ),
    "property in a list of a variable": Mistake(
        APP, "    tag: 'ServiceTag'", "    tags: 'ServiceTag'",
        "properties.siteConfig.ipSecurityRestrictions.tags is no property that Azure knows; did you mean tag?",
    ),
    "property of the plan": Mistake(
        APP, "    reserved: true", "    linux: true", "properties.linux is no property that Azure knows; remove it",
    ),
    "property of the vault": Mistake(
        VAULT, "    enableSoftDelete: true", "    enableSoftDelete: true\n    enableRbacAuthorisation: true",
        "properties.enableRbacAuthorisation is no property that Azure knows; did you mean enableRbacAuthorization?",
    ),
    "property of the container": Mistake(
        STORAGE, "    publicAccess: 'None'", "    publicAcces: 'None'",
        "properties.publicAcces is no property that Azure knows; did you mean publicAccess?",
    ),
    "property of the workspace": Mistake(
        MONITORING, "    retentionInDays: retentionDays", "    retentionDays: retentionDays",
        "properties.retentionDays is no property that Azure knows; did you mean retentionInDays?",
    ),
    "property of the component": Mistake(
        MONITORING, "    WorkspaceResourceId: workspace.id", "    WorkspaceId: workspace.id",
        "properties.WorkspaceId is no property that Azure knows; did you mean WorkspaceResourceId?",
    ),
    "property of the workbook": Mistake(
        MONITORING, "    serializedData: replace", "    data: replace",
        "properties.data is no property that Azure knows; remove it",
    ),
    "property of a subnet": Mistake(
        NETWORK, "privateEndpointNetworkPolicies: 'Disabled'", "endpointNetworkPolicies: 'Disabled'",
        "properties.subnets.properties.endpointNetworkPolicies is no property that Azure knows; "
        "did you mean privateEndpointNetworkPolicies?",
    ),
    "property of a private endpoint, in a loop": Mistake(
        NETWORK, "          privateLinkServiceId: endpoint.service", "          serviceId: endpoint.service",
        "properties.privateLinkServiceConnections.properties.serviceId is no property that Azure knows; remove it",
    ),
    "property of a query rule": Mistake(
        ALERTS, "            minFailingPeriodsToAlert: 1", "            minFailingPeriods: 1",
        "properties.criteria.allOf.failingPeriods.minFailingPeriods is no property that Azure knows; "
        "did you mean minFailingPeriodsToAlert?",
    ),
    "property of a metric alert": Mistake(
        ALERTS, "          metricNamespace: ", "          namespace: ",
        "properties.criteria.allOf.namespace is no property that Azure knows; did you mean metricNamespace?",
    ),
    "property of an action group": Mistake(
        ALERTS, "        emailAddress: email", "        address: email",
        "properties.emailReceivers.address is no property that Azure knows; did you mean emailAddress?",
    ),
    "property of a role assignment": Mistake(
        VAULT, "    principalType: 'ServicePrincipal'", "    principleType: 'ServicePrincipal'",
        "properties.principleType is no property that Azure knows; did you mean principalType?",
    ),
    "property of a diagnostic setting": Mistake(
        VAULT, "        categoryGroup: 'audit'", "        group: 'audit'",
        "properties.logs.group is no property that Azure knows; remove it",
    ),
    "property beside properties": Mistake(
        APP, "    reserved: true\n  }\n", "    reserved: true\n  }\n  zone: '1'\n",
        "zone is no property that Azure knows; remove it",
    ),
    "text for a number": Mistake(
        ALERTS, "    severity: 3\n", "    severity: '3'\n", "properties.severity takes a number, not a string",
    ),
    "object for a list": Mistake(
        NETWORK, "        addressPrefixes: [\n        '10.0.0.0/16'\n      ]".replace("        a", "      a"),
        "      addressPrefixes: {\n        first: '10.0.0.0/16'\n      }",
        "properties.addressSpace.addressPrefixes takes an array, not an object",
    ),
    "value of an enumeration": Mistake(
        APP, "    type: 'UserAssigned'\n", "    type: 'User'\n",
        "identity.type cannot be 'User'; it is one of "
        "'none', 'systemassigned', 'systemassigned, userassigned', 'userassigned'",
    ),
    "two API versions": Mistake(
        STORAGE, "Microsoft.Storage/storageAccounts@2024-01-01", "Microsoft.Storage/storageAccounts@2023-05-01",
        "Microsoft.Storage/storageAccounts in API version 2024-01-01: infra/modules/storage.bicep has 2023-05-01; "
        "use one version everywhere", (STORAGE, "resource data "),
    ),
    "no API version": Mistake(
        APP, "Microsoft.Web/serverfarms@2024-04-01", "Microsoft.Web/serverfarms@2024-4",
        "2024-4 is no API version; write one such as 2024-04-01",
    ),
    "resource without a model": Mistake(
        MONITORING, "Microsoft.Insights/workbooks@2023-06-01", "Microsoft.Insights/books@2023-06-01",
        "no model of Microsoft.Insights/books is known; name its class in dev/bicep/arm.py",
    ),
    "account with keys": Mistake(
        STORAGE, "  allowSharedKeyAccess: false\n", "  allowSharedKeyAccess: true\n",
        "properties.allowSharedKeyAccess must be false; write so",
    ),
    "site with FTP": Mistake(
        APP, "ftpsState: 'Disabled'", "ftpsState: 'FtpsOnly'",
        "properties.siteConfig.ftpsState must be 'Disabled'; write so",
    ),
    "vault that can be purged": Mistake(
        VAULT, "    enablePurgeProtection: true\n", "",
        "properties.enablePurgeProtection must be true; write so", (VAULT, "resource vault "),
    ),
    "publishing with a password": Mistake(
        APP, "    allow: false", "    allow: true", "properties.allow must be false; write so",
    ),
    # roles
    "wrong role": Mistake(
        VAULT, "'4633458b-17de-408a-b874-0445c86b69e6'", "'21090545-7ca7-4776-b22c-e363652d74d2'",
        "21090545-7ca7-4776-b22c-e363652d74d2 is Key Vault Reader; give it to var keyVaultReader and use that",
    ),
    "unknown role": Mistake(
        STORAGE, "'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'", "'b7e6dc6d-f1e8-4753-8033-0f276bb0955c'",
        "b7e6dc6d-f1e8-4753-8033-0f276bb0955c is no role that is known; correct it, or add it to dev/bicep/roles.py",
    ),
    "role in the middle": Mistake(
        MONITORING, "roleDefinitions', monitoringMetricsPublisher)",
        "roleDefinitions', '3913510d-42f4-4e42-8a64-420c390055eb')",
        "3913510d-42f4-4e42-8a64-420c390055eb is Monitoring Metrics Publisher; "
        "give it to var monitoringMetricsPublisher and use that",
    ),
    # settings
    "setting that Flex refuses": Mistake(
        APP, "  AzureWebJobsDisableHomepage: 'true'", "  FUNCTIONS_WORKER_RUNTIME: 'python'",
        "FUNCTIONS_WORKER_RUNTIME is refused or ignored by Flex Consumption; say so in functionAppConfig.runtime",
    ),
    "property that Flex refuses": Mistake(
        APP, "      http20Enabled: true", "      linuxFxVersion: 'PYTHON|3.13'",
        "linuxFxVersion is refused or ignored by Flex Consumption; say so in functionAppConfig.runtime",
    ),
    "setting that is not set": Mistake(
        MAIN, "      SCIM_TABLE_NAME: tableName\n", "",
        "SCIM_TABLE_NAME, which the app reads, is not set; add it to the app's settings", (MAIN, ""),
    ),
    "setting that nobody reads": Mistake(
        MAIN, "      SCIM_TABLE_NAME: tableName\n", "      SCIM_TABLE_NAME: tableName\n      SCIM_TABEL: tableName\n",
        "SCIM_TABEL is no setting of the app; remove it or correct the name",
    ),
    "setting with a secret": Mistake(
        MAIN, "      SCIM_TABLE_NAME: tableName\n",
        "      SCIM_TABLE_NAME: tableName\n      SCIM_CONNECTIONS: '{}'\n",
        "SCIM_CONNECTIONS is for local use: it holds secrets; remove it",
    ),
    "another bound than the app's": Mistake(
        MAIN, "@minValue(60)\n@maxValue(360)\n", "@minValue(5)\n@maxValue(360)\n",
        "SCIM_TOKEN_MINUTES has @minValue(60), tokenMinutes @minValue(5); take that", (MAIN, "param tokenMinutes"),
    ),
    # queries
    "column of no query": Mistake(
        ALERTS, "column: 'failedPercent'", "column: 'failedPercentage'",
        "../queries/provisioning.kql has no column failedPercentage; correct the name",
    ),
    "dimension of no query": Mistake(
        ALERTS, "dimension: 'connection'", "dimension: 'customer'",
        "../queries/auth-failures.kql has no column customer; correct the name",
    ),
    "workbook that is older": Mistake(
        WORKBOOK, '"What fails"', '"What failed"', REBUILD,
    ),
    "workbook that is no JSON": Mistake(
        WORKBOOK, '"version": "Notebook/1.0",', '"version": "Notebook/1.0"',
        "is no JSON; run python -m dev.bicep.workbook", (WORKBOOK, '"items"'),
    ),
    # files
    "azure.yaml that is no YAML": Mistake(
        "azure.yaml", "    project: .", "    project: [.", "is no YAML: expected ',' or ']', but got ':'; correct it",
        ("azure.yaml", "host: function"),
    ),
    "service without a resource": Mistake(
        "azure.yaml", "  api:", "  scim:", "no resource has the tag azd-service-name: scim; tag it so",
    ),
    "service of another kind": Mistake(
        "azure.yaml", "    host: function", "    host: appservice", "service api must have host: function",
        ("azure.yaml", "  api:"),
    ),
    "hook elsewhere": Mistake(
        "azure.yaml", "run: python3 infra/hooks/first_connection.py", "run: python3 infra/hooks/connection.py",
        "infra/hooks/connection.py does not exist; correct the path",
    ),
    "key twice": Mistake(
        CI, "    timeout-minutes: 10", "    timeout-minutes: 10\n    runs-on: ubuntu-latest",
        "is no YAML: runs-on stands in it twice; correct it", (CI, "runs-on: ubuntu-latest\n    env:"),
    ),
    "job without an end": Mistake(
        CI, "    timeout-minutes: 10\n", "", "job bicep has no timeout-minutes; add it", (CI, "  bicep:"),
    ),
    "step without a command": Mistake(
        CI, "      - run: bicep lint infra/main.bicep", "      - name: lint",
        "a step of job bicep needs either run or uses; give it one", (CI, "  bicep:"),
    ),
    "container that is no JSON": Mistake(
        CONTAINER, '"forwardPorts": [7071],', '"forwardPorts": [7071]', "is no JSON here; correct it",
        (CONTAINER, '"portsAttributes"'),
    ),
}  # fmt: skip
