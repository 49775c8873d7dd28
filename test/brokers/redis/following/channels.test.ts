import t from 'tap'
import { FollowedChannels } from '../../../../lib/brokers/redis/following/channels.js'
import { StreamStore } from '../../../../lib/brokers/redis/following/store.js'
import { Keys } from '../../../../lib/brokers/redis/keys.js'
import { BatchPublisher } from '../../../../lib/brokers/redis/publishing/publisher.js'
import { Retentions } from '../../../../lib/brokers/redis/retention.js'
import { ChannelLog } from '../../../../lib/logs/channel-log.js'
import { startLink } from '../../../redis-nodes.js'
import { RedisServer, skipRedis } from '../../../redis-server.js'
import { eventually } from '../../../waiting.js'

t.test('a node has one log per channel, with the first limits, until it has had no reader for some time', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const [{ link: commands }, { link: subscriber }] = [startLink(t, { url }), startLink(t, { url })]
  const keys = new Keys('t:')
  const limits = new Retentions({ size: 3 })
  const publisher = new BatchPublisher(commands, keys)
  const store = new StreamStore(commands, keys, limits.defaults.stream, publisher.clock)
  const nodesLimits = limits.defaults
  const createNodesLog = (epoch: string) => new ChannelLog(epoch, { size: 1, ttl: 1, lag: 0 })
  const channels = new FollowedChannels({ subscriber, store, keys, clock: publisher.clock, lag: 7, nodesLimits, createNodesLog })
  t.teardown(async () => {
    channels.close()
    await publisher.close()
  })
  await Promise.all([publisher.ready(5_000), channels.begun, channels.heard])
  const log = await channels.subscribe('a', limits.of({ size: 2 }))
  t.match(log.limits, { size: 2, ttl: 300_000, lag: 7 })
  t.equal(await channels.subscribe('a', limits.defaults), log)
  await publisher.publish('a', '{"n":1}', limits.defaults.stream)
  await eventually(() => log.head === 1)
  t.match(channels.stats(), { channels: 1, publications: 1 })

  const reader = { offset: 0, epoch: log.epoch, wake () {}, catchUp () {} }
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
  await publisher.publish('old', '{"n":1}', short.stream)
  await eventually(() => old.length === 1)
  const later = performance.now() + 11_000
  channels.sweep(later, later)
  t.equal(old.length, 0, 'a sweep drops publications that are too old, also without a later one')
})
