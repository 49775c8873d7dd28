import { mock } from 'node:test'
import t, { type Test } from 'tap'
import { LoopClock } from '../../lib/time/loop-clock.js'
import { eventually } from '../waiting.js'

function setup (t: Test) {
  let now = 1_000
  const clock = new LoopClock(() => now)
  t.teardown(() => clock.close())
  return {
    clock,
    /** Lets the event loop turn for `ms` milliseconds. */
    turn (ms: number) {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 100)
        clock.look()
      }
    },
    /** Blocks the event loop for `ms` milliseconds. */
    block (ms: number) { now += ms }
  }
}

t.test('an event loop that turns is not late', async t => {
  const { clock, turn } = setup(t)
  turn(60_000)
  t.equal(clock.lateSince(0), 0)
})

t.test('lateSince returns a delay before the timer of the clock has fired, and afterwards', async t => {
  const { clock, turn, block } = setup(t)
  const before = clock.now()
  block(3_100)
  t.equal(clock.lateSince(before), 3_000)
  clock.look()
  t.equal(clock.lateSince(before), 3_000)
  turn(1_000)
  t.equal(clock.lateSince(before), 3_000)
  const between = clock.now()
  block(600)
  t.equal(clock.lateSince(between), 500, 'only delays after the given time count')
  t.equal(clock.lateSince(before), 3_500)
  clock.look()
  block(600)
  const within = clock.now()
  block(50)
  t.equal(clock.lateSince(within), 50, 'only the part of a current delay after the given time counts')
  clock.look()
  t.equal(clock.lateSince(within), 50)
})

t.test('a delay of up to 10 ms does not count, because timers are not more accurate', async t => {
  const { clock, block } = setup(t)
  for (let n = 0; n < 1_000; n++) {
    block(110)
    clock.look()
  }
  t.equal(clock.lateSince(0), 0)
})

t.test('a delay is forgotten after 10 s, and lateSince returns at most 10 s', async t => {
  const { clock, turn, block } = setup(t)
  block(3_100)
  clock.look()
  turn(9_900)
  t.equal(clock.lateSince(0), 3_000)
  turn(200)
  t.equal(clock.lateSince(0), 0)
  block(60_000)
  t.equal(clock.lateSince(0), 10_000)
})

t.test('the timer of the clock calls look', async t => {
  const clock = new LoopClock()
  t.teardown(() => clock.close())
  const look = mock.method(clock, 'look')
  const before = clock.now()
  while (clock.now() - before < 300);
  const late = clock.lateSince(before)
  t.ok(late > 100, String(late))
  await eventually(() => look.mock.callCount() > 0)
  t.ok(clock.lateSince(before) >= late, 'a recorded delay stays')
})
