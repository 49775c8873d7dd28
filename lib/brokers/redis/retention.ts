import type { LogLimits } from '../../logs/log.js'
import type { Retention, StoredRetention } from '../broker.js'

/** Limits of a channel's stream in Redis. */
export interface StreamLimits {
  /** Maximum number of publications. */
  readonly size: number
  /** Time during which they are kept, in ms. */
  readonly ttl: number
  /** Maximum bytes. The newest publications stay, whatever their size. */
  readonly bytes: number
  /** TTL of the meta, in ms. Default: it outlives the publications, and lasts for 24 h. */
  readonly headTtl?: number | undefined
}

/** Limits of a channel: of its log on this node, and of its stream. */
export interface ChannelLimits {
  readonly log: Pick<LogLimits, 'size' | 'ttl'>
  readonly stream: StreamLimits
}

/** Limits of channels, by the retention that callers pass. */
export class Retentions {
  /** Limits of channels without a retention of their own. */
  readonly defaults: ChannelLimits
  readonly #known = new WeakMap<Retention, ChannelLimits>()

  /** Defaults: 100 publications, 300 s, 4 MiB. */
  constructor ({ size = 100, ttl = 300_000, bytes = 4 * 1024 * 1024 }: StoredRetention = {}) {
    this.defaults = { log: { size, ttl }, stream: { size, ttl, bytes } }
  }

  of (retention: Retention | undefined): ChannelLimits {
    if (retention === undefined) return this.defaults
    let limits = this.#known.get(retention)
    if (limits === undefined) this.#known.set(retention, limits = this.#resolve(retention))
    return limits
  }

  #resolve ({ size, ttl, stored = {} }: Retention): ChannelLimits {
    const { log, stream } = this.defaults
    const own = { size: size ?? log.size, ttl: ttl ?? log.ttl }
    const { headTtl } = stored
    const limits = { size: stored.size ?? own.size, ttl: stored.ttl ?? own.ttl, bytes: stored.bytes ?? stream.bytes }
    return { log: own, stream: headTtl === undefined ? limits : { ...limits, headTtl } }
  }
}

/** Minimum default TTL of a meta, in ms. */
export const leastMetaTtl = 24 * 60 * 60 * 1_000

/** TTL of a meta (epoch and head), in ms. It outlives the publications: no offset occurs twice in an epoch. `append` does the same. */
export function metaTtlOf ({ ttl, headTtl }: Pick<StreamLimits, 'ttl' | 'headTtl'>): number {
  return headTtl ?? Math.max(leastMetaTtl, 2 * ttl)
}

/** Limits as they are stored in a meta, for nodes that do not know them. The TTL of the meta is the last one, if it is not the default. */
export function encodeLimits ({ size, ttl, bytes, headTtl }: StreamLimits): string {
  const limits = `${size} ${ttl} ${bytes}`
  return headTtl === undefined ? limits : `${limits} ${headTtl}`
}
