import { mock } from 'node:test'
import t from 'tap'
import { Timers } from '../../lib/time/timers.js'

const { timers: clock } = mock
const maxDelay = 2 ** 31 - 1

/** Timers whose time is that of the mocked `clock`. */
function setup (t: { teardown (action: () => void): void }): Timers {
  clock.enable({ apis: ['setTimeout'] })
  t.teardown(() => clock.reset())
  return new Timers()
}

t.test('after calls an action after a delay', async t => {
  t.test('after calls each action once, when its delay is over', async t => {
    const called: string[] = []
    const timers = setup(t)
    timers.after(20, () => called.push('b'))
    timers.after(10, () => called.push('a'))
    clock.tick(9)
    t.strictSame(called, [])
    clock.tick(1)
    t.strictSame(called, ['a'])
    clock.tick(100)
    t.strictSame(called, ['a', 'b'])
  })

  t.test('after does not call a cancelled action', async t => {
    const timers = setup(t)
    const cancel = timers.after(10, () => t.fail('a cancelled action is called'))
    cancel()
    clock.tick(100)
    t.doesNotThrow(cancel, 'a second cancel is harmless')
    const called: number[] = []
    const tooLate = timers.after(10, () => called.push(1))
    clock.tick(10)
    tooLate()
    t.strictSame(called, [1])
  })

  t.test('after accepts longer delays than setTimeout', async t => {
    const timers = setup(t)
    const called: string[] = []
    const ms = 3 * maxDelay + 5
    timers.after(ms, () => called.push('far'))
    timers.after(maxDelay, () => called.push('near'))
    for (let step = 0; step < 3; step++) clock.tick(maxDelay)
    t.strictSame(called, ['near'])
    clock.tick(4)
    t.strictSame(called, ['near'])
    clock.tick(1)
    t.strictSame(called, ['near', 'far'])
  })

  t.test('a long delay can be cancelled in each of its steps', async t => {
    const timers = setup(t)
    const called: string[] = []
    for (const steps of [0, 1, 2, 3]) {
      const cancel = timers.after(3 * maxDelay + 5, () => called.push('cancelled'))
      timers.after(3 * maxDelay + 5, () => called.push('kept'))
      for (let step = 0; step < steps; step++) clock.tick(maxDelay)
      cancel()
      for (let step = 0; step < 5; step++) clock.tick(maxDelay)
    }
    t.strictSame(called, ['kept', 'kept', 'kept', 'kept'])
  })
})

t.test('at calls an action at a time of the wall clock', async t => {
  /** Timers, a wall clock that can be set, and the list of calls. */
  const withWallClock = (scope: typeof t) => {
    const wall = { offset: 1_000_000, passed: 0 }
    clock.enable({ apis: ['setTimeout'] })
    scope.teardown(() => clock.reset())
    const timers = new Timers(() => wall.offset + wall.passed)
    const pass = (ms: number) => {
      wall.passed += ms
      clock.tick(ms)
    }
    return { wall, timers, pass, called: [] as string[] }
  }

  t.test('at calls each action once, when the wall clock shows its time', async t => {
    const { timers, pass, called } = withWallClock(t)
    timers.at(1_060_000, () => called.push('far'))
    timers.at(999_999, () => called.push('past'))
    t.strictSame(called, [], 'at does not call an action synchronously')
    pass(0)
    t.strictSame(called, ['past'])
    for (let second = 1; second < 60; second++) pass(1_000)
    t.strictSame(called, ['past'])
    pass(1_000)
    t.strictSame(called, ['past', 'far'])
    pass(120_000)
    t.strictSame(called, ['past', 'far'])
  })

  t.test('a wall clock that is set forward is noticed within 10 s', async t => {
    const { wall, timers, pass, called } = withWallClock(t)
    timers.at(1_000_000 + 3_600_000, () => called.push('expired'))
    pass(3_000)
    wall.offset += 3_600_000
    pass(6_999)
    t.strictSame(called, [])
    pass(1)
    t.strictSame(called, ['expired'])
  })

  t.test('a wall clock that is set back defers the call', async t => {
    const { wall, timers, pass, called } = withWallClock(t)
    timers.at(1_005_000, () => called.push('expired'))
    wall.offset -= 60_000
    pass(5_000)
    t.strictSame(called, [])
    for (let second = 0; second < 59; second++) pass(1_000)
    t.strictSame(called, [])
    pass(1_000)
    t.strictSame(called, ['expired'])
  })

  t.test('an action can be cancelled, even after the wall clock was checked', async t => {
    const { timers, pass, called } = withWallClock(t)
    timers.at(1_000_000 + 3_600_000, () => called.push('kept'))
    for (const seconds of [0, 5, 15, 25]) {
      const cancel = timers.at(1_000_000 + 3_600_000, () => called.push('cancelled'))
      for (let second = 0; second < seconds; second++) pass(1_000)
      cancel()
    }
    pass(7_200_000)
    t.strictSame(called, ['kept'])
  })
})

t.test('timers do not keep the process alive', async t => {
  const timers = new Timers()
  const before = process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  timers.after(60_000, () => {})
  t.equal(process.getActiveResourcesInfo().filter(name => name === 'Timeout').length, before)
  timers.close()
})

t.test('closed timers call no action, and other timers continue', async t => {
  const [timers, other] = [setup(t), new Timers()]
  const called: string[] = []
  for (const ms of [10, 2 * maxDelay]) {
    timers.after(ms, () => called.push('closed'))
    other.after(ms, () => called.push('other'))
  }
  clock.tick(5)
  timers.close()
  for (let step = 0; step < 3; step++) clock.tick(maxDelay)
  t.strictSame(called, ['other', 'other'])
})

t.test('close clears only the pending timers', async t => {
  const timers = setup(t)
  timers.after(10, () => {})
  timers.after(20, () => {})()
  timers.after(30, () => {})
  clock.tick(10)
  const cleared = mock.method(globalThis, 'clearTimeout')
  t.teardown(() => cleared.mock.restore())
  timers.close()
  t.equal(cleared.mock.callCount(), 1)
})

t.test('closed timers do not call actions that are added later', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const timers = new Timers()
  timers.close()
  const cancel = timers.after(10, () => t.fail('the action is called'))
  mock.timers.tick(10)
  cancel()
})

t.test('by default the wall clock is that of the process', async t => {
  mock.timers.enable({ apis: ['setTimeout', 'Date'], now: 1_000 })
  t.teardown(() => mock.timers.reset())
  let calls = 0
  new Timers().at(1_500, () => { calls++ })
  mock.timers.tick(499)
  t.equal(calls, 0)
  mock.timers.tick(1)
  t.equal(calls, 1)
})
