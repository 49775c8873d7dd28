import t, { type Test } from 'tap'
import { RedisClock } from '../../../../lib/brokers/redis/clock.js'
import type { StreamHead } from '../../../../lib/brokers/redis/commands/read.js'
import type { ReadPublications } from '../../../../lib/brokers/redis/following/feed.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { BatchPublisher } from '../../../../lib/brokers/redis/publishing/publisher.js'
import { StreamStore } from '../../../../lib/brokers/redis/following/store.js'
import { every } from '../../../every.js'
import { startLink } from '../../../redis-nodes.js'
import { lifetimeOf, RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

const limits = { size: 10, ttl: 60_000, bytes: 4 * 1024 * 1024 }

t.test('a store reads and mends streams', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const { url } = server
  const client = server.client(t)
  const { link, connection } = startLink(t, { url })
  const keys = new Keys('t:')
  const clock = new RedisClock(false)
  const publisher = new BatchPublisher(link, keys)
  const store = new StreamStore(link, keys, limits, clock)
  t.teardown(() => publisher.close())
  await t.rejects(store.read('x', limits), { code: 'RT_ERR_BROKER' }, 'a read before the connection is ready')
  await eventually(() => link.isReady)
  const stream = keys.stream('a')

  t.test('a store reads publications and heads, detects a lost tail, and learns the time of Redis', async t => {
    await Promise.all([1, 2, 3].map(n => publisher.publish('a', `{"n":${n}}`, limits)))
    const { head, stored, isTailLost } = await store.read('a', limits) as ReadPublications & { head: StreamHead }
    t.strictSame([head.offset, stored.map(({ body }) => body), isTailLost], [3, ['{"n":1}', '{"n":2}', '{"n":3}'], false])
    t.ok(every(stored, ({ age }) => age >= 0 && age < 5_000))
    t.ok(Math.abs(clock.at(performance.now())! - Date.now()) < 1_000)
    t.strictSame(await store.heads([stream, keys.stream('nothing')]), [head, undefined])
    t.strictSame((await store.read('a', limits, head)).stored, [])
    t.strictSame((await store.read('a', limits, { ...head, offset: 4 })).isTailLost, true)
    t.equal(store.checkSize, 200)
  })

  t.test('a node that reads a channel stores its limits with it if the last publisher did not know them', async t => {
    const meta = keys.meta(keys.stream('kept'))
    await publisher.publish('kept', '{}', { size: 1, ttl: 1_000, bytes: 1_000 }, true)
    t.equal(await client.hget(meta, 'r'), null)
    await store.read('kept', limits)
    t.equal(await client.hget(meta, 'r'), `10 60000 ${4 * 1024 * 1024}`)
    await store.read('never', limits)
    t.equal(await client.exists(keys.meta(keys.stream('never'))), 0)
  })

  t.test('a stream without its tail is mended once', async t => {
    const { head } = await store.read('a', limits) as ReadPublications & { head: StreamHead }
    t.equal(await store.mend('a', limits, head, [{ mark: 'm', body: '{"n":4}' }]), true)
    t.equal(await store.mend('a', limits, head, [{ mark: 'm', body: '{"n":4}' }]), false)
    t.match(await publisher.publish('a', '{"n":5}', limits), { offset: 5, epoch: head.epoch })
  })

  t.test('mended publications that may not be announced are stored, and the health reports PUBLISH as failing', async t => {
    await client.call('ACL', 'SETUSER', 'mute', 'on', '>x', '~*', '+@all', 'resetchannels')
    const { link } = startLink(t, { url: url.replace('//', '//mute:x@') })
    await eventually(() => link.isReady)
    const mute = new StreamStore(link, keys, limits, clock)
    const { head } = await mute.read('a', limits) as ReadPublications & { head: StreamHead }
    t.equal(await mute.mend('a', limits, head, [{ mark: 'm', body: '{}' }]), true)
    t.equal(link.health.isFailing('PUBLISH'), true)
  })

  t.test('the age of a publication is the time since it was stored, on the clock of Redis', async t => {
    const stream = keys.stream('old')
    await client.hset(keys.meta(stream), 'e', 'e1', 'o', 1, 'm', 'm1')
    await client.xadd(stream, '1-0', 'm', 'm1', 't', Date.now() - 60_000, 'b', '{}', 'c', 66)
    await client.pexpire(stream, 60_000)
    const { stored: [{ age }] } = await store.read('old', limits)
    t.ok(age >= 60_000 && age < 80_000, `${age} ms`)
  })

  t.test('read and heads renew the expiry of a meta to its full lifetime', async t => {
    const meta = keys.meta(stream)
    const lasts = async (t: Test, what: string) => {
      const left = await lifetimeOf(client, meta)
      t.ok(left > 86_000_000 && left <= 86_400_000, `${what}: ${left} ms`)
    }
    await client.pexpire(meta, 3_600_000)
    await store.heads([stream])
    await lasts(t, 'heads')
    await client.pexpire(meta, 3_600_000)
    await store.read('a', limits)
    await lasts(t, 'read')
  })

  t.test('at most 64 reads are under way at once, and each answer starts a waiting one', async t => {
    const { evalsha } = connection
    const sent = { running: 0, most: 0 }
    connection.evalsha = (async (...args: Parameters<typeof evalsha>) => {
      sent.most = Math.max(sent.most, ++sent.running)
      try {
        return await evalsha.apply(connection, args)
      } finally {
        sent.running--
      }
    }) as typeof evalsha
    t.teardown(() => { connection.evalsha = evalsha })
    const readings = await Promise.all(Array.from({ length: 300 }, (_, n) => store.read(`many:${n}`, limits)))
    t.equal(sent.most, 64)
    t.ok(every(readings, ({ head, stored }) => head === undefined && stored.length === 0))
  })

  t.test('a read writes nothing for a channel without a publication, unless isToBegin is set', async t => {
    const before = await client.dbsize()
    t.equal((await store.read('none', limits)).head, undefined)
    t.equal(await client.dbsize(), before)
    const { head, isForked } = await store.read('none', limits, undefined, false, true) as ReadPublications & { head: StreamHead }
    t.strictSame([head.offset, isForked, await client.dbsize()], [0, true, before + 1])
    t.match(await publisher.publish('none', '{}', limits), { epoch: head.epoch, offset: 1 })
  })

  t.test('a channel that Redis has lost continues under another epoch for a node that has its log', async t => {
    const { head, isForked } = await store.read('gone', limits, { epoch: 'e1', offset: 7, mark: 'm' }) as ReadPublications & { head: StreamHead }
    t.not(head.epoch, 'e1')
    t.strictSame([head.offset, isForked], [0, true])
    t.match(await publisher.publish('gone', '{}', limits), { epoch: head.epoch, offset: 1 })
    t.equal((await store.read('gone', limits)).isForked, true)
  })
})
