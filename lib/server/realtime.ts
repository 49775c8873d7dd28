import type { Broker, BrokerStats } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { closeCodes, isSendable } from '../protocol/close-codes.js'
import type { Message } from '../protocol/envelope.js'
import { broadcastChannel, userChannel, type ChatAddress } from './channels.js'
import type { Chat } from './chat-hooks.js'
import type { Connection, Counters } from './connection.js'
import type { RealtimeConnection } from './hooks.js'
import type { Hub } from './hub.js'
import type { Publisher, Receipt } from './publisher.js'

/** What this server has and has done, at the moment and since it started. */
export interface Stats extends BrokerStats, Counters {
  /** Connections, those that are still opening included. */
  connections: number
  /** Users with a connection. */
  users: number
}

export interface RealtimeParts {
  broker: Broker
  publisher: Publisher
  hub: Hub
  counters: Counters
  openChat: (address: ChatAddress) => Chat
}

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
    return this.#parts.publisher.publish(userChannel(userId), message)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  async broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return this.#parts.publisher.publish(broadcastChannel, message)
  }

  /** A chat: to publish to, and to answer in. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Chat {
    return this.#parts.openChat(address)
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
}
