import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import type { Redis } from 'ioredis'
import t, { type Test } from 'tap'
import { WebSocket } from 'ws'
import { createClient } from '../../lib/client/index.js'
import { nobody, type PresenceState } from '../../lib/client/channels/presence.js'
import { applied } from '../../lib/client/channels/roster.js'
import type { Presence } from '../../lib/protocol/presence.js'
import { defineChannel, type RealtimeOptions } from '../../lib/index.js'
import { redisBroker } from '../../lib/redis.js'
import { balance } from '../balance.js'
import { every } from '../every.js'
import { connect, start, type Client } from '../harness.js'
import { AppProcess } from '../process.js'
import { ChaosProxy, lifetimeOf, RedisServer, skipRedis, startSentinel } from '../redis-server.js'
import { eventually } from '../waiting.js'

/** With `FULL=1` the number of users and the time limits are the promised ones. Needs a machine without other load. */
const isFull = process.env.FULL === '1'
const userCount = isFull ? 100 : 12
const rounds = isFull ? 20 : 3
/** Maximum time in ms until a list is true after changes, and after a node was killed. */
const limits = isFull ? { changes: 1_000, kill: 15_000 } : { changes: 5_000, kill: 20_000 }
const grace = 5_000

// Most of a test is waiting.
t.jobs = 4

const below = (limit: number) => Math.floor(Math.random() * limit)
const pick = <T> (items: readonly T[]): T => items[below(items.length)]

/** A device of a user, and the list that it shows. */
class Device {
  readonly userId: string
  /** When it ended without a goodbye; `undefined` while it is there, or after a goodbye. */
  endedAt: number | undefined
  isThere = true
  data: string | undefined
  /** Users that it showed, and then no longer. */
  readonly vanished: string[] = []
  readonly #sockets: WebSocket[] = []
  readonly #client
  readonly #channel

  constructor (t: Test, port: number, userId: string) {
    this.userId = userId
    const { sockets } = { sockets: this.#sockets }
    class Watched extends WebSocket {
      constructor (url: string, protocols?: string[]) {
        super(url, protocols)
        sockets.push(this)
      }
    }
    this.#client = createClient({ baseUrl: `http://127.0.0.1:${port}/ws`, userId, WebSocket: Watched, backoff: () => 20 + Math.random() * 100 })
    this.#channel = this.#client.channel('desk', 'd1')
    let shown: string[] = []
    this.#channel.presence.subscribe(() => {
      const users = this.members.map(({ userId }) => userId)
      this.vanished.push(...shown.filter(user => !users.includes(user)))
      shown = users
    })
    t.teardown(() => this.#client.close())
  }

  get members () {
    return this.#channel.presence.members
  }

  get isStale (): boolean {
    return this.#channel.presence.isStale
  }

  /** Loses its connection, and connects again. */
  cut (): void {
    this.#sockets.at(-1)!.terminate()
  }

  update (data: string | undefined): void {
    this.data = data
    this.#channel.presence.update(data)
  }

  goodbye (): void {
    this.isThere = false
    this.#client.close()
  }

  /** Is gone, without a goodbye. */
  vanish (): void {
    this.isThere = false
    this.endedAt = performance.now()
    const socket = this.#sockets.at(-1)!
    // The Close of the client does not arrive.
    socket.terminate()
    this.#client.close()
  }
}

/** Reason why the list of a device is not true; `undefined` if it is. */
function complaint (device: Device, all: readonly Device[]): string | undefined {
  if (device.isStale) return `${device.userId} shows a stale list`
  const now = performance.now()
  const shown = new Map(device.members.map(({ userId, connections }) => [userId, connections]))
  for (const userId of new Set(all.map(({ userId }) => userId))) {
    const own = all.filter(other => other.userId === userId)
    const isHere = own.some(({ isThere }) => isThere)
    const mayLinger = own.some(({ endedAt = -Infinity }) => now - endedAt < grace + limits.changes)
    if (isHere && !shown.has(userId)) return `${device.userId} does not show ${userId}`
    if (!isHere && !mayLinger && shown.has(userId)) return `${device.userId} shows the ghost ${userId}`
    const data = shown.get(userId)?.flatMap(connection => connection.data ?? []) ?? []
    const missing = own.find(other => other.isThere && other.data !== undefined && !data.includes(other.data))
    if (missing !== undefined) return `${device.userId} does not show ${missing.data} of ${userId}`
  }
  return undefined
}

