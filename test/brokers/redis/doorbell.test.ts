import t from 'tap'
import { Doorbell, type Announcement } from '../../../lib/brokers/redis/doorbell.js'
import { startLink } from '../../redis-nodes.js'
import { RedisServer, skipRedis, until } from '../../redis-server.js'

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

t.test('a doorbell tells who listens of each announcement', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const { link, connection } = startLink(t, { url: server.url })
  const doorbell = new Doorbell(link)
  t.teardown(() => doorbell.close())
  const a = new Heard()
  const b = new Heard()
  doorbell.listen('a', a)
  doorbell.listen('b', b)
  await until(() => a.listening === 1 && b.listening === 1)

  t.test('tells what is announced', async t => {
    await client.publish('a', 'e1 7 123\x1em1 {"a": "b c"}\x1em2 {}')
    await until(() => a.announcements.length === 2)
    t.strictSame(a.announcements, [
      { epoch: 'e1', offset: 7, mark: 'm1', body: '{"a": "b c"}' },
      { epoch: 'e1', offset: 8, mark: 'm2', body: '{}' }
    ])
    t.equal(b.announcements.length, 0)
  })

  t.test('listens again after a cut, and says so', async t => {
    connection.disconnect(true)
    await until(() => a.listening === 2 && b.listening === 2)
    t.strictSame((await client.pubsub('NUMSUB', 'a', 'b')), ['a', 1, 'b', 1])
  })

  t.test('a channel that is left and listened to again at once has one subscription', async t => {
    const again = new Heard()
    doorbell.leave('a')
    doorbell.listen('a', again)
    await until(() => again.listening === 1)
    t.equal(doorbell.size, 2)
    t.strictSame(await client.pubsub('NUMSUB', 'a'), ['a', 1])
    doorbell.leave('a')
    await until(async () => (await client.pubsub('NUMSUB', 'a') as unknown[])[1] === 0)
    t.equal(a.listening, 2)
  })

  t.test('what could not be subscribed to is tried again', async t => {
    const late = new Heard()
    const { subscribe } = connection
    connection.subscribe = async () => { throw new Error('not now') }
    doorbell.listen('late', late)
    await new Promise(resolve => setImmediate(resolve))
    connection.subscribe = subscribe
    await until(() => late.listening === 1)
    t.equal(link.isReady, true)
  })
})
