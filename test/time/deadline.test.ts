import { mock } from 'node:test'
import t from 'tap'
import { Deadline } from '../../lib/time/deadline.js'
import { Timers } from '../../lib/time/timers.js'
import { clockStart } from '../clock.js'

const { timers: clock } = mock

/** Deadline of 100 ms. `now`: time of the mocked monotonic clock. */
function setup (t: { teardown (action: () => void): void }) {
  clock.enable({ apis: ['setTimeout'] })
  let now = clockStart
  const { now: original } = performance
  performance.now = () => now
  const timers = new Timers()
  t.teardown(() => {
    timers.close()
    clock.reset()
    performance.now = original
  })
  const deadline = new Deadline(timers, 100)
  const late: string[] = []
  const at = (ms: number) => {
    clock.tick(clockStart + ms - now)
    now = clockStart + ms
  }
  return { deadline, at, late, add: (name: string) => deadline.add(() => late.push(name)) }
}

t.test('a deadline calls late actions, together with actions that were added within 10 ms', async t => {
  const { at, late, add } = setup(t)
  add('a')
  at(9)
  add('b')
  at(10)
  add('c')
  at(99)
  t.strictSame(late, [])
  at(100)
  t.strictSame(late, ['a', 'b'])
  at(109)
  t.strictSame(late, ['a', 'b'])
  at(110)
  t.strictSame(late, ['a', 'b', 'c'])
})

t.test('actions that are added within 10 ms are called together, whatever the clock shows', async t => {
  const { at, late, add } = setup(t)
  at(1_000)
  add('a')
  at(1_005)
  add('b')
  at(1_100)
  t.strictSame(late, ['a', 'b'])
})

t.test('a late action is called even if all later actions are done', async t => {
  const { at, late, add } = setup(t)
  add('a')
  at(10)
  add('b')()
  at(100)
  t.strictSame(late, ['a'])
})

t.test('a deadline does not call an action that is done', async t => {
  const { at, late, add } = setup(t)
  const done = add('a')
  add('b')
  done()
  done()
  at(100)
  t.strictSame(late, ['b'])
  done()
  at(300)
  t.strictSame(late, ['b'])
})

t.test('an action that is added within 10 ms of one that is done shares its timer, and gets the full time afterwards', async t => {
  const { at, late, add } = setup(t)
  const timers = mock.method(globalThis, 'setTimeout')
  t.teardown(() => timers.mock.restore())
  add('a')()
  at(5)
  add('b')
  t.equal(timers.mock.callCount(), 1)
  at(99)
  t.strictSame(late, [])
  at(100)
  t.strictSame(late, ['b'])
  add('c')()
  at(110)
  add('d')
  at(209)
  t.strictSame(late, ['b'])
  at(210)
  t.strictSame(late, ['b', 'd'])
})

t.test('no timer is left of actions that are done, except that of the newest ones', async t => {
  const { at, add } = setup(t)
  const cleared = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => cleared.mock.restore())
  add('a')()
  const done = add('b')
  at(10)
  add('c')()
  t.equal(cleared.mock.callCount(), 0)
  done()
  t.equal(cleared.mock.callCount(), 1)
  at(20)
  add('d')()
  t.equal(cleared.mock.callCount(), 2)
})

t.test('an action that is added during the call of a late action gets the full time', async t => {
  const { deadline, at, late, add } = setup(t)
  deadline.add(() => add('b'))
  at(100)
  t.strictSame(late, [])
  at(199)
  t.strictSame(late, [])
  at(200)
  t.strictSame(late, ['b'])
})
