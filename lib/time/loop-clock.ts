/** Milliseconds between two looks at the clock. */
const lookEvery = 100

/** A look that comes later than this is late, in milliseconds. */
const tolerance = 10

/** Milliseconds for which a delay is known. */
const memory = 10_000

interface Delay {
  /** When it ended. */
  readonly at: number
  readonly ms: number
}

/** The monotonic clock, and what the event loop was late by: what arrives meanwhile is read afterwards, all at once. */
export class LoopClock {
  readonly #now: () => number
  readonly #timer: NodeJS.Timeout
  #delays: Delay[] = []
  #lookedAt: number

  /** `now`: milliseconds on a monotonic clock. */
  constructor (now = () => performance.now()) {
    this.#now = now
    this.#lookedAt = now()
    this.#timer = setInterval(() => this.look(), lookEvery).unref()
  }

  now (): number {
    return this.#now()
  }

  /** Milliseconds since a time, at most 10 s ago, in which the event loop was late. */
  lateSince (time: number): number {
    const now = this.#now()
    let late = Math.min(this.#lateAt(now), now - time)
    for (const { at, ms } of this.#delays) if (at > time && now - at < memory) late += Math.min(ms, at - time)
    return Math.min(late, memory)
  }

  /** Notes whether the event loop is late now. Called by the clock's own timer. */
  look (): void {
    const now = this.#now()
    const ms = this.#lateAt(now)
    this.#lookedAt = now
    if (this.#delays.length > 0) this.#delays = this.#delays.filter(({ at }) => now - at < memory)
    if (ms > 0) this.#delays.push({ at: now, ms })
  }

  close (): void {
    clearInterval(this.#timer)
  }

  #lateAt (now: number): number {
    const late = now - this.#lookedAt - lookEvery
    return late > tolerance ? late : 0
  }
}
