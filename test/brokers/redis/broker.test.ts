import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Cluster } from 'ioredis'
import t from 'tap'
import { ChannelLog } from '../../../lib/logs/channel-log.js'
import type { LogLimits } from '../../../lib/logs/log.js'
import { redisBroker } from '../../../lib/redis.js'
import { Keys } from '../../../lib/brokers/redis/keys.js'
import type { Position } from '../../../lib/protocol/position.js'
import { createPublisher } from '../../../lib/publisher.js'
import { brokerContract } from '../../../lib/testing/index.js'
import { every } from '../../every.js'
import { Follower, TestNode } from '../../redis-nodes.js'
import { ChaosProxy, RedisServer, skipRedis, startCluster } from '../../redis-server.js'
import { root } from '../../root.js'
import { eventually } from '../../waiting.js'

t.test('the Redis broker keeps the contract on a single server', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ client })))
})

t.test('the Redis broker keeps the contract with a small history and a small lag', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ url, history: { size: 10 }, lag: 1_000 })))
})

t.test('the Redis broker keeps the contract on a Cluster', { skip: skipRedis }, async t => {
  const cluster = await startCluster(t)
  const client = cluster.client()
  for (const { name, run } of brokerContract) await t.test(name, () => run(() => redisBroker({ client })))
})

t.test('the Redis broker keeps the contract with the permissions that docs/redis-failures.md lists', { skip: skipRedis }, async t => {
  const docs = readFileSync(join(root, 'docs/redis-failures.md'), 'utf8')
  const [, acl] = /<!-- acl: start -->\n```\n(.*?)\n```/s.exec(docs)!
  const server = await RedisServer.start(t)
  const admin = server.client(t)
  const [, ...words] = acl.split(/\s+/)
  await admin.call('ACL', ...words)
  const lines: string[] = []
  const write = (_fields: object, message: string) => { lines.push(message) }
  const make = () => {
    const broker = redisBroker({ url: `redis://app:password@127.0.0.1:${server.port}` })
    const { open } = broker
    broker.open = createLog => open.call(broker, createLog, { log: { error: write, info: write } })
    return broker
  }
  for (const { name, run } of brokerContract) await t.test(name, () => run(make))
  const broker = make()
  t.teardown(() => broker.close())
  await broker.open(createLog)
  const { nodes } = broker
  await eventually(() => nodes.enter('ada', 'c1', 2))
  t.equal((await nodes.present('ada')).length, 1)
  t.equal(await nodes.claim('ada', 'k', 1_000), true)
  await (await nodes.hold('l', '{}'))!.release()
  nodes.leave('ada', 'c1')
  await eventually(async () => (await nodes.present('ada')).length === 0)
  t.strictSame(lines, [], 'Redis refuses no command of a server')

  const [, some] = /createPublisher` needs of these only `([^`]+)`/s.exec(docs)!
  await admin.call('ACL', 'SETUSER', 'worker', 'on', '>password', '~realtime:*', 'resetchannels', '&realtime:*', '-@all', ...some.split(/\s+/))
  const publisher = createPublisher({ url: `redis://worker:password@127.0.0.1:${server.port}`, log: { error: write, warn: write, info: write } })
  t.teardown(() => publisher.close())
  await eventually(() => publisher.sendToUser('ada', { type: 'note' }).then(() => true, () => false))
  t.strictSame(lines, [], 'Redis refuses no command of a worker')
})

const createLog = (_channel: string, epoch: string, limits: LogLimits) => new ChannelLog(epoch, limits)

t.test('a broker is subscribed to a channel only while the channel has readers', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const client = server.client(t)
  const broker = redisBroker({ url: server.url })
  t.teardown(() => broker.close())
  await broker.open(createLog)
  const subscribed = async () => (await client.pubsub('CHANNELS') as string[]).length
  await eventually(async () => await subscribed() === 1)
  const memory = async () => Number(/used_memory:(\d+)/.exec(await client.info('memory'))![1])
  const before = await memory()

  const channels = Array.from({ length: 10_000 }, (_, n) => `user:${n}`)
  const followers: Follower[] = []
  while (followers.length < channels.length) {
    const some = channels.slice(followers.length, followers.length + 200)
    followers.push(...await Promise.all(some.map(async channel => new Follower(channel, await broker.subscribe(channel)))))
  }
  t.equal(await subscribed(), 10_001)
  t.match(broker.stats(), { channels: 10_000, publications: 0 })
  for (const follower of followers.slice(1)) follower.log.remove(follower)
  const [stays] = followers
  await eventually(async () => await subscribed() === 2, 30_000)
  t.match(broker.stats(), { channels: 1 })
  await broker.publish('user:0', '{}')
  await eventually(() => stays.received.length === 1)
  const after = await memory()
  t.ok(after - before < 2 * 1024 * 1024, `${after - before} bytes more in Redis`)
})

t.test('a broker that knows the owners and a limit refuses what a user stores beyond it, and otherwise nothing', { skip: skipRedis }, async t => {
  const { url } = await RedisServer.start(t)
  const [ownerOf, stored] = [(channel: string) => channel === 'chat:a' || channel === 'user:a' ? 'a' : channel, 10_000]
  const body = `{"x":"${'x'.repeat(6_000)}"}`
  for (const host of [{ ownerOf, stored }, { ownerOf }, { stored }, undefined]) {
    const broker = redisBroker({ url })
    t.teardown(() => broker.close())
    await broker.open(createLog, host)
    const outcomes = []
    for (const channel of ['user:a', 'chat:a', 'board']) outcomes.push(await broker.publish(channel, body).then(() => 'stored', ({ code }) => code))
    const isLimited = host?.ownerOf !== undefined && host.stored !== undefined
    t.strictSame(outcomes, ['stored', isLimited ? 'RT_ERR_OVER_QUOTA' : 'stored', 'stored'], Object.keys(host ?? {}).join())
  }
})

t.test('a subscriber that Redis disconnects because of a full output buffer gets each publication', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t, ['--client-output-buffer-limit', 'pubsub 262144 0 0'])
  const proxy = await ChaosProxy.start(t, server.port)
  const reader = await TestNode.start(t, { url: proxy.url })
  const writer = await TestNode.start(t, { url: server.url })
  const follower = await reader.follow('user:a')
  const text = 'x'.repeat(50_000)
  // The node reads nothing, and its output in Redis exceeds the limit.
  proxy.hold()
  for (let n = 0; n < 200; n++) await writer.publish('user:a', `{"n":${n},"text":"${text}"}`)
  const admin = server.client(t)
  await eventually(async () => (await admin.pubsub('NUMSUB', new Keys('realtime:').stream('user:a')) as unknown[])[1] === 0)
  proxy.release()
  await eventually(() => follower.received.length === 200)
  t.strictSame(follower.received.map(body => JSON.parse(body).n), Array.from({ length: 200 }, (_, n) => n))
  t.equal(follower.told, 0)
})

