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
    /** The event loop turns for so many milliseconds. */
    turn (ms: number) {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 100)
        clock.look()
      }
    },
    /** It is kept from turning. */
    block (ms: number) { now += ms }
  }
}

t.test('a loop that turns is not late', async t => {
  const { clock, turn } = setup(t)
  turn(60_000)
  t.equal(clock.lateSince(0), 0)
})

t.test('what it is late by is known before its own timer has come, and afterwards', async t => {
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
  t.equal(clock.lateSince(between), 500, 'only what came after the time')
  t.equal(clock.lateSince(before), 3_500)
  clock.look()
  block(600)
  const within = clock.now()
  block(50)
  t.equal(clock.lateSince(within), 50, 'of a delay that goes on, what is left of it')
  clock.look()
  t.equal(clock.lateSince(within), 50)
})

t.test('a few milliseconds are the accuracy of a timer', async t => {
  const { clock, block } = setup(t)
  for (let n = 0; n < 1_000; n++) {
    block(110)
    clock.look()
  }
  t.equal(clock.lateSince(0), 0)
})

t.test('it is forgotten after 10 s, and never more than that', async t => {
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

t.test('its own timer looks at the clock', async t => {
  const clock = new LoopClock()
  t.teardown(() => clock.close())
  const look = mock.method(clock, 'look')
  const before = clock.now()
  while (clock.now() - before < 300);
  const late = clock.lateSince(before)
  t.ok(late > 100, String(late))
  await eventually(() => look.mock.callCount() > 0)
  t.ok(clock.lateSince(before) >= late, 'and what it noticed stays')
})
