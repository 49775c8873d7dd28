import type { Position } from '../protocol/position.js'
import type { Log, LogLimits, Publication } from '../logs/log.js'

/** Makes an empty log for a channel; what it holds of publications, and how, is the log's business. */
export type CreateLog = (channel: string, epoch: string, limits: LogLimits) => Log

/** Retention of a channel. The broker's options supply missing fields. */
export interface Retention {
  /** Maximum number of publications that can be recovered. */
  readonly size?: number | undefined
  /** Time for which a publication can be recovered, in ms. */
  readonly ttl?: number | undefined
  /**
   * Retention in a store that several nodes share; default: the same. A log that merges publications is built from many more than
   * can be recovered from it.
   */
  readonly stored?: StoredRetention | undefined
}

/** Retention of a channel in a shared store. The broker's options supply missing fields. */
export interface StoredRetention {
  /** Maximum number of publications. */
  readonly size?: number | undefined
  /** Time for which they are kept, in ms. */
  readonly ttl?: number | undefined
  /** Maximum bytes. The newest publication stays, whatever its size. */
  readonly bytes?: number | undefined
}

/** The part of a logger that a broker writes to. Those of Fastify and pino fit. */
export interface BrokerLog {
  error (fields: object, message: string): void
  info (fields: object, message: string): void
}

/** Whoever a channel's memory is counted for: a user, or the channel itself. */
export type OwnerOf = (channel: string) => string

/** What a broker is given of the app that it serves. */
export interface BrokerHost {
  /** Where outages and their ends go, with their causes. Default: nowhere. */
  log?: BrokerLog | undefined
  /** Default: each channel stands for itself. */
  ownerOf?: OwnerOf | undefined
  /**
   * Bytes of a user that this node may store within the time that they are kept, where the store is shared with other nodes. `publish`
   * rejects with RT_ERR_OVER_QUOTA beyond that. Default: no limit.
   */
  stored?: number | undefined
}

/**
 * Where the channels' logs live. A broker owes its callers:
 *
 * - **Order.** Publications of a channel have the offsets 1, 2, 3 … of one epoch, and every log of that
 *   channel, on every node, has them in that order and without a hole.
 * - **Atomicity.** Storing a publication, giving it its offset and announcing it to every subscribed node
 *   are one step: no log shows an offset that another log gives to another publication.
 * - **Truth.** Within 2 s `publish` resolves once the publication is stored, rejects with RT_ERR_BROKER when it is not, and with
 *   RT_ERR_UNCONFIRMED when that is not known.
 * - **Loss is visible.** A broker that has lost or restarted a channel continues it under another epoch.
 *
 * The broker is the only way to a subscriber: what is published on this node comes back through its log too.
 */
export interface Broker {
  /**
   * Called once, before anything else: a broker serves one app. Throws or rejects when it was opened before or is closed, with
   * RT_ERR_BROKER_USED, and when its configuration is wrong in a way that waiting does not cure. A store that is away is no
   * reason to fail: the first failure of each outage goes to the host's `log` with its cause, and so does the end of the outage. Until
   * it is opened a broker holds nothing that keeps the process running.
   */
  open (createLog: CreateLog, host?: BrokerHost): void | Promise<void>

  /**
   * Appends `body`, a JSON object as text, to the channel's log.
   * Calls for one channel are stored in the order in which they were made.
   * `retention` is that of the channel; it must be the same for all publications of a channel.
   * `publication` is the object that `body` was made of. It must not change afterwards. A log in this process then does not parse `body`.
   */
  publish (channel: string, body: string, retention?: Retention, publication?: Publication): Position | Promise<Position>

  /**
   * The log of a channel, holding what is retained and receiving what is published from now on, for as long as it
   * has readers. Once it has had none for a second it may be let go of; whoever wants it then subscribes again.
   * `retention` as for `publish`.
   */
  subscribe (channel: string, retention?: Retention): Log | Promise<Log>

  /** Retention that the broker's options give for kinds of channels, by kind name. Publishers of these kinds pass it with each call. */
  readonly retentions?: Readonly<Record<string, Retention>> | undefined

  /** What spans the nodes of an app; absent where the logs end with the process, and there is but one node. */
  readonly nodes?: Nodes

  /** What it holds at the moment, for `fastify.ws.stats()`. */
  stats (): BrokerStats

  /**
   * Frees everything, also of a broker that was never opened. Called again it does nothing. Afterwards everything else rejects or
   * throws.
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
 * What the nodes of an app know of each other. A node that ends, or that has not been heard of for 15 s, is dead to the
 * others. Everything here that returns a promise rejects within 2 s, with RT_ERR_BROKER when it could not be done, or with
 * RT_ERR_UNCONFIRMED when that is not known.
 */
export interface Nodes {
  /** This node's, unlike any other's, and another one after each start. */
  readonly id: string

  /**
   * Gives a message, JSON as text, to every other node, once and in the order in which they were stored. Who is cut off for
   * longer than the history of a channel reaches misses it. Resolves once it is stored.
   */
  tell (message: string): Promise<void>
  /** Returns what unbinds the listener. */
  onTold (listener: (message: string, from: string) => void): () => void

  /**
   * Makes a connection known under a key, unless `limit` others are, on all nodes. Whether it is known now. Connections of
   * a node that is silent do not count: before one is refused because of them, that node is given the time to show that it is there.
   */
  enter (key: string, connectionId: string, limit: number): Promise<boolean>
  /** It is gone, as soon as that can be told. Entering it again needs another id. */
  leave (key: string, connectionId: string): void
  /** The connections under a key on all nodes; those of a dead node are not among them. */
  present (key: string): Promise<Presence[]>

  /**
   * Whether this is the first claim of a holder to `key`, on any node, within the milliseconds of the one before. Of a holder, a user
   * id, at least the 1,000 newest claims are remembered.
   */
  claim (holder: string, key: string, ms: number): Promise<boolean>

  /** Holds `key` in the name of this node until it is released. Resolves `undefined` when somebody holds it. */
  hold (key: string, data: string): Promise<Lease | undefined>
  /**
   * When the holder of a lease is dead, exactly one of the others is given it, within 15 s, and holds it from then on, until
   * it releases it: should that one end before, it goes to the next. Returns what unbinds the listener.
   */
  onInherited (listener: (lease: Lease) => void): () => void
}

export interface Presence {
  readonly connectionId: string
  /** The node that it is on. */
  readonly node: string
}

export interface Lease {
  readonly key: string
  /** As it was given to `hold`. */
  readonly data: string
  /** Aborted when the others took this node for dead and it came back: another one has the lease, or had it. */
  readonly lost: AbortSignal
  release (): Promise<void>
}
