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

/** What all chats of a server share. */
export interface ActiveChatParts {
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
  /** The runs of all chats, by who started them. */
  runs: Budget
  /** Where there are several servers. */
  enter?: (run: LiveRun) => Turn
  /** Nothing is going on in it any more. */
  onIdle: () => void
}

/** A user's message, as it is saved and published. */
export type UserData = Messages['chat_message'] & { message_id: string }

/** Why a run cannot be started, and what the app can do about it. */
interface Lack {
  reason: string
  cure: string
}

/** How a run is ended from outside. */
type Stop = 'cancelled' | 'interrupted'

/** Time that saving a message may take before its run is announced, in ms. */
const announceAfterMs = 5

/** What the close of a chat waits for. */
export interface AwaitedByChat {
  /** Runs whose end is being stored, by their ids. */
  readonly runs: readonly string[]
  /** Messages whose `chat.save` runs, or waits for the one before, by their ids. */
  readonly saves: readonly string[]
}

/** A user's message that is being stored. */
interface Coming {
  readonly run: LiveRun
  /** Its run was ended before it is there. */
  stop: Stop | undefined
}

/** One chat while something is going on in it: runs, one at a time and in order. */
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

  /** What there is no room for; `undefined` when the run can be started. */
  lack ({ userId, weight = 1 }: RunStart): Lack | undefined {
    const { options, limits, runs } = this.#parts
    if (options.concurrency !== 'replace' && this.#runs().length + this.#coming.size > limits.runs) {
      return { reason: `${limits.runs} runs of this chat wait already`, cure: "Wait for one to finish, raise 'limits.runs', or set 'chat.concurrency' to 'replace'" }
    }
    if (runs.allows(userId, weight)) return undefined
    return { reason: 'the runs of this user take as much as is still free', cure: "Wait for one to finish, or raise 'limits.liveRuns'" }
  }

  /** There must be room. */
  start (start: RunStart): LiveRun {
    const run = this.#run(start)
    this.#enter(run)
    this.#queue(run)
    return run
  }

  /** Should this server end, another tells users that the run did too. */
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

  /** Saves and publishes a user's message, then starts its run, unless that is to `stop`. There must be room. */
  async receive (data: UserData, start: RunStart, stop?: Stop): Promise<void> {
    const run = this.#run(start)
    const coming: Coming = { run, stop }
    this.#coming.add(coming)
    try {
      await this.#store(run, data)
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

  /** It counts until it is over. */
  #run (start: RunStart): LiveRun {
    const run = new LiveRun(this, start)
    this.#parts.runs.add(run.userId, run.weight)
    return run
  }

  /** Saves and publishes a user's message. Where that takes time, clients that connect meanwhile see that its run will come. */
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
    // Its lease is asked for before the message is stored, so that none is without a run when this server dies.
    this.#enter(run)
    if (this.isVisible({ type: 'chat_message', data })) await this.publish({ type: 'chat_message', data })
  }

  /** Ends the runs that go by this name, or all of them. `false` when there were none. */
  cancel (name?: RunName): boolean {
    const coming = [...this.#coming].filter(({ run }) => name === undefined || run.goesBy(name))
    const runs = this.#runs().filter(run => name === undefined || run.goesBy(name))
    this.#stop(coming, runs, 'cancelled')
    return coming.length + runs.length > 0
  }

  /** Ends all runs. */
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

  /** A reply that is done: the run does not wait for it, and a failure is logged. */
  save (message: Omit<SavedMessage, 'timestamp'>): void {
    this.#saving.add(message).catch(error => report(this.log, error, 'a message was not saved', { messageId: message.message_id }))
  }

  /** Resolves when nothing is going on, and all is stored and saved. */
  settled (): Promise<void> {
    return new Promise(resolve => {
      this.#onSettled = resolve
      this.rest()
    })
  }

  /** What `settled` waits for: runs that are over, whose end is being stored, and messages that are being saved. */
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
    // Told or given up.
    await Promise.allSettled([run.told])
    await this.#turns.get(run)?.end()
    this.#turns.delete(run)
    this.rest()
  }

  /** Is let go of, unless something is going on. */
  rest (): void {
    const isIdle = this.#runs().length + this.#coming.size + this.#turns.size === 0 && this.#saving.isIdle && this.#delivery.isIdle
    if (!isIdle) return
    this.#parts.onIdle()
    this.#onSettled()
  }
}

/** Those that wait first, so that none of them begins. */
function endAll (runs: LiveRun[], stop: Stop): void {
  for (const run of runs.reverse()) run.end(stop)
}
