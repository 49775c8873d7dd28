import t from 'tap'
import { metaTtlOf, retentionOf } from '../../../lib/brokers/redis/retention.js'

const mib = 1024 * 1024

t.test('a meta outlives its stream', async t => {
  t.equal(metaTtlOf({ ttl: 1_000 }), 86_400_000)
  t.equal(metaTtlOf({ ttl: 86_400_000 }), 172_800_000)
})

t.test('more is kept of a chat than of other channels, unless the options say otherwise', async t => {
  t.strictSame(retentionOf()('user:a'), { size: 100, ttl: 300_000, bytes: 4 * mib })
  t.strictSame(retentionOf()('chat:a/b/c/d'), { size: 10_000, ttl: 3_600_000, bytes: 16 * mib })
  const of = retentionOf({ size: 20_000, ttl: 7_200_000, bytes: 64 * mib }, { ttl: 60_000 })
  t.strictSame([of('broadcast'), of('chat:a/b/c/d')], [{ size: 20_000, ttl: 7_200_000, bytes: 64 * mib }, { size: 20_000, ttl: 60_000, bytes: 64 * mib }])
})

t.test('a history may be of nothing at all', async t => {
  t.strictSame(retentionOf({ size: 0, ttl: 0, bytes: 0 })('user:a'), { size: 0, ttl: 0, bytes: 0 })
})
