import type { Broker, BrokerStats } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { closeCodes, isSendable } from '../protocol/close-codes.js'
import type { Message } from '../protocol/envelope.js'
import { formatPosition, type Position } from '../protocol/position.js'
import type { Catalogue } from './catalogue.js'
import { caught } from './caught.js'
import { broadcastChannel, chatChannel, labelOf, userChannel, type ChatAddress } from './channels.js'
import type { Connection, Counters } from './connection.js'
import type { RealtimeConnection } from './hooks.js'
import type { Hub } from './hub.js'
import type { Timers } from './timers.js'

/** What is known of a message once it is in its channel's log. */
export interface Receipt {
  /** The position of the publication: what clients see as its `id`. */
  readonly id: string
  /** ISO 8601 UTC. */
  readonly timestamp: string
}

/** What this server has and has done, at the moment and since it started. */
export interface Stats extends BrokerStats, Counters {
  /** Connections, those that are still opening included. */
  connections: number
  /** Users with a connection. */
  users: number
}

/** One chat of one user. */
export interface Chat {
  /** Publishes to everyone connected to the chat, now or later while the history holds it. Rejects like `sendToUser`. */
  send<const T extends string> (message: Message<T>): Promise<Receipt>
}

export interface RealtimeParts {
  broker: Broker
  catalogue: Catalogue
  hub: Hub
  counters: Counters
  timers: Timers
  /** Whether publishing has to end. */
  isClosing: () => boolean
}

/** Milliseconds in which a publication is stored, or is not. */
const storeTime = 2_000

/** `fastify.ws`. */
export class Realtime {
  readonly #parts: RealtimeParts

  constructor (parts: RealtimeParts) {
    this.#parts = parts
  }

  /**
   * Publishes to all notification connections of a user, now or later while the history holds it.
   * Resolves when the message is in the log. Rejects, with nothing sent, with RT_ERR_INVALID_ID,
   * RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING or RT_ERR_BROKER.
   */
  async sendToUser<const T extends string> (userId: string, message: Message<T>): Promise<Receipt> {
    return this.#publish(userChannel(userId), message)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  async broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return this.#publish(broadcastChannel, message)
  }

  /** A chat to publish to. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Chat {
    const channel = chatChannel(address)
    return { send: async message => this.#publish(channel, message) }
  }

  /** The connections of a user on this server, or all of them. */
  connections (userId?: string): RealtimeConnection[] {
    return this.#parts.hub.connections(userId).filter(({ state }) => state === 'open')
  }

  /** Whether a user has a connection on this server. */
  isOnline (userId: string): boolean {
    return this.connections(userId).length > 0
  }

  /**
   * Closes all connections of a user on this server, by default with 4403, after which clients do not come back.
   * Returns how many there were. Throws RT_ERR_UNKNOWN_CLOSE_CODE when the code is not in `closeCodes`.
   */
  disconnectUser (userId: string, code: number = closeCodes.FORBIDDEN.code): number {
    if (!isSendable(code)) throw new errors.UNKNOWN_CLOSE_CODE(code)
    const connections = this.#present(userId)
    for (const connection of connections) connection.close(code)
    return connections.length
  }

  /** Figures of this server, for a health page or metrics. */
  stats (): Stats {
    const { broker, counters } = this.#parts
    const connections = this.#present()
    const users = new Set(connections.map(({ userId }) => userId))
    return { connections: connections.length, users: users.size, ...broker.stats(), ...counters }
  }

  /** Those that are open or opening. */
  #present (userId?: string): Connection[] {
    return this.#parts.hub.connections(userId).filter(({ isEnding }) => !isEnding)
  }

  /** At once where the broker stores at once. */
  #publish (channel: string, message: Message): Receipt | Promise<Receipt> {
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