async function isTrue (t: Test, all: readonly Device[], ms: number, when: string): Promise<void> {
  const complaints = () => all.filter(({ isThere }) => isThere).flatMap(device => complaint(device, all) ?? [])
  const began = performance.now()
  await eventually(() => complaints().length === 0, ms).catch(() => t.strictSame(complaints(), [], when))
  t.pass(`${when}: true after ${Math.round(performance.now() - began)} ms`)
}

t.test('every client shows the truth, with devices, cuts, updates, goodbyes and a killed node', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const options = { redis: { url: server.url }, limits: { pending: 5_000, connectionsPerUser: 100 } }
  const nodes = [await AppProcess.start(t, options), await AppProcess.start(t, options)]
  const port = await balance(t, () => nodes.map(({ port }) => port))
  const names = Array.from({ length: userCount }, (_, n) => `user_${n}`)
  const all = names.flatMap((name, n) => Array.from({ length: n < userCount / 10 ? 3 : 1 }, () => new Device(t, port, name)))
  await isTrue(t, all, 20_000, 'at the start')
  const here = () => all.filter(({ isThere }) => isThere)
  for (let round = 0; round < rounds; round++) {
    const steady = here()
    for (const device of steady) device.vanished.length = 0
    for (const device of here()) if (below(3) === 0) device.cut()
    for (const device of here()) if (below(3) === 0) device.update(below(5) === 0 ? undefined : `${round} ${Math.random()}`)
    await isTrue(t, all, limits.changes + 2_000, `round ${round}, cuts and updates`)
    // One that vanished in the round before leaves now.
    const isHere = (userId: string) => here().some(other => other.userId === userId)
    t.strictSame(steady.flatMap(({ vanished }) => vanished.filter(isHere)), [], 'no list lost a user who is there')
    pick(here()).goodbye()
    pick(here()).vanish()
    all.push(new Device(t, port, `late_${round}`), new Device(t, port, pick(names)))
    await isTrue(t, all, limits.changes + grace, `round ${round}, arrivals and ends`)
  }
  for (const device of here()) device.vanished.length = 0
  nodes[0].child.kill('SIGKILL')
  await isTrue(t, all, limits.kill, 'after the kill')
  t.strictSame(here().flatMap(({ vanished }) => vanished.filter(userId => here().some(other => other.userId === userId))), [], 'nobody who is still there left')
  // Connections of the killed node leave, although their users are there.
  const connections = () => Math.max(...here().map(({ members }) => members.reduce((sum, { connections }) => sum + connections.length, 0)))
  await eventually(() => connections() === here().length, limits.kill)
  t.pass('no connection of the killed node is left')
})

t.test('a rolling deploy is shown to no client as a leave and a join, and the connections of the closed node leave', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const options = { redis: { url: server.url }, timeouts: { spread: 1 } }
  const nodes = [await AppProcess.start(t, options), await AppProcess.start(t, options)]
  const port = await balance(t, () => nodes.map(({ port }) => port))
  const all = ['ada', 'bob', 'eve', 'joe'].map(name => new Device(t, port, name))
  await isTrue(t, all, 20_000, 'at the start')
  for (const device of all) device.vanished.length = 0
  nodes[0].child.kill('SIGTERM')
  await once(nodes[0].child, 'exit')
  await eventually(() => all.every(({ members }) => members.every(({ connections }) => connections.length === 1)))
  await isTrue(t, all, 20_000, 'after the end of a node')
  t.strictSame(all.flatMap(({ vanished }) => vanished), [])
})

