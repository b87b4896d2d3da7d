// The whole deployment: a resource group and everything in it. Only the environment's name and the region are asked
// for; main.parameters.json takes every other value from the azd environment, under the name of the app setting.

targetScope = 'subscription'

@description('Name of the environment: it names the resource group and is part of every generated name.')
@minLength(1)
@maxLength(40)
param environmentName string

// The regions with the Flex Consumption plan, so that azd offers no other. Azure adds some now and then:
// az functionapp list-flexconsumption-locations --runtime python --query '[].name' -o tsv | sort
@description('Region of all resources; it must offer the Flex Consumption plan.')
@allowed([
  'australiaeast'
  'australiasoutheast'
  'brazilsouth'
  'canadacentral'
  'centralindia'
  'centralus'
  'eastasia'
  'eastus'
  'eastus2'
  'eastus2euap'
  'francecentral'
  'germanywestcentral'
  'italynorth'
  'japaneast'
  'koreacentral'
  'northcentralus'
  'northeurope'
  'norwayeast'
  'southafricanorth'
  'southcentralus'
  'southeastasia'
  'southindia'
  'spaincentral'
  'swedencentral'
  'uaenorth'
  'uksouth'
  'ukwest'
  'westcentralus'
  'westeurope'
  'westus'
  'westus2'
  'westus3'
])
@metadata({
  azd: {
    type: 'location'
  }
})
param location string

@description('Object id of who deploys: may write connections to the vault and read when credentials were last used. Empty for nobody.')
param principalId string = ''

@description('Kind of principalId: a person, or the service principal of a pipeline.')
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param principalType string = 'User'

// ---- Scale ----

@description('Memory of an instance in MB, and with it its share of a core.')
@allowed([
  512
  2048
  4096
])
param instanceMemoryMB int = 2048

@description('Requests that one instance serves at the same time. The platform starts Python with one, an instance for each request.')
@minValue(1)
@maxValue(1000)
param perInstanceConcurrency int = 16

@description('HTTP instances that are always running. 0 costs nothing while idle and pays with cold starts.')
@minValue(0)
param alwaysReadyInstances int = 0

@description('Instances at the most.')
@minValue(40)
@maxValue(1000)
param maximumInstanceCount int = 100

@description('Redundancy of the account that holds the users and groups. Zone redundancy is not offered in every region.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_RAGRS'
  'Standard_GZRS'
  'Standard_RAGZRS'
])
param dataRedundancy string = 'Standard_LRS'

// ---- Network ----

@description('Put storage and vault behind private endpoints in a virtual network, closed to the internet. The SCIM endpoint stays public.')
param vnetEnabled bool = false

@description('Let only the addresses of Microsoft Entra ID (service tag AzureActiveDirectory) reach the endpoint. It does not replace credentials.')
param entraOnly bool = false

@description('With entraOnly, addresses that your own application comes from, such as 203.0.113.7/32, with commas between.')
param applicationAddresses string = ''

// ---- Operation ----

@description('Who is told of alerts, by e-mail. Empty: alerts are shown in Azure Monitor and nobody is told.')
param alertEmail string = ''

@description('GB of logs a day, after which Azure drops what comes until the next day; -1 for no limit. An alert tells it at 80 %.')
@minValue(-1)
param dailyLogGb int = 10

@description('Days that logs are kept.')
@minValue(30)
@maxValue(730)
param logRetentionDays int = 30

@description('Log every read and write of the table. Row keys are in that log, and user names are in row keys.')
param tableLogs bool = false

@description('recover brings back the vault of a deployment that was deleted within the last 90 days, with its connections.')
@allowed([
  'default'
  'recover'
])
param vaultCreateMode string = 'default'

// ---- The app's settings (docs/settings.md), with its own defaults ----

@description('The table of all tenants.')
@minLength(3)
@maxLength(63)
param tableName string = 'scim'

@description('The tenant URL that clients use, such as https://scim.example.com/scim, where it is not the one of the function app.')
param publicUrl string = ''

@description('Minutes that an access token is good for; Entra asks for 60 at least.')
@minValue(5)
@maxValue(360)
param tokenMinutes int = 60

