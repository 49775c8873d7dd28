import type { Broker } from '../brokers/broker.js'
import { errors } from '../errors.js'
import type { Message } from '../protocol/envelope.js'
import { formatPosition, type Position } from '../protocol/position.js'
import type { Catalogue } from './catalogue.js'
import { caught } from './caught.js'
import { labelOf } from './channels.js'
import type { Timers } from './timers.js'

/** What is known of a message once it is in its channel's log. */
export interface Receipt {
  /** The position of the publication: what clients see as its `id`. */
  readonly id: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
}

export interface PublisherParts {
  broker: Broker
  catalogue: Catalogue
  timers: Timers
  /** Whether publishing has to end. */
  isClosing: () => boolean
}

/** Milliseconds in which a publication is stored, or is not. */
const storeTime = 2_000

/** Checks messages and has them stored. */
export class Publisher {
  readonly #parts: PublisherParts

  constructor (parts: PublisherParts) {
    this.#parts = parts
  }

  /**
   * Resolves, or returns at once where the broker stores at once, when the message is in the log. Throws or rejects, with
   * nothing stored, with RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING or RT_ERR_BROKER.
   */
  publish<const T extends string> (channel: string, message: Message<T>): Receipt | Promise<Receipt> {
    if (this.#parts.isClosing()) throw new errors.CLOSING()
    const { json, timestamp } = this.#parts.catalogue.encode(message)
    const stored = this.#store(channel, json)
    return 'then' in stored
      ? stored.then(position => receiptOf(channel, position, timestamp))
      : receiptOf(channel, stored, timestamp)
  }

  #store (channel: string, json: string): Position | Promise<Position> {
    const { broker, timers } = this.#parts
    try {
      const stored = broker.publish(channel, json)
      return 'then' in stored ? timers.within(storeTime, stored).catch(rejectTyped) : stored
    } catch (error) {
      return rejectTyped(error)
    }
  }
}

function receiptOf (channel: string, position: Position, timestamp: string): Receipt {
  return { id: formatPosition(labelOf(channel), position), timestamp }
}

function rejectTyped (error: unknown): never {
  throw isTyped(error) ? error : new errors.BROKER(caught(error).message)
}

/** One of `errors`, by its code. */
function isTyped (error: unknown): boolean {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith('RT_ERR_')
}
