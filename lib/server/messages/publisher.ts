import type { Broker } from '../../brokers/broker.js'
import { errors } from '../../errors.js'
import type { Message } from '../../protocol/envelope.js'
import { formatPosition, type Label, type Position } from '../../protocol/position.js'
import type { Catalogue, Encoded } from './catalogue.js'
import { caught } from '../reports/caught.js'
import type { ChannelKind } from '../kinds.js'
import { Deadline } from '../../time/deadline.js'
import type { Timers } from '../../time/timers.js'
import { watched, type OnUnheard } from './watched.js'

/** What is known of a message once it is in its channel's log. */
export interface Receipt {
  /** The position of the publication: what clients see as its `id`. */
  readonly id: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
}

export interface MessagePublisherParts {
  broker: Broker
  catalogue: Catalogue
  timers: Timers
  /** A publication was not stored, and nothing handles the rejection. */
  onUnheard: OnUnheard
}

/** Milliseconds in which a publication is stored, or is not. */
const storeTime = 2_000

/** Checks messages and has them stored. */
export class MessagePublisher {
  readonly #parts: MessagePublisherParts
  readonly #deadline: Deadline
  #isClosed = false

  constructor (parts: MessagePublisherParts) {
    this.#parts = parts
    this.#deadline = new Deadline(parts.timers, storeTime)
  }

  /**
   * Resolves, or returns at once where the broker stores at once, when the message is in the log. Throws or rejects, with
   * nothing stored, with RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING or RT_ERR_BROKER; with
   * RT_ERR_UNCONFIRMED it may be stored.
   */
  publish<const T extends string> (kind: ChannelKind, channel: string, message: Message<T>): Receipt | Promise<Receipt> {
    if (this.#isClosed) throw new errors.CLOSING()
    const encoded = this.#parts.catalogue.encode(message)
    const { timestamp } = encoded
    const stored = this.#store(kind, channel, encoded)
    const receipt = (position: Position) => receiptOf(kind.label, position, timestamp)
    return 'then' in stored ? this.#inTime(stored, receipt) : receipt(stored)
  }

  /** Refuses all later publications. */
  close (): void {
    this.#isClosed = true
  }

  #store ({ retention }: ChannelKind, channel: string, { json, publication }: Encoded): Position | Promise<Position> {
    try {
      return this.#parts.broker.publish(channel, json, retention, publication)
    } catch (error) {
      return rejectTyped(error)
    }
  }

  /** One promise and a shared timer, instead of a chain of promises and a timer for each. */
  #inTime (stored: Promise<Position>, receipt: (position: Position) => Receipt): Promise<Receipt> {
    return watched((resolve, reject) => {
      const cancel = this.#deadline.add(() => reject(new errors.BROKER(`not done within ${storeTime} ms`)))
      const settle = (outcome: () => Receipt) => {
        cancel()
        try {
          resolve(outcome())
        } catch (error) {
          reject(error)
        }
      }
      stored.then(position => settle(() => receipt(position)), error => settle(() => rejectTyped(error)))
    }, this.#parts.onUnheard)
  }
}

function receiptOf (label: Label, position: Position, timestamp: string): Receipt {
  return { id: formatPosition(label, position), timestamp }
}

function rejectTyped (error: unknown): never {
  throw isTyped(error) ? error : new errors.BROKER(caught(error).message, { cause: caught(error) })
}

/** One of `errors`, by its code. */
function isTyped (error: unknown): boolean {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith('RT_ERR_')
}