@description('Minutes that known connections and keys go on while Key Vault or an issuer is away; then 503.')
@minValue(5)
@maxValue(1440)
param outageMinutes int = 240

@description('Where the public keys for the tokens of Entra itself are, if it is not the public cloud\'s Entra.')
param entraKeysUrl string = ''

@description('Minutes between two records of when a credential was last used; 0 for none.')
@minValue(0)
@maxValue(1440)
param usageMinutes int = 60

@description('Requests a second of one tenant in one process, before 429; 0 for no limit.')
@minValue(0)
param tenantRate int = 400

@description('Users, groups and other resources of one tenant; 0 for no quota.')
@minValue(0)
param tenantResources int = 1000000

@description('Memberships of all groups of one tenant; 0 for no quota.')
@minValue(0)
param tenantMembers int = 10000000

@description('Megabytes of one tenant in the table; 0 for no quota.')
@minValue(0)
param tenantMegabytes int = 20000

@description('Seconds between two writes of what was counted of a tenant; 0 keeps neither counters nor who was refused.')
@minValue(0)
@maxValue(300)
param insightSeconds int = 5

@description('Whether there is the console: a function app of its own, whose identity alone of the two may write the vault.')
param console bool = false

@description('Where the console is, such as https://console.example.com/console, if it is not on the host of its function app.')
param consoleUrl string = ''

@description('Addresses that may open the console, such as 203.0.113.7/32, with commas between; empty for all.')
param consoleAddresses string = ''

@description('The OpenID provider that operators sign in to the console at; empty for Entra and the directory of the subscription.')
param consoleOperatorsIssuer string = ''

@description('What the console is registered as there; empty if operators come by links alone.')
param consoleOperatorsClientId string = ''

@description('The OpenID provider that admins of customers sign in to the console at; empty for Entra and any directory.')
param consoleCustomersIssuer string = ''

@description('What the console is registered as there; empty if admins come by links alone.')
param consoleCustomersClientId string = ''

@description('From which directory the admins of a tenant sign in: contoso=ID,fabrikam=ID.')
param consoleDirectories string = ''

@description('Whether every change is told to the change feed; what is written while it is off never is.')
param feed bool = true

@description('Days that the change feed keeps an event.')
@minValue(1)
@maxValue(365)
param feedDays int = 30

@description('Seconds between two runs of the change feed for one tenant behind the responses of one process; 0 for none.')
@minValue(0)
@maxValue(300)
param feedSeconds int = 1

@description('Whether a message in the queue tells which tenant of the change feed has news.')
param doorbell bool = false

@description('The queue of those messages.')
@minLength(3)
@maxLength(63)
param doorbellQueue string = 'scim-feed'

@description('Users disabled and resources deleted of one tenant in an hour, before the event mass_change and its alert.')
@minValue(1)
param massChanges int = 100

@description('Refused requests a minute of one source address in one process, before 429 in place of the refusal; 0 for no limit.')
@minValue(0)
param addressRefusals int = 60

@description('Proxies of your own in front of the function app (Front Door, API Management), each of which adds its caller to X-Forwarded-For.')
@minValue(0)
@maxValue(5)
param proxies int = 0

@description('Seconds that a request may take before 503; less than functionTimeout in host.json.')
@minValue(5)
@maxValue(200)
param requestSeconds int = 90

@description('Bytes of a request body.')
@minValue(1024)
param maxBodyBytes int = 1048576

@description('Bytes of a request body for a group.')
@minValue(1024)
param maxGroupBodyBytes int = 8388608

@description('Bytes of the body of a bulk request.')
@minValue(1024)
param maxBulkBytes int = 8388608

@description('Operations of one bulk request.')
@minValue(1)
param maxBulkOperations int = 1000

@description('Levels of nesting in a request body.')
@minValue(4)
@maxValue(200)
param maxJsonDepth int = 32

@description('Characters of a filter in the body of a .search; of one in a URL 8192.')
@minValue(64)
param maxFilterLength int = 65536

@description('Levels of nesting in a filter.')
@minValue(1)
@maxValue(100)
param maxFilterDepth int = 32

