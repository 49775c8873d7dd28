// Runs every workload against every server, interleaved, and prints medians. `node run.mjs [--only W1,W3] [--rounds 3] [--json file]`
import { fork, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { workloads } from './workloads.mjs'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' }
  }
})

const hasTaskset = os.cpus().length > 1 && spawnSync('taskset', ['--version']).status === 0

/** Where to put CPU profiles of the servers, for whoever wants to know why. */
const profile = process.env.BENCH_PROF ? ['--cpu-prof', '--cpu-prof-dir', process.env.BENCH_PROF] : []

/** A process of its own, on a core of its own where there is one. */
class Worker {
  #child

  constructor (file, args, core, nodeArgs = []) {
    const [command, ...first] = hasTaskset ? ['taskset', '-c', String(core), process.execPath] : [process.execPath]
    this.#child = fork(new URL(file, import.meta.url).pathname, args, {
      execPath: command,
      execArgv: [...first, '--expose-gc', ...nodeArgs],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc']
    })
    this.#child.on('exit', code => { if (code) throw new Error(`${file} ended with ${code}`) })
  }

  on (listener) { this.#child.on('message', listener) }
  send (message) { this.#child.send(message) }

  /** What comes under a name; two messages may come in one turn. */
  first (name) {
    return new Promise(resolve => {
      const listener = message => {
        if (!(name in message)) return
        this.#child.off('message', listener)
        resolve(message[name])
      }
      this.#child.on('message', listener)
    })
  }

  async call (message) {
    const result = this.first('result')
    this.send(message)
    return result
  }

  async end () {
    const exited = once(this.#child, 'exit')
    this.#child.disconnect()
    await exited
  }
}

/** One server and its clients for the time of one workload. */
export async function bench (kind, workload) {
  const server = new Worker('server.mjs', [kind, JSON.stringify(workload.options?.[kind] ?? {})], 0, [...workload.nodeArgs ?? [], ...profile])
  const port = await server.first('port')
  const client = new Worker('client.mjs', [], 1)
  server.on(({ expect }) => { if (expect !== undefined) client.send({ call: 'expect', expect }) })
  client.on(({ delivered }) => { if (delivered) server.send({ call: 'delivered' }) })
  try {
    return await workload.measure({ kind, port, server, client })
  } finally {
    await client.end()
    await server.end()
  }
}

const median = values => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)]

/** The median, and where there were several runs the least and the most. */
const cell = ({ median: mid, min, max }) => min === max ? mid.toFixed(2) : `${mid.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`

/** Rows as lines with columns of one width. */
function table (rows) {
  const widths = rows[0].map((_, column) => Math.max(...rows.map(row => row[column].length)))
  return rows.map(row => row.map((text, column) => column === 0 ? text.padEnd(widths[column]) : text.padStart(widths[column])).join('  '))
}

const chosen = workloads.filter(({ name }) => !flags.only || flags.only.split(',').includes(name))
const results = []
for (const workload of chosen) {
  const figures = new Map(workload.kinds.map(kind => [kind, []]))
  const rounds = workload.once ? 1 : Number(flags.rounds)
  for (let round = 0; round < rounds; round++) {
    for (const kind of workload.kinds) figures.get(kind).push(await bench(kind, workload))
  }
  console.log(`\n${workload.name}: ${workload.title}`)
  const summary = [...figures].map(([kind, runs]) => {
    const of = name => {
      const values = runs.map(run => run[name]).filter(value => value !== undefined)
      return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
    }
    return { kind, ...Object.fromEntries(Object.keys(runs[0]).map(name => [name, of(name)])) }
  })
  const own = summary.find(({ kind }) => kind === 'ours')[workload.figure]?.median
  const names = [...new Set(summary.flatMap(columns => Object.keys(columns)))].filter(name => name !== 'kind')
  const rows = summary.map(columns => {
    const ratio = columns.kind === 'ours' || own === undefined ? '' : (own / columns[workload.figure].median).toFixed(2)
    return [columns.kind, ratio, ...names.map(name => columns[name] === undefined ? '' : cell(columns[name]))]
  })
  for (const line of table([['', `ours / it: ${workload.figure}`, ...names], ...rows])) console.log(`  ${line}`)
  results.push({ workload: workload.name, title: workload.title, figure: workload.figure, rounds, summary })
}
if (flags.json) writeFileSync(flags.json, JSON.stringify({ node: process.version, isPinned: hasTaskset, results }, null, 2))
process.exit(0)
