import type { Position } from '../protocol/position.js'
import type { Log, LogLimits } from './log.js'

/** Makes an empty log for a channel; what it holds of publications, and how, is the log's business. */
export type CreateLog = (channel: string, epoch: string, limits: LogLimits) => Log

/**
 * Where the channels' logs live. A broker owes its callers:
 *
 * - **Order.** Publications of a channel have the offsets 1, 2, 3 … of one epoch, and every log of that
 *   channel, on every node, has them in that order and without a hole.
 * - **Atomicity.** Storing a publication, giving it its offset and announcing it to every subscribed node
 *   are one step: no log shows an offset that another log gives to another publication.
 * - **Truth.** `publish` resolves once the publication is stored, and rejects when it is not, within 2 s.
 * - **Loss is visible.** A broker that has lost or restarted a channel continues it under another epoch.
 *
 * The broker is the only way to a subscriber: what is published on this node comes back through its log too.
 */
export interface Broker {
  /** Called once, before anything else. */
  open (createLog: CreateLog): void | Promise<void>

  /**
   * Appends `body`, a JSON object as text, to the channel's log.
   * Calls for one channel are stored in the order in which they were made.
   */
  publish (channel: string, body: string): Position | Promise<Position>

  /**
   * The log of a channel, holding what is retained and receiving what is published from now on, for as long as it
   * has readers. Once it has had none for a second it may be let go of; whoever wants it then subscribes again.
   */
  subscribe (channel: string): Log | Promise<Log>

  /** What it holds at the moment, for `fastify.ws.stats()`. */
  stats (): BrokerStats

  /** Frees everything. Afterwards `publish` and `subscribe` reject or throw. */
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
