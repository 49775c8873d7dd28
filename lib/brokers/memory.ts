import { randomInt } from 'node:crypto'
import { errors } from '../errors.js'
import type { Position } from '../protocol/position.js'
import type { Broker, BrokerHost, BrokerStats, CreateLog, OwnerOf, Retention } from './broker.js'
import { Budget, type Share } from './budget.js'
import { ChannelLog } from '../logs/channel-log.js'
import type { Log, LogLimits, Publication } from '../logs/log.js'

export interface MemoryBrokerOptions extends LogLimits {
  /** Maximum bytes of all channels together. No owner keeps more than is still free; the owner with the most is evicted first. */
  bytes: number
  /** Monotonic clock, in ms. Default: `performance.now`, without the fraction. */
  now?: (() => number) | undefined
}

/** Bytes of bookkeeping per channel beside its name. */
const channelOverhead = 700

/** Interval at which expired publications and unused channels are dropped, in ms. */
const sweepEvery = 10_000

/** Time in which a log that was just returned gets its first reader, in ms. */
const settleTime = 2_000

/** Fraction of its bytes that an owner keeps in an eviction, so that the next one is not due at once. */
const roomyShare = 0.9

interface Channel {
  readonly name: string
  readonly log: Log
  readonly owner: Owner
  /** Neighbours in the list of its owner's channels. */
  previous: Channel | undefined
  next: Channel | undefined
  /** Bytes, bookkeeping included, and publications of this channel that are part of the sums of all channels. */
  bytes: number
  publications: number
  usedAt: number
  /** Set when a sweep found it without readers. The next such sweep drops it. */
  isIdle: boolean
}

/** Owner for which the bytes of its channels are counted. */
interface Owner extends Share {
  /** Head of the list of its channels. Most owners have one channel, for which an array would be larger. */
  newest: Channel | undefined
}

