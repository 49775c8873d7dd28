import type { TSchema } from '@sinclair/typebox'
import type { BrokerLog, StoredRetention } from './brokers/broker.js'
import type { RedisAddress } from './brokers/redis/link/connection.js'
import { Health } from './brokers/redis/link/health.js'
import { Keys } from './brokers/redis/keys.js'
import { RedisLink } from './brokers/redis/link/link.js'
import { refuseContradictions } from './options/check.js'
import { checkRedisOptions } from './redis-options.js'
import { BatchPublisher } from './brokers/redis/publishing/publisher.js'
import { defaultStored, Quota } from './brokers/redis/publishing/quota.js'
import { Retentions } from './brokers/redis/retention.js'
import { AppChannels } from './channels/channels.js'
import type { Channel, ChannelDefinitions } from './channels/define.js'
import { channelContradictions, messagesOfKinds } from './channels/options.js'
import { chatChannel, type ChatAddress } from './chat/address.js'
import type { Chat } from './chat/hooks.js'
import { chatKind } from './chat/kind.js'
import { chatRetention } from './chat/retention.js'
import { broadcastChannel, broadcastKind, userChannel, userKind } from './notifications/kinds.js'
import type { Message } from './protocol/envelope.js'
import type { KindName } from './protocol/kind-name.js'
import { formatPosition } from './protocol/position.js'
import { Catalogue, type Encoded } from './server/messages/catalogue.js'
import { Kinds, type ChannelKind } from './server/kinds.js'
import type { Receipt } from './server/messages/publisher.js'
import { timestamp } from './server/messages/timestamp.js'
import { guarded, warnOf, type OnUnheard } from './server/messages/watched.js'

export interface PublisherOptions extends RedisAddress {
  /** Same as for `redisBroker`. */
  prefix?: string | undefined
  /** Same as for `redisBroker`. They apply to channels to which no server has published yet. */
  history?: StoredRetention | undefined
  chat?: StoredRetention | undefined
  /** Same as for the plugin. Of a kind only `messages` and `history` matter here. */
  channels?: ChannelDefinitions | undefined
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

/** Publishes from a process without Fastify, like `fastify.ws`: with the same checks, errors and logs. */
export class Publisher {
  readonly #catalogue: Catalogue
  readonly #health: Health
  readonly #link: RedisLink
  readonly #publisher: BatchPublisher
  readonly #retentions: Retentions
  readonly #chatKind: ChannelKind
  readonly #channels: AppChannels
  readonly #onUnheard: OnUnheard

  constructor (options: PublisherOptions) {
    checkRedisOptions('createPublisher', options)
    const { prefix = 'realtime:', history, chat, channels = {}, messages = {}, strict = false, maxBytes = 1024 * 1024, stored = defaultStored, log = processWarnings, ...address } = options
    refuseContradictions(channelContradictions({ channels }))
    this.#catalogue = new Catalogue({ messages, messagesOfKinds: messagesOfKinds(channels), strict, maxBytes })
    const keys = new Keys(prefix)
    this.#retentions = new Retentions(history)
    this.#health = new Health(prefix, log)
    this.#link = new RedisLink(address, this.#health)
    this.#publisher = new BatchPublisher(this.#link, keys)
    this.#chatKind = { ...chatKind, retention: chatRetention(history, chat) }
    this.#onUnheard = warnOf(log, 'A message was not sent')
    this.#channels = new AppChannels({
      definitions: channels,
      publisher: {
        publish: (kind, channel, message) => this.#store(kind, channel, this.#catalogue.encode(message, channel)),
        store: (kind, channel, json) => this.#store(kind, channel, { json, timestamp: timestamp() })
      },
      maxBytes,
      onUnheard: this.#onUnheard
    })
    const { ownerOf } = new Kinds([userKind, broadcastKind, this.#chatKind, ...this.#channels.kinds])
    this.#publisher.quota = new Quota({ limit: stored, ownerOf, log })
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
    return { send: message => this.#publish(this.#chatKind, () => channel, message) }
  }

  /** Returns a channel of the app. Throws RT_ERR_UNKNOWN_KIND and RT_ERR_INVALID_ID. */
  channel<K extends KindName> (kind: K, id: string): Pick<Channel<K>, 'kind' | 'id' | 'send' | 'remove'> {
    return this.#channels.open(kind, id) as unknown as Channel<K>
  }

  #publish (kind: ChannelKind, channelOf: () => string, message: Message): Promise<Receipt> {
    return guarded(() => this.#store(kind, channelOf(), this.#catalogue.encode(message)), this.#onUnheard)
  }

  async #store ({ label, retention }: ChannelKind, channel: string, { json, timestamp }: Omit<Encoded, 'publication'>): Promise<Receipt> {
    const position = await this.#publisher.publish(channel, json, this.#retentions.of(retention).stream, true)
    return { id: formatPosition(label, position), timestamp }
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
