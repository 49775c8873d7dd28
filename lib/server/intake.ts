import { Budget } from '../brokers/budget.js'
import type { LoopClock } from './loop-clock.js'
import type { Timers } from './timers.js'
import { TokenBucket, type TokenRate } from './token-bucket.js'

/** A token is taken for each of these bytes that begin: of what is received, and of what is sent because it was asked for. */
const tokenSize = { received: 4 * 1024, requested: 64 * 1024 }

/** Who holds too much is looked at again after so many milliseconds: others may have given something back. */
const lookAgain = 50

/** What a user's frames come from: a connection. */
export interface Source {
  /** Its user has sent too much: nothing more is read from it for now. */
  onOver (): void
  /** Reading goes on. */
  onUnder (): void
}

export interface IntakeLimits extends TokenRate {
  /** Bytes of the messages of all users that are being handled, or wait for it. */
  bytes: number
}

export interface IntakeParts {
  readonly clock: LoopClock
  readonly timers: Timers
  /** The sockets of a user are not read for a while. */
  onHold (): void
}

/** What all users send. */
export class Intakes {
  readonly parts: IntakeParts
  readonly limits: IntakeLimits
  /** Bytes that are being handled, or wait for it. */
  readonly held: Budget
  readonly #byUser = new Map<string, Intake>()

  constructor (limits: IntakeLimits, parts: IntakeParts) {
    this.limits = limits
    this.parts = parts
    this.held = new Budget(limits.bytes)
  }

  /** Number of users of whom anything is known. */
  get size (): number {
    return this.#byUser.size
  }

  /** Known for as long as a user is connected, and until nothing is left of what they have used up. */
  of (userId: string): Intake {
    const known = this.#byUser.get(userId)
    if (known !== undefined) return known
    const intake = new Intake(userId, this, () => this.#byUser.delete(userId))
    this.#byUser.set(userId, intake)
    return intake
  }

  /** `undefined` for a user of whom nothing is known. */
  known (userId: string): Intake | undefined {
    return this.#byUser.get(userId)
  }
}

/**
 * What one user sends, by all connections together: how fast it is read, and how much of it is held at once. Beyond that the user's
 * sockets are read later. Who reconnects is still the same user.
 */
export class Intake {
  readonly #userId: string
  readonly #all: Intakes
  readonly #onIdle: () => void
  readonly #bucket: TokenBucket
  readonly #sources = new Set<Source>()
  #isOver = false
  #stopClock: (() => void) | undefined

  constructor (userId: string, all: Intakes, onIdle: () => void) {
    this.#userId = userId
    this.#all = all
    this.#onIdle = onIdle
    this.#bucket = new TokenBucket(all.limits, all.parts.clock)
  }

  /** Nothing is read from the user's sockets at the moment. */
  get isOver (): boolean {
    return this.#isOver
  }

  join (source: Source): void {
    this.#sources.add(source)
    if (this.#isOver) source.onOver()
  }

  leave (source: Source): void {
    this.#sources.delete(source)
    this.#rest()
  }

  /** Charges a frame of the user. */
  receive (bytes: number): void {
    this.#spend(bytes / tokenSize.received)
  }

  /** Charges something that the user asked for: a connection with its replay, or older messages. */
  request (bytes: number): void {
    this.#spend(bytes / tokenSize.requested)
    this.#rest()
  }

  #spend (tokens: number): void {
    const wait = this.#bucket.spend(Math.max(1, Math.ceil(tokens)))
    if (wait > 0 && !this.#isOver) this.#look()
  }

  /** A message of the user is held until `release`. */
  add (bytes: number): void {
    this.#all.held.add(this.#userId, bytes)
    if (!this.#isOver && this.#isHeavy) this.#look()
  }

  release (bytes: number): void {
    this.#all.held.release(this.#userId, bytes)
    if (this.#isOver) this.#look()
    this.#rest()
  }

  #look (): void {
    const { wait } = this.#bucket
    const isHeavy = this.#isHeavy
    this.#stopClock?.()
    this.#turn(wait > 0 || isHeavy)
    if (!this.#isOver) return
    const next = Math.ceil(isHeavy ? Math.max(wait, lookAgain) : wait)
    this.#stopClock = this.#all.parts.timers.after(next, () => this.#look())
  }

  /** More is held than is still free. */
  get #isHeavy (): boolean {
    const { held } = this.#all
    return held.heldBy(this.#userId) > 0 && !held.allows(this.#userId, 0)
  }

  #turn (isOver: boolean): void {
    if (isOver === this.#isOver) return
    this.#isOver = isOver
    if (isOver) this.#all.parts.onHold()
    for (const source of this.#sources) isOver ? source.onOver() : source.onUnder()
    if (!isOver) this.#rest()
  }

  /** Is let go of once there is nothing to know: no connection, nothing held, and every token back. */
  #rest (): void {
    if (this.#sources.size > 0 || this.#isOver || this.#all.held.heldBy(this.#userId) > 0) return
    const { emptiness } = this.#bucket
    if (emptiness <= 0) return this.#onIdle()
    this.#stopClock?.()
    this.#stopClock = this.#all.parts.timers.after(Math.ceil(emptiness), () => this.#rest())
  }
}
