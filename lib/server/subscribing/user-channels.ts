import { Deque } from '../../logs/deque.js'
import { TokenBucket, type TokenRate } from '../inbound/token-bucket.js'
import type { LoopClock } from '../../time/loop-clock.js'
import type { Timers } from '../../time/timers.js'

/** Rate at which a user may subscribe to channels, on all connections to this server together. */
const subscribeRate: TokenRate = { rate: 20, burst: 200 }

/** Interval at which waiting users are served, in ms. */
const serveEvery = 1_000 / subscribeRate.rate

/** Connection that waits for its user's turn. */
export interface Applicant {
  readonly userId: string
  /** Whether it has ended. Its turn then costs nothing. */
  readonly isEnding: boolean
}

interface Waiting {
  readonly applicant: Applicant
  readonly go: () => void
}

interface UserChannel {
  count: number
  readonly bucket: TokenBucket
  readonly waiting: Deque<Waiting>
}

export interface UserChannelsParts {
  readonly clock: LoopClock
  readonly timers: Timers
  /** Maximum number of channels of a user. */
  readonly most: number
}

/** The channels of each user on this server, beside those of paths: their number, and the rate at which the user subscribes. */
export class UserChannels {
  readonly #parts: UserChannelsParts
  readonly #byUser = new Map<string, UserChannel>()
  /** Users who wait, or have no channels: only these are served, so the cost does not grow with the number of users. */
  readonly #toServe = new Set<string>()
  #stopClock: (() => void) | undefined

  constructor (parts: UserChannelsParts) {
    this.#parts = parts
  }

  /** Number of known users. */
  get size (): number {
    return this.#byUser.size
  }

  /** Resolves when the user of a connection may subscribe to another channel, in the order of the calls, or the connection has ended. */
  turn (applicant: Applicant): Promise<void> {
    const user = this.#of(applicant.userId)
    if (user.waiting.length === 0 && user.bucket.take()) return Promise.resolve()
    return new Promise(resolve => {
      user.waiting.push({ applicant, go: resolve })
      this.#serveLater(applicant.userId)
    })
  }

  /** Counts a channel of a user, unless there are too many. Returns whether it is counted. */
  take (userId: string): boolean {
    const user = this.#of(userId)
    if (user.count >= this.#parts.most) return false
    user.count++
    return true
  }

  /** Ends channels of a user. */
  release (userId: string, count = 1): void {
    const user = this.#byUser.get(userId)
    if (user === undefined) return
    user.count -= count
    if (user.count === 0) this.#serveLater(userId)
  }

  #of (userId: string): UserChannel {
    const known = this.#byUser.get(userId)
    if (known !== undefined) return known
    const user = { count: 0, bucket: new TokenBucket(subscribeRate, this.#parts.clock), waiting: new Deque<Waiting>() }
    this.#byUser.set(userId, user)
    this.#serveLater(userId)
    return user
  }

  #serveLater (userId: string): void {
    this.#toServe.add(userId)
    this.#startClock()
  }

  #startClock (): void {
    this.#stopClock ??= this.#parts.timers.after(serveEvery, () => this.#serve())
  }

  /** Serves waiting users, and forgets those with nothing to remember. */
  #serve (): void {
    this.#stopClock = undefined
    for (const userId of this.#toServe) {
      const { count, bucket, waiting } = this.#byUser.get(userId)!
      while (waiting.length > 0 && (waiting.at(0)!.applicant.isEnding || bucket.take())) waiting.shift()!.go()
      const isForgotten = count === 0 && bucket.emptiness <= 0
      if (isForgotten) this.#byUser.delete(userId)
      if (isForgotten || (count > 0 && waiting.length === 0)) this.#toServe.delete(userId)
    }
    if (this.#toServe.size > 0) this.#startClock()
  }
}
