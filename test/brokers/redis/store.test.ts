import t from 'tap'
import { RedisClock } from '../../../lib/brokers/redis/clock.js'
import { Keys } from '../../../lib/brokers/redis/keys.js'
import { Publisher } from '../../../lib/brokers/redis/publisher.js'
import { retentionOf } from '../../../lib/brokers/redis/retention.js'
import { Store } from '../../../lib/brokers/redis/store.js'
import { startLink } from '../../redis-nodes.js'
import { RedisServer, skipRedis, until } from '../../redis-server.js'

t.test('store', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const { link } = startLink(t, { url })
  const keys = new Keys('t:')
  const clock = new RedisClock(false)
  const publisher = new Publisher(link, keys, retentionOf({ size: 10, ttl: 60_000 }))
  const store = new Store(link, keys, retentionOf({ size: 10, ttl: 60_000 }), clock)
  t.teardown(() => publisher.close())
  await t.rejects(store.read('x'), { code: 'RT_ERR_BROKER' }, 'before the connection is ready')
  await until(() => link.isReady)
  const stream = keys.stream('a')

  t.test('reads and tells heads, and learns the time', async t => {
    await Promise.all([1, 2, 3].map(n => publisher.publish('a', `{"n":${n}}`)))
    const { head, stored, isTailLost } = await store.read('a')
    t.strictSame([head.offset, stored.map(({ body }) => body), isTailLost], [3, ['{"n":1}', '{"n":2}', '{"n":3}'], false])
    t.ok(stored.every(({ age }) => age >= 0 && age < 5_000))
    t.ok(Math.abs(clock.at(performance.now())! - Date.now()) < 1_000)
    t.strictSame(await store.heads([stream, keys.stream('nothing')]), [head, undefined])
    t.strictSame((await store.read('a', head)).stored, [])
    t.strictSame((await store.read('a', { ...head, offset: 4 })).isTailLost, true)
    t.equal(store.checkSize, 200)
  })

  t.test('mends', async t => {
    const { head } = await store.read('a')
    t.equal(await store.mend('a', head, [{ mark: 'm', body: '{"n":4}' }]), true)
    t.equal(await store.mend('a', head, [{ mark: 'm', body: '{"n":4}' }]), false)
    t.match(await publisher.publish('a', '{"n":5}'), { offset: 5, epoch: head.epoch })
  })

  t.test('many reads at once are done a few at a time', async t => {
    const readings = await Promise.all(Array.from({ length: 300 }, (_, n) => store.read(`many:${n}`)))
    t.equal(new Set(readings.map(({ head }) => head.epoch)).size, 300)
  })
})
