import type { FastifyBaseLogger } from 'fastify'
import type { Inbound } from '../protocol/envelope.js'
import type { Answer, Answers } from './answers.js'
import type { Catalogue } from './catalogue.js'
import { caught, report } from './caught.js'
import type { OnMessage, RealtimeConnection } from './hooks.js'
import { RateLimit, Refusal, Strikes, parseInbound, tooBig, type Fault } from './inbound.js'
import { keyOf } from './key.js'
import type { RefusalReason } from './refusal-reasons.js'
import { TimeoutError, type Timers } from './timers.js'
import { unhandled } from './unhandled.js'

/** What all connections of a server share. */
export interface InboxContext {
  readonly catalogue: Catalogue
  readonly answers: Answers
  readonly handlers: ReadonlyMap<string, OnMessage>
  readonly timers: Timers
  readonly log: FastifyBaseLogger
  readonly inboundLimits: {
    /** Bytes of a frame. */
    frame: number
    /** Messages per second, and at once. */
    rate: number
    burst: number
    /** Messages that may wait for their handler before the socket is paused. */
    queue: number
    /** Bad or excessive messages within a minute before the connection is closed. */
    strikes: number
    /** Milliseconds that a handler may take. */
    handlerTimeout: number
  }
}

/** A credential is renewed on each connection, and history is more than its `ack`. */
const repeatable = ['renew', 'chat_history']

/**
 * Who stops a run, or answers its question, does not wait for what else the connection has asked for. A cancel without a
 * name, or with a number for one, does: it is for the messages before it, and not remembered for those that come later.
 */
function isUrgent ({ type, data }: Inbound): boolean {
  const { run_id: runId, ref } = (data ?? {}) as { run_id?: unknown, ref?: unknown }
  return type === 'input_response' || (type === 'chat_cancel' && (runId !== undefined || typeof ref === 'string'))
}

/** The connection whose inbox it is. */
export interface InboxOwner extends RealtimeConnection {
  /** What its messages are for, the same on every connection to it. */
  readonly channel: string
  control (type: string, parts?: { ref?: Inbound['ref'], data?: object }): void
  /** Closes a connection that does not keep the rules, and reads no more from it. */
  expel (reason: RefusalReason, detail?: string): void
  pause (): void
  resume (): void
  /** Nothing is being handled at the moment. */
  onIdle (): void
}

/** What a client sends: checked, answered, and handed to the handler of its type; what is not urgent in order and one at a time. */
export class Inbox {
  readonly #owner: InboxOwner
  readonly #context: InboxContext
  readonly #rate: RateLimit
  readonly #floods: Strikes
  readonly #faults: Strikes
  #queue: Inbound[] = []
  /** The message whose handler runs; urgent ones run beside it. */
  #current: Inbound | undefined
  #urgent: Inbound[] = []
  #isStopped = false

  constructor (owner: InboxOwner, context: InboxContext) {
    const { rate, burst, strikes } = context.inboundLimits
    this.#owner = owner
    this.#context = context
    this.#rate = new RateLimit(rate, burst, performance.now())
    this.#floods = new Strikes(strikes)
    this.#faults = new Strikes(strikes)
  }

  /** Whether a handler is running. */
  get isBusy (): boolean {
    return this.#current !== undefined || this.#urgent.length > 0
  }

