// Copyright: dbops.rds_iam contributors
// SPDX-License-Identifier: GPL-3.0-or-later

// Reads cases from standard input and writes what @cloud-copilot/iam-simulate decides on each, both as JSON lists.
// A case has policies, boundary (or null), principal (an ARN), resource, account and context (the condition keys).
import { readFileSync } from 'node:fs'
import { runSimulation } from '@cloud-copilot/iam-simulate'

async function decide(one) {
  const simulation = {
    identityPolicies: one.policies.map((policy, index) => ({ name: `policy${index}`, policy })),
    serviceControlPolicies: [],
    resourceControlPolicies: [],
    request: {
      principal: one.principal,
      action: 'rds-db:connect',
      resource: { resource: one.resource, accountId: one.account },
      contextVariables: one.context,
    },
  }
  if (one.boundary) simulation.permissionBoundaryPolicies = [{ name: 'boundary', policy: one.boundary }]
  const answer = await runSimulation(simulation, {})
  if (answer.resultType === 'error') return { refused: answer.errors }
  // A key that it does not know is ignored, and then the case is not the one that was meant.
  return { decision: answer.overallResult, ignored: answer.result.ignoredContextKeys }
}

const decisions = []
for (const one of JSON.parse(readFileSync(0, 'utf8'))) decisions.push(await decide(one))
console.log(JSON.stringify(decisions))
