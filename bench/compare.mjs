// Decides whether a new build differs from an old one. Both are measured in rounds, the old build twice per round: as `old` and as
// `control`. The difference between these two series is noise, because both are the same build.
import { figureOf } from './figures.mjs'

/** Minimum number of rounds for a verdict. With three, one figure in twenty would differ by chance; with five, one in a hundred. */
export const leastRounds = 5

/** Minimum relative difference that counts, even on a quiet machine. */
export const leastDifference = 0.02

export const series = ['old', 'new', 'control']

export function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Ratios round by round, because measurements of one round share the state of the machine. */
const ratios = (above, below) => above.map((value, round) => value / below[round])

/**
 * Largest ratio of two measurements of the same build, in either direction. From ten rounds on the widest is left out, from fifteen on
 * the two widest, and so on. Otherwise a longer comparison would have a wider spread, because more rounds are disturbed.
 */
function spreadOf (controlToOld) {
  const widths = controlToOld.map(ratio => Math.max(ratio, 1 / ratio)).toSorted((a, b) => b - a)
  return widths[Math.max(0, Math.floor(widths.length / 5) - 1)]
}

/** `higher` if both medians are above the limit, `lower` if both are below its inverse; otherwise the difference does not count. */
function sideOf (newToOld, newToControl, limit) {
  if (Math.min(newToOld, newToControl) > limit) return 'higher'
  if (Math.max(newToOld, newToControl) < 1 / limit) return 'lower'
  return undefined
}

function verdictOf (rounds, side, better) {
  if (rounds < leastRounds) return 'too few rounds'
  if (side === undefined) return 'inside'
  return side === better ? 'better' : 'worse'
}

/**
 * Compares one figure of the three series, which have one value per round.
 *
 * `better` and `worse` mean that the new build differs from both series of the old build in the same direction, by more than these two
 * differ from each other in a round, and by more than `leastDifference`. `inside` means that the difference may be noise. Returns
 * `undefined` for a figure that is not compared.
 */
export function compareFigure (name, values) {
  const figure = figureOf(name)
  if (figure === undefined) return undefined
  const [old, fresh, control] = series.map(which => values[which].map(value => Math.max(value, figure.from)))
  const medians = { old: median(values.old), new: median(values.new), control: median(values.control) }
  if (![...old, ...fresh, ...control].every(value => value > 0 && value < Infinity)) return { name, ...medians, verdict: 'no ratio' }
  const newToOld = median(ratios(fresh, old))
  const newToControl = median(ratios(fresh, control))
  const controlToOld = ratios(control, old)
  const spread = spreadOf(controlToOld)
  const side = sideOf(newToOld, newToControl, Math.max(spread, 1 + leastDifference))
  const verdict = verdictOf(old.length, side, figure.better)
  return { name, ...medians, newToOld, newToControl, controlToOld: median(controlToOld), spread, verdict }
}

/** Compares all figures of a workload. `runs` has one object of figures per round for each series. */
export function compareRuns (runs) {
  return Object.keys(runs.new[0])
    .map(name => compareFigure(name, Object.fromEntries(series.map(which => [which, runs[which].map(run => run[name] ?? NaN)]))))
    .filter(compared => compared !== undefined)
}

const listed = figures => figures.map(({ workload, name, newToOld }) => `${workload} ${name} ${newToOld.toFixed(2)}`).join(', ')

/** Describes the verdicts in words; empty when no figure was judged. */
function judgedParts (figures) {
  const of = verdict => figures.filter(figure => figure.verdict === verdict)
  const [worse, better, inside] = [of('worse'), of('better'), of('inside')]
  const notJudged = figures.length - worse.length - better.length - inside.length
  return [
    ...notJudged === figures.length
      ? []
      : [
          worse.length === 0 ? 'no figure is worse' : `${worse.length} worse (${listed(worse)})`,
          better.length === 0 ? 'none is better' : `${better.length} better (${listed(better)})`,
          `${inside.length} inside the control's spread`
        ],
    ...notJudged === 0 ? [] : [`${notJudged} not judged`]
  ]
}

const named = (results, what) => results.length === 0 ? [] : [`${what}: ${results.map(({ workload }) => workload).join(', ')}`]

/** Returns one line for all workloads, and the exit code: 1 if a figure is worse, a workload failed, or nothing was compared. */
export function summaryOf (results) {
  const figures = results.flatMap(({ workload, figures = [] }) => figures.map(figure => ({ workload, ...figure })))
  const failed = results.filter(({ failure }) => failure !== undefined)
  const parts = [
    ...figures.length === 0 ? ['nothing was compared'] : judgedParts(figures),
    ...named(results.filter(({ reason }) => reason !== undefined), 'left out'),
    ...named(failed, 'failed')
  ]
  const isGood = figures.length > 0 && failed.length === 0 && !figures.some(({ verdict }) => verdict === 'worse')
  return { text: parts.join('; '), exitCode: isGood ? 0 : 1 }
}
