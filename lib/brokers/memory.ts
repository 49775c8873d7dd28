import { randomInt } from 'node:crypto'
import { errors } from '../errors.js'
import type { Position } from '../protocol/position.js'
import type { Broker, BrokerStats, CreateLog } from './broker.js'
import { ChannelLog } from './channel-log.js'
import type { Log, LogLimits } from './log.js'

export interface MemoryBrokerOptions extends LogLimits {
  /** Bytes for all channels together; beyond it the oldest channel gives up its oldest publications first. */
  bytes: number
  /** Milliseconds since any fixed point; default `Date.now`. */
  now?: () => number
}

/** Bytes of bookkeeping per channel, so that many empty channels are bounded too. */
const channelOverhead = 512

/** How often expired publications and unused channels are let go of, in milliseconds. */
const sweepEvery = 10_000

/** Channels are kept in the order of their use to within so many milliseconds: moving one with each use is slow. */
const orderGrain = 1_000

/** A log just handed out gets its first reader within a second of its use. */
const settleTime = orderGrain + 1_000

/** Making room goes on down to this share of the bytes allowed, so that it is not needed again at once. */
const roomyShare = 0.9

interface Channel {
  readonly log: Log
  /** What of it is in the sums of all channels. */
  bytes: number
  publications: number
  usedAt: number
  /** Set when it was found without readers; found so again, it is let go of. */
  isIdle: boolean
}

/** The embedded default: the logs live in this process, and end with it. */
export class MemoryBroker implements Broker {
  readonly #options: MemoryBrokerOptions
  readonly #now: () => number
  /** In the order in which they were last used, roughly. */
  readonly #channels = new Map<string, Channel>()
  /** Makes the epochs of two processes, and of two incarnations of a channel, different. */
  readonly #incarnation = randomInt(36 ** 6).toString(36).padStart(6, '0')
  #created = 0
  #bytes = 0
  #publications = 0
  #createLog: CreateLog = (_channel, epoch, limits) => new ChannelLog(epoch, limits)
  #sweeper: NodeJS.Timeout | undefined
  #isClosed = false

  constructor (options: MemoryBrokerOptions) {
    this.#options = options
    this.#now = options.now ?? Date.now
  }

  open (createLog: CreateLog): void {
    this.#createLog = createLog
    this.#sweeper = setInterval(() => this.sweep(), sweepEvery).unref()
  }

  publish (channel: string, body: string): Position {
    if (this.#isClosed) throw new errors.CLOSING()
    const now = this.#now()
    const used = this.#use(channel, now)
    const { log } = used
    log.append(body, now)
    const { position } = log
    this.#count(used)
    if (this.#bytes > this.#options.bytes) this.#makeRoom(now, log)
    return position
  }

  subscribe (channel: string): Log {
    if (this.#isClosed) throw new errors.CLOSING()
    const now = this.#now()
    const used = this.#use(channel, now)
    const { log } = used
    log.expire(now)
    this.#count(used)
    if (this.#bytes > this.#options.bytes) this.#makeRoom(now, log)
    return log
  }

  stats (): BrokerStats {
    return { channels: this.#channels.size, publications: this.#publications, bytes: this.#bytes }
  }

  close (): void {
    this.#isClosed = true
    clearInterval(this.#sweeper)
    for (const { log } of this.#channels.values()) log.release()
    this.#channels.clear()
    this.#bytes = 0
    this.#publications = 0
  }

  /**
   * Lets go of what is older than `ttl` or was kept for readers that have read it by now, and of channels that have not
   * been used for as long and are found without a reader twice: who was connected until now can resume in an empty one.
   */
  sweep (): void {
    const now = this.#now()
    for (const [name, channel] of this.#channels) {
      channel.log.expire(now)
      channel.log.trim()
      this.#count(channel)
      if (now - channel.usedAt <= this.#options.ttl) continue
      const isIdle = channel.log.readers.length === 0
      if (isIdle && channel.isIdle) this.#forget(name, channel)
      else this.#use(name, now).isIdle = isIdle
    }
  }

  #use (name: string, now: number): Channel {
    let channel = this.#channels.get(name)
    if (channel === undefined) {
      const epoch = this.#incarnation + (this.#created++).toString(36)
      channel = { log: this.#createLog(name, epoch, this.#options), bytes: 0, publications: 0, usedAt: now, isIdle: false }
      this.#bytes += channelOverhead
    } else if (now - channel.usedAt < orderGrain) {
      channel.isIdle = false
      return channel
    } else {
      this.#channels.delete(name)
    }
    channel.usedAt = now
    channel.isIdle = false
    this.#channels.set(name, channel)
    return channel
  }

  /** Brings the sums up to date with a channel. */
  #count (channel: Channel): void {
    const { bytes, length } = channel.log
    this.#bytes += bytes - channel.bytes
    this.#publications += length - channel.publications
    channel.bytes = bytes
    channel.publications = length
  }

  /** The newest publication of the log in use stays, whatever its size: it was only just stored. */
  #makeRoom (now: number, inUse: Log): void {
    const enough = this.#options.bytes * roomyShare
    for (const [name, channel] of this.#channels) {
      const { log, usedAt } = channel
      const keep = log === inUse ? 1 : 0
      log.hurry()
      while (this.#bytes > enough && log.length > keep) {
        log.shift()
        this.#count(channel)
      }
      const isUnused = log.length === 0 && log.readers.length === 0 && now - usedAt > settleTime
      if (isUnused) this.#forget(name, channel)
      if (this.#bytes <= enough) return
    }
  }

  #forget (name: string, channel: Channel): void {
    this.#bytes -= channel.bytes + channelOverhead
    this.#publications -= channel.publications
    this.#channels.delete(name)
    channel.log.release()
  }
}