@description('Operations of one PATCH.')
@minValue(1)
param maxPatchOperations int = 1000

@description('Answer the PATCH of a group with 200 and the group, for clients that insist, else with 204.')
param groupPatchReturnsResource bool = false

@description('Resources on a page where the client names no count.')
@minValue(1)
@maxValue(1000)
param pageSize int = 100

@description('Resources on a page at the most.')
@minValue(1)
@maxValue(1000)
param maxPageSize int = 1000

@description('Resources read for a filter that no index serves, before 400 tooMany.')
@minValue(1)
param scanLimit int = 100000

@description('Resources sorted by an attribute without a fitting index, before 400 tooMany.')
@minValue(1)
param sortLimit int = 10000

@description('Folder of added schema documents, from the folder of the app.')
@minLength(1)
param schemasFolder string = 'schemas'

var token = toLower(uniqueString(subscription().id, environmentName, location))
var tags = {
  'azd-env-name': environmentName
}

resource group 'Microsoft.Resources/resourceGroups@2025-04-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

module identity 'modules/identity.bicep' = {
  name: 'identity'
  scope: group
  params: {
    name: 'id-scim-${token}'
    location: location
    tags: tags
  }
}

module consoleIdentity 'modules/identity.bicep' = if (console) {
  name: 'console-identity'
  scope: group
  params: {
    name: 'id-console-${token}'
    location: location
    tags: tags
  }
}

var consolePrincipalId = console ? consoleIdentity!.outputs.principalId : ''

// Names of role assignments hold the identity's principal id: one that is made anew gets assignments of its own. what-if does
// not know that id before and shows these assignments less precisely, which the linter says (what-if-short-circuiting).
module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    retentionDays: logRetentionDays
    dailyGb: dailyLogGb
    #disable-next-line what-if-short-circuiting // see above monitoring
    identityPrincipalId: identity.outputs.principalId
    #disable-next-line what-if-short-circuiting // see above monitoring
    consolePrincipalId: consolePrincipalId
  }
}

module host 'modules/host.bicep' = {
  name: 'host'
  scope: group
  params: {
    name: 'sthost${token}'
    location: location
    tags: tags
    publicAccess: !vnetEnabled
    #disable-next-line what-if-short-circuiting // see above monitoring
    identityPrincipalId: identity.outputs.principalId
  }
}

module consoleHost 'modules/host.bicep' = if (console) {
  name: 'console-host'
  scope: group
  params: {
    name: 'stconsole${token}'
    location: location
    tags: tags
    publicAccess: !vnetEnabled
    #disable-next-line what-if-short-circuiting // see above monitoring
    identityPrincipalId: consolePrincipalId
  }
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    dataRedundancy: dataRedundancy
    tableName: tableName
    queueName: doorbellQueue
    publicAccess: !vnetEnabled
    #disable-next-line what-if-short-circuiting // see above monitoring
    identityPrincipalId: identity.outputs.principalId
    #disable-next-line what-if-short-circuiting // see above monitoring
    consolePrincipalId: consolePrincipalId
    deployerId: principalId
    deployerType: principalType
    tableLogs: tableLogs
    workspaceId: monitoring.outputs.workspaceId
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  scope: group
  params: {
    name: 'kv-${token}'
    location: location
    tags: tags
    createMode: vaultCreateMode
    publicAccess: !vnetEnabled
    #disable-next-line what-if-short-circuiting // see above monitoring
    identityPrincipalId: identity.outputs.principalId
    #disable-next-line what-if-short-circuiting // see above monitoring
    consolePrincipalId: consolePrincipalId
    deployerId: principalId
    deployerType: principalType
    workspaceId: monitoring.outputs.workspaceId
  }
}

module network 'modules/network.bicep' = if (vnetEnabled) {
  name: 'network'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    hostAccountId: host.outputs.accountId
    consoleHostAccountId: console ? consoleHost!.outputs.accountId : ''
    dataAccountId: storage.outputs.dataAccountId
    vaultId: vault.outputs.id
    doorbell: doorbell
  }
}

