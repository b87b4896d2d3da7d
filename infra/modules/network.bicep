// The optional virtual network: one subnet that the app sends from, one for the private endpoints of storage and vault.

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Resource id of the account of the Functions host.')
param hostAccountId string

@description('Resource id of the account of users and groups.')
param dataAccountId string

@description('Resource id of the account of the host of the console, if it has an app of its own, else empty.')
param consoleHostAccountId string

@description('Resource id of the vault.')
param vaultId string

@description('Whether the app rings in a queue of that account.')
param doorbell bool

// The names of what is behind an endpoint are in the zone of its kind; the two accounts of hosts share theirs.
var zoned = concat(always, doorbell ? [queue] : [])
var endpoints = concat(zoned, empty(consoleHostAccountId) ? [] : [consoleHost])
var consoleHost = {
  name: 'console-blob'
  service: consoleHostAccountId
  group: 'blob'
  zone: 'privatelink.blob.${environment().suffixes.storage}'
}
var queue = {
  name: 'queue'
  service: dataAccountId
  group: 'queue'
  zone: 'privatelink.queue.${environment().suffixes.storage}'
}
var always = [
  {
    name: 'blob'
    service: hostAccountId
    group: 'blob'
    zone: 'privatelink.blob.${environment().suffixes.storage}'
  }
  {
    name: 'table'
    service: dataAccountId
    group: 'table'
    zone: 'privatelink.table.${environment().suffixes.storage}'
  }
  {
    name: 'vault'
    service: vaultId
    group: 'vault'
    zone: 'privatelink.vaultcore.azure.net'
  }
]

resource vnet 'Microsoft.Network/virtualNetworks@2025-05-01' = {
  name: 'vnet-scim-${token}'
  location: location
  tags: tags
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.0.0.0/16'
      ]
    }
    subnets: [
      {
        name: 'app'
        properties: {
          addressPrefix: '10.0.0.0/24'
          delegations: [
            {
              name: 'functions'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: '10.0.1.0/24'
          privateEndpointNetworkPolicies: 'Disabled'
        }
      }
    ]
  }

  resource appSubnet 'subnets' existing = {
    name: 'app'
  }

  resource endpointSubnet 'subnets' existing = {
    name: 'endpoints'
  }
}

resource zones 'Microsoft.Network/privateDnsZones@2024-06-01' = [
  for endpoint in zoned: {
    name: endpoint.zone
    location: 'global'
    tags: tags
  }
]

resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = [
  for (endpoint, i) in zoned: {
    parent: zones[i]
    name: 'link-${endpoint.name}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: vnet.id
      }
    }
  }
]

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2025-05-01' = [
  for endpoint in endpoints: {
    name: 'pe-${endpoint.name}-${token}'
    location: location
    tags: tags
    properties: {
      subnet: {
        id: vnet::endpointSubnet.id
      }
      privateLinkServiceConnections: [
        {
          name: endpoint.name
          properties: {
            #disable-next-line use-resource-id-functions // it is a parameter, by way of the list of endpoints
            privateLinkServiceId: endpoint.service
            groupIds: [
              endpoint.group
            ]
          }
        }
      ]
    }
  }
]

resource records 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2025-05-01' = [
  for (endpoint, i) in endpoints: {
    parent: privateEndpoints[i]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        {
          name: endpoint.name
          properties: {
            privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', endpoint.zone)
          }
        }
      ]
    }
    dependsOn: [
      links
    ]
  }
]

@description('Resource id of the subnet that the app sends from.')
output appSubnetId string = vnet::appSubnet.id
