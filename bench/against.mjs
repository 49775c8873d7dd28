// Runs workloads on two builds of the package, interleaved, with the older one a second time as control.
import { compareRuns, leastRounds, series, summaryOf } from './compare.mjs'
import { figureOf } from './figures.mjs'
import { measureInTurns, RunError } from './measure.mjs'
import { table } from './table.mjs'

async function runsOf (workload, builds, rounds) {
  const runs = Object.fromEntries(series.map(which => [which, []]))
  const servers = Object.fromEntries(series.map(which => [which, { kind: 'ours', build: which === 'new' ? builds.new : builds.old }]))
  for (let round = 0; round < rounds; round++) {
    const figures = await measureInTurns(workload, servers, round)
    for (const which of series) {
      // Throws now for a figure without a row, not after all rounds.
      for (const name of Object.keys(figures[which])) figureOf(name)
      runs[which].push(figures[which])
    }
  }
  return runs
}

const fixed = value => value === undefined ? '' : value.toFixed(2)

/** Formats `control/old`: the median, and the range of ratios of two measurements of the old build. */
const control = ({ controlToOld, spread }) => spread === undefined ? '' : `${fixed(controlToOld)} (${fixed(1 / spread)}–${fixed(spread)})`

const rowsOf = figures => [
  ['', 'old', 'new', 'new/old', 'new/control', 'control/old (spread)', ''],
  ...figures.map(figure => {
    const numbers = [figure.old, figure.new, figure.newToOld, figure.newToControl]
    return [figure.name, ...numbers.map(fixed), control(figure), figure.verdict]
  })
]

async function compareWorkload (workload, builds, rounds) {
  const { name, title } = workload
  console.log(`\n${name}: ${title}`)
  if (workload.missing) {
    console.log(`  left out: ${workload.missing}`)
    return { workload: name, title, reason: workload.missing }
  }
  try {
    const runs = await runsOf(workload, builds, rounds)
    const figures = compareRuns(runs)
    for (const line of table(rowsOf(figures))) console.log(`  ${line}`)
    return { workload: name, title, rounds, figures, runs }
  } catch (error) {
    if (!(error instanceof RunError)) throw error
    if (error.server === 'new') {
      console.log(`  failed with the new build: ${error.cause.stack}`)
      return { workload: name, title, failure: error.message }
    }
    console.log(`  left out, the old build cannot run it: ${error.message}`)
    return { workload: name, title, reason: error.message }
  }
}

/**
 * Compares `builds.new` with `builds.old`. `isAsked`: whether workloads were named on the command line. Otherwise a workload that takes
 * minutes is run once and not judged.
 */
export async function against (workloads, builds, rounds, isAsked) {
  const results = []
  for (const workload of workloads) {
    results.push(await compareWorkload(workload, builds, workload.once && !isAsked ? 1 : rounds))
  }
  const { text, exitCode } = summaryOf(results)
  console.log(`\nagainst ${builds.name}: ${text}`)
  if (rounds < leastRounds) console.log(`Nothing is judged with fewer than ${leastRounds} rounds.`)
  return { results, exitCode }
}