  /** The types of the messages whose handlers run. */
  get handling (): string[] {
    return [...this.#current === undefined ? [] : [this.#current], ...this.#urgent].map(({ type }) => type)
  }

  /** A text frame: one message. */
  receive (data: Buffer): void {
    if (!this.#isWithinRate()) return
    const { frame } = this.#context.inboundLimits
    // The failure of this message alone: no strike.
    if (data.length > frame) return this.#answer(tooBig(data, frame))
    const { message, fault, thrown } = parseInbound(data.toString(), this.#context.catalogue)
    if (fault !== undefined) return thrown === undefined ? this.#fault(fault) : this.#uncheckable(fault, thrown)
    if (message.type === 'ping') return this.#owner.control('pong', { ref: message.ref })
    if (!this.#context.handlers.has(message.type)) {
      return this.#fault({ code: 'unknown_type', message: unhandled(message.type, this.#owner.target), ref: message.ref })
    }
    if (isUrgent(message)) {
      // It cannot reject.
      this.#handleAtOnce(message)
      return
    }
    this.#queue.push(message)
    if (this.#queue.length >= this.#context.inboundLimits.queue) this.#owner.pause()
    this.#next()
  }

  /** A WebSocket ping, which `ws` answers, or a pong that nobody asked for: they count like messages. */
  receiveControl (): void {
    this.#isWithinRate()
  }

  /** What waits is dropped; what is being handled still gets its answer, if the connection is still there. */
  stop (): void {
    this.#isStopped = true
    this.#queue = []
  }

  #isWithinRate (): boolean {
    const now = performance.now()
    if (this.#rate.take(now)) return true
    const { rate } = this.#context.inboundLimits
    this.#answer({ code: 'rate_limited', message: `more than ${rate} messages per second` })
    if (this.#floods.add(now)) this.#owner.expel('rate')
    return false
  }

  #fault (fault: Fault): void {
    this.#answer(fault)
    if (this.#faults.add(performance.now())) this.#owner.expel('bad_messages', `The last one: ${fault.code}`)
  }

  /** A check of the app's own failed, which is not the client's fault. */
  #uncheckable (fault: Fault, thrown: unknown): void {
    report(this.#context.log, thrown, 'a message of a client could not be checked', { connectionId: this.#owner.id })
    this.#answer(fault)
  }

  #answer ({ code, message, ref }: Fault): void {
    this.#owner.control('error', { ref, data: { code, message } })
  }

  #next (): void {
    if (this.#current !== undefined) return
    const message = this.#queue.shift()
    if (message === undefined) return
    this.#current = message
    // It cannot reject.
    this.#handle(message)
  }

  async #handleAtOnce (message: Inbound): Promise<void> {
    this.#urgent.push(message)
    await this.#settle(message)
    this.#urgent = this.#urgent.filter(urgent => urgent !== message)
    if (!this.isBusy) this.#owner.onIdle()
  }

  async #handle (message: Inbound): Promise<void> {
    await this.#settle(message)
    this.#current = undefined
    if (!this.isBusy) this.#owner.onIdle()
    if (this.#isStopped) return
    if (this.#queue.length < this.#context.inboundLimits.queue) this.#owner.resume()
    this.#next()
  }

  /** Runs the handler and answers. */
  async #settle (message: Inbound): Promise<void> {
    const { ref, type } = message
    const isOnce = typeof ref === 'string' && !repeatable.includes(type)
    const answer = await (isOnce ? this.#once(ref, message) : this.#run(message))
    if (answer?.code === 'bad_message') this.#fault({ ...answer, ref })
    else if (answer !== undefined) this.#answer({ ...answer, ref })
    else if (ref !== undefined) this.#owner.control('ack', { ref })
    // It may still be running, and the next one must not run beside it.
    if (answer?.code === 'handler_timeout') this.#owner.expel('handler_timeout')
  }

  /** A message that was sent again because its answer did not arrive gets that answer. */
  #once (ref: string, message: Inbound): Promise<Answer> {
    const { userId, channel } = this.#owner
    return this.#context.answers.once(userId, keyOf(channel, ref), performance.now(), () => this.#run(message))
  }

  /** Runs the handler. Never rejects. */
  async #run (message: Inbound): Promise<Answer> {
    const { handlers, timers, inboundLimits, log } = this.#context
    const { id: connectionId } = this.#owner
    try {
      const handler = handlers.get(message.type)!
      await timers.within(inboundLimits.handlerTimeout, Promise.resolve(handler(message, this.#owner)))
      return undefined
    } catch (thrown) {
      const error = caught(thrown)
      if (error instanceof Refusal) return { code: error.code, message: error.message }
      report(log, error, 'a message of a client could not be handled', { connectionId, type: message.type })
      return error instanceof TimeoutError
        ? { code: 'handler_timeout', message: 'the server took too long to handle this message' }
        : { code: 'handler_failed', message: 'the server could not handle this message' }
    }
  }
}
