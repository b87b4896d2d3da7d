// Alerts on what makes Entra put a provisioning job into quarantine, and on what comes before it.

@description('Makes names unique.')
param token string

@description('Region.')
param location string

@description('Tags of every resource.')
param tags object

@description('Who is told, by e-mail. Empty for nobody.')
param email string

@description('Resource id of the Application Insights component.')
param componentId string

@description('Resource id of the Log Analytics workspace.')
param workspaceId string

@description('GB of logs a day after which more is dropped, -1 for no limit.')
param dailyLogGb int

@description('Resource id of the table service of users and groups.')
param tableServiceId string

@description('Users disabled and resources deleted of one tenant in an hour, before somebody is told.')
param massChanges int

// Each rule compares one column of a query, per dimension, with a threshold. A clause may leave out what is no alarm.
var rules = [
  {
    name: 'auth-failures'
    title: 'SCIM: a connection is refused'
    description: 'Entra quarantines a job whose credentials are refused at once. Look at the credentials of this connection.'
    query: loadTextContent('../queries/auth-failures.kql')
    clause: '| where proven'
    column: 'failures'
    dimension: 'connection'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 3
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'failing'
    title: 'SCIM: more than 40 % of the requests of a tenant fail'
    description: 'Entra quarantines a job when more than 40 % of its changes fail. failures.kql says what fails.'
    query: loadTextContent('../queries/provisioning.kql')
    clause: '| where requests >= 50'
    column: 'failedPercent'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 40
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
  }
  {
    name: 'failing-early'
    title: 'SCIM: more than 20 % of the requests of a tenant fail'
    description: 'Half of what Entra quarantines a job for. python -m scim status TENANT says what fails, and what to do.'
    query: loadTextContent('../queries/provisioning.kql')
    clause: '| where requests >= 50 and failedPercent <= 40'
    column: 'failedPercent'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 20
    severity: 3
    frequency: 'PT15M'
    window: 'PT1H'
  }
  {
    name: 'cycle-overdue'
    title: 'SCIM: the next cycle of a tenant has not come'
    description: 'Entra comes every 40 minutes. Its job is stopped, or in quarantine: python -m scim status TENANT says what to do.'
    query: loadTextContent('../queries/overdue-cycles.kql')
    clause: ''
    column: 'minutes'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 80
    severity: 2
    frequency: 'PT1H'
    window: 'PT6H'
  }
  {
    name: 'server-errors'
    title: 'SCIM: the service fails'
    description: 'Requests were answered with 5xx; those of a paused connection do not count. Entra tries them again 40 minutes later.'
    query: loadTextContent('../queries/provisioning.kql')
    clause: ''
    column: 'serverErrors'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 5
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'credential-expiring'
    title: 'SCIM: a credential ends soon'
    description: 'When it has ended, Entra is refused and quarantines the job. Add a new one, change it in Entra, remove the old one.'
    query: loadTextContent('../queries/expiring-credentials.kql')
    clause: ''
    column: 'days'
    dimension: 'connection'
    aggregation: 'Minimum'
    operator: 'LessThanOrEqual'
    threshold: 30
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
  }
  {
    name: 'revoked-credential'
    title: 'SCIM: a revoked credential is used'
    description: 'Whoever uses it may have stolen it, or was not given the new one. Look at the addresses, and at what it did before it was revoked (query changes).'
    query: loadTextContent('../queries/revoked-credentials.kql')
    clause: ''
    column: 'uses'
    dimension: 'connection'
    aggregation: 'Total'
    operator: 'GreaterThanOrEqual'
    threshold: 1
    severity: 1
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'mass-changes'
    title: 'SCIM: many users of a tenant are disabled or deleted'
    description: 'A stolen credential, or a scope in Entra that became too small. Pause the connection if nobody meant it (query changes says who).'
    query: loadTextContent('../queries/mass-changes.kql')
    clause: '| extend many = toint(alarms > 0 or changes >= ${massChanges})'
    column: 'many'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 1
    severity: 1
    frequency: 'PT15M'
    window: 'PT1H'
  }
  {
    name: 'quota'
    title: 'SCIM: a tenant has used 80 % of a quota'
    description: 'At 100 % what grows is refused with 400. Raise the setting, or find out what grows.'
    query: loadTextContent('../queries/quotas.kql')
    clause: ''
    column: 'percent'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 80
    severity: 2
    frequency: 'PT1H'
    window: 'P1D'
  }
  {
    name: 'sinks'
    title: 'SCIM: a webhook does not take events'
    description: 'For ten minutes, or it was stopped by 410 or because the feed does not reach back so far. Nothing is lost for 30 days: mend the receiver, then run feed sink resume.'
    query: loadTextContent('../queries/sinks.kql')
    clause: '| extend waits = iff(state == "stopped", max_of(lag, 600), lag)'
    column: 'waits'
    dimension: 'sink'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 600
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'storage-busy'
    title: 'SCIM: storage is too busy for a tenant'
    description: 'Requests were answered with 503 or 429 because Table Storage did not keep up.'
    query: loadTextContent('../queries/storage.kql')
    clause: '| summarize busy = sum(busy) by tenant'
    column: 'busy'
    dimension: 'tenant'
    aggregation: 'Maximum'
    operator: 'GreaterThanOrEqual'
    threshold: 5
    severity: 2
    frequency: 'PT5M'
    window: 'PT15M'
  }
  {
    name: 'housekeeping'
    title: 'SCIM: housekeeping fails or does not run'
    description: 'Changes that were cut short stay unfinished and nobody is warned of credentials that end. Look at the log of the function housekeeping.'
    query: loadTextContent('../queries/housekeeping.kql')
    clause: ''
    column: 'problems'
    dimension: ''
    aggregation: 'Maximum'
    operator: 'GreaterThan'
    threshold: 0
    severity: 2
    frequency: 'PT15M'
    window: 'PT1H'
  }
]

