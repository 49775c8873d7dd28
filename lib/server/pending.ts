import type { Duplex } from 'node:stream'
import { Budget } from '../brokers/budget.js'
import { Deadline } from './deadline.js'
import { networkOf } from './network.js'
import type { Timers } from './timers.js'

export interface PendingOptions {
  /** Handshakes in progress. */
  limit: number
  /** Milliseconds that one of them may take. */
  time: number
  timers: Timers
  /** Called when one is over. */
  onGone: () => void
}

/** Handshakes in progress, by the addresses that they come from: none has more of them than are still free. */
export class PendingHandshakes {
  readonly #budget: Budget
  readonly #deadline: Deadline
  readonly #onGone: () => void
  readonly #streams = new Set<Duplex>()

  constructor ({ limit, time, timers, onGone }: PendingOptions) {
    this.#budget = new Budget(limit)
    this.#deadline = new Deadline(timers, time)
    this.#onGone = onGone
  }

  get size (): number {
    return this.#streams.size
  }

  /** Whether one more can begin, wherever it comes from. */
  get hasRoom (): boolean {
    return this.#budget.used < this.#budget.total
  }

  /** Whether one more can begin that comes from this address. */
  hasRoomFor (address: string | undefined): boolean {
    return this.#budget.allows(networkOf(address))
  }

  /**
   * Counts a handshake until its stream closes, or `end` is called. Calls `onLate` when neither has happened by the deadline of
   * handshakes.
   */
  add (stream: Duplex, address: string | undefined, onLate: () => void): PendingHandshake {
    const cancel = this.#deadline.add(onLate)
    const end = () => {
      cancel()
      stream.off('close', pending.end)
      this.#streams.delete(stream)
      this.#onGone()
    }
    const pending = new PendingHandshake(this.#budget, networkOf(address), end)
    this.#streams.add(stream)
    stream.once('close', pending.end)
    return pending
  }

  destroy (): void {
    for (const stream of this.#streams) stream.destroy()
  }
}

/** A handshake that is counted. */
export class PendingHandshake {
  readonly #budget: Budget
  readonly #onEnd: () => void
  #network: string
  #isOver = false

  constructor (budget: Budget, network: string, onEnd: () => void) {
    this.#budget = budget
    this.#network = network
    this.#onEnd = onEnd
    budget.add(network, 1)
  }

  /** Counts it for another address. `false` when that one has more than are still free. */
  moveTo (address: string | undefined): boolean {
    if (this.#isOver) return true
    const network = networkOf(address)
    // Most are where they were, and counted there.
    if (network === this.#network) return this.#budget.allows(network, -1)
    this.#budget.release(this.#network)
    this.#network = network
    const isAllowed = this.#budget.allows(this.#network)
    this.#budget.add(this.#network, 1)
    return isAllowed
  }

  /** It is over; called again it does nothing. */
  readonly end = (): void => {
    if (this.#isOver) return
    this.#isOver = true
    this.#budget.release(this.#network)
    this.#onEnd()
  }
}
