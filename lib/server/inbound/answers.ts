import { subject, type Cluster } from '../cluster.js'
import type { Fault } from './fault.js'
import { keyOf } from './key.js'
import { Remembered } from './remembered.js'

/** Answer to a client message: a fault, or an `ack`. */
export interface Answer {
  readonly fault?: Fault | undefined
  /** Data of the `ack`, as JSON text. */
  readonly data?: string | undefined
}

/** Answer to a message that was claimed by another server, which does not answer. */
const abandoned: Answer = { fault: { code: 'handler_failed', message: 'this message was sent before, to a server that no longer answers' } }

/** Answer to a message that was sent again after the data of its answer had to make room. */
const lost: Answer = { fault: { code: 'answer_lost', message: 'this message was handled before, and its answer is no longer known' } }

/** Maximum characters of the remembered data of a user. */
const maxData = 256 * 1024

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
  /** Characters of the data of the answer. */
  size: number
  stage: Stage
  /** Whether the claim of this server may have been stored. */
  isClaimed: boolean
}

/** Handles a message. `isRetry`: it was handled before, and failed. Must not reject. */
type Handle = (isRetry: boolean) => Promise<Answer>

/** Reply of another server about a message: its answer, or that it failed there and the asking server may handle it. */
interface Known extends Answer {
  readonly isFree?: boolean
}

/** Asks the server that claimed a message for its answer. */
const answerSubject = subject<{ userId: string, key: string }, Known>('answer')

/**
 * Answers to messages that are handled once. A client whose connection ended before the answer sends the message again on the next
 * connection. With several servers, one of them handles a message, and the others ask it for the answer.
 */
export class Answers {
  readonly #kept: Remembered<Kept>
  /** Answers with data, the oldest first, by user. */
  readonly #withData = new Map<string, Set<Kept>>()
  /** Time that answers and claims are kept, in ms. */
  readonly #keepTime: number
  readonly #cluster: Cluster | undefined
  readonly #now: () => number

  constructor ({ handlerTime = 0, size = maxAnswers, cluster, now = () => performance.now() }: AnswersOptions = {}) {
    this.#keepTime = keepTime + handlerTime
    this.#kept = new Remembered({ time: this.#keepTime, size }, ({ stage }) => stage !== 'handling', (kept, userId) => this.#forget(kept, userId))
    this.#cluster = cluster
    this.#now = now
    cluster?.on(answerSubject, ({ userId, key }) => this.#tell(userId, key))
  }

  /** Number of answers remembered. */
  get size (): number {
    return this.#kept.size
  }

  /** Characters of the remembered data of all users. */
  get dataSize (): number {
    return [...this.#withData.values()].flatMap(all => [...all]).reduce((sum, { size }) => sum + size, 0)
  }

  /**
   * Returns the answer of `handle`, or the answer to the same message if it was sent before. `key` identifies the message among those
   * of its user. With `mayRetry`, a message that failed is handled again. Never rejects.
   */
  once (userId: string, key: string, handle: Handle, mayRetry = false): Promise<Answer> {
    const before = this.#kept.get(userId, key, this.#now())
    if (before !== undefined && before.stage !== 'failed' && before.stage !== 'unknown') return before.answer
    const kept: Kept = { stage: 'claiming', size: 0, isClaimed: before?.isClaimed ?? false, answer: noAnswer }
    this.#kept.set(userId, key, kept, this.#now())
    const work: Work = { userId, key, kept, handle, mayRetry }
    const isOurs = this.#cluster === undefined || before?.stage === 'failed'
    kept.answer = isOurs ? this.#handle(work, before?.stage === 'failed') : this.#handleOnce(this.#cluster!, work)
    return kept.answer
  }

  async #handle (work: Work, isRetry: boolean): Promise<Answer> {
    const { kept, handle, mayRetry } = work
    kept.stage = 'handling'
    kept.isClaimed = true
    const answer = await handle(isRetry)
    kept.stage = mayRetry && answer.fault !== undefined ? 'failed' : 'answered'
    this.#count(work, answer)
    return answer
  }

  /** Counts the data of an answer. The oldest data of the user makes room for it. */
  #count ({ userId, key, kept }: Work, { data }: Answer): void {
    if (data === undefined || this.#kept.get(userId, key, this.#now()) !== kept) return
    const all = this.#withData.get(userId) ?? new Set()
    this.#withData.set(userId, all.add(kept))
    kept.size = data.length
    let sum = 0
    for (const { size } of all) sum += size
    for (const oldest of all) {
      if (sum <= maxData) return
      sum -= oldest.size
      oldest.answer = Promise.resolve(lost)
      this.#forget(oldest, userId)
    }
  }

  #forget (kept: Kept, userId: string): void {
    const all = this.#withData.get(userId)
    if (all?.delete(kept) === true && all.size === 0) this.#withData.delete(userId)
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
      return { fault: { code: 'handler_failed', message: 'the server could not find out whether this message was sent before' } }
    }
    if (known?.isFree === true) return this.#handle(work, true)
    // This server stored a claim before, and the confirmation was lost.
    if (known === undefined && isMaybeOurs) return this.#handle(work, false)
    kept.stage = known === undefined ? 'unknown' : 'answered'
    if (known !== undefined) this.#count(work, known)
    return known ?? abandoned
  }

  /** Replies to another server that received the message again. A message that failed here is that server's from now on. */
  async #tell (userId: string, key: string): Promise<Known | undefined> {
    const kept = this.#kept.get(userId, key, this.#now())
    // A server that asks others has no answer, and two servers that wait for each other would never finish.
    if (kept === undefined || kept.stage === 'asking' || kept.stage === 'unknown') return undefined
    const answer = await kept.answer
    if (kept.stage !== 'failed' || this.#kept.get(userId, key, this.#now()) !== kept) return answer
    this.#kept.delete(userId, key)
    return { isFree: true }
  }
}

const noAnswer: Promise<Answer> = Promise.resolve({})

interface Work {
  readonly userId: string
  readonly key: string
  readonly kept: Kept
  readonly handle: Handle
  readonly mayRetry: boolean
}
