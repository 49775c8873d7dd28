import { subject, type Cluster } from '../cluster.js'
import type { Fault } from './fault.js'
import { keyOf } from './key.js'
import { Remembered } from './remembered.js'

/** Answer to a client message: a fault, or `undefined` for `ack`. */
export type Answer = Fault | undefined

/** Fault of a message that was claimed by another server, which does not answer. */
const abandoned: Fault = { code: 'handler_failed', message: 'this message was sent before, to a server that no longer answers' }

/** Time an answer is remembered, in ms, unless room is needed for others. */
const keepTime = 300_000

/** Maximum number of remembered answers of all users. */
const maxAnswers = 20_000

interface AnswersOptions {
  /** Maximum time of a handler, in ms. Answers are remembered that much longer. Default: 0. */
  handlerTime?: number
  /** Maximum number of remembered answers of all users. Default: 20,000. */
  size?: number
  /** Messages to the other servers of the app, if there are any. */
  cluster?: Cluster | undefined
  /** Monotonic clock, in ms. */
  now?: () => number
}

/** Progress of a message. */
type Stage =
  /** This server claims the message in the shared store. */
  | 'claiming'
  /** Another server has claimed it. Its answer is requested. */
  | 'asking'
  /** The handler is running on this server. */
  | 'handling'
  /** The answer is known. */
  | 'answered'
  /** The handler failed on this server. It runs again when the message is sent again. */
  | 'failed'
  /** It is not known whether a handler ran on any server. This is checked again when the message is sent again. */
  | 'unknown'

/** A message that is handled once. */
interface Kept {
  answer: Promise<Answer>
  stage: Stage
  /** Whether the claim of this server may have been stored. */
  isClaimed: boolean
}

/** Handles a message. `isRetry`: it was handled before, and failed. Must not reject. */
type Handle = (isRetry: boolean) => Promise<Answer>

/** Reply of another server about a message: its answer, or that it failed there and the asking server may handle it. */
interface Known {
  fault?: Fault
  isFree?: boolean
}

/** Asks the server that claimed a message for its answer. */
const answerSubject = subject<{ userId: string, key: string }, Known>('answer')

/**
 * Answers to messages that are handled once. A client whose connection ended before the answer sends the message again on the next
 * connection. With several servers, one of them handles a message, and the others ask it for the answer.
 */
export class Answers {
  readonly #kept: Remembered<Kept>
  /** Time that answers and claims are kept, in ms. */
  readonly #keepTime: number
  readonly #cluster: Cluster | undefined
  readonly #now: () => number

  constructor ({ handlerTime = 0, size = maxAnswers, cluster, now = () => performance.now() }: AnswersOptions = {}) {
    this.#keepTime = keepTime + handlerTime
    this.#kept = new Remembered({ time: this.#keepTime, size }, ({ stage }) => stage !== 'handling')
    this.#cluster = cluster
    this.#now = now
    cluster?.on(answerSubject, ({ userId, key }) => this.#tell(userId, key))
  }

  /** Number of answers remembered. */
  get size (): number {
    return this.#kept.size
  }

  /**
   * Returns the answer of `handle`, or the answer to the same message if it was sent before. `key` identifies the message among those
   * of its user. With `mayRetry`, a message that failed is handled again. Never rejects.
   */
  once (userId: string, key: string, handle: Handle, mayRetry = false): Promise<Answer> {
    const before = this.#kept.get(userId, key, this.#now())
    if (before !== undefined && before.stage !== 'failed' && before.stage !== 'unknown') return before.answer
    const kept: Kept = { stage: 'claiming', isClaimed: before?.isClaimed ?? false, answer: noAnswer }
    this.#kept.set(userId, key, kept, this.#now())
    const work: Work = { userId, key, kept, handle, mayRetry }
    const isOurs = this.#cluster === undefined || before?.stage === 'failed'
    kept.answer = isOurs ? this.#handle(work, before?.stage === 'failed') : this.#handleOnce(this.#cluster!, work)
    return kept.answer
  }

  async #handle ({ kept, handle, mayRetry }: Work, isRetry: boolean): Promise<Answer> {
    kept.stage = 'handling'
    kept.isClaimed = true
    const answer = await handle(isRetry)
    kept.stage = mayRetry && answer !== undefined ? 'failed' : 'answered'
    return answer
  }

  /** Handles a message, unless another server has claimed it: then asks for its answer. */
  async #handleOnce (cluster: Cluster, work: Work): Promise<Answer> {
    const { userId, key, kept } = work
    const isMaybeOurs = kept.isClaimed
    let known: Known | undefined
    try {
      kept.isClaimed = true
      if (await cluster.nodes.claim(userId, keyOf('answer', userId, key), this.#keepTime)) return await this.#handle(work, false)
      kept.isClaimed = isMaybeOurs
      kept.stage = 'asking'
      known = await cluster.ask(answerSubject, { userId, key })
    } catch {
      kept.stage = 'unknown'
      return { code: 'handler_failed', message: 'the server could not find out whether this message was sent before' }
    }
    if (known?.isFree === true) return this.#handle(work, true)
    // This server stored a claim before, and the confirmation was lost.
    if (known === undefined && isMaybeOurs) return this.#handle(work, false)
    kept.stage = known === undefined ? 'unknown' : 'answered'
    return known === undefined ? abandoned : known.fault
  }

  /** Replies to another server that received the message again. A message that failed here is that server's from now on. */
  async #tell (userId: string, key: string): Promise<Known | undefined> {
    const kept = this.#kept.get(userId, key, this.#now())
    // A server that asks others has no answer, and two servers that wait for each other would never finish.
    if (kept === undefined || kept.stage === 'asking' || kept.stage === 'unknown') return undefined
    const fault = await kept.answer
    if (kept.stage !== 'failed' || this.#kept.get(userId, key, this.#now()) !== kept) return { fault }
    this.#kept.delete(userId, key)
    return { isFree: true }
  }
}

const noAnswer = Promise.resolve(undefined)

interface Work {
  readonly userId: string
  readonly key: string
  readonly kept: Kept
  readonly handle: Handle
  readonly mayRetry: boolean
}
