import fc from 'fast-check'
import t from 'tap'
import { RedisClock } from '../../../lib/brokers/redis/clock.js'
import { clockStart } from '../../clock.js'

t.test('the clock shows no time before an answer, and none after forget', async t => {
  const clock = new RedisClock(false)
  t.equal(clock.at(1_000), undefined)
  clock.learn(5_000, 0, 10)
  t.equal(clock.at(1_000), 5_990)
  clock.forget()
  t.equal(clock.at(1_000), undefined)
})

t.test('the clock is never ahead of Redis, whatever the delay of requests and answers', async () => {
  const trip = fc.tuple(fc.nat(2_000), fc.nat(2_000), fc.nat(5_000))
  const trips = fc.array(trip, { minLength: 1 })
  fc.assert(fc.property(fc.integer({ min: -10_000_000, max: 10_000_000 }), trips, fc.boolean(), (ahead, trips, isCluster) => {
    const clock = new RedisClock(isCluster)
    let now = clockStart
    for (const [there, back, pause] of trips) {
      const sent = now
      const shown = sent + there + ahead
      now = sent + there + back
      clock.learn(shown, sent, now)
      if (clock.at(now)! > now + ahead) return false
      now += pause
    }
    return true
  }))
})

t.test('the clock follows the fastest answer, and a Redis clock that was set back', async t => {
  const clock = new RedisClock(false)
  clock.learn(1_000_500, 0, 1_000)
  t.equal(clock.at(1_000), 1_000_500)
  clock.learn(1_002_001, 2_000, 2_002)
  t.equal(clock.at(2_002), 1_002_001)
  clock.learn(1_003_500, 3_000, 4_000)
  t.equal(clock.at(4_000), 1_003_999, 'a slow answer does not change the clock')
  clock.learn(905_000, 5_000, 5_002)
  t.equal(clock.at(5_002), 905_000)
})

t.test('the clock of a Cluster follows the node that is furthest behind', async t => {
  const clock = new RedisClock(true)
  clock.learn(1_000, 0, 0)
  clock.learn(1_500, 0, 0)
  t.equal(clock.at(0), 1_000)
  clock.learn(800, 0, 0)
  t.equal(clock.at(0), 800)
})
