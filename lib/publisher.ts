import type { TSchema } from '@sinclair/typebox'
import { connect, end, type RedisAddress } from './brokers/redis/connection.js'
import { Keys } from './brokers/redis/keys.js'
import { Publisher as RedisPublisher } from './brokers/redis/publisher.js'
import { retentionOf, type RetentionOptions } from './brokers/redis/retention.js'
import type { Message } from './protocol/envelope.js'
import { formatPosition } from './protocol/position.js'
import { Catalogue } from './server/catalogue.js'
import { broadcastChannel, chatChannel, labelOf, userChannel, type ChatAddress } from './server/channels.js'
import type { Chat } from './server/chat-hooks.js'
import type { Receipt } from './server/publisher.js'

export interface PublisherOptions extends RedisAddress {
  /** As those of `redisBroker`: what they say must be the same everywhere. */
  prefix?: string | undefined
  history?: RetentionOptions | undefined
  chat?: RetentionOptions | undefined
  /** As the options of the plugin. */
  messages?: Record<string, TSchema> | undefined
  strict?: boolean | undefined
  /** Bytes of a message; default 1 MiB. */
  maxBytes?: number | undefined
}

/** Sends from a process without Fastify, as `fastify.ws` does: the same checks, the same errors, the same logs. */
export class Publisher {
  readonly #catalogue: Catalogue
  readonly #connection: ReturnType<typeof connect>
  readonly #publisher: RedisPublisher

  constructor ({ prefix = 'realtime:', history, chat, ...options }: PublisherOptions) {
    const { messages = {}, strict = false, maxBytes = 1024 * 1024, ...address } = options
    this.#catalogue = new Catalogue({ messages, strict, maxBytes })
    const keys = new Keys(prefix)
    this.#connection = connect(address)
    this.#publisher = new RedisPublisher(this.#connection, keys, retentionOf(history, chat))
  }

  /**
   * Publishes to all notification connections of a user. Rejects, with nothing sent, with RT_ERR_INVALID_ID,
   * RT_ERR_INVALID_MESSAGE, RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING or RT_ERR_BROKER; with RT_ERR_UNCONFIRMED it may be.
   */
  async sendToUser<const T extends string> (userId: string, message: Message<T>): Promise<Receipt> {
    return this.#publish(userChannel(userId), message)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  async broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return this.#publish(broadcastChannel, message)
  }

  /** A chat to publish to. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Pick<Chat, 'send'> {
    const channel = chatChannel(address)
    return { send: async message => this.#publish(channel, message) }
  }

  async #publish (channel: string, message: Message): Promise<Receipt> {
    const { json, timestamp } = this.#catalogue.encode(message)
    const position = await this.#publisher.publish(channel, json)
    return { id: formatPosition(labelOf(channel), position), timestamp }
  }

  /** Resolves once what is under way is settled and the connection is ended. */
  async close (): Promise<void> {
    await this.#publisher.close()
    end(this.#connection)
  }
}

/** `createPublisher({ client })` or `createPublisher({ url })`. Throws RT_ERR_OPTIONS. */
export function createPublisher (options: PublisherOptions): Publisher {
  return new Publisher(options)
}
