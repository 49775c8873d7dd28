// Runs every workload against every server, interleaved, and prints medians. `node run.mjs [--only W1,W3] [--rounds 3] [--json file]`
import { writeFileSync } from 'node:fs'
import { parseArgs } from 'node:util'
import { clusterWorkloads } from './cluster.mjs'
import { hasTaskset, profile, Worker } from './worker.mjs'
import { workloads } from './workloads.mjs'

const { values: flags } = parseArgs({
  options: {
    only: { type: 'string' },
    rounds: { type: 'string', default: '3' },
    json: { type: 'string' }
  }
})

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

const chosen = [...workloads, ...clusterWorkloads].filter(({ name }) => !flags.only || flags.only.split(',').includes(name))
const results = []
for (const workload of chosen) {
  if (workload.missing) {
    console.log(`\n${workload.name} is left out: ${workload.missing}`)
    continue
  }
  const figures = new Map(workload.kinds.map(kind => [kind, []]))
  const rounds = workload.once ? 1 : Number(flags.rounds)
  for (let round = 0; round < rounds; round++) {
    for (const kind of workload.kinds) figures.get(kind).push(await (workload.run?.(kind) ?? bench(kind, workload)))
  }
  console.log(`\n${workload.name}: ${workload.title}`)
  const summary = [...figures].map(([kind, runs]) => {
    const of = name => {
      const values = runs.map(run => run[name]).filter(value => value !== undefined)
      return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
    }
    return { kind, ...Object.fromEntries(Object.keys(runs[0]).map(name => [name, of(name)])) }
  })
  const own = summary.find(({ kind }) => kind === 'ours')
  const compared = [workload.figure].flat()
  const names = [...new Set(summary.flatMap(columns => Object.keys(columns)))].filter(name => name !== 'kind')
  const rows = summary.map(columns => {
    const ratios = compared.map(name => columns === own || own[name] === undefined ? '' : (own[name].median / columns[name].median).toFixed(2))
    return [columns.kind, ...ratios, ...names.map(name => columns[name] === undefined ? '' : cell(columns[name]))]
  })
  for (const line of table([['', ...compared.map(name => `ours / it: ${name}`), ...names], ...rows])) console.log(`  ${line}`)
  results.push({ workload: workload.name, title: workload.title, figure: workload.figure, rounds, summary })
}
if (flags.json) writeFileSync(flags.json, JSON.stringify({ node: process.version, isPinned: hasTaskset, results }, null, 2))
process.exit(0)
