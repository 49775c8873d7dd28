import t from 'tap'
import { compareFigure, compareRuns, median, summaryOf, type Series, type Verdict } from '../../bench/compare.mjs'

/** The old build in five rounds, and the control, which differs from it by at most 5 %. */
const old = [10, 11, 10, 12, 10]
const control = [10.5, 10.8, 10.2, 11.5, 9.8]
const times = (values: number[], factor: number) => values.map(value => value * factor)
const verdictOf = (name: string, fresh: number[], others: { old: number[], control: number[] } = { old, control }) =>
  compareFigure(name, { new: fresh, ...others })?.verdict

t.test("a build that costs more than the control's spread is worse, one that costs less is better, and any other is inside", async t => {
  const verdicts: Array<[factor: number, Verdict]> = [[0.5, 'better'], [0.9, 'better'], [0.97, 'inside'], [1, 'inside'], [1.03, 'inside'], [1.1, 'worse'], [2, 'worse']]
  for (const [factor, verdict] of verdicts) t.equal(verdictOf('cpu µs', times(old, factor)), verdict, `${factor}`)
})

t.test('more is better for a rate', async t => {
  t.equal(verdictOf('messages/s', times(old, 1.2)), 'better')
  t.equal(verdictOf('messages/s', times(old, 0.8)), 'worse')
  t.equal(verdictOf('messages/s', old), 'inside')
})

t.test('the median decides: one disturbed round of the new build does not change the verdict', async t => {
  t.equal(verdictOf('cpu µs', [10, 11, 40, 12, 10]), 'inside')
  t.equal(verdictOf('cpu µs', [12, 13.2, 10, 14.4, 12]), 'worse')
})

t.test('rounds are compared in pairs: a machine that becomes slower during the comparison hides no difference', async t => {
  const drifting = [10, 20, 40, 80, 160]
  t.equal(verdictOf('cpu µs', times(drifting, 1.1), { old: drifting, control: times(drifting, 1.01) }), 'worse')
  t.equal(verdictOf('cpu µs', drifting, { old: drifting, control: times(drifting, 1.01) }), 'inside')
})

t.test('the spread has two sides: a control that is faster in one round excuses a new build that is slower', async t => {
  t.equal(verdictOf('cpu µs', times(old, 1.2), { old, control: [10, 11, 10, 12, 7] }), 'inside')
  t.equal(verdictOf('cpu µs', times(old, 1.2), { old, control: [10, 11, 10, 12, 9] }), 'worse')
})

t.test('a difference counts only if it exists to both series of the old build', async t => {
  // 1.08 times the old series, and 1.03 times the control.
  t.equal(verdictOf('cpu µs', times(old, 1.08), { old, control: times(old, 1.05) }), 'inside')
  t.equal(verdictOf('cpu µs', times(old, 1.12), { old, control: times(old, 1.05) }), 'worse')
})

t.test('a difference of less than 2 % never counts, even if the control equals the old series', async t => {
  t.equal(verdictOf('heap bytes', times(old, 1.019), { old, control: old }), 'inside')
  t.equal(verdictOf('heap bytes', times(old, 1.021), { old, control: old }), 'worse')
  t.equal(verdictOf('heap bytes', times(old, 1 / 1.019), { old, control: old }), 'inside')
  t.equal(verdictOf('heap bytes', times(old, 1 / 1.021), { old, control: old }), 'better')
})

t.test('fewer than five rounds are compared and not judged', async t => {
  for (const rounds of [1, 2, 3, 4]) {
    const compared = compareFigure('cpu µs', { old: old.slice(0, rounds), new: times(old, 3).slice(0, rounds), control: control.slice(0, rounds) })
    t.match(compared, { verdict: 'too few rounds', newToOld: 3 })
  }
})

t.test('one disturbed control is ignored in ten rounds, and none in five', async t => {
  const disturbed = [20, 11, 10, 12, 10]
  t.equal(verdictOf('cpu µs', times(old, 1.2), { old, control: disturbed }), 'inside')
  t.equal(verdictOf('cpu µs', times([...old, ...old], 1.2), { old: [...old, ...old], control: [...disturbed, ...old] }), 'worse')
  t.equal(verdictOf('cpu µs', times([...old, ...old], 1.2), { old: [...old, ...old], control: [...disturbed, ...disturbed] }), 'inside')
})

t.test('a growth of a few MiB is inside the spread, and a growth of 50 MiB is worse', async t => {
  t.equal(verdictOf('growth MiB', [5, 6, 7, 5, 6], { old: [-2, 0, 1, 2, -1], control: [0, 1, 0, -3, 1] }), 'inside')
  t.equal(verdictOf('growth MiB', [50, 60, 70, 50, 60], { old: [-2, 0, 1, 2, -1], control: [0, 1, 0, -3, 1] }), 'worse')
})

