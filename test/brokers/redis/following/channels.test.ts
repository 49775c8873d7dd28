import t, { type Test } from 'tap'
import { FollowedChannels } from '../../../../lib/brokers/redis/following/channels.js'
import { StreamStore } from '../../../../lib/brokers/redis/following/store.js'
import { Keys, nodesChannel } from '../../../../lib/brokers/redis/keys.js'
import { BatchPublisher } from '../../../../lib/brokers/redis/publishing/publisher.js'
import type { RedisLink } from '../../../../lib/brokers/redis/link/link.js'
import { Retentions } from '../../../../lib/brokers/redis/retention.js'
import { ChannelLog } from '../../../../lib/logs/channel-log.js'
import type { Log } from '../../../../lib/logs/log.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

const limits = new Retentions({ size: 3 })

/** Compares the channels with Redis, as a broker does, until `work` is done: nothing is read while Redis is not connected. */
async function compared<T> (channels: FollowedChannels, work: Promise<T>): Promise<T> {
  let isDone = false
  const done = () => { isDone = true }
  work.then(done, done)
  await eventually(async () => {
    if (!isDone) await channels.checkAll()
    return isDone
  })
  return await work
}

/** The channels of a node. Publications of `announced` are announced, those of `mute` are stored only, as if the announcement was lost. */
async function start (t: Test) {
  const server = await RedisServer.start(t)
  await server.client(t).call('ACL', 'SETUSER', 'mute', 'on', '>x', '~*', 'resetchannels', '+@all')
  const [{ link: commands }, { link: subscriber }] = [startLink(t, { url: server.url }), startLink(t, { url: server.url })]
  const { link: muteLink } = startLink(t, { url: `redis://mute:x@127.0.0.1:${server.port}` })
  const keys = new Keys('t:')
  const publisherOn = (link: RedisLink) => {
    const publisher = new BatchPublisher(link, keys)
    t.teardown(() => publisher.close())
    return publisher
  }
  const [announced, mute] = [publisherOn(commands), publisherOn(muteLink)]
  const store = new StreamStore(commands, keys, limits.defaults.stream, announced.clock)
  const nodesLogs: ChannelLog[] = []
  const channels = new FollowedChannels({
    subscriber,
    store,
    keys,
    clock: announced.clock,
    lag: 7,
    nodesLimits: limits.defaults,
    createNodesLog: epoch => nodesLogs[nodesLogs.push(new ChannelLog(epoch, { size: 1, ttl: 1, lag: 0 })) - 1]
  })
  t.teardown(() => channels.close())
  await compared(channels, Promise.all([announced.ready(5_000), mute.ready(5_000), channels.begun, channels.heard]))
  const client = server.client(t)
  const subscribed = async () => (await client.pubsub('CHANNELS') as string[]).length
  /** Subscribes to channels, and waits until the node receives their announcements and has compared them with Redis. */
  const follow = async (...names: string[]) => {
    const logs = await compared(channels, Promise.all(names.map(name => channels.subscribe(name, limits.defaults))))
    await eventually(async () => await subscribed() === names.length + 1)
    await subscriber.client.ping()
    await channels.checkAll()
    return logs
  }
  const publish = (publisher: BatchPublisher, channel: string) => publisher.publish(channel, '{}', limits.defaults.stream)
  return { commands, subscriber, channels, nodesLogs, announced, mute, publish, subscribed, follow }
}

const readerOf = ({ epoch, head }: Log) => ({ offset: head, epoch, wake () {}, catchUp () {} })

t.test('a node has one log per channel, with the first limits, until it has had no reader for some time', { skip: skipRedis }, async t => {
  const { channels, announced, publish } = await start(t)
  const log = await channels.subscribe('a', limits.of({ size: 2 }))
  t.match(log.limits, { size: 2, ttl: 300_000, lag: 7 })
  t.equal(await channels.subscribe('a', limits.defaults), log)
  await publish(announced, 'a')
  await eventually(() => log.head === 1)
  t.match(channels.stats(), { channels: 1, publications: 1 })

  const reader = readerOf(log)
  log.add(reader)
  const now = performance.now()
  channels.sweep(now + 60_000, now + 60_000)
  t.equal(await channels.subscribe('a', limits.defaults), log, 'a log with a reader stays')
  log.remove(reader)
  channels.sweep(now + 120_000, now + 120_000)
  t.equal(channels.stats().channels, 0)
  const other = await channels.subscribe('a', limits.defaults)
  t.not(other, log)
  t.equal(other.head, 1)

  const short = limits.of({ ttl: 10_000 })
  const old = await channels.subscribe('old', short)
  old.add({ offset: 1, epoch: old.epoch, wake () {}, catchUp () {} })
  await announced.publish('old', '{}', short.stream)
  await eventually(() => old.length === 1)
  const later = performance.now() + 11_000
  channels.sweep(later, later)
  t.equal(old.length, 0, 'a sweep drops publications that are too old, also without a later one')
})

