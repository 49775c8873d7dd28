import { randomInt } from 'node:crypto'
import { errors } from '../errors.js'
import type { Position } from '../protocol/position.js'
import type { Broker, BrokerHost, BrokerStats, CreateLog, OwnerOf, Retention } from './broker.js'
import { Budget, type Share } from './budget.js'
import { ChannelLog } from '../logs/channel-log.js'
import type { Log, LogLimits, Publication } from '../logs/log.js'

export interface MemoryBrokerOptions extends LogLimits {
  /** Bytes for all channels together. No owner of channels keeps more than is still free; the owner that has most gives way first. */
  bytes: number
  /** Milliseconds since any fixed point, never set back or forward; default `performance.now`, without the fraction. */
  now?: (() => number) | undefined
}

/** Bytes of bookkeeping per channel beside its name. */
const channelOverhead = 700

/** How often expired publications and unused channels are dropped, in ms. */
const sweepEvery = 10_000

/** A log that was just handed out gets its first reader within this time, in ms. */
const settleTime = 2_000

/** Share of its bytes that an owner keeps when it has to give way, so that this is not needed again at once. */
const roomyShare = 0.9

interface Channel {
  readonly name: string
  readonly log: Log
  readonly owner: Owner
  /** The channels before and after it among those of its owner. */
  previous: Channel | undefined
  next: Channel | undefined
  /** What the sums of all channels have of this one. */
  bytes: number
  publications: number
  usedAt: number
  /** Set when it was found without readers; found so again, it is dropped. */
  isIdle: boolean
}

/** Whoever the bytes of some channels are counted for. */
interface Owner extends Share {
  /** Head of the list of its channels. Most owners have one channel, for which an array would be larger. */
  newest: Channel | undefined
}

/** The embedded default: the logs live in this process, and end with it. */
export class MemoryBroker implements Broker {
  readonly #options: MemoryBrokerOptions
  readonly #now: () => number
  readonly #channels = new Map<string, Channel>()
  /** Bytes by owner. */
  readonly #budget: Budget<Owner>
  /** Makes the epochs of two processes, and of two incarnations of a channel, different. */
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
  open (createLog: CreateLog, { ownerOf = channel => channel }: BrokerHost = {}): void {
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
   * Drops what is older than `ttl` or was kept for readers that have read it by now, and channels that have not been used for as
   * long and are found without a reader twice: a client that was connected until now can resume in an empty one.
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
    this.#budget.change(owner, overheadOf(channel))
    return channel
  }

  #limitsOf (retention: Retention | undefined): LogLimits {
    if (retention?.size === undefined && retention?.ttl === undefined) return this.#options
    const { size = this.#options.size, ttl = this.#options.ttl } = retention
    return { size, ttl, lag: this.#options.lag }
  }

  /** Brings the sums up to date with a channel. */
  #count (channel: Channel): void {
    const { bytes, length } = channel.log
    if (bytes !== channel.bytes) this.#budget.change(channel.owner, bytes - channel.bytes)
    this.#publications += length - channel.publications
    channel.bytes = bytes
    channel.publications = length
  }

  /** Whether an owner has more than is still free. */
  #isOver ({ held }: Owner): boolean {
    const { used, total } = this.#budget
    return used * 2 > total && used + held > total
  }

  /** Has the owners that hold most give way until the one of a channel may keep what it has. */
  #makeRoom (inUse: Channel, now: number): void {
    for (const owner of this.#budget.heaviest()) {
      this.#relieve(owner, inUse, now)
      if (!this.#isOver(inUse.owner)) return
      // Whoever holds less than this owner keeps it, unless all is used.
      if (owner === inUse.owner && this.#budget.used <= this.#budget.total) return
    }
  }

  /**
   * Has an owner give up part of what it holds, the oldest publications of its largest channels, and of equally large ones those
   * used longest ago. The newest publication of the channel in use stays, whatever its size: it was only just stored.
   */
  #relieve (owner: Owner, inUse: Channel, now: number): void {
    const channels = channelsOf(owner)
    const enough = owner.held * roomyShare
    const level = waterLevel(channels.map(sizeOf), enough)
    const large = channels.filter(channel => sizeOf(channel) > level).sort((a, b) => a.usedAt - b.usedAt)
    for (const channel of large) {
      const { log } = channel
      const keep = channel === inUse ? 1 : 0
      log.hurry()
      while (sizeOf(channel) > level && log.length > keep && owner.held > enough) {
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
    this.#budget.change(owner, -sizeOf(channel))
    this.#publications -= channel.publications
    this.#channels.delete(name)
    if (previous === undefined) owner.newest = next
    else previous.next = next
    if (next !== undefined) next.previous = previous
    log.release()
  }
}

/** Its channels, the oldest first. */
function channelsOf (owner: Owner): Channel[] {
  const channels: Channel[] = []
  for (let channel = owner.newest; channel !== undefined; channel = channel.next) channels.push(channel)
  return channels.reverse()
}

function overheadOf ({ name }: Channel): number {
  return channelOverhead + name.length
}

function sizeOf (channel: Channel): number {
  return channel.bytes + overheadOf(channel)
}

/** The size to which the largest have to shrink so that all together are no more than `total`. */
function waterLevel (sizes: number[], total: number): number {
  let low = 0
  let high = total
  for (let round = 0; round < 32 && high - low > 1; round++) {
    const middle = (low + high) / 2
    const sum = sizes.reduce((sum, size) => sum + Math.min(size, middle), 0)
    if (sum > total) high = middle
    else low = middle
  }
  return low
}
