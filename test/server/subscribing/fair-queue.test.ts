import fc from 'fast-check'
import t from 'tap'
import { FairQueue } from '../../../lib/server/subscribing/fair-queue.js'
import { gate, loopTurns } from '../../waiting.js'
import { heapLeftBy } from '../../leaks.js'

/** A queue whose jobs run until the test ends them. */
function setup (size: number) {
  const queue = new FairQueue(size)
  const started: string[] = []
  const ends = new Map<string, () => void>()
  const run = (holder: string, name = holder) => queue.run(holder, async () => {
    started.push(name)
    const { opened, open } = gate()
    ends.set(name, open)
    await opened
    return name
  })
  return { queue, started, ends, run }
}

t.test('no holder has more running jobs than are still free', async t => {
  const { started, run } = setup(10)
  for (const holder of ['a', 'b', 'c', 'd']) for (let n = 0; n < 10; n++) run(holder)
  await loopTurns()
  t.strictSame(started, ['a', 'a', 'a', 'a', 'a', 'b', 'b', 'b', 'c', 'd'])
})

t.test('a holder that comes last gets a slot that a busy holder may not have', async t => {
  const { started, ends, run } = setup(3)
  for (const name of ['a1', 'a2', 'a3', 'a4']) run('a', name)
  await loopTurns()
  t.strictSame(started, ['a1', 'a2'], 'one slot of three is free, and a has two')
  run('b')
  await loopTurns()
  t.strictSame(started, ['a1', 'a2', 'b'])
  ends.get('a1')!()
  await loopTurns()
  t.strictSame(started, ['a1', 'a2', 'b'], 'a third slot is free again, and a has one')
  ends.get('b')!()
  await loopTurns()
  t.strictSame(started, ['a1', 'a2', 'b', 'a3'])
})

t.test('a slot goes to the next holder who may have it, if those before may not', async t => {
  const { started, ends, run } = setup(4)
  for (const holder of ['a', 'b', 'c']) for (const n of [1, 2, 3]) run(holder, `${holder}${n}`)
  await loopTurns()
  t.strictSame(started, ['a1', 'a2', 'b1', 'c1'])
  ends.get('c1')!()
  await loopTurns()
  t.strictSame(started, ['a1', 'a2', 'b1', 'c1', 'c2'])
})

t.test('holders that wait take turns, and the jobs of each holder start in order', async t => {
  const { started, ends, run } = setup(1)
  for (const [holder, name] of [['a', 'a0'], ['a', 'a1'], ['a', 'a2'], ['b', 'b1'], ['b', 'b2'], ['c', 'c1']]) run(holder, name)
  for (let n = 0; n < 6; n++) {
    await loopTurns()
    ends.get(started[n])!()
  }
  t.strictSame(started, ['a0', 'a1', 'b1', 'c1', 'a2', 'b2'])
})

t.test('a job settles like its work, and a rejected one and one that throws free their slots', async t => {
  const queue = new FairQueue(1)
  const failed = new Error('failed')
  const outcomes = await Promise.allSettled([
    queue.run('a', async () => { throw failed }),
    queue.run('a', () => { throw failed }),
    queue.run('b', async () => 7)
  ])
  t.strictSame(outcomes, [{ status: 'rejected', reason: failed }, { status: 'rejected', reason: failed }, { status: 'fulfilled', value: 7 }])
})

t.test('every job runs, and no job starts while its holder has more than is free', async t => {
  const calls = fc.array(fc.record({ holder: fc.constantFrom('a', 'b', 'c', 'd'), turns: fc.nat(3) }, { noNullPrototype: true }), { maxLength: 40 })
  await t.resolves(fc.assert(fc.asyncProperty(calls, fc.integer({ min: 1, max: 8 }), async (calls, size) => {
    const queue = new FairQueue(size)
    const running: string[] = []
    let isWithin = true
    const jobs = calls.map(({ holder, turns }) => queue.run(holder, async () => {
      const held = running.filter(other => other === holder).length
      isWithin &&= held + 1 <= size - running.length
      running.push(holder)
      await loopTurns(turns)
      running.splice(running.indexOf(holder), 1)
    }))
    await Promise.all(jobs)
    return isWithin && running.length === 0
  }), { numRuns: 50 }))
})

t.test('nothing is left of 10,000 holders whose jobs have waited', async t => {
  const queue = new FairQueue(1)
  const left = await heapLeftBy(async () => {
    const { opened, open } = gate()
    const first = queue.run('', () => opened)
    const jobs = Array.from({ length: 10_000 }, (_, n) => queue.run(`${n} ${'x'.repeat(500)}`, async () => {}))
    open()
    await Promise.all([first, ...jobs])
  })
  t.ok(left < 2_000_000, `${left} bytes`)
})
