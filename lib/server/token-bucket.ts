import type { LoopClock } from './loop-clock.js'

export interface TokenRate {
  /** Tokens that come back per second. */
  rate: number
  /** Tokens at once. */
  burst: number
}

/** Milliseconds for which credited tokens can be used; and the time that is credited at most, or has to be waited for at most. */
const creditTime = 10_000

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
  #filledAt: number

  constructor ({ rate, burst }: TokenRate, clock: LoopClock) {
    this.#rate = rate / 1_000
    this.#burst = burst
    this.#clock = clock
    this.#tokens = burst
    this.#filledAt = clock.now()
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

  /** Credits tokens for a time in which what was sent could not be read, in ms. */
  credit (ms: number): void {
    this.#credit = Math.min(this.#credit + ms * this.#rate, creditTime * this.#rate)
    this.#creditedAt = this.#clock.now()
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
    this.#tokens = Math.max(this.#tokens - amount + credited, -creditTime * this.#rate)
  }

  #fill (): void {
    const now = this.#clock.now()
    if (now - this.#creditedAt >= creditTime) this.#credit = 0
    const late = this.#clock.lateSince(this.#filledAt)
    this.#tokens = Math.min(this.#burst, this.#tokens + (now - this.#filledAt) * this.#rate)
    this.#filledAt = now
    if (late > 0) this.credit(late)
  }
}
