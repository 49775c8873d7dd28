import { parseSince, type Position, type Since } from '../../protocol/position.js'
import type { ChannelKind } from '../kinds.js'
import { Subscription, type OpenChannel, type Subscriber } from './subscription.js'

/** Offsets at which a connection starts to read. */
export interface Start {
  /** One offset per log. */
  offsets: number[]
  /** Whether everything after the given positions will be read; absent if no position was given. */
  recovered?: boolean
}

/** The `since` of a client, or the default start of its channel; `undefined` if `since` is invalid. */
export type Wanted = Since | 'now' | 'beginning' | undefined

/** Start that a connection requests: its `since`, or the default start of its channel; `undefined` if `since` is invalid. */
export function sinceOf (since: unknown, { start }: ChannelKind): Wanted {
  if (since === undefined) return start
  return typeof since === 'string' ? parseSince(since) : undefined
}

/**
 * Start of a connection in each of its logs. If one of its positions cannot be recovered, it starts at the head of all logs: recovery is
 * never partial. It starts at the head of a log for which it gives no position.
 */
export function startOf (logs: OpenChannel[], since: Wanted): Start {
  const heads = logs.map(({ log }) => log.head)
  if (since === 'now') return { offsets: heads }
  if (since === 'beginning') return { offsets: logs.map(({ log }) => log.beginning) }
  if (since === 'all') return { offsets: logs.map(({ log }) => log.beginning), recovered: logs.every(({ log }) => log.beginning === 0) }
  const positions = logs.map(({ kind }) => since?.get(kind.label))
  const given = positions.filter(position => position !== undefined)
  const canRecover = (position: Position | undefined, at: number) => position === undefined || logs[at].log.canRecover(position)
  const recovered = given.length > 0 && positions.every(canRecover)
  return { offsets: recovered ? positions.map((position, at) => position?.offset ?? heads[at]) : heads, recovered }
}

/** Fields of `connection_ack` about the recovery. */
export interface Recovered {
  /** Position of the connection before the first frame after the ack, one per channel. */
  position: string
  recovered?: boolean
  /** Number of frames that follow the ack at once. After `recovered: false`, the frames published since the cursors were set. */
  replayed: number
}

/** Start of a connection. */
export interface Concluded extends Recovered {
  /** Approximate bytes of the replayed frames. */
  bytes: number
}

/** Cursors of a connection, from the moment that they are set until `connection_ack` reports their positions. */
export class Recovery {
  readonly subscriptions: Subscription[]
  readonly #recovered: boolean | undefined
  readonly #position: string

  constructor (subscriber: Subscriber, logs: OpenChannel[], since: Wanted) {
    const { offsets, recovered } = startOf(logs, since)
    this.subscriptions = logs.map((channel, at) => new Subscription(subscriber, channel, offsets[at]))
    this.#recovered = recovered
    this.#position = this.#positions()
  }

  /** Whether everything after the given positions will be read. */
  get isRecovered (): boolean {
    return this.#recovered === true
  }

  /** Start of the connection. If publications to recover have left the logs meanwhile, all cursors move to the heads. */
  conclude (): Concluded {
    const isLost = this.subscriptions.some(subscription => subscription.isLost())
    if (isLost) for (const subscription of this.subscriptions) subscription.skipToHead()
    const behind = this.subscriptions.map(subscription => subscription.behind)
    return {
      position: isLost ? this.#positions() : this.#position,
      recovered: isLost ? false : this.#recovered,
      replayed: behind.reduce((sum, count) => sum + count, 0),
      bytes: this.subscriptions.reduce((sum, { log }, at) => sum + log.bytes * Math.min(1, behind[at] / Math.max(1, log.length)), 0)
    }
  }

  #positions (): string {
    return this.subscriptions.map(subscription => subscription.position).join(',')
  }
}
