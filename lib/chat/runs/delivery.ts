import type { FastifyBaseLogger } from 'fastify'
import { errors, isBrokersFailure } from '../../errors.js'
import type { Message } from '../../protocol/envelope.js'
import { report } from '../../server/reports/caught.js'
import type { Timers } from '../../time/timers.js'
import { quiet } from './part.js'

export interface DeliveryParts {
  publish: (message: Message) => unknown
  timers: Timers
  log: FastifyBaseLogger
  /** Called when the queue is empty. */
  onIdle: () => void
}

/** Delay in ms between attempts to store a message, and maximum number of attempts. */
const retry = { after: 1_000, times: 60 }

/** Maximum number of messages that wait for the broker. Further messages are given up. */
const maxWaiting = 1_000

/**
 * Stores the messages that a chat must not lack, such as the end of a run: in order, one after the other, and with retries for at least
 * a minute while the broker fails. A message that is given up is logged.
 */
export class Delivery {
  readonly #parts: DeliveryParts
  /** Resolves when every message so far is stored or given up. Never rejects. */
  #last: Promise<void> | undefined
  #waiting = 0

  constructor (parts: DeliveryParts) {
    this.#parts = parts
  }

  get isIdle (): boolean {
    return this.#last === undefined
  }

  /**
   * Stores a message after all earlier ones. Resolves, or returns at once, when it is stored or no longer wanted. Rejects when it is
   * given up.
   */
  push (message: Message, isWanted = () => true): void | Promise<void> {
    const stored = this.#inTurn(message, isWanted)
    if (stored === undefined) return undefined
    this.#waiting++
    const last = stored.catch(() => {}).then(() => {
      this.#waiting--
      if (this.#last !== last) return
      this.#last = undefined
      this.#parts.onIdle()
    })
    this.#last = last
    return quiet(stored)
  }

  #inTurn (message: Message, isWanted: () => boolean): Promise<void> | undefined {
    if (this.#last === undefined) return this.#store(message, isWanted)
    if (this.#waiting >= maxWaiting) return this.#giveUp(message, new errors.BROKER(`${maxWaiting} messages of this chat already wait`))
    return this.#last.then(() => this.#store(message, isWanted))
  }

  #store (message: Message, isWanted: () => boolean): Promise<void> | undefined {
    if (!isWanted()) return undefined
    try {
      const stored = this.#parts.publish(message)
      return stored instanceof Promise ? stored.then(() => {}, error => this.#again(message, isWanted, error)) : undefined
    } catch (error) {
      return this.#again(message, isWanted, error)
    }
  }

  async #again (message: Message, isWanted: () => boolean, error: unknown): Promise<void> {
    const { publish, timers } = this.#parts
    let why = error
    for (let times = 1; times < retry.times && isBrokersFailure(why); times++) {
      await new Promise<void>(resolve => { timers.after(retry.after, resolve) })
      if (!isWanted()) return
      try {
        await publish(message)
        return
      } catch (error) {
        why = error
      }
    }
    await this.#giveUp(message, why)
  }

  async #giveUp (message: Message, error: unknown): Promise<never> {
    report(this.#parts.log, error, 'a message of a chat could not be stored', { type: message.type })
    throw error
  }
}
