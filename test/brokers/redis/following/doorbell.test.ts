import { mock } from 'node:test'
import { Cluster, type Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { Doorbell, type Announcement } from '../../../../lib/brokers/redis/following/doorbell.js'
import { Health } from '../../../../lib/brokers/redis/link/health.js'
import { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually, loopTurns } from '../../../waiting.js'

class Heard {
  readonly announcements: Announcement[] = []
  listening = 0

  onListening (): void {
    this.listening++
  }

  onAnnounced (announcements: Announcement[]): void {
    this.announcements.push(...announcements)
  }
}

/** Mocks the interval between two periodic checks. The returned function lets it pass. */
function mockLooks (t: Test): () => void {
  mock.timers.enable({ apis: ['setInterval'] })
  t.teardown(() => mock.timers.reset())
  return () => mock.timers.tick(1_500)
}

const subscriptionsOf = async (client: Redis, ...channels: string[]) =>
  (await client.pubsub('NUMSUB', ...channels) as unknown[]).filter((_part, at) => at % 2 === 1)

t.test('a doorbell passes announcements to the listener of their channel', { skip: skipRedis }, async t => {
  const look = mockLooks(t)
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link, connection } = startLink(t, { url: server.url })
  const doorbell = new Doorbell(link)
  t.teardown(() => doorbell.close())
  const a = new Heard()
  const b = new Heard()
  doorbell.listen('a', a)
  doorbell.listen('b', b)
  await eventually(() => a.listening === 1 && b.listening === 1)

  t.test('a listener gets each announced publication of its channel, and none of another channel', async t => {
    await client.publish('a', 'e1 7 123\x1em1 {"a": "b c"}\x1em2 {}')
    await eventually(() => a.announcements.length === 2)
    t.strictSame(a.announcements, [
      { epoch: 'e1', offset: 7, mark: 'm1', body: '{"a": "b c"}' },
      { epoch: 'e1', offset: 8, mark: 'm2', body: '{}' }
    ])
    t.equal(b.announcements.length, 0)
  })

  t.test('after a lost connection a doorbell subscribes again, and calls onListening', async t => {
    connection.disconnect(true)
    await eventually(() => a.listening === 2 && b.listening === 2)
    t.strictSame(await subscriptionsOf(client, 'a', 'b'), [1, 1])
  })

  t.test('a channel that is left and listened to again at once has one subscription', async t => {
    const again = new Heard()
    doorbell.leave('a')
    doorbell.listen('a', again)
    await eventually(() => again.listening === 1)
    t.equal(doorbell.size, 2)
    t.strictSame(await subscriptionsOf(client, 'a'), [1])
    doorbell.leave('a')
    t.equal(doorbell.size, 1)
    await eventually(async () => (await subscriptionsOf(client, 'a'))[0] === 0)
    t.equal(a.listening, 2)
  })

  t.test('a doorbell does not subscribe to a channel that is left before its SUBSCRIBE is sent', async t => {
    const other = new Heard()
    doorbell.listen('left', new Heard())
    doorbell.leave('left')
    doorbell.listen('other', other)
    await eventually(() => other.listening === 1)
    t.strictSame(await subscriptionsOf(client, 'left', 'other'), [0, 1])
  })

  t.test('the confirmation of an abandoned subscription is ignored, and the next listener gets its own', async t => {
    const [first, next] = [new Heard(), new Heard()]
    doorbell.listen('changing', first)
    // Redis is asked, and has not answered.
    await loopTurns(1)
    doorbell.leave('changing')
    doorbell.listen('changing', next)
    await eventually(() => next.listening === 1)
    t.equal(first.listening, 0)
    t.strictSame(await subscriptionsOf(client, 'changing'), [1])
  })

  t.test('the periodic check retries failed subscriptions and pings Redis', async t => {
    const late = new Heard()
    const { subscribe } = connection
    connection.subscribe = async () => { throw new Error('not now') }
    doorbell.listen('late', late)
    await loopTurns()
    connection.subscribe = subscribe
    const ping = mock.method(connection, 'ping')
    t.teardown(() => ping.mock.restore())
    look()
    await eventually(() => late.listening === 1)
    t.equal(link.isReady, true)
    t.equal(ping.mock.callCount(), 1, 'a dead connection ends with an unanswered ping')
  })

  t.test('a closed doorbell neither passes announcements on nor pings Redis', async t => {
    const heard = new Heard()
    doorbell.listen('closed', heard)
    await eventually(() => heard.listening === 1)
    doorbell.close()
    await client.publish('closed', 'e1 1 123\x1em1 {}')
    await connection.ping() // Everything sent before the PONG has been read.
    t.strictSame(heard.announcements, [])
    t.equal(doorbell.size, 0)
    const ping = mock.method(connection, 'ping')
    t.teardown(() => ping.mock.restore())
    look()
    t.equal(ping.mock.callCount(), 0)
  })
})

t.test('the health reports SUBSCRIBE as failing until every channel is subscribed to', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  await client.call('ACL', 'SETUSER', 'some', 'on', '>x', '~*', '+@all', 'resetchannels', '&permitted*')
  const { link } = startLink(t, { url: server.url.replace('//', '//some:x@') })
  const doorbell = new Doorbell(link)
  t.teardown(() => doorbell.close())
  const [permitted, refused] = [new Heard(), new Heard()]
  await eventually(() => link.isReady)
  // The channels of one SUBSCRIBE command. Redis refuses the first one.
  doorbell.listen('refused', refused)
  for (let n = 1; n < 500; n++) doorbell.listen(`permitted:${n}`, new Heard())
  doorbell.listen('permitted', permitted)
  await eventually(() => permitted.listening === 1)
  t.equal(link.health.isFailing('SUBSCRIBE'), true)
  await client.call('ACL', 'SETUSER', 'some', 'allchannels')
  const last = new Heard()
  doorbell.listen('permitted:500', last)
  await eventually(() => refused.listening === 1 && last.listening === 1)
  t.equal(link.health.isFailing('SUBSCRIBE'), false)
})

t.test('when the subscribers of a Cluster reconnect, every listener is notified at once and again after 1 s', async t => {
  mock.timers.enable({ apis: ['setTimeout'] })
  t.teardown(() => mock.timers.reset())
  const client = new Cluster([], { lazyConnect: true })
  const link = new RedisLink({ client }, new Health('t:'))
  const doorbell = new Doorbell(link)
  t.teardown(() => doorbell.close())
  const heard = new Heard()
  doorbell.listen('a', heard)
  link.client.emit('subscribersReady')
  link.client.emit('subscribersReady')
  t.equal(heard.listening, 2)
  mock.timers.tick(1_000)
  t.equal(heard.listening, 3)
})
