import { never, type Precedes } from '../../../logs/log.js'

/** Maximum time during which a position in a channel without a publication is valid, in ms. */
const maxTrustedFor = 23 * 60 * 60 * 1_000

/** Time, in ms, by which a channel with a publication has its meta for longer. */
const margin = 60 * 60 * 1_000

/** Time during which such positions stay the same, in ms. */
const renewedEvery = 60 * 60 * 1_000

const pattern = /^unborn([0-9a-z]{9})([0-9a-z]+)$/

/** Whether an epoch is one of `Unborn`. */
export function isUnborn (epoch: string): boolean {
  return epoch.startsWith('unborn')
}

/** For a channel that always has its own epoch. */
export const alwaysBorn = { epoch: '', precedes: () => never }

/**
 * Epochs of channels that have no publication yet. Redis stores nothing for such a channel: it gets its own epoch with its first
 * publication. Until then, its epoch contains the time on Redis's clock at which it had none, and the era.
 *
 * Everything that a channel published since can be recovered from such a position, if none of it has left the history. Exceptions: the
 * channel may have existed and expired meanwhile, or Redis has lost its data, which begins another era.
 */
export class Unborn {
  readonly #era: () => string
  readonly #now: () => number | undefined
  /** Time of the current epoch on Redis's clock, in ms. */
  #time = -Infinity
  #madeIn = ''
  #epoch = ''

  /** `era`: identifies this incarnation of the data in Redis. `now`: Redis's clock, in ms; `undefined` while it is not known. */
  constructor (era: () => string, now: () => number | undefined) {
    this.#era = era
    this.#now = now
  }

  /** Epoch of every channel that has no publication at the moment. */
  get epoch (): string {
    const era = this.#era()
    const now = this.#now() ?? this.#time
    if (era === this.#madeIn && Math.abs(now - this.#time) < renewedEvery) return this.#epoch
    this.#time = now
    this.#madeIn = era
    this.#epoch = `unborn${Math.max(0, now).toString(36).padStart(9, '0')}${era}`
    return this.#epoch
  }

  /**
   * Matches the epochs that denote a channel that is read now, before its first publication. `metaTtl`: TTL of its meta, in ms. Within it
   * the channel cannot have existed and expired.
   */
  precedes (metaTtl = Infinity): Precedes {
    const trustedFor = Math.min(maxTrustedFor, metaTtl - Math.min(margin, metaTtl / 2))
    const { epoch } = this
    const [, , era] = pattern.exec(epoch)!
    const first = (this.#now() ?? this.#time) - trustedFor
    return epoch => {
      const [, time, itsEra] = pattern.exec(epoch) ?? []
      return itsEra === era && parseInt(time, 36) >= first
    }
  }
}
