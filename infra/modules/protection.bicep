// What both kinds of storage account have in common: no keys that work, nothing public, TLS.

@export()
@description('The properties of a storage account, which can be reached from outside of the virtual network or not.')
func protect(publicAccess bool) resourceInput<'Microsoft.Storage/storageAccounts@2025-06-01'>.properties => {
  allowSharedKeyAccess: false
  allowBlobPublicAccess: false
  allowCrossTenantReplication: false
  defaultToOAuthAuthentication: true
  minimumTlsVersion: 'TLS1_2'
  supportsHttpsTrafficOnly: true
  publicNetworkAccess: publicAccess ? 'Enabled' : 'Disabled'
  networkAcls: {
    bypass: 'None'
    defaultAction: publicAccess ? 'Allow' : 'Deny'
  }
}
