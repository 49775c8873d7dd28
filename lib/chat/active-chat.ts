import type { FastifyBaseLogger } from 'fastify'
import type { Budget } from '../brokers/budget.js'
import type { Message, Messages } from '../protocol/envelope.js'
import { report } from '../server/reports/caught.js'
import type { ChatAddress } from './address.js'
import type { ChatOptions, SavedMessage } from './hooks.js'
import type { Receipt } from '../server/messages/publisher.js'
import type { Timers } from '../time/timers.js'
import type { RunContext } from './runs/context.js'
import { Delivery } from './runs/delivery.js'
import type { LiveQuestion } from './runs/question.js'
import { LiveRun, type RunStart } from './runs/run.js'
import type { RunName } from './runs/run-name.js'
import { Saving } from './saving.js'
import type { Turn } from './runs/turns.js'
import { isForUsers } from './visible.js'

/** Parts that all chats of a server share. */
export interface ActiveChatParts {
  options: ChatOptions
  limits: RunContext['limits'] & {
    /** Maximum number of runs of one chat that wait. */
    runs: number
    /** Maximum time of one call of `chat.save`, in ms. */
    saveTime: number
  }
  timers: Timers
  log: FastifyBaseLogger
  publish: (message: Message) => Receipt | Promise<Receipt>
  soon: (action: () => void) => void
  /** Active and waiting runs of all chats, shared among users. */
  runs: Budget
  /** Announces a run to the other servers; absent when the app has one server. */
  enter?: (run: LiveRun) => Turn
  /** Called when the chat is idle. */
  onIdle: () => void
}

/** Data of a user's message, as it is saved and published. */
export type UserData = Messages['chat_message'] & { message_id: string }

/** Reason why a run cannot start, and its cure. */
interface Lack {
  reason: string
  cure: string
}

/** Outcome of a run that is ended from outside. */
type Stop = 'cancelled' | 'interrupted'

/** Time after which a run is announced while its message is still being saved, in ms. */
const announceAfterMs = 5

/** Unfinished work that the close of a chat waits for. */
export interface AwaitedByChat {
  /** Ids of runs whose end is not stored yet. */
  readonly runs: readonly string[]
  /** Ids of messages whose `chat.save` is running or queued. */
  readonly saves: readonly string[]
}

/** A user's message that is being saved and stored. */
interface Coming {
  readonly run: LiveRun
  /** Set when the run is ended before the message is stored. */
  stop: Stop | undefined
}

/** An active chat: executes its runs one at a time, in order. */
export class ActiveChat implements RunContext {
  readonly target: ChatAddress
  readonly timers: Timers
  readonly log: FastifyBaseLogger
  readonly limits: ActiveChatParts['limits']
  readonly soon: ActiveChatParts['soon']
  readonly #parts: ActiveChatParts
  readonly #delivery: Delivery
  readonly #saving: Saving
  readonly #coming = new Set<Coming>()
  #going: LiveRun | undefined
  #waiting: LiveRun[] = []
  readonly #turns = new Map<LiveRun, Turn>()
  #onSettled = () => {}

  constructor (target: ChatAddress, parts: ActiveChatParts) {
    const { options: { save }, limits, timers, log, soon, publish } = parts
    const onIdle = () => this.rest()
    this.target = target
    this.timers = timers
    this.log = log
    this.limits = limits
    this.soon = soon
    this.#parts = parts
    this.#delivery = new Delivery({ publish, timers, log, onIdle })
    this.#saving = new Saving({ save, target, timers, time: limits.saveTime, onIdle })
  }

  /** Returns why there is no room for a run; `undefined` when it can start. */
  lack ({ userId, weight = 1 }: RunStart): Lack | undefined {
    const { options, limits, runs } = this.#parts
    if (options.concurrency !== 'replace' && this.#runs().length + this.#coming.size > limits.runs) {
      return { reason: `${limits.runs} runs of this chat are already waiting`, cure: "Wait for one to finish, raise 'limits.runs', or set 'chat.concurrency' to 'replace'" }
    }
    if (runs.allows(userId, weight)) return undefined
    return { reason: 'the server has no room for another run of this user', cure: "Wait for one to finish, or raise 'limits.liveRuns'" }
  }

  /** Starts a run. Requires that `lack` returned `undefined`. */
  start (start: RunStart): LiveRun {
    const run = this.#run(start)
    this.#enter(run)
    this.#queue(run)
    return run
  }

  /** Registers a run with the other servers: if this server dies, another one publishes the end of the run. */
  #enter (run: LiveRun): void {
    const { enter } = this.#parts
    if (enter !== undefined && !this.#turns.has(run)) this.#turns.set(run, enter(run))
  }

