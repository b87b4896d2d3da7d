// A deployment with nothing but what azd asks for.

using '../main.bicep'

param environmentName = 'snapshot'
param location = 'westeurope'
param principalId = '11111111-1111-4111-8111-111111111111'
