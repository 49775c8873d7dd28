import { randomUUID } from 'node:crypto'
import type { Static, TSchema } from '@sinclair/typebox'
import { errors } from '../../errors.js'
import type { Outcome } from '../../protocol/chat.js'
import type { Message } from '../../protocol/envelope.js'
import { caught, report } from '../../server/reports/caught.js'
import type { ChatAddress } from '../address.js'
import type {
  AnswerSource, DataOptions, FilePart, MapEvent, PartOptions, PartWriter, Question, Reply, ReplyOptions, Run, SourcePart, StreamOptions,
  ToolContext, ToolOptions
} from '../hooks.js'
import { outgoing } from '../../server/messages/outgoing.js'
import type { Receipt } from '../../server/messages/publisher.js'
import { guarded, warnOf } from '../../server/messages/watched.js'
import type { RunContext } from './context.js'
import { newMessageId } from '../message-id.js'
import { quiet, type PartOutlet, type OpenPart } from './part.js'
import { LiveQuestion } from './question.js'
import { LiveReply } from '../replies/reply.js'
import { openSource } from '../sources/source.js'
import { isStartedBy, type RunOrigin, type RunName } from './run-name.js'
import { LiveTool } from './tool.js'
import { unpublished } from '../visible.js'

export interface RunStart extends RunOrigin {
  /** Share of `limits.liveRuns` that the run uses. Default: 1. */
  weight?: number
  handler: (run: Run) => unknown
}

/** Bytes of a message per unit of weight. */
const weightSize = 4 * 1024

/** Weight of a run while it is active or waiting: one for each started 4 KiB of its message. */
export function weightOf (bytes: number): number {
  return Math.max(1, Math.ceil(bytes / weightSize))
}

/** Bytes that count for each publication beside its data. */
const overhead = 128

/** Bytes that a source may write before it yields to the event loop, and bytes that count for each piece, even an empty one. */
const yieldAfter = 16 * 1024
const pieceSize = 32

/** Error that users see when a handler throws. */
const failed = { code: 'handler_failed', message: 'the server could not finish this run' }

/** One run, from the time that it is queued until it is over. */
export class LiveRun implements Run {
  readonly id = randomUUID()
  readonly userId: string
  readonly finished: Promise<Outcome>
  /** Open questions, by id. */
  readonly questions = new Map<string, LiveQuestion>()
  state: 'waiting' | 'going' | 'over' = 'waiting'
  /** Resolves once the end of the run is stored. */
  told: void | Promise<void> = undefined
  /** Set when another server has ended the run, or its message was not stored: nothing more is published. */
  #isAbandoned = false
  #isAnnounced = false
  readonly #context: RunContext
  readonly #start: RunStart
  readonly #controller = new AbortController()
  readonly #parts = new Set<OpenPart>()
  readonly #replies = new Set<LiveReply>()
  /** Reply that parts of the run have begun. */
  #begun: LiveReply | undefined
  /** Called with RT_ERR_RUN_ENDED when the run is over. */
  readonly #onOver = new Set<(error: Error) => void>()
  #outcome: Outcome = 'complete'
  #bytes = 0
  #finish!: (outcome: Outcome) => void
  #stopClock = () => {}

