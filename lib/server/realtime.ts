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

  /** All connections on this server. */
  connections (): RealtimeConnection[]
  /**
   * The connections of a user: those on this server at once, or with a broker that spans servers a promise of those on all
   * of them. Of another server's there is only the id. Rejects with RT_ERR_BROKER.
   */
  connections (userId: string): RealtimeConnection[] | Promise<Present[]>
  connections (userId?: string): RealtimeConnection[] | Promise<Present[]> {
    const here = this.#parts.hub.connections(userId).filter(({ state }) => state === 'open')
    const { cluster } = this.#parts
    return userId === undefined || cluster === undefined ? here : everywhere(userId, here, cluster)
  }

  /** Whether a user is connected: at once, or with a broker that spans servers a promise for all of them. Rejects with RT_ERR_BROKER. */
  isOnline (userId: string): boolean | Promise<boolean> {
    const isHere = this.#parts.hub.connections(userId).some(({ state }) => state === 'open')
    const { cluster } = this.#parts
    return isHere || cluster === undefined ? isHere : cluster.nodes.present(userId).then(present => present.length > 0)
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

async function everywhere (userId: string, here: RealtimeConnection[], { nodes }: Cluster): Promise<Present[]> {
  const present = await nodes.present(userId)
  const elsewhere = present.filter(({ node }) => node !== nodes.id)
  return [...here, ...elsewhere.map(({ connectionId }) => ({ id: connectionId, userId }))]
}
