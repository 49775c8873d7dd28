// What one user can do to the others, with a single credential and every limit at its default.
import { setTimeout as sleep } from 'node:timers/promises'
import { table } from '../table.mjs'
import { UsageError } from '../usage-error.mjs'
import { Worker, whileRunning } from '../worker.mjs'

export const attacks = [
  'nothing', 'too many keys', '900 keys', 'deep nesting', '64 KiB of text', 'two-byte text', 'pings', 'new refs', 'cancels', 'new chats that wait',
  'history', 'reconnecting', 'all at once'
]
const neighbours = 50
const mebibyte = 1024 * 1024

async function run (mode, seconds) {
  const app = new Worker('attack/app.mjs', [], 0, ['--max-old-space-size=512'])
  const workers = [app]
  try {
    return await whileRunning(workers, async () => {
      const port = await app.first('port')
      const others = new Worker('attack/neighbours.mjs', [String(port), String(neighbours)], 1)
      workers.push(others)
      await others.first('ready')
      await sleep(2_000)
      await others.call({ call: 'state' })
      const before = await app.call({ call: 'state' })
      const attacker = mode === 'nothing' ? undefined : new Worker('attack/attacker.mjs', [String(port), mode], 1)
      if (attacker !== undefined) workers.push(attacker)
      await sleep(seconds * 1_000)
      const round = await others.call({ call: 'state' })
      const after = await app.call({ call: 'state' })
      const attacked = await attacker?.call({ call: 'state' }) ?? { connects: 0, sent: 0, codes: {} }
      return { mode, seconds, before, after, round, attacked }
    })
  } finally {
    await Promise.all(workers.map(worker => worker.end()))
  }
}

const heads = ['one user does', 'sent/s', 'connects/s', 'handled/s', 'cpu %', 'p50 ms', 'p99 ms', 'longest turn ms', 'heap MiB', 'of it history', 'neighbours closed', 'codes']

function rowOf ({ mode, seconds, before, after, round, attacked }) {
  const grown = name => (after[name] - before[name]) / mebibyte
  const perSecond = count => (count / seconds).toFixed(0)
  return [
    mode, perSecond(attacked.sent), perSecond(attacked.connects), perSecond(after.messages + after.runs - before.messages - before.runs),
    ((after.cpu - before.cpu) / seconds / 10).toFixed(0), round.p50.toFixed(1), round.p99.toFixed(1), after.longest.toFixed(0),
    grown('heap').toFixed(1), grown('history').toFixed(1), String(round.closed), JSON.stringify(attacked.codes)
  ]
}

/** Runs each attack, or the attacks that `only` names, for `seconds`. */
export async function attack (seconds, only) {
  const chosen = only?.split(',') ?? attacks
  const unknown = chosen.filter(name => !attacks.includes(name))
  if (unknown.length > 0) throw new UsageError(`--only: there is no attack ${unknown.join(', ')}: choose from ${attacks.join(', ')}`)
  const results = []
  for (const mode of chosen) {
    results.push(await run(mode, seconds))
    console.log(table([heads, rowOf(results.at(-1))]).join('\n'))
  }
  console.log(`\n${table([heads, ...results.map(rowOf)]).join('\n')}`)
  return results
}
