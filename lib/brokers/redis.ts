import { errors } from '../errors.js'
import type { Position } from '../protocol/position.js'
import type { Broker, BrokerHost, BrokerStats, CreateLog } from './broker.js'
import { ChannelLog } from './channel-log.js'
import type { Log, LogLimits } from './log.js'
import { Checks } from './redis/checks.js'
import { within, type RedisAddress } from './redis/connection.js'
import { Doorbell } from './redis/doorbell.js'
import { Feed, type Fed, type Head, type Reading } from './redis/feed.js'
import { Health } from './redis/health.js'
import { Keys, nodesChannel } from './redis/keys.js'
import { RedisLink } from './redis/link.js'
import { RedisNodes } from './redis/nodes.js'
import { checkRedisOptions } from './redis/options.js'
import { checkPermissions } from './redis/permissions.js'
import { Publisher } from './redis/publisher.js'
import { Quota } from './redis/quota.js'
import { retentionOf, type RetentionOf, type RetentionOptions } from './redis/retention.js'
import { read } from './redis/scripts.js'
import { Store } from './redis/store.js'
import { alwaysBorn, Unborn } from './redis/unborn.js'

export type { RedisAddress, RedisClient } from './redis/connection.js'

export interface RedisBrokerOptions extends RedisAddress {
  /** What the names in Redis begin with; default `realtime:`. Apps that share a Redis need one each. */
  prefix?: string | undefined
  /** What of a channel can be recovered; default 100 publications, 300 s, 4 MiB. */
  history?: RetentionOptions | undefined
  /**
   * What Redis keeps of the pieces in which a chat is written, of which other nodes put its messages together; default
   * 10,000 publications, 3,600 s, 16 MiB. A run that is longer than that cannot be followed from its beginning on another node.
   */
  chat?: RetentionOptions | undefined
  /** Bytes that a channel's log on this node keeps beyond its history for connections that are behind; default 4 MiB. */
  lag?: number | undefined
}

/** Bytes of bookkeeping per channel. */
const channelOverhead = 1_024

/** How often this node looks after its channels, in milliseconds. */
const sweepEvery = 1_000

/** A channel that has had no readers for so long is let go of, in milliseconds. */
const grace = 5_000

/** A channel of which nothing was heard for so long is compared with Redis, in milliseconds. */
const checkEvery = 15_000

/**
 * After so many milliseconds a replica, or a disk, has what Redis has, if it is well. Until then nodes keep what they heard,
 * and give it back should Redis lose it.
 */
const safeAfter = 3_000

/** Maximum time a start waits for Redis, in ms. */
const openWithin = 2_000

/** After the first fault of the configuration the others are waited for, so that one message names them all, in ms. */
const collectFaultsFor = 100

/** A ping that is not answered within this time shows that Redis does not answer, in ms. */
const pingTime = 2_000

/** Within so many milliseconds there is a log, or there is none. */
const subscribeWithin = 1_900

interface Followed {
  readonly key: string
  readonly feed: Feed
}

interface Channel extends Followed {
  readonly feed: Feed<Log>
  /** When it was last seen with readers, or handed out, on the monotonic clock. */
  usedAt: number
}

/** `redisBroker({ client })` or `redisBroker({ url })`, for the plugin's option `broker`. Throws RT_ERR_OPTIONS. */
export function redisBroker (options: RedisBrokerOptions): RedisBroker {
  return new RedisBroker(options)
}

/**
 * The logs live in Redis, each node has a copy of those it has readers for. Publishing, and hearing what is published,
 * go over connections of their own; the app's client is not touched.
 */
