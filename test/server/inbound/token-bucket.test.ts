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
    /** Turns the event loop for `ms`. */
    turn (ms: number) {
      for (const end = now + ms; now < end;) {
        now = Math.min(end, now + 50)
        clock.look()
      }
    },
    block (ms: number) { now += ms }
  }
}

t.test('a bucket starts with the tokens of the burst, and is refilled at the rate', async t => {
  const { taken, turn } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  turn(49)
  t.equal(taken(), 0, 'no whole token is refilled yet')
  turn(1)
  t.equal(taken(), 1)
  turn(1_000)
  t.equal(taken(), 20)
  turn(1_000_000)
  t.equal(taken(), 40, 'a bucket holds at most the burst')
})

t.test('a take() that returns false costs no tokens', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 10, burst: 1 })
  t.equal(taken(), 1)
  turn(101)
  t.equal(bucket.take(), true)
})

t.test('tokens that are spent beyond the available ones are a debt, which is refilled first', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 100, burst: 200 })
  t.equal(bucket.spend(200), 0)
  t.equal(bucket.spend(50), 500, 'spend() returns the ms until the debt is refilled')
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

t.test('a client that sends at an even pace is within the rate, also if the event loop is late', async t => {
  const { taken, turn, block } = setup(t, { rate: 20, burst: 40 })
  for (let n = 0; n < 5; n++) {
    block(3_100)
    // 15 messages per second, all read in one turn.
    t.equal(taken(47), 47, `blocked ${n + 1} times`)
    turn(500)
    t.equal(taken(8), 8)
  }
})

t.test('a delay of the event loop is credited once, also if take() is called during the delay', async t => {
  const { taken, block } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  block(3_100)
  t.equal(taken(), 62)
  block(100)
  t.equal(taken(), 2)
})

t.test('a new bucket has the credit of the last delay, because its first frames may have been sent during the delay', async t => {
  const { clock, block } = setup(t, { rate: 20, burst: 40 })
  block(3_100)
  const bucket = new TokenBucket({ rate: 20, burst: 40 }, clock)
  t.equal(Array.from({ length: 200 }, () => bucket.take()).filter(Boolean).length, 40 + 60)
})

t.test('excused time is credited beyond the burst for 10 s, and at most 10 s of it are credited', async t => {
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

t.test('excused time credits only the tokens of this time, and causes no debt', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  turn(3_000)
  bucket.excuse(1_000)
  t.equal(taken(), 60)
  turn(10_000)
  bucket.excuse(5_000)
  t.equal(bucket.wait, 0)
  t.equal(taken(), 140)
})

t.test('the credit of excused time expires after 10 s, also if the bucket is read meanwhile', async t => {
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

t.test('excused time credits no tokens that fit into the burst', async t => {
  const { bucket, taken, turn } = setup(t, { rate: 20, burst: 40 })
  t.equal(taken(), 40)
  turn(3_000)
  bucket.excuse(3_000)
  t.equal(taken(), 60)
})

t.test('a debt is refilled after at most 10 s', async t => {
  const { bucket, turn } = setup(t, { rate: 100, burst: 100 })
  t.equal(bucket.spend(100_000), 10_000)
  turn(10_000)
  t.equal(bucket.wait, 0)
})
