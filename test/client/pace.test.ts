import { mock } from 'node:test'
import t from 'tap'
import { paced } from '../../lib/client/pace.js'
import { clockStart } from '../clock.js'

/** A clock that the test moves: timers and `performance.now` have the same time. */
function clock (t: { teardown (action: () => void): void }) {
  let now = clockStart
  mock.timers.enable({ apis: ['setTimeout'] })
  mock.method(performance, 'now', () => now)
  t.teardown(() => {
    mock.timers.reset()
    mock.restoreAll()
  })
  return (ms: number) => {
    for (let left = ms; left > 0; left--) {
      now++
      mock.timers.tick(1)
    }
  }
}

t.test('half of the burst is taken at once, and then three quarters of the rate', async t => {
  const pass = clock(t)
  let steps = 0
  const pace = paced(() => { steps++; return steps < 100 })
  pace.start({ rate: 40, burst: 10 })
  pace.run()
  pace.run()
  t.equal(steps, 5)
  pass(1_000)
  t.ok(steps >= 34 && steps <= 36, `${steps}`)
  pace.stop()
  pass(1_000)
  t.ok(steps <= 36)
})

t.test('slowDown delays the next step by more than 1 s', async t => {
  const pass = clock(t)
  let steps = 0
  const pace = paced(() => { steps++; return false })
  pace.start(undefined)
  pace.run()
  pace.slowDown()
  pace.run()
  pass(1_000)
  t.equal(steps, 1)
  pass(200)
  t.equal(steps, 2)
})

t.test('with a burst of one, one step is taken at once', async t => {
  const pass = clock(t)
  let steps = 0
  const pace = paced(() => ++steps < 2)
  pace.start({ rate: 1, burst: 1 })
  pace.run()
  t.equal(steps, 1)
  pass(1_400)
  t.equal(steps, 2)
})
