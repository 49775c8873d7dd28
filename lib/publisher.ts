import type { TSchema } from '@sinclair/typebox'
import type { BrokerLog, StoredRetention } from './brokers/broker.js'
import type { RedisAddress } from './brokers/redis/link/connection.js'
import { Health } from './brokers/redis/link/health.js'
import { Keys } from './brokers/redis/keys.js'
import { RedisLink } from './brokers/redis/link/link.js'
import { checkRedisOptions } from './redis-options.js'
import { BatchPublisher } from './brokers/redis/publishing/publisher.js'
import { defaultStored, Quota } from './brokers/redis/publishing/quota.js'
import { Retentions, type StreamLimits } from './brokers/redis/retention.js'
import { chatChannel, type ChatAddress } from './chat/address.js'
import type { Chat } from './chat/hooks.js'
import { chatKind } from './chat/kind.js'
import { chatRetention } from './chat/retention.js'
import { broadcastChannel, broadcastKind, userChannel, userKind } from './notifications/kinds.js'
import type { Message } from './protocol/envelope.js'
import { formatPosition } from './protocol/position.js'
import { Catalogue } from './server/messages/catalogue.js'
import { Kinds, type ChannelKind } from './server/kinds.js'
import type { Receipt } from './server/messages/publisher.js'
import { guarded, warnOf, type OnUnheard } from './server/messages/watched.js'

export interface PublisherOptions extends RedisAddress {
  /** Same as for `redisBroker`. */
  prefix?: string | undefined
  /** Same as for `redisBroker`. They apply to channels to which no server has published yet. */
  history?: StoredRetention | undefined
  chat?: StoredRetention | undefined
  /** Same as for the plugin. */
  messages?: Record<string, TSchema> | undefined
  strict?: boolean | undefined
  /** Maximum bytes of a message; default 1 MiB. */
  maxBytes?: number | undefined
  /** Maximum bytes of a user that this process stores within the time that they are kept; default 32 MiB. */
  stored?: number | undefined
  /**
   * Logger, such as one of pino. It gets failures of Redis, with their causes and ends, and rejections that the app does not handle.
   * Default: failures are process warnings.
   */
  log?: PublisherLog | undefined
}

export interface PublisherLog extends BrokerLog {
  warn (fields: object, message: string): void
}

const emitWarning = (_fields: object, message: string) => process.emitWarning(message, 'RealtimeWarning')

const processWarnings: PublisherLog = {
  error: emitWarning,
  warn: emitWarning,
  info () {}
}

const kinds = new Kinds([userKind, broadcastKind, chatKind])

/** Publishes from a process without Fastify, like `fastify.ws`: with the same checks, errors and logs. */
export class Publisher {
  readonly #catalogue: Catalogue
  readonly #health: Health
  readonly #link: RedisLink
  readonly #publisher: BatchPublisher
  readonly #limits: StreamLimits
  readonly #chatLimits: StreamLimits
  readonly #onUnheard: OnUnheard

  constructor (options: PublisherOptions) {
    checkRedisOptions('createPublisher', options)
    const { prefix = 'realtime:', history, chat, messages = {}, strict = false, maxBytes = 1024 * 1024, stored = defaultStored, log = processWarnings, ...address } = options
    this.#catalogue = new Catalogue({ messages, strict, maxBytes })
    const keys = new Keys(prefix)
    const limits = new Retentions(history)
    this.#health = new Health(prefix, log)
    this.#link = new RedisLink(address, this.#health)
    this.#publisher = new BatchPublisher(this.#link, keys)
    this.#publisher.quota = new Quota({ limit: stored, ownerOf: kinds.ownerOf, log })
    this.#limits = limits.defaults.stream
    this.#chatLimits = limits.of(chatRetention(history, chat)).stream
    this.#onUnheard = warnOf(log, 'A message was not sent')
    this.#link.start()
  }

  /**
   * Publishes to all notification connections of a user. Rejects with RT_ERR_INVALID_ID, RT_ERR_INVALID_MESSAGE,
   * RT_ERR_MESSAGE_TOO_LARGE, RT_ERR_CLOSING, RT_ERR_OVER_QUOTA or RT_ERR_BROKER if nothing was sent, and with RT_ERR_UNCONFIRMED if the
   * message may have been sent. The message of the error names the cause, and the cure if one is known. `cause` is the error of Redis.
   */
  sendToUser<const T extends string> (userId: string, message: Message<T>): Promise<Receipt> {
    return this.#publish(userKind, () => userChannel(userId), message)
  }

  /** Publishes to all notification connections. Resolves and rejects like `sendToUser`. */
  broadcast<const T extends string> (message: Message<T>): Promise<Receipt> {
    return this.#publish(broadcastKind, () => broadcastChannel, message)
  }

  /** Returns a chat to publish to. Throws RT_ERR_INVALID_ID. */
  chat (address: ChatAddress): Pick<Chat, 'send'> {
    const channel = chatChannel(address)
    return { send: message => this.#publish(chatKind, () => channel, message, this.#chatLimits) }
  }

  #publish (kind: ChannelKind, channelOf: () => string, message: Message, limits = this.#limits): Promise<Receipt> {
    return guarded(async () => {
      const channel = channelOf()
      const { json, timestamp } = this.#catalogue.encode(message)
      const position = await this.#publisher.publish(channel, json, limits, true)
      return { id: formatPosition(kind.label, position), timestamp }
    }, this.#onUnheard)
  }

  /** Resolves when all publications are settled and the connection is closed. */
  async close (): Promise<void> {
    this.#health.close()
    await this.#publisher.close()
    this.#link.end()
  }
}

/** Creates a publisher: `createPublisher({ client })` or `createPublisher({ url })`. Throws RT_ERR_OPTIONS. */
export function createPublisher (options: PublisherOptions): Publisher {
  return new Publisher(options)
}
