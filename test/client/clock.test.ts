import { mock } from 'node:test'
import t from 'tap'
import { after, now } from '../../lib/client/clock.js'

t.test('a delay beyond 2^31 ms does not fire at once', async t => {
  let fired = 0
  for (const ms of [2 ** 31, 2 ** 40, Infinity]) clearTimeout(after(ms, () => { fired++ }))
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const timers = [2 ** 31, 2 ** 40, Infinity].map(ms => after(ms, () => { fired++ }))
  t.teardown(() => timers.forEach(clearTimeout))
  mock.timers.tick(86_400_000)
  t.equal(fired, 0)
  after(5, () => { fired++ })
  mock.timers.tick(5)
  t.equal(fired, 1)
})

t.test('now returns the time of day in hosts without performance', async t => {
  const real = Object.getOwnPropertyDescriptor(globalThis, 'performance')!
  t.teardown(() => { Object.defineProperty(globalThis, 'performance', real) })
  for (const value of [undefined, {}]) {
    Object.defineProperty(globalThis, 'performance', { configurable: true, value })
    const time = now()
    const wall = Date.now()
    t.ok(wall - time >= 0 && wall - time < 1_000)
  }
})
