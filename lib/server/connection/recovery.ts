import type { Log } from '../../logs/log.js'
import { parseSince, type Position, type Since } from '../../protocol/position.js'
import type { ChannelKind } from '../kinds.js'
import { Subscription, type Subscriber } from './subscription.js'

/** A channel's log, and the kind of the channel. */
export interface KindLog {
  readonly kind: ChannelKind
  readonly log: Log
}

/** Where a connection starts to read. */
export interface Start {
  /** One offset per log. */
  offsets: number[]
  /** Whether all that came after the given positions will be read; absent when none was asked for. */
  recovered?: boolean
}

/** The `since` of a client, or where its channel starts without one. `undefined`: a `since` that is none. */
type Wanted = Since | 'now' | 'beginning' | undefined

/** What a connection asks for: its `since`, or where subscriptions to its channel start without one. `undefined` when it makes no sense. */
export function sinceOf (query: unknown, { start }: ChannelKind): Wanted {
  const { since } = query as { since?: unknown }
  if (since === undefined) return start
  return typeof since === 'string' ? parseSince(since) : undefined
}

/**
 * Where a connection starts in each of its logs. When any of its positions cannot be recovered it starts at the head of
 * all of them: recovery is never partial. A log that it gives no position for starts at its head.
 */
export function startOf (logs: KindLog[], since: Wanted): Start {
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

/** What `connection_ack` says of it. */
export interface Recovered {
  /** Where the connection is before the first frame after its ack, one position per channel. */
  position: string
  recovered?: boolean
  /** How many frames follow the ack at once; after `recovered: false` those of the meantime. */
  replayed: number
}

/** What a connection starts with. */
export interface Concluded extends Recovered {
  /** Bytes of what is replayed, about. */
  bytes: number
}

/** A connection's cursors, from the moment that they are set until the client is told where they stand. */
export class Recovery {
  readonly subscriptions: Subscription[]
  readonly #recovered: boolean | undefined
  readonly #position: string

  constructor (subscriber: Subscriber, logs: KindLog[], since: Wanted) {
    const { offsets, recovered } = startOf(logs, since)
    this.subscriptions = logs.map(({ kind, log }, at) => new Subscription(subscriber, kind, log, offsets[at]))
    this.#recovered = recovered
    this.#position = this.#positions()
  }

  /** What was to be recovered may have left the logs meanwhile: then all of them start at their heads. */
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
