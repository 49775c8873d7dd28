/** Time that frames wait behind late ones in the buffers of the network, in ms. */
const targetQueueing = 25

/** Growth of the window per confirmed byte once it was too large. */
const steadyGain = 0.25

/** Bytes of late frames that may be on their way: at first, at least, and at most. */
const firstWindow = 64 * 1024
const minWindow = 16 * 1024
const maxWindow = 8 * 1024 * 1024

/** Number of pings per window. */
const pingsPerWindow = 4

/** A ping behind late frames. */
interface Mark {
  readonly id: number
  /** Late bytes that were written before it. */
  readonly written: number
  /** When it was sent, in ms. */
  readonly at: number
}

/**
 * Late frames of a connection: those of subscriptions that are far behind. The buffers between server and client take megabytes of them,
 * and frames of other channels would wait there. So only a window of late bytes is on its way, which the pongs of the client move. It grows
 * while pongs take less than `targetQueueing` longer than the fastest one, and shrinks while they take more, as in LEDBAT (RFC 6817).
 */
export class Backlog<S> {
  /** Subscriptions that wait until the window has room. */
  #held: S[] = []
  #marks: Mark[] = []
  #window = firstWindow
  #written = 0
  #confirmed = 0
  #lastId = 0
  /** Growth of the window per confirmed byte while nothing queues. At first it doubles with each round trip. */
  #gain = 1
  #fastest = Infinity
  #isMoving = true
  readonly #ping: (id: string) => void

  /** `ping` sends a ping with this payload behind the frames that are written. */
  constructor (ping: (id: string) => void) {
    this.#ping = ping
  }

  /** Whether everything is confirmed. */
  get isEmpty (): boolean {
    return this.#held.length === 0 && this.#marks.length === 0
  }

  isHeld (subscription: S): boolean {
    return this.#held.includes(subscription)
  }

  /** Records late bytes that are about to be written. Returns whether more of them may follow; otherwise the subscription is held. */
  write (subscription: S, bytes: number, now: number): boolean {
    const lastMark = this.#marks.at(-1)?.written ?? this.#confirmed
    if (this.#lastId === 0 || this.#written - lastMark >= this.#window / pingsPerWindow) this.#mark(now)
    this.#written += bytes
    if (this.#written - this.#confirmed < this.#window) return true
    this.#held.push(subscription)
    return false
  }

  #mark (now: number): void {
    this.#marks.push({ id: ++this.#lastId, written: this.#written, at: now })
    this.#ping(String(this.#lastId))
  }

  /** Handles a pong. Returns the subscriptions to be read again, or `undefined` if the pong answers none of its pings. */
  confirm (id: string, now: number): S[] | undefined {
    const at = this.#marks.findIndex(mark => String(mark.id) === id)
    if (at === -1) return undefined
    const mark = this.#marks[at]
    this.#isMoving = true
    this.#marks = this.#marks.slice(at + 1)
    this.#adapt(mark.written - this.#confirmed, now - mark.at)
    this.#confirmed = mark.written
    // Nothing else would confirm the bytes after the last ping.
    if (this.#marks.length === 0 && this.#written > this.#confirmed && this.#held.length > 0) this.#mark(now)
    return this.#written - this.#confirmed < this.#window ? this.release() : []
  }

  #adapt (confirmed: number, roundTrip: number): void {
    this.#fastest = Math.min(this.#fastest, roundTrip)
    const offTarget = Math.max(-1, 1 - (roundTrip - this.#fastest) / targetQueueing)
    if (offTarget < 0) this.#gain = steadyGain
    this.#window = Math.min(maxWindow, Math.max(minWindow, this.#window + this.#gain * offTarget * confirmed))
  }

  /** Whether no ping was answered since the last call. */
  isStuck (): boolean {
    const isStuck = !this.#isMoving
    this.#isMoving = false
    return isStuck
  }

  /** Holds no subscription any longer. Returns those that it held. */
  release (): S[] {
    const held = this.#held
    this.#held = []
    return held
  }

  /** Removes a subscription that ends. */
  remove (subscription: S): void {
    this.#held = this.#held.filter(other => other !== subscription)
  }
}
