import { subject, type Cluster } from '../cluster.js'
import type { Fault } from './fault.js'
import { keyOf } from './key.js'
import { Remembered } from './remembered.js'

/** What a client's message was answered with; `undefined` is `ack`. */
export type Answer = Fault | undefined

/** Another server has the message, and does not say what became of it. */
const unknown: Fault = { code: 'handler_failed', message: 'this message was sent before, to a server that no longer answers' }

/** Milliseconds that an answer is remembered, unless room has to be made. */
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

/** How far a message has come. */
type Stage =
  /** This server tells the others that the message is its own. */
  | 'claiming'
  /** Another server has it, and is asked for its answer. */
  | 'asking'
  /** The handler runs here. */
  | 'handling'
  /** There is an answer. */
  | 'answered'
  /** The handler ran here and failed. The next time it runs again. */
  | 'failed'
  /** It is not known whether a handler ran anywhere. The next time that is looked into again. */
  | 'unknown'

/** A message that is answered once. */
interface Kept {
  answer: Promise<Answer>
  stage: Stage
  /** Whether the claim of this server may have been stored. */
  isClaimed: boolean
}

/** Handles a message. `isRetry`: it was handled before, and failed. Must not reject. */
type Handle = (isRetry: boolean) => Promise<Answer>

/** What another server knows of a message: its answer, or that it failed there and is the asker's now. */
interface Known {
  fault?: Fault
  isFree?: boolean
}

/** What became of a message with a `ref`? */
const answerSubject = subject<{ userId: string, key: string }, Known>('answer')

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
   * What `handle` answers; where the same message came before, what it answered then, or is about to. `key` tells the messages of
   * a user apart. With `mayRetry` a message that failed is handled again. Never rejects.
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

  /** Handles a message unless another server has it, which is asked then. */
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
    // This server claimed it before, and did not learn of that.
    if (known === undefined && isMaybeOurs) return this.#handle(work, false)
    kept.stage = known === undefined ? 'unknown' : 'answered'
    return known === undefined ? unknown : known.fault
  }

  /** For another server, to which a message came again. One that failed here is that server's from now on. */
  async #tell (userId: string, key: string): Promise<Known | undefined> {
    const kept = this.#kept.get(userId, key, this.#now())
    // A server that asks itself knows nothing, and two that wait for each other would never end.
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
