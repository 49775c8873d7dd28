import { mock } from 'node:test'
import t from 'tap'
import { Reloader } from '../../lib/react/reload.js'
import { eventually, timersDue, loopTurns } from '../waiting.js'

/** Returns a reloader whose loads the test ends. */
function controlled (backoff: (attempt: number) => number) {
  const loads: Array<{ end: () => void, fail: () => void }> = []
  const errors: unknown[] = []
  const load = () => new Promise<void>((resolve, reject) => loads.push({ end: resolve, fail: () => reject(new Error('no')) }))
  const reloader = new Reloader(load, backoff, error => { errors.push(error) })
  return { reloader, loads, errors }
}

t.test('one load runs at a time, and a reload during it starts another one after it', async t => {
  const { reloader, loads } = controlled(() => 0)
  reloader.reload()
  reloader.reload()
  await loopTurns()
  reloader.reload()
  await loopTurns()
  t.equal(loads.length, 1)
  loads[0].end()
  await loopTurns()
  t.equal(loads.length, 2)
  loads[1].end()
  await loopTurns()
  t.equal(loads.length, 2)
})

t.test('a failed load is reported and retried, with the backoff', async t => {
  const attempts: number[] = []
  const { reloader, loads, errors } = controlled(attempt => {
    attempts.push(attempt)
    return 0
  })
  reloader.reload()
  await loopTurns()
  for (let n = 0; n < 3; n++) {
    loads[n].fail()
    await eventually(() => loads.length === n + 2)
  }
  loads[3].end()
  await loopTurns()
  t.strictSame(attempts, [0, 1, 2])
  t.match(errors, [{ message: 'no' }, { message: 'no' }, { message: 'no' }], 'the failures are reported')
  reloader.reload()
  await loopTurns()
  loads[4].fail()
  await eventually(() => loads.length === 6)
  t.strictSame(attempts, [0, 1, 2, 0], 'a success resets the count')
  reloader.end()
})

t.test('a reload ends the wait for the next attempt', async t => {
  const { reloader, loads } = controlled(() => 60_000)
  reloader.reload()
  await loopTurns()
  loads[0].fail()
  await loopTurns()
  reloader.reload()
  await loopTurns()
  t.equal(loads.length, 2)
  reloader.end()
})

t.test('a reloader that ends in the same turn loads nothing', async t => {
  const { reloader, loads } = controlled(() => 0)
  reloader.reload()
  reloader.end()
  await loopTurns()
  t.equal(loads.length, 0)
})

t.test('a reloader that has ended loads nothing, even when its load in progress fails', async t => {
  const { reloader, loads } = controlled(() => 0)
  reloader.reload()
  await loopTurns()
  reloader.reload()
  reloader.end()
  loads[0].fail()
  await timersDue()
  reloader.reload()
  await timersDue()
  t.equal(loads.length, 1)
})

for (const act of ['reload', 'end'] as const) {
  t.test(`${act}() during the wait for the next attempt cancels that attempt`, async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const { reloader, loads } = controlled(() => 60_000)
    reloader.reload()
    await loopTurns()
    loads[0].fail()
    await loopTurns()
    reloader[act]()
    await loopTurns()
    const { length } = loads
    mock.timers.tick(60_000)
    await loopTurns()
    t.equal(loads.length, length)
    reloader.end()
  })
}
