import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../../errors.js'
import type { Inbound } from '../../protocol/envelope.js'
import type { Answer, Answers } from './answers.js'
import type { Catalogue } from '../messages/catalogue.js'
import { caught, report } from '../reports/caught.js'
import type { ChannelKind } from '../kinds.js'
import type { Handlers } from './handlers.js'
import { Refusal, isOffence, type Fault } from './fault.js'
import { Strikes, parseInbound, tooBig } from './parse.js'
import type { LoopClock } from '../../time/loop-clock.js'
import type { MessageRow, Sender } from './message-row.js'
import type { RefusalReason } from '../reports/refusal-reasons.js'
import type { Timers } from '../../time/timers.js'
import { TokenBucket } from './token-bucket.js'
import { TimeoutError, within } from '../../time/within.js'

/** Context that all connections of a server share. */
export interface DispatcherContext {
  readonly catalogue: Catalogue
  readonly answers: Answers
  readonly handlers: Handlers
  readonly timers: Timers
  readonly clock: LoopClock
  readonly log: FastifyBaseLogger
  readonly inboundLimits: {
    /** Maximum bytes of a frame. */
    frame: number
    /** Maximum messages per second of a connection. */
    rate: number
    /** Maximum messages of a connection at once. */
    burst: number
    /** Maximum values in a message. */
    nodes: number
    /** Number of waiting messages at which the socket of a connection is paused. */
    queue: number
    /** Number of bad or excessive messages within a minute at which the connection is closed. */
    strikes: number
    /** Maximum time of a handler, in ms. */
    handlerTimeout: number
  }
}

/** Connection whose messages a dispatcher handles. */
export interface DispatcherOwner extends Sender {
  /** Kind of the channel that its messages are for. */
  readonly kind: ChannelKind
  control (type: string, parts?: { ref?: Inbound['ref'], data?: object }): void
  /** Closes a connection that violates a limit or the protocol, and handles no more of its messages. */
  expel (reason: RefusalReason, detail?: string): void
  /** Called when no handler is running. */
  onIdle (): void
}

/** Flow control of a dispatcher: pauses reading, and counts the bytes of messages that wait or are being handled. */
export interface Flow {
  /** Too many messages wait: stops reading until `resume`. */
  pause (): void
  resume (): void
  /** Counts a message of this size, which waits for its handler or is being handled, until `finish`. */
  begin (bytes: number): void
  finish (bytes: number): void
}

/** A message that waits for its handler, or is being handled. */
interface Work {
  readonly message: Inbound
  readonly row: MessageRow
  readonly bytes: number
}

/**
 * Validates the messages of a client, passes each to the handler of its type and answers it. Messages that are not urgent are handled
 * in order and one at a time.
 */
export class Dispatcher {
  readonly #owner: DispatcherOwner
  readonly #flow: Flow
  readonly #context: DispatcherContext
  readonly #rate: TokenBucket
  readonly #floods: Strikes
  readonly #faults: Strikes
  #queue: Work[] = []
  /** Message whose handler is running; urgent ones run beside it. */
  #current: Work | undefined
  #urgent: Work[] = []
  #isStopped = false

  constructor (owner: DispatcherOwner, flow: Flow, context: DispatcherContext) {
    const { inboundLimits, clock } = context
    const { strikes } = inboundLimits
    this.#owner = owner
    this.#flow = flow
    this.#context = context
    this.#rate = new TokenBucket(inboundLimits, clock)
    this.#floods = new Strikes(strikes)
    this.#faults = new Strikes(strikes)
  }

  /** Whether a handler is running. */
  get isBusy (): boolean {
    return this.#current !== undefined || this.#urgent.length > 0
  }

