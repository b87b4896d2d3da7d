// The storage account of the users and groups. It has no keys that work. The table is made here: the app never makes one.

import { protect } from 'protection.bicep'

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Redundancy of the data account.')
param dataRedundancy string

@description('Name of the table of all tenants.')
param tableName string

@description('Name of the queue that tells which tenant has news.')
param queueName string

@description('Whether the account can be reached from outside of the virtual network.')
param publicAccess bool

@description('Object id of the identity of the app.')
param identityPrincipalId string

@description('Object id of the identity of the console, if it has an app of its own, else empty.')
param consolePrincipalId string

@description('Object id of who deploys, empty for nobody.')
param deployerId string

@description('Kind of deployerId.')
param deployerType string

@description('Log every read and write of the table.')
param tableLogs bool

@description('Resource id of the workspace that takes the logs.')
param workspaceId string

var storageTableDataContributor = '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
var storageQueueDataMessageSender = 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
var storageTableDataReader = '76199698-9eea-4c19-bc75-cec21354c6b6'

resource data 'Microsoft.Storage/storageAccounts@2025-06-01' = {
  name: 'stscim${token}'
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: {
    name: dataRedundancy
  }
  properties: protect(publicAccess)
}

resource tables 'Microsoft.Storage/storageAccounts/tableServices@2025-06-01' = {
  parent: data
  name: 'default'
}

resource table 'Microsoft.Storage/storageAccounts/tableServices/tables@2025-06-01' = {
  parent: tables
  name: tableName
}

// It costs nothing while nobody rings. Who reads it gets Storage Queue Data Message Processor on it.
resource queues 'Microsoft.Storage/storageAccounts/queueServices@2025-06-01' = {
  parent: data
  name: 'default'
}

resource doorbell 'Microsoft.Storage/storageAccounts/queueServices/queues@2025-06-01' = {
  parent: queues
  name: queueName
}

// The roles are on the account, which holds this table alone: a transaction goes to /$batch, which names no table.
resource tableContributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: data
  name: guid(data.id, identityPrincipalId, storageTableDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource consoleContributor 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(consolePrincipalId)) {
  scope: data
  name: guid(data.id, consolePrincipalId, storageTableDataContributor)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataContributor)
    principalId: consolePrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource doorbellSender 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: doorbell
  name: guid(doorbell.id, identityPrincipalId, storageQueueDataMessageSender)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageQueueDataMessageSender)
    principalId: identityPrincipalId
    principalType: 'ServicePrincipal'
  }
}

resource tableReader 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(deployerId)) {
  scope: data
  name: guid(data.id, deployerId, storageTableDataReader)
  properties: {
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', storageTableDataReader)
    principalId: deployerId
    principalType: deployerType
  }
}

#disable-next-line use-recent-api-versions // the version that everybody uses: the only one that is newer is a preview too
resource tableDiagnostics 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (tableLogs) {
  scope: tables
  name: 'table-logs'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'StorageRead'
        enabled: true
      }
      {
        category: 'StorageWrite'
        enabled: true
      }
      {
        category: 'StorageDelete'
        enabled: true
      }
    ]
  }
}

@description('Resource id of the account of users and groups.')
output dataAccountId string = data.id

@description('Resource id of its table service.')
output tableServiceId string = tables.id

@description('Its table endpoint, without a slash at the end.')
output tableEndpoint string = 'https://${data.name}.table.${environment().suffixes.storage}'

@description('Its queue endpoint, without a slash at the end.')
output queueEndpoint string = 'https://${data.name}.queue.${environment().suffixes.storage}'
