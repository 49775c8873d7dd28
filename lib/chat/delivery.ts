import type { FastifyBaseLogger } from 'fastify'
import { errors } from '../errors.js'
import type { Message } from '../protocol/envelope.js'
import { report } from '../server/caught.js'
import type { Timers } from '../server/timers.js'

export interface DeliveryParts {
  publish: (message: Message) => unknown
  timers: Timers
  log: FastifyBaseLogger
}

/** While the broker cannot store it, a message is tried again after so many milliseconds, and so often. */
const retry = { after: 1_000, times: 60 }

/** Messages that may wait for a broker; one more is given up. */
const maxWaiting = 1_000

/**
 * What must not be missing in a chat, such as that a run is over: stored in order, one after the other, and tried again
 * for a minute while the broker cannot. What is given up is logged.
 */
export class Delivery {
  readonly #parts: DeliveryParts
  #waiting: Message[] = []
  #working: Promise<void> | undefined

  constructor (parts: DeliveryParts) {
    this.#parts = parts
  }

  /** Resolves, or returns at once, when this and all before it is stored or given up. Never rejects. */
  push (message: Message): void | Promise<void> {
    if (this.#waiting.length >= maxWaiting) return this.#giveUp(message, new errors.BROKER('too much waits for it'))
    this.#waiting.push(message)
    if (this.#working !== undefined) return this.#working
    const stored = this.#next()
    if (stored === undefined) return undefined
    this.#working = this.#work(stored).then(() => { this.#working = undefined })
    return this.#working
  }

  /** When nothing waits. */
  get idle (): void | Promise<void> {
    return this.#working
  }

  async #work (stored: Promise<void> | undefined): Promise<void> {
    for (; stored !== undefined; stored = this.#next()) await stored
  }

  /** Stores what waits, as far as that can be done at once. */
  #next (): Promise<void> | undefined {
    for (let message = this.#waiting.shift(); message !== undefined; message = this.#waiting.shift()) {
      const stored = this.#try(message, 1)
      if (stored !== undefined) return stored
    }
    return undefined
  }

  #try (message: Message, times: number): Promise<void> | undefined {
    try {
      const stored = this.#parts.publish(message)
      if (!(stored instanceof Promise)) return undefined
      return stored.then(() => {}, error => this.#again(message, times, error))
    } catch (error) {
      return this.#again(message, times, error)
    }
  }

  #again (message: Message, times: number, error: unknown): Promise<void> | undefined {
    if (!(error instanceof errors.BROKER) || times === retry.times) return this.#giveUp(message, error)
    return new Promise(resolve => {
      this.#parts.timers.after(retry.after, () => resolve(this.#try(message, times + 1)))
    })
  }

  #giveUp (message: Message, error: unknown): undefined {
    report(this.#parts.log, error, 'a message of a chat could not be stored', { type: message.type })
  }
}