  /** Types of the messages whose handlers are running. */
  get handling (): string[] {
    return [...this.#current === undefined ? [] : [this.#current], ...this.#urgent].map(({ message }) => message.type)
  }

  /** Takes a text frame: one message. */
  receive (data: Buffer): void {
    if (!this.#isWithinRate()) return
    const { catalogue, inboundLimits, handlers } = this.#context
    const { frame, nodes } = inboundLimits
    if (data.length > frame) return this.#fault(tooBig(data, frame))
    const { message, fault, thrown } = parseInbound(data.toString(), value => catalogue.inboundFault(value), nodes)
    if (fault !== undefined) return thrown === undefined ? this.#fault(fault) : this.#uncheckable(fault, thrown)
    const { type, ref } = message
    if (type === 'ping') return this.#owner.control('pong', { ref })
    const row = handlers.of(this.#owner.kind, type)
    if (row === undefined) return this.#fault({ code: 'unknown_type', message: handlers.missing(type), ref })
    this.#take({ message, row, bytes: data.length })
  }

  #take (work: Work): void {
    this.#flow.begin(work.bytes)
    if (work.row.isUrgent?.(work.message) === true) {
      // Never rejects.
      this.#handleAtOnce(work)
      return
    }
    this.#queue.push(work)
    if (this.#queue.length >= this.#context.inboundLimits.queue) this.#flow.pause()
    this.#next()
  }

  /** Credits a time in ms during which the socket was not read: the frames of that time arrive now. */
  excuse (ms: number): void {
    this.#rate.excuse(ms)
  }

  /** Counts a WebSocket ping, which `ws` answers, or an unsolicited pong, like a message. */
  receiveControl (): void {
    this.#isWithinRate()
  }

  /** Drops waiting messages. A message that is being handled is still answered if the connection is open. */
  stop (): void {
    this.#isStopped = true
    for (const { bytes } of this.#queue) this.#flow.finish(bytes)
    this.#queue = []
  }

  #isWithinRate (): boolean {
    if (this.#rate.take()) return true
    const { inboundLimits: { rate }, clock } = this.#context
    this.#answer({ code: 'rate_limited', message: `more than ${rate} messages per second` })
    if (this.#floods.add(clock.now())) this.#owner.expel('rate')
    return false
  }

  #fault (fault: Fault): void {
    this.#answer(fault)
    if (isOffence(fault) && this.#faults.add(this.#context.clock.now())) this.#owner.expel('bad_messages', `The last one: ${fault.code}`)
  }

  /** A custom check of the app threw, which is no offence of the client. */
  #uncheckable (fault: Fault, thrown: unknown): void {
    report(this.#context.log, thrown, 'a message of a client could not be validated', { connectionId: this.#owner.id })
    this.#answer(fault)
  }

  #answer ({ code, message, ref }: Fault): void {
    this.#owner.control('error', { ref, data: { code, message } })
  }

  #next (): void {
    if (this.#current !== undefined) return
    const work = this.#queue.shift()
    if (work === undefined) return
    this.#current = work
    // Never rejects.
    this.#handle(work)
  }

  async #handleAtOnce (work: Work): Promise<void> {
    this.#urgent.push(work)
    await this.#settle(work)
    this.#urgent = this.#urgent.filter(urgent => urgent !== work)
    if (!this.isBusy) this.#owner.onIdle()
  }

  async #handle (work: Work): Promise<void> {
    await this.#settle(work)
    this.#current = undefined
    if (!this.isBusy) this.#owner.onIdle()
    if (this.#isStopped) return
    this.#next()
    if (this.#queue.length < this.#context.inboundLimits.queue) this.#flow.resume()
  }

  /** Runs the handler and sends the answer. */
  async #settle (work: Work): Promise<void> {
    const { ref } = work.message
    const answer = await this.#answerOf(work)
    this.#flow.finish(work.bytes)
    if (answer !== undefined) this.#fault({ ...answer, ref })
    else if (ref !== undefined) this.#owner.control('ack', { ref })
    // The handler may still be running, and the next one must not run beside it.
    if (answer?.code === 'handler_timeout') this.#owner.expel('handler_timeout')
  }

  /** Answer to a message, at the latest when its handler has exceeded its time. Never rejects. */
  async #answerOf (work: Work): Promise<Answer> {
    const { timers, inboundLimits } = this.#context
    try {
      return await within(inboundLimits.handlerTimeout, this.#answerInTime(work), timers)
    } catch (thrown) {
      return this.#faultOf(thrown, work.message)
    }
  }

  /** Runs the handler. A message that was sent again, because its answer did not arrive, gets the first answer. */
  async #answerInTime (work: Work): Promise<Answer> {
    const { row, message } = work
    const key = row.onceKey?.(message, this.#owner)
    if (key === undefined) return this.#run(work, false)
    return this.#context.answers.once(this.#owner.userId, key, isRetry => this.#run(work, isRetry), row.mayRetry)
  }

  /** Runs the handler without a time limit. Never rejects. */
  async #run ({ message, row, bytes }: Work, isRetry: boolean): Promise<Answer> {
    try {
      await row.handle(message, this.#owner, { isRetry, bytes })
      return undefined
    } catch (thrown) {
      return this.#faultOf(thrown, message)
    }
  }

  #faultOf (thrown: unknown, { type }: Inbound): Fault {
    const error = caught(thrown)
    if (error instanceof Refusal) return { code: error.code, message: error.message }
    if (error instanceof errors.OVER_QUOTA) return { code: 'over_quota', message: 'too much is stored for this user: try again later' }
    report(this.#context.log, error, 'a message of a client could not be handled', { connectionId: this.#owner.id, type })
    return error instanceof TimeoutError
      ? { code: 'handler_timeout', message: 'the server took too long to handle this message' }
      : { code: 'handler_failed', message: 'the server could not handle this message' }
  }
}