resource recipients 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: 'ag-scim-${token}'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: 'scim'
    emailReceivers: [
      {
        name: 'operator'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var recipientIds = empty(email)
  ? []
  : [
      recipients.id
    ]

resource queryAlerts 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: 'alert-${rule.name}-${token}'
    location: location
    tags: tags
    kind: 'LogAlert'
    properties: {
      displayName: rule.title
      description: rule.description
      severity: rule.severity
      enabled: true
      autoMitigate: true
      skipQueryValidation: true // a component that was made a moment ago may not know its tables yet
      scopes: [
        componentId
      ]
      evaluationFrequency: rule.frequency
      windowSize: rule.window
      criteria: {
        allOf: [
          {
            query: '${rule.query}${rule.clause}'
            timeAggregation: rule.aggregation
            metricMeasureColumn: rule.column
            dimensions: empty(rule.dimension)
              ? []
              : [
                  {
                    name: rule.dimension
                    operator: 'Include'
                    values: [
                      '*'
                    ]
                  }
                ]
            operator: rule.operator
            threshold: rule.threshold
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: recipientIds
      }
    }
  }
]

// The cap on logs is the workspace's, and so is what it says of it. When it is reached every other alert is blind.
resource logCap 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = if (dailyLogGb > 0) {
  name: 'alert-log-cap-${token}'
  location: location
  tags: tags
  kind: 'LogAlert'
  properties: {
    displayName: 'SCIM: the logs of a day come near their cap'
    description: 'Above it Azure drops logs until the next day, and no other alert sees anything. Somebody sends far more than usual, or SCIM_DAILY_LOG_GB is too low.'
    severity: 1
    enabled: true
    autoMitigate: true
    skipQueryValidation: true
    scopes: [
      workspaceId
    ]
    evaluationFrequency: 'PT1H'
    windowSize: 'P1D'
    criteria: {
      allOf: [
        {
          query: loadTextContent('../queries/log-volume.kql')
          timeAggregation: 'Maximum'
          metricMeasureColumn: 'megabytes'
          operator: 'GreaterThan'
          threshold: dailyLogGb * 800
          failingPeriods: {
            numberOfEvaluationPeriods: 1
            minFailingPeriodsToAlert: 1
          }
        }
      ]
    }
    actions: {
      actionGroups: recipientIds
    }
  }
}

// Storage says itself that it throttles, before a request fails: the client tries again first.
resource throttling 'Microsoft.Insights/metricAlerts@2026-01-01' = {
  name: 'alert-storage-throttling-${token}'
  location: 'global'
  tags: tags
  properties: {
    description: 'Table Storage throttles the table of users and groups: 20,000 rows per second in the account, 2,000 for a tenant.'
    severity: 3
    enabled: true
    autoMitigate: true
    scopes: [
      tableServiceId
    ]
    evaluationFrequency: 'PT5M'
    windowSize: 'PT15M'
    criteria: {
      'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
      allOf: [
        {
          criterionType: 'StaticThresholdCriterion'
          name: 'throttled'
          metricNamespace: 'Microsoft.Storage/storageAccounts/tableServices'
          metricName: 'Transactions'
          timeAggregation: 'Total'
          operator: 'GreaterThan'
          threshold: 20
          dimensions: [
            {
              name: 'ResponseType'
              operator: 'Include'
              values: [
                'ServerBusyError'
                'ServerTimeoutError'
                'ClientThrottlingError'
                'ClientAccountRequestThrottlingError'
              ]
            }
          ]
        }
      ]
    }
    actions: [
      for id in recipientIds: {
        actionGroupId: id
      }
    ]
  }
}
