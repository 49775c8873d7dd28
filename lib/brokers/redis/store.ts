import type { RedisClock } from './clock.js'
import { newEpoch } from './epoch.js'
import type { Head, Reading } from './feed.js'
import type { Keys } from './keys.js'
import type { RedisLink } from './link.js'
import { metaTtlOf, type RetentionOf } from './retention.js'
import { heads, mend, read, type Script } from './scripts.js'

/** So many streams are read at a time; the others wait. */
const maxReads = 64

const nowhere: Head = { epoch: '', offset: 0, mark: '' }

/** What is read of the channels in Redis. Rejects with what Redis or ioredis say. */
export class Store {
  readonly #link: RedisLink
  readonly #keys: Keys
  readonly #retentionOf: RetentionOf
  readonly #clock: RedisClock
  #reads = 0
  readonly #waiting: Array<() => void> = []

  constructor (link: RedisLink, keys: Keys, retentionOf: RetentionOf, clock: RedisClock) {
    this.#link = link
    this.#keys = keys
    this.#retentionOf = retentionOf
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
  async read (channel: string, after: Head = nowhere, inAnotherEpoch = false, isToBegin = false): Promise<Reading> {
    if (this.#reads >= maxReads) await new Promise<void>(resolve => this.#waiting.push(resolve))
    this.#reads++
    try {
      return await this.#read(channel, after, inAnotherEpoch, isToBegin)
    } finally {
      this.#reads--
      this.#waiting.shift()?.()
    }
  }

  async #read (channel: string, after: Head, inAnotherEpoch: boolean, isToBegin: boolean): Promise<Reading> {
    const retention = this.#retentionOf(channel)
    const known = [after.epoch, after.offset, after.mark]
    const args = [newEpoch(), retention.size, metaTtlOf(retention), ...known, Number(inAnotherEpoch), Number(isToBegin)]
    const sent = performance.now()
    const answer = await this.#run(read, this.#keysOf(channel), args)
    const [now, epoch, offset, mark, isLost, isForked, ...rest] = answer as [number, string, number, string, number, number, ...string[]]
    this.#clock.learn(now, sent, performance.now())
    const stored = []
    for (let at = 0; at < rest.length; at += 3) {
      stored.push({ mark: rest[at], age: Math.max(0, now - Number(rest[at + 1])), body: rest[at + 2] })
    }
    const head = epoch === '' ? undefined : { epoch, offset, mark }
    return { head, isTailLost: isLost === 1, isForked: isForked === 1, stored }
  }

  /** Puts publications behind the head that a channel has. Whether they are there now. */
  async mend (channel: string, { epoch, offset, mark }: Head, publications: Array<{ mark: string, body: string }>): Promise<boolean> {
    const { size, ttl } = this.#retentionOf(channel)
    const { publishCommand, health } = this.#link
    const args = [epoch, offset, mark, size, ttl, publishCommand, ...publications.flatMap(({ mark, body }) => [mark, body])]
    const answer = await this.#run(mend, this.#keysOf(channel), args)
    if (typeof answer === 'string') health.failed(publishCommand, new Error(answer))
    return answer !== 0
  }

  #keysOf (channel: string): string[] {
    const stream = this.#keys.stream(channel)
    return [stream, this.#keys.meta(stream)]
  }

  /** Where channels are; `undefined` for one that Redis does not know. */
  async heads (streams: string[]): Promise<Array<Head | undefined>> {
    const metas = streams.map(stream => this.#keys.meta(stream))
    const found = await this.#run(heads, metas, [metaTtlOf(this.#retentionOf(''))]) as Array<string | number>
    return streams.map((_stream, at) => {
      const [epoch, offset, mark] = found.slice(at * 3, at * 3 + 3) as [string, number, string]
      return epoch === '' ? undefined : { epoch, offset, mark }
    })
  }

  #run (...[script, keys, args]: [Script, string[], Array<string | number>]): Promise<unknown> {
    // Redis, or the connection, has told the health why.
    if (!this.#link.isReady) return Promise.reject(this.#link.health.refusal())
    return this.#link.run(script, keys, args)
  }
}
