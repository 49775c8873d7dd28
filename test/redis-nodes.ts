import { Redis } from 'ioredis'
import { ChannelLog } from '../lib/logs/channel-log.js'
import type { Log, Reader } from '../lib/logs/log.js'
import { redisBroker, type RedisBroker, type RedisBrokerOptions } from '../lib/redis.js'
import type { RedisAddress, RedisClient } from '../lib/brokers/redis/link/connection.js'
import { Health } from '../lib/brokers/redis/link/health.js'
import { Keys } from '../lib/brokers/redis/keys.js'
import { RedisLink } from '../lib/brokers/redis/link/link.js'
import type { Position } from '../lib/protocol/position.js'
import { loopTime } from './loop-time.js'
import { eventually } from './waiting.js'

interface Scope {
  teardown (action: () => unknown): void
}

/** A link to Redis as the broker has one, and its ioredis client. It ends with the test. */
export function startLink<C extends RedisClient = Redis> (t: Scope, address: RedisAddress): { link: RedisLink, connection: C } {
  const link = new RedisLink(address, new Health('t:'))
  t.teardown(() => link.end())
  link.start()
  return { link, connection: link.client as C }
}

/** A publication and its outcome. */
export interface Sent {
  readonly channel: string
  readonly body: string
  readonly outcome: Position | 'refused' | 'unknown'
  /** Time until the outcome is known in ms, without the time in which the event loop was late. */
  readonly ms: number
}

/** Reads like a connection: everything at each wake. When it has missed publications it counts this and continues at the head. */
export class Follower implements Reader {
  readonly channel: string
  readonly log: Log
  readonly received: string[] = []
  /** Number of notifications that it missed publications. */
  told = 0
  offset: number
  epoch: string

  constructor (channel: string, log: Log) {
    this.channel = channel
    this.log = log
    this.offset = log.head
    this.epoch = log.epoch
    log.add(this)
  }

  wake (): void {
    if (this.log.isLost(this)) {
      this.told++
      // It reloads its state, which includes the current content of the log.
      this.log.skipToHead(this)
    }
    for (let frame = this.log.read(this, 65_536); frame.length > 0; frame = this.log.read(this, 65_536)) {
      this.received.push(...frame.toString().trimEnd().split('\n'))
    }
  }

  catchUp (): void {
    this.wake()
  }
}

/** The broker of a node, without the rest of an app. */
export class TestNode {
  readonly broker: RedisBroker
  readonly sent: Sent[] = []
  readonly followers: Follower[] = []
  #pending = 0

  constructor (broker: RedisBroker) {
    this.broker = broker
  }

  static async start (t: Scope, options: RedisBrokerOptions): Promise<TestNode> {
    const node = new TestNode(redisBroker({ history: { size: 5_000, ttl: 60_000, bytes: 64 * 1024 * 1024 }, ...options }))
    t.teardown(() => node.broker.close())
    await node.broker.open((_channel, epoch, limits) => new ChannelLog(epoch, limits, (_position, body) => `${body}\n`))
    return node
  }

  async follow (channel: string): Promise<Follower> {
    const follower = new Follower(channel, await this.broker.subscribe(channel))
    this.followers.push(follower)
    return follower
  }

  async publish (channel: string, body: string): Promise<Sent> {
    const start = loopTime()
    this.#pending++
    const outcome = await this.broker.publish(channel, body).catch((error: { code?: string }) => {
      if (error.code === 'RT_ERR_BROKER') return 'refused' as const
      if (error.code === 'RT_ERR_UNCONFIRMED') return 'unknown' as const
      throw error
    })
    this.#pending--
    const sent = { channel, body, outcome, ms: loopTime() - start }
    this.sent.push(sent)
    return sent
  }

  /** Publishes in bursts, about `perSecond` a second, until the returned function is called, which waits for all outcomes. */
  load (channels: string[], perSecond: number, name: string): () => Promise<void> {
    let count = 0
    const every = 10
    const timer = setInterval(() => {
      for (let n = 0; n < perSecond * every / 1_000; n++) {
        const channel = channels[count % channels.length]
        this.publish(channel, `{"from":"${name}","n":${count++}}`)
      }
    }, every)
    return async () => {
      clearInterval(timer)
      await eventually(() => this.#pending === 0)
    }
  }
}

/** Publications of a channel in Redis, oldest first. */
export async function storedIn (client: Redis, channel: string, prefix = 'realtime:'): Promise<string[]> {
  const entries = await client.xrange(new Keys(prefix).stream(channel), '-', '+')
  return entries.map(([, fields]) => fields[fields.indexOf('b') + 1])
}

/** Contradictions between the data in Redis, the outcomes of the publications, and the publications that the followers got. */
export async function complaints (client: Redis, nodes: TestNode[], { isEmptied = false } = {}): Promise<string[]> {
  const found: string[] = []
  const sent = nodes.flatMap(node => node.sent)
  const stored = new Map<string, string[]>()
  for (const channel of new Set(sent.map(({ channel }) => channel))) stored.set(channel, await storedIn(client, channel))
  for (const { channel, body, outcome, ms } of sent) {
    if (ms > 2_000) found.push(`${body} had its outcome after ${ms} ms`)
    const times = stored.get(channel)!.filter(other => other === body).length
    if (times > 1) found.push(`${body} is stored ${times} times`)
    if (outcome === 'refused' && times > 0) found.push(`${body} was refused, and is stored`)
    if (typeof outcome === 'object' && times === 0 && !isEmptied) found.push(`${body} is not stored, but was confirmed`)
  }
  const refused = new Set(sent.filter(({ outcome }) => outcome === 'refused').map(({ body }) => body))
  for (const follower of nodes.flatMap(node => node.followers)) {
    const { channel, received, told } = follower
    if (new Set(received).size < received.length) found.push(`a follower of ${channel} got something twice`)
    const missed = (stored.get(channel) ?? []).filter(body => !received.includes(body))
    if (missed.length > 0 && told === 0) found.push(`a follower of ${channel} missed ${missed.length} and was not notified`)
    if (missed.length === 0 && told > 0 && !isEmptied) found.push(`a follower of ${channel} missed nothing and was notified ${told} times`)
    for (const body of received) if (refused.has(body)) found.push(`${body} was refused, and delivered`)
    const order = (stored.get(channel) ?? []).filter(body => received.includes(body))
    const own = received.filter(body => (stored.get(channel) ?? []).includes(body))
    if (order.join() !== own.join()) found.push(`a follower of ${channel} got another order`)
  }
  return found.slice(0, 10)
}

/** Publishes on every node until all followers have the publication. Returns the duration in ms. */
export async function deliveredAgain (nodes: TestNode[], channel: string): Promise<number> {
  const start = performance.now()
  for (const [at, node] of nodes.entries()) {
    let n = 0
    let body = ''
    let isStored = false
    while (!isStored) {
      body = `{"again":${at},"n":${n++},"after":${node.sent.length}}`
      isStored = typeof (await node.publish(channel, body)).outcome === 'object'
      if (performance.now() - start > 15_000) throw new Error('no publication was stored within 15 s')
    }
    const followers = nodes.flatMap(node => node.followers).filter(follower => follower.channel === channel)
    await eventually(() => followers.every(({ received }) => received.includes(body)))
  }
  return performance.now() - start
}

export function outcomes (nodes: TestNode[]): { stored: number, refused: number, unknown: number } {
  const counts = { stored: 0, refused: 0, unknown: 0 }
  for (const { outcome } of nodes.flatMap(node => node.sent)) counts[typeof outcome === 'object' ? 'stored' : outcome]++
  return counts
}