module app 'modules/app.bicep' = {
  name: 'app'
  scope: group
  params: {
    service: 'api'
    part: 'scim'
    entryFile: ''
    token: token
    location: location
    tags: tags
    identityId: identity.outputs.id
    identityClientId: identity.outputs.clientId
    hostAccountName: host.outputs.accountName
    packageContainerUrl: host.outputs.packageContainerUrl
    componentConnectionString: monitoring.outputs.connectionString
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
    entraOnly: entraOnly
    allowedAddresses: entraOnly ? applicationAddresses : ''
    instanceMemoryMB: instanceMemoryMB
    perInstanceConcurrency: perInstanceConcurrency
    alwaysReadyInstances: alwaysReadyInstances
    maximumInstanceCount: maximumInstanceCount
    largestBody: largestBody
    publicUrl: publicUrl
    consoleUrl: ''
    settings: union(settings, {
      SCIM_IDENTITY_CLIENT_ID: identity.outputs.clientId
      SCIM_CONSOLE: 'false'
    })
  }
}

module consoleApp 'modules/app.bicep' = if (console) {
  name: 'console-app'
  scope: group
  params: {
    service: 'console'
    part: 'console'
    entryFile: 'console_app.py'
    token: token
    location: location
    tags: tags
    identityId: consoleIdentity!.outputs.id
    identityClientId: consoleIdentity!.outputs.clientId
    hostAccountName: consoleHost!.outputs.accountName
    packageContainerUrl: consoleHost!.outputs.packageContainerUrl
    componentConnectionString: monitoring.outputs.connectionString
    subnetId: vnetEnabled ? network!.outputs.appSubnetId : ''
    entraOnly: false
    allowedAddresses: consoleAddresses
    instanceMemoryMB: instanceMemoryMB
    perInstanceConcurrency: perInstanceConcurrency
    alwaysReadyInstances: 0
    maximumInstanceCount: 40
    largestBody: largestBody
    publicUrl: app.outputs.publicUrl
    consoleUrl: consoleUrl
    settings: union(settings, {
      SCIM_IDENTITY_CLIENT_ID: consoleIdentity!.outputs.clientId
      SCIM_CONSOLE: 'true'
      SCIM_DOORBELL_ENDPOINT: ''
    })
  }
}

// Where people sign in to the console, unless told otherwise. Entra takes the identity of the console for a client secret.
var entra = environment().authentication.loginEndpoint
var operatorsIssuer = empty(consoleOperatorsIssuer) ? '${entra}${tenant().tenantId}/v2.0' : consoleOperatorsIssuer
var customersIssuer = empty(consoleCustomersIssuer) ? '${entra}organizations/v2.0' : consoleCustomersIssuer