async function startNode (t: Test, redis: string | Redis, options: RealtimeOptions = {}) {
  const desk = defineChannel({ authorize: () => true, presence: true, history: { size: 10 } })
  const { app, url: address } = await start(t, { broker: redisBroker(typeof redis === 'string' ? { url: redis } : { client: redis }), channels: { desk }, insecure: true, ...options })
  return {
    app,
    /** Users in the channel, as the app gets them. */
    members: async () => (await app.ws.channel('desk', 'd1').members()).map(({ userId }) => userId).sort(),
    async join (user: string) {
      const client = await connect(t, `${address}/ws/notifications/${user}`)
      await subscribe(client)
      return client
    }
  }
}

const framesOf = (client: Client) => client.received.filter(({ type }) => type === 'presence').map(({ data }) => data as Presence)
const stateOf = (client: Client): PresenceState => framesOf(client).reduce(applied, nobody)
const usersOf = (client: Client) => stateOf(client).members.map(({ userId }) => userId).sort().join()

async function subscribe (client: Client): Promise<void> {
  const before = framesOf(client).length
  client.send({ type: 'subscribe', data: { channels: [{ channel: 'desk:d1' }] } })
  await client.until(() => framesOf(client).length > before)
}

/**
 * Waits until a condition holds. Meanwhile subscribes again whenever the client was sent away because Redis had lost what it knew, as the
 * client of the package does.
 */
async function untilAgain (client: Client, holds: () => boolean): Promise<void> {
  let subscribedAt = -Infinity
  await eventually(() => {
    const { type } = client.received.findLast(({ type }) => type === 'subscribed' || type === 'unsubscribed')!
    if (type === 'unsubscribed' && performance.now() - subscribedAt > 200) {
      subscribedAt = performance.now()
      client.send({ type: 'subscribe', data: { channels: [{ channel: 'desk:d1' }] } })
    }
    return holds()
  })
}

t.test('the first state on another node is whole, and members is the same on every node', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const nodes = [await startNode(t, server.url), await startNode(t, server.url), await startNode(t, server.url)]
  await nodes[0].join('ada')
  const bob = await nodes[1].join('bob')
  t.strictSame([framesOf(bob).length, usersOf(bob)], [1, 'ada,bob'])
  for (const { members } of nodes) t.strictSame(await members(), ['ada', 'bob'])
})

const outages: Record<string, { stop (server: RedisServer): unknown, end (server: RedisServer): unknown }> = {
  suspended: { stop: server => server.stop(), end: server => server.goOn() },
  'stopped and emptied': { stop: server => server.kill(), end: server => server.restart({ isEmpty: true }) }
}

for (const [name, { stop, end }] of Object.entries(outages)) {
  t.test(`while Redis is ${name} the list is stale, and it is true again within 5 s afterwards`, { skip: skipRedis }, async t => {
    const server = await RedisServer.start(t)
    const nodes = [await startNode(t, server.url), await startNode(t, server.url)]
    const [ada, bob, eve] = [await nodes[0].join('ada'), await nodes[1].join('bob'), await nodes[1].join('eve')]
    await ada.until(() => usersOf(ada) === 'ada,bob,eve')
    await stop(server)
    for (const client of [ada, bob]) await client.until(() => stateOf(client).isStale)
    await t.rejects(nodes[0].app.ws.channel('desk', 'other').members(), { code: 'RT_ERR_BROKER' })
    eve.socket.close(1000)
    await end(server)
    const began = performance.now()
    const isTrueAgain = (client: Client) => !stateOf(client).isStale && usersOf(client) === 'ada,bob'
    await Promise.all([ada, bob].map(client => untilAgain(client, () => isTrueAgain(client))))
    const took = performance.now() - began
    t.ok(took < (isFull ? 5_000 : 15_000), `${Math.round(took)} ms`)
  })
}