  #queue (run: LiveRun): void {
    const before = this.#runs()
    this.#waiting.push(run)
    if (this.#parts.options.concurrency === 'replace') endAll(before, 'cancelled')
    this.#next()
    if (this.#going !== run) run.announce()
  }

  /**
   * Saves and publishes a user's message, then starts its run, or ends it with `stop`. Requires that `lack` returned `undefined`. `data`:
   * `undefined` when the text was said before.
   */
  async receive (data: UserData | undefined, start: RunStart, stop?: Stop): Promise<void> {
    const run = this.#run(start)
    const coming: Coming = { run, stop }
    this.#coming.add(coming)
    try {
      await (data === undefined ? this.#announce(run) : this.#store(run, data))
      this.#coming.delete(coming)
      if (coming.stop !== undefined) run.end(coming.stop)
      else if (run.state === 'waiting') this.#queue(run)
      await this.#turns.get(run)?.registered
    } catch (error) {
      run.refuse()
      throw error
    } finally {
      this.#coming.delete(coming)
      this.rest()
    }
  }

  /** Creates a run, which counts in the budget until it is over. */
  #run (start: RunStart): LiveRun {
    const run = new LiveRun(this, start)
    this.#parts.runs.add(run.userId, run.weight)
    return run
  }

  /** Saves and publishes a user's message. While a slow save lasts, clients already see that its run is queued. */
  async #store (run: LiveRun, data: UserData): Promise<void> {
    const stopClock = this.#parts.timers.after(announceAfterMs, () => {
      this.#enter(run)
      run.announce()
    })
    try {
      await this.#saving.add(data)
    } finally {
      stopClock()
    }
    // The lease is requested before the message is stored: if this server dies in between, no stored message lacks the end of its run.
    this.#enter(run)
    if (this.isVisible({ type: 'chat_message', data })) await this.publish({ type: 'chat_message', data })
  }

  /** Announces the run of a message that is not published, so that the log recognises the message when it is sent again. */
  async #announce (run: LiveRun): Promise<void> {
    this.#enter(run)
    await run.announceFirst()
  }

  /** Cancels the runs with this name, or all runs. Returns `false` when there were none. */
  cancel (name?: RunName): boolean {
    const coming = [...this.#coming].filter(({ run }) => name === undefined || run.goesBy(name))
    const runs = this.#runs().filter(run => name === undefined || run.goesBy(name))
    this.#stop(coming, runs, 'cancelled')
    return coming.length + runs.length > 0
  }

  /** Interrupts all runs. */
  end (): void {
    this.#stop(this.#coming, this.#runs(), 'interrupted')
  }

  #stop (coming: Iterable<Coming>, runs: LiveRun[], stop: Stop): void {
    for (const each of coming) each.stop = stop
    endAll(runs, stop)
  }

  question (id: string): LiveQuestion | undefined {
    return this.#going?.questions.get(id)
  }

  publish (message: Message): Receipt | Promise<Receipt> {
    return this.#parts.publish(message)
  }

  deliver (message: Message, isWanted?: () => boolean): void | Promise<void> {
    return this.#delivery.push(message, isWanted)
  }

  isVisible (message: Message): boolean {
    return isForUsers(this.#parts.options, message, this.log)
  }

  /** Saves a finished reply. The run does not wait for it, and a failure is logged. */
  save (message: Omit<SavedMessage, 'timestamp'>): void {
    this.#saving.add(message).catch(error => report(this.log, error, 'a message was not saved', { messageId: message.message_id }))
  }

  /** Resolves when the chat is idle: no run is active or waiting, and everything is stored and saved. */
  settled (): Promise<void> {
    return new Promise(resolve => {
      this.#onSettled = resolve
      this.rest()
    })
  }

  /** Work that `settled` waits for. */
  get awaited (): AwaitedByChat {
    return { runs: [...this.#turns.keys()].map(({ id }) => id), saves: this.#saving.waiting }
  }

  onOver (run: LiveRun): void {
    this.#parts.runs.release(run.userId, run.weight)
    if (this.#turns.has(run)) this.#leave(run)
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
    if (this.#going === undefined) return
    const turn = this.#turns.get(this.#going)
    if (turn === undefined) this.#going.begin()
    else this.#begin(this.#going, turn)
  }

  async #begin (run: LiveRun, turn: Turn): Promise<void> {
    await turn.take()
    await run.begin()
  }

  async #leave (run: LiveRun): Promise<void> {
    // Waits until the end of the run is stored or given up.
    await Promise.allSettled([run.told])
    await this.#turns.get(run)?.end()
    this.#turns.delete(run)
    this.rest()
  }

  /** Reports that the chat is idle, unless it has work. */
  rest (): void {
    const isIdle = this.#runs().length + this.#coming.size + this.#turns.size === 0 && this.#saving.isIdle && this.#delivery.isIdle
    if (!isIdle) return
    this.#parts.onIdle()
    this.#onSettled()
  }
}

/** Ends the waiting runs before the active one, so that none of them begins. */
function endAll (runs: LiveRun[], stop: Stop): void {
  for (const run of runs.reverse()) run.end(stop)
}