// What both apps are told; what differs is set beside it.
var largestBody = max(maxBodyBytes, maxGroupBodyBytes, maxBulkBytes)
var settings = {
  SCIM_TABLE_ENDPOINT: storage.outputs.tableEndpoint
  SCIM_TABLE_NAME: tableName
  SCIM_KEY_VAULT_URL: vault.outputs.url
  SCIM_TOKEN_MINUTES: string(tokenMinutes)
  SCIM_USAGE_MINUTES: string(usageMinutes)
  SCIM_OUTAGE_MINUTES: string(outageMinutes)
  SCIM_ENTRA_KEYS_URL: entraKeysUrl
  SCIM_TENANT_RATE: string(tenantRate)
  SCIM_TENANT_RESOURCES: string(tenantResources)
  SCIM_TENANT_MEMBERS: string(tenantMembers)
  SCIM_TENANT_MEGABYTES: string(tenantMegabytes)
  SCIM_INSIGHT_SECONDS: string(insightSeconds)
  SCIM_CONSOLE_OPERATORS_ISSUER: empty(consoleOperatorsClientId) ? '' : operatorsIssuer
  SCIM_CONSOLE_OPERATORS_CLIENT_ID: consoleOperatorsClientId
  SCIM_CONSOLE_CUSTOMERS_ISSUER: empty(consoleCustomersClientId) ? '' : customersIssuer
  SCIM_CONSOLE_CUSTOMERS_CLIENT_ID: consoleCustomersClientId
  SCIM_CONSOLE_DIRECTORIES: consoleDirectories
  SCIM_FEED: string(feed)
  SCIM_FEED_DAYS: string(feedDays)
  SCIM_FEED_SECONDS: string(feedSeconds)
  SCIM_DOORBELL_ENDPOINT: doorbell ? storage.outputs.queueEndpoint : ''
  SCIM_DOORBELL_QUEUE: doorbellQueue
  SCIM_MASS_CHANGES: string(massChanges)
  SCIM_ADDRESS_REFUSALS: string(addressRefusals)
  SCIM_PROXIES: string(proxies)
  SCIM_REQUEST_SECONDS: string(requestSeconds)
  SCIM_MAX_BODY_BYTES: string(maxBodyBytes)
  SCIM_MAX_GROUP_BODY_BYTES: string(maxGroupBodyBytes)
  SCIM_MAX_BULK_BYTES: string(maxBulkBytes)
  SCIM_MAX_BULK_OPERATIONS: string(maxBulkOperations)
  SCIM_MAX_JSON_DEPTH: string(maxJsonDepth)
  SCIM_MAX_FILTER_LENGTH: string(maxFilterLength)
  SCIM_MAX_FILTER_DEPTH: string(maxFilterDepth)
  SCIM_MAX_PATCH_OPERATIONS: string(maxPatchOperations)
  SCIM_GROUP_PATCH_RETURNS_RESOURCE: string(groupPatchReturnsResource)
  SCIM_PAGE_SIZE: string(pageSize)
  SCIM_MAX_PAGE_SIZE: string(maxPageSize)
  SCIM_SCAN_LIMIT: string(scanLimit)
  SCIM_SORT_LIMIT: string(sortLimit)
  SCIM_SCHEMAS_FOLDER: schemasFolder
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  scope: group
  params: {
    token: token
    location: location
    tags: tags
    email: alertEmail
    componentId: monitoring.outputs.componentId
    workspaceId: monitoring.outputs.workspaceId
    dailyLogGb: dailyLogGb
    tableServiceId: storage.outputs.tableServiceId
    massChanges: massChanges
  }
}

var base = substring(app.outputs.publicUrl, 0, max(0, length(app.outputs.publicUrl) - length('/scim')))

@description('Region of the deployment.')
output AZURE_LOCATION string = location

@description('The Entra tenant of the subscription.')
output AZURE_TENANT_ID string = tenant().tenantId

@description('Resource group of the deployment.')
output AZURE_RESOURCE_GROUP string = group.name

@description('Name of the function app, for func azure functionapp publish.')
output AZURE_FUNCTION_APP_NAME string = app.outputs.name

@description('Name of the Application Insights resource: its workbook shows how provisioning goes.')
output AZURE_APPLICATION_INSIGHTS_NAME string = monitoring.outputs.componentName

@description('What the admin types as Tenant URL in Entra.')
output SCIM_TENANT_URL string = app.outputs.publicUrl

@description('Object id of the identity of the console, if there is one: the subject of the federated credential of its registration.')
output AZURE_CONSOLE_PRINCIPAL_ID string = consolePrincipalId

@description('Where the console is, if there is one.')
output AZURE_CONSOLE_URL string = console ? consoleApp!.outputs.consoleUrl : ''

@description('What the admin types as token endpoint in Entra.')
output SCIM_TOKEN_ENDPOINT string = '${base}/oauth2/token'

@description('The vault that holds the connections.')
output SCIM_KEY_VAULT_URL string = vault.outputs.url

@description('Table endpoint of the account that holds users and groups.')
output SCIM_TABLE_ENDPOINT string = storage.outputs.tableEndpoint

@description('The table of all tenants.')
output SCIM_TABLE_NAME string = tableName

@description('Whether vault and storage can be reached only from the virtual network.')
output SCIM_VNET_ENABLED bool = vnetEnabled

@description('Whether only the addresses of Microsoft Entra ID reach the endpoint.')
output SCIM_ENTRA_ONLY bool = entraOnly
