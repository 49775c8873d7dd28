import { Budget } from '../../brokers/budget.js'
import type { LoopClock } from '../../time/loop-clock.js'
import type { Timers } from '../../time/timers.js'
import { TokenBucket, type TokenRate } from './token-bucket.js'

/** Bytes per token: of received frames, and of data that is sent because the user requested it. Each started unit takes a token. */
const tokenSize = { received: 2 * 1024, requested: 64 * 1024 }

/** Interval between checks of a user that holds too many bytes, in ms: other users may have released some. */
const recheckMs = 50

/** Interval at which idle users are forgotten, in ms. */
const forgetEvery = 1_000

/** Source of a user's frames: a connection. */
export interface FrameSource {
  /** Stops reading until `onReleased`, because the user has sent too much. */
  onHeld (): void
  /** Resumes reading. */
  onReleased (): void
}

export interface UserLimits extends TokenRate {
  /** Maximum bytes of messages of all users that wait for a handler or are being handled. */
  bytes: number
}

export interface UserRateParts {
  readonly clock: LoopClock
  readonly timers: Timers
  /** Called when reading from the sockets of a user is paused. */
  onHold (): void
}

/** Message rates and held bytes of all users. */
export class UserRates {
  readonly parts: UserRateParts
  readonly limits: UserLimits
  /** Bytes of messages that wait for a handler or are being handled, by user. */
  readonly held: Budget
  readonly #byUser = new Map<string, UserRate>()
  /** Users that may soon be forgotten. `isLeaving` of each is set: a set would cost more per handshake. */
  #leaving: UserRate[] = []

  constructor (limits: UserLimits, parts: UserRateParts) {
    this.limits = limits
    this.parts = parts
    this.held = new Budget(limits.bytes)
  }

  /** Number of known users. */
  get size (): number {
    return this.#byUser.size
  }

  /** Rate of a user, kept while the user is connected and until all used tokens are refilled. */
  of (userId: string): UserRate {
    const known = this.#byUser.get(userId)
    if (known !== undefined) return known
    const rate = new UserRate(userId, this)
    this.#byUser.set(userId, rate)
    return rate
  }

  /** Forgets a user once all tokens are refilled, unless the user is active again by then. */
  forgetLater (rate: UserRate): void {
    if (rate.isLeaving) return
    rate.isLeaving = true
    if (this.#leaving.length === 0) this.parts.timers.after(forgetEvery, () => this.#forget())
    this.#leaving.push(rate)
  }

  #forget (): void {
    this.#leaving = this.#leaving.filter(rate => {
      if (rate.isIdle && !rate.isFull) return true
      rate.isLeaving = false
      if (rate.isIdle) this.#byUser.delete(rate.userId)
      return false
    })
    if (this.#leaving.length > 0) this.parts.timers.after(forgetEvery, () => this.#forget())
  }

  /** Rate of a user; `undefined` if the user is not known. */
  known (userId: string): UserRate | undefined {
    return this.#byUser.get(userId)
  }
}

/**
 * Limits the messages of a user on all connections together: their rate, and the bytes that are held at once. Beyond a limit, the
 * user's sockets are read later. The limits survive a reconnect.
 */
export class UserRate {
  readonly userId: string
  /** Whether it may soon be forgotten. Only `UserRates` changes it. */
  isLeaving = false
  readonly #all: UserRates
  readonly #bucket: TokenBucket
  /** Created with the first source: most users only listen. */
  #sources: Set<FrameSource> | undefined
  #isHeld = false
  #stopClock: (() => void) | undefined

  constructor (userId: string, all: UserRates) {
    this.userId = userId
    this.#all = all
    this.#bucket = new TokenBucket(all.limits, all.parts.clock)
  }

  /** Whether reading from the user's sockets is paused. */
  get isHeld (): boolean {
    return this.#isHeld
  }

  /** Whether the user has no connection that sends, and no message that waits or is being handled. */
  get isIdle (): boolean {
    return (this.#sources === undefined || this.#sources.size === 0) && !this.#isHeld && this.#all.held.heldBy(this.userId) === 0
  }

  /** Whether all tokens are refilled. */
  get isFull (): boolean {
    return this.#bucket.emptiness <= 0
  }

  join (source: FrameSource): void {
    this.#sources ??= new Set()
    this.#sources.add(source)
    if (this.#isHeld) source.onHeld()
  }

  leave (source: FrameSource): void {
    this.#sources?.delete(source)
    this.#forgetIfIdle()
  }

  /** Charges a frame of the user, by its bytes. */
  receive (bytes: number): void {
    this.#spend(bytes / tokenSize.received)
  }

  /** Charges data that the user requested, by its bytes: a connection with its replay, or older messages. */
  request (bytes: number): void {
    this.#spend(bytes / tokenSize.requested)
    this.#forgetIfIdle()
  }

  #spend (tokens: number): void {
    const wait = this.#bucket.spend(Math.max(1, Math.ceil(tokens)))
    if (wait > 0 && !this.#isHeld) this.#review()
  }

  /** Counts a message that waits for its handler or is being handled, until `release`. */
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

  /** Whether the user holds more bytes than are still free. */
  get #isHeavy (): boolean {
    const { held } = this.#all
    return held.heldBy(this.userId) > 0 && !held.allows(this.userId, 0)
  }

  #setHeld (isHeld: boolean): void {
    if (isHeld === this.#isHeld) return
    this.#isHeld = isHeld
    if (isHeld) this.#all.parts.onHold()
    // Frames that the first source has read already may exceed the limit again.
    for (const source of this.#sources ?? []) this.#isHeld ? source.onHeld() : source.onReleased()
    this.#forgetIfIdle()
  }

  #forgetIfIdle (): void {
    if (this.isIdle) this.#all.forgetLater(this)
  }
}
