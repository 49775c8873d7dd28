import { never, type Precedes } from '../../../logs/log.js'

/** Time for which a position in a channel without a publication is good, in ms. A channel that had one has its meta for longer. */
const trustedFor = 23 * 60 * 60 * 1_000

/** Time for which such positions stay the same, in ms. */
const renewedEvery = 60 * 60 * 1_000

const pattern = /^unborn([0-9a-z]{9})([0-9a-z]+)$/

/** Whether an epoch is one of `Unborn`. */
export function isUnborn (epoch: string): boolean {
  return epoch.startsWith('unborn')
}

/** For a channel that always has its own epoch. */
export const alwaysBorn = { epoch: '', precedes: () => never }

/**
 * Epochs of channels that have no publication yet. Nothing is stored for such a channel: it gets its own epoch with its first
 * publication. Until then its epoch says when there was none, on Redis' clock, and in which era.
 *
 * From such a position everything can be recovered that a channel has had since, if none of it has left the history: unless the channel
 * could have been there and expired meanwhile, or Redis has lost its data, which begins another era.
 */
export class Unborn {
  readonly #era: () => string
  readonly #now: () => number | undefined
  /** Redis' clock when the epoch was made. */
  #time = -Infinity
  #madeIn = ''
  #epoch = ''

  /** `era` names this incarnation of the data in Redis. `now` is Redis' clock, in ms; `undefined` while that is not known. */
  constructor (era: () => string, now: () => number | undefined) {
    this.#era = era
    this.#now = now
  }

  /** The epoch of every channel that has no publication at the moment. */
  get epoch (): string {
    const era = this.#era()
    const now = this.#now() ?? this.#time
    if (era === this.#madeIn && Math.abs(now - this.#time) < renewedEvery) return this.#epoch
    this.#time = now
    this.#madeIn = era
    this.#epoch = `unborn${Math.max(0, now).toString(36).padStart(9, '0')}${era}`
    return this.#epoch
  }

  /** The epochs that stand for a channel which is read now. */
  precedes (): Precedes {
    const { epoch } = this
    const [, , era] = pattern.exec(epoch)!
    const first = (this.#now() ?? this.#time) - trustedFor
    return epoch => {
      const [, time, itsEra] = pattern.exec(epoch) ?? []
      return itsEra === era && parseInt(time, 36) >= first
    }
  }
}
