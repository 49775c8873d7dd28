// Decides whether a new build differs from an old one, measured beside it in rounds. The old build is measured twice per round: as
// `old` and as `control`. What these two series differ by is noise, because both are the same build.
import { figureOf } from './figures.mjs'

/** Fewer rounds are not judged: with three, one figure in twenty would differ by chance; with five it is one in a hundred. */
export const leastRounds = 5

/** Smaller differences never count, however quiet the machine is. */
export const leastDifference = 0.02

export const series = ['old', 'new', 'control']

/** The order within a round: each series comes first, second and last in turn, so that a drift of the machine favours none. */
export const orderOf = round => series.map((_, n) => series[(round + n) % series.length])

export function median (values) {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Round by round, because neighbours in time share the state of the machine. */
const ratios = (above, below) => above.map((value, round) => value / below[round])

/**
 * The largest ratio of two measurements of the same build, in either direction. Of ten rounds the widest is left out, of fifteen
 * the two widest and so on: otherwise one disturbed round would hide more, the longer the comparison runs.
 */
function spreadOf (controlToOld) {
  const widths = controlToOld.map(ratio => Math.max(ratio, 1 / ratio)).toSorted((a, b) => b - a)
  return widths[Math.max(0, Math.floor(widths.length / 5) - 1)]
}

/** Both medians lie above the limit, both below its inverse, or the difference does not count. */
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
 * Compares one figure of the three series, one value per round each.
 *
 * `better` and `worse` mean: the new build differs from both series of the old build, to the same side, by more than these two
 * differ from each other in a round, and by more than `leastDifference`. `inside` means that the difference is not told from
 * noise. `undefined` for a figure that is not compared.
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

/** Compares all figures of a workload. `runs` has for each series one object of figures per round. */
export function compareRuns (runs) {
  return Object.keys(runs.new[0])
    .map(name => compareFigure(name, Object.fromEntries(series.map(which => [which, runs[which].map(run => run[name] ?? NaN)]))))
    .filter(compared => compared !== undefined)
}

const listed = figures => figures.map(({ workload, name, newToOld }) => `${workload} ${name} ${newToOld.toFixed(2)}`).join(', ')

/** What was judged, in words; nothing where no figure was. */
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

/** One line for all workloads, and the exit code: 1 where a figure is worse, a workload failed, or nothing was compared. */
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
