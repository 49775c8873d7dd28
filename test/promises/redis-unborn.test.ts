import t from 'tap'
import { ChannelLog } from '../../lib/logs/channel-log.js'
import { redisBroker } from '../../lib/redis.js'
import { every, found } from '../every.js'
import { connect, start, type Client } from '../harness.js'
import { RedisServer, skipRedis } from '../redis-server.js'
import { eventually } from '../waiting.js'

type Test = Parameters<typeof start>[0]

/** Servers of one app, and their Redis. */
async function nodes (t: Test, count = 2) {
  const redis = await RedisServer.start(t)
  const started = await Promise.all(Array.from({ length: count }, () => start(t, { broker: redisBroker({ url: redis.url }) })))
  return { redis, nodes: started, client: redis.client(t) }
}

const path = '/ws/notifications/ada'
const positionOf = ({ ack }: Awaited<ReturnType<typeof connect>>) => ack.data!.position
const numbers = ({ received }: Client) => received.filter(({ type }) => type === 'n').map(({ data }) => (data as { n: number }).n)
const message = (n: number) => ({ type: 'n', data: { n } })

t.test('reading 1,000 channels that do not exist leaves nothing in Redis', { skip: skipRedis }, async t => {
  const { nodes: [{ app, url }], redis, client } = await nodes(t, 1)
  const broker = redisBroker({ url: redis.url })
  t.teardown(() => broker.close())
  await broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits))
  await broker.nodes.enter('ada', 'c1', 10)
  await eventually(async () => (await broker.nodes.present('ada')).length === 1)
  const before = await client.dbsize()
  for (let n = 0; n < 1_000; n += 100) {
    const logs = await Promise.all(Array.from({ length: 100 }, (_, at) => broker.subscribe(`chat:w/a/c${n + at}/ada`)))
    t.ok(every(logs, ({ head, length }) => head === 0 && length === 0))
  }
  t.equal(await client.dbsize(), before)
  for (let n = 0; n < 20; n++) (await connect(t, `${url}/ws/w/a/d${n}/ada`)).socket.terminate()
  t.strictSame((await client.keys('*:meta')).length, 1, 'the only meta key is the key of the nodes')
  await app.ws.sendToUser('ada', message(1))
  t.strictSame((await client.keys('*:meta')).length, 2)
})

t.test('a client of a channel without publications gets the first one, and resumes from before or after it on any server', { skip: skipRedis }, async t => {
  const { nodes: [a, b] } = await nodes(t)
  const [early, stays] = [await connect(t, `${a.url}${path}`), await connect(t, `${b.url}${path}`)]
  const position = positionOf(early)
  early.socket.terminate()
  const idle = await connect(t, `${b.url}${path}?since=${position}`)
  t.match(idle.ack.data, { recovered: true, replayed: 0 }, 'nothing was published meanwhile')

  for (const n of [1, 2, 3]) await a.app.ws.sendToUser('ada', message(n))
  await a.app.ws.broadcast(message(4))
  for (const client of [stays, idle]) {
    await client.until(() => numbers(client).length === 4)
    t.strictSame(found(client.received, ({ type }) => type === 'resync'), [])
  }
  const ids = stays.received.filter(({ type }) => type === 'n').map(({ id }) => id!)
  const since = [ids[0], positionOf(idle).split(',')[1]].join(',')
  for (const { url } of [a, b]) {
    const fromBefore = await connect(t, `${url}${path}?since=${position}`)
    t.match(fromBefore.ack.data, { recovered: true, replayed: 4 })
    await fromBefore.until(() => numbers(fromBefore).length === 4)
    t.strictSame(numbers(fromBefore).sort(), [1, 2, 3, 4])
    const fromFirst = await connect(t, `${url}${path}?since=${since}`)
    t.match(fromFirst.ack.data, { recovered: true, replayed: 3 })
    await fromFirst.until(() => numbers(fromFirst).length === 3)
    t.strictSame(numbers(fromFirst).sort(), [2, 3, 4])
  }
})

t.test('a resume from before the first publication gets recovered: false when it has left the history', { skip: skipRedis }, async t => {
  const { nodes: [a, b] } = await nodes(t)
  const client = await connect(t, `${a.url}${path}`)
  client.socket.terminate()
  for (let n = 0; n < 120; n++) await a.app.ws.sendToUser('ada', message(n))
  for (const { url } of [a, b]) t.match((await connect(t, `${url}${path}?since=${positionOf(client)}`)).ack.data, { recovered: false })
})

t.test('a position from before the first publication is recovered after 22 hours, and not after 24 hours', { skip: skipRedis }, async t => {
  const { nodes: [a] } = await nodes(t, 1)
  const position = positionOf(await connect(t, `${a.url}${path}`))
  const hoursAgo = (hours: number) => position.replaceAll(/(?<=unborn)[0-9a-z]{9}/g, time =>
    (parseInt(time, 36) - hours * 60 * 60 * 1_000).toString(36).padStart(9, '0'))
  t.match((await connect(t, `${a.url}${path}?since=${hoursAgo(22)}`)).ack.data, { recovered: true })
  t.match((await connect(t, `${a.url}${path}?since=${hoursAgo(24)}`)).ack.data, { recovered: false })
})

t.test('a channel that expired restarts under another epoch, and the old epoch gets recovered: false', { skip: skipRedis }, async t => {
  const { nodes: [a, b], client } = await nodes(t)
  const before = await connect(t, `${a.url}${path}`)
  await a.app.ws.sendToUser('ada', message(1))
  const { id } = await before.next('n')
  before.socket.terminate()
  // Simulates the expiry of the channel after a day.
  await client.del(...(await client.keys('*:meta')).filter(key => key.includes(Buffer.from('user:ada').toString('base64url'))))
  for (const n of [2, 3]) await b.app.ws.sendToUser('ada', message(n))
  const since = [id, positionOf(before).split(',')[1]].join(',')
  const after = await connect(t, `${b.url}${path}?since=${since}`)
  t.match(after.ack.data, { recovered: false, replayed: 0 })
})

t.test('when Redis loses its data, clients get a resync, and earlier positions get recovered: false', { skip: skipRedis }, async t => {
  const { nodes: [a, b], redis } = await nodes(t)
  const left = await connect(t, `${a.url}${path}`)
  const position = positionOf(left)
  left.socket.terminate()
  const stays = await connect(t, `${b.url}${path}`)
  await a.app.ws.sendToUser('ada', message(1))
  await stays.next('n')
  await redis.restart({ isEmpty: true })
  await eventually(() => b.app.ws.broadcast(message(2)).then(() => true, () => false))
  await stays.next('resync')
  for (const { url } of [a, b]) {
    await eventually(async () => {
      const back = await connect(t, `${url}${path}?since=${position}`).catch(() => undefined)
      return back?.ack.data!.recovered === false
    })
  }
})
