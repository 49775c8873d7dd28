import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { errors } from '../../../errors.js'

/** Client of the app: single server, Sentinel or Cluster. */
export type RedisClient = Redis | Cluster

export interface RedisAddress {
  /** Client of the app, from ioredis. Only its settings are used: all traffic goes over separate connections. */
  client?: RedisClient | undefined
  /** URL instead of a client: `redis://…` or `rediss://…`. */
  url?: string | undefined
}

/** Time without any answer, even to a ping, after which a connection is dead, in ms. */
const silence = 4_000

/** Delay until the next attempt, in ms. Jittered, so that the nodes of an app do not all reconnect at once. */
function backoff (attempt: number): number {
  return 20 + Math.random() * Math.min(1_000, 50 * 2 ** Math.min(attempt, 10))
}

/** Senders settle their commands themselves: ioredis neither queues commands until Redis is back nor sends them again. */
const ours: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  // Commands that were sent when a connection ends are rejected then, not when it is back.
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  lazyConnect: true,
  // Less than a start waits, and enough for one lost SYN (RFC 6298: sent again after 1 s).
  connectTimeout: 1_500,
  socketTimeout: silence,
  keyPrefix: '',
  stringNumbers: false,
  readOnly: false,
  commandTimeout: undefined,
  reconnectOnError: null
}

const oursAlone: RedisOptions = { ...ours, retryStrategy: backoff, sentinelRetryStrategy: backoff }

/** In a Cluster, the parts of ioredis that manage its nodes keep their own reconnect settings. */
const oursOfNode: RedisOptions = { ...ours, enableOfflineQueue: undefined, lazyConnect: undefined, autoResubscribe: undefined }

const oursInCluster: ClusterOptions = {
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  lazyConnect: true,
  keyPrefix: '',
  shardedSubscribers: true,
  scaleReads: 'master',
  slotsRefreshInterval: 2_000,
  // A publication that was sent and not answered may be stored. Sending it again could store it twice.
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  clusterRetryStrategy: backoff
}

/** Creates a client like the app's, with our own settings. It does not connect yet. Throws RT_ERR_OPTIONS. */
export function createConnection ({ client, url }: RedisAddress): RedisClient {
  const created = client === undefined ? open(url) : duplicate(client)
  if (!isCluster(created) && Number.isNaN(created.options.db)) {
    throw new errors.OPTIONS("the database of the Redis broker is not a number. Write it at the end of the 'url', like 'redis://localhost:6379/1'")
  }
  return created
}

function open (url: string | undefined): Redis {
  if (url === undefined || !/^rediss?:\/\//.test(url)) {
    throw new errors.OPTIONS("the Redis broker needs a server. Pass 'client', an ioredis client, or 'url', like 'redis://localhost:6379'")
  }
  try {
    return new Redis(url, oursAlone)
  } catch {
    // The error contains the whole URL, with the password.
    throw new errors.OPTIONS("the 'url' of the Redis broker cannot be read. Write it like 'redis://user:password@localhost:6379/0', with encodeURIComponent for user and password")
  }
}

function duplicate (client: RedisClient): RedisClient {
  if (!isCluster(client)) return client.duplicate(oursAlone)
  const { redisOptions } = client.options
  return client.duplicate([], { ...oursInCluster, redisOptions: { ...redisOptions, ...oursOfNode } as ClusterOptions['redisOptions'] })
}

/** Closes a connection permanently. */
export function end (connection: RedisClient): void {
  if (isCluster(connection)) {
    // Requests of ioredis that are in progress would continue, connect to the nodes again and never stop.
    connection.options.clusterRetryStrategy = null
    Object.assign(connection, { refreshSlotsCache: () => {} })
    const endAgain = () => { setImmediate(() => connection.disconnect()) }
    connection.on('+node', endAgain).on('+subscriber', endAgain)
  }
  connection.disconnect()
}

export function isCluster (client: RedisClient | undefined): client is Cluster {
  return client?.isCluster === true
}

/** Whether commands are sent at once. */
export function isReady (connection: RedisClient): boolean {
  return connection.status === 'ready'
}

/** Server of a Cluster that has a slot; `undefined` for a single server, and while it is not known. */
export function serverOf (connection: RedisClient, slot: number): string | undefined {
  return isCluster(connection) ? connection.slots[slot]?.[0] : undefined
}

/** Whether commands to a server are sent at once. */
export function isReachable (connection: RedisClient, server: string | undefined): boolean {
  if (!isCluster(connection) || !isReady(connection)) return isReady(connection)
  const node = connection.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === server)
  return node?.status === 'ready'
}

/** Options for `within`: a timeout calls `onLate`, and rejects. */
export function unanswered (onLate = () => {}): { late: () => Error } {
  return {
    late: () => {
      onLate()
      return new Error('Redis does not answer')
    }
  }
}