export class RedisBroker implements Broker {
  readonly nodes: RedisNodes
  readonly #limits: LogLimits
  readonly #retentionOf: RetentionOf
  readonly #keys: Keys
  readonly #health: Health
  readonly #commands: RedisLink
  readonly #subscriber: RedisLink
  readonly #publisher: Publisher
  readonly #doorbell: Doorbell
  readonly #store: Store
  readonly #checks: Checks
  /** By their key. */
  readonly #channels = new Map<string, Channel>()
  readonly #told: Followed
  /** The nodes' channel is there as long as Redis has its data: its epoch names the era. */
  readonly #unborn: Unborn = new Unborn(() => this.#told.feed.log!.epoch, () => this.#publisher.clock.at(performance.now()))
  /** Resolves once this node hears what the others announce. */
  readonly #toldIsHeard: Promise<void>
  /** When Redis was last asked something that it answered, on the monotonic clock. */
  #answeredAt = -Infinity
  #sweeper: NodeJS.Timeout | undefined
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)
  #isOpened = false
  #isClosed = false

  constructor (options: RedisBrokerOptions) {
    checkRedisOptions('redisBroker', options)
    const { prefix = 'realtime:', history, chat, lag = 4 * 1024 * 1024, ...address } = options
    const kept = retentionOf(history, chat)
    const { size, ttl } = kept('')
    this.#limits = { size, ttl, lag }
    this.#retentionOf = kept
    this.#keys = new Keys(prefix)
    this.#health = new Health(prefix)
    this.#commands = new RedisLink(address, this.#health, 'commands')
    this.#subscriber = new RedisLink(address, this.#health, 'subscriber')
    this.#commands.client.on('ready', () => this.nodes.beat())
    // What Redis lost when it failed over has to be back before something else takes its place.
    this.#publisher = new Publisher(this.#commands, this.#keys, kept, () => this.#checkAll())
    this.#doorbell = new Doorbell(this.#subscriber)
    this.#store = new Store(this.#commands, this.#keys, kept, this.#publisher.clock)
    this.#checks = new Checks(keys => this.#store.heads(keys), this.#store.checkSize)
    this.nodes = new RedisNodes({ link: this.#commands, keys: this.#keys, publish: body => this.publish(nodesChannel, body) })
    let isHeard = () => {}
    this.#toldIsHeard = new Promise(resolve => { isHeard = resolve })
    this.#told = this.#follow(nodesChannel, epoch => this.nodes.createLog(epoch), () => isHeard())
    this.#told.feed.begun.then(() => { if (!this.#isClosed) this.nodes.start() })
  }

  /**
   * Connects. Rejects with RT_ERR_BROKER_REFUSED when Redis, or TLS, says that the configuration is wrong. Waits for a Redis that
   * is away for 2 s at most, and resolves: an app can start without it.
   */
  async open (createLog: CreateLog, { log, ownerOf, stored }: BrokerHost = {}): Promise<void> {
    if (this.#isOpened || this.#isClosed) throw new errors.BROKER_USED()
    this.#isOpened = true
    this.#createLog = createLog
    this.#health.log = log
    if (ownerOf !== undefined && stored !== undefined) {
      this.#publisher.quota = new Quota({ limit: stored, ownerOf, retentionOf: this.#retentionOf, log })
    }
    const ready = this.#connect()
    let unbind = () => {}
    const faulty = new Promise<void>(resolve => {
      unbind = this.#health.onFailed(() => { if (this.#health.setupFault !== undefined) resolve() })
    })
    try {
      await within(openWithin, Promise.race([ready, faulty]), () => { if (this.#answeredAt === -Infinity) this.#health.silent(read.name) })
      if (this.#health.setupFault !== undefined) await within(collectFaultsFor, ready)
    } catch {
      // It is late: the health knows why, and has logged it.
    }
    unbind()
    const { setupFault } = this.#health
    if (setupFault === undefined) return
    await this.close()
    throw setupFault
  }

  /** Resolves once publications can be stored, this node hears of those of others, and its permissions are known. */
  async #connect (): Promise<void> {
    const permissions = new Promise<void>(resolve => {
      this.#commands.client.on('ready', () => checkPermissions(this.#commands, this.#keys).then(resolve))
    })
    this.#commands.start()
    this.#subscriber.start()
    this.#sweeper = setInterval(() => this.sweep(), sweepEvery).unref()
    await Promise.all([this.#publisher.ready(openWithin), this.#told.feed.begun, this.#toldIsHeard, permissions])
  }

  publish (channel: string, body: string): Promise<Position> {
    return this.#publisher.publish(channel, body)
  }

  /** Rejects with RT_ERR_BROKER when Redis does not answer within 2 s: what a client missed could not be told. */
  async subscribe (channel: string): Promise<Log> {
    if (this.#isClosed) throw new errors.CLOSING()
    const key = this.#keys.stream(channel)
    const known = this.#channels.get(key) ?? this.#add(channel, key)
    known.usedAt = performance.now()
    try {
      // Whoever resumes may have seen what this node has not heard yet.
      const done = known.feed.log === undefined ? known.feed.begun : this.#checks.confirm(key, known.feed)
      await within(subscribeWithin, done, () => this.#health.silent(read.name))
    } catch (error) {
      throw this.#isClosed ? new errors.CLOSING() : this.#health.refusal(read.name, error)
    }
    if (this.#isClosed) throw new errors.CLOSING()
    known.usedAt = performance.now()
    known.feed.renew()
    known.feed.log!.expire(known.usedAt)
    return known.feed.log!
  }

  #add (channel: string, key: string): Channel {
    const added = { ...this.#follow(channel, epoch => this.#createLog(channel, epoch, this.#limits)), usedAt: performance.now() }
    this.#channels.set(key, added)
    return added
  }

  #follow<L extends Fed> (channel: string, createLog: (epoch: string) => L, onListening = () => {}): { key: string, feed: Feed<L> } {
    const key = this.#keys.stream(channel)
    const feed = new Feed({
      createLog,
      unborn: channel === nodesChannel ? alwaysBorn : this.#unborn,
      read: (after, inAnotherEpoch) => this.#read(channel, after, inAnotherEpoch),
      mend: (head, publications) => this.#store.mend(channel, head, publications)
    })
    const followed = { key, feed }
    this.#doorbell.listen(key, {
      onListening: () => {
        onListening()
        this.#check(followed)
      },
      onAnnounced: announcements => feed.onAnnounced(announcements)
    })
    return followed
  }

  /** A channel that has no publication yet needs the era. The nodes' own channel is never without its epoch. */
  async #read (channel: string, after: Head | undefined, inAnotherEpoch: boolean): Promise<Reading> {
    if (channel === nodesChannel) return this.#store.read(channel, after, inAnotherEpoch, true)
    await this.#told.feed.begun
    return this.#store.read(channel, after, inAnotherEpoch)
  }

  /** Never rejects: a failure goes to the health, and the channel is checked again later. */
  async #check ({ key, feed }: Followed): Promise<void> {
    await (feed.log === undefined ? feed.catchUp() : this.#checks.confirm(key, feed)).catch(() => {})
  }

  async #checkAll (): Promise<void> {
    await Promise.all([this.#told, ...this.#channels.values()].map(channel => this.#check(channel)))
  }

  /** Lets go of what is not used, and compares with Redis what has been silent. */
  sweep (): void {
    const now = performance.now()
    this.#ping()
    this.#checkSilent(this.#told, now)
    this.#told.feed.settle(this.#answeredAt - safeAfter)
    for (const channel of this.#channels.values()) {
      const { log } = channel.feed
      if (log !== undefined && log.readers.length > 0) channel.usedAt = now
      log?.expire(now)
      log?.trim()
      channel.feed.settle(this.#answeredAt - safeAfter)
      if (now - this.#answeredAt < safeAfter) channel.feed.renew()
      // While Redis is away nobody else may know what was published last.
      if (now - channel.usedAt > grace && now - this.#answeredAt < safeAfter) this.#forget(channel)
      else this.#checkSilent(channel, now)
    }
  }

  async #ping (): Promise<void> {
    if (!this.#commands.isReady) return
    const asked = performance.now()
    let isSettled = false
    // Answers that came while this process was busy are read before a setImmediate.
    const late = setTimeout(() => setImmediate(() => { if (!isSettled) this.#health.silent() }), pingTime).unref()
    try {
      await this.#commands.ask('PING', this.#commands.client.ping())
      this.#answeredAt = asked
    } catch {
      // The health knows.
    }
    isSettled = true
    clearTimeout(late)
  }

  #checkSilent (followed: Followed, now: number): void {
    const { log, heardAt } = followed.feed
    if (log === undefined || now - heardAt > checkEvery) this.#check(followed)
  }

  #forget ({ key, feed }: Channel): void {
    feed.end()
    feed.log?.release()
    this.#channels.delete(key)
    this.#doorbell.leave(key)
  }

  stats (): BrokerStats {
    const stats = { channels: this.#channels.size, publications: 0, bytes: 0 }
    for (const { feed: { log } } of this.#channels.values()) {
      stats.publications += log?.length ?? 0
      stats.bytes += (log?.bytes ?? 0) + channelOverhead
    }
    return stats
  }

  async close (): Promise<void> {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#health.close()
    clearInterval(this.#sweeper)
    await this.nodes.close()
    await this.#publisher.close()
    this.#told.feed.end()
    for (const channel of this.#channels.values()) this.#forget(channel)
    this.#doorbell.close()
    this.#commands.end()
    this.#subscriber.end()
  }
}
