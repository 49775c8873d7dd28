import type { RedisClock } from '../clock.js'
import { newEpoch } from '../epoch.js'
import type { StreamHead } from '../commands/read.js'
import type { Reading } from './feed.js'
import type { Keys } from '../keys.js'
import type { RedisLink } from '../link/link.js'
import { metaTtlOf, type StreamLimits } from '../retention.js'
import { heads } from '../commands/heads.js'
import { mend, type MendRequest } from '../commands/mend.js'
import { read } from '../commands/read.js'

/** So many streams are read at a time; the others wait. */
const maxReads = 64

/** What is read of the channels in Redis. Rejects with what Redis or ioredis say. */
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

  /** How many channels may be asked after at once: in a Cluster they are in different slots. */
  get checkSize (): number {
    return this.#link.isCluster ? 1 : 200
  }

  /**
   * What comes after a position of a channel, or all that is retained. Where the channel has lost its tail nothing is read,
   * unless it is to go on under another epoch. Writes nothing of a channel that has no publication yet, unless that `isToBegin`.
   */
  async read (channel: string, limits: StreamLimits, after?: StreamHead, inAnotherEpoch = false, isToBegin = false): Promise<Reading> {
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
  ): Promise<Reading> {
    this.#check()
    const sent = performance.now()
    const given = { epoch: newEpoch(), limits, metaTtl: metaTtlOf(limits) }
    const reply = await read(this.#link, { ...this.#keysOf(channel), ...given, after, isForking, isBeginning })
    const { now, head, isTailLost, isForked } = reply
    this.#clock.learn(now, sent, performance.now())
    const stored = reply.stored.map(({ mark, at, body }) => ({ mark, age: Math.max(0, now - at), body }))
    return { head, isTailLost, isForked, stored }
  }

  /** Puts publications behind the head that a channel has. Whether they are there now. */
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

  /** Heads of channels; `undefined` for a channel that is not in Redis. */
  async heads (streams: string[]): Promise<Array<StreamHead | undefined>> {
    this.#check()
    return heads(this.#link, streams.map(stream => this.#keys.meta(stream)), metaTtlOf(this.#defaults))
  }

  /** Throws while the connection is not ready. The health knows why. */
  #check (): void {
    if (!this.#link.isReady) throw this.#link.health.refusal()
  }
}
