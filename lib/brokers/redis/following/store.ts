import type { RedisClock } from '../clock.js'
import { newEpoch } from '../epoch.js'
import type { StreamHead } from '../commands/read.js'
import type { ReadPublications } from './feed.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { metaTtlOf, type StreamLimits } from '../retention.js'
import { heads } from '../commands/heads.js'
import { mend, type MendRequest } from '../commands/mend.js'
import { read } from '../commands/read.js'

/** Maximum number of concurrent reads of streams. Others wait. */
const maxReads = 64

/** Reads channels from Redis. Rejects with the errors of Redis and ioredis. */
export class StreamStore {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #defaults: StreamLimits
  readonly #clock: RedisClock
  #reads = 0
  readonly #waiting: Array<() => void> = []

  constructor (link: RedisLink, keys: Keys, defaults: StreamLimits, clock: RedisClock) {
    this.#link = link
    this.#keys = keys
    this.#defaults = defaults
    this.#clock = clock
  }

  /** Maximum number of channels per request for heads. In a Cluster they are in different slots. */
  get checkSize (): number {
    return this.#link.isCluster ? 1 : 200
  }

  /**
   * Reads the publications after a position of a channel, or all that are retained. If the channel has lost its tail, nothing is read,
   * unless `inAnotherEpoch` continues it under another epoch. Writes nothing for a channel without a publication, unless `isToBegin`.
   */
  async read (
    channel: string, limits: StreamLimits, after?: StreamHead, inAnotherEpoch = false, isToBegin = false
  ): Promise<ReadPublications> {
    if (this.#reads >= maxReads) await new Promise<void>(resolve => this.#waiting.push(resolve))
    this.#reads++
    try {
      return await this.#read(channel, limits, after, inAnotherEpoch, isToBegin)
    } finally {
      this.#reads--
      this.#waiting.shift()?.()
    }
  }

  async #read (
    channel: string, limits: StreamLimits, after: StreamHead | undefined, isForking: boolean, isBeginning: boolean
  ): Promise<ReadPublications> {
    this.#check()
    const sent = performance.now()
    const given = { epoch: newEpoch(), limits, metaTtl: metaTtlOf(limits) }
    const reply = await read(this.#link, { ...this.#keysOf(channel), ...given, after, isForking, isBeginning })
    const { now, head, isTailLost, isForked } = reply
    this.#clock.learn(now, sent, performance.now())
    const stored = reply.stored.map(({ mark, at, body }) => ({ mark, age: Math.max(0, now - at), body }))
    return { head, isTailLost, isForked, stored }
  }

  /** Stores publications after the head that a channel has. Resolves with whether they are there now. */
  async mend (channel: string, limits: StreamLimits, head: StreamHead, publications: MendRequest['publications']): Promise<boolean> {
    this.#check()
    const { publishCommand, health } = this.#link
    const { isMended, unannounced } = await mend(this.#link, { ...this.#keysOf(channel), head, limits, publishCommand, publications })
    if (unannounced !== undefined) health.failed(publishCommand, new Error(unannounced))
    return isMended
  }

  #keysOf (channel: string): { stream: string, meta: string } {
    const stream = this.#keys.stream(channel)
    return { stream, meta: this.#keys.meta(stream) }
  }

  /** Heads of channels; `undefined` for a channel that Redis does not have. */
  async heads (streams: string[]): Promise<Array<StreamHead | undefined>> {
    this.#check()
    return heads(this.#link, streams.map(stream => this.#keys.meta(stream)), metaTtlOf(this.#defaults))
  }

  /** Throws while the connection is not ready. The health knows why. */
  #check (): void {
    if (!this.#link.isReady) throw this.#link.health.refusal()
  }
}
