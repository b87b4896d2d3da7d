// A function app on its Flex Consumption plan, which holds one app alone. Everything it reaches, it reaches as its own
// identity. Both apps are made from one package: `entryFile` says which one this is.

@description('What azd calls the app in azure.yaml.')
param service string

@description('What the names of the plan and the app have in them.')
param part string

@description('The file whose functions are the app\'s, empty for function_app.py.')
param entryFile string

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the identity of the app.')
param identityId string

@description('Client id of the identity of the app.')
param identityClientId string

@description('Name of the storage account of the Functions host.')
param hostAccountName string

@description('Where the package of the app is kept.')
param packageContainerUrl string

@description('Where telemetry goes.')
param componentConnectionString string

@description('Resource id of the subnet that the app sends from, empty without a virtual network.')
param subnetId string

@description('Let only the addresses of Microsoft Entra ID in, and allowedAddresses.')
param entraOnly bool

@description('If there are any, or with entraOnly, addresses that may come in, with commas between.')
param allowedAddresses string

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Requests that one instance serves at the same time.')
param perInstanceConcurrency int

@description('HTTP instances that are always running.')
param alwaysReadyInstances int

@description('Instances at the most.')
param maximumInstanceCount int

@description('Bytes of the largest request body that the app takes.')
param largestBody int

@description('The tenant URL that clients use, where it is not the one of the function app; else empty.')
param publicUrl string

@description('Where the console is: empty for /console of this app.')
param consoleUrl string

@description('The settings of the app, by name.')
param settings object

// What the host and its telemetry need. The worker's runtime and version stand in functionAppConfig, never here.
var hostSettings = {
  AzureWebJobsStorage__accountName: hostAccountName
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identityClientId
  AzureWebJobsDisableHomepage: 'true'
  // The host reads a body before the app can refuse it, 100 MB by default: eight of those at once need more memory than an
  // instance has. 64 KiB more than the app takes, so that the app refuses what is just too large, with a text.
  FUNCTIONS_REQUEST_BODY_SIZE_LIMIT: string(largestBody + 65536)
  APPLICATIONINSIGHTS_CONNECTION_STRING: componentConnectionString
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identityClientId};Authorization=AAD'
}

var entra = [
  {
    name: 'Entra'
    description: 'Addresses that Microsoft Entra ID provisions from'
    action: 'Allow'
    priority: 100
    tag: 'ServiceTag'
    ipAddress: 'AzureActiveDirectory'
  }
]

var monitors = [
  {
    name: 'Monitors'
    description: 'Addresses that availability tests of Application Insights look at /health from'
    action: 'Allow'
    priority: 110
    tag: 'ServiceTag'
    ipAddress: 'ApplicationInsightsAvailability'
  }
]

var named = filter(map(split(allowedAddresses, ','), each => trim(each)), each => !empty(each))
var addresses = [
  for (address, index) in named: {
    name: 'Allowed ${index + 1}'
    description: 'Addresses that this deployment names'
    action: 'Allow'
    priority: 200 + index
    ipAddress: address
  }
]

var closed = entraOnly || !empty(named)

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: 'plan-${part}-${token}'
  location: location
  tags: tags
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource site 'Microsoft.Web/sites@2025-03-01' = {
  name: 'func-${part}-${token}'
  location: location
  tags: union(tags, {
    'azd-service-name': service
  })
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identityId
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: instanceMemoryMB
        maximumInstanceCount: maximumInstanceCount
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [
              {
                name: 'http'
                instanceCount: alwaysReadyInstances
              }
            ]
        triggers: {
          http: {
            perInstanceConcurrency: perInstanceConcurrency
          }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: closed ? 'Deny' : 'Allow'
      ipSecurityRestrictions: closed ? concat(entraOnly ? entra : [], monitors, addresses) : []
      scmIpSecurityRestrictionsUseMain: false
    }
  }
}

var tenantUrl = empty(publicUrl) ? 'https://${site.properties.defaultHostName}/scim' : publicUrl

var console = settings.SCIM_CONSOLE == 'true'
var consoleAddress = console && empty(consoleUrl) ? 'https://${site.properties.defaultHostName}/console' : consoleUrl

resource appSettings 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: site
  name: 'appsettings'
  // A URL of our own in every answer, so that no Host header of a stranger's decides what an answer links to.
  properties: union(
    hostSettings,
    empty(entryFile) ? {} : { PYTHON_SCRIPT_FILE_NAME: entryFile },
    settings,
    { SCIM_PUBLIC_URL: tenantUrl, SCIM_CONSOLE_URL: consoleAddress }
  )
}

// Who deploys has an Entra account: no passwords.
resource publishing 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'scm'
  properties: {
    allow: false
  }
}

resource ftp 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = {
  parent: site
  name: 'ftp'
  properties: {
    allow: false
  }
}

@description('Name of the function app.')
output name string = site.name

@description('The tenant URL that clients use.')
output publicUrl string = tenantUrl

@description('Where the console is, if this app has it or was told; else empty.')
output consoleUrl string = consoleAddress
