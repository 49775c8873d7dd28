import type { Cluster } from './cluster.js'
import type { Fault } from './inbound.js'
import { keyOf } from './key.js'
import { Remembered } from './remembered.js'

/** What a client's message was answered with; `undefined` is `ack`. */
export type Answer = Fault | undefined

/** Another server has the message, and does not say what became of it. */
const unknown: Fault = { code: 'handler_failed', message: 'this message was sent before, to a server that no longer answers' }

/** Minimum time an answer is remembered, in ms. */
const keepTime = 300_000

/** Answers remembered of all users. */
const maxAnswers = 20_000

interface Kept {
  readonly answer: Promise<Answer>
  /** It is still being handled, and not forgotten to make room. */
  isPending: boolean
}

/**
 * The answers to the latest messages with a string as `ref`: a client that lost its connection before it was answered
 * sends the message again on the next one, and its handler must not run twice.
 */
export class Answers {
  readonly #kept: Remembered<Kept>
  /** Milliseconds that an answer is known on other servers, from its message on. */
  readonly #keepTime: number
  readonly #cluster: Cluster | undefined

  /** `handlerTime` is how long an answer may take, in milliseconds: what is still being handled is not forgotten. */
  constructor (handlerTime = 0, size = maxAnswers, cluster?: Cluster) {
    this.#keepTime = keepTime + handlerTime
    this.#kept = new Remembered({ time: this.#keepTime, size }, ({ isPending }) => !isPending)
    this.#cluster = cluster
    cluster?.on('answer', async ({ userId, key }) => {
      const known = this.#kept.get(userId, key, performance.now())
      return known === undefined ? undefined : { fault: await known.answer }
    })
  }

  /** Number of answers remembered. */
  get size (): number {
    return this.#kept.size
  }

  /**
   * What `handle` answers, or what it answered, or is about to, when the same message came before. `key` tells the
   * messages of a user apart. `handle` must not reject. `now` in milliseconds.
   */
  once (userId: string, key: string, now: number, handle: () => Promise<Answer>): Promise<Answer> {
    const known = this.#kept.get(userId, key, now)
    if (known !== undefined) return known.answer
    const answer = this.#cluster === undefined ? handle() : this.#handleOnce(this.#cluster, userId, key, handle)
    const kept = { answer, isPending: true }
    this.#kept.set(userId, key, kept, now)
    answer.then(() => { kept.isPending = false })
    return answer
  }

  /** On one server only; the others ask that one. */
  async #handleOnce (cluster: Cluster, userId: string, key: string, handle: () => Promise<Answer>): Promise<Answer> {
    try {
      if (await cluster.nodes.claim(userId, keyOf('answer', userId, key), this.#keepTime)) return await handle()
      const answered = await cluster.ask('answer', { userId, key }) as { fault?: Fault } | undefined
      return answered === undefined ? unknown : answered.fault
    } catch {
      return { code: 'handler_failed', message: 'the server could not find out whether this message was sent before' }
    }
  }
}
