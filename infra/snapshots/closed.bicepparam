// Everything that can be closed and told is: the private network, Entra's addresses alone, logs of the table, e-mail, the console.

using '../main.bicep'

param environmentName = 'snapshot'
param location = 'westeurope'
param principalId = '11111111-1111-4111-8111-111111111111'
param principalType = 'ServicePrincipal'
param vnetEnabled = true
param entraOnly = true
param applicationAddresses = '203.0.113.7/32, 2001:db8::/32'
param alertEmail = 'operator@example.com'
param tableLogs = true
param doorbell = true
param alwaysReadyInstances = 1
param publicUrl = 'https://scim.example.com/scim'
param console = true
param consoleAddresses = '198.51.100.0/24'
param consoleOperatorsClientId = '22222222-2222-4222-8222-222222222222'
param consoleCustomersClientId = '33333333-3333-4333-8333-333333333333'
param consoleDirectories = 'contoso=44444444-4444-4444-8444-444444444444'
