import type { Position } from '../protocol/position.js'
import type { Log, LogLimits, Publication } from '../logs/log.js'

/** Creates an empty log for a channel. The log decides how it keeps publications. */
export type CreateLog = (channel: string, epoch: string, limits: LogLimits) => Log

/** Retention of a channel. The broker's options supply missing fields. */
export interface Retention {
  /** Maximum number of publications that can be recovered. */
  readonly size?: number | undefined
  /** Time during which a publication can be recovered, in ms. */
  readonly ttl?: number | undefined
  /**
   * Retention in a store that several nodes share. Default: the same. A log that merges publications is built from many more than can be
   * recovered from it.
   */
  readonly stored?: StoredRetention | undefined
}

/** Retention of a channel in a shared store. The broker's options supply missing fields. */
export interface StoredRetention {
  /** Maximum number of publications. */
  readonly size?: number | undefined
  /** Time during which they are kept, in ms. */
  readonly ttl?: number | undefined
  /** Maximum bytes. The newest publication stays, whatever its size. */
  readonly bytes?: number | undefined
  /**
   * Time for which the epoch and the head of a channel outlive its last publication and the last node that has followed it, in ms. Later
   * the channel begins again, in another epoch. Default: 24 h, or twice the `ttl`.
   */
  readonly headTtl?: number | undefined
}

/** Methods of a logger that a broker uses. Those of Fastify and pino fit. */
export interface BrokerLog {
  error (fields: object, message: string): void
  info (fields: object, message: string): void
}

/** Returns the owner for which a channel's memory is counted: a user, or the channel itself. */
export type OwnerOf = (channel: string) => string

/** What an app passes to its broker. */
export interface BrokerHost {
  /** Logger for outages and their ends, with their causes. Default: nothing is logged. */
  log?: BrokerLog | undefined
  /** Owner of a channel. Default: each channel is its own owner. */
  ownerOf?: OwnerOf | undefined
  /**
   * Maximum bytes of a user that this node stores within the time that they are kept, if the store is shared with other nodes. Beyond
   * that, `publish` rejects with RT_ERR_OVER_QUOTA. Default: no limit.
   */
  stored?: number | undefined
}

/**
 * Stores the logs of the channels. A broker guarantees:
 *
 * - **Order.** Publications of a channel have the offsets 1, 2, 3 … of one epoch. Every log of that channel, on every node, has them in
 *   that order and without gaps.
 * - **Atomicity.** Storing a publication, assigning its offset and announcing it to every subscribed node are one step: no log shows an
 *   offset that another log assigns to another publication.
 * - **Truth.** Within 2 s, `publish` resolves if the publication is stored, rejects with RT_ERR_BROKER if it is not stored, and rejects
 *   with RT_ERR_UNCONFIRMED if that is not known.
 * - **Visible loss.** A broker that has lost or restarted a channel continues it under another epoch.
 *
 * Publications reach subscribers only through the broker: one that is published on this node also arrives through its log.
 */
export interface Broker {
  /**
   * Called once, before anything else: a broker serves one app. Throws or rejects with RT_ERR_BROKER_USED if it is closed or was opened
   * before, and with another error if its configuration has a fault that waiting does not cure. An unreachable store is not an error: the
   * broker logs the first failure of each outage, with its cause, and the end of the outage to the host's `log`. Before `open`, a broker
   * holds nothing that keeps the process running.
   */
  open (createLog: CreateLog, host?: BrokerHost): void | Promise<void>

  /**
   * Appends `body`, a JSON object as text, to the channel's log.
   * Calls for one channel are stored in the order in which they are made.
   * `retention` is that of the channel, and must be the same for all its publications.
   * `publication` is the object from which `body` was made, and must not change afterwards. Logs in this process use it instead of parsing.
   */
  publish (channel: string, body: string, retention?: Retention, publication?: Publication): Position | Promise<Position>

  /**
   * Returns the log of a channel. It contains the retained publications, and receives later ones while it has readers. A log without
   * readers for a second may be released: subscribe again before the next use. `retention` as for `publish`.
   */
  subscribe (channel: string, retention?: Retention): Log | Promise<Log>

  /** Retention of channel kinds according to the broker's options, by kind name. Callers pass it to `publish` and `subscribe`. */
  readonly retentions?: Readonly<Record<string, Retention>> | undefined

  /** Coordination between the nodes of an app; absent if the logs end with the process, so that there is only one node. */
  readonly nodes?: Nodes

  /** Current contents, for `fastify.ws.stats()`. */
  stats (): BrokerStats

  /**
   * Releases everything, even if the broker was never opened. Further calls have no effect. All other methods then reject or throw.
   */
  close (): void | Promise<void>
}

export interface BrokerStats {
  /** Channels with a log on this node. */
  channels: number
  /** Publications retained in them. */
  publications: number
  /** Bytes retained in them, frames and bookkeeping. */
  bytes: number
}

/**
 * Coordination between the nodes of an app. Other nodes regard a node as dead when it ends, or when they have received nothing from it for
 * 15 s. Every promise here settles within 2 s. It rejects with RT_ERR_BROKER if the operation failed, and with RT_ERR_UNCONFIRMED if
 * that is not known.
 */
export interface Nodes {
  /** Id of this node. Unique, and different after each start. */
  readonly id: string

  /** Ids of the nodes that are alive, this one included; `undefined` while that is not known: the store does not answer. */
  readonly alive: readonly string[] | undefined
  /** Calls `listener` whenever `alive` was read again, at least every 5 s, or became unknown. Returns a function that removes it. */
  onAlive (listener: () => void): () => void

  /**
   * Sends a message, JSON as text, to every other node, once and in the order in which messages were stored. A node that is disconnected
   * for longer than the history of a channel covers misses it. Resolves when it is stored.
   */
  tell (message: string): Promise<void>
  /** Adds a listener for messages of other nodes. Returns a function that removes it. */
  onTold (listener: (message: string, from: string) => void): () => void

  /**
   * Registers a connection under a key, unless `limit` others are registered, on all nodes. Resolves with whether it is registered.
   * Connections of a silent node do not count: before a connection is refused because of them, that node gets time to respond.
   */
  enter (key: string, connectionId: string, limit: number): Promise<boolean>
  /** Removes a connection, as soon as the store can be reached. Entering it again requires another id. */
  leave (key: string, connectionId: string): void
  /** Connections under a key on all nodes, except those of dead nodes. */
  present (key: string): Promise<EnteredConnection[]>

  /**
   * Resolves with whether this is the first claim of a holder to `key`, on any node, within the `ms` of the previous claim. `holder` is a
   * user id; at least its 1,000 newest claims are remembered.
   */
  claim (holder: string, key: string, ms: number): Promise<boolean>

  /** Holds `key` for this node until it is released. Resolves with `undefined` if `key` is held already. */
  hold (key: string, data: string): Promise<Lease | undefined>
  /**
   * Calls `listener` with the leases that this node inherits. When the holder of a lease is dead, exactly one other node inherits it,
   * within 15 s, and holds it until it releases it or dies as well. Returns a function that removes the listener.
   */
  onInherited (listener: (lease: Lease) => void): () => void
}

/** A connection that is registered under a key. */
export interface EnteredConnection {
  readonly connectionId: string
  /** Id of its node. */
  readonly node: string
}

export interface Lease {
  readonly key: string
  /** Data that was passed to `hold`. */
  readonly data: string
  /** Aborted if this node was regarded as dead and has returned: another node has the lease, or had it. */
  readonly lost: AbortSignal
  release (): Promise<void>
}
