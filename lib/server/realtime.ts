import type { Broker, BrokerStats } from '../brokers/broker.js'
import { errors } from '../errors.js'
import { closeCodes, isSendable } from '../protocol/close-codes.js'
import type { Message } from '../protocol/envelope.js'
import { broadcastChannel, userChannel, type ChatAddress } from './channels.js'
import type { Chat } from './chat-hooks.js'
import type { Cluster } from './cluster.js'
import type { Counters } from './connection.js'
import type { RealtimeConnection } from './hooks.js'
import type { Hub } from './hub.js'
import type { Publisher, Receipt } from './publisher.js'
import { guarded, type OnUnheard } from './watched.js'

/** What this server has and has done, at the moment and since it started. */
export interface Stats extends BrokerStats, Counters {
  /** Connections, those that are still opening included. */
  connections: number
  /** Users with a connection. */
  users: number
}

/** A connection on some server. */
export type Present = Pick<RealtimeConnection, 'id' | 'userId'>

export interface RealtimeParts {
  broker: Broker
  publisher: Publisher
  hub: Hub
  counters: Counters
  cluster: Cluster | undefined
  disconnectUser: (userId: string, code: number) => number
  openChat: (address: ChatAddress) => Chat
  /** A promise of one of these methods was rejected, and nothing handles the rejection. */
  onUnheard: OnUnheard
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
   * RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING or RT_ERR_BROKER; with RT_ERR_UNCONFIRMED, which only
   * a broker beyond this process has, it may be sent.
   */
  sendToUser<const T extends string> (userId: string, message: Message<T>): Promise<Receipt> {
    return guarded(() => this.#parts.publisher.publish(userChannel(userId), message), this.#parts.onUnheard)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return guarded(() => this.#parts.publisher.publish(broadcastChannel, message), this.#parts.onUnheard)
  }

  /** A chat: to publish to, and to answer in. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Chat {
    return this.#parts.openChat(address)
  }

  /** The connections of a user on this server, or all of them: those that can be written to from here. See `present`. */
  connections (userId?: string): RealtimeConnection[] {
    return this.#parts.hub.connections(userId).filter(({ state }) => state === 'open')
  }

  /** The connections of a user on all servers. Rejects with RT_ERR_BROKER. */
  present (userId: string): Promise<Present[]> {
    return guarded(() => this.#present(userId), this.#parts.onUnheard)
  }

  async #present (userId: string): Promise<Present[]> {
    const { cluster } = this.#parts
    const here = this.connections(userId).map(({ id }) => ({ id, userId }))
    if (cluster === undefined) return here
    const present = await cluster.nodes.present(userId)
    const elsewhere = present.filter(({ node }) => node !== cluster.nodes.id)
    return [...here, ...elsewhere.map(({ connectionId }) => ({ id: connectionId, userId }))]
  }

  /** Whether a user is connected: at once, or with a broker that spans servers a promise for all of them. Rejects with RT_ERR_BROKER. */
  isOnline (userId: string): boolean | Promise<boolean> {
    const isHere = this.connections(userId).length > 0
    if (isHere || this.#parts.cluster === undefined) return isHere
    return guarded(async () => (await this.#present(userId)).length > 0, this.#parts.onUnheard)
  }

  /**
   * Closes all connections of a user, on all servers, by default with 4403, after which clients do not come back. Returns
   * how many there were on this one. Throws RT_ERR_UNKNOWN_CLOSE_CODE when the code is not in `closeCodes`.
   */
  disconnectUser (userId: string, code: number = closeCodes.FORBIDDEN.code): number {
    if (!isSendable(code)) throw new errors.UNKNOWN_CLOSE_CODE(code)
    return this.#parts.disconnectUser(userId, code)
  }

  /** Figures of this server, for a health page or metrics. */
  stats (): Stats {
    const { broker, counters, hub } = this.#parts
    const connections = hub.connections().filter(({ isEnding }) => !isEnding)
    const users = new Set(connections.map(({ userId }) => userId))
    return { connections: connections.length, users: users.size, ...broker.stats(), ...counters }
  }
}
