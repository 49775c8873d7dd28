import { ChannelLog } from '../../../logs/channel-log.js'
import type { Log } from '../../../logs/log.js'
import type { BrokerStats, CreateLog } from '../../broker.js'
import { nodesChannel, type Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import type { RedisClock } from '../clock.js'
import { metaTtlOf, type ChannelLimits, type StreamLimits } from '../retention.js'
import { Checks } from './checks.js'
import { Doorbell } from './doorbell.js'
import type { StreamHead } from '../commands/read.js'
import { Feed, type Fed, type ReadPublications } from './feed.js'
import type { StreamStore } from './store.js'
import { alwaysBorn, Unborn } from './unborn.js'

/** Bytes of bookkeeping per channel. */
const channelOverhead = 1_024

/** Time without readers after which a channel is released, in ms. */
const grace = 5_000

/** Time without an announcement after which a channel is compared with Redis, in ms. */
const checkEvery = 15_000

/**
 * Time, in ms, after which a healthy replica or disk has a publication that Redis stored. Until then, nodes keep announced publications,
 * and restore them if Redis loses them.
 */
const safeAfter = 3_000

interface Followed {
  readonly key: string
  readonly feed: Feed
}

interface Channel extends Followed {
  readonly feed: Feed<Log>
  /** When it last had readers, or was returned to a caller, on the monotonic clock, in ms. */
  usedAt: number
}

export interface FollowedChannelsParts {
  /** Connection on which publications are announced. */
  subscriber: RedisLink
  store: StreamStore
  keys: Keys
  /** Redis's clock. */
  clock: RedisClock
  /** Maximum bytes that a log keeps beyond its history for readers that are behind. */
  lag: number
  /** Limits of the nodes' own channel. */
  nodesLimits: ChannelLimits
  /** Creates the log of that channel. */
  createNodesLog: (epoch: string) => Fed
}

/** The channels that have a log on this node, and the nodes' own channel. */
export class FollowedChannels {
  /** Resolves when the nodes' channel has a log. */
  readonly begun: Promise<void>
  /** Resolves when this node receives the announcements of the others. */
  readonly heard: Promise<void>
  readonly #parts: FollowedChannelsParts
  readonly #doorbell: Doorbell
  readonly #checks: Checks
  /** By key. */
  readonly #channels = new Map<string, Channel>()
  readonly #nodes: Followed
  /** The nodes' channel exists as long as Redis has its data: its epoch identifies the era. */
  readonly #unborn: Unborn
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)

  constructor (parts: FollowedChannelsParts) {
    const { subscriber, store, clock, nodesLimits, createNodesLog } = parts
    this.#parts = parts
    this.#unborn = new Unborn(() => this.#nodes.feed.log!.epoch, () => clock.at(performance.now()))
    this.#doorbell = new Doorbell(subscriber)
    this.#checks = new Checks(keys => store.heads(keys), store.checkSize)
    let isHeard = () => {}
    this.heard = new Promise(resolve => { isHeard = resolve })
    this.#nodes = this.#follow(nodesChannel, nodesLimits, createNodesLog, () => isHeard())
    this.begun = this.#nodes.feed.begun
  }

  /** Sets how logs are created from now on. */
  open (createLog: CreateLog): void {
    this.#createLog = createLog
  }

  /** Returns the log of a channel, with everything that Redis has at the moment. Rejects with the error of Redis. */
  async subscribe (channel: string, limits: ChannelLimits): Promise<Log> {
    const key = this.#parts.keys.stream(channel)
    const known = this.#channels.get(key) ?? this.#add(channel, key, limits)
    known.usedAt = performance.now()
    // A client that resumes may have read publications that this node does not have yet.
    await (known.feed.log === undefined ? known.feed.begun : this.#checks.confirm(key, known.feed))
    // The channel was released, or the broker closed, meanwhile.
    if (this.#channels.get(key) !== known) return known.feed.log!
    known.usedAt = performance.now()
    known.feed.renew()
    known.feed.log!.expire(known.usedAt)
    return known.feed.log!
  }

  #add (channel: string, key: string, limits: ChannelLimits): Channel {
    const logLimits = { ...limits.log, lag: this.#parts.lag }
    const added = { ...this.#follow(channel, limits, epoch => this.#createLog(channel, epoch, logLimits)), usedAt: performance.now() }
    this.#channels.set(key, added)
    return added
  }

  #follow<L extends Fed> (
    channel: string, { stream }: ChannelLimits, createLog: (epoch: string) => L, onListening = () => {}
  ): { key: string, feed: Feed<L> } {
    const key = this.#parts.keys.stream(channel)
    const feed = new Feed({
      createLog,
      unborn: channel === nodesChannel ? alwaysBorn : this.#unborn,
      metaTtl: metaTtlOf(stream),
      read: (after, inAnotherEpoch) => this.#read(channel, stream, after, inAnotherEpoch),
      mend: (head, publications) => this.#parts.store.mend(channel, stream, head, publications)
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

  /** Reads a channel. One without a publication needs the era; the nodes' own channel always has its epoch. */
  async #read (channel: string, limits: StreamLimits, after: StreamHead | undefined, inAnotherEpoch: boolean): Promise<ReadPublications> {
    const { store } = this.#parts
    if (channel === nodesChannel) return store.read(channel, limits, after, inAnotherEpoch, true)
    await this.begun
    return store.read(channel, limits, after, inAnotherEpoch)
  }

  /** Compares a channel with Redis. Never rejects: a failure goes to the health, and the channel is checked again later. */
  async #check ({ key, feed }: Followed): Promise<void> {
    await (feed.log === undefined ? feed.catchUp() : this.#checks.confirm(key, feed)).catch(() => {})
  }

  /** Compares all channels with Redis. Never rejects. */
  async checkAll (): Promise<void> {
    await Promise.all([this.#nodes, ...this.#channels.values()].map(channel => this.#check(channel)))
  }

  /** Releases unused channels, and compares silent channels with Redis. `answeredAt`: when Redis last answered, on the monotonic clock. */
  sweep (answeredAt: number, now = performance.now()): void {
    this.#checkSilent(this.#nodes, now)
    this.#nodes.feed.settle(answeredAt - safeAfter)
    for (const channel of this.#channels.values()) {
      const { log } = channel.feed
      if (log !== undefined && log.readers.length > 0) channel.usedAt = now
      log?.expire(now)
      log?.trim()
      channel.feed.settle(answeredAt - safeAfter)
      if (now - answeredAt < safeAfter) channel.feed.renew()
      // While Redis is away, this node may be the only one with the newest publications.
      if (now - channel.usedAt > grace && now - answeredAt < safeAfter) this.#forget(channel)
      else this.#checkSilent(channel, now)
    }
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

  close (): void {
    this.#nodes.feed.end()
    for (const channel of this.#channels.values()) this.#forget(channel)
    this.#doorbell.close()
  }
}
