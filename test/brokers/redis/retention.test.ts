import t from 'tap'
import { metaTtlOf, retentionOf } from '../../../lib/brokers/redis/retention.js'

t.test('a meta outlives its stream', async t => {
  t.equal(metaTtlOf({ size: 1, ttl: 1_000 }), 86_400_000)
  t.equal(metaTtlOf({ size: 1, ttl: 86_400_000 }), 172_800_000)
})

t.test('of a chat more is kept', async t => {
  t.strictSame(retentionOf()('user:a'), { size: 100, ttl: 300_000 })
  t.strictSame(retentionOf()('chat:a/b/c/d'), { size: 10_000, ttl: 3_600_000 })
  const of = retentionOf({ size: 20_000, ttl: 7_200_000 }, { ttl: 60_000 })
  t.strictSame([of('broadcast'), of('chat:a/b/c/d')], [{ size: 20_000, ttl: 7_200_000 }, { size: 20_000, ttl: 60_000 }])
})

t.test('nothing need be kept', async t => {
  t.strictSame(retentionOf({ size: 0, ttl: 0 })('user:a'), { size: 0, ttl: 0 })
})
