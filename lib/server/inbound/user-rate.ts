import { Budget } from '../../brokers/budget.js'
import type { LoopClock } from '../../time/loop-clock.js'
import type { Timers } from '../../time/timers.js'
import { TokenBucket, type TokenRate } from './token-bucket.js'

/** A token is taken for each of these bytes that begin: of what is received, and of what is sent because it was asked for. */
const tokenSize = { received: 4 * 1024, requested: 64 * 1024 }

/** Milliseconds after which a user who holds too much is looked at again: other users may have given something back. */
const recheckMs = 50

/** How often users are forgotten of whom nothing is left to know, in milliseconds. */
const forgetEvery = 1_000

/** What a user's frames come from: a connection. */
export interface Source {
  /** Its user has sent too much: nothing more is read from it until `onReleased`. */
  onHeld (): void
  /** Reading goes on. */
  onReleased (): void
}

export interface UserLimits extends TokenRate {
  /** Bytes of the messages of all users that are being handled, or wait for it. */
  bytes: number
}

export interface UserRateParts {
  readonly clock: LoopClock
  readonly timers: Timers
  /** The sockets of a user are not read for a while. */
  onHold (): void
}

/** What all users send. */
export class UserRates {
  readonly parts: UserRateParts
  readonly limits: UserLimits
  /** Bytes that are being handled, or wait for it. */
  readonly held: Budget
  readonly #byUser = new Map<string, UserRate>()
  /** Users of whom nothing may be left to know. */
  readonly #leaving = new Set<UserRate>()

  constructor (limits: UserLimits, parts: UserRateParts) {
    this.limits = limits
    this.parts = parts
    this.held = new Budget(limits.bytes)
  }

  /** Number of users of whom anything is known. */
  get size (): number {
    return this.#byUser.size
  }

  /** Known for as long as a user is connected, and until nothing is left of what they have used up. */
  of (userId: string): UserRate {
    const known = this.#byUser.get(userId)
    if (known !== undefined) return known
    const rate = new UserRate(userId, this)
    this.#byUser.set(userId, rate)
    return rate
  }

  /** Forgets a user when the time comes, unless they are back by then. */
  forgetLater (rate: UserRate): void {
    if (this.#leaving.size === 0) this.parts.timers.after(forgetEvery, () => this.#forget())
    this.#leaving.add(rate)
  }

  #forget (): void {
    for (const rate of this.#leaving) {
      if (rate.isIdle && !rate.isFull) continue
      this.#leaving.delete(rate)
      if (rate.isIdle) this.#byUser.delete(rate.userId)
    }
    if (this.#leaving.size > 0) this.parts.timers.after(forgetEvery, () => this.#forget())
  }

  /** `undefined` for a user of whom nothing is known. */
  known (userId: string): UserRate | undefined {
    return this.#byUser.get(userId)
  }
}

/**
 * What one user sends, by all connections together: how fast it is read, and how much of it is held at once. Beyond that the user's
 * sockets are read later. Who reconnects is still the same user.
 */
export class UserRate {
  readonly userId: string
  readonly #all: UserRates
  readonly #bucket: TokenBucket
  readonly #sources = new Set<Source>()
  #isHeld = false
  #stopClock: (() => void) | undefined

  constructor (userId: string, all: UserRates) {
    this.userId = userId
    this.#all = all
    this.#bucket = new TokenBucket(all.limits, all.parts.clock)
  }

  /** Nothing is read from the user's sockets at the moment. */
  get isHeld (): boolean {
    return this.#isHeld
  }

  /** No connection of the user sends, and nothing of them is handled. */
  get isIdle (): boolean {
    return this.#sources.size === 0 && !this.#isHeld && this.#all.held.heldBy(this.userId) === 0
  }

  /** Every token is back. */
  get isFull (): boolean {
    return this.#bucket.emptiness <= 0
  }

  join (source: Source): void {
    this.#sources.add(source)
    if (this.#isHeld) source.onHeld()
  }

  leave (source: Source): void {
    this.#sources.delete(source)
    this.#forgetIfIdle()
  }

  /** Charges a frame of the user. */
  receive (bytes: number): void {
    this.#spend(bytes / tokenSize.received)
  }

  /** Charges something that the user asked for: a connection with its replay, or older messages. */
  request (bytes: number): void {
    this.#spend(bytes / tokenSize.requested)
    this.#forgetIfIdle()
  }

  #spend (tokens: number): void {
    const wait = this.#bucket.spend(Math.max(1, Math.ceil(tokens)))
    if (wait > 0 && !this.#isHeld) this.#review()
  }

  /** A message of the user waits for its handler, or is handled, until `release`. */
  add (bytes: number): void {
    this.#all.held.add(this.userId, bytes)
    if (!this.#isHeld && this.#isHeavy) this.#review()
  }

  release (bytes: number): void {
    this.#all.held.release(this.userId, bytes)
    if (this.#isHeld) this.#review()
    this.#forgetIfIdle()
  }

  #review (): void {
    const { wait } = this.#bucket
    const next = Math.ceil(this.#isHeavy ? Math.max(wait, recheckMs) : wait)
    this.#stopClock?.()
    if (next > 0) this.#stopClock = this.#all.parts.timers.after(next, () => this.#review())
    this.#setHeld(next > 0)
  }

  /** More is held than is still free. */
  get #isHeavy (): boolean {
    const { held } = this.#all
    return held.heldBy(this.userId) > 0 && !held.allows(this.userId, 0)
  }

  #setHeld (isHeld: boolean): void {
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) this.#all.parts.onHold()
    // What the first of them has read already may be too much again.
    for (const source of this.#sources) this.#isHeld ? source.onHeld() : source.onReleased()
    this.#forgetIfIdle()
  }

  #forgetIfIdle (): void {
    if (this.isIdle) this.#all.forgetLater(this)
  }
}