  constructor (context: RunContext, start: RunStart) {
    this.#context = context
    this.userId = start.userId
    this.#start = start
    this.finished = new Promise(resolve => { this.#finish = resolve })
  }

  get target (): ChatAddress {
    return this.#context.target
  }

  /** Share of `limits.liveRuns` that the run uses. */
  get weight (): number {
    return this.#start.weight ?? 1
  }

  get signal (): AbortSignal {
    return this.#controller.signal
  }

  /** Whether a name is the id of this run, or stands for its origin. */
  goesBy (name: RunName): boolean {
    return 'runId' in name ? name.runId === this.id : isStartedBy(this.#start, name)
  }

  /** Publishes, once, that the run is queued. */
  announce (): void {
    if (this.#isAnnounced || this.state !== 'waiting') return
    this.#isAnnounced = true
    this.#tell('run_queued')
  }

  /** Like `announce`. Resolves when it is stored; rejects, and the run is not announced, when the broker fails. */
  async announceFirst (): Promise<void> {
    if (this.#isAnnounced || this.state !== 'waiting') return
    const about = { ...this.about, user_id: this.userId }
    await this.#outlet({ type: 'run_queued', data: about }).publish('run_queued', about)
    this.#isAnnounced = true
  }

  #tell (type: 'run_queued' | 'run_started'): void | Promise<void> {
    const about = { ...this.about, user_id: this.userId }
    return this.#outlet({ type, data: about }).deliver(type, about)
  }

  /** Starts the handler. Does nothing when the run is over. Never rejects. */
  async begin (): Promise<void> {
    if (this.state !== 'waiting') return
    this.state = 'going'
    const { timers, limits, log } = this.#context
    const late = { code: 'run_timeout', message: `not done within ${limits.runTime} ms` }
    this.#stopClock = timers.after(limits.runTime, () => this.end('interrupted', late))
    const started = this.#tell('run_started')
    try {
      if (started !== undefined) await started
      if (this.#isOver()) return
      await this.#start.handler(this)
      this.end('complete')
    } catch (error) {
      if (this.#isOver()) return
      report(log, error, 'a run failed', { runId: this.id })
      // The message of this error is meant for users.
      const thrown = caught(error)
      this.end('error', thrown instanceof errors.ANSWER_FAILED ? { code: 'answer_failed', message: thrown.message } : failed)
    }
  }

  cancel (): void {
    this.end('cancelled')
  }

  /** Ends the run silently: the other servers took this one for dead and have published that the run is interrupted. */
  abandon (): void {
    this.#isAbandoned = true
    this.end('interrupted')
  }

  /** Ends the run because its message was not stored. The end is published only if the run was announced. */
  refuse (): void {
    if (this.#isAnnounced) this.end('error', failed)
    else this.abandon()
  }

  /** Closes the open parts, publishes the end, and informs the handler. Does nothing when the run is over. */
  end (outcome: Outcome, error?: { code: string, message: string }): void {
    if (this.#isOver()) return
    this.state = 'over'
    this.#outcome = outcome
    this.#stopClock()
    for (const part of [...this.#parts]) part.close(outcome)
    const about = { ...this.about, status: outcome, error }
    this.told = this.#outlet({ type: 'run_finished', data: about }).deliver('run_finished', about)
    const ended = this.#ended()
    for (const tell of this.#onOver) tell(ended)
    if (outcome !== 'complete') this.#controller.abort(ended)
    this.#finish(outcome)
    this.#context.onOver(this)
  }

  /** A method, because TypeScript assumes that the value of a getter stays the same across an `await`. */
  #isOver (): boolean {
    return this.state === 'over'
  }

  #ended (): Error {
    return new errors.RUN_ENDED(this.#outcome)
  }

  /** Fields that identify the run to clients. */
  get about () {
    const { ref, messageId } = this.#start
    return { run_id: this.id, ref, message_id: messageId }
  }

  reply (options: ReplyOptions = {}): Reply {
    return this.#reply(options)
  }

  reasoning (options?: PartOptions): PartWriter {
    return this.#current().reasoning(options)
  }

  source (source: SourcePart, options?: PartOptions): Promise<void> {
    return this.#current().source(source, options)
  }

  file (file: FilePart, options?: PartOptions): Promise<void> {
    return this.#current().file(file, options)
  }

  data (name: string, value: unknown, options?: DataOptions): Promise<void> {
    return this.#current().data(name, value, options)
  }

  step (options?: PartOptions): Promise<void> {
    return this.#current().step(options)
  }

  /** The reply that parts of the run belong to: the latest open one, or a new one, which the next reply continues. */
  #current (): LiveReply {
    const latest = [...this.#replies].at(-1)
    if (latest !== undefined) return latest
    const begun = this.#reply()
    this.#begun = begun
    return begun
  }

  #reply (options: ReplyOptions = {}): LiveReply {
    const begun = this.#begun
    this.#begun = undefined
    const isPlain = options.agent === undefined && (options.role ?? 'assistant') === 'assistant'
    return isPlain && begun?.isOpen === true ? begun : this.#newReply(options)
  }

  #newReply ({ agent, role = 'assistant' }: ReplyOptions): LiveReply {
    const id = newMessageId()
    const data = { message_id: id, run_id: this.id, agent, role, content: '', status: 'streaming' as const }
    const reply: LiveReply = new LiveReply({
      context: this.#context,
      outlet: this.#outlet({ type: 'chat_message', data }, true),
      id,
      runId: this.id,
      agent,
      role,
      isOver: this.#isOver(),
      charge: bytes => this.#charge(bytes),
      fail: error => this.#exceed('reply_too_long', error),
      onClosed: () => {
        this.#parts.delete(reply)
        this.#replies.delete(reply)
      }
    })
    if (this.#isOver()) return reply
    this.#parts.add(reply)
    this.#replies.add(reply)
    return reply
  }

  stream (
    source: AnswerSource | AsyncIterable<any> | ReadableStream<any>, options?: StreamOptions & { map?: MapEvent<any> }
  ): Promise<string> {
    return this.#unlessOver(() => this.#stream(source, options))
  }

  async #stream (...[source, options]: Parameters<LiveRun['stream']>): Promise<string> {
    const { pieces, writerOf } = openSource(source, options)
    const reply = this.#reply(options)
    const writer = writerOf(reply)
    let interrupt = (_error: Error) => {}
    const onOver = (error: Error) => interrupt(error)
    const unlessOver = <T>(promise: Promise<T>) => new Promise<T>((resolve, reject) => {
      interrupt = reject
      promise.then(resolve, reject)
    })
    this.#onOver.add(onOver)
    try {
      let due = reply.size + yieldAfter
      for (let next = await unlessOver(pieces.next()); next.done !== true; next = await unlessOver(pieces.next())) {
        const writing = writer.write(next.value)
        if (writing !== undefined) await unlessOver(writing)
        if (!reply.isOpen) throw this.#ended()
        due -= pieceSize
        if (reply.size < due) continue
        due = reply.size + yieldAfter
        await new Promise<void>(resolve => this.#context.soon(resolve))
        if (reply.isFull) await reply.stored
      }
      // A source without any content, such as the text of a model that was refused, leaves no message.
      if (reply.isEmpty) reply.close('complete')
      else await reply.end()
      return reply.text
    } catch (error) {
      // The source may never stop, so the run does not wait for it.
      quiet(Promise.resolve(pieces.return?.()))
      reply.close('error')
      throw error
    } finally {
      this.#onOver.delete(onOver)
    }
  }

  tool<T> (name: string, args: unknown, work: (context: ToolContext) => T | PromiseLike<T>, { agent, id }: ToolOptions = {}): Promise<T> {
    return this.#unlessOver(() => {
      const callId = id ?? randomUUID()
      const outlet = this.#outlet({ type: 'tool_call', data: { call_id: callId, run_id: this.id, name, args, agent } })
      const tool = new LiveTool({
        context: this.#context,
        outlet,
        callId,
        runId: this.id,
        signal: this.signal,
        name,
        args,
        agent,
        work,
        onClosed: () => this.#parts.delete(tool)
      })
      this.#parts.add(tool)
      tool.start()
      return tool.done
    })
  }

  ask<S extends TSchema> (question: Question<S>, { timeout = Infinity }: { timeout?: number } = {}): Promise<Static<S>> {
    return this.#unlessOver(() => {
      const requestId = randomUUID()
      const { prompt, schema, component, callId, fields } = question
      const data = { ...fields, request_id: requestId, run_id: this.id, prompt, schema, component, call_id: callId }
      const outlet = this.#outlet({ type: 'input_request', data })
      const asked = new LiveQuestion({
        context: this.#context,
        outlet,
        requestId,
        runId: this.id,
        question,
        timeout,
        onClosed: () => {
          this.#parts.delete(asked)
          this.questions.delete(requestId)
        }
      })
      this.#parts.add(asked)
      this.questions.set(requestId, asked)
      asked.ask()
      return asked.answered
    })
  }

  send<const T extends string> (message: Message<T>): Promise<Receipt> {
    return this.#unlessOver(() => {
      const sent = outgoing(message, this.#context.limits.message)
      if (!this.#context.isVisible(sent)) return unpublished()
      this.#flush()
      if (!this.#charge(sizeOf(sent))) throw this.#ended()
      return this.#context.publish(sent)
    })
  }

  #unlessOver<T> (action: () => T | Promise<T>): Promise<T> {
    return guarded(() => {
      if (this.#isOver()) throw this.#ended()
      return action()
    }, this.#onUnheard)
  }

  /** Logs an unhandled rejection, except RT_ERR_RUN_ENDED: the end of the run is already published. */
  readonly #onUnheard = (error: unknown): void => {
    if (!(caught(error) instanceof errors.RUN_ENDED)) warnOf(this.#context.log, `Part of the run ${this.id} failed`)(error)
  }

  #outlet (message: Message, isReply = false): PartOutlet {
    const context = this.#context
    if (!context.isVisible(message)) return nowhere
    return {
      publish: (type, data) => {
        if (this.#isAbandoned) return undefined
        if (isReply) return context.publish({ type, data } as Message)
        this.#flush()
        const stored = context.publish({ type, data } as Message)
        this.#charge(sizeOf(data))
        return stored
      },
      deliver: (type, data) => {
        if (this.#isAbandoned) return undefined
        if (!isReply) this.#flush()
        return context.deliver({ type, data } as Message, () => !this.#isAbandoned)
      }
    }
  }

  /** Publishes text that was written, so that it comes before the next publication. */
  #flush (): void {
    for (const reply of this.#replies) reply.flush()
  }

  #charge (bytes: number): boolean {
    if (this.#isOver()) return false
    this.#bytes += bytes
    const { limits } = this.#context
    if (this.#bytes <= limits.run) return true
    this.#exceed('run_too_long', new errors.RUN_TOO_LONG(limits.run))
    return false
  }

  #exceed (code: string, error: Error): void {
    report(this.#context.log, error, 'a run exceeded a limit and was ended', { runId: this.id })
    this.end('error', { code, message: error.message })
  }
}

const nowhere: PartOutlet = { publish () {}, deliver () {} }

/** Approximate size in bytes. Data that is not JSON is rejected elsewhere. */
function sizeOf (data: unknown): number {
  try {
    return JSON.stringify(data).length + overhead
  } catch {
    return overhead
  }
}
