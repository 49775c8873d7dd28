import type { FastifyBaseLogger } from 'fastify'
import type { Message } from '../protocol/envelope.js'
import { report } from '../server/caught.js'
import type { ChatAddress } from '../server/channels.js'
import type { ChatOptions, Run, SavedMessage } from '../server/chat-hooks.js'
import type { Receipt } from '../server/publisher.js'
import type { Timers } from '../server/timers.js'
import { timestamp } from '../server/timestamp.js'
import type { RunContext } from './context.js'
import { Delivery } from './delivery.js'
import type { LiveQuestion } from './question.js'
import { LiveRun, type RunStart } from './run.js'
import { isForUsers } from './visible.js'

/** What all chats of a server share. */
export interface ConversationParts {
  options: ChatOptions
  limits: RunContext['limits'] & {
    /** Runs that may wait. */
    runs: number
    /** Milliseconds that saving a message may take. */
    saveTime: number
  }
  timers: Timers
  log: FastifyBaseLogger
  publish: (message: Message) => Receipt | Promise<Receipt>
  soon: (action: () => void) => void
  /** Nothing is going on in it any more. */
  onIdle: () => void
}

/** Finished messages that may wait to be saved; one more is not saved, and that is logged. */
const maxUnsaved = 1_000

/** One chat while there are runs in it: one at a time, in order. */
export class Conversation implements RunContext {
  readonly target: ChatAddress
  readonly timers: Timers
  readonly log: FastifyBaseLogger
  readonly limits: ConversationParts['limits']
  readonly soon: ConversationParts['soon']
  readonly #parts: ConversationParts
  readonly #delivery: Delivery
  #going: LiveRun | undefined
  #waiting: LiveRun[] = []
  #saving = Promise.resolve()
  #unsaved = 0

  constructor (target: ChatAddress, parts: ConversationParts) {
    this.target = target
    this.#parts = parts
    this.timers = parts.timers
    this.log = parts.log
    this.limits = parts.limits
    this.soon = parts.soon
    this.#delivery = new Delivery({ publish: message => parts.publish(message), timers: parts.timers, log: parts.log })
  }

  /** Whether one more run can be started. */
  hasRoom (): boolean {
    return this.#parts.options.concurrency === 'replace' || this.#waiting.length < this.limits.runs
  }

  /** There must be room. */
  start (start: RunStart): LiveRun {
    const run = new LiveRun(this, start)
    if (this.#parts.options.concurrency === 'replace') this.end('cancelled')
    this.#waiting.push(run)
    this.#next()
    return run
  }

  /** Ends the runs that go by this name, or all of them. `false` when there were none. */
  cancel (name?: string): boolean {
    const meant = this.#runs().filter(run => name === undefined || run.goesBy(name))
    for (const run of meant) run.cancel()
    return meant.length > 0
  }

  /** Ends all runs: those that wait first, so that none begins. */
  end (outcome: 'cancelled' | 'interrupted'): void {
    for (const run of this.#runs().reverse()) run.end(outcome)
  }

  question (id: string): LiveQuestion | undefined {
    return this.#going?.questions.get(id)
  }

  publish (message: Message): Receipt | Promise<Receipt> {
    return this.#parts.publish(message)
  }

  deliver (message: Message): void | Promise<void> {
    const stored = this.#delivery.push(message)
    stored?.then(() => this.rest())
    return stored
  }

  isVisible (message: Message): boolean {
    return isForUsers(this.#parts.options, message, this.log)
  }

  /** A reply that is done: the run does not wait for it, and a failure is logged. */
  save (message: Omit<SavedMessage, 'timestamp'>): void {
    this.saved(message as SavedMessage).catch(error => report(this.log, error, 'a message was not saved', { messageId: message.message_id }))
  }

  /** After those before it. Rejects with what the app's `save` throws. */
  saved (message: Omit<SavedMessage, 'timestamp'>): Promise<void> {
    const { options: { save }, limits: { saveTime } } = this.#parts
    if (save === undefined) return Promise.resolve()
    if (this.#unsaved >= maxUnsaved) return Promise.reject(new Error(`${maxUnsaved} messages wait to be saved`))
    this.#unsaved++
    const complete = { ...message, timestamp: timestamp() } as SavedMessage
    const work = async () => { await save(complete, this.target) }
    const saved = this.#saving.then(() => this.timers.within(saveTime, work()))
    this.#saving = saved.catch(() => {}).finally(() => {
      this.#unsaved--
      this.rest()
    })
    return saved
  }

  /** When all that is over is stored and saved. */
  async settled (): Promise<void> {
    await this.#delivery.idle
    await this.#saving
  }

  onOver (run: Run): void {
    this.#waiting = this.#waiting.filter(waiting => waiting !== run)
    if (this.#going === run) this.#going = undefined
    this.#next()
    this.rest()
  }

  #runs (): LiveRun[] {
    return this.#going === undefined ? [...this.#waiting] : [this.#going, ...this.#waiting]
  }

  #next (): void {
    if (this.#going !== undefined) return
    this.#going = this.#waiting.shift()
    this.#going?.begin()
  }

  /** Is let go of, unless something is going on. */
  rest (): void {
    const isIdle = this.#runs().length === 0 && this.#unsaved === 0 && this.#delivery.idle === undefined
    if (isIdle) this.#parts.onIdle()
  }
}
