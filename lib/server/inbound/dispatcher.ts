import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../../errors.js'
import type { Log } from '../../logs/log.js'
import type { Inbound } from '../../protocol/envelope.js'
import type { Answer, Answers } from './answers.js'
import type { Catalogue } from '../messages/catalogue.js'
import { caught, report } from '../reports/caught.js'
import type { Handlers } from './handlers.js'
import { Refusal, isOffence, type Fault } from './fault.js'
import { Lanes } from './lanes.js'
import { Strikes, parseInbound, tooBig } from './parse.js'
import type { LoopClock } from '../../time/loop-clock.js'
import type { MessagePart, MessageRow, Sender, SendingConnection } from './message-row.js'
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
export interface DispatcherOwner extends SendingConnection {
  /** Channel of its path. */
  readonly channel: string
  /** Its subscription to a channel; `undefined` if there is none. */
  find (channel: string): { readonly log: Log } | undefined
  /** Whether its path has subscribed it to a channel. */
  isOfPath (channel: string): boolean
  /** Ends the subscription to a channel because a message to it was handled for too long. */
  fail (channel: string): void
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

/** A message that waits for its handler, or is being handled. Or a part of one: the message is answered when `left` is 0. */
interface Work {
  readonly message: Inbound
  readonly row: MessageRow
  readonly bytes: number
  readonly channel: string
  /** The message. `cost`: bytes that it counts as. */
  readonly whole: { left: number, fault: Fault | undefined, readonly isSplit: boolean, readonly cost: number }
}

/** Bytes of a part of a message that waits, beside the frame. */
const partOverhead = 1_024

/**
 * Validates the messages of a client, passes each to the handler of its type and answers it. Messages of one channel that are not urgent
 * are handled in order and one at a time; no channel waits for another.
 */
export class Dispatcher {
  readonly #owner: DispatcherOwner
  readonly #flow: Flow
  readonly #context: DispatcherContext
  readonly #rate: TokenBucket
  readonly #floods: Strikes
  readonly #faults: Strikes
  readonly #lanes = new Lanes<Work>()
  /** Number of messages that wait for their handlers, or for the last of their parts. */
  #waiting = 0
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
    return this.#urgent.length > 0 || this.#lanes.isBusy
  }

