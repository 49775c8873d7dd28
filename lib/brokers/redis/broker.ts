import { errors } from '../../errors.js'
import type { Log } from '../../logs/log.js'
import type { Position } from '../../protocol/position.js'
import type { Broker, BrokerHost, BrokerStats, CreateLog, Retention, StoredRetention } from '../broker.js'
import { RedisNodes } from './cluster/nodes.js'
import { FollowedChannels } from './following/channels.js'
import { StreamStore } from './following/store.js'
import { Keys, nodesChannel } from './keys.js'
import { unanswered, type RedisAddress } from './link/connection.js'
import { Health } from './link/health.js'
import { RedisLink } from './link/link.js'
import { checkPermissions } from './link/permissions.js'
import { Ping } from './link/ping.js'
import { BatchPublisher } from './publishing/publisher.js'
import { Quota } from './publishing/quota.js'
import { Retentions } from './retention.js'
import { readScript } from './commands/read.js'
import { within } from '../../time/within.js'

export interface RedisBrokerParts extends RedisAddress {
  /** Prefix of the names in Redis; default `realtime:`. */
  prefix?: string | undefined
  /** Default retention; default: 100 publications, 300 s, 4 MiB. */
  history?: StoredRetention | undefined
  /** Retention of kinds of channels, by kind name. */
  retentions?: Readonly<Record<string, Retention>> | undefined
  /** Maximum bytes that a channel's log on this node keeps beyond its history for connections that are behind; default 4 MiB. */
  lag?: number | undefined
}

/** Interval at which channels are released or compared with Redis, in ms. */
const sweepEvery = 1_000

/** Maximum time that a start waits for Redis, in ms. */
const openWithin = 2_000

/** Time after the first fault of the configuration during which others are collected, so that one message names all, in ms. */
const collectFaultsFor = 100

/** Maximum time of a subscription, in ms. */
const subscribeWithin = 1_900

/**
 * Stores the logs in Redis. Each node has copies of the logs for which it has readers. Commands and announcements use separate connections
 * of the broker: the app's client carries no traffic.
 */
export class RedisBroker implements Broker {
  readonly nodes: RedisNodes
  readonly retentions: Readonly<Record<string, Retention>> | undefined
  readonly #limits: Retentions
  readonly #keys: Keys
  readonly #health: Health
  readonly #commands: RedisLink
  readonly #subscriber: RedisLink
  readonly #publisher: BatchPublisher
  readonly #channels: FollowedChannels
  readonly #ping: Ping
  #sweeper: NodeJS.Timeout | undefined
  #state: 'new' | 'opened' | 'closed' = 'new'

  constructor ({ prefix = 'realtime:', history, retentions, lag = 4 * 1024 * 1024, ...address }: RedisBrokerParts) {
    this.retentions = retentions
    this.#limits = new Retentions(history)
    this.#keys = new Keys(prefix)
    this.#health = new Health(prefix)
    this.#commands = new RedisLink(address, this.#health, 'commands')
    this.#subscriber = new RedisLink(address, this.#health, 'subscriber')
    this.#ping = new Ping(this.#commands)
    this.#commands.client.on('ready', () => this.nodes.beat())
    // Publications that Redis lost in a failover are restored before new ones take their offsets.
    this.#publisher = new BatchPublisher(this.#commands, this.#keys, () => this.#channels.checkAll())
    const { clock } = this.#publisher
    this.nodes = new RedisNodes({ link: this.#commands, keys: this.#keys, publish: body => this.publish(nodesChannel, body) })
    this.#channels = new FollowedChannels({
      subscriber: this.#subscriber,
      store: new StreamStore(this.#commands, this.#keys, this.#limits.defaults.stream, clock),
      keys: this.#keys,
      clock,
      lag,
      nodesLimits: this.#limits.defaults,
      createNodesLog: epoch => this.nodes.createLog(epoch)
    })
    this.#channels.begun.then(() => { if (!this.#isClosed()) this.nodes.start() })
  }

  #isClosed (): boolean {
    return this.#state === 'closed'
  }

  /**
   * Connects. Rejects with RT_ERR_BROKER_REFUSED if Redis or TLS reports a wrong configuration. Waits at most 2 s for an unreachable Redis,
   * and then resolves: an app can start without it.
   */
  async open (createLog: CreateLog, { log, ownerOf, stored }: BrokerHost = {}): Promise<void> {
    if (this.#state !== 'new') throw new errors.BROKER_USED()
    this.#state = 'opened'
    this.#channels.open(createLog)
    this.#health.log = log
    if (ownerOf !== undefined && stored !== undefined) {
      this.#publisher.quota = new Quota({ limit: stored, ownerOf, log })
    }
    const ready = this.#connect()
    let unbind = () => {}
    const faulty = new Promise<void>(resolve => {
      unbind = this.#health.onFailed(() => { if (this.#health.setupFault !== undefined) resolve() })
    })
    try {
      const onLate = () => { if (this.#ping.answeredAt === -Infinity) this.#health.silent(readScript.name) }
      await within(openWithin, Promise.race([ready, faulty]), unanswered(onLate))
      if (this.#health.setupFault !== undefined) await within(collectFaultsFor, ready)
    } catch {
      // The time is over. The health knows why, and has logged it.
    }
    unbind()
    const { setupFault } = this.#health
    if (setupFault === undefined) return
    await this.close()
    throw setupFault
  }

  /** Resolves when publications can be stored, announcements of other nodes arrive, and the permissions are known. */
  async #connect (): Promise<void> {
    const permissions = new Promise<void>(resolve => {
      this.#commands.client.on('ready', () => checkPermissions(this.#commands, this.#keys).then(resolve))
    })
    this.#commands.start()
    this.#subscriber.start()
    this.#sweeper = setInterval(() => this.sweep(), sweepEvery).unref()
    await Promise.all([this.#publisher.ready(openWithin), this.#channels.begun, this.#channels.heard, permissions])
  }

  publish (channel: string, body: string, retention?: Retention): Promise<Position> {
    return this.#publisher.publish(channel, body, this.#limits.of(retention).stream)
  }

  /** Rejects with RT_ERR_BROKER if Redis does not answer within 2 s: missed publications are then unknown. */
  async subscribe (channel: string, retention?: Retention): Promise<Log> {
    if (this.#isClosed()) throw new errors.CLOSING()
    const subscribed = this.#channels.subscribe(channel, this.#limits.of(retention))
    let log: Log
    try {
      log = await within(subscribeWithin, subscribed, unanswered(() => this.#health.silent(readScript.name)))
    } catch (error) {
      throw this.#isClosed() ? new errors.CLOSING() : this.#health.refusal(readScript.name, error)
    }
    if (this.#isClosed()) throw new errors.CLOSING()
    return log
  }

  /** Releases unused channels, and compares channels without announcements with Redis. */
  sweep (): void {
    this.#ping.send()
    this.#channels.sweep(this.#ping.answeredAt)
  }

  stats (): BrokerStats {
    return this.#channels.stats()
  }

  async close (): Promise<void> {
    if (this.#isClosed()) return
    this.#state = 'closed'
    this.#health.close()
    clearInterval(this.#sweeper)
    await this.nodes.close()
    await this.#publisher.close()
    this.#channels.close()
    this.#commands.end()
    this.#subscriber.end()
  }
}