t.test('values that have no ratio are not judged', async t => {
  t.equal(verdictOf('redis µs', times(old, NaN)), 'no ratio')
  t.equal(verdictOf('cpu µs', [10, 0, 10, 10, 10]), 'no ratio')
  t.equal(verdictOf('cpu µs', old, { old: [10, 10, -1, 10, 10], control }), 'no ratio')
})

t.test('bookkeeping is not compared, and a figure without a row in the table is an error that names the file', async t => {
  t.equal(verdictOf('client cpu %', times(old, 3)), undefined)
  t.throws(() => verdictOf('cpu weeks', old), { message: /'cpu weeks'.*bench\/figures\.mjs/ })
  t.throws(() => verdictOf('toString', old), { message: /'toString'/ })
})

t.test('the runs of a workload are compared figure by figure; a figure that the old build does not report has no ratio', async t => {
  const runs = (factor: number, extra: Record<string, number>) => old.map(value => ({ 'cpu µs': value * factor, 'messages/s': value * factor, 'client cpu %': 50, ...extra }))
  const compared = compareRuns({ old: runs(1, {}), new: runs(1.5, { writes: 1 }), control: runs(1.01, {}) })
  t.strictSame(compared.map(({ name, verdict }) => [name, verdict]), [['cpu µs', 'worse'], ['messages/s', 'better'], ['writes', 'no ratio']])
  t.match(compared[0], { old: 10, new: 15, newToOld: 1.5 })
})

t.test('the median of an even number of values lies between the middle two', async t => {
  t.equal(median([3, 1, 2]), 2)
  t.equal(median([4, 1, 2, 3]), 2.5)
  t.equal(median([100, 9, 20]), 20, 'numbers are not sorted as text')
})

t.test('two equal builds on a noisy machine differ in less than 1.5 % of the figures', async t => {
  let seed = 1
  const random = () => (seed = seed * 48_271 % 2_147_483_647) / 2_147_483_647
  const noisy = () => Array.from({ length: 5 }, () => Math.exp((random() + random() + random() + random() - 2) / 5))
  const verdicts = Array.from({ length: 10_000 }, () => verdictOf('cpu µs', noisy(), { old: noisy(), control: noisy() }))
  const judged = verdicts.filter(verdict => verdict !== 'inside')
  t.ok(judged.length < 150, `${judged.length} of 10,000`)
})

t.test('the summary lists the worse figures and exits with 1', async t => {
  const figure = (name: string, verdict: Verdict) => ({ name, verdict, old: 1, new: 1.5, control: 1, newToOld: 1.5 })
  const worse = summaryOf([{ workload: 'W3', figures: [figure('cpu µs', 'worse'), figure('writes', 'inside')] }, { workload: 'W5', figures: [figure('cpu µs', 'better')] }])
  t.equal(worse.exitCode, 1)
  t.equal(worse.text, "1 worse (W3 cpu µs 1.50); 1 better (W5 cpu µs 1.50); 1 inside the control's spread")
})

t.test('the summary of a comparison without a worse figure exits with 0 and names the omitted workloads', async t => {
  const figure = (verdict: Verdict) => ({ name: 'cpu µs', verdict, old: 1, new: 1, control: 1, newToOld: 1 })
  t.strictSame(summaryOf([{ workload: 'W3', figures: [figure('inside'), figure('no ratio')] }, { workload: 'W8', reason: 'no run.reply' }]),
    { exitCode: 0, text: "no figure is worse; none is better; 1 inside the control's spread; 1 not judged; left out: W8" })
})

t.test('a summary without a judged figure contains only the number of figures that are not judged', async t => {
  const figure = { name: 'cpu µs', verdict: 'too few rounds' as const, old: 1, new: 2, control: 1, newToOld: 2 }
  t.strictSame(summaryOf([{ workload: 'W3', figures: [figure] }]), { exitCode: 0, text: '1 not judged' })
})

t.test('a workload that the new build cannot run, and a comparison of nothing, exit with 1', async t => {
  const inside = { name: 'cpu µs', verdict: 'inside' as const, old: 1, new: 1, control: 1, newToOld: 1 }
  t.match(summaryOf([{ workload: 'W3', figures: [inside] }, { workload: 'W8', failure: 'it hung' }]), { exitCode: 1, text: /failed: W8/ })
  t.match(summaryOf([{ workload: 'W8', reason: 'no redis' }]), { exitCode: 1, text: /^nothing was compared/ })
  t.match(summaryOf([]), { exitCode: 1 })
})

t.test('a control is any second series: exchanging the two series of the old build changes no verdict', async t => {
  const exchange: Array<[Series, Series]> = [['old', 'control'], ['control', 'old']]
  for (const factor of [0.8, 0.95, 1, 1.05, 1.2]) {
    const verdicts = exchange.map(([first, second]) => {
      const both = { old, control }
      return compareFigure('cpu µs', { old: both[first as 'old'], control: both[second as 'control'], new: times(old, factor) })?.verdict
    })
    t.equal(verdicts[0], verdicts[1], `${factor}`)
  }
})