  /** Types of the messages whose handlers are running. */
  get handling (): string[] {
    return [...this.#lanes.current, ...this.#urgent].map(({ message }) => message.type)
  }

  /** Takes a text frame: one message. */
  receive (data: Buffer): void {
    if (!this.#isWithinRate()) return
    const { catalogue, inboundLimits, handlers } = this.#context
    const { frame, nodes } = inboundLimits
    if (data.length > frame) return this.#fault(tooBig(data, frame))
    const { message, fault, thrown } = parseInbound(data.toString(), value => catalogue.inboundFault(value), nodes)
    if (fault !== undefined) return thrown === undefined ? this.#fault(fault) : this.#uncheckable(fault, thrown)
    const { type, ref, channel = this.#owner.channel } = message
    if (type === 'ping') return this.#owner.control('pong', { ref })
    const row = handlers.of(channel, type)
    if (row === undefined) return this.#fault(this.#unknown(message))
    this.#take(message, row, channel, data.length)
  }

  #unknown ({ type, channel, ref }: Inbound): Fault {
    if (channel !== undefined && this.#owner.find(channel) === undefined) return notSubscribed(channel, ref)
    return { code: 'unknown_type', message: this.#context.handlers.missing(type), ref }
  }

  #take (message: Inbound, row: MessageRow, channel: string, bytes: number): void {
    let parts: MessagePart[]
    try {
      parts = row.split?.(message) ?? [{ channel, message }]
    } catch (thrown) {
      return this.#fault({ ...this.#faultOf(thrown, message), ref: message.ref })
    }
    const isSplit = row.split !== undefined
    const whole = { left: parts.length, fault: undefined, isSplit, cost: isSplit ? bytes + parts.length * partOverhead : bytes }
    this.#flow.begin(whole.cost)
    this.#waiting++
    for (const part of parts) this.#queue({ ...part, row, bytes, whole })
    if (this.#waiting >= this.#context.inboundLimits.queue) this.#flow.pause()
  }

  #queue (work: Work): void {
    const { row, message, channel } = work
    // A message to a channel whose `subscribe` is not decided waits for it.
    if (row.isUrgent?.(message) === true && !this.#lanes.has(channel, ({ whole }) => whole.isSplit)) {
      // Never rejects.
      this.#handleAtOnce(work)
      return
    }
    this.#lanes.add(channel, work)
    this.#next(channel)
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
    for (const work of this.#lanes.clear()) this.#conclude(work)
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

  #next (channel: string): void {
    if (this.#isStopped) return
    const work = this.#lanes.begin(channel)
    if (work === undefined) return
    if (!work.whole.isSplit) this.#waiting--
    // Never rejects.
    const handle = () => this.#handle(work)
    if (work.row.whenDue === undefined) handle()
    else work.row.whenDue(this.#owner, handle)
  }

  async #handleAtOnce (work: Work): Promise<void> {
    this.#waiting--
    this.#urgent.push(work)
    this.#settle(work, await this.#answerOf(work))
    this.#urgent = this.#urgent.filter(urgent => urgent !== work)
    this.#rest()
  }

  async #handle (work: Work): Promise<void> {
    const { channel } = work
    this.#settle(work, await this.#answerOf(work))
    if (this.#lanes.finish(channel, work)) this.#next(channel)
    this.#rest()
  }

  #rest (): void {
    if (!this.isBusy) this.#owner.onIdle()
    if (!this.#isStopped && this.#waiting < this.#context.inboundLimits.queue) this.#flow.resume()
  }

  #settle (work: Work, answer: Answer): void {
    this.#finish(work, answer)
    if (answer.fault?.code === 'handler_timeout') this.#timeOut(work.channel)
  }

  /** Ends a message or a part of it, and sends the answer if all parts have ended. */
  #finish (work: Work, { fault, data }: Answer): void {
    const { message: { ref }, whole } = work
    whole.fault ??= fault
    if (!this.#conclude(work)) return
    if (whole.fault !== undefined) this.#fault({ ...whole.fault, ref })
    else if (ref !== undefined) this.#owner.control('ack', { ref, data: data === undefined ? undefined : JSON.parse(data) as unknown })
  }

  /** Counts a message, or a part of it, as done. Returns whether the message is to be answered. */
  #conclude ({ whole }: Work): boolean {
    whole.left--
    if (whole.left > 0) return false
    if (whole.isSplit) this.#waiting--
    this.#flow.finish(whole.cost)
    return true
  }

  /** Ends the subscription, or the connection if the channel is of its path: the next message must not be handled beside this one. */
  #timeOut (channel: string): void {
    if (this.#owner.isOfPath(channel)) return this.#owner.expel('handler_timeout')
    const dropped = this.#lanes.drop(channel)
    this.#owner.fail(channel)
    for (const work of dropped) {
      const { isSplit } = work.whole
      if (!isSplit) this.#waiting--
      // A part is about the subscription, and `fail` has said that there is none.
      this.#finish(work, isSplit ? {} : { fault: notSubscribed(channel) })
    }
  }

  /** Runs the handler. Returns the answer to a message. Never rejects. */
  #answerOf (work: Work): Promise<Answer> {
    return work.whole.isSplit ? this.#run(work, false) : this.#answerInTime(work)
  }

  /** Answer to a message, at the latest when its handler has exceeded its time. Never rejects. */
  async #answerInTime (work: Work): Promise<Answer> {
    const { timers, inboundLimits } = this.#context
    // A message without a channel is for that of the path, and is handled whether or not that is read.
    if (work.message.channel !== undefined && this.#owner.find(work.channel) === undefined) return { fault: notSubscribed(work.channel) }
    try {
      return await within(inboundLimits.handlerTimeout, this.#answerOnce(work), timers)
    } catch (thrown) {
      return { fault: this.#faultOf(thrown, work.message) }
    }
  }

  /** Runs the handler. A message that was sent again, because its answer did not arrive, gets the first answer. */
  async #answerOnce (work: Work): Promise<Answer> {
    const { row, message } = work
    const key = row.onceKey?.(message, this.#senderOf(work))
    if (key === undefined) return this.#run(work, false)
    return this.#context.answers.once(this.#owner.userId, key, isRetry => this.#run(work, isRetry), row.mayRetry)
  }

  /** Runs the handler without a time limit. Never rejects. */
  async #run (work: Work, isRetry: boolean): Promise<Answer> {
    const { message, row, bytes } = work
    try {
      const returned: unknown = await row.handle(message, this.#senderOf(work), { isRetry, bytes })
      return row.answerOf === undefined ? {} : { data: row.answerOf(returned) }
    } catch (thrown) {
      return { fault: this.#faultOf(thrown, message) }
    }
  }

  #senderOf ({ channel }: Work): Sender {
    const connection = this.#owner
    return { connection, userId: connection.userId, channel, log: connection.find(channel)?.log }
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

function notSubscribed (channel: string, ref?: Inbound['ref']): Fault {
  return { code: 'not_subscribed', message: `this connection is not subscribed to '${channel}'`, ref }
}
