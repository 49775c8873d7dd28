// The command line: `node run.mjs [--against <commit>] [--only W1,W3] [--rounds 3] [--json file]`,
// or `node run.mjs --attack [--seconds 60] [--only pings]`.
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { against } from './against.mjs'
import { attack } from './attack/index.mjs'
import { beside } from './beside.mjs'
import { buildsAgainst } from './builds.mjs'
import { clusterWorkloads } from './cluster.mjs'
import { leastRounds } from './compare.mjs'
import { UsageError } from './usage-error.mjs'
import { hasTaskset } from './worker.mjs'
import { workloads } from './workloads.mjs'

// Without a listener, a signal ends the process without its 'exit' event, which ends redis-server and removes temporary folders.
for (const [signal, code] of [['SIGHUP', 129], ['SIGINT', 130], ['SIGTERM', 143]]) process.on(signal, () => process.exit(code))

const all = [...workloads, ...clusterWorkloads]

function flagsOf (args) {
  const { values } = parseArgs({
    args,
    options: {
      against: { type: 'string' },
      attack: { type: 'boolean' },
      seconds: { type: 'string' },
      only: { type: 'string' },
      rounds: { type: 'string' },
      json: { type: 'string' }
    }
  })
  const rounds = Number(values.rounds ?? (values.against === undefined ? 3 : leastRounds))
  if (!Number.isInteger(rounds) || rounds < 1) throw new UsageError(`--rounds ${values.rounds}: give a whole number from 1`)
  const seconds = Number(values.seconds ?? 60)
  if (!Number.isInteger(seconds) || seconds < 1) throw new UsageError(`--seconds ${values.seconds}: give a whole number from 1`)
  return { ...values, rounds, seconds }
}

function chosenBy (only) {
  if (only === undefined) return all
  const names = only.split(',')
  const unknown = names.filter(name => !all.some(workload => workload.name === name))
  if (unknown.length > 0) throw new UsageError(`--only: there is no workload ${unknown.join(', ')}: choose from ${[...new Set(all.map(({ name }) => name))].join(', ')}`)
  return all.filter(({ name }) => names.includes(name))
}

async function main (flags) {
  if (flags.attack) return { results: await attack(flags.seconds, flags.only), exitCode: 0 }
  const chosen = chosenBy(flags.only)
  if (flags.against === undefined) return { results: await beside(chosen, flags.rounds), exitCode: 0 }
  const builds = await buildsAgainst(flags.against)
  return { against: builds.hash, ...await against(chosen, builds, flags.rounds, flags.only !== undefined) }
}

try {
  const flags = flagsOf(process.argv.slice(2))
  const { exitCode, ...report } = await main(flags)
  if (flags.json) writeFileSync(flags.json, JSON.stringify({ node: process.version, isPinned: hasTaskset, ...report }, null, 2))
  process.exit(exitCode)
} catch (error) {
  const isUsage = error instanceof UsageError || error.code?.startsWith('ERR_PARSE_ARGS')
  console.error(isUsage ? error.message : error)
  process.exit(2)
}