t.test('a list survives FLUSHALL, and later changes are shown', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const nodes = [await startNode(t, server.url), await startNode(t, server.url)]
  const [ada, bob] = [await nodes[0].join('ada'), await nodes[1].join('bob')]
  await ada.until(() => usersOf(ada) === 'ada,bob')
  await server.client(t).flushall()
  const eve = await nodes[1].join('eve')
  await Promise.all([ada, bob, eve].map(client => untilAgain(client, () => usersOf(client) === 'ada,bob,eve')))
  t.pass('all show the truth')
})

t.test('after a Sentinel has promoted the replica the list is true within 5 s, without those who left meanwhile', { skip: skipRedis }, async t => {
  const { master, replica, client } = await startSentinel(t)
  const app = client()
  const nodes = [await startNode(t, app), await startNode(t, app)]
  const [ada, bob, eve] = [await nodes[0].join('ada'), await nodes[1].join('bob'), await nodes[1].join('eve')]
  await ada.until(() => usersOf(ada) === 'ada,bob,eve')
  await master.kill()
  // A failover between two beats of a node is no outage: then no list is stale.
  eve.socket.close(1000)
  const promoted = replica.client(t)
  await eventually(async () => (await promoted.info('replication')).includes('role:master'))
  const began = performance.now()
  const isTrueAgain = (client: Client) => !stateOf(client).isStale && usersOf(client) === 'ada,bob'
  await Promise.all([ada, bob].map(client => untilAgain(client, () => isTrueAgain(client))))
  const took = performance.now() - began
  t.ok(took < (isFull ? 5_000 : 15_000), `${Math.round(took)} ms`)
})

t.test('the members of a node that is cut off from Redis leave within 15 s, and are back within 5 s when it is', { skip: skipRedis }, async t => {
  const server = await RedisServer.start(t)
  const proxy = await ChaosProxy.start(t, server.port)
  const nodes = [await startNode(t, server.url), await startNode(t, proxy.url)]
  const [ada, bob] = [await nodes[0].join('ada'), await nodes[1].join('bob')]
  await ada.until(() => usersOf(ada) === 'ada,bob')
  proxy.hold()
  await bob.until(() => stateOf(bob).isStale)
  await ada.until(() => usersOf(ada) === 'ada')
  t.notOk(stateOf(ada).isStale)
  proxy.release()
  await Promise.all([ada, bob].map(client => untilAgain(client, () => usersOf(client) === 'ada,bob' && !stateOf(client).isStale)))
  t.pass('both are back')
})

/** Whether a key belongs to the presence in a channel. */
const isOfPresence = (key: string) => Buffer.from(/{(.*)}/.exec(key)![1], 'base64url').toString().startsWith('presence:')

t.test('channels with presence that come and go leave nothing on the node, and Redis is empty of them after a minute', { skip: skipRedis }, async t => {
  const users = isFull ? 100 : 3
  const perUser = 100
  const server = await RedisServer.start(t)
  const { app, join } = await startNode(t, server.url)
  const client = server.client(t)
  const ada = await join('ada')
  const keysBefore = await client.dbsize()
  const channelsBefore = app.ws.stats().channels
  for (let n = 0; n < users; n++) {
    const user = await connect(t, `ws://127.0.0.1:${(app.server.address() as AddressInfo).port}/ws/notifications/user_${n}`)
    const channels = Array.from({ length: perUser }, (_, at) => ({ channel: `desk:x${n}-${at}` }))
    user.send({ type: 'subscribe', data: { channels } })
    await user.until(() => framesOf(user).length >= perUser)
    user.socket.close(1000)
    await user.close()
  }
  await eventually(() => app.ws.stats().channels <= channelsBefore)
  // In full size the first ones may be gone by now.
  const metas = (await client.keys('*:meta')).filter(isOfPresence)
  const lives = await Promise.allSettled(metas.map(key => lifetimeOf(client, key)))
  t.ok(every(lives, life => life.status === 'fulfilled' ? life.value <= 60_000 : /is gone/.test(life.reason)), `${lives.length} channels expire within a minute`)
  await eventually(async () => !isFull || await client.dbsize() <= keysBefore, 90_000)
  t.equal(usersOf(ada), 'ada')
})