/** The default broker: the logs live in this process, and end with it. */
export class MemoryBroker implements Broker {
  readonly #options: MemoryBrokerOptions
  readonly #now: () => number
  readonly #channels = new Map<string, Channel>()
  /** Bytes by owner. */
  readonly #budget: Budget<Owner>
  /** Makes epochs of different processes, and of two incarnations of a channel, differ. */
  readonly #incarnation = randomInt(36 ** 6).toString(36).padStart(6, '0')
  #created = 0
  #publications = 0
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)
  #ownerOf: OwnerOf = channel => channel
  #sweeper: NodeJS.Timeout | undefined
  #isOpened = false
  #isClosed = false

  constructor (options: MemoryBrokerOptions) {
    this.#options = options
    // V8 stores integers below 2^31 without a heap object: in ms, for the first 24 days of a process.
    this.#now = options.now ?? (() => Math.floor(performance.now()))
    this.#budget = new Budget(options.bytes, holder => ({ holder, held: 0, level: -1, newest: undefined }))
  }

  /** Throws RT_ERR_BROKER_USED. */
  open (createLog: CreateLog, { ownerOf = this.#ownerOf }: BrokerHost = {}): void {
    if (this.#isOpened || this.#isClosed) throw new errors.BROKER_USED()
    this.#isOpened = true
    this.#createLog = createLog
    this.#ownerOf = ownerOf
    this.#sweeper = setInterval(() => this.sweep(), sweepEvery).unref()
  }

  publish (channel: string, body: string, retention?: Retention, publication?: Publication): Position {
    if (this.#isClosed) throw new errors.CLOSING()
    const now = this.#now()
    const used = this.#use(channel, now, retention)
    const { log } = used
    log.append(body, now, publication)
    const { position } = log
    this.#count(used)
    if (this.#isOver(used.owner)) this.#makeRoom(used, now)
    return position
  }

  subscribe (channel: string, retention?: Retention): Log {
    if (this.#isClosed) throw new errors.CLOSING()
    const now = this.#now()
    const used = this.#use(channel, now, retention)
    const { log } = used
    log.expire(now)
    this.#count(used)
    if (this.#isOver(used.owner)) this.#makeRoom(used, now)
    return log
  }

  stats (): BrokerStats {
    return { channels: this.#channels.size, publications: this.#publications, bytes: this.#budget.used }
  }

  close (): void {
    this.#isClosed = true
    clearInterval(this.#sweeper)
    for (const channel of this.#channels.values()) this.#forget(channel)
  }

  /**
   * Drops publications that are older than `ttl`, or were kept for readers that have read them by now. Drops channels that have no reader
   * in two checks at least `ttl` apart, and were not used meanwhile: a client that was connected until now can resume in an empty one.
   */
  sweep (): void {
    const now = this.#now()
    for (const channel of this.#channels.values()) {
      channel.log.expire(now)
      channel.log.trim()
      this.#count(channel)
      if (now - channel.usedAt <= channel.log.limits.ttl) continue
      const isIdle = channel.log.readers.length === 0
      if (isIdle && channel.isIdle) this.#forget(channel)
      channel.usedAt = now
      channel.isIdle = isIdle
    }
  }

  #use (name: string, now: number, retention: Retention | undefined): Channel {
    const channel = this.#channels.get(name) ?? this.#add(name, now, retention)
    channel.usedAt = now
    channel.isIdle = false
    return channel
  }

  #add (name: string, now: number, retention: Retention | undefined): Channel {
    const epoch = this.#incarnation + (this.#created++).toString(36)
    const log = this.#createLog(name, epoch, this.#limitsOf(retention))
    const owner = this.#budget.share(this.#ownerOf(name))
    const next = owner.newest
    const channel: Channel = { name, log, owner, previous: undefined, next, bytes: 0, publications: 0, usedAt: now, isIdle: false }
    if (next !== undefined) next.previous = channel
    owner.newest = channel
    this.#channels.set(name, channel)
    return channel
  }

  #limitsOf (retention: Retention | undefined): LogLimits {
    if (retention?.size === undefined && retention?.ttl === undefined) return this.#options
    const { size = this.#options.size, ttl = this.#options.ttl } = retention
    return { size, ttl, lag: this.#options.lag }
  }

  /** Updates the sums with the size of a channel. */
  #count (channel: Channel): void {
    const { length } = channel.log
    const bytes = channel.log.bytes + channelOverhead + channel.name.length
    if (bytes !== channel.bytes) this.#budget.change(channel.owner, bytes - channel.bytes)
    this.#publications += length - channel.publications
    channel.bytes = bytes
    channel.publications = length
  }

  /** Whether an owner holds more than is still free. */
  #isOver ({ held }: Owner): boolean {
    const { used, total } = this.#budget
    return used + held > total
  }

  /** Evicts publications of the largest owners until the owner of `inUse` holds no more than is free. */
  #makeRoom (inUse: Channel, now: number): void {
    for (const owner of this.#budget.heaviest()) {
      this.#relieve(owner, inUse, now)
      if (!this.#isOver(inUse.owner)) return
      // Smaller owners keep their bytes, unless the total is exceeded.
      if (owner === inUse.owner && this.#budget.used <= this.#budget.total) return
    }
  }

  /**
   * Evicts a part of an owner's publications: the oldest of its largest channels, and of equally large ones those of the least recently
   * used. The newest publication of the channel in use stays, whatever its size, because it was just stored.
   */
  #relieve (owner: Owner, inUse: Channel, now: number): void {
    const channels = channelsOf(owner)
    const enough = owner.held * roomyShare
    const level = waterLevel(channels.map(({ bytes }) => bytes), enough)
    const large = channels.filter(channel => channel.bytes > level).sort((a, b) => a.usedAt - b.usedAt)
    for (const channel of large) {
      const { log } = channel
      const keep = channel === inUse ? 1 : 0
      log.hurry()
      while (channel.bytes > level && log.length > keep && owner.held > enough) {
        log.shift()
        this.#count(channel)
      }
      const isUnused = log.length === 0 && log.readers.length === 0 && now - channel.usedAt > settleTime
      if (isUnused) this.#forget(channel)
      if (owner.held <= enough) return
    }
  }

  #forget (channel: Channel): void {
    const { name, log, owner, previous, next } = channel
    this.#budget.change(owner, -channel.bytes)
    this.#publications -= channel.publications
    this.#channels.delete(name)
    if (previous === undefined) owner.newest = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    log.release()
  }
}

/** Channels of an owner, the oldest first. */
function channelsOf (owner: Owner): Channel[] {
  const channels: Channel[] = []
  for (let channel = owner.newest; channel !== undefined; channel = channel.next) channels.push(channel)
  return channels.reverse()
}

/** Size to which the largest must shrink so that the sum is at most `total`. */
function waterLevel (sizes: number[], total: number): number {
  let low = 0
  let high = total
  while (high - low > 1) {
    const middle = (low + high) / 2
    const sum = sizes.reduce((sum, size) => sum + Math.min(size, middle), 0)
    if (sum > total) high = middle
    else low = middle
  }
  return low
}
