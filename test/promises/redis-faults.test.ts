import { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import type { RedisBrokerOptions } from '../../lib/redis.js'
import { Keys } from '../../lib/brokers/redis/keys.js'
import { slotOf } from '../../lib/brokers/redis/link/slot.js'
import { every } from '../every.js'
import { ChaosProxy, RedisServer, skipRedis, startCluster } from '../redis-server.js'
import { TestNode, complaints, deliveredAgain, outcomes } from '../redis-nodes.js'
import { eventually } from '../waiting.js'

/** Durations in ms. With `FULL=1` the faults are as long as promised. */
const isFull = process.env.FULL === '1'
const scale = isFull
  ? { stop: 30_000, partition: 10_000, late: 10_000 }
  : { stop: 3_000, partition: 3_000, late: 2_000 }

const channels = ['user:a', 'user:b', 'broadcast']
const durable = ['--appendonly', 'yes', '--appendfsync', 'always']

/** Two nodes, each behind its own proxy, with followers of all channels on both. */
async function twoNodes (t: { teardown (action: () => unknown): void }, server: RedisServer, options: RedisBrokerOptions = {}) {
  const proxies = [await ChaosProxy.start(t, server.port), await ChaosProxy.start(t, server.port)]
  const nodes = await Promise.all(proxies.map(({ url }) => TestNode.start(t, { url, ...options })))
  for (const node of nodes) for (const channel of channels) await node.follow(channel)
  return { proxies, nodes, client: server.client(t) }
}

/** Waits for the duration of a fault. */
const wait = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

interface Fault {
  name: string
  args?: string[]
  isEmptied?: boolean
  run (server: RedisServer, proxies: ChaosProxy[], nodes: TestNode[]): Promise<void>
}

const faults: Fault[] = [
  {
    name: 'Redis is killed and restarted with its data',
    args: durable,
    async run (server) {
      await server.kill()
      await wait(500)
      await server.restart()
    }
  },
  {
    name: 'Redis is suspended and continued',
    async run (server) {
      server.stop()
      await wait(scale.stop)
      server.goOn()
    }
  },
  {
    name: 'Redis is cut off from one node',
    async run (_server, [proxy]) {
      proxy.hold()
      await wait(scale.partition)
      proxy.release()
    }
  },
  {
    name: 'the connections to Redis are cut',
    async run (_server, proxies) {
      for (let n = 0; n < 5; n++) {
        proxies[n % 2].cut()
        await wait(100)
      }
    }
  }
]

const emptied: Fault = {
  name: 'Redis is restarted empty',
  isEmptied: true,
  async run (server) {
    await server.restart({ isEmpty: true })
  }
}

/** Faults that must hardly affect publications. */
const harmless: Fault[] = [
  {
    name: 'Redis answers 500 ms late',
    async run (_server, proxies) {
      for (const proxy of proxies) proxy.delay = 500
      await wait(scale.late)
      for (const proxy of proxies) proxy.delay = 0
    }
  },
  {
    name: 'Redis kills its subscribers',
    async run (server) {
      const admin = new Redis(server.port, '127.0.0.1')
      await admin.call('CLIENT', 'KILL', 'TYPE', 'pubsub')
      admin.disconnect()
      await wait(100)
    }
  }
]

/**
 * Two nodes publish, `rate` times a second each, and follow during a fault.
 * Fails the test when their outcomes disagree with the data in Redis afterwards.
 */
async function endure (t: Test, { args, isEmptied, run }: Fault, rate = 500) {
  const server = await RedisServer.start(t, args)
  const { proxies, nodes, client } = await twoNodes(t, server)
  const ends = nodes.map((node, at) => node.load(channels, rate, String(at)))
  await eventually(() => nodes.every(node => node.sent.length > 100))
  await run(server, proxies, nodes)
  const back = await deliveredAgain(nodes, 'broadcast')
  t.ok(back < 5_000, `delivery resumes after ${Math.round(back)} ms`)
  const published = nodes.map(node => node.sent.length)
  await eventually(() => nodes.every((node, at) => node.sent.length > published[at] + 100))
  await Promise.all(ends.map(end => end()))
  await deliveredAgain(nodes, 'broadcast')
  for (const channel of channels) await deliveredAgain(nodes, channel)
  t.strictSame(await complaints(client, nodes, { isEmptied }), [])
  const [counts, told] = [outcomes(nodes), nodes.map(node => node.followers.map(({ told }) => told))]
  t.comment(JSON.stringify({ ...counts, told }))
  return { counts, told }
}

// Most of a test is waiting.
t.jobs = 3

for (const fault of faults) {
  t.test(`when ${fault.name}, the outcomes of all publications agree with the data in Redis`, { skip: skipRedis }, async t => {
    await endure(t, fault)
  })
}

t.test('when Redis is restarted empty, every follower is notified once that it missed publications', { skip: skipRedis }, async t => {
  const { told } = await endure(t, emptied)
  t.strictSame(told, [[1, 1, 1], [1, 1, 1]])
})

for (const fault of harmless) {
  // The proxies and the nodes share this process. It is late itself when it has much to do, or other tests beside this one.
  t.test(`when ${fault.name}, fewer than 5 % of the publications are refused or unconfirmed`, { skip: skipRedis, buffered: false }, async t => {
    const { counts } = await endure(t, fault, 200)
    t.ok(counts.refused + counts.unknown < counts.stored / 20, JSON.stringify(counts))
  })
}

t.test('a node that was cut off beyond the history notifies each follower that missed publications once, and no other follower', { skip: skipRedis }, async t => {
  const { proxies: [proxy], nodes } = await twoNodes(t, await RedisServer.start(t), { history: { size: 100, ttl: 60_000 } })
  const [cut, well] = nodes
  for (const channel of channels) await deliveredAgain(nodes, channel)
  proxy.hold()
  const published = async (channel: string, count: number) => {
    const bodies = Array.from({ length: count }, (_, n) => `{"while":"cut","n":${n}}`)
    await Promise.all(bodies.map(body => well.publish(channel, body)))
    return bodies
  }
  const [many, few] = [await published('user:a', 1_000), await published('user:b', 50)]
  // Otherwise TCP still delivers all of it.
  proxy.cut()
  proxy.release()
  for (const channel of channels) await deliveredAgain(nodes, channel)
  const told = nodes.map(({ followers }) => followers.map(({ told }) => told))
  t.strictSame(told, [[1, 0, 0], [0, 0, 0]], 'the follower that missed publications is notified once')
  const received = (node: TestNode, at: number) => node.followers[at].received.filter(body => body.includes('while'))
  t.strictSame([received(well, 0), received(well, 1), received(cut, 1)], [many, few, few], 'the other followers have all publications')
})

for (const how of ['stopped', 'killed'] as const) {
  t.test(`while a master of a Cluster is ${how}, publications to the other masters are stored`, { skip: skipRedis }, async t => {
    const { servers, client } = await startCluster(t)
    // Otherwise the other masters refuse commands too when they detect the failure.
    for (const server of servers) await server.client(t).config('SET', 'cluster-require-full-coverage', 'no')
    const node = await TestNode.start(t, { client: client() })
    const users = Array.from({ length: 30 }, (_, n) => `user:${n}`)
    const slots = new Map(users.map(user => [user, slotOf(new Keys('').stream(user))]))
    const isOfIt = (channel: string) => slots.get(channel)! > 5_460 && slots.get(channel)! <= 10_922
    const end = node.load(users, 600, 'x')
    await eventually(() => node.sent.length > 300)
    node.sent.length = 0
    if (how === 'stopped') servers[1].stop()
    else await servers[1].kill()
    const { sent } = node
    const others = () => sent.filter(({ channel }) => !isOfIt(channel))
    const refused = () => sent.filter(({ channel, outcome }) => isOfIt(channel) && outcome === 'refused')
    await eventually(() => others().length > 500 && refused().length > 100)
    t.ok(every(others(), ({ outcome }) => typeof outcome === 'object'), 'no publication to the other masters is refused')
    t.ok(every([...sent], ({ ms }) => ms < 2_000), 'each outcome is known within 2 s')
    if (how === 'stopped') servers[1].goOn()
    else await servers[1].restart()
    await eventually(async () => typeof (await node.publish(users.find(isOfIt)!, '{}')).outcome === 'object')
    await end()
  })
}
