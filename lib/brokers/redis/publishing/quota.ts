import { errors } from '../../../errors.js'
import type { BrokerLog, OwnerOf } from '../../broker.js'
import { StoredBytes } from '../../stored.js'
import { metaTtlOf, type StreamLimits } from '../retention.js'
import { publicationOverhead } from '../commands/lua.js'

/**
 * Bytes that a channel takes in Redis in addition to its publications. Measured with Redis 7, which allocates 4 KiB for the first entries
 * of a stream. The stream expires first, its meta later.
 */
const streamOverhead = 4_608
const metaOverhead = 320

/** Default of `limits.stored`. */
export const defaultStored = 32 * 1024 * 1024

/** Minimum time between two log lines about one user, in ms, and maximum number of users for which it is remembered. */
const logEvery = 60_000
const maxLogged = 1_000

export interface QuotaParts {
  /** Maximum bytes of one user. */
  limit: number
  ownerOf: OwnerOf
  log: BrokerLog | undefined
  now?: () => number
}

/** Limits the bytes that this node stores of one user, in all channels of that user. Channels that are their own owners have no quota. */
export class Quota {
  readonly #parts: QuotaParts
  readonly #now: () => number
  readonly #stored: StoredBytes
  /** Time of the last log line about a user. */
  readonly #logged = new Map<string, number>()

  constructor (parts: QuotaParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    this.#stored = new StoredBytes(parts.limit)
  }

  /** Charges the bytes of a publication. Returns RT_ERR_OVER_QUOTA if they exceed the quota of its user. */
  refusal (channel: string, bytes: number, { ttl }: StreamLimits): Error | undefined {
    const { ownerOf, limit } = this.#parts
    const owner = ownerOf(channel)
    if (owner === channel) return undefined
    const now = this.#now()
    if (this.#stored.take(owner, bytes + publicationOverhead, ttl, now)) return undefined
    this.#report(owner, now)
    return new errors.OVER_QUOTA(owner, limit)
  }

  /** Refunds a publication that is not stored after all. */
  giveBack (channel: string, bytes: number, { ttl }: StreamLimits): void {
    this.#add(channel, -bytes - publicationOverhead, ttl)
  }

  /** Counts the memory that Redis needs for a new channel, in addition to its publications. */
  onBegun (channel: string, limits: StreamLimits): void {
    this.#add(channel, streamOverhead, limits.ttl)
    this.#add(channel, metaOverhead, metaTtlOf(limits))
  }

  #add (channel: string, bytes: number, lifetime: number): void {
    const owner = this.#parts.ownerOf(channel)
    if (owner !== channel) this.#stored.add(owner, bytes, lifetime, this.#now())
  }

  #report (userId: string, now: number): void {
    if (now - (this.#logged.get(userId) ?? -Infinity) < logEvery) return
    if (this.#logged.size >= maxLogged) this.#logged.clear()
    this.#logged.set(userId, now)
    const { log, limit } = this.#parts
    const effect = 'messages to this user are refused until some data has expired'
    log?.error({ userId, limit }, `realtime: A user has 'limits.stored' bytes in Redis: ${effect}`)
  }
}
