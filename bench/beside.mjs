// Runs workloads against every server, interleaved, and prints medians and the ratios of ours to the others.
import { median } from './compare.mjs'
import { measureInTurns } from './measure.mjs'
import { table } from './table.mjs'

/** Formats the median, and the minimum and maximum if they differ. */
const cell = ({ median: mid, min, max }) => min === max ? mid.toFixed(2) : `${mid.toFixed(2)} (${min.toFixed(2)}–${max.toFixed(2)})`

/** Summarizes each figure of one server over all rounds. */
function summarize (kind, runs) {
  const of = name => {
    const values = runs.map(run => run[name]).filter(value => value !== undefined)
    return { median: median(values), min: Math.min(...values), max: Math.max(...values) }
  }
  return { kind, ...Object.fromEntries(Object.keys(runs[0]).map(name => [name, of(name)])) }
}

function rowsOf (summary, compared) {
  const own = summary.find(({ kind }) => kind === 'ours')
  const names = [...new Set(summary.flatMap(columns => Object.keys(columns)))].filter(name => name !== 'kind')
  const ratio = (columns, name) => columns === own || own[name] === undefined ? '' : (own[name].median / columns[name].median).toFixed(2)
  const rows = summary.map(columns => [
    columns.kind,
    ...compared.map(name => ratio(columns, name)),
    ...names.map(name => columns[name] === undefined ? '' : cell(columns[name]))
  ])
  return [['', ...compared.map(name => `ours / it: ${name}`), ...names], ...rows]
}

/** Returns the medians of all workloads. */
export async function beside (workloads, rounds) {
  const results = []
  for (const workload of workloads) {
    if (workload.missing) {
      console.log(`\n${workload.name} is left out: ${workload.missing}`)
      continue
    }
    const servers = Object.fromEntries(workload.kinds.map(kind => [kind, { kind }]))
    const runs = []
    const times = workload.once ? 1 : rounds
    for (let round = 0; round < times; round++) runs.push(await measureInTurns(workload, servers, round))
    console.log(`\n${workload.name}: ${workload.title}`)
    const summary = workload.kinds.map(kind => summarize(kind, runs.map(figures => figures[kind])))
    for (const line of table(rowsOf(summary, [workload.figure].flat()))) console.log(`  ${line}`)
    results.push({ workload: workload.name, title: workload.title, figure: workload.figure, rounds: times, summary })
  }
  return results
}
