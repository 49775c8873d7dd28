import { errors } from '../../../errors.js'
import type { BrokerLog, OwnerOf } from '../../broker.js'
import { StoredBytes } from '../../stored.js'
import { metaTtlOf, type StreamLimits } from '../retention.js'
import { publicationOverhead } from '../commands/lua.js'

/**
 * Bytes that a channel costs in Redis beside its publications: measured with Redis 7, which allocates 4 KiB for the first entries of a
 * stream. The stream expires first, and its meta later.
 */
const streamOverhead = 4_608
const metaOverhead = 320

/** Default of `limits.stored`. */
export const defaultStored = 32 * 1024 * 1024

/** A user that is over the quota is logged this often, in ms, and this many users at a time. */
const logEvery = 60_000
const maxLogged = 1_000

export interface QuotaParts {
  /** Bytes of one user. */
  limit: number
  ownerOf: OwnerOf
  log: BrokerLog | undefined
  now?: () => number
}

/** What this node may store of one user, in all channels of that user. Channels that stand for themselves have no quota. */
export class Quota {
  readonly #parts: QuotaParts
  readonly #now: () => number
  readonly #stored: StoredBytes
  /** When users were logged. */
  readonly #logged = new Map<string, number>()

  constructor (parts: QuotaParts) {
    this.#parts = parts
    this.#now = parts.now ?? (() => performance.now())
    this.#stored = new StoredBytes(parts.limit)
  }

  /** Charges a publication of a number of bytes. Returns RT_ERR_OVER_QUOTA when its user may not have it. */
  refusal (channel: string, bytes: number, { ttl }: StreamLimits): Error | undefined {
    const { ownerOf, limit } = this.#parts
    const owner = ownerOf(channel)
    if (owner === channel) return undefined
    const now = this.#now()
    if (this.#stored.take(owner, bytes + publicationOverhead, ttl, now)) return undefined
    this.#report(owner, now)
    return new errors.OVER_QUOTA(owner, limit)
  }

  /** A publication that was charged is not stored after all. */
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
    this.#parts.log?.error({ userId, limit: this.#parts.limit }, "realtime: A user has 'limits.stored' bytes in Redis: what is sent to this user is refused until some of it has expired")
  }
}
