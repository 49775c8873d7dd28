import { mock } from 'node:test'
import t from 'tap'
import { Reloader } from '../../lib/react/reload.js'
import { eventually, timersDue } from '../waiting.js'

/** Each load waits to be ended by the test. */
function controlled (backoff: (attempt: number) => number) {
  const loads: Array<{ end: () => void, fail: () => void }> = []
  const errors: unknown[] = []
  const load = () => new Promise<void>((resolve, reject) => loads.push({ end: resolve, fail: () => reject(new Error('no')) }))
  const reloader = new Reloader(load, backoff, error => { errors.push(error) })
  const turn = () => new Promise(resolve => setImmediate(resolve))
  return { reloader, loads, errors, turn }
}

t.test('it loads once at a time, and anew when it was asked to meanwhile', async t => {
  const { reloader, loads, turn } = controlled(() => 0)
  reloader.reload()
  reloader.reload()
  await turn()
  reloader.reload()
  await turn()
  t.equal(loads.length, 1)
  loads[0].end()
  await turn()
  t.equal(loads.length, 2)
  loads[1].end()
  await turn()
  t.equal(loads.length, 2)
})

t.test('a failure is repeated, later each time', async t => {
  const attempts: number[] = []
  const { reloader, loads, errors, turn } = controlled(attempt => {
    attempts.push(attempt)
    return 0
  })
  reloader.reload()
  await turn()
  for (let n = 0; n < 3; n++) {
    loads[n].fail()
    await eventually(() => loads.length === n + 2)
  }
  loads[3].end()
  await turn()
  t.strictSame(attempts, [0, 1, 2])
  t.match(errors, [{ message: 'no' }, { message: 'no' }, { message: 'no' }], 'and reported')
  reloader.reload()
  await turn()
  loads[4].fail()
  await eventually(() => loads.length === 6)
  t.strictSame(attempts, [0, 1, 2, 0], 'a success starts the count anew')
  reloader.end()
})

t.test('it does not wait any longer when it is asked again', async t => {
  const { reloader, loads, turn } = controlled(() => 60_000)
  reloader.reload()
  await turn()
  loads[0].fail()
  await turn()
  reloader.reload()
  await turn()
  t.equal(loads.length, 2)
  reloader.end()
})

t.test('one that ends at once has not begun', async t => {
  const { reloader, loads, turn } = controlled(() => 0)
  reloader.reload()
  reloader.end()
  await turn()
  t.equal(loads.length, 0)
})

t.test('once it has ended it loads nothing, whatever becomes of a load that is under way', async t => {
  const { reloader, loads, turn } = controlled(() => 0)
  reloader.reload()
  await turn()
  reloader.reload()
  reloader.end()
  loads[0].fail()
  await timersDue()
  reloader.reload()
  await timersDue()
  t.equal(loads.length, 1)
})

for (const [what, act] of [['asked again', 'reload'], ['ended', 'end']] as const) {
  t.test(`when it is ${what} while it waits for its next attempt, that attempt is not made`, async t => {
    mock.timers.enable({ apis: ['setTimeout'] })
    t.teardown(() => mock.timers.reset())
    const { reloader, loads, turn } = controlled(() => 60_000)
    reloader.reload()
    await turn()
    loads[0].fail()
    await turn()
    reloader[act]()
    await turn()
    const { length } = loads
    mock.timers.tick(60_000)
    await turn()
    t.equal(loads.length, length)
    reloader.end()
  })
}
