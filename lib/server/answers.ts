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

interface AnswersOptions {
  /** Milliseconds that an answer may take: what is still being handled is not forgotten. Default: 0. */
  handlerTime?: number
  /** Answers remembered of all users. */
  size?: number
  /** The other servers of the app, where there are any. */
  cluster?: Cluster | undefined
  /** Milliseconds on a monotonic clock. */
  now?: () => number
}

/** What is known of a message that is answered once. */
interface Kept {
  readonly answer: Promise<Answer>
  /** It is still being handled, and not forgotten to make room. */
  isPending: boolean
  /** It failed, and is handled again when it comes again. */
  isFree: boolean
  /** Whether no other server can have it. */
  isClaimed: boolean
}

/** Handles a message. `isRetry`: it came before, and failed. Must not reject. */
type Handle = (isRetry: boolean) => Promise<Answer>

/** What another server knows of a message: its answer, or that it failed there and may be handled elsewhere. */
interface Known {
  fault?: Fault
  isFree?: boolean
}

/**
 * The answers to messages that are handled once: a client that lost its connection before it was answered sends the message again
 * on the next one. Where there are several servers, one of them handles a message, and the others ask that one.
 */
export class Answers {
  readonly #kept: Remembered<Kept>
  /** Milliseconds that a message is known on other servers, from when it came. */
  readonly #keepTime: number
  readonly #cluster: Cluster | undefined
  readonly #now: () => number

  constructor ({ handlerTime = 0, size = maxAnswers, cluster, now = () => performance.now() }: AnswersOptions = {}) {
    this.#keepTime = keepTime + handlerTime
    this.#kept = new Remembered({ time: this.#keepTime, size }, ({ isPending }) => !isPending)
    this.#cluster = cluster
    this.#now = now
    cluster?.on('answer', ({ userId, key }) => this.#tell(userId, key))
  }

  /** Number of answers remembered. */
  get size (): number {
    return this.#kept.size
  }

  /**
   * What `handle` answers; where the same message came before, what it answered then, or is about to. `key` tells the messages of
   * a user apart. With `mayRetry` a message that failed is handled again.
   */
  once (userId: string, key: string, handle: Handle, mayRetry = false): Promise<Answer> {
    const before = this.#kept.get(userId, key, this.#now())
    if (before !== undefined && !before.isFree) return before.answer
    const isRetry = before !== undefined
    const isOurs = this.#cluster === undefined || before?.isClaimed === true
    const claim = { isClaimed: isOurs }
    const answer = isOurs ? handle(isRetry) : this.#handleOnce(this.#cluster!, { userId, key, isRetry, claim }, handle)
    this.#keep(userId, key, Object.assign(claim, { answer, isPending: true, isFree: false }), mayRetry)
    return answer
  }

  #keep (userId: string, key: string, kept: Kept, mayRetry: boolean): void {
    this.#kept.set(userId, key, kept, this.#now())
    kept.answer.then(answer => {
      kept.isPending = false
      kept.isFree = mayRetry && answer !== undefined
    })
  }

  /** Handles a message unless another server has it, which is asked then. */
  async #handleOnce (cluster: Cluster, { userId, key, isRetry, claim }: Claiming, handle: Handle): Promise<Answer> {
    try {
      const isFirst = await cluster.nodes.claim(userId, keyOf('answer', userId, key), this.#keepTime)
      const known = isFirst ? undefined : await cluster.ask('answer', { userId, key }) as Known | undefined
      if (known !== undefined && known.isFree !== true) return known.fault
      // Nobody knows of it: it is this server's if that claimed it before, and did not learn of it.
      if (!isFirst && known === undefined && !isRetry) return unknown
      claim.isClaimed = true
      return await handle(isRetry || known !== undefined)
    } catch {
      return { code: 'handler_failed', message: 'the server could not find out whether this message was sent before' }
    }
  }

  /** For another server, to which a message came again. One that failed here is that server's from now on. */
  async #tell (userId: string, key: string): Promise<Known | undefined> {
    const kept = this.#kept.get(userId, key, this.#now())
    if (kept === undefined) return undefined
    const fault = await kept.answer
    if (!kept.isFree) return { fault }
    if (this.#kept.get(userId, key, this.#now()) === kept) this.#kept.delete(userId, key)
    return { isFree: true }
  }
}

interface Claiming {
  userId: string
  key: string
  isRetry: boolean
  claim: { isClaimed: boolean }
}
