import { Cluster, Redis, type ClusterOptions, type RedisOptions } from 'ioredis'
import { errors } from '../../../errors.js'

/** The app's own client: single, Sentinel or Cluster. */
export type RedisClient = Redis | Cluster

export interface RedisAddress {
  /** The app's own ioredis client. It is only asked for its settings: all traffic goes over connections of our own. */
  client?: RedisClient | undefined
  /** Instead of a client: `redis://…` or `rediss://…`. */
  url?: string | undefined
}

/** Milliseconds in which an answer, if only to a ping, shows that a connection is alive. */
const silence = 4_000

/** Milliseconds until the next attempt: jittered, so that the nodes of an app do not all come back at once. */
function backoff (attempt: number): number {
  return 20 + Math.random() * Math.min(1_000, 50 * 2 ** Math.min(attempt, 10))
}

/** What is sent is settled by whoever sent it: ioredis neither keeps it until Redis is back nor sends it again. */
const ours: RedisOptions = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  autoResubscribe: false,
  // What was sent when a connection ends is rejected then, and not when it is back.
  maxRetriesPerRequest: 0,
  enableAutoPipelining: false,
  lazyConnect: true,
  // Less than a start waits, and enough for one SYN that is lost (RFC 6298: sent again after 1 s).
  connectTimeout: 1_500,
  socketTimeout: silence,
  keyPrefix: '',
  stringNumbers: false,
  readOnly: false,
  commandTimeout: undefined,
  reconnectOnError: null
}

const oursAlone: RedisOptions = { ...ours, retryStrategy: backoff, sentinelRetryStrategy: backoff }

/** In a Cluster the parts of ioredis that look after its nodes keep their own ways of coming back. */
const oursOfNode: RedisOptions = { ...ours, enableOfflineQueue: undefined, lazyConnect: undefined, autoResubscribe: undefined }

const oursInCluster: ClusterOptions = {
  enableOfflineQueue: false,
  enableAutoPipelining: false,
  lazyConnect: true,
  keyPrefix: '',
  shardedSubscribers: true,
  scaleReads: 'master',
  slotsRefreshInterval: 2_000,
  // A publication that was sent and not answered may be stored: sending it again could store it twice.
  retryDelayOnFailover: 0,
  retryDelayOnClusterDown: 0,
  clusterRetryStrategy: backoff
}

/** A client like the app's, with settings of our own, which does not connect yet. Throws RT_ERR_OPTIONS. */
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
    // The error has the whole URL in it, and that the password.
    throw new errors.OPTIONS("the 'url' of the Redis broker cannot be read. Write it like 'redis://user:password@localhost:6379/0', with encodeURIComponent for user and password")
  }
}

function duplicate (client: RedisClient): RedisClient {
  if (!isCluster(client)) return client.duplicate(oursAlone)
  const { redisOptions } = client.options
  return client.duplicate([], { ...oursInCluster, redisOptions: { ...redisOptions, ...oursOfNode } as ClusterOptions['redisOptions'] })
}

/** Ends a connection for good. */
export function end (connection: RedisClient): void {
  if (isCluster(connection)) {
    // What ioredis is asking the Cluster when it ends goes on: it connects to its nodes again, and asks for ever.
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

/** Whether what is sent now goes out at once. */
export function isReady (connection: RedisClient): boolean {
  return connection.status === 'ready'
}

/** Of the servers of a Cluster the one that has a slot; `undefined` of a single one, and while that is not known. */
export function serverOf (connection: RedisClient, slot: number): string | undefined {
  return isCluster(connection) ? connection.slots[slot]?.[0] : undefined
}

/** Whether what is sent to a server now goes out at once. */
export function isReachable (connection: RedisClient, server: string | undefined): boolean {
  if (!isCluster(connection) || !isReady(connection)) return isReady(connection)
  const node = connection.nodes('master').find(({ options: { host, port } }) => `${host}:${port}` === server)
  return node?.status === 'ready'
}

/** For `within`: calls `onLate`, and rejects. */
export function unanswered (onLate = () => {}): { late: () => Error } {
  return {
    late: () => {
      onLate()
      return new Error('Redis does not answer')
    }
  }
}
