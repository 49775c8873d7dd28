import type { LoopClock } from '../../time/loop-clock.js'

export interface TokenRate {
  /** Tokens that come back per second. */
  rate: number
  /** Tokens at once. */
  burst: number
}

/** Milliseconds for which credited tokens can be used. */
const creditKeep = 10_000

/** Milliseconds that are credited at most. */
const maxCredit = 10_000

/** Milliseconds after which what was taken before it was there has come back at the latest. */
const maxWait = 10_000

/**
 * Tokens that come back with time. What the event loop is late by is credited beyond the burst: whoever sends at an even pace has
 * many frames waiting after it, and is within the rate all the same.
 */
export class TokenBucket {
  readonly #rate: number
  readonly #burst: number
  readonly #clock: LoopClock
  #tokens: number
  #credit = 0
  #creditedAt = 0
  /** Milliseconds since it was filled that were excused. */
  #excused = 0
  #filledAt: number

  constructor ({ rate, burst }: TokenRate, clock: LoopClock) {
    this.#rate = rate / 1_000
    this.#burst = burst
    this.#clock = clock
    this.#tokens = burst
    this.#filledAt = clock.now()
    // What comes first may have been sent while the event loop was late.
    this.#credit = clock.lateSince(-Infinity) * this.#rate
    this.#creditedAt = this.#filledAt
  }

  /** Takes a token; `false` when there is none. */
  take (): boolean {
    this.#fill()
    if (this.#tokens + this.#credit < 1) return false
    this.#spend(1)
    return true
  }

  /** Takes tokens, also those that are not there yet. Returns the milliseconds until they are. */
  spend (amount: number): number {
    this.#fill()
    this.#spend(amount)
    return this.#debtTime
  }

  /** What was sent could not be read lately, for a time in milliseconds. The tokens of that time are there beyond the burst, too. */
  excuse (ms: number): void {
    this.#excused += ms
  }

  /** Milliseconds until what was taken before it was there has come back. */
  get wait (): number {
    this.#fill()
    return this.#debtTime
  }

  /** Milliseconds until it is full. */
  get emptiness (): number {
    this.#fill()
    return (this.#burst - this.#tokens) / this.#rate
  }

  get #debtTime (): number {
    return Math.max(0, -(this.#tokens + this.#credit) / this.#rate)
  }

  #spend (amount: number): void {
    const credited = Math.min(this.#credit, amount)
    this.#credit -= credited
    this.#tokens = Math.max(this.#tokens - amount + credited, -maxWait * this.#rate)
  }

  #fill (): void {
    const now = this.#clock.now()
    if (now - this.#creditedAt >= creditKeep) this.#credit = 0
    const filled = this.#tokens + (now - this.#filledAt) * this.#rate
    const beyond = filled - this.#burst
    if (beyond > 0) this.#keep(beyond, this.#clock.lateSince(this.#filledAt) + this.#excused, now)
    this.#tokens = Math.min(this.#burst, filled)
    this.#filledAt = now
    this.#excused = 0
  }

  /** Credits what does not fit into the burst, as far as it came back in time that was excused. */
  #keep (beyond: number, ms: number, now: number): void {
    if (ms <= 0) return
    this.#credit = Math.min(this.#credit + Math.min(beyond, ms * this.#rate), maxCredit * this.#rate)
    this.#creditedAt = now
  }
}
