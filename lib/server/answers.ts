import type { Cluster } from './cluster.js'
import type { Fault } from './inbound.js'
import { keyOf } from './key.js'

/** What a client's message was answered with; `undefined` is `ack`. */
export type Answer = Fault | undefined

/** Another server has the message, and does not say what became of it. */
const unknown: Fault = { code: 'handler_failed', message: 'this message was sent before, to a server that no longer answers' }

/** For so long, at least, an answer is known, in milliseconds. */
const keepTime = 300_000

/** Answers kept per user, and in all; the oldest gives way. */
const limits = { perUser: 1_000, inAll: 20_000 }

interface Kept {
  readonly userId: string
  readonly key: string
  readonly at: number
  readonly answer: Promise<Answer>
  /** It is still being handled, and not forgotten. */
  isPending: boolean
  isGone: boolean
}

/**
 * The answers to the latest messages with a string as `ref`: a client that lost its connection before it was answered
 * sends the message again on the next one, and its handler must not run twice.
 */
export class Answers {
  readonly #byUser = new Map<string, Map<string, Kept>>()
  /** In the order in which they came. Not a Set: finding its first takes longer the more before it were deleted. */
  #order: Kept[] = []
  /** Those before it are gone. */
  #start = 0
  #size = 0
  /** Since a message came. */
  readonly #keepTime: number
  readonly #limits: typeof limits
  readonly #cluster: Cluster | undefined

  /** `handlerTime` is how long an answer may take, in milliseconds: what is still being handled is not forgotten. */
  constructor (handlerTime = 0, { perUser, inAll } = limits, cluster?: Cluster) {
    this.#keepTime = keepTime + handlerTime
    this.#limits = { perUser, inAll }
    this.#cluster = cluster
    cluster?.on('answer', async ({ userId, key }) => {
      const known = this.#byUser.get(userId)?.get(key)
      return known === undefined ? undefined : { fault: await known.answer }
    })
  }

  /** How many are kept. */
  get size (): number {
    return this.#size
  }

  /**
   * What `handle` answers, or what it answered, or is about to, when the same message came before. `key` tells the
   * messages of a user apart. `handle` must not reject. `now` in milliseconds.
   */
  once (userId: string, key: string, now: number, handle: () => Promise<Answer>): Promise<Answer> {
    this.#expire(now)
    const known = this.#byUser.get(userId)?.get(key)
    if (known !== undefined) return known.answer
    const answer = this.#cluster === undefined ? handle() : this.#handleOnce(this.#cluster, userId, key, handle)
    const kept = { userId, key, at: now, answer, isPending: true, isGone: false }
    this.#keep(kept)
    kept.answer.then(() => { kept.isPending = false })
    return kept.answer
  }

  /** On one server only; the others ask that one. */
  async #handleOnce (cluster: Cluster, userId: string, key: string, handle: () => Promise<Answer>): Promise<Answer> {
    try {
      if (await cluster.nodes.claim(keyOf('answer', userId, key), this.#keepTime)) return await handle()
      const answered = await cluster.ask('answer', { userId, key }) as { fault?: Fault } | undefined
      return answered === undefined ? unknown : answered.fault
    } catch {
      return { code: 'handler_failed', message: 'the server could not find out whether this message was sent before' }
    }
  }

  #expire (now: number): void {
    const isOld = (kept: Kept | undefined) => kept !== undefined && now - kept.at >= this.#keepTime
    while (isOld(this.#oldest())) this.#drop(this.#oldest()!)
  }

  #keep (kept: Kept): void {
    const ofUser = this.#byUser.get(kept.userId) ?? new Map<string, Kept>()
    // Who sends a lot pushes out what is theirs.
    if (ofUser.size >= this.#limits.perUser) this.#makeRoom(ofUser.values())
    if (this.#size >= this.#limits.inAll) this.#makeRoom(this.#fromOldest())
    this.#byUser.set(kept.userId, ofUser.set(kept.key, kept))
    this.#order.push(kept)
    this.#size++
  }

  #makeRoom (kept: Iterable<Kept>): void {
    for (const each of kept) if (!each.isGone && !each.isPending) return this.#drop(each)
  }

  * #fromOldest (): Generator<Kept> {
    for (let at = this.#start; at < this.#order.length; at++) yield this.#order[at]
  }

  #oldest (): Kept | undefined {
    while (this.#order[this.#start]?.isGone) this.#start++
    return this.#order[this.#start]
  }

  #drop (kept: Kept): void {
    const ofUser = this.#byUser.get(kept.userId)!
    ofUser.delete(kept.key)
    if (ofUser.size === 0) this.#byUser.delete(kept.userId)
    kept.isGone = true
    this.#size--
    if (this.#order.length > 2 * this.#size + this.#limits.perUser) this.#compact()
  }

  #compact (): void {
    this.#order = this.#order.filter(({ isGone }) => !isGone)
    this.#start = 0
  }
}
