import t from 'tap'
import { encodeLimits, metaTtlOf, Retentions } from '../../../lib/brokers/redis/retention.js'

const mib = 1024 * 1024

t.test('a meta outlives its stream', async t => {
  t.equal(metaTtlOf({ ttl: 1_000 }), 86_400_000)
  t.equal(metaTtlOf({ ttl: 86_400_000 }), 172_800_000)
})

t.test('a retention may shorten the life of a meta, which is stored with its other limits', async t => {
  const { stream } = new Retentions().of({ stored: { size: 5, ttl: 9, bytes: 7, headTtl: 60_000 } })
  t.equal(metaTtlOf(stream), 60_000)
  t.equal(encodeLimits(stream), '5 9 7 60000')
  t.equal(encodeLimits({ size: 5, ttl: 9, bytes: 7 }), '5 9 7')
})

t.test('a channel without a retention of its own has the limits of the options, and these have defaults', async t => {
  t.strictSame(new Retentions().of(undefined), { log: { size: 100, ttl: 300_000 }, stream: { size: 100, ttl: 300_000, bytes: 4 * mib } })
  t.strictSame(new Retentions({ size: 0, ttl: 0, bytes: 0 }).of(undefined).stream, { size: 0, ttl: 0, bytes: 0 })
})

t.test('a retention sets the limits of the log and the stream, and the options set the missing limits', async t => {
  const retentions = new Retentions({ size: 50, ttl: 1_000, bytes: mib })
  t.strictSame(retentions.of({ size: 5 }), { log: { size: 5, ttl: 1_000 }, stream: { size: 5, ttl: 1_000, bytes: mib } })
  const stored = { size: 500, bytes: 2 * mib }
  t.strictSame(retentions.of({ ttl: 9, stored }), { log: { size: 50, ttl: 9 }, stream: { size: 500, ttl: 9, bytes: 2 * mib } })
})

t.test('the limits of a retention are computed once', async t => {
  const retentions = new Retentions()
  const retention = { size: 5 }
  t.equal(retentions.of(retention), retentions.of(retention))
})
