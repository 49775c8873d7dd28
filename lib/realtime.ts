import type { BrokerStats } from './brokers/broker.js'
import type { AppChannels } from './channels/channels.js'
import type { Channel } from './channels/define.js'
import type { ChatAddress } from './chat/address.js'
import type { Chats } from './chat/chats.js'
import type { Chat } from './chat/hooks.js'
import { errors } from './errors.js'
import { broadcastChannel, broadcastKind, userChannel, userKind } from './notifications/kinds.js'
import { closeCodes, isSendable } from './protocol/close-codes.js'
import type { Message } from './protocol/envelope.js'
import type { KindName } from './protocol/kind-name.js'
import { presenceKey } from './server/connection/hub.js'
import type { Counters } from './server/reports/counters.js'
import type { RealtimeConnection } from './server/hooks.js'
import type { Receipt } from './server/messages/publisher.js'
import { guarded, warnOf, type OnUnheard } from './server/messages/watched.js'
import type { RealtimeServer } from './server/server.js'

/** Current state of this server, and counters since it started. */
export interface Stats extends BrokerStats, Counters {
  /** Number of connections, including those that are still opening. */
  connections: number
  /** Number of users with a connection. */
  users: number
}

/** A connection on any server. */
export type Present = Pick<RealtimeConnection, 'id' | 'userId'>

/** API of `fastify.ws`. */
export class Realtime {
  readonly #server: RealtimeServer
  readonly #chats: Chats
  readonly #channels: AppChannels
  readonly #onUnheard: OnUnheard

  constructor (server: RealtimeServer, chats: Chats, channels: AppChannels) {
    this.#server = server
    this.#chats = chats
    this.#channels = channels
    this.#onUnheard = warnOf(server.parts.log, 'A call of fastify.ws failed')
  }

  /**
   * Publishes to all notification connections of a user: those that exist now, and later ones while the history contains the message.
   * Resolves when the message is stored. Rejects with RT_ERR_INVALID_ID, RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE,
   * RT_ERR_CLOSING, RT_ERR_OVER_QUOTA or RT_ERR_BROKER if it was not sent. RT_ERR_UNCONFIRMED means that it may have been sent, and occurs
   * only with a broker outside of this process.
   */
  sendToUser<const T extends string> (userId: string, message: Message<T>): Promise<Receipt> {
    return guarded(() => this.#server.parts.publisher.publish(userKind, userChannel(userId), message), this.#onUnheard)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return guarded(() => this.#server.parts.publisher.publish(broadcastKind, broadcastChannel, message), this.#onUnheard)
  }

  /** Returns a chat, to publish to and to answer in. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Chat {
    return this.#chats.open(address)
  }

  /** Returns a channel of a kind in the option `channels`. Throws RT_ERR_UNKNOWN_KIND and RT_ERR_INVALID_ID. */
  channel<K extends KindName> (kind: K, id: string): Channel<K> {
    return this.#channels.open(kind, id) as unknown as Channel<K>
  }

  /** Open connections of a user, or all open connections, on this server: those that can be sent to from here. See `present`. */
  connections (userId?: string): RealtimeConnection[] {
    return this.#server.hub.connections(userId).filter(({ state }) => state === 'open')
  }

  /**
   * Connections of a user on all servers. A connection that was lost is not among them, while `members()` of a channel lists its user for
   * 5 s more. Rejects with RT_ERR_BROKER.
   */
  present (userId: string): Promise<Present[]> {
    return guarded(() => this.#present(userId), this.#onUnheard)
  }

  /**
   * Reads this server's connections, and the connections of the others in the broker's registry, which `limits.connectionsPerUser` counts
   * too. Presence in a channel cannot answer this: a user may be in no channel, and is listed for a grace period. Both drop the connections
   * of dead nodes by the same list of live nodes.
   */
  async #present (userId: string): Promise<Present[]> {
    const { cluster } = this.#server.parts
    const here = this.connections(userId).map(({ id }) => ({ id, userId }))
    if (cluster === undefined) return here
    const present = await cluster.nodes.present(presenceKey(userId))
    const elsewhere = present.filter(({ node }) => node !== cluster.nodes.id)
    return [...here, ...elsewhere.map(({ connectionId }) => ({ id: connectionId, userId }))]
  }

  /**
   * Whether `present` would list a connection of the user. Returns a promise if other servers must be asked. Rejects with RT_ERR_BROKER.
   */
  isOnline (userId: string): boolean | Promise<boolean> {
    const isHere = this.connections(userId).length > 0
    if (isHere || this.#server.parts.cluster === undefined) return isHere
    return guarded(async () => (await this.#present(userId)).length > 0, this.#onUnheard)
  }

  /**
   * Closes all connections of a user, on all servers, by default with 4403, after which clients do not reconnect. Returns the number of
   * connections closed on this server. Throws RT_ERR_UNKNOWN_CLOSE_CODE if the code is not in `closeCodes`.
   */
  disconnectUser (userId: string, code: number = closeCodes.FORBIDDEN.code): number {
    if (!isSendable(code)) throw new errors.UNKNOWN_CLOSE_CODE(code)
    return this.#server.disconnectUser(userId, code)
  }

  /** Figures of this server, for a health page or metrics. */
  stats (): Stats {
    const { counters, hub, parts: { options: { broker } } } = this.#server
    const connections = hub.connections().filter(({ isEnding }) => !isEnding)
    const users = new Set(connections.map(({ userId }) => userId))
    return { connections: connections.length, users: users.size, ...broker.stats(), ...counters }
  }
}
