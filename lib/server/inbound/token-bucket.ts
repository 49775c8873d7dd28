import type { LoopClock } from '../../time/loop-clock.js'

export interface TokenRate {
  /** Tokens that are refilled per second. */
  rate: number
  /** Maximum tokens in the bucket. */
  burst: number
}

/** Time for which credited tokens can be used, in ms. */
const creditKeep = 10_000

/** Maximum time whose tokens are credited, in ms. */
const maxCredit = 10_000

/** Maximum debt of tokens, as the time until they are refilled, in ms. */
const maxWait = 10_000

/**
 * Token bucket. The delay of the event loop is credited beyond the burst: after a delay, many frames of a client that sends at an even
 * pace are waiting, and the client is within the rate nevertheless.
 */
export class TokenBucket {
  readonly #limits: TokenRate
  readonly #clock: LoopClock
  #tokens: number
  #credit = 0
  #creditedAt = 0
  /** Excused time since the last refill, in ms. */
  #excused = 0
  #filledAt: number

  constructor (limits: TokenRate, clock: LoopClock) {
    this.#limits = limits
    this.#clock = clock
    this.#tokens = limits.burst
    this.#filledAt = clock.now()
    // The first frames may have been sent while the event loop was late.
    this.#credit = clock.lateSince(-Infinity) * this.#rate
    this.#creditedAt = this.#filledAt
  }

  /** Takes a token. Returns `false` if there is none. */
  take (): boolean {
    this.#fill()
    if (this.#tokens + this.#credit < 1) return false
    this.#spend(1)
    return true
  }

  /** Takes tokens, even if there are fewer. Returns the time until the debt is refilled, in ms. */
  spend (amount: number): number {
    this.#fill()
    this.#spend(amount)
    return this.#debtTime
  }

  /** Credits the tokens of a time in ms during which frames could not be read, also beyond the burst. */
  excuse (ms: number): void {
    this.#excused += ms
  }

  /** Time until the debt is refilled, in ms. */
  get wait (): number {
    this.#fill()
    return this.#debtTime
  }

  /** Time until the bucket is full, in ms. */
  get emptiness (): number {
    this.#fill()
    return (this.#limits.burst - this.#tokens) / this.#rate
  }

  /** Tokens per ms. */
  get #rate (): number {
    return this.#limits.rate / 1_000
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
    const beyond = filled - this.#limits.burst
    if (beyond > 0) this.#keep(beyond, this.#clock.lateSince(this.#filledAt) + this.#excused, now)
    this.#tokens = Math.min(this.#limits.burst, filled)
    this.#filledAt = now
    this.#excused = 0
  }

  /** Credits tokens that exceed the burst, as far as they were refilled in excused time. */
  #keep (beyond: number, ms: number, now: number): void {
    if (ms <= 0) return
    this.#credit = Math.min(this.#credit + Math.min(beyond, ms * this.#rate), maxCredit * this.#rate)
    this.#creditedAt = now
  }
}
