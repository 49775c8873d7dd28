import type { StoredRetention } from './brokers/broker.js'
import { RedisBroker } from './brokers/redis/broker.js'
import type { RedisAddress } from './brokers/redis/link/connection.js'
import { chatRetention } from './chat/retention.js'
import { checkRedisOptions } from './redis-options.js'

export type { RedisBroker } from './brokers/redis/broker.js'
export type { RedisAddress, RedisClient } from './brokers/redis/link/connection.js'

export interface RedisBrokerOptions extends RedisAddress {
  /** Prefix of the names in Redis; default `realtime:`. Apps that share a Redis need different ones. */
  prefix?: string | undefined
  /** Retention of channels; default 100 publications, 300 s, 4 MiB. */
  history?: StoredRetention | undefined
  /**
   * Retention in Redis of the pieces of chat messages, from which other nodes assemble the messages; default 10,000 publications, 3,600 s,
   * 16 MiB. A run with more cannot be followed from its beginning on another node.
   */
  chat?: StoredRetention | undefined
  /** Maximum bytes that a channel's log on this node keeps beyond its history for connections that are behind; default 4 MiB. */
  lag?: number | undefined
}

/** Creates a broker for the plugin's option `broker`: `redisBroker({ client })` or `redisBroker({ url })`. Throws RT_ERR_OPTIONS. */
export function redisBroker (options: RedisBrokerOptions): RedisBroker {
  checkRedisOptions('redisBroker', options)
  const { chat, ...rest } = options
  return new RedisBroker({ ...rest, retentions: { chat: chatRetention(options.history, chat) } })
}