t.test('a channel is released more than 5 s after its last reader, but not while Redis is away', { skip: skipRedis }, async t => {
  const { channels } = await start(t)
  const log = await channels.subscribe('a', limits.defaults)
  const reader = readerOf(log)
  log.add(reader)
  // An integer, so that differences are exact.
  const now = Math.ceil(performance.now()) + 60_000
  channels.sweep(now, now)
  log.remove(reader)
  channels.sweep(now + 5_000, now + 5_000)
  t.equal(channels.stats().channels, 1)
  channels.sweep(now + 2_001, now + 5_001)
  t.equal(channels.stats().channels, 1, 'Redis is silent for 3 s: this node may be the only one with the newest publications')
  channels.sweep(now + 2_002, now + 5_001)
  t.equal(channels.stats().channels, 0)
  await channels.subscribe('b', limits.defaults)
  channels.sweep(performance.now() + 4_000, performance.now() + 4_000)
  t.equal(channels.stats().channels, 1, 'a channel is kept for the caller that subscribes to it')
})

t.test('a channel, also that of the nodes, is compared with Redis after 15 s without an announcement', { skip: skipRedis }, async t => {
  const { channels, nodesLogs: [nodesLog], announced, mute, publish, follow } = await start(t)
  const [quiet, heard] = await follow('quiet', 'heard')
  await publish(mute, 'quiet')
  await publish(mute, nodesChannel)
  const since = performance.now()
  await publish(announced, 'heard')
  await eventually(() => heard.head === 1)
  await publish(mute, 'heard')
  channels.sweep(since, since + 15_000)
  await eventually(() => quiet.head === 1 && nodesLog.head === 1)
  t.equal(heard.head, 1, 'a channel that was announced since is not compared')
  t.equal((await channels.subscribe('heard', limits.defaults)).head, 2, 'a channel is compared for each caller that subscribes to it')
})

t.test('checkAll compares every channel, and neither it nor a sweep throws when Redis does not answer', { skip: skipRedis }, async t => {
  const { channels, nodesLogs: [nodesLog], commands, mute, publish, follow } = await start(t)
  const logs = await follow('a', 'b')
  for (const channel of ['a', 'b', nodesChannel]) await publish(mute, channel)
  t.strictSame([...logs, nodesLog].map(({ head }) => head), [0, 0, 0])
  await channels.checkAll()
  t.strictSame([...logs, nodesLog].map(({ head }) => head), [1, 1, 1])
  commands.end()
  channels.subscribe('c', limits.defaults)
  await t.resolves(channels.checkAll())
  channels.sweep(performance.now())
  t.equal(channels.stats().channels, 3, 'a channel that could not be read yet is not released')
})

t.test('after a lost connection, a node compares its channels as soon as it listens again', { skip: skipRedis }, async t => {
  const { nodesLogs: [nodesLog], subscriber, mute, publish, follow } = await start(t)
  const [log] = await follow('a')
  await publish(mute, 'a')
  await publish(mute, nodesChannel)
  subscriber.client.disconnect(true)
  await eventually(() => log.head === 1 && nodesLog.head === 1)
})

t.test('stats count the publications of all channels and the bytes that they take', { skip: skipRedis }, async t => {
  const { channels, announced, publish, follow } = await start(t)
  const logs = await follow('a', 'b', 'none')
  for (const channel of ['a', 'b', 'b']) await publish(announced, channel)
  await eventually(() => logs[0].head + logs[1].head === 3)
  const { publications, bytes } = channels.stats()
  t.equal(publications, 3)
  const ofLogs = logs.reduce((sum, log) => sum + log.bytes, 0)
  t.ok(ofLogs > 0)
  t.ok(bytes > ofLogs && bytes <= ofLogs + 3 * 1_024, `${bytes} bytes with bookkeeping, ${ofLogs} without`)
})

t.test('a closed node has no channels, and appends nothing to their logs', { skip: skipRedis }, async t => {
  const { channels, nodesLogs: [nodesLog], announced, publish, subscribed, follow } = await start(t)
  const [log] = await follow('a')
  channels.close()
  t.equal(channels.stats().channels, 0)
  await publish(announced, 'a')
  await publish(announced, nodesChannel)
  await eventually(async () => await subscribed() === 1)
  t.strictSame([log.head, nodesLog.head], [0, 0])
})
