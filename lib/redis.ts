import type { StoredRetention } from './brokers/broker.js'
import { RedisBroker } from './brokers/redis/broker.js'
import type { RedisAddress } from './brokers/redis/link/connection.js'
import { chatRetention } from './chat/retention.js'
import { checkRedisOptions } from './redis-options.js'

export type { RedisBroker } from './brokers/redis/broker.js'
export type { RedisAddress, RedisClient } from './brokers/redis/link/connection.js'

export interface RedisBrokerOptions extends RedisAddress {
  /** What the names in Redis begin with; default `realtime:`. Apps that share a Redis need one each. */
  prefix?: string | undefined
  /** What of a channel can be recovered; default 100 publications, 300 s, 4 MiB. */
  history?: StoredRetention | undefined
  /**
   * What Redis keeps of the pieces in which a chat is written, of which other nodes put its messages together; default
   * 10,000 publications, 3,600 s, 16 MiB. A run that is longer than that cannot be followed from its beginning on another node.
   */
  chat?: StoredRetention | undefined
  /** Bytes that a channel's log on this node keeps beyond its history for connections that are behind; default 4 MiB. */
  lag?: number | undefined
}

/** `redisBroker({ client })` or `redisBroker({ url })`, for the plugin's option `broker`. Throws RT_ERR_OPTIONS. */
export function redisBroker (options: RedisBrokerOptions): RedisBroker {
  checkRedisOptions('redisBroker', options)
  const { chat, ...rest } = options
  return new RedisBroker({ ...rest, retentions: { chat: chatRetention(options.history, chat) } })
}
