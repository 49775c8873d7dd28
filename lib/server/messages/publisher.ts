import type { Broker } from '../../brokers/broker.js'
import { errors } from '../../errors.js'
import type { Message } from '../../protocol/envelope.js'
import { formatPosition, type Label, type Position } from '../../protocol/position.js'
import type { Catalogue, Encoded } from './catalogue.js'
import { caught } from '../reports/caught.js'
import { timestamp } from './timestamp.js'
import type { ChannelKind } from '../kinds.js'
import { Deadline } from '../../time/deadline.js'
import type { Timers } from '../../time/timers.js'
import { watched, type OnUnheard } from './watched.js'

/** Position and time of a stored message. */
export interface Receipt {
  /** Position of the publication, which clients get as its `id`. */
  readonly id: string
  /** Time of the message, ISO 8601 UTC. */
  readonly timestamp: string
}

export interface MessagePublisherParts {
  broker: Broker
  catalogue: Catalogue
  timers: Timers
  /** Called when a publication was not stored and the app does not handle the rejection. */
  onUnheard: OnUnheard
}

/** Maximum time to store a publication, in ms. */
const storeTime = 2_000

/** Validates messages and publishes them through the broker. */
export class MessagePublisher {
  readonly #parts: MessagePublisherParts
  readonly #deadline: Deadline
  #isClosed = false

  constructor (parts: MessagePublisherParts) {
    this.#parts = parts
    this.#deadline = new Deadline(parts.timers, storeTime)
  }

  /**
   * Resolves when the message is stored, or returns the receipt if the broker stores synchronously. Throws or rejects with
   * RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING, RT_ERR_OVER_QUOTA or RT_ERR_BROKER if nothing was stored, and
   * with RT_ERR_UNCONFIRMED if the message may be stored.
   */
  publish<const T extends string> (kind: ChannelKind, channel: string, message: Message<T>): Receipt | Promise<Receipt> {
    if (this.#isClosed) throw new errors.CLOSING()
    return this.#publish(kind, channel, this.#parts.catalogue.encode(message, channel))
  }

  /** Stores an entry of the plugin that clients do not get as a message. Resolves and rejects like `publish`. */
  store (kind: ChannelKind, channel: string, json: string): Receipt | Promise<Receipt> {
    if (this.#isClosed) throw new errors.CLOSING()
    return this.#publish(kind, channel, { json, timestamp: timestamp(), publication: undefined })
  }

  #publish (kind: ChannelKind, channel: string, encoded: Encoded): Receipt | Promise<Receipt> {
    const stored = this.#store(kind, channel, encoded)
    const receipt = (position: Position) => receiptOf(kind.label, position, encoded.timestamp)
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

  /** Uses one promise and a shared timer, instead of a chain of promises and a timer per publication. */
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

/** Whether an error is one of `errors`, by its code. */
function isTyped (error: unknown): boolean {
  return error instanceof Error && String((error as { code?: unknown }).code).startsWith('RT_ERR_')
}