t.test('a client that resumes on a node that is behind can recover its position', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const proxy = await ChaosProxy.start(t, server.port)
  const [fast, slow] = [await TestNode.start(t, { url: server.url }), await TestNode.start(t, { url: proxy.url })]
  await slow.follow('user:a')
  proxy.delay = 100
  const { outcome } = await fast.publish('user:a', '{"n":1}')
  const log = await slow.broker.subscribe('user:a')
  t.equal(log.canRecover(outcome as Position), true)
})

t.test('a closed broker leaves no connection to a Cluster', { skip: skipRedis }, async t => {
  const cluster = await startCluster(t)
  const client = cluster.client()
  const made: Cluster[] = []
  const duplicate = client.duplicate.bind(client)
  client.duplicate = (...args) => {
    made.push(duplicate(...args))
    return made.at(-1)!
  }
  for (let n = 0; n < 5; n++) {
    const broker = redisBroker({ client })
    await broker.open(createLog)
    await broker.subscribe('user:a')
    await broker.close()
  }
  const nodes = () => made.flatMap(connection => connection.nodes()).filter(({ status }) => status !== 'end')
  await eventually(() => nodes().length === 0)
  // Attempts of ioredis to connect that were under way at the end fail.
  await Promise.all(cluster.servers.map(server => server.kill()))
  await eventually(() => nodes().length === 0)
  t.equal(made.length, 10)
  t.ok(every(made, ({ status }) => status !== 'ready' && status !== 'connecting' && status !== 'reconnecting'))
})
