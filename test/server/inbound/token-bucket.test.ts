import t, { type Test } from 'tap'
import { LoopClock } from '../../../lib/time/loop-clock.js'
import { TokenBucket, type TokenRate } from '../../../lib/server/inbound/token-bucket.js'

function setup (t: Test, rate: TokenRate) {
  let now = 1_000
  const clock = new LoopClock(() => now)
  t.teardown(() => clock.close())
  const bucket = new TokenBucket(rate, clock)
  return {
    bucket,
    clock,
    taken: (tries = 1_000) => Array.from({ length: tries }, () => bucket.take()).filter(Boolean).length,
    /** The event loop turns for so many milliseconds. */
    turn (ms: number) {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 50)
        clock.look()
      }
    },
    block (ms: number) { now += ms }
  }
}

t.test('the tokens of a burst are there at once, then those of the rate', async t => {
  const { taken, turn } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  turn(49)
  t.equal(taken(), 0, 'not a whole one yet')
  turn(1)
  t.equal(taken(), 1)
  turn(1_000)
  t.equal(taken(), 20)
  turn(1_000_000)
  t.equal(taken(), 40, 'never more than the burst')
})

t.test('a token that was refused costs nothing', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 10, burst: 1 })
  t.equal(taken(), 1)
  turn(101)
  t.equal(bucket.take(), true)
})

t.test('what is spent before it is there has to come back first', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 100, burst: 200 })
  t.equal(bucket.spend(200), 0)
  t.equal(bucket.spend(50), 500, 'milliseconds until then')
  t.equal(bucket.wait, 500)
  t.equal(taken(), 0)
  turn(500)
  t.equal(bucket.wait, 0)
  turn(100)
  t.equal(taken(), 10)
  t.equal(bucket.emptiness, 2_000)
  turn(2_000)
  t.equal(bucket.emptiness, 0)
})

t.test('whoever sends at an even pace is within the rate, however late the event loop is', async t => {
  const { taken, turn, block } = setup(t, { rate: 20, burst: 40 })
  for (let n = 0; n < 5; n++) {
    block(3_100)
    // 15 a second, read all at once.
    t.equal(taken(47), 47, `blocked ${n + 1} times`)
    turn(500)
    t.equal(taken(8), 8)
  }
})

t.test('a delay is credited once, however often the bucket is asked while it goes on', async t => {
  const { taken, block } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  block(3_100)
  t.equal(taken(), 62)
  block(100)
  t.equal(taken(), 2)
})

t.test('whoever sends for the first time after a delay may have done so before it', async t => {
  const { clock, block } = setup(t, { rate: 20, burst: 40 })
  block(3_100)
  const bucket = new TokenBucket({ rate: 20, burst: 40 }, clock)
  t.equal(Array.from({ length: 200 }, () => bucket.take()).filter(Boolean).length, 40 + 60)
})

t.test('time that is excused is there beyond the burst for 10 s, and 10 s of it at most', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  turn(3_000)
  bucket.excuse(3_000)
  t.equal(taken(), 100)
  turn(60_000)
  bucket.excuse(60_000)
  t.equal(taken(), 240)
  turn(5_000)
  bucket.excuse(5_000)
  t.equal(bucket.take(), true)
  turn(10_000)
  t.equal(taken(), 40)
})

t.test('excused time brings no more than its own tokens, and nothing has to come back before they are used', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  turn(3_000)
  bucket.excuse(1_000)
  t.equal(taken(), 60)
  turn(10_000)
  bucket.excuse(5_000)
  t.equal(bucket.wait, 0)
  t.equal(taken(), 140)
})

t.test('excused time does not stay longer because the bucket is asked meanwhile', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  turn(5_000)
  bucket.excuse(5_000)
  t.equal(bucket.take(), true)
  for (let second = 0; second < 10; second++) {
    turn(1_000)
    t.equal(bucket.wait, 0)
  }
  t.equal(taken(), 40)
})

t.test('excused time brings nothing twice: not what fits into the burst', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  turn(3_000)
  bucket.excuse(3_000)
  t.equal(taken(), 60)
})

t.test('no more than 10 s have to be waited for', async t => {
  const { bucket, turn } = setup(t, { rate: 100, burst: 100 })
  t.equal(bucket.spend(100_000), 10_000)
  turn(10_000)
  t.equal(bucket.wait, 0)
})
